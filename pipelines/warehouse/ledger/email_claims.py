"""Which person has claimed an e-mail address: no two persons with one address are ever sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from sqlalchemy import Connection

from pipelines.rules.frames import EmailClaims, select
from pipelines.warehouse.database import Warehouse

if TYPE_CHECKING:
    from pandera.typing import DataFrame

# A plan run records e-mail claims for itself only: no live run looks up a hash with this prefix.
_PLAN_PREFIX = "plan:"


def email_claims(
    warehouse: Warehouse, run_id: str, email_hashes: pd.Series[str]
) -> DataFrame[EmailClaims]:
    """Return which person has claimed each of these e-mails; nulls and repeats are ignored."""
    # Sorted: the keys are hashes, and unsorted each lookup would read another page.
    requested = email_hashes.dropna().drop_duplicates().sort_values().to_frame("email_hash")
    prefix = _prefix_of(run_id)
    with warehouse.reading() as connection:
        is_plan = warehouse.run(connection, "run_mode", run_id=run_id).scalar() == "plan"
        if is_plan:
            requested = pd.concat([requested, prefix + requested])
        with warehouse.temporary_table(connection, "requested_emails", requested):
            warehouse.dialect.gather_statistics(connection, "requested_emails")
            found = warehouse.read_frame(connection, "email_claims", run_id=run_id)
    found["email_hash"] = found["email_hash"].str.removeprefix(prefix)
    return select(found, EmailClaims)


def insert_planned_emails(
    warehouse: Warehouse, connection: Connection, run_id: str, emails: pd.DataFrame
) -> None:
    """Insert the e-mail claims of a plan run (person_id, email_hash) in the caller's transaction.

    `email_claims` returns them to this run only. The end of the run deletes them.
    """
    claimed_at = pd.Timestamp(warehouse.now(connection)).as_unit("us")
    rows = emails[["person_id", "email_hash"]].dropna()
    rows = rows.assign(run_id=run_id, claimed_at=claimed_at)
    rows["email_hash"] = _prefix_of(run_id) + rows["email_hash"]
    warehouse.insert_frame(connection, "person_emails", rows)


def _prefix_of(run_id: str) -> str:
    return f"{_PLAN_PREFIX}{run_id}:"
