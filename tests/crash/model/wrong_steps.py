"""Steps that are wrong, each in one way."""

from __future__ import annotations

from tests.crash.model import ledger_side, protocol, units
from tests.crash.model.faults import LeaseLostError, OrgRejectedError, OrgUnavailableError
from tests.crash.model.ledger_side import Batch, Outcome
from tests.crash.model.ops import Call, Choose, Commit, Ended, Memory, Mind, Read, Step, Unit
from tests.crash.model.org import ENDED
from tests.crash.model.protocol import Protocol, StepFunction, commit
from tests.crash.model.settle import read_files, reconcile_collection


def id_after_close(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    job_id = yield Call("create_job", (batch.operation,))
    yield Call("upload", (job_id, rows))
    yield Call("close_job", (job_id,))
    batch = yield commit(batch, ledger_side.record_job, job_id)
    after: Batch = yield commit(batch, ledger_side.record_submitted)
    return after


def close_before_intent(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, ledger_side.record_job, job_id)
    yield Call("upload", (job_id, rows))
    yield Call("close_job", (job_id,))
    after: Batch = yield commit(batch, ledger_side.record_submitted)
    return after


def upload_again(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = yield Read(lambda world: ledger_side.held_by(world.ledger, batch.batch_id))
    yield Call("upload", (batch.salesforce_job_id, rows))
    after: Batch = yield commit(batch, ledger_side.record_submitted)
    yield Call("close_job", (batch.salesforce_job_id,))
    return after


def abort_running(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    if batch.fencing_token <= batch.attempt_count:  # its own
        return (yield from protocol.follow_job(protocol_, memory, batch))
    yield Call("abort_job", (batch.salesforce_job_id,))
    after: Batch = yield commit(batch, ledger_side.discard_job, "Aborted")
    return after


def keep_payload(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = memory.payloads.get(batch.batch_id)
    if rows is None:
        return (yield from protocol.open_job(protocol_, memory, batch))
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, ledger_side.record_job, job_id)
    yield Call("upload", (job_id, rows))
    batch = yield commit(batch, ledger_side.record_submitted)
    memory.payloads.pop(batch.batch_id, None)  # not reached where that commit is not answered
    yield Call("close_job", (job_id,))
    return batch


def keep_collection(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = memory.payloads.get(batch.batch_id)
    after = yield from protocol.send_collection(protocol_, memory, batch)
    if rows is not None:
        memory.payloads[batch.batch_id] = rows
    return after


def forget_answers(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    batch = yield commit(batch, ledger_side.record_submitted)
    answers = yield Call("send_records", (batch.operation, rows))
    return (yield from reconcile_collection(protocol_, memory, batch, answers))


def send_twice(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    batch = yield commit(batch, ledger_side.record_submitted)
    try:
        answers = yield Call("send_records", (batch.operation, rows))
    except OrgUnavailableError:
        answers = yield Call("send_records", (batch.operation, rows))
    return (yield from reconcile_collection(protocol_, memory, batch, answers))


def by_own_clock(step: StepFunction) -> StepFunction:
    """Whoever believes that his lease runs goes on, and nothing is compared."""

    def guarded(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
        word = yield Choose("by its own clock its lease", ("runs", "is over"))
        if word == "is over":
            raise LeaseLostError
        return (yield from step(protocol_, memory, batch))

    return guarded


def state_first(
    _: Protocol, batch: Batch, outcomes: tuple[Outcome, ...], end_state: str | None
) -> Step:
    names = tuple(one.person for one in outcomes)
    after: Batch = yield commit(batch, settle_untold, names, end_state)
    yield Commit(batch.batch_id, lambda ledger: (ledger_side.tell(ledger, outcomes), None))
    return after


def settle_untold(
    ledger: ledger_side.Ledger, batch: Batch, names: tuple[str, ...], end_state: str | None
) -> tuple[ledger_side.Ledger, Batch]:
    ledger, after = ledger_side.settle(
        ledger, batch, tuple(Outcome(n, "held") for n in names), end_state
    )
    told = tuple(one for one in ledger.outcomes if one.person not in names)
    return ledger._replace(outcomes=told), after


def judge_in_two(protocol_: Protocol, mind: Mind) -> Unit:
    new, versions = yield Read(
        lambda world: (ledger_side.new_persons(world.ledger, mind.persons), world.versions)
    )
    after = mind._replace(agenda=mind.agenda[1:])
    if not new:
        return Ended(after, "judged")
    batch, claims, _ = units.weigh(mind, new, dict(versions), {})
    yield Commit("", lambda ledger: (ledger._replace(claims=(*ledger.claims, *claims)), None))
    yield Commit("", lambda ledger: (ledger._replace(batches=(*ledger.batches, batch)), None))
    return Ended(after._replace(carried=(*after.carried, batch)), "judged")


def call_library(protocol_: Protocol, mind: Mind) -> Unit:
    """As `bulk2.Lead.insert` does: no word to anybody before the end."""
    new = yield Read(lambda world: ledger_side.new_persons(world.ledger, mind.persons))
    after = mind._replace(agenda=mind.agenda[1:])
    if not new:
        return Ended(after, "judged")
    try:
        job_id = yield Call("create_job", (mind.operation,))
        yield Call("upload", (job_id, new))
        yield Call("close_job", (job_id,))
    except (OrgRejectedError, OrgUnavailableError):
        return units.stopped(after)
    job = Batch("", "submitted", "library", mind.operation, mind.name, job_id)
    return Ended(after._replace(carried=(job,)), "judged")


def await_library(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    job = yield Call("ask_job", (batch.salesforce_job_id,))
    if job.state not in ENDED:
        return batch
    made, refused, _ = yield from read_files(batch.salesforce_job_id)
    word = "created" if batch.operation == "insert" else "updated"
    outcomes = (
        *(Outcome(person, word, lead) for person, lead in made),
        *(Outcome(person, "duplicate") for person, _ in refused),
    )
    yield Commit("", lambda ledger: (ledger_side.tell(ledger, outcomes), None))
    return batch._replace(batch_state="completed")
