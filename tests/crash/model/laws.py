"""What must hold, whatever happens: while requests arrive, and when everything has come to rest.

I1 to I7 are the invariants of the design (B2 of delivery). I1 needs no check here: persons are the
keys of claims and outcomes.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.crash.model import ledger_side
from tests.crash.model.ledger_side import Ledger, Outcome
from tests.crash.model.ops import Call, World
from tests.crash.model.org import RUNNING, Job, Org

TWICE = "a second lead"
LOST = "a person lost"
NO_WORD = "a person without a word"
WRONG_WORD = "a wrong word"
TWO_WORDS = "two different words"
EDIT_LOST = "an edit overwritten"
HELD = "held without need"
EARLIER_JOB = "an earlier job still works (I2)"
UNKNOWN_JOB = "a job used before it was noted (I3)"
NO_INTENT = "closed before the intent (I3)"
TWO_UPLOADS = "uploaded twice (I3)"
OTHER_ROWS = "other rows than claimed (I4)"
ALARM = "a run stopped for nothing"
ENDLESS = "a batch that never ends"
OTHER_ORG = "another org's ledger (I7)"

# More than any budget that is searched accounts for.
MAX_ATTEMPTS: Final = 9


def is_endless(world: World) -> bool:
    """Whether a batch has set out so often that it will go on for ever."""
    return any(batch.attempt_count > MAX_ATTEMPTS for batch in world.ledger.batches)


def on_arrival(world: World, call: Call) -> frozenset[str]:
    """The laws that a request breaks by having its effect now."""
    if call.name not in ("upload", "close_job"):
        return frozenset()
    job = next((one for one in world.org.jobs if one.job_id == call.arguments[0]), None)
    if job is None or job.is_gone or job.state != "Open":
        return frozenset()
    known = next((one for one in world.ledger.jobs if one.job_id == job.job_id), None)
    if known is None:
        return frozenset({UNKNOWN_JOB})
    if call.name == "upload":
        return frozenset({TWO_UPLOADS} if job.rows is not None else ())
    broken = () if known.is_to_close else (NO_INTENT,)
    if job.is_spoiled:
        return frozenset(broken)
    return frozenset((*broken, *_on_start(world, job, known.batch_id)))


def _on_start(world: World, job: Job, batch_id: str) -> list[str]:
    rows = job.rows or ()
    broken = [] if set(rows) == set(ledger_side.held_by(world.ledger, batch_id)) else [OTHER_ROWS]
    for other in world.org.jobs:
        shared = set(rows) & set(other.left)
        if other.job_id != job.job_id and other.state in RUNNING and shared and not other.is_gone:
            broken.append(EARLIER_JOB)
    return broken


def at_rest(world: World, persons: tuple[str, ...]) -> frozenset[str]:
    """The laws broken when no run is under way and nothing more will happen."""
    org, ledger = world.org, world.ledger
    words = {one.person: one for one in ledger.outcomes}
    broken = set(world.broken) | ({ENDLESS} if is_endless(world) else set())
    counts = Counter(person for person, _ in org.leads)
    if any(count > 1 for count in counts.values()):
        broken.add(TWICE)
    for person in persons:
        broken |= _of_person(world, person, words.get(person), counts[person])
    if ledger.is_contradicted:
        broken.add(TWO_WORDS)
    if org.is_edit_lost:
        broken.add(EDIT_LOST)
    return frozenset(broken)


def _of_person(world: World, person: str, word: Outcome | None, lead_count: int) -> set[str]:
    if word is None or person in _claimed(world.ledger):
        return {NO_WORD}
    if word.outcome == "held":
        return set() if person in world.unknowable else {HELD}
    if not _is_true(world.org, person, word):
        return {WRONG_WORD}
    is_lost = not lead_count and word.outcome != "rejected" and person not in world.org.strangers
    return {LOST} if is_lost else set()


def _claimed(ledger: Ledger) -> set[str]:
    return {claim.person for claim in ledger.claims}


def _is_true(org: Org, person: str, word: Outcome) -> bool:
    if person in org.strangers:
        return word.outcome == "duplicate" and word.lead is None
    if word.outcome == "rejected":
        # Only rows that failed for a passing cause until the last attempt end so.
        return not any(who == person for who, _ in org.leads)
    return (person, word.lead) in org.leads
