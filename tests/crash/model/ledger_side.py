"""The ledger of the model: batches, claims, outcomes, known jobs. Each function is one transaction.

As in the code, a batch is moved only from the state, the fencing token and the holder that the
caller has seen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.crash.model.faults import LeaseLostError, OrgMismatchError

STATES = ("pending", "uploading", "submitted", "completed")


class Batch(NamedTuple):
    """A row of lead_batches as it stood when last seen."""

    batch_id: str
    batch_state: str
    load_api: str
    operation: str
    holder: str
    salesforce_job_id: str | None = None
    attempt_count: int = 1
    fencing_token: int = 1


class Claim(NamedTuple):
    """A person held by a batch, and which version of the source row was judged."""

    person: str
    batch_id: str
    version: int


class Outcome(NamedTuple):
    """The word on a person."""

    person: str
    outcome: str
    lead: str | None = None


class KnownJob(NamedTuple):
    """A row of salesforce_jobs; `is_to_close` once the intent to close it was committed."""

    job_id: str
    batch_id: str
    is_to_close: bool = False
    end_state: str | None = None


class Ledger(NamedTuple):
    """Everything the warehouse remembers."""

    org_id: str | None = None
    batches: tuple[Batch, ...] = ()
    claims: tuple[Claim, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    jobs: tuple[KnownJob, ...] = ()
    is_contradicted: bool = False  # somebody got a second, different outcome


def find(ledger: Ledger, batch_id: str) -> Batch | None:
    """The batch as it stands now."""
    return next((one for one in ledger.batches if one.batch_id == batch_id), None)


def held_by(ledger: Ledger, batch_id: str) -> tuple[str, ...]:
    """Whom a batch holds."""
    return tuple(claim.person for claim in ledger.claims if claim.batch_id == batch_id)


def new_persons(ledger: Ledger, persons: tuple[str, ...]) -> tuple[str, ...]:
    """Those without a claim and without an outcome."""
    known = {claim.person for claim in ledger.claims} | {one.person for one in ledger.outcomes}
    return tuple(person for person in persons if person not in known)


def bind(ledger: Ledger, org_id: str) -> tuple[Ledger, None]:
    """The first login ties the ledger to its org."""
    if ledger.org_id not in (None, org_id):
        raise OrgMismatchError
    return ledger._replace(org_id=org_id), None


def move(ledger: Ledger, seen: Batch, is_fenced: bool = True, **changes: Any) -> Ledger:
    """Compare and set; `is_fenced` off is a planted bug."""
    now = find(ledger, seen.batch_id)
    is_same = now is not None and (now.batch_state, now.fencing_token, now.holder) == (
        seen.batch_state,
        seen.fencing_token,
        seen.holder,
    )
    if now is None or (is_fenced and not is_same):
        raise LeaseLostError
    after = now._replace(**changes)
    batches = tuple(after if one.batch_id == seen.batch_id else one for one in ledger.batches)
    return ledger._replace(batches=batches)


def moved(ledger: Ledger, batch_id: str) -> tuple[Ledger, Batch]:
    """The ledger, and the batch as it stands in it."""
    batch = find(ledger, batch_id)
    assert batch is not None
    return ledger, batch


def record_slice(
    ledger: Ledger, batch: Batch, claims: tuple[Claim, ...], known: tuple[Outcome, ...]
) -> tuple[Ledger, Batch | None]:
    """T1: claims and batch, and a word for who is known already, of those that nobody else has."""
    named = [claim.person for claim in claims] + [one.person for one in known]
    free = new_persons(ledger, tuple(named))
    got = tuple(claim for claim in claims if claim.person in free)
    told = tuple(one for one in known if one.person in free)
    ledger = ledger._replace(
        claims=tuple(sorted((*ledger.claims, *got))), outcomes=_sorted((*ledger.outcomes, *told))
    )
    if not got:
        return ledger, None
    return ledger._replace(batches=(*ledger.batches, batch)), batch


def record_job(
    ledger: Ledger, batch: Batch, job_id: str, is_fenced: bool = True
) -> tuple[Ledger, Batch]:
    """T2. pending → uploading."""
    ledger = move(ledger, batch, is_fenced, batch_state="uploading", salesforce_job_id=job_id)
    known = KnownJob(job_id, batch.batch_id)
    return moved(ledger._replace(jobs=(*ledger.jobs, known)), batch.batch_id)


def record_submitted(ledger: Ledger, batch: Batch, is_fenced: bool = True) -> tuple[Ledger, Batch]:
    """T3. uploading → submitted; pending → submitted for collections."""
    ledger = move(ledger, batch, is_fenced, batch_state="submitted")
    ledger = _note(ledger, batch.salesforce_job_id, is_to_close=True)
    return moved(ledger, batch.batch_id)


def renew_lease(ledger: Ledger, batch: Batch, is_fenced: bool = True) -> tuple[Ledger, None]:
    """Still ours?"""
    return move(ledger, batch, is_fenced), None


def discard_job(
    ledger: Ledger, batch: Batch, end_state: str | None, is_fenced: bool = True
) -> tuple[Ledger, Batch]:
    """Everybody stays for another attempt. opened or submitted → pending."""
    ledger = _return(ledger, batch, is_fenced)
    ledger = _note(ledger, batch.salesforce_job_id, end_state=end_state)
    return moved(ledger, batch.batch_id)


def release(
    ledger: Ledger, batch: Batch, persons: tuple[str, ...], is_fenced: bool = True
) -> tuple[Ledger, Batch]:
    """Let persons go whose source rows changed; they are new again."""
    ledger = _drop_claims(move(ledger, batch, is_fenced), persons)
    if not held_by(ledger, batch.batch_id):
        ledger = move(ledger, batch, is_fenced, batch_state="completed")
    return moved(ledger, batch.batch_id)


def settle(
    ledger: Ledger,
    batch: Batch,
    outcomes: tuple[Outcome, ...],
    end_state: str | None,
    is_fenced: bool = True,
) -> tuple[Ledger, Batch]:
    """T4: outcomes and state in one. submitted → completed, or planned when persons stay."""
    ledger = tell(move(ledger, batch, is_fenced), outcomes)
    ledger = _note(ledger, batch.salesforce_job_id, end_state=end_state)
    if held_by(ledger, batch.batch_id):
        ledger = _return(ledger, batch, is_fenced)
    else:
        ledger = move(ledger, batch, is_fenced, batch_state="completed")
    return moved(ledger, batch.batch_id)


def tell(ledger: Ledger, outcomes: tuple[Outcome, ...]) -> Ledger:
    """Outcomes in, claims out. A second word that differs is what must never be."""
    told = {one.person: one for one in ledger.outcomes}
    contradicted = any(told.get(one.person, one) != one for one in outcomes)
    told |= {one.person: one for one in outcomes}
    ledger = ledger._replace(
        outcomes=_sorted(tuple(told.values())),
        is_contradicted=ledger.is_contradicted or contradicted,
    )
    return _drop_claims(ledger, tuple(one.person for one in outcomes))


def take(
    ledger: Ledger, taker: str, found: tuple[tuple[str, int], ...]
) -> tuple[Ledger, tuple[Batch, ...]]:
    """Take these batches over as they were seen (id, fencing token), each under a higher token.

    Of two takers one wins.
    """
    taken: list[Batch] = []
    for batch_id, fencing_token in found:
        _, batch = moved(ledger, batch_id)
        if batch.fencing_token == fencing_token and batch.batch_state != "completed":
            taken.append(batch._replace(fencing_token=fencing_token + 1, holder=taker))
            ledger = move(ledger, batch, fencing_token=fencing_token + 1, holder=taker)
    return ledger, tuple(taken)


def _return(ledger: Ledger, batch: Batch, is_fenced: bool) -> Ledger:
    return move(
        ledger,
        batch,
        is_fenced,
        batch_state="pending",
        salesforce_job_id=None,
        attempt_count=batch.attempt_count + 1,
    )


def _note(ledger: Ledger, job_id: str | None, **changes: Any) -> Ledger:
    jobs = tuple(one._replace(**changes) if one.job_id == job_id else one for one in ledger.jobs)
    return ledger._replace(jobs=jobs)


def _drop_claims(ledger: Ledger, persons: tuple[str, ...]) -> Ledger:
    return ledger._replace(claims=tuple(c for c in ledger.claims if c.person not in persons))


def _sorted(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    return tuple(sorted(outcomes, key=lambda one: one.person))
