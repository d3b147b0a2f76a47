"""Carries a batch one step further from wherever it stands. A run and a recovery are the same call.

    pending ──► uploading ──► submitted ──► completed
       ▲           │          │
       └───────────┴──────────┘   the job came to nothing, or left persons over: one more attempt

`opened` is never carried on with: whoever finds it was interrupted between the job and the intent
to close, when nothing can have been made, so the job is thrown away. From `closing` on records may
exist: the job is asked what it did, closed again if it is still open, and never aborted, save when
it is spoiled (closing refused and yet open).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from pipelines.errors import (
    DeadlineReachedError,
    LeaseLostError,
    LedgerInconsistentError,
    OrgRejectedError,
    OrgUnavailableError,
    SyncError,
    TransientError,
)
from pipelines.progress import Progress
from pipelines.retry import Clock, RetryTimeout
from pipelines.rules import payloads
from pipelines.rules.payloads import Payload
from pipelines.run.preflight import Ground
from pipelines.salesforce import ingest_jobs, sobject_collections
from pipelines.steps.batch_log import BatchLog, BatchNames
from pipelines.steps.partition import rebuild_payload
from pipelines.steps.reconcile import reconcile_collection, reconcile_job, reconcile_without_job
from pipelines.warehouse import ledger

log = logging.getLogger(__name__)


# Whom a collections call was about, and what the org said of each.
Answers = tuple["pd.Series[str]", Sequence[sobject_collections.RecordResult]]


@dataclass
class Carrier:
    """The batches in flight of one run, and what is known of them beyond the ledger.

    What it remembers is only ever a shortcut: a payload not remembered is built again from the
    source rows, an answer not remembered is asked for, a job not remembered as still is asked
    again.
    """

    ground: Ground
    run_id: str
    progress: Progress
    clock: Clock = time
    give_up_at: float | None = None
    names: BatchNames = field(default_factory=BatchNames)
    in_flight: list[ledger.Batch] = field(default_factory=list)
    payloads: dict[str, Payload] = field(default_factory=dict)
    answers: dict[tuple[str, int], Answers] = field(default_factory=dict)
    still_counts: dict[str, tuple[int | None, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = self.ground.settings.run
        self.batch_log = BatchLog(self.names, self.clock)
        self._retry = RetryTimeout(
            options.retry_timeout_seconds, self.clock, log, line_seconds=options.progress_seconds
        )

    def take(self, batch: ledger.Batch, payload: Payload | None = None) -> None:
        """Carry this batch from now on."""
        self.in_flight.append(batch)
        self.names.add(batch.batch_id)
        if payload is not None:
            self.payloads[batch.batch_id] = payload

    def carry(self, *, until_at_most: int) -> None:
        """Take every batch as far as it goes, and wait until at most so many are in flight.

        Raises Passing when the trouble outlasts the patience of the settings, DeadlineReachedError when
        the run's time is over: the batches stay open in the ledger, and nothing is lost.
        """
        with self.progress.during(lambda: self.batch_log.waiting(self.in_flight)):
            while True:
                self._step_all()
                if len(self.in_flight) <= until_at_most:
                    return
                self.mind_the_deadline()
                self.clock.sleep(self.ground.settings.run.poll_seconds)

    def _step_all(self) -> None:
        for batch in list(self.in_flight):
            try:
                after = self._carry_one(batch)
                self._retry.reset()
            except LeaseLostError:
                after = None
            except TransientError as trouble:
                self._retry.failed(trouble)
                after = ledger.read_batch(self.ground.warehouse, batch.batch_id)
            except (OrgRejectedError, LedgerInconsistentError):
                # A run frozen for long finds its job aborted by the one that took over, or rows of
                # persons whom that one has settled.
                after = ledger.read_batch(self.ground.warehouse, batch.batch_id)
                if after is not None and after.fencing_token == batch.fencing_token:
                    raise
            self._replace(batch, after)

    def _carry_one(self, batch: ledger.Batch) -> ledger.Batch:
        while True:
            after = advance(self, batch)
            if after == batch or after.batch_state == "completed":
                return after
            batch = after

    def _replace(self, batch: ledger.Batch, after: ledger.Batch | None) -> None:
        place = self.in_flight.index(batch)
        if (
            after is None
            or after.batch_state == "completed"
            or after.fencing_token != batch.fencing_token
        ):
            self.batch_log.ended(batch, after)
            del self.in_flight[place]
            self.payloads.pop(batch.batch_id, None)
        else:
            self.in_flight[place] = after

    def mind_the_deadline(self) -> None:
        """Raise DeadlineReachedError when the run's time is over."""
        if self.give_up_at is not None and self.clock.monotonic() >= self.give_up_at:
            raise DeadlineReachedError(
                f"the run's deadline is over with {len(self.in_flight)} batches open "
                f"({self.batch_log.waiting(self.in_flight)}): "
                "person-sync resume carries them to their end"
            )


