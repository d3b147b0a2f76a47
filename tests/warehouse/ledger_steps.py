"""Steps of the ledger for tests, with persons and results drawn as tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sqlalchemy import text

from pipelines.rules.frames import (
    BatchOutcomes,
    Claims,
    Duplicates,
    Outcomes,
    Persons,
    Rejected,
    columns_of,
)
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.engines.base import run_script
from tests.tables import drawn, drawn_rows

ALWAYS = {
    "rule_name": "company_missing",
    "stage": "validation",
    "message": "The company is missing.",
    "is_retryable": False,
    "match_key": "email",
    "matched_count": 1,
    "is_ambiguous": False,
    "action_taken": "reported",
    "owner_strategy": "rules",
    "row_hash": "hash",
    "attempt_count": 0,
}


def put_persons(warehouse: Warehouse, table: str) -> None:
    with warehouse.transaction() as connection:
        warehouse.insert_frame(connection, "persons", drawn_rows(table))


def remake_persons(warehouse: Warehouse, *statements: str) -> None:
    """Another persons table in place of the contract's; before anybody has looked at the first."""
    with warehouse.transaction() as connection:
        for statement in ("drop table persons", *statements):
            run_script(connection, statement)


def change(warehouse: Warehouse, statement: str) -> None:
    with warehouse.transaction() as connection:
        connection.execute(text(statement))


def cells(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def begin(warehouse: Warehouse, run_id: str = "R1", run_mode: str = "live", pid: int = 1) -> str:
    ledger.begin_run(
        warehouse,
        run_id=run_id,
        run_mode=run_mode,
        owner_default="rules",
        flow_run_id=None,
        code_version="1",
        settings_hash="0",
        process_host="here",
        process_id=pid,
    )
    return run_id


def filled(frame: pd.DataFrame, model: Any) -> Any:
    """The frame with all columns of the model; a column that is not drawn has its usual value."""
    columns = columns_of(model)
    missing = {name: ALWAYS.get(name) for name in columns if name not in frame}
    return frame.assign(**missing)[columns]


def slice_record(table: str | pd.DataFrame, load_api: str = "bulk") -> ledger.SliceRecord:
    """Who `becomes` what: `rejected`, `duplicate of PERSON`, `duplicate in lead`, or a batch."""
    persons = drawn_rows(table) if isinstance(table, str) else table
    persons = persons.assign(batch_id=persons["becomes"], source_changed_at=pd.NaT)
    is_rejected = persons["becomes"] == "rejected"
    is_known = persons["becomes"].str.startswith("duplicate")
    persons["outcome"] = is_known.map({True: "duplicate", False: "rejected"})
    sent = persons[~is_rejected & ~is_known]
    decided = persons[is_rejected | is_known]
    return ledger.SliceRecord(
        persons=filled(persons.astype({"source_changed_at": "datetime64[us]"}), Persons),
        rejected=filled(persons[is_rejected], Rejected),
        duplicates=_matches(persons[is_known]),
        outcomes=filled(decided, Outcomes),
        claims=filled(sent, Claims),
        batches=[new_batch(batch_id, load_api) for batch_id in sent["batch_id"].unique()],
    )


def new_batch(batch_id: str, load_api: str = "bulk") -> ledger.NewBatch:
    return ledger.NewBatch(batch_id, "rules", "insert", "Lead", load_api)


def _matches(known: pd.DataFrame) -> pd.DataFrame:
    last_word = known["becomes"].str.split().str[-1]
    is_person = known["becomes"].str.contains(" of ")
    matched_in = last_word.mask(is_person, "persons")
    matched = known.assign(matched_in=matched_in, matched_id=last_word.where(is_person, "00Q1"))
    return filled(matched, Duplicates)


def record_decisions(
    warehouse: Warehouse, table: str, run_id: str = "R1", load_api: str = "bulk"
) -> ledger.RecordedSlice:
    found = slice_record(table, load_api)
    return ledger.record_slice(warehouse, run_id, found, lease_seconds=60)


def pending(warehouse: Warehouse, *person_ids: str, run_id: str = "R1") -> ledger.Batch:
    """A planned batch B1 of these persons."""
    rows = "\n".join(f"{person_id} | B1 | e-{person_id}" for person_id in person_ids)
    recorded = record_decisions(warehouse, f"person_id | becomes | email_hash\n{rows}", run_id)
    return recorded.batches[0]


def uploading(warehouse: Warehouse, batch: ledger.Batch) -> ledger.Batch:
    job_id = f"750-{batch.batch_id}-{batch.fencing_token}-{batch.attempt_count}"
    return ledger.record_job(warehouse, batch, job_id, payload_sha256="0", payload_bytes=1)


def submitted(warehouse: Warehouse, batch: ledger.Batch) -> ledger.Batch:
    return ledger.record_submitted(warehouse, uploading(warehouse, batch))


def results(table: str, **facts: Any) -> ledger.BatchResults:
    """Who ends how; a rejected person with Salesforce's code, a duplicate with its rule's match."""
    ended = drawn(table)
    rejected = ended[ended["outcome"] == "rejected"].assign(
        stage="salesforce", rule_name="STRING_TOO_LONG"
    )
    known = ended[ended["outcome"] == "duplicate"].assign(
        matched_in="salesforce_rule", matched_id="00Q9"
    )
    return ledger.BatchResults(
        outcomes=filled(ended, BatchOutcomes),
        rejected=filled(rejected, Rejected),
        duplicates=filled(known, Duplicates),
        **facts,
    )


def is_consistent(warehouse: Warehouse) -> bool:
    """The conservation law of every run, and claims and batches that agree with it."""
    for run_id, *counts in cells(warehouse, RUNS):
        read, *parts, claimed = counts
        assert read == sum(parts), run_id
        assert parts[-1] == claimed, run_id
    for batch_id, state, person_count, claimed in cells(warehouse, BATCHES):
        assert person_count == claimed, batch_id
        assert (state == "completed") == (claimed == 0), batch_id
    assert not cells(warehouse, "select batch_id from person_claims where row_hash = ''")
    return True


RUNS = """
select run_id, read_count, created_count, updated_count, duplicate_count, rejected_count,
    held_count, open_count, (select count(*) from person_claims
    inner join lead_batches on person_claims.batch_id = lead_batches.batch_id
    where lead_batches.run_id = sync_runs.run_id) from sync_runs
"""
BATCHES = """
select batch_id, batch_state, person_count, (select count(*) from person_claims
    where person_claims.batch_id = lead_batches.batch_id) from lead_batches
"""
