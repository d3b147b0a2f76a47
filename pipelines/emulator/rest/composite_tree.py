"""composite/tree: save records and their child records, all of them or none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse, error_items
from pipelines.emulator.org.chunks import chunk_of_json
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver
from pipelines.emulator.org.schema import SObject
from pipelines.emulator.org.values import Failure
from pipelines.emulator.rest.records_api import RecordsApi

MAX_RECORDS = 200
MAX_DEPTH = 5
MAX_TYPES = 5


@dataclass(frozen=True)
class TreeRecord:
    """A record of a tree, with its own members and the reference of its parent."""

    sobject: SObject
    reference: str
    members: dict[str, Any]
    # The field that takes the parent's id, and the parent's reference.
    link: str
    parent: str


class TreeError(Exception):
    """A record of the tree cannot be saved; used to roll back."""


class CompositeTree:
    """Saves trees level by level, because a child record needs its parent's id."""

    def __init__(self, org: Org, saver: Saver, records_api: RecordsApi) -> None:
        self._org = org
        self._saver = saver
        self._records_api = records_api

    def tree(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `POST /composite/tree/X`."""
        sobject = self._records_api.writable(object_name, "create")
        levels = self._levels(sobject, _records(request.json_object()))
        tree_records = [tree_record for level in levels for tree_record in level]
        repeated = _repeated(tree_records)
        if repeated:
            message = "Duplicate ReferenceId provided in the request."
            return _error_response(
                request, [(r, [Failure("INVALID_INPUT", message)]) for r in repeated]
            )
        known: dict[str, str] = {}
        failed: list[tuple[str, list[Failure]]] = []
        try:
            with self._org.store.savepoint():
                for level in levels:
                    failed = self._save_level(request, level, known)
                    if failed:
                        raise TreeError
        except TreeError:
            return _error_response(request, failed)
        results = [{"referenceId": p.reference, "id": known[p.reference]} for p in tree_records]
        return ApiResponse(201, {"hasErrors": False, "results": results})

    def _levels(self, sobject: SObject, records: list[dict[str, Any]]) -> list[list[TreeRecord]]:
        level = [(_tree_record(sobject, record, "", ""), record) for record in records]
        levels: list[list[TreeRecord]] = []
        while level:
            levels.append([tree_record for tree_record, _ in level])
            level = [
                child_record
                for tree_record, record in level
                for child_record in self._child_records(tree_record, record)
            ]
        tree_records = [tree_record for found in levels for tree_record in found]
        _check_size("records", len(tree_records), MAX_RECORDS)
        _check_size("levels", len(levels), MAX_DEPTH)
        _check_size(
            "types", len({tree_record.sobject.name for tree_record in tree_records}), MAX_TYPES
        )
        return levels

    def _child_records(
        self, parent: TreeRecord, record: dict[str, Any]
    ) -> list[tuple[TreeRecord, dict[str, Any]]]:
        found: list[tuple[TreeRecord, dict[str, Any]]] = []
        for name, value in record.items():
            child = self._org.schema.child(parent.sobject, name)
            if child is None:
                continue
            sobject = self._records_api.writable(child.sobject.name, "create")
            if not isinstance(value, dict):
                raise ApiError(400, "JSON_PARSER_ERROR", f"{name} must be an object with records")
            found += [
                (_tree_record(sobject, inner, child.field.name, parent.reference), inner)
                for inner in _records(value)
            ]
        return found

    def _save_level(
        self, request: ApiRequest, level: list[TreeRecord], known: dict[str, str]
    ) -> list[tuple[str, list[Failure]]]:
        """Save one level, add its ids to `known`, and return the failures by reference."""
        failed = []
        for sobject in dict.fromkeys(tree_record.sobject.name for tree_record in level):
            group = [tree_record for tree_record in level if tree_record.sobject.name == sobject]
            bodies = [self._body(tree_record, known) for tree_record in group]
            chunk = chunk_of_json(group[0].sobject, bodies, creating=True)
            results = self._saver.insert(
                chunk, self._records_api.options(request, group[0].sobject)
            )
            known |= {group[row].reference: saved.id for row, saved in results.items()}
            failed += [(group[row].reference, found) for row, found in chunk.failures.items()]
        return failed

    def _body(self, tree_record: TreeRecord, known: dict[str, str]) -> dict[str, Any]:
        own = {
            name: value
            for name, value in tree_record.members.items()
            if self._org.schema.child(tree_record.sobject, name) is None
        }
        return own | {tree_record.link: known[tree_record.parent]} if tree_record.link else own


def _records(body: dict[str, Any]) -> list[dict[str, Any]]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records must be a list of objects")
    _check_size("records", len(records), MAX_RECORDS)
    return records


def _tree_record(sobject: SObject, record: dict[str, Any], link: str, parent: str) -> TreeRecord:
    attributes = record.get("attributes")
    given = attributes if isinstance(attributes, dict) else {}
    kind, reference = given.get("type"), given.get("referenceId")
    if not isinstance(reference, str) or not reference:
        raise ApiError(400, "INVALID_INPUT", "Include a ReferenceId for each record.")
    if not isinstance(kind, str) or kind.lower() != sobject.name.lower():
        message = f"a record of type {kind} cannot stand among those of type {sobject.name}"
        raise ApiError(400, "INVALID_INPUT", message)
    return TreeRecord(sobject, reference, record, link, parent)


def _repeated(tree_records: list[TreeRecord]) -> list[str]:
    """Return each use of a reference that is used more than once."""
    uses = Counter(tree_record.reference for tree_record in tree_records)
    return [
        tree_record.reference for tree_record in tree_records if uses[tree_record.reference] > 1
    ]


def _check_size(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"a tree is limited to {limit} {what}")


def _error_response(request: ApiRequest, failed: list[tuple[str, list[Failure]]]) -> ApiResponse:
    results = [
        {"referenceId": reference, "errors": error_items(found, "statusCode", request.version, 0)}
        for reference, found in failed
    ]
    return ApiResponse(400, {"hasErrors": True, "results": results})
