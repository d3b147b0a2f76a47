"""The rows of one chunk of a job: saved together, and written into the result files (§6.3)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.emulator.chunks import Chunk, refused_fields
from pipelines.emulator.job_info import Job, error_cell
from pipelines.emulator.jobs import csv_line
from pipelines.emulator.org import Org
from pipelines.emulator.ownership import Rule
from pipelines.emulator.records import Results, Saved, SaveOptions, Saver
from pipelines.emulator.schema import TEXT_TYPES, SObject
from pipelines.emulator.uploads import BrokenRow, HeaderColumn, RowCells
from pipelines.emulator.values import ABSENT, Absent, Cell, Failure, clean_column, echoed


@dataclass(frozen=True)
class Upload:
    """The readable upload of a job."""

    header: list[str]
    columns: list[HeaderColumn]
    rows: Iterator[RowCells]


class ChunkOfRows:
    """Saves up to 200 rows of one job and writes their result lines."""

    def __init__(self, org: Org, saver: Saver, job: Job, upload: Upload) -> None:
        self._org = org
        self._saver = saver
        self._job = job
        self._upload = upload
        self._sobject: SObject = org.schema[job.object]
        self._marks = job.result_marks(org.behaviour.result_dialect)

    def save(self, rows: Sequence[RowCells]) -> tuple[dict[str, bytes], int]:
        """The result lines of these rows, and how many failed."""
        width = len(self._upload.header)
        whole = [
            cells for cells in rows if not isinstance(cells, BrokenRow) and len(cells) == width
        ]
        failed = [
            self._failed_line("", [_shape_failure(cells, width)], [""] * width)
            for cells in rows
            if isinstance(cells, BrokenRow) or len(cells) != width
        ]
        columns = [list(column) for column in zip(*whole, strict=True)] or [
            [] for _ in range(width)
        ]
        chunk = self._chunk(columns, len(whole))
        self._lock_some(chunk)
        results, targets = self._run(chunk)
        echo = self._echo(columns, chunk)
        saved = [
            csv_line(
                [results[row].id, "true" if results[row].created else "false", *echo[row]],
                *self._marks,
            )
            for row in results
        ]
        failed += [
            self._failed_line(targets[row] if targets else "", failures, echo[row])
            for row, failures in chunk.failures.items()
        ]
        return self._bodies(saved, failed), len(failed)

    def _bodies(self, saved: list[bytes], failed: list[bytes]) -> dict[str, bytes]:
        job = self._job
        order = random.Random(f"{self._org.behaviour.seed}{job.id}{job.chunks_done}")  # noqa: S311
        order.shuffle(saved)
        order.shuffle(failed)
        return {"successful": b"".join(saved), "failed": b"".join(failed)}

    def _failed_line(self, target: str, failures: Sequence[Failure], cells: Sequence[str]) -> bytes:
        error = error_cell(failures, self._org.behaviour.row_errors)
        return csv_line([target, error, *cells], *self._marks)

    def _chunk(self, columns: Sequence[Sequence[str]], size: int) -> Chunk:
        chunk = Chunk(self._sobject, size)
        creating = self._job.operation in {"insert", "upsert"}
        # An Id column names the record to change; in an insert it has nothing to name.
        allowed = {self._job.external_id_field, "Id"}
        names = [c.field.name for c in self._upload.columns if c.field.name not in allowed]
        refused = refused_fields(self._sobject, names, creating=creating)
        if self._job.operation == "insert" and "Id" in {c.field.name for c in self._upload.columns}:
            refused = _misplaced_id("insert")
        for column, texts in zip(self._upload.columns, columns, strict=True):
            if column.through is not None:
                values, failures = self._looked_up(column, texts)
            else:
                values, failures = clean_column(column.field, texts)
            chunk.columns[column.field.name] = values
            for row, failure in failures.items():
                chunk.fail(row, failure)
        if refused is not None and self._job.operation not in {"delete", "hardDelete"}:
            for row in chunk.alive:
                chunk.fail(row, refused)
        if self._job.operation == "upsert" and self._job.external_id_field != "Id":
            _refuse_ids(chunk)
        return chunk

    def _looked_up(
        self, column: HeaderColumn, texts: Sequence[str]
    ) -> tuple[list[Cell], dict[int, Failure]]:
        """A column such as `User:Owner.Username`: a text names a record by another key (§5.3)."""
        target, key = column.through or (self._sobject, column.field)
        found: dict[str, list[str]] = {
            text: self._saver.find_by_key(target, key, text) for text in set(texts) if text
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

    def _lock_some(self, chunk: Chunk) -> None:
        wanted = int(self._job.fault("lock_rows") or 0) - self._job.rows_done
        for row in chunk.alive[: max(0, wanted)]:
            # A new row has no id of its own: the lock is on something it hangs from.
            locked = chunk.cell("Id", row) if "Id" in chunk.columns else self._org.id
            message = f"unable to obtain exclusive access to this record or 1 records: {locked}"
            chunk.fail(row, Failure("UNABLE_TO_LOCK_ROW", message))

    def _run(self, chunk: Chunk) -> tuple[Results, list[str]]:
        options = SaveOptions(self._job.created_by_id, self._rule())
        operation = self._job.operation
        if operation == "insert":
            return self._saver.insert(chunk, options), []
        if operation == "upsert":
            key = self._sobject[str(self._job.external_id_field)]
            return self._saver.upsert(chunk, key, options), []
        targets = self._targets(chunk)
        if operation == "update":
            return self._saver.update(chunk, targets, options), targets
        return self._delete(chunk, targets), targets

    def _rule(self) -> Rule | None:
        owners = self._org.owners
        if self._job.assignment_rule_id is not None:
            return owners.rules[self._job.assignment_rule_id]
        # Nobody documents a default for Bulk; the best evidence says that no rule runs (§5.3).
        return owners.active_rule if self._org.behaviour.bulk_default_assignment else None

    def _targets(self, chunk: Chunk) -> list[str]:
        ids_ = chunk.columns.pop("Id", None) or [ABSENT] * chunk.size
        for row in chunk.alive:
            if isinstance(ids_[row], Absent) or ids_[row] is None:
                message = f"Id not specified in an {self._job.operation} call"
                chunk.fail(row, Failure("MISSING_ARGUMENT", message, ("Id",)))
        return ["" if isinstance(i, Absent) or i is None else str(i) for i in ids_]

    def _delete(self, chunk: Chunk, targets: Sequence[str]) -> Results:
        rows = chunk.alive
        refused = self._saver.delete(self._sobject, [targets[row] for row in rows])
        for position, failure in refused.items():
            chunk.fail(rows[position], failure)
        return {row: Saved(targets[row], False) for row in chunk.alive}

    def _echo(self, columns: Sequence[Sequence[str]], chunk: Chunk) -> list[list[str]]:
        """The uploaded cells as the result files give them back: re-typed, and e-mails as saved."""
        written: list[list[str]] = []
        for column, texts in zip(self._upload.columns, columns, strict=True):
            cells = list(texts)
            if column.through is None and column.field.type not in TEXT_TYPES:
                cells = [echoed(column.field, text) for text in texts]
            elif column.field.type == "email" and self._org.behaviour.echo_saved_values:
                cells = [
                    text if row in chunk.failures else text.lower()
                    for row, text in enumerate(texts)
                ]
            written.append(cells)
        return [list(cells) for cells in zip(*written, strict=True)]


def _refuse_ids(chunk: Chunk) -> None:
    """An Id beside another key would be a second target; jsforce sends the column, but empty."""
    cells = chunk.columns.pop("Id", [])
    for row in chunk.alive if cells else ():
        if not isinstance(cells[row], Absent) and cells[row] is not None:
            chunk.fail(row, _misplaced_id("upsert"))


def _misplaced_id(operation: str) -> Failure:
    message = f"cannot specify Id in an {operation} call"
    return Failure("INVALID_FIELD_FOR_INSERT_UPDATE", message, ("Id",))


def _shape_failure(cells: RowCells, width: int) -> Failure:
    if isinstance(cells, BrokenRow):
        return Failure("INVALID_FIELD", cells.message)
    message = (
        f"Number of fields in header is different from the row. header = {width} row = {len(cells)}"
    )
    return Failure("INVALID_FIELD", message)
