"""`person-sync run` where a Prefect server is named: the run is a flow run there."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.cli.conftest import CommandLine, nothing_done
from tests.cli.test_interrupted_run import interrupt_under_way, slow_org_without_field


def test_run_by_a_server_is_a_flow_run_there(cli_with_prefect: CommandLine) -> None:
    answer = cli_with_prefect("run", "--json")
    assert answer.document["run"]["flow_run_id"]
    assert "without Prefect" not in answer.stderr


def test_a_profile_may_name_the_server(cli_with_prefect: CommandLine, tmp_path: Path) -> None:
    cli = cli_with_prefect
    url = cli.environment["PREFECT_API_URL"]
    home = tmp_path / "home"
    home.mkdir()
    words = f'active = "ours"\n[profiles.ours]\nPREFECT_API_URL = "{url}"\n'
    (home / "profiles.toml").write_text(words, encoding="utf-8")
    del cli.environment["PREFECT_API_URL"]
    answer = cli("run", "--json", PREFECT_HOME=str(home))
    assert answer.document["run"]["flow_run_id"], answer.stderr


def test_run_plan_for_one_person_by_an_owner_of_its_own_sends_nothing(
    cli_with_prefect: CommandLine,
) -> None:
    cli = cli_with_prefect
    answer = cli("run", "--plan", "--person-id", "P1", "--owner", "user:ada@acme.example")
    assert "would be\n  create  1  Ada\n" in answer.stdout
    assert answer.exit_code == 0
    assert cli.written() == {"planned_persons": 1}
    assert cli.scenario.leads() == []


def test_a_warehouse_that_is_not_there_is_reported(cli_with_prefect: CommandLine) -> None:
    cli = cli_with_prefect
    cli.set(warehouse={"url": "oracle://scott@db.example.com/x"})
    nothing_done(cli, cli("run"), 2, "needs the driver oracle")


def test_ctrl_c_loses_no_person_and_resume_continues(cli_with_prefect: CommandLine) -> None:
    cli = cli_with_prefect
    slow_org_without_field(cli)
    answer = interrupt_under_way(cli, "run")
    assert answer.exit_code == 128 + signal.SIGINT
    assert cli("resume").exit_code == 0
    assert cli.scenario.outcomes_by_id()["P1"]["outcome"] == "created"
    assert len(cli.scenario.leads()) == 1
