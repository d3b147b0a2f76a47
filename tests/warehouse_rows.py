"""Rows for the tables of ours, drawn; what a test does not care about is filled in."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipelines.warehouse.database import Warehouse
from tests.tables import drawn_rows

MORNING = pd.Timestamp("2026-01-31 08:00:00")

# Columns that may not be null, with a value nobody would take for a test's own.
_UNSAID: dict[str, dict[str, Any]] = {
    "sync_runs": {
        "run_mode": "live",
        "run_state": "finished",
        "process_host": "somewhere",
        "process_id": 1,
        "started_at": MORNING,
        "code_version": "0",
        "settings_hash": "-",
    },
    "lead_batches": {
        "run_id": "R1",
        "owner_strategy": "rules",
        "operation": "insert",
        "load_api": "bulk",
        "person_count": 0,
        "leased_by_run_id": "R1",
        "lease_until": MORNING,
        "planned_at": MORNING,
    },
    "salesforce_jobs": {"attempt": 1, "opened_at": MORNING},
    "person_claims": {
        "run_id": "R1",
        "claimed_at": MORNING,
        "owner_strategy": "rules",
        "row_hash": "-",
        "attempt_count": 1,
    },
    "person_outcomes": {"run_id": "R1", "attempt_count": 1, "decided_at": MORNING},
    "rejected_persons": {
        "run_id": "R1",
        "stage": "validation",
        "message": "The company is missing.",
        "is_retryable": False,
        "rejected_at": MORNING,
    },
    "duplicate_persons": {
        "run_id": "R1",
        "matched_id": "",
        "match_key": "email",
        "matched_count": 1,
        "is_ambiguous": False,
        "action_taken": "reported",
        "found_at": MORNING,
    },
    "rejection_rules": {"stage": "validation", "description": "It is so.", "remedy": "Fix it."},
    "planned_persons": {"run_id": "R1"},
}


def fill(warehouse: Warehouse, table: str, text: str) -> None:
    """Adds the drawn rows to a table."""
    frame = drawn_rows(text)
    unsaid = {name: value for name, value in _UNSAID[table].items() if name not in frame}
    with warehouse.transaction() as connection:
        warehouse.insert_frame(connection, table, frame.assign(**unsaid))
