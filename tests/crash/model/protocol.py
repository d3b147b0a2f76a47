"""What a run does, in the order in which the code does it.

`STEPS` are those of `pipelines/steps/load.py`; how a job is settled is in `settle.py`, what
surrounds the steps in `units.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, NamedTuple

from tests.crash.model import ledger_side
from tests.crash.model.faults import OrgUnavailableError
from tests.crash.model.ledger_side import Batch, Outcome
from tests.crash.model.ops import Call, Commit, Memory, Mind, Op, Read, Step, Unit
from tests.crash.model.org import ENDED
from tests.crash.model.settle import (
    reconcile_collection,
    reconcile_job,
    reconcile_without_job,
    record,
)

StepFunction = Callable[["Protocol", Memory, Batch], Step]
UnitFunction = Callable[["Protocol", Mind], Unit]
RecordFunction = Callable[["Protocol", Batch, tuple[Outcome, ...], str | None], Step]


class Protocol(NamedTuple):
    """The protocol as it is; every field that differs is a planted bug."""

    has_field: bool
    steps: Mapping[tuple[str, str], StepFunction]
    units: Mapping[str, UnitFunction]
    record: RecordFunction = record
    is_fenced: bool = True
    is_org_compared: bool = True
    are_left_kept: bool = True  # whom a job did not come to stays for another attempt
    are_counts_compared: bool = True
    is_left_counted: bool = True  # the file of those left over must add up too
    is_gone_held: bool = True  # without the field, the persons of a job that is gone are held
    is_alarm_checked: bool = True  # a refusal is looked into: perhaps the batch is another's
    still_times: int = 3
    read_times: int = 3
    most_attempts: int = 5


def commit(batch: Batch, act: Callable[..., Any], *arguments: Any, **more: Any) -> Commit:
    """A transaction of `books.py` about this batch."""
    return Commit(batch.batch_id, partial(_apply, act, batch, arguments, more))


def _apply(
    act: Callable[..., Any], batch: Batch, arguments: tuple[Any, ...], more: Any, ledger: Any
) -> Any:
    return act(ledger, batch, *arguments, **more)


def open_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """pending → submitted."""
    batch, rows = yield from payload_of(protocol, memory, batch)
    if batch.batch_state == "completed":
        return batch
    fenced = protocol.is_fenced
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, ledger_side.record_job, job_id, is_fenced=fenced)
    yield Call("upload", (job_id, rows))
    batch = yield commit(batch, ledger_side.record_submitted, is_fenced=fenced)
    yield Call("close_job", (job_id,))
    return batch


def throw_away_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """uploading → pending."""
    yield Call("abort_job", (batch.salesforce_job_id,))
    after: Batch = yield commit(
        batch, ledger_side.discard_job, "Aborted", is_fenced=protocol.is_fenced
    )
    return after


def follow_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """submitted → any but uploading."""
    yield commit(batch, ledger_side.renew_lease, is_fenced=protocol.is_fenced)
    job = yield Call("ask_job", (batch.salesforce_job_id,))
    if job is None:
        return (yield from reconcile_without_job(protocol, memory, batch))
    if job.state == "Open":
        return (yield from close_again(protocol, memory, batch))
    if job.state not in ENDED or not is_still(protocol, memory, batch, job):
        return batch
    return (yield from reconcile_job(protocol, memory, batch, job))


def close_again(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """The close may never have been sent; refused and yet open, the job is spoiled."""
    job_id = batch.salesforce_job_id
    if (yield Call("close_job", (job_id,))) == "ok":
        return batch
    job = yield Call("ask_job", (job_id,))
    if job is None or job.state != "Open":
        return batch
    if (yield Call("abort_job", (job_id,))) != "ok":
        return batch
    yield commit(batch, ledger_side.discard_job, "Aborted", is_fenced=protocol.is_fenced)
    raise OrgUnavailableError


def is_still(protocol: Protocol, memory: Memory, batch: Batch, job: Any) -> bool:
    """After an abort a chunk may still land."""
    if job.state != "Aborted":
        return True
    job_id = batch.salesforce_job_id or ""
    seen, times = memory.still.get(job_id, (None, 0))
    times = times + 1 if seen == job.processed_count else 1
    memory.still[job_id] = (job.processed_count, times)
    return times >= protocol.still_times


def send_collection(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """pending → completed."""
    batch, rows = yield from payload_of(protocol, memory, batch)
    if batch.batch_state == "completed":
        return batch
    batch = yield commit(batch, ledger_side.record_submitted, is_fenced=protocol.is_fenced)
    answers = yield Call("send_records", (batch.operation, rows))
    memory.answers[batch.batch_id, batch.attempt_count] = answers
    return (yield from settle_answers(protocol, memory, batch))


def settle_answers(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """What was answered is remembered until it is recorded: reading the owners back may fail."""
    key = batch.batch_id, batch.attempt_count
    after = yield from reconcile_collection(protocol, memory, batch, memory.answers[key])
    del memory.answers[key]
    return after


def recover_collection(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """A call whose answer nobody has. submitted → pending | completed."""
    if (batch.batch_id, batch.attempt_count) in memory.answers:
        return (yield from settle_answers(protocol, memory, batch))
    if batch.operation == "update":
        after: Batch = yield commit(
            batch, ledger_side.discard_job, None, is_fenced=protocol.is_fenced
        )
        return after
    return (yield from reconcile_without_job(protocol, memory, batch))


def payload_of(
    protocol: Protocol, memory: Memory, batch: Batch
) -> Generator[Op, Any, tuple[Batch, tuple[str, ...]]]:
    """The rows to send: remembered, or made anew without those whose source rows changed."""
    # A payload serves one attempt: afterwards the batch may hold fewer persons.
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
        batch = yield commit(batch, ledger_side.release, changed, is_fenced=protocol.is_fenced)
    return batch, tuple(one.person for one in claims if one.person not in changed)


STEPS: Mapping[tuple[str, str], StepFunction] = {
    ("bulk", "pending"): open_job,
    ("bulk", "uploading"): throw_away_job,
    ("bulk", "submitted"): follow_job,
    ("collections", "pending"): send_collection,
    ("collections", "submitted"): recover_collection,
}
