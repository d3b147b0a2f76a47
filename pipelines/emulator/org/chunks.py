"""A chunk: up to 200 records of one object that are saved together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import ABSENT, Cell, Failure, from_json

CHUNK_ROWS = 200


@dataclass
class Chunk:
    """Records of one object, with a column for each field that any of them names."""

    sobject: SObject
    size: int
    columns: dict[str, list[Cell]] = field(default_factory=dict)
    failures: dict[int, list[Failure]] = field(default_factory=dict)

    def fail(self, row: int, failure: Failure) -> None:
        """Add a failure to a row; later steps skip it."""
        self.failures.setdefault(row, []).append(failure)

    @property
    def accepted_rows(self) -> list[int]:
        """Return the numbers of the rows without a failure."""
        rows = range(self.size)
        return [row for row in rows if row not in self.failures] if self.failures else list(rows)

    def cell(self, name: str, row: int) -> Cell:
        """Return a row's value of a field, or ABSENT."""
        column = self.columns.get(name)
        return ABSENT if column is None else column[row]

    def record(self, row: int) -> dict[str, Cell]:
        """Return the values of a row, without absent ones."""
        return {
            name: column[row] for name, column in self.columns.items() if column[row] is not ABSENT
        }

    def part(self, rows: Sequence[int], without: str) -> Chunk:
        """Return some of the rows as a chunk of its own, without one column."""
        columns = {
            name: [column[row] for row in rows]
            for name, column in self.columns.items()
            if name != without
        }
        return Chunk(self.sobject, len(rows), columns)


def chunk_of_json(
    sobject: SObject, records: Sequence[Mapping[str, object]], *, creating: bool
) -> Chunk:
    """Return a chunk of JSON objects. Their `attributes` are ignored."""
    chunk = Chunk(sobject, len(records))
    for row, record in enumerate(records):
        members = {k: v for k, v in record.items() if k != "attributes"}
        failure = fields_failure(sobject, members, creating=creating)
        if failure is not None:
            chunk.fail(row, failure)
            continue
        for name, value in members.items():
            _put_json(chunk, sobject[name], row, value)
    return chunk


def _put_json(chunk: Chunk, field_: Field, row: int, value: object) -> None:
    column = chunk.columns.setdefault(field_.name, [ABSENT] * chunk.size)
    try:
        column[row] = from_json(field_, value)
    except Failure as failure:
        chunk.fail(row, failure)


def fields_failure(sobject: SObject, names: Iterable[str], *, creating: bool) -> Failure | None:
    """Return the failure for an unknown or hidden field, else for fields that are not writable."""
    unwritable = []
    for name in names:
        found = sobject.find(name)
        if found is None:
            message = f"No such column '{name}' on sobject of type {sobject.name}"
            return Failure("INVALID_FIELD", message)
        if not (found.createable if creating else found.updateable):
            unwritable.append(found.name)
    if not unwritable:
        return None
    message = (
        f"Unable to create/update fields: {', '.join(unwritable)}. Please check the security "
        "settings of this field and verify that it is read/write for your profile or permission "
        "set."
    )
    return Failure("INVALID_FIELD_FOR_INSERT_UPDATE", message, tuple(unwritable))
