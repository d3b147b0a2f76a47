"""REST on describes, single records and queries (§7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from pipelines.emulator.bulk import cursors
from pipelines.emulator.messages import Answer, ApiError, Call
from pipelines.emulator.org import describe, ids
from pipelines.emulator.org.assignment_rules import Rule
from pipelines.emulator.org.chunks import Chunk, chunk_of_json, refused_fields
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Results, Saved, SaveOptions, Saver
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import Failure, Value, from_json, to_json
from pipelines.emulator.soql.names import no_such_column
from pipelines.emulator.soql.query import Asker, plan

STATUSES = {"ENTITY_IS_DELETED": 404, "NOT_FOUND": 404}
FIELD_PATH = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*", re.ASCII)
NOT_FOUND = "The requested resource does not exist"


class Refused(Exception):
    """One record refused on its own: an array of errors."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__(failures[0].message)
        self.failures = failures


class Rest:
    """Everything under sobjects and query."""

    def __init__(self, org: Org, saver: Saver) -> None:
        self._org = org
        self._store = org.store
        self._saver = saver

    # -- describing ---------------------------------------------------------------------------

    def describe_global(self, call: Call) -> Answer:
        """`GET /sobjects`."""
        return Answer(200, describe.describe_global(self._org.schema, call.data))

    def describe_brief(self, call: Call, object_name: str) -> Answer:
        """`GET /sobjects/X`."""
        sobject = self.sobject(object_name)
        value = {"objectDescribe": describe.brief(sobject, call.data), "recentItems": []}
        return Answer(200, value)

    def describe(self, call: Call, object_name: str) -> Answer:
        """`GET /sobjects/X/describe`."""
        sobject = self.sobject(object_name)
        changed_at = self._org.changed_at
        headers = {"Last-Modified": format_datetime(changed_at, usegmt=True)}
        seen = _http_date(call.headers.get("if-modified-since", ""))
        if seen is not None and seen >= changed_at:
            return Answer(304, headers=headers)
        value = describe.describe(self._org.schema, sobject, call.data, call.base)
        return Answer(200, value, headers=headers)

    def sobject(self, name: str) -> SObject:
        """The object of this name, or the org's 404."""
        found = self._org.schema.find(name)
        if found is None:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        return found

    def writable(self, name: str, verb: str) -> SObject:
        """The object of this name, which a request may change."""
        sobject = self.sobject(name)
        if not sobject.writable:
            message = f"entity type {sobject.name} does not support {verb}"
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)
        return sobject

    # -- single records -----------------------------------------------------------------------

    def create(self, call: Call, object_name: str) -> Answer:
        """`POST /sobjects/X`."""
        sobject = self.writable(object_name, "create")
        body = call.json_object()
        if any(name.lower() == "id" for name in body):
            message = "The Id field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message, ["Id"])
        chunk = chunk_of_json(sobject, [body], creating=True)
        saved = self._one(chunk, self._saver.insert(chunk, self.options(call, sobject)))
        value = {"id": saved.id, "success": True, "errors": []}
        return Answer(201, value, headers=_location(call, sobject, saved.id))

    def read(self, call: Call, object_name: str, record_id: str) -> Answer:
        """`GET /sobjects/X/ID`."""
        sobject = self.sobject(object_name)
        found = ids.normalised(record_id) or ""
        return self._read(call, sobject, found, call.query.get("fields", ""))

    def _read(self, call: Call, sobject: SObject, record_id: str, fields: str) -> Answer:
        if self._saver.state_of(sobject, record_id) != "living":
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        names = [f.name for f in self._asked_fields(sobject, fields)]
        return Answer(200, self.records(call, sobject, [record_id], names)[record_id])

    def update(self, call: Call, object_name: str, record_id: str) -> Answer:
        """`PATCH /sobjects/X/ID`."""
        sobject = self.writable(object_name, "update")
        target = self._living(sobject, record_id)
        body = call.json_object()
        if any(name.lower() == "id" for name in body):
            message = "The Id field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message, ["Id"])
        chunk = chunk_of_json(sobject, [body], creating=False)
        self._one(chunk, self._saver.update(chunk, [target], self.options(call, sobject)))
        return Answer(204)

    def delete(self, _call: Call, object_name: str, record_id: str) -> Answer:
        """`DELETE /sobjects/X/ID`."""
        sobject = self.writable(object_name, "delete")
        self._saver.delete(sobject, [self._living(sobject, record_id)])
        return Answer(204)

    def _living(self, sobject: SObject, record_id: str) -> str:
        target = ids.normalised(record_id)
        state = "unknown" if target is None else self._saver.state_of(sobject, target)
        if target is None or state == "unknown":
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        if state == "deleted":
            raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted")
        return target

    def read_by_key(self, call: Call, object_name: str, field: str, text: str) -> Answer:
        """`GET /sobjects/X/FIELD/VALUE`."""
        sobject = self.sobject(object_name)
        key = self.key(sobject, field)
        found = self._saver.find_by_key(sobject, key, self._key_value(key, text))
        if len(found) > 1:
            return self._many(call, sobject, found)
        if not found:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        return self._read(call, sobject, found[0], call.query.get("fields", ""))

    def upsert(self, call: Call, object_name: str, field: str, text: str) -> Answer:
        """`PATCH /sobjects/X/FIELD/VALUE`: 201 for a new record, 200 for a known one."""
        sobject = self.writable(object_name, "upsert")
        key = self.key(sobject, field)
        body = call.json_object()
        if any(name.lower() in {key.name.lower(), "id"} for name in body):
            message = f"The {key.name} field should not be specified in the sobject data."
            raise ApiError(400, "INVALID_FIELD", message, [key.name])
        value = self._key_value(key, text)
        with self._store.transaction():
            found = self._saver.find_by_key(sobject, key, value)
            if len(found) > 1:
                return self._many(call, sobject, found)
            if not found and (
                call.query.get("updateOnly", "").lower() == "true" or key.type == "id"
            ):
                raise ApiError(404, "NOT_FOUND", NOT_FOUND)
            options = self.options(call, sobject)
            record = body if found else body | {key.name: value}
            chunk = chunk_of_json(sobject, [record], creating=not found)
            if found:
                saved = self._one(chunk, self._saver.update(chunk, found, options))
            else:
                saved = self._one(chunk, self._saver.insert(chunk, options))
        if found and float(call.version) < 46:
            return Answer(204)
        value_ = {"id": saved.id, "success": True, "errors": [], "created": saved.created}
        location = _location(call, sobject, saved.id)
        return Answer(201 if saved.created else 200, value_, headers=location)

    def delete_by_key(self, call: Call, object_name: str, field: str, text: str) -> Answer:
        """`DELETE /sobjects/X/FIELD/VALUE`."""
        sobject = self.writable(object_name, "delete")
        key = self.key(sobject, field)
        found = self._saver.find_by_key(sobject, key, self._key_value(key, text))
        if len(found) > 1:
            return self._many(call, sobject, found)
        if not found:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        self._saver.delete(sobject, found)
        return Answer(204)

    def _many(self, call: Call, sobject: SObject, found: Sequence[str]) -> Answer:
        return Answer(300, [f"{call.data}/sobjects/{sobject.name}/{id_}" for id_ in found])

    def key(self, sobject: SObject, name: str) -> Field:
        """The field a request wants to match on."""
        key = sobject.key_field(name)
        if key is None:
            message = f"Provided external ID field does not exist or is not accessible: {name}"
            raise ApiError(404, "NOT_FOUND", message)
        return key

    def _key_value(self, key: Field, text: str) -> Value:
        try:
            return ids.normalised(text) if key.type == "id" else from_json(key, text)
        except Failure as failure:
            raise Refused([failure]) from failure

    def _one(self, chunk: Chunk, results: Results) -> Saved:
        if 0 in chunk.failures:
            raise Refused(chunk.failures[0])
        return results[0]

    def options(self, call: Call, sobject: SObject) -> SaveOptions:
        """What the request's headers ask of a save."""
        header = call.headers.get("sforce-duplicate-rule-header", "")
        settings = dict(
            part.strip().lower().partition("=")[::2] for part in header.split(";") if part.strip()
        )
        rule = self._rule(call) if sobject.name == "Lead" else None
        return SaveOptions(call.user_id, rule, settings.get("allowsave") == "true")

    def _rule(self, call: Call) -> Rule | None:
        """REST runs the active rule unless told not to, on create and update (ten facts, 1)."""
        asked = call.headers.get("sforce-auto-assign", "true").strip()
        if asked.lower() in {"true", "false"}:
            return self._org.owners.active_rule if asked.lower() == "true" else None
        try:
            return self._org.owners.rule_named(asked)
        except Failure as failure:
            raise ApiError(400, failure.code, failure.message) from failure

    def records(
        self, call: Call, sobject: SObject, wanted: Sequence[str], names: Sequence[str]
    ) -> dict[str, dict[str, object]]:
        """Records by id; names may go through relationships, as in SOQL."""
        if not wanted:
            return {}
        quoted = ",".join(f"'{i}'" for i in dict.fromkeys(wanted))
        wrong = next((name for name in names if not FIELD_PATH.fullmatch(name.strip())), None)
        if wrong is not None:
            raise ApiError(400, "INVALID_FIELD", no_such_column(wrong, sobject.name))
        listed = ", ".join(dict.fromkeys(name.strip().lower() for name in names))
        text = f"SELECT {listed} FROM {sobject.name} WHERE Id IN ({quoted})"  # noqa: S608 - SOQL, parsed
        made = plan(self._org, text, Asker(call.user_id))
        rows = self._store.rows(*made.select_rows())
        return {str(row[0]): made.record(row, call.version) for row in rows}

    def _asked_fields(self, sobject: SObject, fields: str) -> list[Field]:
        if not fields:
            return list(sobject.fields)
        names = [name.strip() for name in fields.split(",")]
        refused = refused_fields(
            sobject, [n for n in names if sobject.find(n) is None], creating=True
        )
        if refused is not None:
            raise Refused([refused])
        return [sobject[name] for name in names]

    # -- queries ------------------------------------------------------------------------------

    def query(self, call: Call) -> Answer:
        """`GET /query?q=…`."""
        return self._query(call, Asker(call.user_id))

    def query_all(self, call: Call) -> Answer:
        """`GET /queryAll?q=…`, deleted records included."""
        return self._query(call, Asker(call.user_id, include_deleted=True))

    def _query(self, call: Call, asker: Asker) -> Answer:
        text = call.query.get("q")
        if text is None:
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        if call.query.get("columns", "").lower() == "true":
            return Answer(200, cursors.column_metadata(plan(self._org, text, asker)))
        page = cursors.first_page(self._org, text, call.version, _page_size(call), asker)
        return Answer(200, page)

    def query_more(self, call: Call, reference: str) -> Answer:
        """`GET /query/01g…-2000`."""
        return Answer(200, cursors.next_page(self._org, reference, call.version))

    def record_count(self, call: Call) -> Answer:
        """`GET /limits/recordCount?sObjects=…`; objects it does not know are left out."""
        asked = call.query.get("sObjects", "")
        names = [n for n in asked.split(",") if n] or [o.name for o in self._org.schema.objects]
        counts = []
        for sobject in filter(None, map(self._org.schema.find, names)):
            sql = f'select count(*) from "{sobject.name}" where IsDeleted = 0'  # noqa: S608
            found = self._store.row(sql)
            counts.append({"count": found[0] if found else 0, "name": sobject.name})
        return Answer(200, {"sObjects": counts})

    def dump(self, object_name: str) -> list[dict[str, object]]:
        """Every record of an object with all its fields and its owner's name and kind."""
        sobject = self._org.schema[object_name]
        names = [f.name for f in sobject.stored_fields]
        columns = ", ".join(f't."{name}"' for name in names)
        sql = (
            f'select o.Name, o.Type, {columns} from "{object_name}" t'  # noqa: S608
            ' left join "Name" o on o.Id = t.OwnerId order by t.rowid'
        )
        made = []
        for owner, kind, *values in self._store.rows(sql):
            fields = zip(sobject.stored_fields, values, strict=True)
            record: dict[str, object] = {f.name: to_json(f, v) for f, v in fields}  # type: ignore[arg-type]  # no blobs here
            made.append(record | {"Owner": {"Name": owner, "Type": kind}})
        return made


def _http_date(text: str) -> datetime | None:
    """The instant of a header; None where it says none, as HTTP has it ignored then."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _location(call: Call, sobject: SObject, record_id: str) -> dict[str, str]:
    return {"Location": f"{call.data}/sobjects/{sobject.name}/{record_id}"}


def _page_size(call: Call) -> int:
    header = call.headers.get("sforce-query-options", "").lower().replace(" ", "")
    _, found, number = header.partition("batchsize=")
    wanted = int(number) if found and number.isdecimal() and len(number) < 10 else cursors.MAX_PAGE
    return max(cursors.MIN_PAGE, min(cursors.MAX_PAGE, wanted))
