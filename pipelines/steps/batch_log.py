"""The log lines of batches: a number for each, with counts and waiting times.

A batch's id has 32 digits, too long for a log line. So batches are numbered in the order in which
this process added them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.retry import Clock
from pipelines.salesforce.ingest_jobs import JobInfo
from pipelines.warehouse.ledger.batches import Batch

log = logging.getLogger(__name__)

STUCK_SECONDS = 3600.0  # a job that has not ended is logged after so long, and each time again


class BatchNames:
    """Numbers for the batches of one run in this process, shared by its worker threads."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, batch_id: str) -> None:
        """Give the batch the next number, unless it has one."""
        with self._lock:
            self._numbers.setdefault(batch_id, len(self._numbers) + 1)

    def name(self, batch: Batch) -> str:
        """Return the batch's name for a log: `batch 3 of 5`."""
        return f"batch {self._numbers.get(batch.batch_id, '?')} of {len(self._numbers)}"


@dataclass
class _Followed:
    """When a batch's job was closed, when it left the queue, and its latest state."""

    since: float
    count: int
    left_queue_at: float | None = None
    state: str = "UploadComplete"
    processed_count: int = 0
    logged_at: float = 0.0


class BatchLog:
    """The log lines of the batches of one run or worker."""

    def __init__(self, names: BatchNames, clock: Clock) -> None:
        self.names = names
        self._clock = clock
        self._followed: dict[str, _Followed] = {}

    def sent(self, batch: Batch, record_count: int, byte_count: int) -> None:
        """Log that a job's data is uploaded; the job starts when it is closed."""
        size = f"{byte_count / 1e6:,.1f} MB" if byte_count >= 1e6 else f"{byte_count / 1e3:,.0f} kB"
        log.info("%s: %s sent, %s", self.names.name(batch), _records(batch, record_count), size)
        self._of(batch, record_count)

    def called(self, batch: Batch, record_count: int) -> None:
        """Note how many records were sent by one call, without a job."""
        self._of(batch, record_count)

    def seen(self, batch: Batch, job: JobInfo) -> None:
        """Note the state of a batch's job; log a job that does not end."""
        now, one = self._clock.monotonic(), self._of(batch, batch.person_count)
        one.state, one.processed_count = job.state, job.processed_count or 0
        if job.state not in ("Open", "UploadComplete") and one.left_queue_at is None:
            one.left_queue_at = now
        if not job.has_ended and now - max(one.since, one.logged_at) >= STUCK_SECONDS:
            one.logged_at = now
            log.warning(
                "%s: Salesforce has had job %s for %.0f h and it is %s; look at Setup, Bulk Data "
                "Load Jobs. Nothing is lost: the batch stays open until the job ends",
                self.names.name(batch),
                job.job_id,
                (now - one.since) / 3600,
                job.state,
            )

    def ended(self, batch: Batch, after: Batch | None) -> None:
        """Log that a batch is completed, or taken over by another run."""
        name, now = self.names.name(batch), self._clock.monotonic()
        one = self._followed.pop(batch.batch_id, None)
        if after is None or after.fencing_token != batch.fencing_token:
            log.info("%s: taken over by another run", name)
        elif one is None or one.left_queue_at is None:
            log.info("%s: %s done", name, _records(batch, one.count if one else None))
        else:
            log.info(
                "%s: %s done, %.0f s in Salesforce's queue and %.0f s after it",
                name,
                _records(batch, one.count),
                one.left_queue_at - one.since,
                now - one.left_queue_at,
            )

    def waiting(self, batches: Iterable[Batch]) -> str:
        """Return what the run waits for: the oldest batch in flight, with its job's state."""
        in_flight = list(batches)
        if not in_flight:
            return "waiting for Salesforce"
        first, more = in_flight[0], len(in_flight) - 1
        one = self._followed.get(first.batch_id)
        state = f" ({one.state}, {one.processed_count:,} of {one.count:,})" if one else ""
        others = f" and {more} more" if more else ""
        return f"waiting for Salesforce: {self.names.name(first)}{state}{others}"

    def _of(self, batch: Batch, count: int) -> _Followed:
        return self._followed.setdefault(batch.batch_id, _Followed(self._clock.monotonic(), count))


def _records(batch: Batch, count: int | None) -> str:
    noun = batch.sobject.lower() if count == 1 else f"{batch.sobject.lower()}s"
    text = f"{count:,} {noun}" if count is not None else noun
    return f"{text} to update" if batch.operation == "update" else text
