"""What a transaction did to a batch, as text: the same for the model and for the code."""

from __future__ import annotations

from typing import NamedTuple

from tests.crash.model import ledger_model
from tests.crash.model.ledger_model import Ledger


class BatchView(NamedTuple):
    """What the ledger shows of a batch and its persons at one instant."""

    batch_state: str = "none"
    salesforce_job_id: str | None = None
    attempt_count: int = 1
    fencing_token: int = 1
    claim_count: int = 0
    outcome_count: int = 0
    job_count: int = 0
    ended_job_count: int = 0


def view_of(ledger: Ledger, batch_id: str) -> BatchView:
    """Return the view of a batch in the model's ledger."""
    batch = ledger_model.find(ledger, batch_id)
    if batch is None:
        return BatchView()
    jobs = [job for job in ledger.jobs if job.batch_id == batch_id]
    return BatchView(
        batch.batch_state,
        batch.salesforce_job_id,
        batch.attempt_count,
        batch.fencing_token,
        len(ledger_model.claimed_by(ledger, batch_id)),
        len(ledger.outcomes),
        len(jobs),
        sum(job.end_state is not None for job in jobs),
    )


def describe_changes(before: BatchView, after: BatchView) -> str:
    """Return what is different; `unchanged` where nothing is."""
    changes = []
    if before.batch_state != after.batch_state:
        changes.append(f"{before.batch_state} → {after.batch_state}")
    if before.fencing_token != after.fencing_token:
        changes.append("fencing token raised")
    if after.attempt_count > before.attempt_count:
        changes.append("next attempt")
    if after.job_count > before.job_count:
        changes.append("job recorded")
    if before.salesforce_job_id and not after.salesforce_job_id:
        changes.append("job discarded")
    if after.ended_job_count > before.ended_job_count:
        changes.append("job's end recorded")
    new_outcomes = after.outcome_count - before.outcome_count
    removed_claims = before.claim_count - after.claim_count
    if new_outcomes:
        changes.append("outcomes recorded")
    if removed_claims > new_outcomes:
        changes.append("persons released")
    return ", ".join(changes) or "unchanged"
