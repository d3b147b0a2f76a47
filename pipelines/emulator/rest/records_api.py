"""Single records: create, read, update, upsert and delete, by id or by key."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org import ids
from pipelines.emulator.org.assignment_rules import ResolvedRule
from pipelines.emulator.org.chunks import Chunk, chunk_of_json, fields_failure
from pipelines.emulator.org.formatting import to_json
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Results, Saved, SaveOptions, Saver
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import Failure, Value, from_json
from pipelines.emulator.soql.names import no_such_column
from pipelines.emulator.soql.query import Requester, plan_query

STATUSES = {"ENTITY_IS_DELETED": 404, "NOT_FOUND": 404}
FIELD_PATH = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*", re.ASCII)
NOT_FOUND = "The requested resource does not exist"


class RecordError(Exception):
    """One record was rejected; its failures become an array of errors."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__(failures[0].message)
        self.failures = failures


class RecordsApi:
    """The record resources of one org, and what other resources need to know about records."""

    def __init__(self, org: Org, saver: Saver) -> None:
        self._org = org
        self._store = org.store
        self._saver = saver
        self._lookup = saver.lookup

    def sobject(self, name: str) -> SObject:
        """Return the object with this name; raise ApiError (404) where there is none."""
        found = self._org.schema.find(name)
        if found is None:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        return found

    def writable(self, name: str, verb: str) -> SObject:
        """Return the object with this name; raise ApiError where requests may not change it."""
        sobject = self.sobject(name)
        if not sobject.writable:
            message = f"entity type {sobject.name} does not support {verb}"
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)
        return sobject

    def create(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `POST /sobjects/X`."""
        sobject = self.writable(object_name, "create")
        body = request.json_object()
        if any(name.lower() == "id" for name in body):
            message = "The Id field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message, ["Id"])
        chunk = chunk_of_json(sobject, [body], creating=True)
        saved = self._saved_or_error(
            chunk, self._saver.insert(chunk, self.options(request, sobject))
        )
        value = {"id": saved.id, "success": True, "errors": []}
        return ApiResponse(201, value, headers=_location(request, sobject, saved.id))

    def read(self, request: ApiRequest, object_name: str, record_id: str) -> ApiResponse:
        """Handle `GET /sobjects/X/ID`."""
        sobject = self.sobject(object_name)
        found = ids.normalised(record_id) or ""
        return self._read(request, sobject, found, request.query.get("fields", ""))

    def _read(
        self, request: ApiRequest, sobject: SObject, record_id: str, fields: str
    ) -> ApiResponse:
        if self._lookup.state_of(sobject, record_id) != "active":
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        names = [f.name for f in self._requested_fields(sobject, fields)]
        return ApiResponse(200, self.records(request, sobject, [record_id], names)[record_id])

    def update(self, request: ApiRequest, object_name: str, record_id: str) -> ApiResponse:
        """Handle `PATCH /sobjects/X/ID`."""
        sobject = self.writable(object_name, "update")
        target = self._active_id(sobject, record_id)
        body = request.json_object()
        if any(name.lower() == "id" for name in body):
            message = "The Id field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message, ["Id"])
        chunk = chunk_of_json(sobject, [body], creating=False)
        self._saved_or_error(
            chunk, self._saver.update(chunk, [target], self.options(request, sobject))
        )
        return ApiResponse(204)

    def delete(self, _request: ApiRequest, object_name: str, record_id: str) -> ApiResponse:
        """Handle `DELETE /sobjects/X/ID`."""
        sobject = self.writable(object_name, "delete")
        self._saver.delete(sobject, [self._active_id(sobject, record_id)])
        return ApiResponse(204)

    def _active_id(self, sobject: SObject, record_id: str) -> str:
        target = ids.normalised(record_id)
        state = "unknown" if target is None else self._lookup.state_of(sobject, target)
        if target is None or state == "unknown":
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        if state == "deleted":
            raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
        return target

    def read_by_key(
        self, request: ApiRequest, object_name: str, field: str, text: str
    ) -> ApiResponse:
        """Handle `GET /sobjects/X/FIELD/VALUE`."""
        sobject = self.sobject(object_name)
        key = self.key(sobject, field)
        found = self._lookup.find_by_key(sobject, key, self._key_value(key, text))
        if len(found) > 1:
            return self._multiple_choices(request, sobject, found)
        if not found:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        return self._read(request, sobject, found[0], request.query.get("fields", ""))

    def upsert(self, request: ApiRequest, object_name: str, field: str, text: str) -> ApiResponse:
        """Handle `PATCH /sobjects/X/FIELD/VALUE`: 201 for a new record, 200 for an existing one."""
        sobject = self.writable(object_name, "upsert")
        key = self.key(sobject, field)
        body = request.json_object()
        if any(name.lower() in {key.name.lower(), "id"} for name in body):
            message = f"The {key.name} field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message, [key.name])
        value = self._key_value(key, text)
        with self._store.transaction():
            found = self._lookup.find_by_key(sobject, key, value)
            if len(found) > 1:
                return self._multiple_choices(request, sobject, found)
            if not found and (
                request.query.get("updateOnly", "").lower() == "true" or key.type == "id"
            ):
                raise ApiError(404, "NOT_FOUND", NOT_FOUND)
            options = self.options(request, sobject)
            record = body if found else body | {key.name: value}
            chunk = chunk_of_json(sobject, [record], creating=not found)
            if found:
                saved = self._saved_or_error(chunk, self._saver.update(chunk, found, options))
            else:
                saved = self._saved_or_error(chunk, self._saver.insert(chunk, options))
        if found and float(request.version) < 46:
            return ApiResponse(204)
        body_ = {"id": saved.id, "success": True, "errors": [], "created": saved.created}
        location = _location(request, sobject, saved.id)
        return ApiResponse(201 if saved.created else 200, body_, headers=location)

    def delete_by_key(
        self, request: ApiRequest, object_name: str, field: str, text: str
    ) -> ApiResponse:
        """Handle `DELETE /sobjects/X/FIELD/VALUE`."""
        sobject = self.writable(object_name, "delete")
        key = self.key(sobject, field)
        found = self._lookup.find_by_key(sobject, key, self._key_value(key, text))
        if len(found) > 1:
            return self._multiple_choices(request, sobject, found)
        if not found:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        self._saver.delete(sobject, found)
        return ApiResponse(204)

    def _multiple_choices(
        self, request: ApiRequest, sobject: SObject, found: Sequence[str]
    ) -> ApiResponse:
        return ApiResponse(300, [f"{request.data}/sobjects/{sobject.name}/{id_}" for id_ in found])

    def key(self, sobject: SObject, name: str) -> Field:
        """Return the field that a request matches on; raise ApiError where it is not a key."""
        key = sobject.key_field(name)
        if key is None:
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise ApiError(404, "NOT_FOUND", message)
        return key

    def _key_value(self, key: Field, text: str) -> Value:
        try:
            return ids.normalised(text) if key.type == "id" else from_json(key, text)
        except Failure as failure:
            raise RecordError([failure]) from failure

    def _saved_or_error(self, chunk: Chunk, results: Results) -> Saved:
        if 0 in chunk.failures:
            raise RecordError(chunk.failures[0])
        return results[0]

    def options(self, request: ApiRequest, sobject: SObject) -> SaveOptions:
        """Return the save options that the request's headers ask for."""
        header = request.headers.get("sforce-duplicate-rule-header", "")
        settings = dict(
            part.strip().lower().partition("=")[::2] for part in header.split(";") if part.strip()
        )
        rule = self._rule(request) if sobject.name == "Lead" else None
        return SaveOptions(request.user_id, rule, settings.get("allowsave") == "true")

    def _rule(self, request: ApiRequest) -> ResolvedRule | None:
        """Return the assignment rule to run. REST runs the active one unless a header says no."""
        header_value = request.headers.get("sforce-auto-assign", "true").strip()
        if header_value.lower() in {"true", "false"}:
            return self._org.owners.active_rule if header_value.lower() == "true" else None
        try:
            return self._org.owners.rule_named(header_value)
        except Failure as failure:
            raise ApiError(400, failure.code, failure.message) from failure

    def records(
        self, request: ApiRequest, sobject: SObject, wanted: Sequence[str], names: Sequence[str]
    ) -> dict[str, dict[str, object]]:
        """Return records by id. Field names may go through relationships, as in SOQL."""
        if not wanted:
            return {}
        quoted = ",".join(f"'{i}'" for i in dict.fromkeys(wanted))
        invalid_name = next(
            (name for name in names if not FIELD_PATH.fullmatch(name.strip())), None
        )
        if invalid_name is not None:
            raise ApiError(400, "INVALID_FIELD", no_such_column(invalid_name, sobject.name))
        field_list = ", ".join(dict.fromkeys(name.strip().lower() for name in names))
        text = f"SELECT {field_list} FROM {sobject.name} WHERE Id IN ({quoted})"  # noqa: S608 - SOQL, parsed
        plan = plan_query(self._org, text, Requester(request.user_id))
        rows = self._store.rows(*plan.select_rows())
        return {str(row[0]): plan.record(row, request.version) for row in rows}

    def _requested_fields(self, sobject: SObject, fields: str) -> list[Field]:
        if not fields:
            return list(sobject.fields)
        names = [name.strip() for name in fields.split(",")]
        failure = fields_failure(
            sobject, [n for n in names if sobject.find(n) is None], creating=True
        )
        if failure is not None:
            raise RecordError([failure])
        return [sobject[name] for name in names]

    def dump(self, object_name: str) -> list[dict[str, object]]:
        """Return every record of an object with all fields and its owner's name and type."""
        sobject = self._org.schema[object_name]
        names = [f.name for f in sobject.stored_fields]
        columns = ", ".join(f't."{name}"' for name in names)
        sql = (
            f'select o.Name, o.Type, {columns} from "{object_name}" t'  # noqa: S608
            ' left join "Name" o on o.Id = t.OwnerId order by t.rowid'
        )
        records = []
        for owner, kind, *values in self._store.rows(sql):
            fields = zip(sobject.stored_fields, values, strict=True)
            record: dict[str, object] = {f.name: to_json(f, v) for f, v in fields}  # type: ignore[arg-type]  # no blobs here
            records.append(record | {"Owner": {"Name": owner, "Type": kind}})
        return records


def _location(request: ApiRequest, sobject: SObject, record_id: str) -> dict[str, str]:
    return {"Location": f"{request.data}/sobjects/{sobject.name}/{record_id}"}
