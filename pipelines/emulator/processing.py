"""Carrying closed jobs to their end, 200 rows at a time, in a thread of its own.

Each chunk, its results and the job's counters are one transaction, so a killed emulator goes on
with the next chunk. Between chunks the lock is free and jobs take turns.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from pipelines.emulator import query_jobs
from pipelines.emulator.chunks import CHUNK_ROWS
from pipelines.emulator.job_chunks import ChunkOfRows, Upload
from pipelines.emulator.job_info import Job
from pipelines.emulator.jobs import Jobs
from pipelines.emulator.org import Org
from pipelines.emulator.records import Saver
from pipelines.emulator.runner import Work
from pipelines.emulator.uploads import (
    JobRefused,
    RowCells,
    check_lines,
    header_columns,
    header_names,
    read_records,
    read_rows,
)


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
        state = "InProgress"
        while state == "InProgress":
            with self._store.transaction():
                current = self._alive(job.id, generation)
                if current is None:
                    return
                if current.locator is None:
                    self._jobs.change(job.id, locator=query_jobs.settle(self._org, current))
                else:
                    written, done = query_jobs.write_slice(self._org, current)
                    state = "JobComplete" if done else state
                    self._jobs.change(job.id, rows_done=written, state=state)
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
