"""Opening a warehouse: errors are reported immediately, and nothing is created by mistake."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect, make_url, text

from pipelines.errors import ConfigurationError, WarehousePermissionError, WarehouseUnavailableError
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.conftest import PostgresServer

SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    "url",
    [
        f"no address {SECRET}",
        f"nosuchengine://u:{SECRET}@h/d",
        f"sqlite+nosuchdriver:///{SECRET}",
        f"postgresql+asyncpg://u:{SECRET}@h/d",
        f"postgresql://u:{SECRET}@h:port/d",
        "sqlite+aiosqlite:///x.db",
        "sqlite://",
        "",
    ],
)
def test_an_unusable_address_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"warehouse\.url|asynchronous") as wrong:
        open_warehouse(url)
    assert SECRET not in str(wrong.value)


def test_a_mistyped_sqlite_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no database"):
        open_warehouse(f"sqlite:///{tmp_path}/warehuose.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "not a database, but a letter\n" * 100])
def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    file = tmp_path / "letter.txt"
    file.write_text(content)
    with pytest.raises(ConfigurationError):
        open_warehouse(f"sqlite:///{file}")
    assert file.read_text() == content


def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SQLITE_CANTOPEN"):
        open_warehouse(f"sqlite:///{tmp_path}/nowhere/warehouse.db", create=True)


def test_a_relative_path_starts_where_we_stand() -> None:
    with pytest.raises(ConfigurationError, match=r"names no/such\.db,"):
        open_warehouse("sqlite:///no/such.db")


@pytest.mark.parametrize(
    ("database", "user", "code"), [("nosuch", "postgres", "3D000"), ("postgres", "nobody", "28000")]
)
def test_a_wrong_database_or_user_is_a_wrong_setting(
    postgres_server: PostgresServer, database: str, user: str, code: str
) -> None:
    with pytest.raises(ConfigurationError, match=code):
        open_warehouse(postgres_server.address(database, user))


def test_a_server_that_is_away_passes() -> None:
    with pytest.raises(WarehouseUnavailableError) as away:
        open_warehouse(f"postgresql://u:{SECRET}@127.0.0.1:1/d")
    assert SECRET not in str(away.value)


@pytest.mark.parametrize("host", ["/no/such/folder", "127.0.0.1&port=1"])
def test_an_unknown_server_passes(host: str) -> None:
    with pytest.raises(WarehouseUnavailableError):
        open_warehouse(f"postgresql:///d?host={host}")


def test_a_server_that_takes_the_call_and_says_nothing_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=2"
        with pytest.raises(WarehouseUnavailableError):
            open_warehouse(url)


def test_an_option_postgresql_does_not_know_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigurationError, match="option"):
        open_warehouse("postgresql://u@127.0.0.1:1/d?nosuchoption=1")


def test_a_full_server_passes(postgres_server: PostgresServer) -> None:
    postgres_server.run("create role {} login connection limit 0", "limited")
    with pytest.raises(WarehouseUnavailableError, match="53300"):
        open_warehouse(postgres_server.address("postgres", user="limited"))
    postgres_server.run("drop role {}", "limited")


def test_both_forms_of_a_postgresql_address_go_by_psycopg_3(postgres_url: str) -> None:
    for url in (postgres_url, postgres_url.replace("postgresql:", "postgres:")):
        with open_warehouse(url) as warehouse:
            assert warehouse.engine.dialect.driver == "psycopg"


def test_a_postgresql_connection_never_waits_without_end(postgres_url: str) -> None:
    names = ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout", "timezone")
    with open_warehouse(postgres_url) as warehouse, warehouse.reading() as connection:
        shown = [connection.execute(text(f"show {name}")).scalar_one() for name in names]
    assert shown == ["3s", "20s", "5min", "UTC"]


def test_how_instants_are_formatted_is_not_for_others_to_decide(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """A rejected person is new again once `updated_at` is formatted differently."""
    database = make_url(postgres_url).database or ""
    postgres_server.run("alter database {} set datestyle = 'SQL, DMY'", database)
    postgres_server.run("alter database {} set extra_float_digits = 0", database)
    query = text(
        "select cast(timestamp '2026-01-31 08:00' as text), cast(0.1::float8 + 0.2 as text)"
    )
    with open_warehouse(postgres_url) as warehouse, warehouse.reading() as connection:
        shown = tuple(connection.execute(query).one())
    assert shown == ("2026-01-31 08:00:00", "0.30000000000000004")


def test_a_sqlite_connection_keeps_what_it_commits(sqlite_warehouse_url: str) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse, warehouse.reading() as connection:
        pragmas = ("journal_mode", "synchronous", "busy_timeout")
        shown = [connection.execute(text(f"pragma {name}")).scalar_one() for name in pragmas]
    assert shown == ["wal", 2, 10_000]


BAD_NAMES = [
    'x"; drop table persons; --',
    "persons; drop table persons",
    "persons--",
    "persons where 1=1",
    "(select 1)",
    "per sons",
    "pérsons",
    "1persons",
    "a.b.c",
    "a..b",
    "persons.",
    "",
    "x" * 64,
    "persons\n",
    "persons\0",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_table_s_name_is_only_ever_a_name(warehouse_url: str, name: str) -> None:
    with pytest.raises(ConfigurationError):
        open_warehouse(warehouse_url, persons=name)
    with pytest.raises(ConfigurationError):
        open_warehouse(warehouse_url, results_schema=name)
    with open_warehouse(warehouse_url) as warehouse:
        assert "person_id" in warehouse.persons_table.c


def test_no_naughty_string_becomes_a_table(sqlite_warehouse_url: str, shared_data: Path) -> None:
    strings = json.loads((shared_data / "naughty-strings" / "blns.json").read_text())
    plain = {name for name in strings if name.isascii() and name.isidentifier()}
    for name in set(strings) - plain:
        if not all(part.replace("$", "_").isidentifier() for part in name.split(".")):
            with pytest.raises(ConfigurationError):
                open_warehouse(sqlite_warehouse_url, persons=name)


def test_a_persons_table_that_is_not_there_is_a_wrong_setting(warehouse_url: str) -> None:
    with (
        open_warehouse(warehouse_url, persons="no_such_table") as warehouse,
        pytest.raises(ConfigurationError, match="no_such_table"),
    ):
        assert warehouse.persons_table is not None


def test_persons_may_be_a_view(warehouse: Warehouse, warehouse_url: str) -> None:
    with warehouse.transaction() as connection:
        connection.execute(text("create view prospects as select person_id, company from persons"))
    with open_warehouse(warehouse_url, persons="prospects") as uploading:
        assert list(uploading.persons_table.c.keys()) == ["person_id", "company"]


def test_persons_may_be_in_a_schema_of_their_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute('create schema "Marketing"')
        admin.execute('create table "Marketing".leads$ (person_id bigint primary key)')
    with open_warehouse(postgres_url, persons="Marketing.leads$") as warehouse:
        assert str(warehouse.persons_table) == "Marketing.leads$"


def test_a_read_only_sqlite_file_is_refused(sqlite_warehouse_url: str) -> None:
    path = sqlite_warehouse_url.removeprefix("sqlite:///")
    url = f"sqlite:///file:{path}?mode=ro&uri=true"
    with open_warehouse(url) as warehouse:
        assert "person_id" in warehouse.persons_table.c
        with (
            pytest.raises(WarehousePermissionError, match="SQLITE_READONLY"),
            warehouse.transaction() as c,
        ):
            c.execute(text("delete from persons"))


def test_a_role_without_rights_is_refused(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create table persons (person_id text)")
        admin.execute("create role stranger login")
    database = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
    try:
        with (
            open_warehouse(postgres_server.address(str(database), "stranger")) as warehouse,
            pytest.raises(WarehousePermissionError, match="42501"),
            warehouse.reading() as connection,
        ):
            connection.execute(text("select * from persons"))
    finally:
        postgres_server.run("drop role {}", "stranger")


def test_closing_twice_is_no_matter(warehouse: Warehouse) -> None:
    warehouse.close()
    warehouse.close()


def test_a_sqlite_file_in_use_elsewhere_is_opened_too(sqlite_warehouse_url: str) -> None:
    path = sqlite_warehouse_url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    with open_warehouse(sqlite_warehouse_url) as warehouse, warehouse.reading() as connection:
        assert inspect(connection).has_table("sync_runs")
    other.close()
