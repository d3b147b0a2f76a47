"""Migrations: once each, all or nothing, and by one process at a time."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect, make_url, text

from pipelines.errors import WarehousePermissionError
from pipelines.warehouse.database import Warehouse, open_warehouse
from pipelines.warehouse.migrations import migrate, pending, try_writing
from pipelines.warehouse.statements import SQL_FOLDER
from tests.conftest import PostgresServer
from tests.warehouse_rows import fill

FILES = sorted(file.name for file in SQL_FOLDER.glob("migrations/*.sql"))
ALL = [*FILES, "views"]
RULE = {
    "rule_name": "company_missing",
    "stage": "validation",
    "field_name": "company",
    "description": "The company is missing.",
    "remedy": "Fill it in.",
}


@pytest.fixture
def sql_folder(tmp_path: Path) -> Path:
    """A copy of the SQL, to be changed."""
    return Path(shutil.copytree(SQL_FOLDER, tmp_path / "sql"))


def tables_of(warehouse: Warehouse) -> set[str]:
    with warehouse.reading() as connection:
        inspector = inspect(connection)
        schemas = [name for name in inspector.get_schema_names() if name != "information_schema"]
        return {table for schema in schemas for table in inspector.get_table_names(schema)}


def change(file: Path, old: str, new: str) -> None:
    script = file.read_text()
    assert old in script
    file.write_text(script.replace(old, new, 1))


def test_a_fresh_warehouse_gets_everything_once(empty_warehouse: Warehouse) -> None:
    assert pending(empty_warehouse) == ALL
    assert migrate(empty_warehouse) == ALL
    assert migrate(empty_warehouse) == []
    assert pending(empty_warehouse) == []


def test_looking_at_what_is_pending_writes_nothing(empty_warehouse: Warehouse) -> None:
    pending(empty_warehouse)
    assert tables_of(empty_warehouse) == set()


def test_tables_go_where_the_setting_says(postgres_url: str) -> None:
    with open_warehouse(postgres_url, results_schema="crm_sync") as warehouse:
        migrate(warehouse)
        with warehouse.reading() as connection:
            assert inspect(connection).has_table("sync_runs", schema="crm_sync")


def test_nothing_to_do_waits_for_no_lock(warehouse: Warehouse, warehouse_url: str) -> None:
    with open_warehouse(warehouse_url) as other, warehouse.transaction() as connection:
        connection.execute(text("update schema_versions set file_name = file_name"))
        assert migrate(other) == []


def test_a_failed_migration_leaves_nothing_behind(
    empty_warehouse: Warehouse, sql_folder: Path
) -> None:
    broken = "create table made_first (x text);\ncreate table made_next (x text,,);\n"
    (sql_folder / "migrations" / "900_broken.sql").write_text(broken)
    with pytest.raises(WarehousePermissionError):
        migrate(empty_warehouse, sql_folder=sql_folder)
    assert tables_of(empty_warehouse) == set()
    assert pending(empty_warehouse) == ALL


def test_a_view_that_fails_leaves_nothing_behind(warehouse: Warehouse, sql_folder: Path) -> None:
    (sql_folder / "migrations" / "900_more.sql").write_text("create table made_first (x text);\n")
    (sql_folder / "views" / "rpt_broken.sql").write_text("-- One row.\nselect * from nowhere\n")
    with pytest.raises(WarehousePermissionError):
        migrate(warehouse, sql_folder=sql_folder)
    assert "made_first" not in tables_of(warehouse)


def test_an_old_migration_may_not_change(warehouse: Warehouse, sql_folder: Path) -> None:
    change(sql_folder / "migrations" / "001_schema.sql", "org_name text", "org_title text")
    for call in (migrate, pending):
        with pytest.raises(WarehousePermissionError, match=r"001_schema\.sql .* new migration"):
            call(warehouse, sql_folder=sql_folder)


def test_the_comments_of_an_old_migration_may_change(
    warehouse: Warehouse, sql_folder: Path
) -> None:
    change(sql_folder / "migrations" / "001_schema.sql", "made at the start", "our own id")
    assert migrate(warehouse, sql_folder=sql_folder) == ["views"]


def test_a_warehouse_newer_than_the_code_is_left_alone(
    warehouse: Warehouse, sql_folder: Path
) -> None:
    (sql_folder / "migrations" / "900_new.sql").write_text("create table new_one (x text);\n")
    migrate(warehouse, sql_folder=sql_folder)
    with pytest.raises(WarehousePermissionError, match="upgrade Person Sync"):
        migrate(warehouse)


def test_a_new_migration_is_applied_and_the_views_remade(
    warehouse: Warehouse, sql_folder: Path
) -> None:
    added = "alter table sync_runs add column mood text; -- how it went\n"
    (sql_folder / "migrations" / "900_mood.sql").write_text(added)
    assert pending(warehouse, sql_folder=sql_folder) == ["900_mood.sql", "views"]
    assert migrate(warehouse, sql_folder=sql_folder) == ["900_mood.sql", "views"]


def test_a_changed_view_is_remade(warehouse: Warehouse, sql_folder: Path) -> None:
    change(
        sql_folder / "views" / "dim_sync_runs.sql",
        "    unread_count\n",
        "    unread_count,\n    'x' as mood\n",
    )
    assert migrate(warehouse, sql_folder=sql_folder) == ["views"]
    with warehouse.reading() as connection:
        assert connection.execute(text("select mood from dim_sync_runs")).all() == []


def test_processes_that_migrate_at_once_take_turns(empty_url: str) -> None:
    def migrated() -> list[str]:
        with open_warehouse(empty_url, create=True) as warehouse:
            return migrate(warehouse)

    with ThreadPoolExecutor(4) as pool:
        done = [future.result() for future in [pool.submit(migrated) for _ in range(4)]]
    assert sorted(done) == [[], [], [], ALL]


def test_rules_are_kept_up_to_date_and_old_ones_stay(warehouse: Warehouse) -> None:
    assert migrate(warehouse, [RULE]) == ["rejection_rules"]
    assert migrate(warehouse, [RULE]) == []
    assert migrate(warehouse) == []
    other = {**RULE, "rule_name": "last_name_missing"}
    assert migrate(warehouse, [{**RULE, "description": "No company."}, other]) == [
        "rejection_rules"
    ]
    migrate(warehouse, [other])
    with warehouse.reading() as connection:
        rules = warehouse.run(connection, "report_rules").all()
    assert [(rule.rule_name, rule.description) for rule in rules] == [
        ("company_missing", "No company."),
        ("last_name_missing", "The company is missing."),
    ]


def test_rights_given_on_a_view_outlive_its_remaking(
    postgres_server: PostgresServer, postgres_warehouse_url: str, sql_folder: Path
) -> None:
    postgres_server.run("create role {}", "bi_reader")
    try:
        with psycopg.connect(postgres_warehouse_url, autocommit=True) as admin:
            admin.execute("grant select on person_sync.rpt_daily_sync to bi_reader")
        (sql_folder / "views" / "rpt_new.sql").write_text("-- One row.\nselect 1 as run_count\n")
        with open_warehouse(postgres_warehouse_url) as warehouse:
            assert migrate(warehouse, sql_folder=sql_folder) == ["views"]
            may = text("select has_table_privilege('bi_reader', 'rpt_daily_sync', 'select')")
            with warehouse.reading() as connection:
                assert connection.execute(may).scalar_one()
        with psycopg.connect(postgres_warehouse_url, autocommit=True) as admin:
            admin.execute("drop owned by bi_reader")
    finally:
        postgres_server.run("drop role {}", "bi_reader")


def test_a_role_that_may_not_make_the_schema_is_refused(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    postgres_server.run("create role {} login", "newcomer")
    database = str(psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"])
    try:
        with (
            open_warehouse(postgres_server.address(database, "newcomer")) as warehouse,
            pytest.raises(WarehousePermissionError, match="42501"),
        ):
            migrate(warehouse)
    finally:
        postgres_server.run("drop role {}", "newcomer")


def test_another_program_s_schema_versions_is_not_ours(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("create table public.schema_versions (something text)")
    with open_warehouse(postgres_url) as warehouse:
        assert migrate(warehouse) == ALL


# --- An engine's own script, and constraints


def test_an_engine_s_own_migration_replaces_the_common_one(
    empty_warehouse: Warehouse, sql_folder: Path
) -> None:
    migrations = sql_folder / "migrations"
    (migrations / "900_more.sql").write_text("create table for_all (x text);\n")
    (migrations / "900_more.sqlite.sql").write_text("create table for_sqlite (x text);\n")
    migrate(empty_warehouse, sql_folder=sql_folder)
    is_sqlite = empty_warehouse.engine.dialect.name == "sqlite"
    expected = {"for_sqlite"} if is_sqlite else {"for_all"}
    assert tables_of(empty_warehouse) & {"for_all", "for_sqlite"} == expected


def test_an_upgrade_keeps_what_the_ledger_knows(warehouse: Warehouse, sql_folder: Path) -> None:
    fill(warehouse, "sync_runs", "run_id | read_count | created_count\nR1 | 3 | 3")
    added = "alter table sync_runs add column mood text default 'fine'; -- how it went\n"
    (sql_folder / "migrations" / "900_mood.sql").write_text(added)
    migrate(warehouse, sql_folder=sql_folder)
    query = text("select run_id, run_mode, read_count, mood from sync_runs")
    with warehouse.reading() as connection:
        assert [tuple(row) for row in connection.execute(query)] == [("R1", "live", 3, "fine")]


def test_a_run_may_be_a_resolution_but_no_unknown_mode(
    warehouse: Warehouse,
) -> None:
    fill(warehouse, "sync_runs", "run_id | run_mode\nR1 | resolve")
    with pytest.raises(WarehousePermissionError):
        fill(warehouse, "sync_runs", "run_id | run_mode\nR2 | dance")


@pytest.mark.parametrize("is_made", [True, False])
def test_a_login_without_the_right_to_temporary_tables_is_shown_which_right(
    postgres_server: PostgresServer, postgres_url: str, is_made: bool
) -> None:
    database = make_url(postgres_url).database or ""
    postgres_server.run("create role no_temporary login")
    postgres_server.run("grant create on database {} to no_temporary", database)
    own = postgres_server.address(database, "no_temporary")
    try:
        with open_warehouse(own) as warehouse:
            if is_made:
                migrate(warehouse)
            try_writing(warehouse)
            postgres_server.run("revoke temporary on database {} from public", database)
            with pytest.raises(WarehousePermissionError, match="TEMPORARY"):
                try_writing(warehouse)
    finally:
        postgres_server.run("drop database {} with (force)", database)
        postgres_server.run("drop role no_temporary")
        postgres_server.run("create database {}", database)
