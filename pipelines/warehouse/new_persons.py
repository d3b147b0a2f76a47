"""Which persons are new, in what order they are read, and their rows, a slice at a time.

A person is new without a claim and without an outcome; rejected, once the row's `updated_at` is
not what it was; a duplicate of another person, once that one has no claim and no outcome but
rejected; held, once a human has said that they be sent again. Ids are compared as text. Rows
without an id are one person, whose id is the empty text; several rows of one id are one person too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    LargeBinary,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    column,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    table,
)

from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.source_rows import (
    NUMBERS,
    SourceRows,
    has_no_id,
    has_typed_ids,
    id_text,
    same_id,
)

_RUN_PERSONS = table(
    "run_persons",
    column("run_id", Text),
    column("position", Integer),
    column("person_id", Text),
    column("attempt_count", Integer),
)
_OUTCOMES = table(
    "person_outcomes",
    column("person_id", Text),
    column("outcome", Text),
    column("run_id", Text),
    column("reason_code", Text),
    column("attempt_count", Integer),
    column("source_version", Text),
)
_CLAIMED = [
    "owner_strategy",
    "owner_id",
    "lead_id",
    "contact_id",
    "row_hash",
    "defaulted_fields",
    "email_hash",
    "reason_code",
]
_CLAIMS = table(
    "person_claims",
    column("person_id", Text),
    column("batch_id", Text),
    *(column(name, Text) for name in _CLAIMED),
)
_MATCHES = table(
    "duplicate_persons",
    column("run_id", Text),
    column("person_id", Text),
    column("matched_in", Text),
    column("matched_id", Text),
)
_ASKED = table("asked_persons", column("person_id", Text))

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def persons_columns(warehouse: Warehouse) -> frozenset[str]:
    """The columns that the persons table has. Raises ConfigurationError if there is no such table."""
    return frozenset(warehouse.persons_table.columns.keys())


def binary_id_type(warehouse: Warehouse) -> str | None:
    """Return the declared type of the ids where it holds bytes, None where it is any other."""
    type_ = warehouse.persons_table.c.person_id.type
    return str(type_) if isinstance(type_, LargeBinary) else None


def list_new_persons(
    warehouse: Warehouse,
    run_id: str,
    *,
    only: Sequence[str] | None = None,
    limit: int | None = None,
) -> int:
    """Set down whom the run will read, as positions 1 to n in `run_persons`; answers n.

    Earliest `created_at` first, those without one last; then smallest `person_id`, numbers as
    numbers, text by code point. `only` asks for these ids, and of them too only the new ones come.
    Not repeatable for one run.
    """
    persons = warehouse.persons_table
    with warehouse.transaction() as connection:
        source: FromClause = persons
        if only is not None:
            source = persons.join(_ASKED, _ask_for(warehouse, connection, only))
        found = _persons_once(warehouse, source)
        order = [found.c.created_at.asc().nulls_last(), *_by_id(warehouse, found)]
        position = func.row_number().over(order_by=order)
        new = (
            select(
                literal(run_id, Text),
                position,
                found.c.person_id,
                func.coalesce(_OUTCOMES.c.attempt_count, 0),
            )
            .select_from(_beside_ledger(found))
            .where(
                _is_free(),
                _is_undecided() | _is_changed(found) | _has_lost_its_match() | _is_resent(),
            )
            .order_by(*order)
            .limit(limit)
        )
        columns = ["run_id", "position", "person_id", "attempt_count"]
        listing = insert(_RUN_PERSONS).from_select(columns, new)
        counting = {"preserve_rowcount": True}
        count = connection.execute(listing, execution_options=counting).rowcount
        warehouse.dialect.gather_statistics(connection, _RUN_PERSONS.name)
        if only is not None:
            warehouse.run(connection, "drop_asked_persons")
    return count


def unknown_person_ids(warehouse: Warehouse, ids: Sequence[str]) -> list[str]:
    """Those ids that no row of the persons table has, in the order given, each once."""
    persons = warehouse.persons_table
    with warehouse.transaction() as connection:
        is_asked = _ask_for(warehouse, connection, ids)
        there = select(_ASKED.c.person_id).select_from(persons.join(_ASKED, is_asked))
        known = set(connection.execute(there).scalars())
        warehouse.run(connection, "drop_asked_persons")
    return [one for one in dict.fromkeys(ids) if one not in known]


def source_version(warehouse: Warehouse, person_id: str) -> str | None:
    """The person's `updated_at` as the database spells it, as `read_slice` tells it; None where
    there is none."""
    wanted = select(cast(literal(person_id), Text).label("person_id")).subquery("wanted")
    source = SourceRows(warehouse, [])
    attempts = literal(0).label("attempt_count")
    rows = source.tidy(source.read(wanted, wanted, lambda query: query.add_columns(attempts)))
    versions = rows["source_version"].dropna()
    return str(versions.iloc[0]) if len(versions) else None


def read_slice(
    warehouse: Warehouse, run_id: str, first: int, last: int, columns: Sequence[str]
) -> pd.DataFrame:
    """The persons at positions first to last who are still new, one row each, by position.

    person_id (empty text for none) · row_count (int64: rows with that id) · attempt_count (int64:
    of the present outcome, 0 without) · source_changed_at (datetime64[us], UTC; NaT where
    `updated_at` is missing or no instant) · source_version (`updated_at` as the database spells
    it) · created_at · owner_strategy · then those of `columns` that exist. All text is `str`, null
    where the source is: numbers in plain digits, true and false, dates and instants as ISO 8601.
    """
    wanted = (
        select(_RUN_PERSONS.c.person_id, _RUN_PERSONS.c.position)
        .where(_RUN_PERSONS.c.run_id == run_id, _RUN_PERSONS.c.position.between(first, last))
        .subquery("wanted")
    )
    source = SourceRows(warehouse, columns)

    def complete(query: Select[Any]) -> Select[Any]:
        return (
            query.add_columns(
                wanted.c.position,
                func.coalesce(_OUTCOMES.c.attempt_count, 0).label("attempt_count"),
                _OUTCOMES.c.outcome,
                _OUTCOMES.c.source_version.label("judged_version"),
            )
            .where(
                _is_free(),
                _is_undecided() | _is_rejected() | _has_lost_its_match() | _is_resent(),
            )
            .order_by(wanted.c.position)
        )

    rows = source.read(wanted, _beside_ledger(wanted), complete)
    rows = rows.sort_values("position", kind="stable")
    is_there = rows["row_count"] > 0
    return source.tidy(rows[is_there & (_is_other_version(rows) | (rows["outcome"] != "rejected"))])


def read_claimed(warehouse: Warehouse, batch_id: str, columns: Sequence[str]) -> pd.DataFrame:
    """The persons a batch holds, one row each, by person_id, as `read_slice` gives them.

    A person whose row is gone comes with row_count 0. owner_strategy is the claim's, and the
    claim's owner_id, lead_id, contact_id, row_hash, defaulted_fields, email_hash and reason_code
    follow it, whatever the source calls so.
    """
    wanted = (
        select(_CLAIMS.c.person_id, *(_CLAIMS.c[name].label(name) for name in _CLAIMED))
        .where(_CLAIMS.c.batch_id == batch_id)
        .subquery("wanted")
    )
    source = SourceRows(warehouse, columns, given=_CLAIMED)
    outcomes = wanted.outerjoin(_OUTCOMES, wanted.c.person_id == _OUTCOMES.c.person_id)
    given = [
        func.coalesce(_OUTCOMES.c.attempt_count, 0).label("attempt_count"),
        *(wanted.c[name] for name in _CLAIMED),
    ]
    rows = source.read(wanted, outcomes, lambda query: query.add_columns(*given))
    return source.tidy(rows.sort_values("person_id", kind="stable"))


def _ask_for(
    warehouse: Warehouse, connection: Connection, ids: Sequence[str]
) -> ColumnElement[bool]:
    """Put the ids into `asked_persons`; answers how they meet the persons table."""
    persons = warehouse.persons_table
    asked = [one for one in dict.fromkeys(ids) if one == "" or _can_be_id(warehouse, one)]
    warehouse.run(connection, "make_asked_persons")
    frame = pd.DataFrame({"person_id": pd.Series(asked, dtype="str")})
    warehouse.insert_frame(connection, "asked_persons", frame)
    is_same = _asked_id(warehouse, connection)
    if "" not in asked:
        return is_same
    return or_(is_same, and_(_ASKED.c.person_id == "", has_no_id(persons)))


def _asked_id(warehouse: Warehouse, connection: Connection) -> ColumnElement[bool]:
    """Whether a row has an id asked for: by the index, unless it does not find all of them."""
    by_text = id_text(warehouse) == _ASKED.c.person_id
    if not has_typed_ids(warehouse):
        return by_text
    by_index = same_id(warehouse, _ASKED.c.person_id)
    if not warehouse.dialect.has_loose_types:
        return by_index
    persons = warehouse.persons_table
    missed = (
        select(1)
        .select_from(_ASKED.outerjoin(persons, by_index))
        .where(persons.c.person_id.is_(None), _ASKED.c.person_id != "")
    )
    return by_text if connection.execute(missed.limit(1)).first() else by_index


def _can_be_id(warehouse: Warehouse, one: str) -> bool:
    # Among numbers PostgreSQL breaks off over a word. In SQLite a word may stand among numbers.
    is_number = isinstance(warehouse.persons_table.c.person_id.type, Integer)
    is_any = not is_number or warehouse.dialect.has_loose_types
    return is_any or _WHOLE_NUMBER.fullmatch(one) is not None


def _persons_once(warehouse: Warehouse, source: FromClause) -> Subquery:
    """Each person once: person_id as text, native_id where numbers sort, created_at, version."""
    persons = warehouse.persons_table.c
    id_ = persons.person_id
    spelt = case((has_no_id(warehouse.persons_table), ""), else_=id_text(warehouse))
    is_number = isinstance(id_.type, NUMBERS)
    updated_at = cast(persons.updated_at, Text) if "updated_at" in persons else null()
    rows = (
        select(
            warehouse.dialect.collate_binary(spelt).label("person_id"),
            (id_ if is_number else null()).label("native_id"),
            (persons.created_at if "created_at" in persons else null()).label("created_at"),
            cast(updated_at, Text).label("version"),
        )
        .select_from(source)
        .subquery("source_rows")
    )
    return (
        select(
            rows.c.person_id,
            func.min(rows.c.native_id).label("native_id"),
            func.min(rows.c.created_at).label("created_at"),
            _version_of_all(warehouse, rows).label("version"),
        )
        .group_by(rows.c.person_id)
        .subquery("found")
    )


def _version_of_all(warehouse: Warehouse, rows: Subquery) -> ColumnElement[str]:
    # The count belongs to it: deleting the superfluous row is how a repeated id is mended, and it
    # leaves the other row's updated_at alone. `source_rows` spells it the same way.
    latest = func.max(warehouse.dialect.collate_binary(rows.c.version))
    count = func.count()
    several = latest + " in " + cast(count, Text) + " rows"
    return case((count > 1, several), else_=latest)


def _by_id(warehouse: Warehouse, found: Subquery) -> list[ColumnElement[object]]:
    by_text = warehouse.dialect.collate_binary(found.c.person_id)
    if isinstance(warehouse.persons_table.c.person_id.type, NUMBERS):
        return [found.c.native_id, by_text]
    return [by_text]


def _beside_ledger(persons: Subquery) -> FromClause:
    return persons.outerjoin(_OUTCOMES, persons.c.person_id == _OUTCOMES.c.person_id).outerjoin(
        _CLAIMS, persons.c.person_id == _CLAIMS.c.person_id
    )


def _is_free() -> ColumnElement[bool]:
    return _CLAIMS.c.person_id.is_(None)


def _is_undecided() -> ColumnElement[bool]:
    return _OUTCOMES.c.person_id.is_(None)


def _is_rejected() -> ColumnElement[bool]:
    return _OUTCOMES.c.outcome == "rejected"


def _is_changed(found: Subquery) -> ColumnElement[bool]:
    return and_(_is_rejected(), found.c.version.is_distinct_from(_OUTCOMES.c.source_version))


def _is_resent() -> ColumnElement[bool]:
    return and_(_OUTCOMES.c.outcome == "held", _OUTCOMES.c.reason_code == "RESEND")


def _has_lost_its_match() -> ColumnElement[bool]:
    """A duplicate of another person who has ended without a lead, and is not on the way to one."""
    claims, outcomes = _CLAIMS.alias("matched_claims"), _OUTCOMES.alias("matched_outcomes")
    is_coming = select(1).where(claims.c.person_id == _MATCHES.c.matched_id)
    is_known = select(1).where(
        outcomes.c.person_id == _MATCHES.c.matched_id, outcomes.c.outcome != "rejected"
    )
    lost = select(1).where(
        _MATCHES.c.run_id == _OUTCOMES.c.run_id,
        _MATCHES.c.person_id == _OUTCOMES.c.person_id,
        _MATCHES.c.matched_in == "persons",
        ~is_coming.correlate(_MATCHES).exists(),
        ~is_known.correlate(_MATCHES).exists(),
    )
    return and_(_OUTCOMES.c.outcome == "duplicate", lost.correlate(_OUTCOMES).exists())


def _is_other_version(rows: pd.DataFrame) -> pd.Series[bool]:
    now, judged = rows["source_version"], rows["judged_version"]
    return (now != judged) & ~(now.isna() & judged.isna())
