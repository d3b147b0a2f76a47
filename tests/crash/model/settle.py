"""How the model turns answers into outcomes: `pipelines/steps/reconcile.py` in small."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from tests.crash.model import ledger_side
from tests.crash.model.faults import LedgerInconsistentError
from tests.crash.model.ledger_side import Batch, Outcome
from tests.crash.model.ops import Answers, Call, Commit, Memory, Op, Read, Step
from tests.crash.model.org import KNOWN_BY_FIELD, KNOWN_BY_RULE, LOCKED, Status

if TYPE_CHECKING:
    from tests.crash.model.protocol import Protocol

LEFT = "left"
# What the answers say of each person: "made L1", a code, LEFT; who is missing is unknown.
Told = dict[str, tuple[str, str | None]]


def reconcile_job(protocol: Protocol, memory: Memory, batch: Batch, job: Status) -> Step:
    """Read the three files until they add up, at most so often, and settle."""
    persons = yield from held(batch)
    told: Told = {}
    for _ in range(protocol.read_times):
        made, refused, left = yield from read_files(batch.salesforce_job_id)
        told = dict.fromkeys(left, (LEFT, None))
        told |= {person: (code, None) for person, code in refused}
        told |= {person: ("made", lead) for person, lead in made}
        if told.keys() - set(persons):
            raise LedgerInconsistentError
        counts = (len(made) + len(refused), len(refused))
        is_whole = len(told) == len(persons) or not protocol.is_left_counted
        if counts == (job.processed_count, job.failed_count) and is_whole:
            break
        if not protocol.are_counts_compared:
            told = dict.fromkeys(persons, (LEFT, None)) | told
            break
    return (yield from settle(protocol, batch, persons, told, job.state))


def read_files(job_id: str | None) -> Generator[Op, Any, tuple[Answers, Answers, tuple[str, ...]]]:
    """Three requests, between which the org goes on."""
    made = yield Call("read_made", (job_id,))
    refused = yield Call("read_refused", (job_id,))
    left = yield Call("read_left", (job_id,))
    return made, refused, left


def reconcile_collection(
    protocol: Protocol, memory: Memory, batch: Batch, answers: Answers
) -> Step:
    """The answers of one call."""
    persons = yield from held(batch)
    told: Told = {
        person: (word[1:], None) if word.startswith("!") else ("made", word)
        for person, word in answers
    }
    return (yield from settle(protocol, batch, persons, told, None))


def reconcile_without_job(protocol: Protocol, memory: Memory, batch: Batch) -> Step:
    """Nothing is told: what the org still knows decides."""
    persons = yield from held(batch)
    end_state = "Gone" if batch.load_api == "bulk" else None
    return (yield from settle(protocol, batch, persons, {}, end_state))


def held(batch: Batch) -> Generator[Op, Any, tuple[str, ...]]:
    """Whom the batch holds now."""
    persons: tuple[str, ...] = yield Read(
        lambda world: ledger_side.held_by(world.ledger, batch.batch_id)
    )
    return persons


def settle(
    protocol: Protocol, batch: Batch, persons: tuple[str, ...], told: Told, end_state: str | None
) -> Step:
    """Ask for whom no answer speaks, read the owners back, and record it all in one."""
    found: Answers = ()
    doubtful = tuple(p for p in persons if told.get(p, (KNOWN_BY_FIELD,))[0] == KNOWN_BY_FIELD)
    if protocol.has_field and batch.operation == "insert" and doubtful:
        found = yield Call("ask_persons", (doubtful,))
    words = {one: word_on(protocol, batch, one, told.get(one), dict(found)) for one in persons}
    outcomes = tuple(word for word in words.values() if word is not None)
    made = tuple(one.lead for one in outcomes if one.outcome in ("created", "updated") and one.lead)
    if made:
        yield Call("read_owners", (made,))
    return (yield from protocol.record(protocol, batch, outcomes, end_state))


def record(
    protocol: Protocol, batch: Batch, outcomes: tuple[Outcome, ...], end_state: str | None
) -> Step:
    """T4."""
    fenced = protocol.is_fenced
    act = ledger_side.settle
    after: Batch = yield Commit(
        batch.batch_id, lambda ledger: act(ledger, batch, outcomes, end_state, fenced)
    )
    return after


def word_on(
    protocol: Protocol,
    batch: Batch,
    person: str,
    told: tuple[str, str | None] | None,
    found: dict[str, str],
) -> Outcome | None:
    """What became of a person; None for those who take part in the next attempt."""
    code, lead = told or (None, None)
    is_insert = batch.operation == "insert"
    if code == "made":
        return Outcome(person, "created" if is_insert else "updated", lead)
    if person in found:
        return Outcome(person, "created", found[person])
    if code == LEFT and not protocol.are_left_kept:
        return Outcome(person, "rejected")
    may_repeat = protocol.has_field or not is_insert or not protocol.is_gone_held
    is_transient = code in (LEFT, LOCKED) or (code is None and may_repeat)
    if is_transient and batch.attempt_count < protocol.most_attempts:
        return None
    if code == KNOWN_BY_RULE:
        return Outcome(person, "duplicate")
    return Outcome(person, "held" if code is None else "rejected")
