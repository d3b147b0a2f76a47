"""The ledger of the model: batches, claims, outcomes, jobs. Each function is one transaction.

As in the code, a batch is changed only if state, fencing token and lease are as they were read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.crash.model.errors import LeaseLostError, OrgMismatchError

STATES = ("pending", "uploading", "submitted", "completed")


class Batch(NamedTuple):
    """A row of lead_batches as it was last read."""

    batch_id: str
    batch_state: str
    load_api: str
    operation: str
    leased_by: str
    salesforce_job_id: str | None = None
    attempt_count: int = 1
    fencing_token: int = 1


class Claim(NamedTuple):
    """A person in an open batch, and the version of the source row that was read."""

    person: str
    batch_id: str
    version: int


class Outcome(NamedTuple):
    """What became of a person."""

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
    """Everything that the warehouse remembers."""

    org_id: str | None = None
    batches: tuple[Batch, ...] = ()
    claims: tuple[Claim, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    jobs: tuple[KnownJob, ...] = ()
    is_contradicted: bool = False  # a person has got a second, different outcome


def find(ledger: Ledger, batch_id: str) -> Batch | None:
    """Return the batch as it is now."""
    return next((one for one in ledger.batches if one.batch_id == batch_id), None)


def claimed_by(ledger: Ledger, batch_id: str) -> tuple[str, ...]:
    """Return the persons with a claim in the batch."""
    return tuple(claim.person for claim in ledger.claims if claim.batch_id == batch_id)


def new_persons(ledger: Ledger, persons: tuple[str, ...]) -> tuple[str, ...]:
    """Return the persons without a claim and without an outcome."""
    known = {claim.person for claim in ledger.claims} | {one.person for one in ledger.outcomes}
    return tuple(person for person in persons if person not in known)


def bind(ledger: Ledger, org_id: str) -> tuple[Ledger, None]:
    """Record the org at the first login. Raise OrgMismatchError for another org."""
    if ledger.org_id not in (None, org_id):
        raise OrgMismatchError
    return ledger._replace(org_id=org_id), None


def move(ledger: Ledger, read: Batch, is_fenced: bool = True, **changes: Any) -> Ledger:
    """Change a batch that is as it was read. Raise LeaseLostError if it is not.

    Without `is_fenced` this is a planted bug.
    """
    now = find(ledger, read.batch_id)
    is_same = now is not None and (now.batch_state, now.fencing_token, now.leased_by) == (
        read.batch_state,
        read.fencing_token,
        read.leased_by,
    )
    if now is None or (is_fenced and not is_same):
        raise LeaseLostError
    after = now._replace(**changes)
    batches = tuple(after if one.batch_id == read.batch_id else one for one in ledger.batches)
    return ledger._replace(batches=batches)


def with_batch(ledger: Ledger, batch_id: str) -> tuple[Ledger, Batch]:
    """Return the ledger, and the batch as it is in it."""
    batch = find(ledger, batch_id)
    assert batch is not None
    return ledger, batch


def record_slice(
    ledger: Ledger, batch: Batch, claims: tuple[Claim, ...], duplicates: tuple[Outcome, ...]
) -> tuple[Ledger, Batch | None]:
    """T1: record claims, batch and duplicates, except for persons that another run has got first.

    Return no batch when no claim remains.
    """
    persons = [claim.person for claim in claims] + [one.person for one in duplicates]
    free = new_persons(ledger, tuple(persons))
    free_claims = tuple(claim for claim in claims if claim.person in free)
    outcomes = tuple(one for one in duplicates if one.person in free)
    ledger = ledger._replace(
        claims=tuple(sorted((*ledger.claims, *free_claims))),
        outcomes=_sorted((*ledger.outcomes, *outcomes)),
    )
    if not free_claims:
        return ledger, None
    return ledger._replace(batches=(*ledger.batches, batch)), batch


def record_job(
    ledger: Ledger, batch: Batch, job_id: str, is_fenced: bool = True
) -> tuple[Ledger, Batch]:
    """T2: record the job. pending → uploading."""
    ledger = move(ledger, batch, is_fenced, batch_state="uploading", salesforce_job_id=job_id)
    known = KnownJob(job_id, batch.batch_id)
    return with_batch(ledger._replace(jobs=(*ledger.jobs, known)), batch.batch_id)


def record_submitted(ledger: Ledger, batch: Batch, is_fenced: bool = True) -> tuple[Ledger, Batch]:
    """T3: record the intent to start. uploading → submitted; collections: pending → submitted."""
    ledger = move(ledger, batch, is_fenced, batch_state="submitted")
    ledger = _update_job(ledger, batch.salesforce_job_id, is_to_close=True)
    return with_batch(ledger, batch.batch_id)


def renew_lease(ledger: Ledger, batch: Batch, is_fenced: bool = True) -> tuple[Ledger, None]:
    """Change nothing. Raise LeaseLostError if another run has the batch."""
    return move(ledger, batch, is_fenced), None


def discard_job(
    ledger: Ledger, batch: Batch, end_state: str | None, is_fenced: bool = True
) -> tuple[Ledger, Batch]:
    """Keep all persons for another attempt. uploading or submitted → pending."""
    ledger = _back_to_pending(ledger, batch, is_fenced)
    ledger = _update_job(ledger, batch.salesforce_job_id, end_state=end_state)
    return with_batch(ledger, batch.batch_id)


def release_persons(
    ledger: Ledger, batch: Batch, persons: tuple[str, ...], is_fenced: bool = True
) -> tuple[Ledger, Batch]:
    """Release persons whose source rows have changed. They are new again."""
    ledger = _remove_claims(move(ledger, batch, is_fenced), persons)
    if not claimed_by(ledger, batch.batch_id):
        ledger = move(ledger, batch, is_fenced, batch_state="completed")
    return with_batch(ledger, batch.batch_id)


def record_results(
    ledger: Ledger,
    batch: Batch,
    outcomes: tuple[Outcome, ...],
    end_state: str | None,
    is_fenced: bool = True,
) -> tuple[Ledger, Batch]:
    """T4: record outcomes and state. submitted → completed, or pending if persons remain."""
    ledger = record_outcomes(move(ledger, batch, is_fenced), outcomes)
    ledger = _update_job(ledger, batch.salesforce_job_id, end_state=end_state)
    if claimed_by(ledger, batch.batch_id):
        ledger = _back_to_pending(ledger, batch, is_fenced)
    else:
        ledger = move(ledger, batch, is_fenced, batch_state="completed")
    return with_batch(ledger, batch.batch_id)


def record_outcomes(ledger: Ledger, outcomes: tuple[Outcome, ...]) -> Ledger:
    """Replace claims by outcomes. Mark the ledger if a person has got a different one before."""
    recorded = {one.person: one for one in ledger.outcomes}
    is_contradicted = any(recorded.get(one.person, one) != one for one in outcomes)
    recorded |= {one.person: one for one in outcomes}
    ledger = ledger._replace(
        outcomes=_sorted(tuple(recorded.values())),
        is_contradicted=ledger.is_contradicted or is_contradicted,
    )
    return _remove_claims(ledger, tuple(one.person for one in outcomes))


def take_over(
    ledger: Ledger, taker: str, found: tuple[tuple[str, int], ...]
) -> tuple[Ledger, tuple[Batch, ...]]:
    """Take over the batches that are as they were found (id, fencing token), with a higher token.

    If two runs take a batch over, only one of them gets it.
    """
    taken: list[Batch] = []
    for batch_id, fencing_token in found:
        _, batch = with_batch(ledger, batch_id)
        if batch.fencing_token == fencing_token and batch.batch_state != "completed":
            taken.append(batch._replace(fencing_token=fencing_token + 1, leased_by=taker))
            ledger = move(ledger, batch, fencing_token=fencing_token + 1, leased_by=taker)
    return ledger, tuple(taken)


def _back_to_pending(ledger: Ledger, batch: Batch, is_fenced: bool) -> Ledger:
    return move(
        ledger,
        batch,
        is_fenced,
        batch_state="pending",
        salesforce_job_id=None,
        attempt_count=batch.attempt_count + 1,
    )


def _update_job(ledger: Ledger, job_id: str | None, **changes: Any) -> Ledger:
    jobs = tuple(one._replace(**changes) if one.job_id == job_id else one for one in ledger.jobs)
    return ledger._replace(jobs=jobs)


def _remove_claims(ledger: Ledger, persons: tuple[str, ...]) -> Ledger:
    return ledger._replace(claims=tuple(c for c in ledger.claims if c.person not in persons))


def _sorted(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    return tuple(sorted(outcomes, key=lambda one: one.person))
