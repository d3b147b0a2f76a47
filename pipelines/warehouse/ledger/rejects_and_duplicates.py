"""What was found of persons: the rules they broke and the records they matched, as a steward will
read them.

`rejected` frames: person_id, rule_name, stage (validation owner salesforce), field_name,
observed_value, message, is_retryable; one row a rule broken. `duplicates` frames: person_id,
matched_in, matched_id, match_key, matched_count, is_ambiguous, action_taken; one row a record
matched.
"""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Connection

from pipelines.errors import LedgerInconsistentError
from pipelines.warehouse.database import Warehouse

REJECTED_COLUMNS = [
    "person_id",
    "rule_name",
    "stage",
    "field_name",
    "observed_value",
    "message",
    "is_retryable",
]
DUPLICATE_COLUMNS = [
    "person_id",
    "matched_in",
    "matched_id",
    "match_key",
    "matched_count",
    "is_ambiguous",
    "action_taken",
]


def record_rejections(
    warehouse: Warehouse, connection: Connection, run_id: str, rejected: pd.DataFrame
) -> None:
    """Write the rules broken; one that a person breaks twice in a run is told as it came last."""
    if rejected.empty:
        return
    once = rejected[REJECTED_COLUMNS].drop_duplicates(["person_id", "rule_name"], keep="last")
    now = warehouse.now(connection)
    # By way of a temporary table: COPY cannot say `on conflict`, and a row of a report must never
    # stop a settlement.
    warehouse.run(connection, "make_found_rejections")
    warehouse.insert_frame(connection, "found_rejections", once)
    warehouse.run(connection, "record_rejections", run_id=run_id, now=now)
    warehouse.run(connection, "drop_found_rejections")


def record_duplicates(
    warehouse: Warehouse, connection: Connection, run_id: str, duplicates: pd.DataFrame
) -> None:
    """Write the records matched; one matched twice in a run is told as it came last."""
    if duplicates.empty:
        return
    keys = ["person_id", "matched_in", "matched_id"]
    once = duplicates[DUPLICATE_COLUMNS].drop_duplicates(keys, keep="last")
    now = warehouse.now(connection)
    warehouse.run(connection, "make_found_duplicates")
    warehouse.insert_frame(connection, "found_duplicates", once)
    warehouse.run(connection, "record_duplicates", run_id=run_id, now=now)
    warehouse.run(connection, "drop_found_duplicates")


def require_one_row_each(persons: pd.DataFrame) -> None:
    """Raises LedgerInconsistentError if a person would be decided twice at once."""
    if not persons["person_id"].is_unique:
        raise LedgerInconsistentError(
            "one person was to be decided twice at once; nothing was recorded"
        )


def require_within(found: pd.DataFrame, persons: pd.DataFrame, *outcomes: str) -> None:
    """Raises LedgerInconsistentError if something was found of a person who does not end in one of these
    outcomes."""
    if found.empty:
        return
    # A merge, because `isin` makes a Python object of every person.
    ends = found[["person_id"]].merge(persons[["person_id", "outcome"]], how="left")["outcome"]
    if not ends.isin(outcomes).all():
        raise LedgerInconsistentError(
            f"something was recorded of a person who does not end {' or '.join(outcomes)}"
        )
