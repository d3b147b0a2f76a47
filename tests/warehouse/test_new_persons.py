"""Who is new, in what order, and who is not any more."""

import pytest

from pipelines.warehouse import ledger, new_persons, person_rows
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.warehouse.ledger_steps import (
    begin,
    cells,
    change,
    pending,
    put_persons,
    record_decisions,
    remake_persons,
    results,
    submitted,
)


def listed(warehouse: Warehouse, **choice: object) -> list[str]:
    """Who a run begun now sets out to read, in order."""
    run_id = begin(warehouse, f"R{len(cells(warehouse, 'select 1 from sync_runs')) + 1}")
    count = new_persons.list_new_persons(warehouse, run_id, **choice)  # type: ignore[arg-type]
    query = f"select person_id from run_persons where run_id = '{run_id}' order by position"
    found = [person_id for (person_id,) in cells(warehouse, query)]
    assert count == len(found)
    return found


def read(warehouse: Warehouse, run_id: str) -> list[str]:
    return list(person_rows.read_slice(warehouse, run_id, 1, 100, [])["person_id"])


TWO = """
    person_id | updated_at
    P1        | 2026-01-01
    P2        | 2026-01-01
"""


def as_read(warehouse: Warehouse, words: str, run_id: str = "R1") -> None:
    """Judges a person with the source version that the database gives."""
    versions = person_rows.read_slice(warehouse, run_id, 1, 100, []).set_index("person_id")
    person_id, becomes = words.split(maxsplit=1)
    version, attempts = versions.loc[person_id, ["source_version", "attempt_count"]]
    record_decisions(
        warehouse,
        "person_id | becomes | source_version | attempt_count\n"
        f"{person_id} | {becomes} | {'' if version != version else version} | {attempts}",
        run_id,
    )


def test_the_earliest_come_first_then_the_smallest_id_by_code_point(warehouse: Warehouse) -> None:
    put_persons(
        warehouse,
        """
        person_id | created_at
        b-1       | 2026-01-02
        b1        | 2026-01-01
        a2        |
        B2        | 2026-01-01
        a-3       | 2026-01-01
        a1        |
        """,
    )
    assert listed(warehouse) == ["B2", "a-3", "b1", "b-1", "a1", "a2"]


def test_ids_that_a_column_takes_for_equal_are_distinguished(sqlite_warehouse_url: str) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse:
        remake_persons(
            warehouse,
            "create table persons (person_id text collate nocase, last_name text)",
            "insert into persons values ('b1', 'a'), ('a1', 'b'), ('B1', 'c')",
        )
        assert listed(warehouse) == ["B1", "a1", "b1"]
        found = person_rows.read_slice(warehouse, "R1", 1, 3, ["last_name"])
        assert (list(found["last_name"]), list(found["row_count"])) == (["c", "b", "a"], [1, 1, 1])


def test_numbers_for_ids_come_in_the_order_of_numbers(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id integer, last_name text)",
        "insert into persons values (10, 'x'), (9, 'x'), (-2, 'x'), (100, 'x')",
    )
    assert listed(warehouse) == ["-2", "9", "10", "100"]
    assert read(warehouse, "R1") == ["-2", "9", "10", "100"]


def test_rows_without_an_id_are_one_person_and_so_are_rows_of_one_id(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id text, last_name text)",
        "insert into persons values (null, 'a'), ('', 'b'), (' ', 'c'), ('P1', 'd'), ('P1', 'e')",
    )
    assert listed(warehouse) == ["", "P1"]
    found = person_rows.read_slice(warehouse, "R1", 1, 2, ["last_name"])
    assert list(found["row_count"]) == [3, 2]


def test_a_number_missing_for_an_id_is_the_person_without_one(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id integer, last_name text)",
        "insert into persons values (null, 'a'), (null, 'b'), (0, 'c')",
    )
    assert sorted(listed(warehouse)) == ["", "0"]
    found = person_rows.read_slice(warehouse, "R1", 1, 2, ["last_name"]).set_index("person_id")
    assert found["row_count"].to_dict() == {"": 2, "0": 1}
    assert found.loc["0", "last_name"] == "c"


def test_ids_of_other_types_are_compared_as_text(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id numeric(6, 1), last_name text)",
        "insert into persons values (10.5, 'ten'), (9.5, 'nine')",
    )
    assert listed(warehouse) == ["9.5", "10.5"]
    found = person_rows.read_slice(warehouse, "R1", 1, 2, ["last_name"])
    assert list(found["last_name"]) == ["nine", "ten"]


def test_a_view_without_known_types_is_read_too(sqlite_warehouse_url: str) -> None:
    with open_warehouse(sqlite_warehouse_url, persons="marketing") as warehouse:
        put_persons(warehouse, "person_id | last_name\nP1 | Byron")
        change(
            warehouse,
            "create view marketing as select 'x' || person_id as person_id, last_name from persons",
        )
        assert listed(warehouse) == ["xP1"]
        assert read(warehouse, "R1") == ["xP1"]


