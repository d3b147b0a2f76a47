"""`person-sync run`: new persons, with a Prefect server and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import (
    CommandLine,
)
from tests.steps.scenario import make_persons

# Nothing on the machine names a Prefect server: the same steps, with one line that says so.
WITHOUT = "without Prefect: no server is named (PREFECT_API_URL or a profile)"


def test_run_syncs_all_new_persons(cli: CommandLine) -> None:
    cli.set(run={"poll_seconds": 0.05, "allowed_reject_share": 0.5})
    answer = cli("run", "--json")
    run = answer.document["run"]
    assert (run["read_count"], run["created_count"], run["rejected_count"]) == (2, 1, 1)
    assert answer.stderr.splitlines().count(WITHOUT) == 1
    assert run["flow_run_id"] is None
    assert answer.exit_code == 0


def test_run_imports_no_prefect_and_leaves_nothing_in_its_home(
    cli: CommandLine, tmp_path: Path
) -> None:
    home = tmp_path / "prefect"
    cli("run", PREFECT_HOME=str(home))
    assert not home.exists()


def test_run_goes_without_prefect_where_no_server_responds(cli: CommandLine) -> None:
    answer = cli("run", "--json", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert "without Prefect: no server answers at http://127.0.0.1:1" in answer.stderr
    assert answer.document["run"]["created_count"] == 1
    assert answer.document["run"]["flow_run_id"] is None


def test_a_profile_without_a_server_is_no_server(cli: CommandLine, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    words = 'active = "plain"\n[profiles.plain]\n[profiles.other]\nPREFECT_API_URL = "http://x"\n'
    (home / "profiles.toml").write_text(words, encoding="utf-8")
    assert WITHOUT in cli("run", PREFECT_HOME=str(home)).stderr


@pytest.mark.parametrize("workers", ["threads", "dask"])
def test_run_shares_the_work_without_prefect_too(cli: CommandLine, workers: str) -> None:
    cli.scenario.put_frame(make_persons(30))
    cli.set(
        run={"slice_size": 10, "workers": 2, "task_runner": workers, "allowed_reject_share": 0.9}
    )
    answer = cli("run", "--json")
    assert answer.exit_code == 0, answer.output
    assert answer.document["run"]["read_count"] == 32
    assert cli.scenario.unaccounted() == []


def test_a_rejected_person_is_read_again_only_once_updated_at_has_moved(cli: CommandLine) -> None:
    scenario = cli.scenario
    assert scenario.sync()["run"]["read_count"] == 2
    scenario.run("update persons set company = 'Engines' where person_id = 'P2'")
    assert scenario.sync()["run"]["read_count"] == 0
    scenario.run("update persons set updated_at = '2026-02-02 08:00:00' where person_id = 'P2'")
    corrected = scenario.sync()["run"]
    assert (corrected["read_count"], corrected["created_count"]) == (1, 1)
    assert scenario.outcomes_by_id()["P2"]["attempt_count"] == 2
