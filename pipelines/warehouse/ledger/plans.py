"""Record what a live run would do: the result of a plan run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from pipelines.rules.frames import PlannedPersons, select
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger.email_claims import insert_planned_emails
from pipelines.warehouse.ledger.runs import add_counts

if TYPE_CHECKING:
    from pandera.typing import DataFrame

_COUNTS = {
    "create": "created_count",
    "update": "updated_count",
    "duplicate": "duplicate_count",
    "reject": "rejected_count",
}


def record_plan(
    warehouse: Warehouse, run_id: str, planned: DataFrame[PlannedPersons], emails: pd.DataFrame
) -> None:
    """Record what a live run would do with these persons, and count it as if it were done.

    `emails`: person_id and email_hash of those who would be sent. Later slices of this run find
    them by `email_claims`. May not be repeated.
    """
    found = planned["decision"].value_counts()
    counts = {name: int(found.get(decision, 0)) for decision, name in _COUNTS.items()}
    with warehouse.transaction() as connection:
        rows = select(planned, PlannedPersons).assign(run_id=run_id)
        warehouse.insert_frame(connection, "planned_persons", rows)
        insert_planned_emails(warehouse, connection, run_id, emails)
        add_counts(warehouse, connection, run_id, read_count=len(planned), **counts)
