"""Record the rules that persons broke and the records that they matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from sqlalchemy import Connection

from pipelines.errors import LedgerInconsistentError
from pipelines.rules.frames import Duplicates, Rejected, select
from pipelines.warehouse.database import Warehouse

if TYPE_CHECKING:
    from pandera.typing import DataFrame


def record_rejections(
    warehouse: Warehouse, connection: Connection, run_id: str, rejected: DataFrame[Rejected]
) -> None:
    """Record rule violations in the caller's transaction.

    If a person breaks a rule twice in a run, the last violation is kept.
    """
    if rejected.empty:
        return
    # `on conflict` fails for two rows with one key in one statement.
    once = select(rejected, Rejected).drop_duplicates(["person_id", "rule_name"], keep="last")
    now = warehouse.now(connection)
    with warehouse.temporary_table(connection, "found_rejections", once):
        warehouse.run(connection, "record_rejections", run_id=run_id, now=now)


def record_duplicates(
    warehouse: Warehouse, connection: Connection, run_id: str, duplicates: DataFrame[Duplicates]
) -> None:
    """Record matches in the caller's transaction.

    If a record is matched twice in a run, the last match is kept.
    """
    if duplicates.empty:
        return
    keys = ["person_id", "matched_in", "matched_id"]
    once = select(duplicates, Duplicates).drop_duplicates(keys, keep="last")
    now = warehouse.now(connection)
    with warehouse.temporary_table(connection, "found_duplicates", once):
        warehouse.run(connection, "record_duplicates", run_id=run_id, now=now)


def require_one_row_each(persons: pd.DataFrame) -> None:
    """Raise LedgerInconsistentError if a person has more than one row."""
    if not persons["person_id"].is_unique:
        raise LedgerInconsistentError("a person was to be decided twice; nothing was recorded")


def require_within(found: pd.DataFrame, persons: pd.DataFrame, *outcomes: str) -> None:
    """Raise LedgerInconsistentError if a row of `found` is of a person without such an outcome."""
    if found.empty:
        return
    # A merge, because `isin` makes a Python object of every person.
    ends = found[["person_id"]].merge(persons[["person_id", "outcome"]], how="left")["outcome"]
    if not ends.isin(outcomes).all():
        raise LedgerInconsistentError(
            f"something was recorded for a person whose outcome is not {' or '.join(outcomes)}"
        )
