"""Wrong steps and units: each has one planted bug."""

from __future__ import annotations

from tests.crash.model import ledger_model, protocol, units
from tests.crash.model.errors import LeaseLostError, OrgRejectedError, OrgUnavailableError
from tests.crash.model.ledger_model import Batch, Outcome
from tests.crash.model.ops import Call, Choose, Commit, Ended, Memory, Read, Run, Step, Unit
from tests.crash.model.org import ENDED
from tests.crash.model.protocol import Protocol, StepFunction, commit
from tests.crash.model.reconcile import read_files, reconcile_collection


def id_after_close(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    job_id = yield Call("create_job", (batch.operation,))
    yield Call("upload", (job_id, rows))
    yield Call("close_job", (job_id,))
    batch = yield commit(batch, ledger_model.record_job, job_id)
    after: Batch = yield commit(batch, ledger_model.record_submitted)
    return after


def close_before_intent(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, ledger_model.record_job, job_id)
    yield Call("upload", (job_id, rows))
    yield Call("close_job", (job_id,))
    after: Batch = yield commit(batch, ledger_model.record_submitted)
    return after


def upload_again(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = yield Read(lambda world: ledger_model.claimed_by(world.ledger, batch.batch_id))
    yield Call("upload", (batch.salesforce_job_id, rows))
    after: Batch = yield commit(batch, ledger_model.record_submitted)
    yield Call("close_job", (batch.salesforce_job_id,))
    return after


def abort_running(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    if batch.fencing_token <= batch.attempt_count:  # its own
        return (yield from protocol.poll_job(protocol_, memory, batch))
    yield Call("abort_job", (batch.salesforce_job_id,))
    after: Batch = yield commit(batch, ledger_model.discard_job, "Aborted")
    return after


def keep_payload(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = memory.payloads.get(batch.batch_id)
    if rows is None:
        return (yield from protocol.open_job(protocol_, memory, batch))
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, ledger_model.record_job, job_id)
    yield Call("upload", (job_id, rows))
    batch = yield commit(batch, ledger_model.record_submitted)
    memory.payloads.pop(batch.batch_id, None)  # not reached when that commit has no response
    yield Call("close_job", (job_id,))
    return batch


def keep_collection(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = memory.payloads.get(batch.batch_id)
    after = yield from protocol.send_collection(protocol_, memory, batch)
    if rows is not None:
        memory.payloads[batch.batch_id] = rows
    return after


def forget_results(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    batch = yield commit(batch, ledger_model.record_submitted)
    results = yield Call("send_records", (batch.operation, rows))
    return (yield from reconcile_collection(protocol_, memory, batch, results))


def send_twice(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    batch = yield commit(batch, ledger_model.record_submitted)
    try:
        results = yield Call("send_records", (batch.operation, rows))
    except OrgUnavailableError:
        results = yield Call("send_records", (batch.operation, rows))
    return (yield from reconcile_collection(protocol_, memory, batch, results))


def by_own_clock(step: StepFunction) -> StepFunction:
    """Return a step that only asks its own clock if its lease is over."""

    def with_own_clock(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
        lease = yield Choose("by its own clock its lease", ("is not over", "is over"))
        if lease == "is over":
            raise LeaseLostError
        return (yield from step(protocol_, memory, batch))

    return with_own_clock


def state_first(
    _: Protocol, batch: Batch, outcomes: tuple[Outcome, ...], end_state: str | None
) -> Step:
    persons = tuple(one.person for one in outcomes)
    after: Batch = yield commit(batch, complete_without_outcomes, persons, end_state)
    act = ledger_model.record_outcomes
    yield Commit(batch.batch_id, lambda ledger: (act(ledger, outcomes), None))
    return after


def complete_without_outcomes(
    ledger: ledger_model.Ledger, batch: Batch, persons: tuple[str, ...], end_state: str | None
) -> tuple[ledger_model.Ledger, Batch]:
    outcomes = tuple(Outcome(person, "held") for person in persons)
    ledger, after = ledger_model.record_results(ledger, batch, outcomes, end_state)
    others = tuple(one for one in ledger.outcomes if one.person not in persons)
    return ledger._replace(outcomes=others), after


def partition_in_two(protocol_: Protocol, run: Run) -> Unit:
    new, versions = yield Read(
        lambda world: (ledger_model.new_persons(world.ledger, run.persons), world.versions)
    )
    after = run._replace(units_left=run.units_left[1:])
    if not new:
        return Ended(after, "partitioned")
    batch, claims, _ = units.prepare_batch(run, new, dict(versions), {})
    yield Commit("", lambda ledger: (ledger._replace(claims=(*ledger.claims, *claims)), None))
    yield Commit("", lambda ledger: (ledger._replace(batches=(*ledger.batches, batch)), None))
    return Ended(after._replace(batches=(*after.batches, batch)), "partitioned")


def call_library(protocol_: Protocol, run: Run) -> Unit:
    """Load as `bulk2.Lead.insert` does: record nothing before the end."""
    new = yield Read(lambda world: ledger_model.new_persons(world.ledger, run.persons))
    after = run._replace(units_left=run.units_left[1:])
    if not new:
        return Ended(after, "partitioned")
    try:
        job_id = yield Call("create_job", (run.operation,))
        yield Call("upload", (job_id, new))
        yield Call("close_job", (job_id,))
    except (OrgRejectedError, OrgUnavailableError):
        return units.stopped(after)
    job = Batch("", "submitted", "library", run.operation, run.name, job_id)
    return Ended(after._replace(batches=(job,)), "partitioned")


def await_library(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    job = yield Call("job_status", (batch.salesforce_job_id,))
    if job.state not in ENDED:
        return batch
    successful, failed, _ = yield from read_files(batch.salesforce_job_id)
    outcome = "created" if batch.operation == "insert" else "updated"
    outcomes = (
        *(Outcome(person, outcome, lead) for person, lead in successful),
        *(Outcome(person, "duplicate") for person, _ in failed),
    )
    yield Commit("", lambda ledger: (ledger_model.record_outcomes(ledger, outcomes), None))
    return batch._replace(batch_state="completed")
