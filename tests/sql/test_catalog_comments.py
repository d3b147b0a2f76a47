"""Every column has its comment in the schema, and the catalogue has it too."""

from __future__ import annotations

import re

from sqlalchemy import Inspector, inspect, text

from pipelines.warehouse.catalog_comments import explained_tables, explained_view
from pipelines.warehouse.database import Warehouse, open_warehouse
from pipelines.warehouse.statements import SQL_FOLDER, without_comments

MIGRATIONS = [file.read_text() for file in sorted(SQL_FOLDER.glob("migrations/*.sql"))]
TABLES = explained_tables(MIGRATIONS)
VIEWS = {file.stem: file.read_text() for file in sorted(SQL_FOLDER.glob("views/*.sql"))}


def columns_of(inspector: Inspector, name: str) -> list[str]:
    return [column["name"] for column in inspector.get_columns(name)]


def test_the_columns_explained_are_the_columns_there_are(warehouse: Warehouse) -> None:
    with warehouse.reading() as connection:
        inspector = inspect(connection)
        there = {name: columns_of(inspector, name) for name in TABLES}
    assert there == {name: list(table.columns) for name, table in TABLES.items()}


def test_no_table_or_column_is_without_a_comment() -> None:
    for name, table in TABLES.items():
        assert table.description.startswith("One row"), name
        assert [c for c, note in table.columns.items() if not note] == [], name


def test_every_view_says_its_grain_and_every_column_of_it_is_explained(
    warehouse: Warehouse,
) -> None:
    known = dict(TABLES)
    with warehouse.reading() as connection:
        inspector = inspect(connection)
        for name, query in VIEWS.items():
            known[name] = explained_view(query, columns_of(inspector, name), known)
            assert known[name].description.startswith("One row"), name
            assert [c for c, note in known[name].columns.items() if not note] == [], name


def test_a_view_explains_only_columns_it_has(warehouse: Warehouse) -> None:
    with warehouse.reading() as connection:
        inspector = inspect(connection)
        for name, query in VIEWS.items():
            noted = set(re.findall(r"^-- ([a-z_]+): ", query, re.M))
            assert noted <= set(columns_of(inspector, name)), name


def test_postgresql_s_catalogue_has_the_comments(postgres_warehouse_url: str) -> None:
    query = text("""
        select c.relname, a.attname, col_description(c.oid, a.attnum) as note
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'person_sync'::regnamespace and c.relkind in ('r', 'v')
    """)
    with open_warehouse(postgres_warehouse_url) as warehouse, warehouse.reading() as connection:
        found = {(row.relname, row.attname): row.note for row in connection.execute(query)}
        grain = inspect(connection).get_table_comment("rpt_daily_sync")["text"]
    assert {name for name, _ in found} == {*TABLES, *VIEWS}
    assert [place for place, note in found.items() if not note] == []
    assert found["sync_runs", "run_id"] == TABLES["sync_runs"].columns["run_id"]
    assert grain == "One row a UTC day and run mode."


def test_sqlite_keeps_the_comments_of_the_columns(sqlite_warehouse_url: str) -> None:
    query = text("select sql from sqlite_master where name = 'sync_runs'")
    with open_warehouse(sqlite_warehouse_url) as warehouse, warehouse.reading() as connection:
        assert "-- made at the start" in connection.execute(query).scalar_one()


def test_a_name_has_one_type_wherever_it_stands() -> None:
    types: dict[str, set[str]] = {}
    for script in map(without_comments, MIGRATIONS):
        for name, type_ in re.findall(
            r"^ {4}(\w+) (text|integer|bigint|boolean|timestamp)\b", script, re.M
        ):
            types.setdefault(name, set()).add(type_)
    assert {name: found for name, found in types.items() if len(found) > 1} == {}


def test_names_keep_their_promise_about_types() -> None:
    endings = {
        **dict.fromkeys(("_at", "_until", "_watermark"), "timestamp"),
        "_count": "integer",
        "_id": "text",
    }
    is_number_elsewhere = {"process_id"}  # the operating system's
    for script in map(without_comments, MIGRATIONS):
        for name, type_ in re.findall(
            r"^ {4}(\w+) (text|integer|bigint|boolean|timestamp)\b", script, re.M
        ):
            wanted = [type_ for ending, type_ in endings.items() if name.endswith(ending)]
            assert type_ in (wanted or [type_]) or name in is_number_elsewhere, name
            assert (type_ == "boolean") == name.startswith(("is_", "has_", "allow_")), name


def test_a_column_added_later_is_explained_too() -> None:
    table = "-- One row a thing.\ncreate table things (\n    thing_id text -- its key\n);\n"
    added = "alter table things\nadd column colour text; -- how it looks\n"
    assert explained_tables([table, added])["things"].columns == {
        "thing_id": "its key",
        "colour": "how it looks",
    }


def test_a_view_s_own_comments_come_before_its_source_s() -> None:
    query = "-- One row a run.\n-- run_id: of the view\nselect run_id, run_mode from sync_runs"
    words = explained_view(query, ["run_id", "run_mode", "new_one"], TABLES).columns
    assert words == {
        "run_id": "of the view",
        "run_mode": "what was asked for",
        "new_one": "",
    }
