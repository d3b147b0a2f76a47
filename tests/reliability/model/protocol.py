"""What a run does, in the order in which the code does it.

`STEPS` are those of `pipelines/delivery.py`; how a job is settled is `pipelines/settling.py`;
taking over, judging and carrying are `runs.take_abandoned`, `judging.judge_slice` and `Carrier`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, NamedTuple

from tests.reliability.model import books
from tests.reliability.model.books import Batch, Claim, Outcome
from tests.reliability.model.ops import (
    Call,
    Choose,
    Commit,
    Ended,
    LookAround,
    Memory,
    Mind,
    Op,
    Read,
    Step,
    Unit,
)
from tests.reliability.model.org import ENDED
from tests.reliability.model.settle import (
    record,
    settle_bulk,
    settle_collection,
    settle_without_job,
)
from tests.reliability.model.troubles import (
    FencedOff,
    LedgerDisagrees,
    OrgRefused,
    OrgUnreachable,
    WarehouseUnavailable,
    WrongOrg,
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
    """planned → closing."""
    batch, rows = yield from payload_of(protocol, memory, batch)
    if batch.batch_state == "settled":
        return batch
    fenced = protocol.is_fenced
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, books.record_job, job_id, is_fenced=fenced)
    yield Call("upload", (job_id, rows))
    batch = yield commit(batch, books.record_closing, is_fenced=fenced)
    yield Call("close_job", (job_id,))
    return batch


def throw_away_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """opened → planned."""
    yield Call("abort_job", (batch.salesforce_job_id,))
    after: Batch = yield commit(batch, books.detach_job, "Aborted", is_fenced=protocol.is_fenced)
    return after


def follow_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """closing → any but opened."""
    yield commit(batch, books.renew_lease, is_fenced=protocol.is_fenced)
    job = yield Call("ask_job", (batch.salesforce_job_id,))
    if job is None:
        return (yield from settle_without_job(protocol, memory, batch))
    if job.state == "Open":
        return (yield from close_again(protocol, memory, batch))
    if job.state not in ENDED or not is_still(protocol, memory, batch, job):
        return batch
    return (yield from settle_bulk(protocol, memory, batch, job))


def close_again(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """The close may never have been sent; refused and yet open, the job is spoiled."""
    job_id = batch.salesforce_job_id
    if (yield Call("close_job", (job_id,))) == "ok":
        return batch
    job = yield Call("ask_job", (job_id,))
    if job is None or job.state != "Open":
        return batch
    yield Call("abort_job", (job_id,))
    after: Batch = yield commit(batch, books.detach_job, "Aborted", is_fenced=protocol.is_fenced)
    return after


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
    """planned → settled."""
    batch, rows = yield from payload_of(protocol, memory, batch)
    if batch.batch_state == "settled":
        return batch
    batch = yield commit(batch, books.record_closing, is_fenced=protocol.is_fenced)
    answers = yield Call("send_records", (batch.operation, rows))
    memory.answers[batch.batch_id, batch.attempt_count] = answers
    return (yield from settle_answers(protocol, memory, batch))


def settle_answers(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """What was answered is remembered until it is recorded: reading the owners back may fail."""
    key = batch.batch_id, batch.attempt_count
    after = yield from settle_collection(protocol, memory, batch, memory.answers[key])
    del memory.answers[key]
    return after


def recover_collection(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """A call whose answer nobody has. closing → planned | settled."""
    if (batch.batch_id, batch.attempt_count) in memory.answers:
        return (yield from settle_answers(protocol, memory, batch))
    if batch.operation == "update":
        after: Batch = yield commit(batch, books.detach_job, None, is_fenced=protocol.is_fenced)
        return after
    return (yield from settle_without_job(protocol, memory, batch))


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
        batch = yield commit(batch, books.release, changed, is_fenced=protocol.is_fenced)
    return batch, tuple(one.person for one in claims if one.person not in changed)


def begin(protocol: Protocol, mind: Mind) -> Unit:
    """Log in, and see that the ledger is this org's."""
    act = books.bind if protocol.is_org_compared else _bind_anything
    try:
        yield Commit("", lambda ledger: act(ledger, mind.org_id))
    except (WrongOrg, WarehouseUnavailable):
        return stopped(mind)
    return Ended(mind._replace(agenda=mind.agenda[1:]), "began")


def _bind_anything(ledger: books.Ledger, org_id: str) -> tuple[books.Ledger, None]:
    return ledger._replace(org_id=ledger.org_id or org_id), None


def take(protocol: Protocol, mind: Mind) -> Unit:
    """Take over the batches that nobody carries: their run is over, or their lease is."""
    abandoned, alive = yield LookAround(mind.name)
    word = "is not over"
    if alive:
        word = yield Choose("the lease of the other", ("is not over", "is over"))
    found = abandoned if word == "is not over" else tuple(sorted((*abandoned, *alive)))
    taken: tuple[Batch, ...] = ()
    if found:
        try:
            taken = yield Commit("", lambda ledger: books.take(ledger, mind.name, found))
        except WarehouseUnavailable:
            return stopped(mind)
    return Ended(mind._replace(agenda=mind.agenda[1:], carried=mind.carried + taken), "took")


