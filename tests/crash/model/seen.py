"""What a transaction did to a batch, in words: the same words for the model and for the code."""

from __future__ import annotations

from typing import NamedTuple

from tests.crash.model import ledger_side
from tests.crash.model.ledger_side import Ledger


class Seen(NamedTuple):
    """What can be seen of a batch and its persons in the ledger at one instant."""

    batch_state: str = "none"
    salesforce_job_id: str | None = None
    attempt_count: int = 1
    fencing_token: int = 1
    claim_count: int = 0
    outcome_count: int = 0
    job_count: int = 0
    ended_job_count: int = 0


def seen(ledger: Ledger, batch_id: str) -> Seen:
    """The batch in the model's ledger."""
    batch = ledger_side.find(ledger, batch_id)
    if batch is None:
        return Seen()
    jobs = [job for job in ledger.jobs if job.batch_id == batch_id]
    return Seen(
        batch.batch_state,
        batch.salesforce_job_id,
        batch.attempt_count,
        batch.fencing_token,
        len(ledger_side.held_by(ledger, batch_id)),
        len(ledger.outcomes),
        len(jobs),
        sum(job.end_state is not None for job in jobs),
    )


def changes(before: Seen, after: Seen) -> str:
    """What is different, shortly; `keeps` where nothing is."""
    words = []
    if before.batch_state != after.batch_state:
        words.append(f"{before.batch_state} → {after.batch_state}")
    if before.fencing_token != after.fencing_token:
        words.append("fencing_token moved")
    if after.attempt_count > before.attempt_count:
        words.append("next attempt")
    if after.job_count > before.job_count:
        words.append("job noted")
    if before.salesforce_job_id and not after.salesforce_job_id:
        words.append("job let go")
    if after.ended_job_count > before.ended_job_count:
        words.append("job's end noted")
    told = after.outcome_count - before.outcome_count
    left = before.claim_count - after.claim_count
    if told:
        words.append("persons told")
    if left > told:
        words.append("persons released")
    return ", ".join(words) or "keeps"
