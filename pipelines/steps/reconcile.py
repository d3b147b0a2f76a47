"""The reconcile step: what Salesforce did with a batch becomes one outcome per person.

The three result files of a job must add up, person by person. A person who is in none of them is
looked up by the person-id field. Without the field only a human can know: the person is held.

What decides, from top to bottom; the first line that holds wins:

    a result says successful                        created, or updated
    the person-id field finds a lead                created: only the response was lost
    the cause passes, or nothing is known and
      repeating is safe; attempts are left          no outcome: part of the next attempt
    a duplicate rule blocked the row                duplicate
    nothing is known                                held
    anything else                                   rejected
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipelines.rules.frames import BatchOutcomes, Duplicates, Rejected, select
from pipelines.salesforce import ingest_jobs, lead_owners, lookups, sobject_collections
from pipelines.steps.context import RunContext
from pipelines.steps.job_results import (
    MAX_ATTEMPTS,
    ReconciledBatch,
    call_results,
    left_join,
    no_results,
    read_job_results,
)
from pipelines.warehouse import ledger

# The row certainly failed, and its cause passes: the person is part of the next attempt.
TRANSIENT_CODES = ("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


def reconcile_job(run: RunContext, batch: ledger.Batch, job: ingest_jobs.JobInfo) -> ledger.Batch:
    """Read the three result files and record the outcomes. submitted → completed | pending.

    May be repeated: nothing is recorded before everything is known. Raise LedgerInconsistentError
    when the files name a person who was not sent.
    """
    claims = ledger.batch_claims(run.warehouse, batch.batch_id)
    reconciled = ReconciledBatch(run, batch, claims, job)
    return _record_results(reconciled, read_job_results(reconciled, job))


def reconcile_collection(
    run: RunContext,
    batch: ledger.Batch,
    person_ids: pd.Series[str],
    records: Sequence[sobject_collections.RecordResult],
) -> ledger.Batch:
    """Record the results of one collections call, given in the order of the persons sent."""
    claims = ledger.batch_claims(run.warehouse, batch.batch_id)
    reconciled = ReconciledBatch(run, batch, claims, None)
    return _record_results(reconciled, call_results(person_ids, records))


def reconcile_without_job(run: RunContext, batch: ledger.Batch) -> ledger.Batch:
    """Record what Salesforce still knows about a job that is gone, or a call without response."""
    claims = ledger.batch_claims(run.warehouse, batch.batch_id)
    return _record_results(ReconciledBatch(run, batch, claims, None), no_results())


def _record_results(reconciled: ReconciledBatch, results: pd.DataFrame) -> ledger.Batch:
    outcomes = _decide_outcomes(reconciled, results)
    decided = outcomes[outcomes["outcome"].notna()]
    job = reconciled.job
    is_gone = job is None and reconciled.batch.load_api == "bulk"
    return ledger.record_results(
        reconciled.run.warehouse,
        reconciled.batch,
        ledger.BatchResults(
            outcomes=select(_with_owners(reconciled, decided), BatchOutcomes),
            rejected=select(_rejected_persons(decided[decided["outcome"] == "rejected"]), Rejected),
            duplicates=select(
                _blocked_by_rule(decided[decided["outcome"] == "duplicate"]), Duplicates
            ),
            end_state=job.state if job else "Gone" if is_gone else None,
            processed_count=job.processed_count if job else None,
            failed_count=job.failed_count if job else None,
        ),
    )


def _decide_outcomes(reconciled: ReconciledBatch, results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per claimed person; `outcome` is null for a part of the next attempt."""
    rows = left_join(reconciled.claims, results, "person_id")
    found = _find_created_leads(reconciled, rows)
    lead_id = left_join(rows[["person_id"]], found, "person_id")["lead_id"]
    # A batch that allows duplicates gets this code only from a rule that blocks: then the row was
    # rejected, and no record is reported as the person's.
    is_blocked = (rows["code"] == "DUPLICATES_DETECTED") & (not reconciled.batch.allow_duplicates)
    is_failed = rows["result"] == "failed"
    is_unprocessed = rows["result"] == "unprocessed"
    is_transient = is_failed & rows["code"].isin(TRANSIENT_CODES) | is_unprocessed
    is_unknown = rows["result"].isna()
    # With the field, Salesforce itself refuses a second lead of the same person.
    may_repeat = bool(reconciled.run.person_id_field) or not reconciled.is_insert
    is_retried = (is_transient | is_unknown & may_repeat) & (not reconciled.is_last_attempt)
    rows["outcome"] = np.select(
        [rows["result"] == "successful", lead_id.notna(), is_retried, is_blocked, is_unknown],
        ["created" if reconciled.is_insert else "updated", "created", "", "duplicate", "held"],
        default="rejected",
    )
    rows["outcome"] = rows["outcome"].astype("str").replace("", None)
    rows["record_id"] = rows["record_id"].fillna(lead_id)
    rows["is_transient"] = is_transient
    return rows