def judge(protocol: Protocol, mind: Mind) -> Unit:
    """Read who is new, ask the org whom it knows, claim the rest in one batch (T1)."""
    new, versions = yield Read(
        lambda world: (books.new_persons(world.ledger, mind.persons), world.versions)
    )
    after = mind._replace(agenda=mind.agenda[1:])
    if not new:
        return Ended(after, "judged")
    try:
        known = (yield Call("ask_persons", (new,))) if protocol.has_field else ()
        batch = yield from record_judgement(mind, new, dict(versions), dict(known))
    except (OrgUnreachable, WarehouseUnavailable):
        return stopped(mind)
    if batch is None:
        return Ended(after, "judged")
    rows = yield Read(lambda world: books.held_by(world.ledger, batch.batch_id))
    memory = Memory(after)
    memory.payloads[batch.batch_id] = rows
    return Ended(memory.mind_with(carried=(*after.carried, batch)), "judged")


def record_judgement(
    mind: Mind, new: tuple[str, ...], versions: dict[str, int], known: dict[str, str]
) -> Generator[Op, Any, Batch | None]:
    """One transaction for claims, words and batch."""
    batch, claims, told = weigh(mind, new, versions, known)
    act = books.record_judgement
    got: Batch | None = yield Commit("", lambda ledger: act(ledger, batch, claims, told))
    return got


def weigh(
    mind: Mind, new: tuple[str, ...], versions: dict[str, int], known: dict[str, str]
) -> tuple[Batch, tuple[Claim, ...], tuple[Outcome, ...]]:
    """Who is sent in what batch, and who is known already."""
    # Minted anew for every judgement: the versions tell two of one run apart.
    batch_id = f"B-{mind.name}-{sum(versions.values())}"
    batch = Batch(batch_id, "planned", mind.carrier, mind.operation, holder=mind.name)
    told = {} if mind.operation == "update" else known
    sent = [one for one in new if one not in told]
    claims = tuple(Claim(person, batch_id, versions[person]) for person in sent)
    return batch, claims, tuple(Outcome(one, "duplicate", told[one]) for one in told)


def carry(protocol: Protocol, mind: Mind) -> Unit:
    """One step of the batch whose turn it is, and what the carrier makes of how it ended."""
    batch, memory = mind.carried[mind.turn], Memory(mind)
    try:
        after = yield from protocol.steps[batch.carrier, batch.batch_state](protocol, memory, batch)
        word = "busy" if after == batch else after.batch_state
    except FencedOff:
        after, word = None, "FencedOff"
    except (OrgUnreachable, WarehouseUnavailable) as trouble:
        after = yield Read(lambda world: books.find(world.ledger, batch.batch_id))
        word = type(trouble).__name__
    except (OrgRefused, LedgerDisagrees) as trouble:
        after = yield Read(lambda world: books.find(world.ledger, batch.batch_id))
        word = type(trouble).__name__
        if protocol.is_alarm_checked and after is not None and after.fence != batch.fence:
            return next_turn(memory, batch, after, word)
        return stopped(mind, word)._replace(is_alarm=True)
    return next_turn(memory, batch, after, word)


def next_turn(memory: Memory, batch: Batch, after: Batch | None, word: str) -> Ended:
    """`Carrier._replace`: drop the batch, or go on with it, now or after a sleep."""
    mind = memory.mind
    others = (mind.carried[: mind.turn], mind.carried[mind.turn + 1 :])
    if after is None or after.batch_state == "settled" or after.fence != batch.fence:
        memory.forget_batch(batch.batch_id)
        carried, turn = others[0] + others[1], mind.turn
    else:
        went_on = word in books.STATES
        carried = (*others[0], after, *others[1])
        turn = mind.turn if went_on else mind.turn + 1
    is_round = turn == len(carried)
    turn = 0 if is_round else turn
    return Ended(memory.mind_with(carried=carried, turn=turn), word, is_round and bool(carried))


def stopped(mind: Mind, word: str = "stopped") -> Ended:
    """The run ends with an error; what it carried stays open in the ledger."""
    return Ended(mind._replace(agenda=(), carried=()), word)


STEPS: Mapping[tuple[str, str], StepFunction] = {
    ("bulk", "planned"): open_job,
    ("bulk", "opened"): throw_away_job,
    ("bulk", "closing"): follow_job,
    ("collections", "planned"): send_collection,
    ("collections", "closing"): recover_collection,
}
UNITS: Mapping[str, UnitFunction] = {"begin": begin, "take": take, "judge": judge, "carry": carry}
MODES: Mapping[str, tuple[str, ...]] = {
    "nightly": ("begin", "take", "judge"),
    "resume": ("begin", "take"),
    "now": ("begin", "judge"),
}


def as_it_is(has_field: bool) -> Protocol:
    """The protocol of the code."""
    return Protocol(has_field, STEPS, UNITS)
