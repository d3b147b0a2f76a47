"""Carrying closed jobs to their end, 200 rows at a time, in a thread of its own.

Each chunk, its results and the job's counters are one transaction, so a killed emulator goes on
with the next chunk. Between chunks the lock is free and jobs take turns.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipelines.emulator import jobs
from pipelines.emulator.cursors import MAX_PAGE, cursor_total, open_cursor
from pipelines.emulator.jobs import Job, Jobs, csv_line
from pipelines.emulator.org import Org
from pipelines.emulator.ownership import Rule
from pipelines.emulator.records import (
    CHUNK_ROWS,
    Chunk,
    Results,
    Saved,
    SaveOptions,
    Saver,
    refused_fields,
)
from pipelines.emulator.schema import SObject
from pipelines.emulator.uploads import (
    BrokenRow,
    HeaderColumn,
    JobRefused,
    RowCells,
    check_lines,
    header_columns,
    header_names,
    read_records,
    read_rows,
)
from pipelines.emulator.values import (
    ABSENT,
    Absent,
    Cell,
    Failure,
    clean_column,
    echoed,
)

Work = Iterator[float]


class Runner(threading.Thread):
    """Takes whichever piece of work is due; a piece says how long it wants to rest."""

    def __init__(self) -> None:
        super().__init__(name="bulk jobs", daemon=True)
        self._due: list[tuple[float, int, Work]] = []
        self._order = itertools.count()
        self._news = threading.Condition()
        self._stopping = False

    def add(self, work: Work) -> None:
        """Take on a piece of work, due now."""
        self._push(0.0, work)

    def stop(self) -> None:
        """End after the chunk at hand."""
        with self._news:
            self._stopping = True
            self._news.notify()
        self.join(timeout=0.8)

    def run(self) -> None:
        """Until stopped."""
        while (work := self._next()) is not None:
            rest = next(work, None)
            if rest is not None:
                self._push(rest, work)

    def _push(self, rest: float, work: Work) -> None:
        with self._news:
            heapq.heappush(self._due, (time.monotonic() + rest, next(self._order), work))
            self._news.notify()

    def _next(self) -> Work | None:
        with self._news:
            while not self._stopping:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._news.wait(wait)
        return None


@dataclass(frozen=True)
class Upload:
    """The readable upload of a job."""

    header: list[str]
    columns: list[HeaderColumn]
    rows: Iterator[RowCells]


class Processor:
    """Carries single jobs; each yield is a moment when others may act."""

    def __init__(self, org: Org, saver: Saver) -> None:
        self._org = org
        self._store = org.store
        self._saver = saver
        self._jobs = Jobs(org, lambda _job_id: None)

    def carry(self, job_id: str) -> Work:
        """Carry a job from wherever it stands to its end."""
        generation = self._org.generation
        job = self._jobs.peek(job_id)
        if job is None:
            return
        if job.state == "UploadComplete":
            yield self._org.behaviour.queue_seconds + (job.fault("stall") or 0.0)
        with self._store.transaction():
            job = self._alive(job_id, generation)
            if job is None:
                return
            job = self._jobs.change(job.id, state="InProgress")
        yield 0.0
        steps = (
            self._query(job, generation) if job.kind == "V2Query" else self._ingest(job, generation)
        )
        yield from steps

    def _alive(self, job_id: str, generation: int) -> Job | None:
        """The job, unless a reset, a delete or an abort has taken it away."""
        job = self._jobs.peek(job_id) if generation == self._org.generation else None
        return job if job is not None and job.state in {"UploadComplete", "InProgress"} else None

    def _query(self, job: Job, generation: int) -> Work:
        with self._store.transaction():
            if self._alive(job.id, generation) is None:
                return
            deleted = job.operation == "queryAll"
            plan = jobs.bulk_plan(self._org, str(job.query), deleted)
            locator = open_cursor(self._org, plan, MAX_PAGE, include_deleted=deleted)
            total = cursor_total(self._org, locator)
            self._jobs.change(job.id, state="JobComplete", locator=locator, rows_done=total)
        yield 0.0

    def _ingest(self, job: Job, generation: int) -> Work:
        try:
            upload = self._open(job)
        except JobRefused as refused:
            with self._store.transaction():
                if self._alive(job.id, generation) is not None:
                    self._end(job, "Failed", str(refused))
            return
        for _ in itertools.islice(upload.rows, job.rows_done):
            pass
        if job.fault("fail_after_chunk") == 0 or job.fault("abort_after_chunk") == 0:
            self._stop_by_fault(job)
        while rows := list(itertools.islice(upload.rows, CHUNK_ROWS)):
            started = time.monotonic()
            with self._store.transaction():
                current = self._alive(job.id, generation)
                if current is None:
                    break
                self._save_chunk(current, upload, rows, started)
                self._stop_by_fault(current)
            yield self._pause(len(rows), started)
        else:
            with self._store.transaction():
                if self._alive(job.id, generation) is not None:
                    self._end(job, "JobComplete")
            return
        yield from self._late_chunk(job, upload, rows, generation)

    def _late_chunk(
        self, job: Job, upload: Upload, rows: Sequence[RowCells], generation: int
    ) -> Work:
        """A chunk under way when the job was aborted may still land (delivery W13)."""
        if not self._org.behaviour.late_chunk_after_abort:
            return
        yield 0.3
        with self._store.transaction():
            current = self._jobs.peek(job.id) if generation == self._org.generation else None
            if current is not None and current.state == "Aborted":
                self._save_chunk(current, upload, rows, time.monotonic())

    def _open(self, job: Job) -> Upload:
        layout = job.layout(self._org.behaviour.newline_in_cell)
        if job.rows_done == 0:
            check_lines(self._jobs.pieces(job.id), layout)
        records = read_records(self._jobs.pieces(job.id), layout)
        header = next(records, None)
        if header is None:
            return Upload([], [], iter(()))
        names = header_names(header, layout.delimiter)
        columns = header_columns(self._org.schema, self._org.schema[job.object], names)
        return Upload(names, columns, read_rows(records, layout.delimiter))

    def _pause(self, count: int, started: float) -> float:
        pace = self._org.behaviour.rows_per_second
        return max(0.0, count / pace - (time.monotonic() - started)) if pace else 0.0

    def _stop_by_fault(self, before: Job) -> None:
        job = self._jobs.find(before.id)
        for name, state in (("fail_after_chunk", "Failed"), ("abort_after_chunk", "Aborted")):
            after = job.fault(name)
            if after is not None and job.chunks_done >= after and job.state == "InProgress":
                message = "InternalServerError : Batch failed: retried too many times"
                self._end(job, state, message if state == "Failed" else "")

    def _end(self, job: Job, state: str, message: str = "") -> None:
        forgotten = int(job.fault("forget") is not None)
        self._jobs.change(job.id, state=state, error_message=message, forgotten=forgotten)

    def _save_chunk(
        self, job: Job, upload: Upload, rows: Sequence[RowCells], started: float
    ) -> None:
        batch = ChunkOfRows(self._org, self._saver, job, upload)
        bodies, failed = batch.save(rows)
        self._jobs.add_results(job.id, job.chunks_done, bodies)
        self._jobs.change(
            job.id,
            rows_done=job.rows_done + len(rows),
            chunks_done=job.chunks_done + 1,
            failed=job.failed + failed,
            milliseconds=job.milliseconds + int((time.monotonic() - started) * 1000),
        )


class ChunkOfRows:
    """Saves up to 200 rows of one job and writes their result lines."""

    def __init__(self, org: Org, saver: Saver, job: Job, upload: Upload) -> None:
        self._org = org
        self._saver = saver
        self._job = job
        self._upload = upload
        self._sobject: SObject = org.schema[job.object]
        self._delimiter = job.layout(newline_in_cell=True).delimiter

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
                self._delimiter,
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
        error = "".join(f"{f.code}:{f.message}:{_named(f)}--" for f in failures)
        return csv_line([target, error, *cells], self._delimiter)

    def _chunk(self, columns: Sequence[Sequence[str]], size: int) -> Chunk:
        chunk = Chunk(self._sobject, size)
        creating = self._job.operation in {"insert", "upsert"}
        allowed = {"Id", self._job.external_id_field}
        names = [c.field.name for c in self._upload.columns if c.field.name not in allowed]
        refused = refused_fields(self._sobject, names, creating=creating)
        if self._job.operation == "insert" and "Id" in {c.field.name for c in self._upload.columns}:
            refused = Failure(
                "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ("Id",)
            )
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
            if column.through is None and column.field.type not in {
                "string",
                "textarea",
                "phone",
                "url",
                "picklist",
                "email",
            }:
                cells = [echoed(column.field, text) for text in texts]
            elif column.field.type == "email" and self._org.behaviour.echo_saved_values:
                cells = [
                    text if row in chunk.failures else text.lower()
                    for row, text in enumerate(texts)
                ]
            written.append(cells)
        return [list(cells) for cells in zip(*written, strict=True)]


def _named(failure: Failure) -> str:
    return f"{','.join(failure.fields)} " if failure.fields else ""


def _shape_failure(cells: RowCells, width: int) -> Failure:
    if isinstance(cells, BrokenRow):
        return Failure("INVALID_FIELD", cells.message)
    message = (
        f"Number of fields in header is different from the row. header = {width} row = {len(cells)}"
    )
    return Failure("INVALID_FIELD", message)
