"""Transactions: all or nothing, one writer, readers who see one instant, and errors of our own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pandas as pd
import psycopg
import pytest
from sqlalchemy import Engine, event, text

from pipelines.errors import SyncError, WarehousePermissionError, WarehouseUnavailableError
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.conftest import PostgresServer
from tests.warehouse_rows import fill

CANARY = "canary@example.org"


class Interrupted(Exception):
    """Something of the caller's own."""


def person_ids(warehouse: Warehouse) -> list[str]:
    with warehouse.reading() as connection:
        rows = connection.execute(text("select person_id from persons order by person_id"))
        return list(rows.scalars())


def add_person(warehouse: Warehouse, person_id: str) -> None:
    with warehouse.transaction() as connection:
        insert = text("insert into persons (person_id) values (:person_id)")
        connection.execute(insert, {"person_id": person_id})


def leave_half_done(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        connection.execute(text("insert into persons (person_id) values ('P1')"))
        connection.execute(text("create table half_done (x text)"))
        raise Interrupted


def test_an_error_inside_undoes_everything(warehouse: Warehouse) -> None:
    with pytest.raises(Interrupted):
        leave_half_done(warehouse)
    assert person_ids(warehouse) == []
    with pytest.raises(WarehousePermissionError), warehouse.reading() as connection:
        connection.execute(text("select * from half_done"))


def test_a_reader_sees_one_instant(warehouse: Warehouse) -> None:
    count = text("select count(*) from persons")
    add_person(warehouse, "P1")
    with warehouse.reading() as connection:
        before = connection.execute(count).scalar_one()
        add_person(warehouse, "P2")
        assert connection.execute(count).scalar_one() == before
    assert person_ids(warehouse) == ["P1", "P2"]


def test_what_a_reader_writes_is_undone(warehouse: Warehouse) -> None:
    with warehouse.reading() as connection:
        connection.execute(text("insert into persons (person_id) values ('P1')"))
    assert person_ids(warehouse) == []


def test_what_is_locked_too_long_passes(warehouse: Warehouse, warehouse_url: str) -> None:
    add_person(warehouse, "P1")
    with open_warehouse(warehouse_url) as other, warehouse.transaction() as connection:
        connection.execute(text("update persons set company = 'Acme'"))
        impatient(other.engine)
        with pytest.raises(WarehouseUnavailableError), other.transaction() as waiting:
            waiting.execute(text("update persons set company = 'Other'"))


def impatient(engine: Engine) -> None:
    """Connections that wait for a lock a tenth of a second: the wait itself is not the matter."""
    setting = {
        "sqlite": "pragma busy_timeout = 100",
        "postgresql": "select set_config('lock_timeout', '100ms', false)",
    }[engine.dialect.name]
    engine.dispose()
    event.listen(engine, "connect", lambda driver, _record: driver.execute(setting).close())


def test_a_broken_rule_of_the_database_shows_no_row(warehouse: Warehouse) -> None:
    add_person(warehouse, CANARY)
    for values in (f"('{CANARY}', null)", f"('P2', '{CANARY}'), (null, '{CANARY}')"):
        with (
            pytest.raises(WarehousePermissionError) as refused,
            warehouse.transaction() as connection,
        ):
            connection.execute(text(f"insert into persons (person_id, email) values {values}"))
        assert CANARY not in repr(refused.value)
        assert refused.value.__suppress_context__


def test_a_frame_that_does_not_fit_shows_no_row(warehouse: Warehouse) -> None:
    frame = pd.DataFrame({"person_id": ["P1", "P1"], "email": [CANARY, CANARY]})
    with pytest.raises(WarehousePermissionError) as refused, warehouse.transaction() as connection:
        warehouse.insert_frame(connection, "persons", frame)
    assert CANARY not in repr(refused.value)
    assert person_ids(warehouse) == []


def test_errors_of_ours_pass_through(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseUnavailableError, match="as it is"), warehouse.transaction():
        raise WarehouseUnavailableError("as it is")


def test_the_clock_is_the_database_s_and_moves_inside_a_transaction(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        first = warehouse.now(connection)
        time.sleep(0.01)
        second = warehouse.now(connection)
    assert first.tzinfo is None
    assert first < second
    assert abs(datetime.now(UTC).replace(tzinfo=None) - second) < timedelta(seconds=5)


def test_instants_sort_as_they_happened_however_written(warehouse: Warehouse) -> None:
    """By a frame, by a parameter: on SQLite instants are text, and compared as such."""
    noon = datetime.fromisoformat("2026-01-31 12:00")
    fill(warehouse, "sync_runs", "run_id | started_at\nR1 | 2026-01-31 12:00:00.000001")
    later = text("select run_id from sync_runs where started_at > :noon").bindparams(noon=noon)
    with warehouse.reading() as connection:
        assert list(connection.execute(later).scalars()) == ["R1"]
        assert warehouse.read_frame(connection, "report_runs", run_id="R1", row_limit=1)[
            "started_at"
        ].tolist() == [pd.Timestamp("2026-01-31 12:00:00.000001")]


def test_a_server_that_was_restarted_is_found_again(
    postgres_server: PostgresServer, postgres_warehouse_url: str
) -> None:
    with open_warehouse(postgres_warehouse_url) as warehouse:
        add_person(warehouse, "P1")
        with psycopg.connect(postgres_warehouse_url, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        assert person_ids(warehouse) == ["P1"]


def test_a_connection_lost_in_a_transaction_passes(postgres_warehouse_url: str) -> None:
    def lose_connection() -> None:
        with open_warehouse(postgres_warehouse_url) as warehouse, warehouse.transaction() as lost:
            pid = lost.execute(text("select pg_backend_pid()")).scalar_one()
            with psycopg.connect(postgres_warehouse_url, autocommit=True) as admin:
                admin.execute("select pg_terminate_backend(%s)", (pid,))
            lost.execute(text("select 1"))

    with pytest.raises(WarehouseUnavailableError):
        lose_connection()


def test_every_database_error_is_one_of_ours(warehouse: Warehouse) -> None:
    for statement in ("selec 1", "select * from nowhere", "select nothing from persons"):
        with pytest.raises(SyncError), warehouse.reading() as connection:
            connection.execute(text(statement))
