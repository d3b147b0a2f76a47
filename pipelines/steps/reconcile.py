"""Turns what the org answered into outcomes: every person of a batch gets exactly one, or stays.

The three result files must add up, person by person. A person named by none of them is asked for
by the person-id field; without the field nobody can know, and the person is held for a human.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pipelines.errors import LedgerInconsistentError
from pipelines.rules import payloads
from pipelines.rules.text import positions
from pipelines.run.preflight import Ground
from pipelines.salesforce import ingest_jobs, lead_owners, lookups, sobject_collections
from pipelines.warehouse import ledger

MAX_ATTEMPTS = 5
READS = 3  # of result files that do not add up, before what is missing counts as unknown

# The row certainly failed and the cause passes: the person takes part in the next attempt.
TRANSIENT_CODES = ("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")

ANSWER_COLUMNS = ["person_id", "file", "record_id", "code", "message", "fields"]


@dataclass(frozen=True)
class ReconciledBatch:
    """A batch, the persons it holds, and the job that carried them, if there still is one."""

    ground: Ground
    batch: ledger.Batch
    claims: pd.DataFrame
    job: ingest_jobs.JobInfo | None

    @property
    def is_insert(self) -> bool:
        """Whether repeating could make a second record: an update may always be repeated."""
        return self.batch.operation == "insert"

    @property
    def reason_to_hold(self) -> str:
        """Why nobody can know what became of a person."""
        if self.job is not None:
            return "RESULT_MISSING"
        return "JOB_GONE" if self.batch.load_api == "bulk" else "RESPONSE_LOST"

    @cached_property
    def is_last_attempt(self) -> bool:
        """Whether persons left over are decided now, so that no batch goes on for ever. A job that
        was thrown away before it could make anything was none of their attempts."""
        if self.batch.attempt_count < MAX_ATTEMPTS:
            return False
        store, batch = self.ground.warehouse, self.batch
        lost = ledger.count_discarded_jobs(store, batch.batch_id)
        return batch.attempt_count - lost >= MAX_ATTEMPTS


def reconcile_job(ground: Ground, batch: ledger.Batch, job: ingest_jobs.JobInfo) -> ledger.Batch:
    """Read the three result files and record the outcomes. submitted → completed | planned.

    May be repeated: nothing is recorded before everything is known. Raises LedgerInconsistentError when
    the files name somebody who was not sent.
    """
    case = ReconciledBatch(
        ground, batch, ledger.batch_claims(ground.warehouse, batch.batch_id), job
    )
    for _ in range(READS):
        results = ingest_jobs.fetch_results(ground.org, job.job_id, _key_column(case))
        answers = _read_answers(case, results)
        if _adds_up(case, answers, job):
            break  # a file cut short on its way reads whole the second time
    return _settle(case, answers)


def reconcile_collection(
    ground: Ground,
    batch: ledger.Batch,
    person_ids: pd.Series[str],
    records: Sequence[sobject_collections.RecordResult],
) -> ledger.Batch:
    """Record the answers of one collections call, given in the order of the persons sent."""
    answers = pd.DataFrame(
        {
            "person_id": person_ids.to_numpy(),
            "file": ["failed" if one.code else "done" for one in records],
            "record_id": [one.record_id for one in records],
            "code": [one.code for one in records],
            "message": [one.message for one in records],
            "fields": [", ".join(one.fields) or None for one in records],
        },
        dtype="str",
    )
    claims = ledger.batch_claims(ground.warehouse, batch.batch_id)
    return _settle(ReconciledBatch(ground, batch, claims, None), answers)


def reconcile_without_job(ground: Ground, batch: ledger.Batch) -> ledger.Batch:
    """A job that is gone, or a call whose answer nobody has: settle what the org can still tell."""
    claims = ledger.batch_claims(ground.warehouse, batch.batch_id)
    nothing = pd.DataFrame(columns=ANSWER_COLUMNS, dtype="str")
    return _settle(ReconciledBatch(ground, batch, claims, None), nothing)


def _adds_up(case: ReconciledBatch, answers: pd.DataFrame, job: ingest_jobs.JobInfo) -> bool:
    """Whether the counts are the job's, and everybody who was sent is named: the job does not count
    those it has not come to."""
    failed = int((answers["file"] == "failed").sum())
    processed = failed + int((answers["file"] == "done").sum())
    counts = (processed, failed, len(answers))
    return counts == (job.processed_count, job.failed_count, len(case.claims))


def _read_answers(case: ReconciledBatch, results: ingest_jobs.JobResults) -> pd.DataFrame:
    errors = ingest_jobs.split_error(results.failed["sf__Error"])
    done = pd.DataFrame({"file": "done", "record_id": results.successful["sf__Id"]})
    rows = pd.concat(
        [
            done.assign(key=_row_keys(case, results.successful)),
            errors.assign(file="failed", key=_row_keys(case, results.failed)),
            pd.DataFrame({"file": "left", "key": _row_keys(case, results.unprocessed)}),
        ],
        ignore_index=True,
    )
    named = _name_persons(case, rows.dropna(subset="key"))
    return named.reindex(columns=ANSWER_COLUMNS)


def _row_keys(case: ReconciledBatch, rows: pd.DataFrame) -> pd.Series[str]:
    """What tells whose a result row is: their id, the record updated, or the hash of the row."""
    wanted = _key_column(case)
    column = next((name for name in rows.columns if name.lower() == wanted.lower()), None)
    if column is not None:
        return rows[column]
    sent = rows[[name for name in rows.columns if not name.startswith("sf__")]]
    hashes = payloads.row_hashes(sent, case.ground.lead_fields)
    # A row with the wrong number of cells comes back with every cell blank: it names nobody.
    return hashes.where(sent.notna().any(axis=1))


def _key_column(case: ReconciledBatch) -> str:
    return case.ground.person_id_field if case.is_insert else "Id"


def _claim_keys(case: ReconciledBatch) -> pd.Series[str]:
    if not case.is_insert:
        return case.claims["contact_id" if case.batch.sobject == "Contact" else "lead_id"]
    return case.claims["person_id" if case.ground.person_id_field else "row_hash"]


def _name_persons(case: ReconciledBatch, rows: pd.DataFrame) -> pd.DataFrame:
    """Give every row its person. Rows alike to the letter are interchangeable: the first of them
    is the first person's, the second the second's."""
    places = positions(_numbered_keys(rows["key"]), _numbered_keys(_claim_keys(case)))
    strangers = int((places < 0).sum())
    if strangers:
        raise LedgerInconsistentError(
            f"job {case.batch.salesforce_job_id} answers for {strangers} rows that batch "
            f"{case.batch.batch_id} did not send: nothing was recorded, a human must look"
        )
    return rows.assign(person_id=case.claims["person_id"].take(places).array)


def _numbered_keys(keys: pd.Series[str]) -> pd.Series[str]:
    """The keys, the second of two equal ones made another."""
    again = keys.duplicated()
    if not again.any():
        return keys
    turn = keys.groupby(keys).cumcount().astype("str")
    return keys.mask(again, keys + "\x1f" + turn)


def _settle(case: ReconciledBatch, answers: pd.DataFrame) -> ledger.Batch:
    outcomes = _decide_outcomes(case, answers)
    decided = outcomes[outcomes["outcome"].notna()]
    job = case.job
    return ledger.settle(
        case.ground.warehouse,
        case.batch,
        ledger.BatchResults(
            outcomes=_with_owners(case, decided),
            rejected=_rejections(decided[decided["outcome"] == "rejected"]),
            duplicates=_known_by_rule(decided[decided["outcome"] == "duplicate"]),
            end_state=job.state if job else "Gone" if case.batch.load_api == "bulk" else None,
            processed_count=job.processed_count if job else None,
            failed_count=job.failed_count if job else None,
        ),
    )


def _decide_outcomes(case: ReconciledBatch, answers: pd.DataFrame) -> pd.DataFrame:
    """One row a claimed person; `outcome` is null for those who take part in the next attempt."""
    outcomes = _left_join(case.claims, answers, "person_id")
    found = _ask_for(case, outcomes)
    lead_id = _left_join(outcomes[["person_id"]], found, "person_id")["lead_id"]
    is_found = lead_id.notna()
    is_known = (outcomes["code"] == "DUPLICATES_DETECTED") & (not case.batch.allow_duplicates)
    is_failed = outcomes["file"] == "failed"
    is_transient = is_failed & outcomes["code"].isin(TRANSIENT_CODES) | (outcomes["file"] == "left")
    is_unknown = outcomes["file"].isna()
    may_repeat = bool(case.ground.person_id_field) or not case.is_insert
    goes_on = (is_transient | is_unknown & may_repeat) & (not case.is_last_attempt)
    outcomes["outcome"] = np.select(
        [outcomes["file"] == "done", is_found, goes_on, is_known, is_unknown],
        ["created" if case.is_insert else "updated", "created", "", "duplicate", "held"],
        default="rejected",
    )
    outcomes["outcome"] = outcomes["outcome"].astype("str").replace("", None)
    outcomes["record_id"] = outcomes["record_id"].fillna(lead_id)
    outcomes["is_passing"] = is_transient
    return outcomes


def _left_join(rows: pd.DataFrame, known: pd.DataFrame, key: str) -> pd.DataFrame:
    """The rows with the columns of `known` beside them, whose keys stand there once; null where
    there is none. What a left join does, at a fifth of its time."""
    places = positions(rows[key], known[key])
    # A null row at the end stands for nobody.
    found = known.drop(columns=key).reset_index(drop=True).reindex([*range(len(known)), -1])
    beside = found.take(np.where(places < 0, len(known), places)).set_axis(rows.index)
    return pd.concat([rows, beside], axis=1)


def _ask_for(case: ReconciledBatch, outcomes: pd.DataFrame) -> pd.DataFrame:
    """The leads that are there although no answer says so, by the person-id field.

    DUPLICATE_VALUE says that a lead with the value exists; only a query says whose, since another
    unique field may be meant and the message may read `<unknown>`.
    """
    field = case.ground.person_id_field
    doubtful = outcomes[outcomes["file"].isna() | (outcomes["code"] == "DUPLICATE_VALUE")]
    if not field or not case.is_insert or doubtful.empty:
        return pd.DataFrame({"person_id": [], "lead_id": []}, dtype="str")
    found = lookups.find_leads_by_person_id(case.ground.org, field, list(doubtful["person_id"]))
    # A lead that someone has deleted since was made all the same: it is not made again.
    return found.sort_values("is_deleted").drop_duplicates("person_id")[["person_id", "lead_id"]]


def _with_owners(case: ReconciledBatch, decided: pd.DataFrame) -> pd.DataFrame:
    is_created = decided["outcome"] == "created"
    is_made = is_created | (decided["outcome"] == "updated")
    outcomes = pd.DataFrame(
        {
            "person_id": decided["person_id"],
            "outcome": decided["outcome"],
            "lead_id": decided["record_id"].where(is_created, decided["lead_id"]),
            "contact_id": decided["contact_id"],
            "reason_code": decided["reason_code"].where(is_made, decided["code"]),
        }
    )
    held = outcomes["outcome"] == "held"
    outcomes.loc[held, "reason_code"] = case.reason_to_hold
    made = outcomes.loc[is_made, "lead_id"].dropna()
    since = case.job.created_date if case.job and case.is_insert else None
    read = lead_owners.read_owners(case.ground.org, made, created_since=since)
    return _flag_default_owner(case, _left_join(outcomes, read, "lead_id"))


def _flag_default_owner(case: ReconciledBatch, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Say so when a rule sent a lead to nobody in particular: no entry of it matched."""
    default = case.ground.default_lead_owner_id
    if case.batch.assignment_rule_id and default:
        fell = outcomes["reason_code"].isna() & (outcomes["owner_id"] == default)
        fell &= outcomes["outcome"] == "created"
        outcomes.loc[fell, "reason_code"] = "DEFAULT_LEAD_OWNER"
    return outcomes


def _rejections(decided: pd.DataFrame) -> pd.DataFrame:
    left = decided["file"] == "left"
    return pd.DataFrame(
        {
            "person_id": decided["person_id"],
            "rule_name": decided["code"].where(~left, "UNPROCESSED"),
            "stage": "salesforce",
            "field_name": decided["fields"],
            "observed_value": pd.Series(None, index=decided.index, dtype="str"),
            "message": decided["message"].where(
                ~left, f"Salesforce did not get to this row in {MAX_ATTEMPTS} attempts"
            ),
            "is_retryable": decided["is_passing"],
        }
    ).reset_index(drop=True)


def _known_by_rule(decided: pd.DataFrame) -> pd.DataFrame:
    """Bulk API 2.0 cannot say allowSave and does not say which record the duplicate rule found."""
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
