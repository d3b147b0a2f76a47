"""When a person is new, as conditions on the ledger's tables.

New is a person without a claim and without an outcome. Three kinds of persons with an outcome are
new too. A rejected person whose row has changed; a duplicate of a person who ended without a lead;
a held person to be sent again.
"""

from __future__ import annotations

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Subquery,
    Text,
    and_,
    column,
    select,
    table,
)

RUN_PERSONS = table(
    "run_persons",
    column("run_id", Text),
    column("position", Integer),
    column("person_id", Text),
    column("attempt_count", Integer),
)
OUTCOMES = table(
    "person_outcomes",
    column("person_id", Text),
    column("outcome", Text),
    column("run_id", Text),
    column("reason_code", Text),
    column("attempt_count", Integer),
    column("source_version", Text),
)
CLAIMED_COLUMNS = [
    "owner_strategy",
    "owner_id",
    "lead_id",
    "contact_id",
    "row_hash",
    "defaulted_fields",
    "email_hash",
    "reason_code",
]
CLAIMS = table(
    "person_claims",
    column("person_id", Text),
    column("batch_id", Text),
    *(column(name, Text) for name in CLAIMED_COLUMNS),
)
MATCHES = table(
    "duplicate_persons",
    column("run_id", Text),
    column("person_id", Text),
    column("matched_in", Text),
    column("matched_id", Text),
)


def join_ledger(persons: Subquery) -> FromClause:
    """Return the persons (column person_id) with their outcomes and claims, both outer joins."""
    return persons.outerjoin(OUTCOMES, persons.c.person_id == OUTCOMES.c.person_id).outerjoin(
        CLAIMS, persons.c.person_id == CLAIMS.c.person_id
    )


def is_unclaimed() -> ColumnElement[bool]:
    """Whether no open batch contains the person."""
    return CLAIMS.c.person_id.is_(None)


def has_no_outcome() -> ColumnElement[bool]:
    """Whether the person was never decided."""
    return OUTCOMES.c.person_id.is_(None)


def is_rejected() -> ColumnElement[bool]:
    """Whether the person is rejected."""
    return OUTCOMES.c.outcome == "rejected"


def is_changed(found: Subquery) -> ColumnElement[bool]:
    """Whether a rejected person's row (column version) has changed since."""
    return and_(is_rejected(), found.c.version.is_distinct_from(OUTCOMES.c.source_version))


def is_to_resend() -> ColumnElement[bool]:
    """Whether a held person is to be sent again."""
    return and_(OUTCOMES.c.outcome == "held", OUTCOMES.c.reason_code == "RESEND")


def has_lost_its_match() -> ColumnElement[bool]:
    """Whether the person duplicates another who ended without a lead and is not in a batch."""
    claims, outcomes = CLAIMS.alias("matched_claims"), OUTCOMES.alias("matched_outcomes")
    is_claimed = select(1).where(claims.c.person_id == MATCHES.c.matched_id)
    has_outcome = select(1).where(
        outcomes.c.person_id == MATCHES.c.matched_id, outcomes.c.outcome != "rejected"
    )
    lost = select(1).where(
        MATCHES.c.run_id == OUTCOMES.c.run_id,
        MATCHES.c.person_id == OUTCOMES.c.person_id,
        MATCHES.c.matched_in == "persons",
        ~is_claimed.correlate(MATCHES).exists(),
        ~has_outcome.correlate(MATCHES).exists(),
    )
    return and_(OUTCOMES.c.outcome == "duplicate", lost.correlate(OUTCOMES).exists())
