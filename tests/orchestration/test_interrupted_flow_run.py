"""Ctrl-C and SIGTERM of a run that is a flow run on a Prefect server, and Prefect's own cancel."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.conftest import COMMAND, CommandLine
from tests.cli.terminals import started
from tests.cli.test_interruption import CONTINUES, hang, is_asked, require_complete, require_ended
from tests.prefect_server import PREFECT, Server
from tests.steps.scenario import make_persons

INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.fixture
def busy(cli_with_prefect: CommandLine) -> CommandLine:
    """The command by a Prefect server, with new persons."""
    cli_with_prefect.scenario.run("delete from persons")
    cli_with_prefect.scenario.put_frame(make_persons(12).assign(owner_strategy=None))
    cli_with_prefect.set(run={"slice_size": 4})
    return cli_with_prefect


def flow_run(cli: CommandLine, server: Server) -> dict[str, Any]:
    """The flow run of the only sync run, as the server has it."""
    (row,) = cli.scenario.rows("select flow_run_id from sync_runs")
    found: dict[str, Any] = requests.get(
        f"{server.url}/flow_runs/{row['flow_run_id']}", timeout=30
    ).json()
    return found


@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_flow_run_of_ours_is_crashed_and_never_stays_running(
    busy: CommandLine, prefect_server: Server, number: signal.Signals, workers: str
) -> None:
    hang(busy, "PUT /jobs/ingest/*/batches")
    words = [COMMAND, "run", "--workers", workers]
    with started(words, busy.folder, busy.environment) as command:
        command.wait_for(lambda: is_asked(busy, "batches"))
        ended = command.end_by(number)
        assert command.left_after() == {}
    require_ended(ended, number, CONTINUES)
    state = flow_run(busy, prefect_server)["state"]
    assert state["type"] == "CRASHED", (state, ended)
    require_complete(busy)


@pytest.fixture(scope="module")
def deployed(prefect_server: Server) -> Server:
    """The server with everything deployed as `prefect.yaml` says."""
    make = [PREFECT, "--no-prompt", "work-pool", "create", "person-sync", "--type", "process"]
    # It may be there, made by another module's tests.
    subprocess.run(make, env=prefect_server.environment, capture_output=True, check=False)
    prefect_server.command("deploy", "--all")
    return prefect_server


def test_a_cancel_in_prefect_ends_the_run_and_the_next_one_continues(
    busy: CommandLine, deployed: Server, tmp_path: Path
) -> None:
    hang(busy, "PUT /jobs/ingest/*/batches")
    nightly = deployed.deployment("nightly")["id"]
    asked = deployed.ask(f"deployments/{nightly}/create_flow_run", parameters={})
    words = [PREFECT, "worker", "start", "--pool", "person-sync"]
    given = {
        **deployed.environment,
        "PERSON_SYNC_CONFIG": str(busy.folder / "person-sync.toml"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    with started(words, tmp_path, given, has_terminal=False) as worker:
        worker.wait_for(lambda: is_asked(busy, "batches"), 120)
        began = time.monotonic()
        deployed.command("flow-run", "cancel", asked["id"])
        state: dict[str, Any] = {}
        while state.get("type") != "CANCELLED" and time.monotonic() - began < 60:
            url = f"{deployed.url}/flow_runs/{asked['id']}"
            state = requests.get(url, timeout=30).json()["state"]
            time.sleep(0.1)
        took = time.monotonic() - began
        assert state["type"] == "CANCELLED", (state, worker.text)
        worker.wait_for(lambda: "prefect.engine" not in " ".join(worker.left().values()), 60)
    (row,) = busy.scenario.rows("select run_state, error_code from sync_runs")
    assert row["run_state"] == "failed", row
    require_complete(busy)
    assert took < 60
