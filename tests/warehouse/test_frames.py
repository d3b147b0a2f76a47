"""Frames in and out of the warehouse, every cell as it was."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from pipelines.errors import ConfigurationError
from pipelines.warehouse.database import Warehouse, open_warehouse
from pipelines.warehouse.frames import from_csv, from_rows, to_csv, to_frame
from tests.tables import cell_texts, drawn, drawn_rows


def kept(warehouse: Warehouse, *cells: str | None) -> list[str | None]:
    """The cells, written into a text column and read back."""
    ids = [f"{n:06}" for n in range(len(cells))]
    frame = pd.DataFrame({"person_id": ids, "company": pd.Series(cells, dtype="str")})
    with warehouse.transaction() as connection:
        assert warehouse.insert_frame(connection, "persons", frame) == len(cells)
    persons = warehouse.persons_table
    query = select(persons.c.company).order_by(persons.c.person_id)
    with warehouse.reading() as connection:
        return [row[0] for row in cell_texts(warehouse.read_frame(connection, query))]


def test_null_and_empty_text_stay_apart(warehouse: Warehouse) -> None:
    assert kept(warehouse, None, "", " ", "null", "NA", r"\N", None) == (
        [None, "", " ", "null", "NA", r"\N", None]
    )


def test_whatever_people_type_comes_back_as_it_was(warehouse: Warehouse, shared_data: Path) -> None:
    strings = json.loads((shared_data / "naughty-strings" / "blns.json").read_text())
    cells = [*strings, 'a "b"', "a,b", "a\r\nb", "a\rb", "\\.", "007", "1e5", "\ufeffx", "🂡"]
    cells = [cell for cell in cells if "\0" not in cell]
    assert kept(warehouse, *cells) == cells


def test_an_empty_frame_adds_no_row(warehouse: Warehouse) -> None:
    assert kept(warehouse) == []


def test_a_column_of_nothing_but_nulls_is_kept(warehouse: Warehouse) -> None:
    assert kept(warehouse, None) == [None]
    nothing = pd.DataFrame({"person_id": ["P1"], "employee_count": [None]})
    with warehouse.transaction() as connection:
        assert warehouse.insert_frame(connection, "persons", nothing) == 1


def test_types_follow_the_names_of_our_columns(warehouse: Warehouse) -> None:
    rows = drawn_rows("""
        run_id | flow_run_id | started_at          | finished_at | process_id | read_count
        R1     |             | 2026-01-31 01:02:03 |             | 7          | 12
    """)
    said = {"run_mode": "live", "process_host": "h", "code_version": "1", "settings_hash": "-"}
    with warehouse.transaction() as connection:
        warehouse.insert_frame(connection, "sync_runs", rows.assign(**said))
    with warehouse.reading() as connection:
        runs = warehouse.read_frame(connection, "report_runs", run_id=None, row_limit=9)
    types = runs[["run_id", "flow_run_id", "read_count", "started_at", "finished_at"]].dtypes
    assert [str(type_) for type_ in types] == ["str", "str", "Int64"] + 2 * ["datetime64[us]"]


def test_yes_and_no_are_boolean_on_every_engine(warehouse: Warehouse) -> None:
    query = text("select 1 = 1 as is_so, 1 = 2 as is_not_so, null as is_unknown")
    types = dict.fromkeys(("is_so", "is_not_so", "is_unknown"), "boolean")
    with warehouse.reading() as connection:
        assert cell_texts(warehouse.read_frame(connection, query, types)) == [
            ["True", "False", None]
        ]


def test_of_a_table_that_is_not_ours_everything_is_text(warehouse: Warehouse) -> None:
    insert = text("insert into persons (person_id, employee_count) values ('P1', 250)")
    persons = warehouse.persons_table
    with warehouse.transaction() as connection:
        connection.execute(insert)
        read = warehouse.read_frame(connection, select(persons.c.employee_count))
    assert cell_texts(read) == [["250"]]
    assert str(read["employee_count"].dtype) == "str"


def test_instants_are_read_whatever_their_offset_and_nonsense_is_none(
    warehouse: Warehouse,
) -> None:
    query = text("""
        with r (created_at) as (
            values ('2026-01-31 12:00:00'), ('2026-01-31T14:00:00.5+02:00'), ('yesterday'), (null)
        )
        select created_at from r
    """)
    with warehouse.reading() as connection:
        read = warehouse.read_frame(connection, query, {"created_at": "datetime64[us]"})
    assert cell_texts(read) == [
        ["2026-01-31 12:00:00.000"],
        ["2026-01-31 12:00:00.500"],
        [None],
        [None],
    ]


def test_a_column_s_name_is_only_ever_a_name(warehouse: Warehouse) -> None:
    frame = pd.DataFrame({"person_id) values ('x'); --": ["P1"]})
    for table, columns in (("persons", frame), ("persons; drop table persons", frame[[]])):
        with pytest.raises(ConfigurationError), warehouse.transaction() as connection:
            warehouse.insert_frame(connection, table, columns)


def test_sqlite_text_that_is_no_utf_8_is_shown_not_fatal(sqlite_warehouse_url: str) -> None:
    with sqlite3.connect(sqlite_warehouse_url.removeprefix("sqlite:///")) as raw:
        raw.execute(
            "insert into persons (person_id, company) values ('P1', cast(x'41ff42' as text))"
        )
    raw.close()
    with open_warehouse(sqlite_warehouse_url) as warehouse, warehouse.reading() as connection:
        read = warehouse.read_frame(connection, select(warehouse.persons_table.c.company))
    assert cell_texts(read) == [["A\uffffB"]]


def test_what_cannot_be_written_is_not_shown_but_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        "\ud800".encode("utf-8", "show_undecodable")


def test_ids_sort_by_code_point_on_every_engine(warehouse: Warehouse) -> None:
    ids = ["a1", "a-1", "B", "b", "ä", "10", "9"]
    with warehouse.transaction() as connection:
        warehouse.insert_frame(connection, "persons", pd.DataFrame({"person_id": ids}))
    id_ = warehouse.persons_table.c.person_id
    query = select(id_).order_by(warehouse.dialect.collate_binary(id_))
    with warehouse.reading() as connection:
        assert list(warehouse.read_frame(connection, query)["person_id"]) == sorted(ids)


def test_a_sqlite_column_may_hold_anything() -> None:
    rows = [(1,), ("two",), (b"thr\xffe",), (4.5,), (None,), (2**70,)]
    assert cell_texts(to_frame(from_rows(rows, ["x"]), {})) == [
        ["1"],
        ["two"],
        ["thr\uffffe"],
        ["4.5"],
        [None],
        [str(2**70)],
    ]


def test_bytes_are_read_as_text() -> None:
    assert cell_texts(to_frame(from_rows([(b"Acme",), (None,)], ["x"]), {})) == [["Acme"], [None]]


@given(
    st.lists(
        st.tuples(st.none() | st.text(), st.none() | st.text(alphabet='",\r\n\\. ')), max_size=20
    )
)
def test_csv_out_and_in_again_is_the_same(rows: list[tuple[str | None, str | None]]) -> None:
    table = pa.table(
        [[r[n] for r in rows] for n in (0, 1)],
        schema=pa.schema({"a": pa.string(), "b": pa.string()}),
    )
    csv = b"a,b\n" + b"".join(to_csv(batch) for batch in table.to_batches())
    assert from_csv(pa.py_buffer(csv)).to_pylist() == table.to_pylist()


def test_a_drawn_table_says_null_empty_and_blank() -> None:
    assert cell_texts(drawn('a | b | c\n"" |  | " x "')) == [["", None, " x "]]
