"""What a bulk job does with a chunk, by its operation; the same in both bulk APIs."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.emulator.org.chunks import Chunk, fields_failure
from pipelines.emulator.org.records import Results, Saved, SaveOptions, Saver
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import ABSENT, Absent, Cell, Failure

DELETES = frozenset({"delete", "hardDelete"})


class Operations:
    """Runs the operations of bulk jobs on chunks."""

    def __init__(self, saver: Saver) -> None:
        self._saver = saver

    def look_up(
        self, target: SObject, key: Field, texts: Sequence[str]
    ) -> tuple[list[Cell], dict[int, Failure]]:
        """Resolve a column such as `User:Owner.Username`, where a text names a record by another
        key.

        Return the ids (ABSENT where none or several are found) and the failures by row.
        """
        found: dict[str, list[str]] = {
            text: self._saver.lookup.find_by_key(target, key, text) for text in set(texts) if text
        }
        values: list[Cell] = []
        failures: dict[int, Failure] = {}
        for row, text in enumerate(texts):
            known = found.get(text, [])
            values.append(known[0] if len(known) == 1 else ABSENT)
            if text and len(known) != 1:
                message = (
                    f"Foreign key external ID: {text} not found for field {key.name} "
                    f"in entity {target.name}"
                )
                failures[row] = Failure("INVALID_FIELD", message)
        return values, failures

    def run(
        self, chunk: Chunk, operation: str, key: str | None, options: SaveOptions
    ) -> tuple[Results, list[str]]:
        """Run the operation on a chunk; `key` is the external id field of an upsert.

        Return what was saved by row, and for updates and deletes the id that each row names.
        """
        if operation == "insert":
            return self._saver.insert(chunk, options), []
        if operation == "upsert":
            return self._saver.upsert(chunk, chunk.sobject[str(key)], options), []
        targets = _targets(chunk, operation)
        if operation == "update":
            return self._saver.update(chunk, targets, options), targets
        return self._delete(chunk, targets, permanently=operation == "hardDelete"), targets

    def _delete(self, chunk: Chunk, targets: Sequence[str], *, permanently: bool) -> Results:
        rows = chunk.accepted_rows
        named = [targets[row] for row in rows]
        failures = self._saver.delete(chunk.sobject, named, permanently=permanently)
        for position, failure in failures.items():
            chunk.fail(rows[position], failure)
        return {row: Saved(targets[row], False) for row in chunk.accepted_rows}


def reject_unwritable(chunk: Chunk, operation: str, key: str | None) -> None:
    """Fail every row if a column is not writable, and each row that has two targets."""
    if operation in DELETES:
        return
    # An Id column names the record to change.
    names = [name for name in chunk.columns if name not in {key, "Id"}]
    creating = operation in {"insert", "upsert"}
    unwritable = fields_failure(chunk.sobject, names, creating=creating)
    for row in chunk.accepted_rows if unwritable is not None else ():
        chunk.fail(row, unwritable)  # type: ignore[arg-type]  # not None, or there is no row
    if creating and key != "Id":
        _reject_ids(chunk, operation)


def _reject_ids(chunk: Chunk, operation: str) -> None:
    """Fail rows with an Id next to another key. jsforce sends the column, but empty."""
    cells = chunk.columns.pop("Id", [])
    for row in chunk.accepted_rows if cells else ():
        if not isinstance(cells[row], Absent) and cells[row] is not None:
            chunk.fail(row, misplaced_id(operation))


def misplaced_id(operation: str) -> Failure:
    """Return the failure for an Id where a record is created."""
    message = f"cannot specify Id in an {operation} call"
    return Failure("INVALID_FIELD_FOR_INSERT_UPDATE", message, ("Id",))


def _targets(chunk: Chunk, operation: str) -> list[str]:
    target_ids = chunk.columns.pop("Id", None) or [ABSENT] * chunk.size
    for row in chunk.accepted_rows:
        if isinstance(target_ids[row], Absent) or target_ids[row] is None:
            message = f"Id not specified in an {operation} call"
            chunk.fail(row, Failure("MISSING_ARGUMENT", message, ("Id",)))
    return ["" if isinstance(i, Absent) or i is None else str(i) for i in target_ids]
