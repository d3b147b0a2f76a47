"""A person's row as it is read: text, the same on every engine."""

import pandas as pd
import pytest

from pipelines.warehouse import ledger, new_persons, person_rows
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.tables import cell_texts
from tests.warehouse.ledger_steps import (
    begin,
    change,
    pending,
    put_persons,
    remake_persons,
    slice_record,
)

FIXED = [
    "person_id",
    "row_count",
    "attempt_count",
    "source_changed_at",
    "source_version",
    "created_at",
    "owner_strategy",
]


def rows(warehouse: Warehouse, *columns: str) -> pd.DataFrame:
    begin(warehouse)
    new_persons.list_new_persons(warehouse, "R1")
    return person_rows.read_slice(warehouse, "R1", 1, 1000, columns)


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("integer", "1200", "1200"),
        ("bigint", "9007199254740993", "9007199254740993"),
        ("numeric(18, 2)", "1200.5", "1200.5"),
        ("numeric(30, 0)", "1e20", "100000000000000000000"),
        ("double precision", "1200", "1200"),
        ("double precision", "0.1", "0.1"),
        ("double precision", "-1.5e20", "-150000000000000000000"),
        ("double precision", "2.5e-7", "0.00000025"),
        ("boolean", "true", "true"),
        ("boolean", "false", "false"),
        ("date", "'2026-01-31'", "2026-01-31"),
        ("timestamp", "'2026-01-31 10:20:30'", "2026-01-31T10:20:30"),
        ("text", "'None'", "None"),
        ("text", "'NA'", "NA"),
        ("text", "'007'", "007"),
        ("text", "'1e5'", "1e5"),
        ("text", "''", ""),
        ("varchar(9)", "' x '", " x "),
    ],
)
def test_every_type_is_read_as_plain_text(
    warehouse: Warehouse, type_: str, value: str, text: str
) -> None:
    remake_persons(
        warehouse,
        f"create table persons (person_id text, found {type_})",
        f"insert into persons values ('P1', {value}), ('P2', null)",
    )
    found = rows(warehouse, "found")["found"]
    assert found.dtype == "str"
    # Numbers of a fixed scale keep their zeros on PostgreSQL; they are the same number.
    trimmed = found[0].rstrip("0").rstrip(".") if type_.startswith("numeric(18") else found[0]
    assert trimmed == text
    assert pd.isna(found[1])


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("double precision", "NaN", None),
        ("timestamp with time zone", "2026-01-31 12:20:30+02", "2026-01-31T10:20:30Z"),
        ("uuid", "00000000-0000-0000-0000-00000000000A", "00000000-0000-0000-0000-00000000000a"),
    ],
)
def test_postgresqls_own_types_are_read_as_text(
    postgres_warehouse_url: str, type_: str, value: str, text: str | None
) -> None:
    with open_warehouse(postgres_warehouse_url) as warehouse:
        remake_persons(
            warehouse,
            f"create table persons (person_id text, found {type_})",
            f"insert into persons values ('P1', '{value}')",
        )
        assert cell_texts(rows(warehouse, "found")[["found"]]) == [[text]]


def test_words_among_the_numbers_of_sqlite_stay_words(sqlite_warehouse_url: str) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse:
        remake_persons(
            warehouse,
            "create table persons (person_id integer, found integer)",
            "insert into persons values (1, 'eleven'), ('two', 2)",
        )
        found = rows(warehouse, "found")[["person_id", "found"]]
        assert cell_texts(found) == [["1", "eleven"], ["two", "2"]]


def test_what_always_comes_comes_first_and_a_missing_column_is_null(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id text, last_name text)",
        "insert into persons values ('P1', 'Byron')",
    )
    found = rows(warehouse, "last_name", "fax", "last_name")
    assert list(found.columns) == [*FIXED, "last_name"]
    assert cell_texts(found) == [["P1", "1", "0", None, None, None, None, "Byron"]]
    types = found.dtypes.astype(str)
    assert list(types) == ["str", "int64", "int64", "datetime64[us]", "str", "str", "str", "str"]


