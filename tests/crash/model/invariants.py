"""What must hold in every schedule: when a request arrives, and at the end.

I1 to I7 number the invariants of the delivery protocol. I1 needs no check here: persons are the
keys of claims and outcomes.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.crash.model import ledger_model
from tests.crash.model.ledger_model import Ledger, Outcome
from tests.crash.model.ops import Call, World
from tests.crash.model.org import RUNNING, Job, Org

SECOND_LEAD = "a second lead"
LOST = "a person lost"
NO_OUTCOME = "a person without an outcome"
WRONG_OUTCOME = "a wrong outcome"
TWO_OUTCOMES = "two different outcomes"
EDIT_LOST = "an edit overwritten"
NEEDLESSLY_HELD = "held without need"
EARLIER_JOB = "an earlier job still works (I2)"
UNKNOWN_JOB = "a job used before it was recorded (I3)"
NO_INTENT = "closed before the intent (I3)"
TWO_UPLOADS = "uploaded twice (I3)"
OTHER_ROWS = "other rows than claimed (I4)"
NEEDLESS_STOP = "a run stopped without need"
ENDLESS = "a batch that never ends"
OTHER_ORG = "another org's ledger (I7)"

# More attempts than any budget that is searched can explain.
MAX_ATTEMPTS: Final = 9


def is_endless(world: World) -> bool:
    """Whether a batch has had so many attempts that it will never end."""
    return any(batch.attempt_count > MAX_ATTEMPTS for batch in world.ledger.batches)


def broken_on_arrival(world: World, call: Call) -> frozenset[str]:
    """Return the invariants that a request breaks by having its effect now."""
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
    return frozenset((*broken, *_broken_on_start(world, job, known.batch_id)))


def _broken_on_start(world: World, job: Job, batch_id: str) -> list[str]:
    rows = job.rows or ()
    claimed = set(ledger_model.claimed_by(world.ledger, batch_id))
    broken = [] if set(rows) == claimed else [OTHER_ROWS]
    for other in world.org.jobs:
        shared = set(rows) & set(other.unprocessed)
        if other.job_id != job.job_id and other.state in RUNNING and shared and not other.is_gone:
            broken.append(EARLIER_JOB)
    return broken


def broken_at_end(world: World, persons: tuple[str, ...]) -> frozenset[str]:
    """Return the invariants broken when no run is active and nothing more will happen."""
    org, ledger = world.org, world.ledger
    outcomes = {one.person: one for one in ledger.outcomes}
    broken = set(world.broken) | ({ENDLESS} if is_endless(world) else set())
    counts = Counter(person for person, _ in org.leads)
    if any(count > 1 for count in counts.values()):
        broken.add(SECOND_LEAD)
    for person in persons:
        broken |= _broken_for(world, person, outcomes.get(person), counts[person])
    if ledger.is_contradicted:
        broken.add(TWO_OUTCOMES)
    if org.is_edit_lost:
        broken.add(EDIT_LOST)
    return frozenset(broken)


def _broken_for(world: World, person: str, outcome: Outcome | None, lead_count: int) -> set[str]:
    if outcome is None or person in _claimed(world.ledger):
        return {NO_OUTCOME}
    if outcome.outcome == "held":
        return set() if person in world.unknowable else {NEEDLESSLY_HELD}
    if not _is_correct(world.org, person, outcome):
        return {WRONG_OUTCOME}
    has_reason = outcome.outcome == "rejected" or person in world.org.blocked_persons
    return set() if lead_count or has_reason else {LOST}


def _claimed(ledger: Ledger) -> set[str]:
    return {claim.person for claim in ledger.claims}


def _is_correct(org: Org, person: str, outcome: Outcome) -> bool:
    if person in org.blocked_persons:
        return outcome.outcome == "duplicate" and outcome.lead is None
    if outcome.outcome == "rejected":
        # Only persons who failed for a transient cause in every attempt end so.
        return not any(one == person for one, _ in org.leads)
    return (person, outcome.lead) in org.leads
