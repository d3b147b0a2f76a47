"""Run closed jobs to their end, one group of chunks at a time, in a background thread.

Each group, its results and the job's counters are one transaction, so a killed emulator continues
with the next chunk. Between groups the lock is free and other jobs take turns.
"""

from __future__ import annotations

import time

from pipelines.emulator.bulk import query_jobs
from pipelines.emulator.bulk.chunk_grouping import ChunkGrouper
from pipelines.emulator.bulk.csv_rows import open_upload, read_windows
from pipelines.emulator.bulk.job_chunks import ChunkGroup, ChunkGroupSaver, Upload
from pipelines.emulator.bulk.job_info import Job
from pipelines.emulator.bulk.job_results import JobResults
from pipelines.emulator.bulk.job_runner import Work
from pipelines.emulator.bulk.jobs import Jobs
from pipelines.emulator.bulk.uploads import JobDataError, check_lines, header_columns, header_names
from pipelines.emulator.org.chunks import CHUNK_ROWS
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver


class Processor:
    """Runs jobs. A job is an iterator; at each yield other work may run."""

    def __init__(self, org: Org, saver: Saver) -> None:
        self._org = org
        self._store = org.store
        self._saver = saver
        self._jobs = Jobs(org, lambda _job_id: None)
        self._results = JobResults(org, self._jobs)

    def run_job(self, job_id: str) -> Work:
        """Run a job from its current state to its end."""
        generation = self._org.generation
        job = self._jobs.peek(job_id)
        if job is None:
            return
        if job.state == "UploadComplete":
            yield self._org.behaviour.queue_seconds + (job.fault("stall") or 0.0)
        with self._store.transaction():
            job = self._active_job(job_id, generation)
            if job is None:
                return
            job = self._jobs.change(job.id, state="InProgress")
        yield 0.0
        rest_of_job = (
            self._query(job, generation) if job.kind == "V2Query" else self._ingest(job, generation)
        )
        yield from rest_of_job

    def _active_job(self, job_id: str, generation: int) -> Job | None:
        """Return the job, or None after a reset, a delete or an abort."""
        job = self._jobs.peek(job_id) if generation == self._org.generation else None
        return job if job is not None and job.state in {"UploadComplete", "InProgress"} else None

    def _query(self, job: Job, generation: int) -> Work:
        state = "InProgress"
        while state == "InProgress":
            with self._store.transaction():
                current = self._active_job(job.id, generation)
                if current is None:
                    return
                if current.locator is None:
                    self._jobs.change(
                        job.id, locator=query_jobs.open_job_cursor(self._org, current)
                    )
                else:
                    written, done = query_jobs.write_part(self._org, current)
                    state = "JobComplete" if done else state
                    self._jobs.change(job.id, rows_done=written, state=state)
            yield 0.0

    def _ingest(self, job: Job, generation: int) -> Work:
        try:
            upload = self._open(job)
        except JobDataError as error:
            with self._store.transaction():
                if self._active_job(job.id, generation) is not None:
                    self._end(job, "Failed", str(error))
            return
        if job.fault("fail_after_chunk") == 0 or job.fault("abort_after_chunk") == 0:
            self._stop_by_fault(job)
        for group in upload.groups(ChunkGrouper(self._org, job, upload.columns)):
            started = time.monotonic()
            with self._store.transaction():
                current = self._active_job(job.id, generation)
                if current is not None:
                    self._save(current, upload, group, started)
                    self._stop_by_fault(current)
            if current is None:
                yield from self._late_chunk(job, upload, group, generation)
                return
            yield self._pause(group.rows.count, started)
        with self._store.transaction():
            if self._active_job(job.id, generation) is not None:
                self._end(job, "JobComplete")

    def _late_chunk(self, job: Job, upload: Upload, group: ChunkGroup, generation: int) -> Work:
        """Save the current chunk after an abort: in a real org it may still be saved."""
        if not self._org.behaviour.late_chunk_after_abort:
            return
        yield 0.3
        with self._store.transaction():
            current = self._jobs.peek(job.id) if generation == self._org.generation else None
            if current is not None and current.state == "Aborted":
                self._save(current, upload, group, time.monotonic())

    def _open(self, job: Job) -> Upload:
        layout = job.layout(self._org.behaviour.newline_in_cell)
        if job.rows_done == 0:
            check_lines(lambda: self._jobs.pieces(job.id), layout)
        header, blocks = open_upload(self._jobs.pieces(job.id), layout)
        if header is None:
            return Upload([], iter(()))
        names = header_names(header, layout.delimiter)
        columns = header_columns(self._org.schema, self._org.schema[job.object], names)
        return Upload(columns, read_windows(blocks, layout, len(names), job.rows_done))

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

    def _save(self, job: Job, upload: Upload, group: ChunkGroup, started: float) -> None:
        bodies, failed = ChunkGroupSaver(self._org, self._saver, job, upload.columns).save(group)
        self._results.add(job.id, bodies)
        count = group.rows.count
        self._jobs.change(
            job.id,
            rows_done=job.rows_done + count,
            chunks_done=job.chunks_done + -(-count // CHUNK_ROWS),
            failed=job.failed + failed,
            milliseconds=job.milliseconds + int((time.monotonic() - started) * 1000),
        )
