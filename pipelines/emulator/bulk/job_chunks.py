"""Save a group of chunks of an ingest job, and write its lines of the result files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.emulator.bulk.chunk_grouping import ChunkGrouper
from pipelines.emulator.bulk.csv_rows import Rows
from pipelines.emulator.bulk.job_info import Job, error_cell
from pipelines.emulator.bulk.result_lines import quoted_lines, shuffled_by_chunk
from pipelines.emulator.bulk.uploads import HeaderColumn
from pipelines.emulator.org.arrow_arrays import Flags, Ints, as_mask, strings, take_rows
from pipelines.emulator.org.assignment_rules import ResolvedRule
from pipelines.emulator.org.chunks import Chunk
from pipelines.emulator.org.columns import clean_column, echoed_column
from pipelines.emulator.org.operations import Operations, misplaced_id, reject_unwritable
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Results, SaveOptions, Saver
from pipelines.emulator.org.values import Cell, Failure

Cleaned = tuple[list[Cell], dict[int, Failure]]
Bodies = dict[str, dict[int, bytes]]


@dataclass(frozen=True)
class ChunkGroup:
    """Consecutive rows and their values; None for a column that needs a lookup first."""

    rows: Rows
    cleaned: list[Cleaned | None]

    def part(self, start: int, end: int) -> ChunkGroup:
        """Return some of the rows."""
        low, high = (int(at) for at in np.searchsorted(self.rows.whole, [start, end]))
        cleaned = [
            item
            and (item[0][low:high], {r - low: f for r, f in item[1].items() if low <= r < high})
            for item in self.cleaned
        ]
        return ChunkGroup(self.rows.part(start, end), cleaned)


@dataclass(frozen=True)
class Upload:
    """The upload of a job, from the first row that is not yet processed."""

    columns: list[HeaderColumn]
    windows: Iterator[Rows]

    def groups(self, grouper: ChunkGrouper) -> Iterator[ChunkGroup]:
        """Yield the rows with their values, in groups that can be saved together."""
        for rows in self.windows:
            window = ChunkGroup(
                rows, [_cleaned(*c) for c in zip(self.columns, rows.texts, strict=True)]
            )
            known_values = {
                column.field.name: cleaned[0]
                for column, cleaned in zip(self.columns, window.cleaned, strict=True)
                if cleaned is not None
            }
            for start, end in grouper.split(rows.count, rows.whole, known_values):
                yield window.part(start, end)


def _cleaned(column: HeaderColumn, texts: pa.StringArray) -> Cleaned | None:
    return clean_column(column.field, texts) if column.through is None else None


class ChunkGroupSaver:
    """Saves groups of chunks of one job and writes their result lines."""

    def __init__(self, org: Org, saver: Saver, job: Job, columns: Sequence[HeaderColumn]) -> None:
        self._org = org
        self._operations = Operations(saver)
        self._job = job
        self._columns = columns
        self._sobject = org.schema[job.object]
        self._format = job.result_format(org.behaviour.result_dialect)

    def save(self, group: ChunkGroup) -> tuple[Bodies, int]:
        """Save a group; return its result lines by file and chunk, and the number of failed
        rows.
        """
        rows = group.rows
        chunk = self._chunk(group)
        self._lock_some(chunk)
        results, targets = self._run(chunk)
        echo = self._echo(rows.texts, chunk)
        bodies = {
            "successful": self._successful(rows, results, echo),
            "failed": self._failed(rows, chunk.failures, targets, echo),
        }
        return bodies, len(chunk.failures) + len(rows.broken)

    def _successful(
        self, rows: Rows, results: Results, echo: Sequence[pa.StringArray]
    ) -> dict[int, bytes]:
        saved = results.values()
        created = ["true" if item.created else "false" for item in saved]
        leading_cells = [[item.id for item in saved], created]
        picked = np.fromiter(results, np.int64, len(results))
        return self._written(
            rows.whole[picked] + rows.first, leading_cells, _take_rows(echo, picked)
        )

    def _failed(
        self,
        rows: Rows,
        failures: Mapping[int, Sequence[Failure]],
        targets: Sequence[str],
        echo: Sequence[pa.StringArray],
    ) -> dict[int, bytes]:
        style = self._org.behaviour.row_errors
        broken_cells = [
            error_cell([Failure("INVALID_FIELD", why)], style) for why in rows.broken.values()
        ]
        leading_cells = [[error_cell(found, style) for found in failures.values()] + broken_cells]
        if self._job.names_failed_records:
            record_ids = [targets[row] if targets else "" for row in failures]
            leading_cells.insert(0, record_ids + [""] * len(broken_cells))
        picked = np.fromiter(failures, np.int64, len(failures))
        numbers = np.append(
            rows.whole[picked], np.fromiter(rows.broken, np.int64, len(broken_cells))
        )
        no_cells = strings([""] * len(broken_cells))
        cells = [pa.concat_arrays([column, no_cells]) for column in _take_rows(echo, picked)]
        return self._written(numbers + rows.first, leading_cells, cells)

    def _written(
        self, numbers: Ints, leading_cells: Sequence[list[str]], cells: Sequence[pa.StringArray]
    ) -> dict[int, bytes]:
        if not len(numbers):
            return {}
        columns = [*map(strings, leading_cells), *cells]
        seed = f"{self._org.behaviour.seed}{self._job.id}"
        return shuffled_by_chunk(quoted_lines(columns, *self._format), numbers, seed)

    def _chunk(self, group: ChunkGroup) -> Chunk:
        chunk = Chunk(self._sobject, len(group.rows.whole))
        for column, cleaned, texts in zip(
            self._columns, group.cleaned, group.rows.texts, strict=True
        ):
            through = column.through or (self._sobject, column.field)
            values, failures = cleaned or self._operations.look_up(*through, texts.to_pylist())
            chunk.columns[column.field.name] = values
            for row, failure in failures.items():
                chunk.fail(row, failure)
        if self._job.operation == "insert" and "Id" in chunk.columns:
            for row in chunk.accepted_rows:
                chunk.fail(row, misplaced_id("insert"))
        reject_unwritable(chunk, self._job.operation, self._job.external_id_field)
        return chunk

    def _lock_some(self, chunk: Chunk) -> None:
        wanted = int(self._job.fault("lock_rows") or 0) - self._job.rows_done
        for row in chunk.accepted_rows[: max(0, wanted)]:
            # A new row has no id yet, so the message names the org, which it depends on.
            locked = chunk.cell("Id", row) if "Id" in chunk.columns else self._org.id
            message = f"unable to obtain exclusive access to this record or 1 records: {locked}"
            chunk.fail(row, Failure("UNABLE_TO_LOCK_ROW", message))

    def _run(self, chunk: Chunk) -> tuple[Results, list[str]]:
        job = self._job
        options = SaveOptions(job.created_by_id, self._rule())
        return self._operations.run(chunk, job.operation, job.external_id_field, options)

    def _rule(self) -> ResolvedRule | None:
        owners = self._org.owners
        if self._job.assignment_rule_id is not None:
            return owners.rules[self._job.assignment_rule_id]
        # No documentation names a default for Bulk; the best evidence says that no rule runs.
        return owners.active_rule if self._org.behaviour.bulk_default_assignment else None

    def _echo(self, texts: Sequence[pa.StringArray], chunk: Chunk) -> list[pa.StringArray]:
        """Return the cells as the result files repeat them: re-formatted, and e-mails as saved."""
        saved = np.ones(chunk.size, np.bool_)
        saved[list(chunk.failures)] = False
        return [
            self._echoed(column, cells, saved)
            for column, cells in zip(self._columns, texts, strict=True)
        ]

    def _echoed(self, column: HeaderColumn, texts: pa.StringArray, saved: Flags) -> pa.StringArray:
        if column.through is not None:
            return texts
        if column.field.type == "email" and self._org.behaviour.echo_saved_values:
            return pc.if_else(as_mask(saved), pc.ascii_lower(texts), texts)
        return echoed_column(column.field, texts)


def _take_rows(columns: Sequence[pa.StringArray], rows: Ints) -> Sequence[pa.StringArray]:
    if columns and len(rows) == len(columns[0]) and np.array_equal(rows, np.arange(len(rows))):
        return columns
    return [take_rows(column, rows) for column in columns]
