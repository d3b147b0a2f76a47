"""A database's error code becomes the right one of our errors."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy import exc, text

from pipelines.errors import (
    ConfigurationError,
    SyncError,
    WarehousePermissionError,
    WarehouseUnavailableError,
)
from pipelines.warehouse.database import open_warehouse
from pipelines.warehouse.engines.postgresql import PostgreSQL
from pipelines.warehouse.engines.sqlite import SQLite
from pipelines.warehouse.errors import as_sync_error, translated

KINDS: dict[type[SyncError], tuple[str, ...]] = {
    WarehouseUnavailableError: (
        "08006",  # connection failure
        "25P03",  # idle too long in a transaction
        "40001",  # serialization failure
        "40P01",  # deadlock
        "53100",  # disk full
        "53300",  # too many connections
        "55P03",  # lock not available
        "57014",  # statement timed out
        "57P01",  # shut down by an administrator
        "57P03",  # starting up
        "58030",  # input/output error
    ),
    ConfigurationError: ("28000", "28P01", "3D000"),  # user, password, database
    WarehousePermissionError: (
        "25006",  # read-only
        "42501",  # no right
        "42P01",  # no such table
        "23505",  # not unique
        "XX001",  # corrupted
    ),
}


@pytest.mark.parametrize(("kind", "code"), [(k, c) for k, codes in KINDS.items() for c in codes])
def test_postgresql_s_codes_have_a_kind(kind: type[SyncError], code: str) -> None:
    error = PostgreSQL().problem_of_sqlstate(code).as_error()
    assert type(error) is kind
    assert code in str(error)


def test_a_full_disk_passes_and_is_reported_as_such(sqlite_warehouse_url: str) -> None:
    with open_warehouse(sqlite_warehouse_url) as warehouse:
        with warehouse.reading() as connection:
            pages = connection.execute(text("pragma page_count")).scalar_one()
            connection.execute(text(f"pragma max_page_count = {pages}"))
        with (
            pytest.raises(WarehouseUnavailableError, match=r"disk is full \(SQLITE_FULL\)"),
            warehouse.transaction() as c,
        ):
            c.execute(text("insert into persons (person_id) values (hex(randomblob(100000)))"))


def test_a_statement_that_takes_too_long_passes(postgres_url: str) -> None:
    with (
        open_warehouse(postgres_url) as warehouse,
        pytest.raises(WarehouseUnavailableError, match="57014"),
        warehouse.transaction() as connection,
    ):
        connection.execute(text("set local statement_timeout = '20ms'; select pg_sleep(5)"))


def test_no_free_connection_passes() -> None:
    with pytest.raises(WarehouseUnavailableError, match="no free connection"), translated(SQLite()):
        raise exc.TimeoutError


def test_an_error_of_the_sqlite_module_itself_is_refused() -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(WarehousePermissionError, match="SQLITE_MISUSE"), translated(SQLite()):
        connection.execute("select 1")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.OperationalError(), WarehouseUnavailableError),
        (exc.OperationalError("select", {}, Exception()), WarehouseUnavailableError),
        (exc.InterfaceError("select", {}, Exception()), WarehouseUnavailableError),
        (exc.ProgrammingError("select", {}, Exception()), WarehousePermissionError),
        (psycopg.DataError(), WarehousePermissionError),
    ],
)
def test_without_a_code_only_a_lost_connection_passes(
    error: Exception, kind: type[SyncError]
) -> None:
    assert type(as_sync_error(error, PostgreSQL())) is kind