def _find_created_leads(reconciled: ReconciledBatch, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the leads that exist although no result says so, by the person-id field.

    DUPLICATE_VALUE says that a record with the value exists. Only a query tells which: another
    unique field may be meant, and the message may read `<unknown>`.
    """
    field = reconciled.run.person_id_field
    doubtful = rows[rows["result"].isna() | (rows["code"] == "DUPLICATE_VALUE")]
    if not field or not reconciled.is_insert or doubtful.empty:
        return pd.DataFrame({"person_id": [], "lead_id": []}, dtype="str")
    found = lookups.find_leads_by_person_id(reconciled.run.org, field, list(doubtful["person_id"]))
    # A lead that a user has deleted since was created all the same: it is not created again.
    return found.sort_values("is_deleted").drop_duplicates("person_id")[["person_id", "lead_id"]]


def _with_owners(reconciled: ReconciledBatch, decided: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes with the owners that the records really have."""
    is_created = decided["outcome"] == "created"
    is_written = is_created | (decided["outcome"] == "updated")
    outcomes = pd.DataFrame(
        {
            "person_id": decided["person_id"],
            "outcome": decided["outcome"],
            "lead_id": decided["record_id"].where(is_created, decided["lead_id"]),
            "contact_id": decided["contact_id"],
            "reason_code": decided["reason_code"].where(is_written, decided["code"]),
        }
    )
    is_held = outcomes["outcome"] == "held"
    outcomes.loc[is_held, "reason_code"] = reconciled.reason_to_hold
    written = outcomes.loc[is_written, "lead_id"].dropna()
    job = reconciled.job
    since = job.created_date if job and reconciled.is_insert else None
    read = lead_owners.read_owners(reconciled.run.org, written, created_since=since)
    return _flag_default_owner(reconciled, left_join(outcomes, read, "lead_id"))


def _flag_default_owner(reconciled: ReconciledBatch, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Give a reason code to leads that went to the org's default owner: no rule entry matched."""
    # An assignment rule without a matching entry reports nothing: only the owner shows it.
    default = reconciled.run.default_lead_owner_id
    if reconciled.batch.assignment_rule_id and default:
        is_default = outcomes["reason_code"].isna() & (outcomes["owner_id"] == default)
        is_default &= outcomes["outcome"] == "created"
        outcomes.loc[is_default, "reason_code"] = "DEFAULT_LEAD_OWNER"
    return outcomes


def _rejected_persons(decided: pd.DataFrame) -> pd.DataFrame:
    is_unprocessed = decided["result"] == "unprocessed"
    return pd.DataFrame(
        {
            "person_id": decided["person_id"],
            "rule_name": decided["code"].where(~is_unprocessed, "UNPROCESSED"),
            "stage": "salesforce",
            "field_name": decided["fields"],
            "observed_value": pd.Series(None, index=decided.index, dtype="str"),
            "message": decided["message"].where(
                ~is_unprocessed, f"Salesforce did not reach this row in {MAX_ATTEMPTS} attempts"
            ),
            "is_retryable": decided["is_transient"],
        }
    ).reset_index(drop=True)


def _blocked_by_rule(decided: pd.DataFrame) -> pd.DataFrame:
    """Return one row per person whom a duplicate rule of the org blocked.

    Bulk API 2.0 has no allowSave header, and does not say which record the rule found.
    """
    return pd.DataFrame(
        {
            "person_id": decided["person_id"],
            "matched_in": "salesforce_rule",
            "matched_id": "",
            "match_key": "duplicate_rule",
            "matched_count": 1,
            "is_ambiguous": False,
            "action_taken": "reported",
        }
    ).reset_index(drop=True)
