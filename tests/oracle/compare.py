"""Fill a warehouse with persons, and compare the results of a real run with the reference."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, DateTime, Engine, Text, collate

from tests.oracle.expected import Expectation, Match, Settings, expectations, repeated_ids
from tests.oracle.org import Org, Row
from tests.oracle.persons import COLUMNS, TEXTS

ROWS_AT_ONCE = 20_000
OUTCOMES = """
select person_id, outcome, reason_code, owner_strategy, owner_name, owner_type, lead_id, contact_id
from person_outcomes
"""
REJECTIONS = "select person_id, rule_name, stage from rejected_persons"
MATCHES = """
select person_id, matched_in, matched_id, is_ambiguous, action_taken from duplicate_persons
"""


def create_engine(url: str) -> Engine:
    """Return an engine with the search path and time zone of the product's own sessions."""
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    path = {"options": "-c search_path=person_sync,public -c timezone=UTC"}
    return sqlalchemy.create_engine(driver, connect_args=path if driver != url else {})


def table_of(engine: Engine) -> sqlalchemy.Table:
    """Return the persons table: texts and instants without a key, as in many source databases."""
    columns = [sqlalchemy.Column(one, Text if one in TEXTS else DateTime) for one in COLUMNS]
    schema = "public" if engine.dialect.name == "postgresql" else None
    return sqlalchemy.Table("persons", sqlalchemy.MetaData(), *columns, schema=schema)


def fill(engine: Engine, rows: Iterable[Row]) -> None:
    """Replace the persons table by one with these rows."""
    table, remaining = table_of(engine), iter(rows)
    table.drop(engine, checkfirst=True)
    table.create(engine)
    with engine.begin() as connection:
        while part := list(itertools.islice(remaining, ROWS_AT_ONCE)):
            connection.execute(sqlalchemy.insert(table), part)
        sqlalchemy.Index("persons_by_id", table.c.person_id).create(connection)
        connection.exec_driver_sql("analyze")


def in_order(connection: Connection, table: sqlalchemy.Table) -> Iterator[Row]:
    """Yield all persons: earliest first, those without an instant last, then by id."""
    is_postgres = connection.dialect.name == "postgresql"
    person_id = collate(table.c.person_id, "C") if is_postgres else table.c.person_id
    order = (table.c.created_at.is_(None), table.c.created_at, person_id)
    found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        sqlalchemy.select(table).order_by(*order)
    )
    for row in found.mappings():
        yield dict(row)


def differences(connection: Connection, org: Org, settings: Settings) -> Iterator[str]:
    """Yield a line per difference between results and reference, without name and address."""
    table = table_of(connection.engine)
    repeated = repeated_ids(in_order(connection, table))
    results = _read_results(connection)
    for person_id, expected in expectations(in_order(connection, table), repeated, org, settings):
        actual = results.pop(person_id, None)
        if actual is None:
            yield f"{person_id!r} has no outcome and should be {expected.outcome}"
        else:
            yield from _compare(person_id, expected, actual)
    for person_id, actual in results.items():
        yield f"{person_id!r} is {actual.outcome}, and is no person of the table"


def _compare(person_id: str, expected: Expectation, actual: Expectation) -> Iterator[str]:
    if expected.owner is None:  # nothing is created, or a contact keeps its owner
        actual.owner = None
    if expected.outcome == "created" == actual.outcome:
        actual.lead_id = expected.lead_id  # Salesforce chooses the id of a new lead
    if expected.reason == "SAME_EMAIL" == actual.reason:
        # The record of the earlier person, which is there only if it was known in time.
        actual.lead_id = actual.contact_id = None
    actual.broken -= expected.perhaps_broken
    expected.perhaps_broken.clear()
    for name, should_be in vars(expected).items():
        value = getattr(actual, name)
        if value != should_be:
            yield f"{person_id!r}: {name} is {_as_text(value)} and should be {_as_text(should_be)}"


def _as_text(value: Any) -> str:
    return str(sorted(map(str, value))) if isinstance(value, set) else str(value)


def _read_results(connection: Connection) -> dict[str, Expectation]:
    """Return what the result tables hold for each person id."""
    connection = connection.execution_options(yield_per=ROWS_AT_ONCE)
    results = {}
    for row in connection.execute(sqlalchemy.text(OUTCOMES)):
        owner = (row.owner_name, row.owner_type) if row.owner_name else None
        outcome = (row.outcome, row.reason_code, row.owner_strategy, owner, row.lead_id)
        results[row.person_id] = Expectation(*outcome, row.contact_id)
    for row in connection.execute(sqlalchemy.text(REJECTIONS)):
        results[row.person_id].broken.add((row.rule_name, row.stage))
    for row in connection.execute(sqlalchemy.text(MATCHES)):
        _, matched_in, matched_id, is_ambiguous, action = row
        match = Match(matched_in, matched_id, bool(is_ambiguous), action)
        results[row.person_id].matches.add(match)
    return results
