"""composite/tree: records and the records under them, all of them or none (§7.2)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipelines.emulator.messages import Answer, ApiError, Call, error_items
from pipelines.emulator.org.chunks import chunk_of_json
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver
from pipelines.emulator.org.schema import SObject
from pipelines.emulator.org.values import Failure
from pipelines.emulator.rest.records_api import Rest

MAX_RECORDS = 200
MAX_DEPTH = 5
MAX_TYPES = 5


@dataclass(frozen=True)
class Planted:
    """A record of a tree: its own members, and those of the records under it."""

    sobject: SObject
    reference: str
    members: dict[str, Any]
    # Where the id of the record above goes, and which reference that record has.
    link: str
    parent: str


class Refused(Exception):
    """Some record of the tree cannot be saved, so none is."""


class Trees:
    """Plants trees level by level: a record under another needs its id."""

    def __init__(self, org: Org, saver: Saver, rest: Rest) -> None:
        self._org = org
        self._saver = saver
        self._rest = rest

    def tree(self, call: Call, object_name: str) -> Answer:
        """`POST /composite/tree/X`."""
        sobject = self._rest.writable(object_name, "create")
        levels = self._levels(sobject, _records(call.json_object()))
        every = [planted for level in levels for planted in level]
        repeated = _repeated(every)
        if repeated:
            message = "Duplicate ReferenceId provided in the request."
            return _refusal(call, [(r, [Failure("INVALID_INPUT", message)]) for r in repeated])
        known: dict[str, str] = {}
        failed: list[tuple[str, list[Failure]]] = []
        try:
            with self._org.store.savepoint():
                for level in levels:
                    failed = self._plant(call, level, known)
                    if failed:
                        raise Refused
        except Refused:
            return _refusal(call, failed)
        results = [{"referenceId": p.reference, "id": known[p.reference]} for p in every]
        return Answer(201, {"hasErrors": False, "results": results})

    def _levels(self, sobject: SObject, records: list[dict[str, Any]]) -> list[list[Planted]]:
        level = [(_planted(sobject, record, "", ""), record) for record in records]
        levels: list[list[Planted]] = []
        while level:
            levels.append([planted for planted, _ in level])
            level = [below for planted, record in level for below in self._below(planted, record)]
        every = [planted for found in levels for planted in found]
        _check_size("records", len(every), MAX_RECORDS)
        _check_size("levels", len(levels), MAX_DEPTH)
        _check_size("types", len({planted.sobject.name for planted in every}), MAX_TYPES)
        return levels

    def _below(
        self, above: Planted, record: dict[str, Any]
    ) -> list[tuple[Planted, dict[str, Any]]]:
        found: list[tuple[Planted, dict[str, Any]]] = []
        for name, value in record.items():
            child = self._org.schema.child(above.sobject, name)
            if child is None:
                continue
            sobject = self._rest.writable(child.sobject.name, "create")
            if not isinstance(value, dict):
                raise ApiError(400, "JSON_PARSER_ERROR", f"{name} must be an object with records")
            found += [
                (_planted(sobject, inner, child.field.name, above.reference), inner)
                for inner in _records(value)
            ]
        return found

    def _plant(
        self, call: Call, level: list[Planted], known: dict[str, str]
    ) -> list[tuple[str, list[Failure]]]:
        """Save one level; the ids go into `known`, the refusals come back."""
        failed = []
        for sobject in dict.fromkeys(planted.sobject.name for planted in level):
            group = [planted for planted in level if planted.sobject.name == sobject]
            bodies = [self._body(planted, known) for planted in group]
            chunk = chunk_of_json(group[0].sobject, bodies, creating=True)
            results = self._saver.insert(chunk, self._rest.options(call, group[0].sobject))
            known |= {group[row].reference: saved.id for row, saved in results.items()}
            failed += [(group[row].reference, found) for row, found in chunk.failures.items()]
        return failed

    def _body(self, planted: Planted, known: dict[str, str]) -> dict[str, Any]:
        own = {
            name: value
            for name, value in planted.members.items()
            if self._org.schema.child(planted.sobject, name) is None
        }
        return own | {planted.link: known[planted.parent]} if planted.link else own


def _records(body: dict[str, Any]) -> list[dict[str, Any]]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records must be a list of objects")
    _check_size("records", len(records), MAX_RECORDS)
    return records


def _planted(sobject: SObject, record: dict[str, Any], link: str, parent: str) -> Planted:
    attributes = record.get("attributes")
    given = attributes if isinstance(attributes, dict) else {}
    kind, reference = given.get("type"), given.get("referenceId")
    if not isinstance(reference, str) or not reference:
        raise ApiError(400, "INVALID_INPUT", "Include a ReferenceId for each record.")
    if not isinstance(kind, str) or kind.lower() != sobject.name.lower():
        message = f"a record of type {kind} cannot stand among those of type {sobject.name}"
        raise ApiError(400, "INVALID_INPUT", message)
    return Planted(sobject, reference, record, link, parent)


def _repeated(every: list[Planted]) -> list[str]:
    """Each use of a reference that is used more than once."""
    uses = Counter(planted.reference for planted in every)
    return [planted.reference for planted in every if uses[planted.reference] > 1]


def _check_size(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"a tree is limited to {limit} {what}")


def _refusal(call: Call, failed: list[tuple[str, list[Failure]]]) -> Answer:
    results = [
        {"referenceId": reference, "errors": error_items(found, "statusCode", call.version, 0)}
        for reference, found in failed
    ]
    return Answer(400, {"hasErrors": True, "results": results})