def test_only_those_asked_for_are_listed_and_only_the_new_ones(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1\nP2\nP3")
    begin(warehouse, "R1")
    pending(warehouse, "P2")
    assert listed(warehouse, only=["P3", "P2", "P1", "P9", "P1"]) == ["P1", "P3"]


@pytest.mark.parametrize("type_", ["text", "integer"])
def test_the_person_without_an_id_can_be_asked_for(warehouse: Warehouse, type_: str) -> None:
    remake_persons(
        warehouse,
        f"create table persons (person_id {type_}, last_name text)",
        "insert into persons values (null, 'a'), ('7', 'b'), ('8', 'c')",
    )
    assert sorted(listed(warehouse, only=["", "8", "seven", "007"])) == ["", "8"]
    assert new_persons.unknown_person_ids(warehouse, ["seven", "8", "007", "", "seven"]) == [
        "seven",
        "007",
    ]


def test_a_limit_takes_the_first(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id | created_at\nP1 | 2026-02-01\nP2 | 2026-01-01\nP3 |")
    assert listed(warehouse, limit=2) == ["P2", "P1"]


def test_the_columns_of_the_persons_table_are_known(warehouse: Warehouse) -> None:
    assert {"person_id", "company", "updated_at"} <= new_persons.persons_columns(warehouse)


def test_a_person_claimed_is_not_new(warehouse: Warehouse) -> None:
    put_persons(warehouse, TWO)
    begin(warehouse, "R1")
    pending(warehouse, "P1")
    assert listed(warehouse) == ["P2"]


@pytest.mark.parametrize("outcome", ["created", "updated", "held", "duplicate"])
def test_a_person_with_an_outcome_is_not_new(warehouse: Warehouse, outcome: str) -> None:
    put_persons(warehouse, TWO)
    begin(warehouse, "R1")
    batch = submitted(warehouse, pending(warehouse, "P1"))
    ledger.record_results(warehouse, batch, results(f"person_id | outcome\nP1 | {outcome}"))
    change(warehouse, "update persons set updated_at = '2027-01-01'")
    assert listed(warehouse) == ["P2"]


def test_a_rejected_person_is_new_once_the_row_has_changed(warehouse: Warehouse) -> None:
    put_persons(warehouse, TWO)
    assert listed(warehouse) == ["P1", "P2"]
    as_read(warehouse, "P1 rejected")
    assert listed(warehouse) == ["P2"]
    change(warehouse, "update persons set updated_at = '2026-01-02' where person_id = 'P1'")
    assert listed(warehouse) == ["P1", "P2"]
    assert read(warehouse, "R3") == ["P1", "P2"]
    as_read(warehouse, "P1 rejected", "R3")
    assert listed(warehouse) == ["P2"]


def test_a_rejected_person_is_not_new_for_a_version_that_stays_empty(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id | updated_at\nP1 |")
    assert listed(warehouse) == ["P1"]
    as_read(warehouse, "P1 rejected")
    assert listed(warehouse) == []
    change(warehouse, "update persons set updated_at = '2026-01-02'")
    assert listed(warehouse) == ["P1"]


def test_without_updated_at_a_rejected_person_is_never_new_by_itself(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id text, last_name text)",
        "insert into persons values ('P1', 'a')",
    )
    assert listed(warehouse) == ["P1"]
    record_decisions(warehouse, "person_id | becomes\nP1 | rejected")
    change(warehouse, "update persons set last_name = 'b'")
    assert listed(warehouse) == []


def test_a_repeated_id_is_new_when_the_superfluous_row_is_gone(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id text, last_name text, updated_at timestamp)",
        "insert into persons values ('P1', 'a', '2026-01-02'), ('P1', 'b', '2026-01-01')",
    )
    assert listed(warehouse) == ["P1"]
    as_read(warehouse, "P1 rejected")
    assert listed(warehouse) == []
    assert read(warehouse, "R1") == []
    change(warehouse, "delete from persons where last_name = 'b'")
    assert listed(warehouse) == ["P1"]


@pytest.mark.parametrize(
    ("end", "is_new"),
    [("created", False), ("updated", False), ("held", False), ("rejected", True)],
)
def test_a_duplicate_of_a_person_is_new_when_that_one_ends_without_a_lead(
    warehouse: Warehouse, end: str, is_new: bool
) -> None:
    put_persons(warehouse, TWO)
    begin(warehouse, "R1")
    [batch] = record_decisions(
        warehouse, "person_id | becomes\nP1 | B1\nP2 | duplicate of P1"
    ).batches
    assert listed(warehouse) == []
    ledger.record_results(
        warehouse, submitted(warehouse, batch), results(f"person_id | outcome\nP1 | {end}")
    )
    assert ("P2" in listed(warehouse)) is is_new


def test_a_duplicate_is_new_with_the_released_person_it_matched(warehouse: Warehouse) -> None:
    put_persons(warehouse, TWO)
    begin(warehouse, "R1")
    [batch] = record_decisions(
        warehouse, "person_id | becomes\nP1 | B1\nP2 | duplicate of P1"
    ).batches
    ledger.release_persons(warehouse, batch, ["P1"])
    assert listed(warehouse) == ["P1", "P2"]
    assert read(warehouse, "R2") == ["P1", "P2"]


def test_a_duplicate_of_a_lead_stays_one(warehouse: Warehouse) -> None:
    put_persons(warehouse, TWO)
    begin(warehouse, "R1")
    record_decisions(warehouse, "person_id | becomes\nP1 | rejected\nP2 | duplicate in lead")
    assert "P2" not in listed(warehouse)


def test_what_others_took_between_listing_and_reading_is_not_read(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1\nP2\nP3\nP4\nP5")
    assert listed(warehouse) == ["P1", "P2", "P3", "P4", "P5"]
    begin(warehouse, "R2")
    record_decisions(
        warehouse, "person_id | becomes\nP2 | B1\nP3 | rejected\nP4 | duplicate in lead", "R2"
    )
    change(warehouse, "delete from persons where person_id = 'P5'")
    assert read(warehouse, "R1") == ["P1"]


def test_a_slice_holds_its_positions_and_no_other(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1\nP2\nP3\nP4")
    listed(warehouse)
    found = person_rows.read_slice(warehouse, "R1", 2, 3, [])
    assert list(found["person_id"]) == ["P2", "P3"]
    assert person_rows.read_slice(warehouse, "R1", 5, 9, []).empty