def test_columns_of_the_source_may_be_called_as_the_ledgers(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id text, position text, outcome text, latest text)",
        "insert into persons values ('P1', 'CEO', 'won', 'news')",
    )
    found = rows(warehouse, "position", "outcome", "latest")
    assert cell_texts(found[["position", "outcome", "latest"]]) == [["CEO", "won", "news"]]


@pytest.mark.parametrize(
    ("version", "instant"),
    [
        ("2026-01-31 10:00:00+02:00", "2026-01-31 08:00:00"),
        ("2026-01-31T10:00:00.5Z", "2026-01-31 10:00:00.500000"),
        ("2026-01-31", "2026-01-31"),
        ("yesterday", None),
        ("", None),
    ],
)
def test_updated_at_is_an_instant_where_it_can_be(
    warehouse: Warehouse, version: str, instant: str | None
) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id text, updated_at text)",
        f"insert into persons values ('P1', '{version}')",
    )
    found = rows(warehouse)
    assert list(found["source_version"]) == [version]
    expected = pd.Series([instant], dtype="datetime64[us]")
    pd.testing.assert_series_equal(found["source_changed_at"], expected, check_names=False)


def test_a_slice_without_persons_has_all_its_columns(warehouse: Warehouse) -> None:
    found = rows(warehouse, "last_name")
    assert list(found.columns) == [*FIXED, "last_name"]
    assert found.empty


def test_repeated_rows_report_their_number_and_the_latest_version(warehouse: Warehouse) -> None:
    remake_persons(
        warehouse,
        "create table persons (person_id text, updated_at text)",
        "insert into persons values ('P1', '2026-01-01'), ('P1', '2026-01-03'), ('P1', null)",
        "insert into persons values (null, '2026-01-01'), (' ', '2026-01-02'), ('P2', null)",
    )
    assert cell_texts(rows(warehouse)[["person_id", "row_count", "source_changed_at"]]) == [
        ["", "2", "2026-01-02"],
        ["P1", "3", "2026-01-03"],
        ["P2", "1", None],
    ]


def test_the_attempts_so_far_come_with_the_person(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id | updated_at\nP1 | 2026-01-01")
    begin(warehouse, "R0")
    found = slice_record("person_id | becomes | attempt_count\nP1 | rejected | 0")
    ledger.record_slice(warehouse, "R0", found, lease_seconds=60)
    assert list(rows(warehouse)["attempt_count"]) == [1]


def test_a_batchs_persons_come_with_their_claims(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id | last_name | owner_strategy\nP2 | b | mine\nP1 | a | mine")
    begin(warehouse)
    pending(warehouse, "P2", "P1")
    found = person_rows.read_claimed(warehouse, "B1", ["last_name", "owner_strategy", "fax"])
    assert list(found.columns) == [
        *FIXED,
        *["owner_id", "lead_id", "contact_id", "row_hash", "defaulted_fields", "email_hash"],
        *["reason_code", "last_name"],
    ]
    shown = ["person_id", "row_count", "owner_strategy", "row_hash", "email_hash", "last_name"]
    assert cell_texts(found[shown]) == [
        ["P1", "1", "rules", "hash", "e-P1", "a"],
        ["P2", "1", "rules", "hash", "e-P2", "b"],
    ]


def test_a_claimed_person_whose_row_is_gone_counts_no_row(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id | last_name\nP1 | a\nP2 | b")
    begin(warehouse)
    pending(warehouse, "P1", "P2", '""')
    change(warehouse, "delete from persons where person_id = 'P1'")
    found = person_rows.read_claimed(warehouse, "B1", ["last_name"])
    assert cell_texts(found[["person_id", "row_count", "last_name"]]) == [
        ["", "0", None],
        ["P1", "0", None],
        ["P2", "1", "b"],
    ]
