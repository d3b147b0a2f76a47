"""The steps of a batch, in the order in which the code takes them.

`STEPS` is that of `pipelines/steps/load.py`. Reconciling is in `reconcile.py`; what a run does
besides is in `units.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, NamedTuple

from tests.crash.model import ledger_model
from tests.crash.model.errors import OrgUnavailableError
from tests.crash.model.ledger_model import Batch, Outcome
from tests.crash.model.ops import Call, Commit, Memory, Op, Read, Run, Step, Unit
from tests.crash.model.org import ENDED
from tests.crash.model.reconcile import (
    reconcile_collection,
    reconcile_job,
    reconcile_without_job,
    record_results,
)

StepFunction = Callable[["Protocol", Memory, Batch], Step]
UnitFunction = Callable[["Protocol", Run], Unit]
RecordFunction = Callable[["Protocol", Batch, tuple[Outcome, ...], str | None], Step]


class Protocol(NamedTuple):
    """The protocol of the code. Any other value than the default is a planted bug."""

    has_field: bool
    steps: Mapping[tuple[str, str], StepFunction]
    units: Mapping[str, UnitFunction]
    record: RecordFunction = record_results
    is_fenced: bool = True
    is_org_compared: bool = True
    are_unprocessed_retried: bool = True  # persons whom a job has not reached, in another attempt
    are_counts_compared: bool = True
    is_unprocessed_counted: bool = True  # every person must be in one of the three files
    is_gone_held: bool = True  # without the field, the persons of a job that is gone are held
    is_rejection_checked: bool = True  # after a rejection: does another run have the batch?
    stable_polls: int = 3
    read_times: int = 3
    max_attempts: int = 5


def commit(batch: Batch, act: Callable[..., Any], *arguments: Any, **more: Any) -> Commit:
    """Return the operation for a transaction of `ledger_model.py` about this batch."""
    return Commit(batch.batch_id, partial(_apply, act, batch, arguments, more))


def _apply(
    act: Callable[..., Any], batch: Batch, arguments: tuple[Any, ...], more: Any, ledger: Any
) -> Any:
    return act(ledger, batch, *arguments, **more)


def open_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Open a job, upload the payload and close the job. pending → submitted."""
    batch, rows = yield from payload_of(protocol, memory, batch)
    if batch.batch_state == "completed":
        return batch
    fenced = protocol.is_fenced
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, ledger_model.record_job, job_id, is_fenced=fenced)
    yield Call("upload", (job_id, rows))
    batch = yield commit(batch, ledger_model.record_submitted, is_fenced=fenced)
    yield Call("close_job", (job_id,))
    return batch


def discard_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Abort a job that was not closed. uploading → pending."""
    yield Call("abort_job", (batch.salesforce_job_id,))
    after: Batch = yield commit(
        batch, ledger_model.discard_job, "Aborted", is_fenced=protocol.is_fenced
    )
    return after


def poll_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Ask for the job's state; reconcile when it has ended. submitted → any but uploading."""
    yield commit(batch, ledger_model.renew_lease, is_fenced=protocol.is_fenced)
    job = yield Call("job_status", (batch.salesforce_job_id,))
    if job is None:
        return (yield from reconcile_without_job(protocol, memory, batch))
    if job.state == "Open":
        return (yield from close_job_again(protocol, memory, batch))
    if job.state not in ENDED or not counts_are_stable(protocol, memory, batch, job):
        return batch
    return (yield from reconcile_job(protocol, memory, batch, job))


def close_job_again(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Close the job again. If that is rejected and the job is still open, discard it."""
    job_id = batch.salesforce_job_id
    if (yield Call("close_job", (job_id,))) == "ok":
        return batch
    job = yield Call("job_status", (job_id,))
    if job is None or job.state != "Open":
        return batch
    if (yield Call("abort_job", (job_id,))) != "ok":
        return batch
    yield commit(batch, ledger_model.discard_job, "Aborted", is_fenced=protocol.is_fenced)
    raise OrgUnavailableError


def counts_are_stable(protocol: Protocol, memory: Memory, batch: Batch, job: Any) -> bool:
    """Whether the counts can no longer change: a chunk may still be committed after an abort."""
    if job.state != "Aborted":
        return True
    job_id = batch.salesforce_job_id or ""
    count, times = memory.job_counts.get(job_id, (None, 0))
    times = times + 1 if count == job.processed_count else 1
    memory.job_counts[job_id] = (job.processed_count, times)
    return times >= protocol.stable_polls


def send_collection(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Send the records in one call. pending → completed."""
    batch, rows = yield from payload_of(protocol, memory, batch)
    if batch.batch_state == "completed":
        return batch
    batch = yield commit(batch, ledger_model.record_submitted, is_fenced=protocol.is_fenced)
    results = yield Call("send_records", (batch.operation, rows))
    memory.call_results[batch.batch_id, batch.attempt_count] = results
    return (yield from reconcile_results(protocol, memory, batch))


def reconcile_results(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Record the results of a call. Forget them only then: reading the owners back may fail."""
    key = batch.batch_id, batch.attempt_count
    after = yield from reconcile_collection(protocol, memory, batch, memory.call_results[key])
    del memory.call_results[key]
    return after


def recover_collection(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Find out what a call did whose results are not recorded. submitted → pending | completed."""
    if (batch.batch_id, batch.attempt_count) in memory.call_results:
        return (yield from reconcile_results(protocol, memory, batch))
    if batch.operation == "update":
        after: Batch = yield commit(
            batch, ledger_model.discard_job, None, is_fenced=protocol.is_fenced
        )
        return after
    return (yield from reconcile_without_job(protocol, memory, batch))


def payload_of(
    protocol: Protocol, memory: Memory, batch: Batch
) -> Generator[Op, Any, tuple[Batch, tuple[str, ...]]]:
    """Return the rows to send: remembered, or built again without persons whose row has changed."""
    # A payload is for one attempt: after it the batch may have fewer persons.
    rows = memory.payloads.pop(batch.batch_id, None)
    if rows is not None:
        return batch, rows
    claims, versions = yield Read(
        lambda world: (
            tuple(one for one in world.ledger.claims if one.batch_id == batch.batch_id),
            world.versions,
        ),
        of_source=True,
    )
    changed = tuple(one.person for one in claims if (one.person, one.version) not in versions)
    if changed:
        batch = yield commit(
            batch, ledger_model.release_persons, changed, is_fenced=protocol.is_fenced
        )
    return batch, tuple(one.person for one in claims if one.person not in changed)


STEPS: Mapping[tuple[str, str], StepFunction] = {
    ("bulk", "pending"): open_job,
    ("bulk", "uploading"): discard_job,
    ("bulk", "submitted"): poll_job,
    ("collections", "pending"): send_collection,
    ("collections", "submitted"): recover_collection,
}
