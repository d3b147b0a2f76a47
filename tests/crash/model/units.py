"""What surrounds the steps of a run: logging in, taking over, judging, and carrying.

`runs.take_over_stale_batches`, `judging.transform_slice` and `Carrier` in small.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from tests.crash.model import ledger_side
from tests.crash.model.faults import (
    LeaseLostError,
    LedgerInconsistentError,
    OrgMismatchError,
    OrgRejectedError,
    OrgUnavailableError,
    WarehouseUnavailableError,
)
from tests.crash.model.ledger_side import Batch, Claim, Outcome
from tests.crash.model.ops import (
    Call,
    Choose,
    Commit,
    Ended,
    LookAround,
    Memory,
    Mind,
    Op,
    Read,
    Unit,
)
from tests.crash.model.protocol import STEPS, Protocol, UnitFunction


def begin(protocol: Protocol, mind: Mind) -> Unit:
    """Log in, and see that the ledger is this org's."""
    act = ledger_side.bind if protocol.is_org_compared else _bind_anything
    try:
        yield Commit("", lambda ledger: act(ledger, mind.org_id))
    except (OrgMismatchError, WarehouseUnavailableError):
        return stopped(mind)
    return Ended(mind._replace(agenda=mind.agenda[1:]), "began")


def _bind_anything(ledger: ledger_side.Ledger, org_id: str) -> tuple[ledger_side.Ledger, None]:
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
            taken = yield Commit("", lambda ledger: ledger_side.take(ledger, mind.name, found))
        except WarehouseUnavailableError:
            return stopped(mind)
    return Ended(mind._replace(agenda=mind.agenda[1:], carried=mind.carried + taken), "took")


def judge(protocol: Protocol, mind: Mind) -> Unit:
    """Read who is new, ask the org whom it knows, claim the rest in one batch (T1)."""
    new, versions = yield Read(
        lambda world: (ledger_side.new_persons(world.ledger, mind.persons), world.versions)
    )
    after = mind._replace(agenda=mind.agenda[1:])
    if not new:
        return Ended(after, "judged")
    try:
        known = (yield Call("ask_persons", (new,))) if protocol.has_field else ()
        batch = yield from record_slice(mind, new, dict(versions), dict(known))
    except (OrgUnavailableError, WarehouseUnavailableError):
        return stopped(mind)
    if batch is None:
        return Ended(after, "judged")
    rows = yield Read(lambda world: ledger_side.held_by(world.ledger, batch.batch_id))
    memory = Memory(after)
    memory.payloads[batch.batch_id] = rows
    return Ended(memory.mind_with(carried=(*after.carried, batch)), "judged")


def record_slice(
    mind: Mind, new: tuple[str, ...], versions: dict[str, int], known: dict[str, str]
) -> Generator[Op, Any, Batch | None]:
    """One transaction for claims, words and batch."""
    batch, claims, told = weigh(mind, new, versions, known)
    act = ledger_side.record_slice
    got: Batch | None = yield Commit("", lambda ledger: act(ledger, batch, claims, told))
    return got


def weigh(
    mind: Mind, new: tuple[str, ...], versions: dict[str, int], known: dict[str, str]
) -> tuple[Batch, tuple[Claim, ...], tuple[Outcome, ...]]:
    """Who is sent in what batch, and who is known already."""
    # Minted anew for every judgement: the versions tell two of one run apart.
    batch_id = f"B-{mind.name}-{sum(versions.values())}"
    batch = Batch(batch_id, "pending", mind.load_api, mind.operation, holder=mind.name)
    told = {} if mind.operation == "update" else known
    sent = [one for one in new if one not in told]
    claims = tuple(Claim(person, batch_id, versions[person]) for person in sent)
    return batch, claims, tuple(Outcome(one, "duplicate", told[one]) for one in told)


def carry(protocol: Protocol, mind: Mind) -> Unit:
    """One step of the batch whose turn it is, and what the load_api makes of how it ended."""
    batch, memory = mind.carried[mind.turn], Memory(mind)
    try:
        after = yield from protocol.steps[batch.load_api, batch.batch_state](
            protocol, memory, batch
        )
        word = "busy" if after == batch else after.batch_state
    except LeaseLostError:
        after, word = None, "LeaseLostError"
    except (OrgUnavailableError, WarehouseUnavailableError) as trouble:
        after = yield Read(lambda world: ledger_side.find(world.ledger, batch.batch_id))
        word = type(trouble).__name__
    except (OrgRejectedError, LedgerInconsistentError) as trouble:
        after = yield Read(lambda world: ledger_side.find(world.ledger, batch.batch_id))
        word = type(trouble).__name__
        if (
            protocol.is_alarm_checked
            and after is not None
            and after.fencing_token != batch.fencing_token
        ):
            return next_turn(memory, batch, after, word)
        return stopped(mind, word)._replace(is_alarm=True)
    return next_turn(memory, batch, after, word)


def next_turn(memory: Memory, batch: Batch, after: Batch | None, word: str) -> Ended:
    """`Carrier._replace`: drop the batch, or go on with it, now or after a sleep."""
    mind = memory.mind
    others = (mind.carried[: mind.turn], mind.carried[mind.turn + 1 :])
    if (
        after is None
        or after.batch_state == "completed"
        or after.fencing_token != batch.fencing_token
    ):
        memory.forget_batch(batch.batch_id)
        carried, turn = others[0] + others[1], mind.turn
    else:
        went_on = word in ledger_side.STATES
        carried = (*others[0], after, *others[1])
        turn = mind.turn if went_on else mind.turn + 1
    is_round = turn == len(carried)
    turn = 0 if is_round else turn
    return Ended(memory.mind_with(carried=carried, turn=turn), word, is_round and bool(carried))


def stopped(mind: Mind, word: str = "stopped") -> Ended:
    """The run ends with an error; what it carried stays open in the ledger."""
    return Ended(mind._replace(agenda=(), carried=()), word)


UNITS: Mapping[str, UnitFunction] = {"begin": begin, "take": take, "judge": judge, "carry": carry}
MODES: Mapping[str, tuple[str, ...]] = {
    "nightly": ("begin", "take", "judge"),
    "resume": ("begin", "take"),
    "now": ("begin", "judge"),
}


def as_it_is(has_field: bool) -> Protocol:
    """The protocol of the code."""
    return Protocol(has_field, STEPS, UNITS)
