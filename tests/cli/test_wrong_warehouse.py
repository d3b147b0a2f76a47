"""A warehouse that is wrong: one sentence, the exit code of the contract, nothing done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import (
    NOW,
    CommandLine,
    nothing_done,
)
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario

WAREHOUSES = [
    ("oracle://scott@db.example.com/x", 2, "needs the driver oracle"),
    ("magic://x", 2, "needs the driver magic"),
    ("warehouse.db", 2, "`warehouse.url` is no database address; write sqlite:///"),
    ("sqlite:///nowhere.db", 2, "nowhere.db, which is no database; correct it"),
    ("sqlite:///", 2, "`warehouse.url` names no file"),
    ("sqlite:///person-sync.toml", 2, "cannot be opened (SQLITE_NOTADB)"),
    ("postgresql://loader@127.0.0.1:1/x", 3, "the warehouse is away"),
]


@pytest.mark.parametrize(("url", "exit_code", "words"), WAREHOUSES)
def test_a_wrong_warehouse_url_is_reported(
    cli: CommandLine, url: str, exit_code: int, words: str
) -> None:
    cli.set(warehouse={"url": url})
    nothing_done(cli, cli(*NOW), exit_code, words)


@pytest.mark.parametrize("command", ["migrate", "resume", "status", "run"])
def test_every_command_reports_a_warehouse_that_is_not_there(
    cli: CommandLine, command: str
) -> None:
    cli.set(warehouse={"url": "oracle://scott@db.example.com/x"})
    nothing_done(cli, cli(command), 2, "needs the driver oracle")


def test_a_postgresql_database_that_is_not_there_is_reported(
    cli: CommandLine, postgres_url: str
) -> None:
    # A wrong password cannot be tried here: the server of the tests trusts every user.
    cli.set(warehouse={"url": postgres_url.replace("/test_", "/none_")})
    nothing_done(cli, cli(*NOW), 2, "SQLSTATE 3D000", "the database's name, the user or")


def test_a_postgresql_user_that_is_not_there_is_reported(
    cli: CommandLine, postgres_url: str
) -> None:
    cli.set(warehouse={"url": postgres_url.replace("postgres:@", "nobody:@")})
    nothing_done(cli, cli(*NOW), 2, "SQLSTATE 28", "the user or the password")


def test_a_missing_persons_table_is_reported(cli: CommandLine) -> None:
    cli.set(warehouse={"persons": "people"})
    nothing_done(cli, cli(*NOW), 2, "`warehouse.persons` names people, and there is no such")


def test_a_missing_column_of_the_settings_is_reported_with_those_there_are(
    cli: CommandLine,
) -> None:
    cli.set(fields={"Title": "job_title"})
    words = (
        "persons has no column job_title, which fields.Title needs",
        "which has annual_revenue",
    )
    nothing_done(cli, cli(*NOW), 2, *words, "correct [fields] or the table")


@pytest.mark.parametrize("column", ["company", "last_name"])
def test_a_missing_column_that_salesforce_needs_is_reported(cli: CommandLine, column: str) -> None:
    cli.scenario.run(f"alter table persons rename column {column} to other")
    nothing_done(cli, cli(*NOW), 2, f"persons has no column {column}, which fields.")


def test_a_required_field_switched_off_is_reported(cli: CommandLine) -> None:
    cli.set(fields={"Company": ""})
    nothing_done(cli, cli(*NOW), 2, "fields.Company is switched off, but Salesforce requires")


READ_ONLY = ["mode=ro&uri=true", "immutable=1&uri=true"]


@pytest.mark.parametrize("how", READ_ONLY)
@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_a_read_only_sqlite_file_is_reported(
    cli: CommandLine, tmp_path: Path, scheme: str, how: str
) -> None:
    cli.set(warehouse={"url": f"{scheme}:///file:{tmp_path}/warehouse.db?{how}"})
    nothing_done(cli, cli(*NOW), 2, "the warehouse refused (SQLITE_READONLY", "a read-only file")


@pytest.mark.parametrize("command", [NOW, ("migrate",)], ids=["now", "migrate"])
def test_a_postgresql_user_who_may_not_create_is_reported(
    cli: CommandLine, postgres_url: str, postgres_server: Any, command: tuple[str, ...]
) -> None:
    postgres_server.run("create role {} login", f"reader_{command[0]}")
    cli.set(warehouse={"url": postgres_url.replace("postgres:@", f"reader_{command[0]}:@")})
    nothing_done(cli, cli(*command), 2, "the warehouse refused (SQLSTATE 42501)", "rights")
    postgres_server.run("drop role {}", f"reader_{command[0]}")


def test_a_read_only_postgresql_is_reported(
    postgres_warehouse_url: str,
    postgres_server: Any,
    emulator_process: Emulator,
    make_cli: Callable[[Scenario], CommandLine],
) -> None:
    scenario = Scenario(postgres_warehouse_url, emulator_process)
    command = "alter database {} set default_transaction_read_only = on"
    postgres_server.run(command, str(scenario.engine.url.database))
    answer = make_cli(scenario)(*NOW)
    scenario.engine.dispose()
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "the warehouse refused (SQLSTATE 25006)" in answer.stderr


def test_a_locked_warehouse_passes(cli: CommandLine, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None) as other:
        other.execute("begin immediate")
        answer = cli(*NOW)
        other.execute("rollback")
    other.close()
    nothing_done(cli, answer, 3, "(SQLITE_BUSY); run again later")
