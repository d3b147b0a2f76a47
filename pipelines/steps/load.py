"""The load step: move each batch on by the one step that its state asks for.

    pending ──► uploading ──► submitted ──► completed
       ▲            │             │
       └────────────┴─────────────┘   the job had no effect, or left persons over: another attempt

There is no recovery code. A new run, a resume after `kill -9` and the take-over of a frozen run all
call `advance` with the batch as the ledger has it.

`uploading`: the job exists and is not closed, so it cannot have created anything. A run that finds
a batch in this state was not the one that opened the job, so it aborts the job and opens another.
`submitted`: the job may have created records. It is asked what it did, and closed again if it is
still open. It is never aborted, except when closing is rejected while it stays open.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from pipelines.errors import (
    LeaseLostError,
    LedgerInconsistentError,
    OrgRejectedError,
    OrgUnavailableError,
    SyncError,
    TransientError,
)
from pipelines.rules import encoding
from pipelines.rules.encoding import Payload
from pipelines.salesforce import ingest_jobs, sobject_collections
from pipelines.steps.context import RunContext
from pipelines.steps.payloads import rebuild_payload
from pipelines.steps.reconcile import (
    reconcile_collection,
    reconcile_job,
    reconcile_without_job,
)
from pipelines.warehouse import ledger

log = logging.getLogger(__name__)

# A chunk may still be committed after an abort: the counts of an aborted job must be equal in so
# many polls before its results are read.
STABLE_POLLS = 3


def load_batches(run: RunContext) -> int:
    """Move every batch on; wait only while too many are open. Return how many are open."""
    advance_batches(run, until_at_most=run.settings.run.open_batches)
    return len(run.in_flight)


def reconcile_batches(run: RunContext) -> int:
    """Wait until every batch in flight is completed. Return how many are open: none."""
    advance_batches(run, until_at_most=0)
    return len(run.in_flight)


def advance_batches(run: RunContext, *, until_at_most: int) -> None:
    """Take every batch as far as it goes; wait until at most so many are in flight.

    Raise TransientError when a problem lasts longer than the retry timeout. Raise
    DeadlineReachedError when the run's time is over. The batches then stay open in the ledger, and
    nothing is lost.
    """
    with run.progress.during(run.in_flight.waiting):
        while True:
            _advance_all(run)
            if len(run.in_flight) <= until_at_most:
                return
            run.require_time_left()
            run.clock.sleep(run.settings.run.poll_seconds)


def _advance_all(run: RunContext) -> None:
    for batch in list(run.in_flight.batches):
        try:
            after = _advance_until_waiting(run, batch)
            run.in_flight.retry.reset()
        except LeaseLostError:
            after = None
        except TransientError as error:
            run.in_flight.retry.failed(error)
            after = ledger.read_batch(run.warehouse, batch.batch_id)
        except (OrgRejectedError, LedgerInconsistentError):
            # A run that was frozen for long finds its job aborted by the run that took over, or
            # results of persons whom that run has completed.
            after = ledger.read_batch(run.warehouse, batch.batch_id)
            if after is not None and after.fencing_token == batch.fencing_token:
                raise
        run.in_flight.replace(batch, after)


def _advance_until_waiting(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    while True:
        after = advance(run, batch)
        if after == batch or after.batch_state == "completed":
            return after
        batch = after


def advance(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Take the one step that the batch's state asks for, and record it; return the batch after it.

    Safe to repeat after a crash at any line. The same batch comes back while the org is still
    working. Raise LeaseLostError when another run has it, TransientError when the org or the
    warehouse is away.
    """
    return STEPS[batch.load_api, batch.batch_state](run, batch)