def advance(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    """Take the one step that the batch's state asks for, and record it.

    Safe to repeat after a crash at any line. The same batch back means: the org is still busy.
    Raises LeaseLostError when another run has it, Passing when the org or the warehouse is away.
    """
    return STEPS[batch.load_api, batch.batch_state](carrier, batch)


def _open_job(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    """Send the payload and let the job start. pending → submitted."""
    batch, payload = _payload_of(carrier, batch)
    if batch.batch_state == "completed":
        return batch
    store, org = carrier.ground.warehouse, carrier.ground.org
    data = payloads.encode_csv(payload.records)
    job = ingest_jobs.create_job(
        org,
        operation=batch.operation,
        sobject=batch.sobject,
        assignment_rule_id=batch.assignment_rule_id,
    )
    # The id before the bytes: a job whose id is lost was never given data, so it can do nothing.
    batch = ledger.record_job(
        store,
        batch,
        job.job_id,
        payload_sha256=hashlib.sha256(data).hexdigest(),
        payload_bytes=len(data),
    )
    ingest_jobs.upload(org, job.job_id, data)
    carrier.batch_log.sent(batch, len(payload.records), len(data))
    # The intent before the leap: only closing makes leads, and from here on we know to ask first.
    batch = ledger.record_submitted(store, batch)
    ingest_jobs.close_job(org, job.job_id)
    return batch


def _throw_away_job(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    """Abort a job that was never to be closed. uploading → pending.

    Uploading a second time is no way out: a job takes one upload, and closing it would be refused.
    Aborting also shuts the door on an upload that is still under way.
    """
    job_id = _job_id(batch)
    ingest_jobs.abort_job(carrier.ground.org, job_id)
    return ledger.discard_job(carrier.ground.warehouse, batch, "Aborted")


def _follow_job(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    """Ask the job how far it is, and settle when it has ended. submitted → any but uploading."""
    org, store = carrier.ground.org, carrier.ground.warehouse
    ledger.renew_lease(store, batch, carrier.ground.settings.run.lease_seconds)
    job = ingest_jobs.job_status(org, _job_id(batch))
    if job is None:
        return reconcile_without_job(carrier.ground, batch)
    carrier.batch_log.seen(batch, job)
    if job.state == "Open":
        return _close_again(carrier, batch)
    if not job.has_ended or not _is_still(carrier, job):
        return batch
    return reconcile_job(carrier.ground, batch, job)


def _close_again(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    org, job_id = carrier.ground.org, _job_id(batch)
    answer = ingest_jobs.close_job(org, job_id)
    if not isinstance(answer, ingest_jobs.JobRequestRejected):
        return batch
    job = ingest_jobs.job_status(org, job_id)
    if job is None or job.state != "Open":
        return batch
    # Refused and yet open: the one job past the close intent that may be aborted.
    ended = ingest_jobs.abort_job(org, job_id)
    if (
        isinstance(ended, ingest_jobs.JobRequestRejected)
        and ended.code != ingest_jobs.ALREADY_CLOSED
    ):
        raise OrgRejectedError(ended.code, f"job {job_id} can be neither started nor aborted")
    if not isinstance(ended, ingest_jobs.JobInfo) or answer.code != ingest_jobs.INVALID_JOB:
        return batch  # a close on its way may have come first after all: the job will tell
    # Spoiled, as by a proxy that repeated the upload, it can never have started.
    ledger.discard_job(carrier.ground.warehouse, batch, "Aborted")
    raise OrgUnavailableError(
        f"job {job_id} would not start ({answer.code}): there will be another"
    )


def _is_still(carrier: Carrier, job: ingest_jobs.JobInfo) -> bool:
    """Whether the counts have come to rest. A chunk may still land after an abort."""
    if job.state != "Aborted":
        return True
    seen, times = carrier.still_counts.get(job.job_id, (None, 0))
    times = times + 1 if seen == job.processed_count else 1
    carrier.still_counts[job.job_id] = (job.processed_count, times)
    return times >= 3


def _send_collection(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    """Send up to 200 records in one call. pending → completed."""
    batch, payload = _payload_of(carrier, batch)
    if batch.batch_state == "completed":
        return batch
    batch = ledger.record_submitted(carrier.ground.warehouse, batch)
    return _call_collection(carrier, batch, payload)


def _call_collection(carrier: Carrier, batch: ledger.Batch, payload: Payload) -> ledger.Batch:
    org = carrier.ground.org
    records = payloads.to_json_records(payload.records, batch.sobject, carrier.ground.lead_fields)
    try:
        if batch.operation == "update":
            answers = sobject_collections.update_records(org, batch.sobject, records)
        else:
            answers = sobject_collections.create_records(
                org,
                batch.sobject,
                records,
                assignment=batch.assignment_rule_id or "FALSE",
                allow_duplicates=batch.allow_duplicates,
            )
    except SyncError as refusal:
        if refusal.had_no_effect:
            # As if it had not been called: nobody is in doubt, and no attempt is used up.
            ledger.discard_job(carrier.ground.warehouse, batch, None, is_attempt=False)
        raise
    carrier.answers[batch.batch_id, batch.attempt_count] = (payload.person_ids, answers)
    carrier.batch_log.called(batch, len(records))
    return _settle_answers(carrier, batch)


def _settle_answers(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    """Remembered until they are recorded: what was answered must not be lost because the owners
    could not be read back."""
    key = batch.batch_id, batch.attempt_count
    person_ids, answers = carrier.answers[key]
    after = reconcile_collection(carrier.ground, batch, person_ids, answers)
    del carrier.answers[key]
    return after


def _recover_collection(carrier: Carrier, batch: ledger.Batch) -> ledger.Batch:
    """A call that was not settled: if nobody has the answer, ask the org what it did.
    submitted → pending | completed."""
    if (batch.batch_id, batch.attempt_count) in carrier.answers:
        return _settle_answers(carrier, batch)
    if batch.operation == "update":
        return ledger.discard_job(carrier.ground.warehouse, batch, None)
    return reconcile_without_job(carrier.ground, batch)


def _payload_of(carrier: Carrier, batch: ledger.Batch) -> tuple[ledger.Batch, Payload]:
    # It serves one attempt: the next may be about fewer persons, and sending one who has an outcome
    # already would make a second lead.
    payload = carrier.payloads.pop(batch.batch_id, None)
    if payload is not None:
        return batch, payload
    return rebuild_payload(carrier.ground, batch)


def _job_id(batch: ledger.Batch) -> str:
    if batch.salesforce_job_id is None:
        raise LedgerInconsistentError(
            f"batch {batch.batch_id} is {batch.batch_state} without a job"
        )
    return batch.salesforce_job_id


Step = Callable[[Carrier, ledger.Batch], ledger.Batch]

STEPS: dict[tuple[str, str], Step] = {
    ("bulk", "pending"): _open_job,
    ("bulk", "uploading"): _throw_away_job,
    ("bulk", "submitted"): _follow_job,
    ("collections", "pending"): _send_collection,
    ("collections", "submitted"): _recover_collection,
}
