"""sObject collections: up to 200 records in one request, with one result for each record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse, error_items
from pipelines.emulator.org import ids
from pipelines.emulator.org.chunks import Chunk, chunk_of_json
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.record_lookup import target_id
from pipelines.emulator.org.records import Results, Saved, Saver
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import Failure, Value, from_json
from pipelines.emulator.rest.records_api import RecordsApi

MAX_COLLECTION = 200
MAX_READ_BACK = 2_000
MAX_RUNS = 10
ROLLED_BACK = Failure(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone "
    "header",
)


class RolledBackError(Exception):
    """A record of an all-or-none request was rejected; used to roll back."""


class SObjectCollections:
    """The resources under composite/sobjects."""

    def __init__(self, org: Org, saver: Saver, records_api: RecordsApi) -> None:
        self._org = org
        self._store = org.store
        self._saver = saver
        self._records_api = records_api

    def create_many(self, request: ApiRequest) -> ApiResponse:
        """Handle `POST /composite/sobjects`."""

        def save(sobject: SObject, records: list[dict[str, Any]]) -> tuple[Chunk, Results]:
            chunk = chunk_of_json(sobject, records, creating=True)
            return chunk, self._saver.insert(chunk, self._records_api.options(request, sobject))

        return self._save_many(request, save, with_created=False)

    def update_many(self, request: ApiRequest) -> ApiResponse:
        """Handle `PATCH /composite/sobjects`."""

        def save(sobject: SObject, records: list[dict[str, Any]]) -> tuple[Chunk, Results]:
            targets, bodies = [], []
            for record in records:
                targets.append(str(_member(record, "id") or ""))
                bodies.append({k: v for k, v in record.items() if k.lower() != "id"})
            chunk = chunk_of_json(sobject, bodies, creating=False)
            found = self._targets(chunk, targets)
            return chunk, self._saver.update(
                chunk, found, self._records_api.options(request, sobject)
            )

        return self._save_many(request, save, with_created=False)

    def upsert_many(self, request: ApiRequest, object_name: str, field: str) -> ApiResponse:
        """Handle `PATCH /composite/sobjects/X/FIELD`."""
        target = self._records_api.writable(object_name, "upsert")
        key = self._records_api.key(target, field)

        def save(sobject: SObject, records: list[dict[str, Any]]) -> tuple[Chunk, Results]:
            if sobject.name != target.name:
                message = f"records of type {sobject.name} cannot be upserted as {target.name}"
                raise ApiError(400, "INVALID_TYPE", message)
            without_key = [
                {k: v for k, v in r.items() if k.lower() != key.name.lower()} for r in records
            ]
            chunk = chunk_of_json(sobject, without_key, creating=True)
            chunk.columns[key.name] = [
                self._row_key(chunk, key, row, _member(record, key.name))
                for row, record in enumerate(records)
            ]
            return chunk, self._saver.upsert(
                chunk, key, self._records_api.options(request, sobject)
            )

        return self._save_many(request, save, with_created=True)

    def _row_key(self, chunk: Chunk, key: Field, row: int, given: object) -> Value:
        try:
            return from_json(key, given)
        except Failure as failure:
            chunk.fail(row, failure)
            return None

    def delete_many(self, request: ApiRequest) -> ApiResponse:
        """Handle `DELETE /composite/sobjects?ids=…`."""
        ids_ = _asked_ids(request)
        _check_size(ids_, MAX_COLLECTION)
        all_or_none = request.query.get("allOrNone", "false").lower() == "true"
        responses: list[dict[str, object]] = []
        try:
            with self._store.savepoint():
                for text in ids_:
                    failure = self._delete_one(text)
                    responses.append(self._row_response(request, text, failure))
                if all_or_none and not all(response["success"] for response in responses):
                    raise RolledBackError
        except RolledBackError:
            responses = [
                a if not a["success"] else self._row_response(request, "", ROLLED_BACK)
                for a in responses
            ]
        return ApiResponse(200, responses)

    def _delete_one(self, text: str) -> Failure | None:
        target = ids.normalised(text)
        if target is None:
            return Failure("MALFORMED_ID", f"malformed id {text}")
        sobject = self._org.schema.of_id(target)
        if sobject is None or not sobject.writable:
            return Failure("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        return self._saver.delete(sobject, [target]).get(0)

    def _row_response(
        self, request: ApiRequest, text: str, failure: Failure | None
    ) -> dict[str, object]:
        if failure is None:
            return {"id": ids.normalised(text), "success": True, "errors": []}
        return {"success": False, "errors": self._row_errors(request, [failure])}

    def _targets(self, chunk: Chunk, texts: Sequence[str]) -> list[str]:
        found = []
        for row, text in enumerate(texts):
            try:
                found.append(_target(chunk.sobject, text))
            except Failure as failure:
                found.append("")
                chunk.fail(row, failure)
        return found

    def _save_many(
        self,
        request: ApiRequest,
        save: Callable[[SObject, list[dict[str, Any]]], tuple[Chunk, Results]],
        *,
        with_created: bool,
    ) -> ApiResponse:
        body = request.json_object()
        records = body.get("records")
        if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
            raise ApiError(400, "JSON_PARSER_ERROR", "records must be a list of objects")
        _check_size(records, MAX_COLLECTION)
        groups = self._by_object(records)
        _check_runs(records)
        responses: list[dict[str, object]] = [{}] * len(records)
        try:
            with self._store.savepoint():
                for sobject, rows in groups.items():
                    chunk, results = save(sobject, [records[row] for row in rows])
                    for position, row in enumerate(rows):
                        saved, failures = results.get(position), chunk.failures.get(position, [])
                        responses[row] = self._saved_response(
                            request, saved, failures, with_created
                        )
                if body.get("allOrNone") is True and not all(a["success"] for a in responses):
                    raise RolledBackError
        except RolledBackError:
            responses = [
                a if not a["success"] else self._saved_response(request, None, [ROLLED_BACK], False)
                for a in responses
            ]
        return ApiResponse(200, responses)

    def _by_object(self, records: Sequence[Mapping[str, Any]]) -> dict[SObject, list[int]]:
        groups: dict[str, list[int]] = defaultdict(list)
        for row, record in enumerate(records):
            attributes = record.get("attributes")
            name = attributes.get("type") if isinstance(attributes, dict) else None
            sobject = self._org.schema.find(str(name))
            if sobject is None or not sobject.writable:
                message = f"sObject type '{name}' is not supported."
                raise ApiError(400, "INVALID_TYPE", message)
            groups[sobject.name].append(row)
        return {self._org.schema[name]: rows for name, rows in groups.items()}

    def _saved_response(
        self,
        request: ApiRequest,
        saved: Saved | None,
        failures: Sequence[Failure],
        with_created: bool,
    ) -> dict[str, object]:
        if saved is None:
            return {"success": False, "errors": self._row_errors(request, failures)}
        created = {"created": saved.created} if with_created else {}
        return {"id": saved.id, "success": True, "errors": [], **created}

    def _row_errors(self, request: ApiRequest, failures: Sequence[Failure]) -> Any:
        return error_items(failures, "statusCode", request.version, 0)

    def read_many(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `GET /composite/sobjects/X?ids=…&fields=…`."""
        names = [name for name in request.query.get("fields", "").split(",") if name]
        return self._read_back(request, object_name, _asked_ids(request), names)

    def read_back(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `POST /composite/sobjects/X` with ids and fields; null for an unknown id."""
        body = request.json_object()
        ids_, names = body.get("ids"), body.get("fields")
        if not isinstance(ids_, list) or not isinstance(names, list):
            raise ApiError(400, "JSON_PARSER_ERROR", "ids and fields must be lists")
        return self._read_back(request, object_name, list(map(str, ids_)), list(map(str, names)))

    def _read_back(
        self, request: ApiRequest, object_name: str, ids_: Sequence[str], names: Sequence[str]
    ) -> ApiResponse:
        sobject = self._records_api.sobject(object_name)
        _check_size(ids_, MAX_READ_BACK)
        if not names:
            raise ApiError(400, "MISSING_ARGUMENT", "The fields parameter is required")
        found = [ids.normalised(text) for text in ids_]
        records = self._records_api.records(
            request, sobject, [i for i in found if i is not None], names
        )
        return ApiResponse(200, [records.get(i) if i is not None else None for i in found])


def _asked_ids(request: ApiRequest) -> list[str]:
    ids_ = [part.strip() for part in request.query.get("ids", "").split(",") if part.strip()]
    if not ids_:
        raise ApiError(400, "MISSING_ARGUMENT", "The ids parameter is required")
    return ids_


def _check_runs(records: Sequence[Mapping[str, Any]]) -> None:
    """Raise ApiError where the object type changes too often: each change begins a new chunk."""
    names = [str(record["attributes"]["type"]).lower() for record in records]
    if sum(1 for _ in groupby(names)) > MAX_RUNS:
        message = (
            f"Cannot have more than {MAX_RUNS} chunks in a single operation. Please rearrange the "
            "data to reduce chunking."
        )
        raise ApiError(400, "LIMIT_EXCEEDED", message)


def _check_size(items: Sequence[object], limit: int) -> None:
    if len(items) > limit:
        message = f"record limit reached. cannot submit more than {limit} records into this call"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", message)


def _target(sobject: SObject, text: str) -> str:
    if not text:
        raise Failure("MISSING_ARGUMENT", "Id not specified in an update call", ("Id",))
    return target_id(sobject["Id"], text)


def _member(record: Mapping[str, Any], name: str) -> Any:
    return next((v for k, v in record.items() if k.lower() == name.lower()), None)
