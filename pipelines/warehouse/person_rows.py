"""Read the rows of persons, as text: those of a slice, and those of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Select, Text, cast, func, literal, select

from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.person_conditions import (
    CLAIMED_COLUMNS,
    CLAIMS,
    OUTCOMES,
    RUN_PERSONS,
    has_lost_its_match,
    has_no_outcome,
    is_rejected,
    is_to_resend,
    is_unclaimed,
    join_ledger,
)
from pipelines.warehouse.source_rows import SourceRows


def source_version(warehouse: Warehouse, person_id: str) -> str | None:
    """Return the person's `updated_at` as `read_slice` does; None where there is none."""
    wanted = select(cast(literal(person_id), Text).label("person_id")).subquery("wanted")
    source = SourceRows(warehouse, [])
    attempts = literal(0).label("attempt_count")
    rows = source.read(wanted, wanted, lambda query: query.add_columns(attempts))
    versions = source.format_rows(rows)["source_version"].dropna()
    return str(versions.iloc[0]) if len(versions) else None


def read_slice(
    warehouse: Warehouse, run_id: str, first: int, last: int, columns: Sequence[str]
) -> pd.DataFrame:
    """Return the persons at positions first to last who are still new, one row each, by position.

        person_id           empty text for none
        row_count           int64: rows with that id
        attempt_count       int64: of the present outcome, 0 without
        source_changed_at   datetime64[us], UTC; NaT where `updated_at` is not an instant
        source_version      `updated_at` as the database formats it
        created_at, owner_strategy, and those of `columns` that exist

    All text is `str`, null where the source is. Numbers have plain digits, booleans are true and
    false, dates and instants are ISO 8601.
    """
    wanted = (
        select(RUN_PERSONS.c.person_id, RUN_PERSONS.c.position)
        .where(RUN_PERSONS.c.run_id == run_id, RUN_PERSONS.c.position.between(first, last))
        .subquery("wanted")
    )
    source = SourceRows(warehouse, columns)

    def complete(query: Select[Any]) -> Select[Any]:
        return (
            query.add_columns(
                wanted.c.position,
                func.coalesce(OUTCOMES.c.attempt_count, 0).label("attempt_count"),
                OUTCOMES.c.outcome,
                OUTCOMES.c.source_version.label("decided_version"),
            )
            .where(
                is_unclaimed(),
                has_no_outcome() | is_rejected() | has_lost_its_match() | is_to_resend(),
            )
            .order_by(wanted.c.position)
        )

    rows = source.read(wanted, join_ledger(wanted), complete)
    rows = rows.sort_values("position", kind="stable")
    exists = rows["row_count"] > 0
    is_new = _has_new_version(rows) | (rows["outcome"] != "rejected")
    return source.format_rows(rows[exists & is_new])


def read_claimed(warehouse: Warehouse, batch_id: str, columns: Sequence[str]) -> pd.DataFrame:
    """Return the persons of a batch, one row each, by person_id, in the form of `read_slice`.

    A person whose row no longer exists has row_count 0. owner_strategy is the claim's. The claim's
    owner_id, lead_id, contact_id, row_hash, defaulted_fields, email_hash and reason_code follow,
    even if the source has columns of these names.
    """
    wanted = (
        select(CLAIMS.c.person_id, *(CLAIMS.c[name].label(name) for name in CLAIMED_COLUMNS))
        .where(CLAIMS.c.batch_id == batch_id)
        .subquery("wanted")
    )
    source = SourceRows(warehouse, columns, given=CLAIMED_COLUMNS)
    joined = wanted.outerjoin(OUTCOMES, wanted.c.person_id == OUTCOMES.c.person_id)
    given = [
        func.coalesce(OUTCOMES.c.attempt_count, 0).label("attempt_count"),
        *(wanted.c[name] for name in CLAIMED_COLUMNS),
    ]
    rows = source.read(wanted, joined, lambda query: query.add_columns(*given))
    return source.format_rows(rows.sort_values("person_id", kind="stable"))


def _has_new_version(rows: pd.DataFrame) -> pd.Series[bool]:
    now, decided = rows["source_version"], rows["decided_version"]
    return (now != decided) & ~(now.isna() & decided.isna())
