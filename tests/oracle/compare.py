"""Persons into a warehouse, and what the real flow then says of each held against the reference."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, DateTime, Engine, Text, collate

from tests.oracle.expected import Expectation, Match, Settings, judge, repeated_ids
from tests.oracle.org import Org, Row
from tests.oracle.persons import COLUMNS, TEXTS

ROWS_AT_ONCE = 20_000
OUTCOMES = """
select person_id, outcome, reason_code, owner_strategy, owner_name, owner_type, lead_id, contact_id
from person_outcomes
"""
BROKEN = "select person_id, rule_name, stage from rejected_persons"
MATCHES = """
select person_id, matched_in, matched_id, is_ambiguous, action_taken from duplicate_persons
"""


def engine_of(url: str) -> Engine:
    """An engine that sees the result tables as a session of ours does."""
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    path = {"options": "-c search_path=person_sync,public -c timezone=UTC"}
    return sqlalchemy.create_engine(driver, connect_args=path if driver != url else {})


def table_of(engine: Engine) -> sqlalchemy.Table:
    """The persons table: of text and instants, and without a key, as a marketing database may have
    it."""
    columns = [sqlalchemy.Column(one, Text if one in TEXTS else DateTime) for one in COLUMNS]
    schema = "public" if engine.dialect.name == "postgresql" else None
    return sqlalchemy.Table("persons", sqlalchemy.MetaData(), *columns, schema=schema)


def fill(engine: Engine, rows: Iterable[Row]) -> None:
    """Everybody into the persons table, which is made anew."""
    table, left = table_of(engine), iter(rows)
    table.drop(engine, checkfirst=True)
    table.create(engine)
    with engine.begin() as connection:
        while some := list(itertools.islice(left, ROWS_AT_ONCE)):
            connection.execute(sqlalchemy.insert(table), some)
        sqlalchemy.Index("persons_by_id", table.c.person_id).create(connection)
        connection.exec_driver_sql("analyze")


def in_order(connection: Connection, table: sqlalchemy.Table) -> Iterator[Row]:
    """Everybody, earliest first, who has no instant last, of one instant the smallest id."""
    is_postgres = connection.dialect.name == "postgresql"
    person_id = collate(table.c.person_id, "C") if is_postgres else table.c.person_id
    order = (table.c.created_at.is_(None), table.c.created_at, person_id)
    found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        sqlalchemy.select(table).order_by(*order)
    )
    for row in found.mappings():
        yield dict(row)


def differences(connection: Connection, org: Org, settings: Settings) -> Iterator[str]:
    """Who became something else than the reference says, a line each, without a name or address."""
    table = table_of(connection.engine)
    repeated = repeated_ids(in_order(connection, table))
    said = _said(connection)
    for person_id, verdict in judge(in_order(connection, table), repeated, org, settings):
        found = said.pop(person_id, None)
        if found is None:
            yield f"{person_id!r} is nowhere and should be {verdict.outcome}"
        else:
            yield from _compared(person_id, verdict, found)
    for person_id, found in said.items():
        yield f"{person_id!r} is {found.outcome}, and nobody has asked for them"


def _compared(person_id: str, expected: Expectation, found: Expectation) -> Iterator[str]:
    if expected.owner is None:  # nothing was made, or a contact, which keeps its own
        found.owner = None
    if expected.outcome == "created" == found.outcome:
        found.lead_id = expected.lead_id  # a new one, and its id is Salesforce's to choose
    if expected.reason == "SAME_EMAIL" == found.reason:
        # The elder's, where those were known already when the younger was judged.
        found.lead_id = found.contact_id = None
    found.broken -= expected.perhaps_broken
    expected.perhaps_broken.clear()
    for name, should_be in vars(expected).items():
        value = getattr(found, name)
        if value != should_be:
            yield f"{person_id!r}: {name} is {_shown(value)} and should be {_shown(should_be)}"


def _shown(value: Any) -> str:
    return str(sorted(map(str, value))) if isinstance(value, set) else str(value)


def _said(connection: Connection) -> dict[str, Expectation]:
    """What the result tables say of everybody."""
    connection = connection.execution_options(yield_per=ROWS_AT_ONCE)
    said = {}
    for row in connection.execute(sqlalchemy.text(OUTCOMES)):
        owner = (row.owner_name, row.owner_type) if row.owner_name else None
        told = (row.outcome, row.reason_code, row.owner_strategy, owner, row.lead_id)
        said[row.person_id] = Expectation(*told, row.contact_id)
    for row in connection.execute(sqlalchemy.text(BROKEN)):
        said[row.person_id].broken.add((row.rule_name, row.stage))
    for row in connection.execute(sqlalchemy.text(MATCHES)):
        _, matched_in, matched_id, is_ambiguous, action = row
        match = Match(matched_in, matched_id, bool(is_ambiguous), action)
        said[row.person_id].matches.add(match)
    return said
