"""Which persons are new, and in what order a run reads them.

Ids are compared as text. All rows without an id are one person, whose id is the empty text. Several
rows with one id are one person, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    LargeBinary,
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
from pipelines.warehouse.person_conditions import (
    OUTCOMES,
    RUN_PERSONS,
    has_lost_its_match,
    has_no_outcome,
    is_changed,
    is_to_resend,
    is_unclaimed,
    join_ledger,
)
from pipelines.warehouse.source_rows import (
    NUMBERS,
    can_use_id_index,
    equals_id,
    has_no_id,
    id_text,
)

_REQUESTED = table("requested_persons", column("person_id", Text))

_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def persons_columns(warehouse: Warehouse) -> frozenset[str]:
    """Return the columns of the persons table. Raises ConfigurationError if there is no table."""
    return frozenset(warehouse.persons_table.columns.keys())


def binary_id_type(warehouse: Warehouse) -> str | None:
    """Return the declared type of the ids if it is one of bytes, else None."""
    type_ = warehouse.persons_table.c.person_id.type
    return str(type_) if isinstance(type_, LargeBinary) else None


def list_new_persons(
    warehouse: Warehouse,
    run_id: str,
    *,
    only: Sequence[str] | None = None,
    limit: int | None = None,
) -> int:
    """Insert the persons that the run will read into `run_persons`, positions 1 to n; return n.

    Earliest `created_at` first, those without one last; then smallest `person_id`, numbers as
    numbers, text by code point. `only` selects these ids, if they are new. May not be repeated for
    one run.
    """
    persons = warehouse.persons_table
    with warehouse.transaction() as connection:
        if only is None:
            return _insert_list(warehouse, connection, run_id, persons, limit)
        with _requested(warehouse, connection, only) as is_requested:
            source = persons.join(_REQUESTED, is_requested)
            return _insert_list(warehouse, connection, run_id, source, limit)


def unknown_person_ids(warehouse: Warehouse, ids: Sequence[str]) -> list[str]:
    """Return the ids that no row of the persons table has, in the given order, each once."""
    persons = warehouse.persons_table
    with (
        warehouse.transaction() as connection,
        _requested(warehouse, connection, ids) as is_requested,
    ):
        found = select(_REQUESTED.c.person_id).select_from(persons.join(_REQUESTED, is_requested))
        known = set(connection.execute(found).scalars())
    return [one for one in dict.fromkeys(ids) if one not in known]


def _insert_list(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    source: FromClause,
    limit: int | None,
) -> int:
    found = _distinct_persons(warehouse, source)
    order = [found.c.created_at.asc().nulls_last(), *_by_id(warehouse, found)]
    new = (
        select(
            literal(run_id, Text),
            func.row_number().over(order_by=order),
            found.c.person_id,
            func.coalesce(OUTCOMES.c.attempt_count, 0),
        )
        .select_from(join_ledger(found))
        .where(
            is_unclaimed(),
            has_no_outcome() | is_changed(found) | has_lost_its_match() | is_to_resend(),
        )
        .order_by(*order)
        .limit(limit)
    )
    columns = ["run_id", "position", "person_id", "attempt_count"]
    statement = insert(RUN_PERSONS).from_select(columns, new)
    counting = {"preserve_rowcount": True}
    count = connection.execute(statement, execution_options=counting).rowcount
    warehouse.dialect.gather_statistics(connection, RUN_PERSONS.name)
    return count


@contextmanager
def _requested(
    warehouse: Warehouse, connection: Connection, ids: Sequence[str]
) -> Iterator[ColumnElement[bool]]:
    """Fill `requested_persons`, and yield the condition that joins it to the persons table."""
    requested = [one for one in dict.fromkeys(ids) if one == "" or _can_be_id(warehouse, one)]
    frame = pd.DataFrame({"person_id": pd.Series(requested, dtype="str")})
    with warehouse.temporary_table(connection, _REQUESTED.name, frame):
        is_same = _has_requested_id(warehouse, connection)
        if "" in requested:
            is_none = and_(_REQUESTED.c.person_id == "", has_no_id(warehouse.persons_table))
            is_same = or_(is_same, is_none)
        yield is_same


def _has_requested_id(warehouse: Warehouse, connection: Connection) -> ColumnElement[bool]:
    """Return the condition that uses the index of the ids, unless it misses one of them."""
    by_text = id_text(warehouse) == _REQUESTED.c.person_id
    if not can_use_id_index(warehouse):
        return by_text
    by_index = equals_id(warehouse, _REQUESTED.c.person_id)
    if not warehouse.dialect.has_loose_types:
        return by_index
    persons = warehouse.persons_table
    missed = (
        select(1)
        .select_from(_REQUESTED.outerjoin(persons, by_index))
        .where(persons.c.person_id.is_(None), _REQUESTED.c.person_id != "")
    )
    return by_text if connection.execute(missed.limit(1)).first() else by_index


def _can_be_id(warehouse: Warehouse, one: str) -> bool:
    # PostgreSQL fails when a text is compared with numbers. SQLite may store text among numbers.
    is_number = isinstance(warehouse.persons_table.c.person_id.type, Integer)
    is_any = not is_number or warehouse.dialect.has_loose_types
    return is_any or _WHOLE_NUMBER.fullmatch(one) is not None


def _distinct_persons(warehouse: Warehouse, source: FromClause) -> Subquery:
    """Return each person once: person_id as text, native_id (for numbers), created_at, version."""
    persons = warehouse.persons_table.c
    id_ = persons.person_id
    text = case((has_no_id(warehouse.persons_table), ""), else_=id_text(warehouse))
    is_number = isinstance(id_.type, NUMBERS)
    updated_at = cast(persons.updated_at, Text) if "updated_at" in persons else null()
    rows = (
        select(
            warehouse.dialect.collate_binary(text).label("person_id"),
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
    # The count is part of it: a repeated id is corrected by deleting a row, which does not change
    # the other row's updated_at. `source_rows` formats it the same way.
    latest = func.max(warehouse.dialect.collate_binary(rows.c.version))
    count = func.count()
    several = latest + " in " + cast(count, Text) + " rows"
    return case((count > 1, several), else_=latest)


def _by_id(warehouse: Warehouse, found: Subquery) -> list[ColumnElement[object]]:
    by_text = warehouse.dialect.collate_binary(found.c.person_id)
    if isinstance(warehouse.persons_table.c.person_id.type, NUMBERS):
        return [found.c.native_id, by_text]
    return [by_text]