def _open_job(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Open a job, upload the payload and close the job. pending → submitted."""
    batch, payload = _payload_of(run, batch)
    if batch.batch_state == "completed":
        return batch
    data = encoding.encode_csv(payload.records)
    job = ingest_jobs.create_job(
        run.org,
        operation=batch.operation,
        sobject=batch.sobject,
        assignment_rule_id=batch.assignment_rule_id,
    )
    # The id is recorded before any byte is uploaded: a job whose id is lost has no data, so it can
    # create nothing.
    batch = ledger.record_job(
        run.warehouse,
        batch,
        job.job_id,
        payload_sha256=hashlib.sha256(data).hexdigest(),
        payload_bytes=len(data),
    )
    ingest_jobs.upload(run.org, job.job_id, data)
    run.in_flight.log.sent(batch, len(payload.records), len(data))
    # The intent is recorded before the effect: only closing a job creates leads. From here on a run
    # that finds the batch knows that it must ask the job first.
    batch = ledger.record_submitted(run.warehouse, batch)
    ingest_jobs.close_job(run.org, job.job_id)
    return batch


def _discard_job(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Abort a job that was not closed. uploading → pending.

    Uploading a second time is not possible: a job takes one upload, and then closing is rejected.
    The abort also rejects an upload that is still on its way.
    """
    ingest_jobs.abort_job(run.org, _job_id(batch))
    return ledger.discard_job(run.warehouse, batch, "Aborted")


def _poll_job(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Ask for the job's state; reconcile when it has ended. submitted → any but uploading."""
    ledger.renew_lease(run.warehouse, batch, run.settings.run.lease_seconds)
    job = ingest_jobs.job_status(run.org, _job_id(batch))
    if job is None:
        return reconcile_without_job(run, batch)
    run.in_flight.log.seen(batch, job)
    if job.state == "Open":
        return _close_job_again(run, batch)
    if not job.has_ended or not _counts_are_stable(run, job):
        return batch
    return reconcile_job(run, batch, job)


def _close_job_again(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    job_id = _job_id(batch)
    closed = ingest_jobs.close_job(run.org, job_id)
    if not isinstance(closed, ingest_jobs.JobRequestRejected):
        return batch
    job = ingest_jobs.job_status(run.org, job_id)
    if job is None or job.state != "Open":
        return batch
    # Closing was rejected and yet the job is open: the only submitted job that may be aborted.
    aborted = ingest_jobs.abort_job(run.org, job_id)
    if (
        isinstance(aborted, ingest_jobs.JobRequestRejected)
        and aborted.code != ingest_jobs.ALREADY_CLOSED
    ):
        raise OrgRejectedError(aborted.code, f"job {job_id} can be neither started nor aborted")
    if not isinstance(aborted, ingest_jobs.JobInfo) or closed.code != ingest_jobs.INVALID_JOB:
        return batch  # a close request on its way may have come first: the next poll shows it
    # A proxy that repeats the upload spoils a job: it can never have started.
    ledger.discard_job(run.warehouse, batch, "Aborted")
    raise OrgUnavailableError(f"job {job_id} did not start ({closed.code}): another is opened")


def _counts_are_stable(run: RunContext, job: ingest_jobs.JobInfo) -> bool:
    """Whether the counts of an ended job can no longer change."""
    if job.state != "Aborted":
        return True
    seen, times = run.in_flight.stable_counts.get(job.job_id, (None, 0))
    times = times + 1 if seen == job.processed_count else 1
    run.in_flight.stable_counts[job.job_id] = (job.processed_count, times)
    return times >= STABLE_POLLS


def _send_collection(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Send up to 200 records in one call. pending → completed."""
    batch, payload = _payload_of(run, batch)
    if batch.batch_state == "completed":
        return batch
    batch = ledger.record_submitted(run.warehouse, batch)
    return _call_collection(run, batch, payload)


def _call_collection(run: RunContext, batch: ledger.Batch, payload: Payload) -> ledger.Batch:
    records = encoding.to_json_records(payload.records, batch.sobject, run.lead_fields)
    try:
        if batch.operation == "update":
            results = sobject_collections.update_records(run.org, batch.sobject, records)
        else:
            results = sobject_collections.create_records(
                run.org,
                batch.sobject,
                records,
                assignment=batch.assignment_rule_id or "FALSE",
                allow_duplicates=batch.allow_duplicates,
            )
    except SyncError as error:
        if error.had_no_effect:
            # As if the call had not been made: no person is in doubt, and no attempt is used up.
            ledger.discard_job(run.warehouse, batch, None, is_attempt=False)
        raise
    run.in_flight.results[batch.batch_id, batch.attempt_count] = (payload.person_ids, results)
    run.in_flight.log.called(batch, len(records))
    return _reconcile_results(run, batch)


def _reconcile_results(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Record the results of a call. Forget them only then: reading the owners back may fail."""
    key = batch.batch_id, batch.attempt_count
    person_ids, results = run.in_flight.results[key]
    after = reconcile_collection(run, batch, person_ids, results)
    del run.in_flight.results[key]
    return after


def _recover_collection(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Find out what a call did whose results are not recorded. submitted → pending | completed."""
    if (batch.batch_id, batch.attempt_count) in run.in_flight.results:
        return _reconcile_results(run, batch)
    if batch.operation == "update":
        return ledger.discard_job(run.warehouse, batch, None)
    return reconcile_without_job(run, batch)


def _payload_of(run: RunContext, batch: ledger.Batch) -> tuple[ledger.Batch, Payload]:
    # A payload serves one attempt. The next may hold fewer persons, and sending a person who has an
    # outcome already would create a second lead.
    payload = run.in_flight.payloads.pop(batch.batch_id, None)
    if payload is not None:
        return batch, payload
    return rebuild_payload(run, batch)


def _job_id(batch: ledger.Batch) -> str:
    if batch.salesforce_job_id is None:
        raise LedgerInconsistentError(
            f"batch {batch.batch_id} is {batch.batch_state} without a job"
        )
    return batch.salesforce_job_id


Step = Callable[[RunContext, ledger.Batch], ledger.Batch]

STEPS: dict[tuple[str, str], Step] = {
    ("bulk", "pending"): _open_job,
    ("bulk", "uploading"): _discard_job,
    ("bulk", "submitted"): _poll_job,
    ("collections", "pending"): _send_collection,
    ("collections", "submitted"): _recover_collection,
}
