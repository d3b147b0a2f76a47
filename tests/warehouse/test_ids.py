"""Ids are compared as text, whatever their type in the persons table: no listed person is lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from pipelines.warehouse import ledger, new_persons, person_rows
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.warehouse.ledger_steps import (
    begin,
    cells,
    change,
    put_persons,
    record_decisions,
    remake_persons,
)

# SQLite: the declared type and what is put there; the ids listed, and how many rows bear each.
KEPT = [
    # Without a type everything stays as it is put there.
    ("", "1, 2, 'x'", {"1": 1, "2": 1, "x": 1}),
    ("", "1, '1', 2", {"1": 2, "2": 1}),
    ("", "1, 1.0, '1.0'", {"1": 1, "1.0": 2}),
    ("", "1.5, 1e20, -0.0, '-0'", {"1.5": 1, "1.0e+20": 1, "0.0": 1, "-0": 1}),
    ("", "x'5031', 'P1'", {"X'5031'": 1, "P1": 1}),
    ("", "x'', x'20', null, '', 'P1'", {"": 4, "P1": 1}),
    ("", "'a', 'A', 'é', 'e\u0301'", {"a": 1, "A": 1, "é": 1, "e\u0301": 1}),
    ("primary key", "1, 2, 'x', x'00'", {"1": 1, "2": 1, "x": 1, "X'00'": 1}),
    # Among integers a text stays a text, and a number too large becomes a rounded one.
    ("integer", "1, '2', 'x', '007', '1e2'", {"1": 1, "2": 1, "x": 1, "7": 1, "100": 1}),
    ("integer", "1, 1.5, x'31'", {"1": 1, "1.5": 1, "X'31'": 1}),
    ("integer", "9223372036854775807, 9007199254740993", {f"{2**63 - 1}": 1, f"{2**53 + 1}": 1}),
    ("integer", "1234567890.1234567, 1234567890.1234565", {"1234567890.12346": 2}),
    ("integer", "12345678901234567168.0, 5", {"1.23456789012346e+19": 1, "5": 1}),
    ("integer", "12345678901234567168.0, 12345678901234600000.0", {"1.23456789012346e+19": 2}),
    ("integer", "1000000000000000.25, 1000000000000000", {"1.0e+15": 1, "1000000000000000": 1}),
    ("integer primary key", "1, 2, 30", {"1": 1, "2": 1, "30": 1}),
    # Among texts a number becomes one, and bytes stay bytes.
    ("text", "1, 1.0, 'x', x'5031', 'P1'", {"1": 1, "1.0": 1, "x": 1, "X'5031'": 1, "P1": 1}),
    ("varchar(20)", "1, '1', ' 1'", {"1": 2, " 1": 1}),
    # Types that promise neither.
    ("real", "1, 2.5, 'x', 1e15", {"1.0": 1, "2.5": 1, "x": 1, "1.0e+15": 1}),
    ("numeric", "1.0, 2.50, 'x', x'00'", {"1": 1, "2.5": 1, "x": 1, "X'00'": 1}),
    ("string", "'7', 'x'", {"7": 1, "x": 1}),
    ("date", "'2026-01-31', 20260131", {"2026-01-31": 1, "20260131": 1}),
    ("boolean", "1, 0, 'x'", {"1": 1, "0": 1, "x": 1}),
    ("json", "'{}', 5", {"{}": 1, "5": 1}),
]  # fmt: skip


def table_of(type_: str, ids: str) -> list[str]:
    """The statements that make such a table: its last names are the numbers of the rows."""
    rows = ", ".join(f"({one.strip()}, 'Row')" for one in ids.split(","))
    return [
        f"create table persons (person_id {type_}, last_name, company)",
        f"insert into persons (person_id, last_name) values {rows}",
    ]


def listed(warehouse: Warehouse, run_id: str = "R1", **choice: object) -> list[str]:
    begin(warehouse, run_id)
    new_persons.list_new_persons(warehouse, run_id, **choice)  # type: ignore[arg-type]
    query = f"select person_id from run_persons where run_id = '{run_id}' order by position"
    return [person_id for (person_id,) in cells(warehouse, query)]


def read(warehouse: Warehouse, run_id: str = "R1") -> dict[str, int]:
    found = person_rows.read_slice(warehouse, run_id, 1, 100, ["last_name"])
    return dict(zip(found["person_id"], found["row_count"].astype(int), strict=True))


@pytest.mark.parametrize(("type_", "ids", "expected"), KEPT)
def test_who_is_listed_is_read(
    sqlite_warehouse_url: str, type_: str, ids: str, expected: dict[str, int]
) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse:
        remake_persons(warehouse, *table_of(type_, ids))
        assert sorted(listed(warehouse)) == sorted(expected)
        assert read(warehouse) == expected


@pytest.mark.parametrize(("type_", "ids", "expected"), KEPT)
def test_who_is_there_can_be_asked_for(
    sqlite_warehouse_url: str, type_: str, ids: str, expected: dict[str, int]
) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse:
        remake_persons(warehouse, *table_of(type_, ids))
        assert new_persons.unknown_person_ids(warehouse, [*expected, "unknown"]) == ["unknown"]
        assert sorted(listed(warehouse, only=[*expected, "unknown"])) == sorted(expected)
        assert read(warehouse) == expected


@pytest.mark.parametrize("type_", ["", "integer", "text"])
def test_what_the_ledger_holds_of_a_person_finds_its_row_again(
    sqlite_warehouse_url: str, type_: str
) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse:
        remake_persons(warehouse, *table_of(type_, "1, 'x', x'00'"))
        listed(warehouse)
        record_decisions(
            warehouse,
            "person_id | becomes\n1 | B1\nx | B1\nX'00' | B1",
        )
        claimed = person_rows.read_claimed(warehouse, "B1", ["last_name"])
        assert list(claimed["person_id"]) == ["1", "X'00'", "x"]
        assert list(claimed["row_count"]) == [1, 1, 1]
        assert list(claimed["last_name"]) == ["Row", "Row", "Row"]
        assert listed(warehouse, "R2") == []


def test_an_expression_of_a_view_has_no_type(sqlite_warehouse_url: str) -> None:
    with open_warehouse(sqlite_warehouse_url, persons="marketing") as warehouse:
        put_persons(warehouse, "person_id\n1\n2")
        change(
            warehouse,
            "create view marketing as select person_id + 0 as person_id, last_name from persons",
        )
        assert listed(warehouse) == ["1", "2"]
        assert read(warehouse) == {"1": 1, "2": 1}


@pytest.mark.parametrize("type_", ["integer primary key", "text primary key", "bigint unique"])
def test_ids_of_a_declared_type_are_read_once_and_by_their_index(
    sqlite_warehouse_url: str, type_: str
) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse:
        remake_persons(warehouse, *table_of(type_, "1, 2"))
        listed(warehouse)
        seen: list[tuple[str, Any]] = []

        def note(*about: Any) -> None:
            statement, parameters = about[2:4]
            if "persons.last_name" in statement:
                seen.append((statement, parameters))

        event.listen(warehouse.engine, "before_cursor_execute", note)
        assert read(warehouse) == {"1": 1, "2": 1}
        event.remove(warehouse.engine, "before_cursor_execute", note)
        ((statement, parameters),) = seen
        with warehouse.reading() as connection:
            plan = connection.exec_driver_sql(f"explain query plan {statement}", parameters).all()
        lines = [row[3] for row in plan]
        assert [line for line in lines if line.startswith("SEARCH persons USING")], lines
        assert not [line for line in lines if line.startswith("SCAN")], lines


@pytest.mark.parametrize("type_", ["uuid", "numeric(6, 1)", "double precision", "bigint", "mood"])
def test_ids_of_every_type_of_postgresql_are_read(postgres_warehouse_url: str, type_: str) -> None:
    ids = {"uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "mood": "sad"}.get(type_, "7.0")
    ids = "7" if type_ == "bigint" else ids
    with open_warehouse(postgres_warehouse_url) as warehouse:
        remake_persons(
            warehouse,
            "create type mood as enum ('sad', 'glad')",
            f"create table persons (person_id {type_}, last_name text)",
            f"insert into persons values ('{ids}', 'Row'), (null, 'Row')",
        )
        (person_id, without_id) = sorted(listed(warehouse), key=len, reverse=True)
        assert without_id == ""
        assert read(warehouse) == {person_id: 1, "": 1}


def test_a_column_of_bytes_is_known_for_one(warehouse: Warehouse) -> None:
    bytes_ = "bytea" if warehouse.dialect.has_schemas else "blob"
    remake_persons(warehouse, f"create table persons (person_id {bytes_}, last_name text)")
    assert new_persons.binary_id_type(warehouse) == bytes_.upper()


def test_a_column_of_texts_is_not(warehouse: Warehouse) -> None:
    assert new_persons.binary_id_type(warehouse) is None


# --- What was listed is counted


def counted(warehouse: Warehouse, run_id: str = "R1") -> tuple[int | None, ...]:
    unread = ledger.count_listed_persons(warehouse, run_id)
    query = (
        f"select listed_count, taken_count, unread_count from sync_runs where run_id = '{run_id}'"
    )
    (found,) = cells(warehouse, query)
    assert unread == found[2]
    return found


FOUR = "person_id | updated_at\nP1 | 2026-01-01\nP2 | 2026-01-01\nP3 | 2026-01-01\nP4 | 2026-01-01"


def test_a_person_decided_or_claimed_was_read(warehouse: Warehouse) -> None:
    put_persons(warehouse, FOUR)
    listed(warehouse)
    record_decisions(
        warehouse, "person_id | becomes\nP1 | rejected\nP2 | B1\nP3 | B1\nP4 | rejected"
    )
    assert counted(warehouse) == (4, 0, 0)


def test_a_person_without_outcome_or_claim_was_not_read(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1\nP2\nP3\nP4")
    listed(warehouse)
    record_decisions(warehouse, "person_id | becomes\nP1 | rejected")
    assert counted(warehouse) == (4, 0, 3)
    assert counted(warehouse) == (4, 0, 3), "counting is repeatable"
    ledger.end_run(warehouse, "R1", "finished", api_call_count=0)
    assert listed(warehouse, "R2") == ["P2", "P3", "P4"]


def test_whom_another_run_has_is_not_missing(warehouse: Warehouse) -> None:
    put_persons(warehouse, FOUR)
    listed(warehouse)
    listed(warehouse, "R2")
    record_decisions(warehouse, "person_id | becomes\nP1 | rejected\nP2 | B2", "R2")
    record_decisions(warehouse, "person_id | becomes\nP3 | B1", "R1")
    assert counted(warehouse, "R1") == (4, 2, 1)
    assert counted(warehouse, "R2") == (4, 1, 1)


def test_a_rejected_person_listed_again_and_not_read_is_missing(warehouse: Warehouse) -> None:
    put_persons(warehouse, FOUR)
    listed(warehouse)
    record_decisions(
        warehouse, "person_id | becomes\nP1 | rejected\nP2 | rejected\nP3 | B1\nP4 | B1"
    )
    change(warehouse, "update persons set updated_at = '2026-01-02'")
    assert listed(warehouse, "R2") == ["P1", "P2"]
    record_decisions(warehouse, "person_id | becomes | attempt_count\nP1 | rejected | 1", "R2")
    assert counted(warehouse, "R2") == (2, 0, 1)


def test_a_plan_counts_whom_it_has_planned(warehouse: Warehouse) -> None:
    put_persons(warehouse, FOUR)
    begin(warehouse, "R1", "plan")
    new_persons.list_new_persons(warehouse, "R1")
    change(
        warehouse,
        "insert into planned_persons (run_id, person_id, decision) values ('R1', 'P1', 'create')",
    )
    assert counted(warehouse) == (4, 0, 3)


def test_a_run_that_has_listed_no_person_has_missed_none(warehouse: Warehouse) -> None:
    begin(warehouse, "R1", "resume")
    assert counted(warehouse) == (0, 0, 0)


def test_persons_released_by_a_finished_run_count_as_unread(warehouse: Warehouse) -> None:
    put_persons(warehouse, FOUR)
    listed(warehouse)
    recorded = record_decisions(
        warehouse, "person_id | becomes\nP1 | B1\nP2 | B1\nP3 | B1\nP4 | B1"
    )
    assert counted(warehouse) == (4, 0, 0)
    ledger.release_persons(warehouse, recorded.batches[0], ["P2", "P3"])
    query = "select read_count, unread_count from sync_runs"
    assert cells(warehouse, query) == [(2, 2)]
