"""`person-sync check`: every mistake in one go, and nothing is written."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pipelines.run import checks
from tests.cli.conftest import (
    CommandLine,
    CommandResult,
    closed_port,
    held,
)
from tests.steps.scenario import Scenario


def test_check_shows_a_line_each_and_that_a_run_could_start(cli: CommandLine) -> None:
    answer = cli("check")
    subjects = [
        line.removeprefix("ok").split(":")[0].strip() for line in answer.stdout.splitlines()
    ]
    assert subjects == [
        "warehouse",
        *(one.subject for one in checks.ALL_CHECKS),
    ]
    assert all(line.startswith("ok   ") for line in answer.stdout.splitlines())
    assert answer.exit_code == 0


def test_check_prints_json(cli: CommandLine) -> None:
    answer = cli("check", "--json")
    assert {"subject", "is_ok", "message", "exit_code"} == set(answer.document["checks"][0])
    assert answer.exit_code == 0


def tables(scenario: Scenario) -> list[dict[str, Any]]:
    return scenario.rows("select type, name, sql from sqlite_master order by name")


@pytest.mark.parametrize("is_good", [True, False])
def test_check_writes_nothing(cli: CommandLine, tmp_path: Path, is_good: bool) -> None:
    bare = tmp_path / "bare.db"
    with sqlite3.connect(bare) as connection:
        connection.execute("create table persons (person_id text, last_name text, company text)")
    connection.close()
    scenario = Scenario(f"sqlite:///{bare}", cli.scenario.emulator)
    cli.set(warehouse={"url": scenario.warehouse_url}, owners={} if is_good else {"default": "x"})
    before = tables(scenario), held(scenario)
    assert cli("check").exit_code == (0 if is_good else 2)
    assert (tables(scenario), held(scenario)) == before
    scenario.engine.dispose()


def wrong_lines(answer: CommandResult) -> dict[str, str]:
    lines = [line.removeprefix("WRONG ") for line in answer.stdout.splitlines() if "WRONG" in line]
    return dict(line.split(": ", 1) for line in lines)


def test_check_shows_wrong_columns_and_a_wrong_secret_together(cli: CommandLine) -> None:
    cli.set(fields={"Title": "job_title"}, salesforce={"consumer_secret": "wrong"})
    answer = cli("check")
    assert list(wrong_lines(answer)) == ["persons table", "login"]
    assert answer.exit_code == 2


def test_check_shows_wrong_columns_and_owners_together(cli: CommandLine) -> None:
    cli.set(fields={"Title": "job_title"}, owners={"default": "queue:Nobody"})
    assert list(wrong_lines(cli("check"))) == ["persons table", "owners"]


def test_check_shows_a_wrong_field_and_owners_together(cli: CommandLine) -> None:
    cli.scenario.set_org(person_id_field=False)
    cli.set(owners={"default": "user:gone@acme.example"})
    assert list(wrong_lines(cli("check"))) == ["person-id field", "owners"]


def test_check_shows_every_column_that_is_missing(cli: CommandLine) -> None:
    cli.set(fields={"Title": "job_title", "City": "town"})
    reported = wrong_lines(cli("check"))["persons table"]
    assert "job_title" in reported
    assert "town" in reported


def test_check_shows_every_owner_that_cannot_be(cli: CommandLine) -> None:
    choice = {"when": {"country": ["DE"]}, "assign_to": "queue:Cases"}
    cli.set(owners={"default": "queue:Nobody", "choice": [choice]})
    reported = cli("check").stdout
    assert "queue:Nobody" in reported
    assert "queue:Cases" in reported


def test_check_shows_a_wrong_warehouse_and_a_wrong_secret_together(cli: CommandLine) -> None:
    cli.set(warehouse={"url": "sqlite:///no.db"}, salesforce={"consumer_secret": "wrong"})
    assert {"warehouse", "login"} <= set(wrong_lines(cli("check")))


def test_check_passes_where_the_org_is_away(cli: CommandLine) -> None:
    cli.set(salesforce={"emulator_url": f"http://127.0.0.1:{closed_port()}"})
    answer = cli("check")
    assert list(wrong_lines(answer)) == ["login"]
    assert answer.exit_code == 3


def test_check_finds_a_warehouse_no_run_could_write(cli: CommandLine, tmp_path: Path) -> None:
    url = f"sqlite+pysqlite:///file:{tmp_path}/warehouse.db?mode=ro&uri=true"
    cli.set(warehouse={"url": url})
    answer = cli("check")
    assert "the warehouse refused" in answer.stdout
    assert answer.exit_code == 2


def test_check_finds_that_the_ledger_is_another_orgs(cli: CommandLine) -> None:
    cli.scenario.run(
        "insert into sync_orgs values ('00D000000000001AAA', 'Other', true, '2026-01-01 08:00:00')"
    )
    answer = cli("check")
    assert answer.exit_code == 4
    assert "belongs to org 00D000000000001AAA" in answer.stdout


def test_check_finds_that_few_calls_are_left(cli: CommandLine) -> None:
    cli.scenario.set_org("[limits]\ndaily_api_requests = 100\n")
    assert "API calls are left today: run tomorrow" in wrong_lines(cli("check"))["limits"]
