"""Statements by name: parameters and results typed, scripts split where a statement ends."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.exc import ArgumentError

from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.statements import (
    named_statements,
    parameters_of,
    query_text,
    statement,
    statements_in,
    tokens,
    without_comments,
)
from tests.warehouse_rows import fill


def test_only_a_semicolon_between_statements_ends_one() -> None:
    script = """
        -- one; not two
        select ';' as "a;b" /* ; */;
        select 1 - 2 / 3;
        -- nothing but a comment
    """
    assert [without_comments(found) for found in statements_in(script)] == [
        """select ';' as "a;b\"""",
        "select 1 - 2 / 3",
    ]


def test_the_last_statement_needs_no_semicolon() -> None:
    assert statements_in("select 1; select 2") == ["select 1", "select 2"]
    assert statements_in(" ;; -- nothing\n") == []


@given(st.text(alphabet="a;'\"-/*\n :"))
def test_taken_apart_and_put_together_is_the_same(script: str) -> None:
    assert "".join(piece for _, piece in tokens(script)) == script


def test_a_file_has_several_statements_by_name() -> None:
    script = "-- About.\n\n-- name: one\n-- The first.\nselect 1;\n\n-- name: two\nselect 2;\n"
    assert named_statements(script) == {"one": "-- The first.\nselect 1;", "two": "select 2;"}


def test_a_file_with_one_name_twice_is_our_own_mistake() -> None:
    with pytest.raises(LookupError, match="twice"):
        named_statements("-- name: one\nselect 1;\n-- name: one\nselect 2;\n")


def test_parameters_are_found_but_not_in_comments_or_strings() -> None:
    assert parameters_of("report_person_outcomes") == {"person_ids"}
    assert parameters_of("report_last_run") == frozenset()


def test_an_unknown_query_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        query_text("no_such_query")


def test_a_parameter_the_query_does_not_have_is_our_own_mistake() -> None:
    with pytest.raises(ArgumentError):
        statement("report_last_run", {"run_id": "R1"})


def test_rows_come_back_with_datetimes_and_bools(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", "run_id | started_at\nR1 | 2026-01-31 01:02:03.5")
    with warehouse.reading() as connection:
        row = warehouse.run(connection, "report_runs", run_id="R1", row_limit=1).one()
    assert row.started_at == datetime.fromisoformat("2026-01-31 01:02:03.5")
    assert row.finished_at is None
    assert row.read_count == 0


def test_parameters_are_bound_by_what_they_are(warehouse: Warehouse) -> None:
    """An instant as text that sorts, a boolean as one, on an engine that knows neither too."""
    org = {"org_id": "00D", "org_name": "Acme: one", "is_sandbox": True}
    now = datetime.fromisoformat("2026-01-31 12:00:00.5")
    with warehouse.transaction() as connection:
        warehouse.run(connection, "record_org", **org, now=now)
        kept = warehouse.run(connection, "ledger_org").mappings().one()
    assert kept["org_name"] == "Acme: one"
    with warehouse.reading() as connection:
        query = text("select is_sandbox from sync_orgs where is_sandbox and first_seen_at = :now")
        typed = query.bindparams(bindparam("now", type_=DateTime()))
        assert connection.execute(typed, {"now": now}).scalar_one() in (1, True)


@pytest.mark.parametrize("wanted", [[], ["P1"], ("P1", "P2", "it's; --")])
def test_a_list_is_spread_even_an_empty_one(warehouse: Warehouse, wanted: list[str]) -> None:
    fill(warehouse, "person_outcomes", "person_id | outcome\nP1 | held\nP2 | held\nP3 | held")
    with warehouse.reading() as connection:
        found = warehouse.read_frame(connection, "report_person_outcomes", person_ids=wanted)
    assert set(found["person_id"]) == set(wanted) & {"P1", "P2"}
