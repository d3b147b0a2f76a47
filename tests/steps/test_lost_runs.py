"""A night whose machine dies: what the next night does, on a real server with its services."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.prefect_server import PREFECT, Server, free_port, running_server
from tests.steps.scenario import Scenario

ROOT = Path(__file__).parents[2]
# As short as Prefect allows; the shipped windows are made for its default of 180 s.
HEARTBEAT = 30
HARD_CASE = {
    # As of a server started elsewhere: after its restart, only the automation frees a place.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.memory",
    # As short as a test can wait for; 300 s otherwise.
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "20",
}
WINDOWS = {"person-sync-lost-runs": 75, "person-sync-never-started": 40}
SECONDS = 200


def quick_automations(folder: Path) -> Path:
    """Return the shipped automations as a file, with windows that a test can wait for."""
    shipped = yaml.safe_load(
        (ROOT / "pipelines" / "orchestration" / "automations.yaml").read_text("utf-8")
    )
    for one in shipped["automations"]:
        one["trigger"]["within"] = WINDOWS[one["name"]]
    file = folder / "automations.yaml"
    file.write_text(yaml.safe_dump(shipped), encoding="utf-8")
    return file


@contextmanager
def worker(server: Server, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker with a session of its own. It is gone when the block is left."""
    given = {"PERSON_SYNC_CONFIG": str(config), "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT)}
    with (server.home / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [PREFECT, "worker", "start", "--pool", "person-sync"],
            env={**server.environment, **given},
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def state_of(server: Server, run: str) -> dict[str, Any]:
    found = requests.get(f"{server.url}/flow_runs/{run}", timeout=30).json()["state"]
    return dict(found)


def wait_for_state(server: Server, run: str, name: str, seconds: float = SECONDS) -> dict[str, Any]:
    """Wait until the run is in that state. Fail with the state it is in otherwise."""
    give_up_at = time.monotonic() + seconds
    while (state := state_of(server, run))["name"] != name:
        assert time.monotonic() < give_up_at, f"not {name} after {seconds:.0f} s but {state}"
        time.sleep(1)
    return state


def run_of(server: Server, name: str, **asked: Any) -> str:
    """Ask for a run of a deployment. Return its id."""
    made = server.ask(f"deployments/{server.deployment(name)['id']}/create_flow_run", **asked)
    return str(made["id"])


def kill_like_a_power_cut(worker: subprocess.Popen[bytes], server: Server, run: str) -> None:
    """Kill the worker and the process of its run, both at once."""
    logged = requests.get(f"{server.url}/flow_runs/{run}", timeout=30).json()
    pid = int(re.findall(r"\d+$", logged["infrastructure_pid"])[0])
    worker.kill()
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_night_whose_machine_died_does_not_stop_the_next_one(
    scenario: Scenario, tmp_path: Path
) -> None:
    scenario.put("""
        person_id | last_name | company
        1         | Lovelace  | Engines
    """)
    here = scenario.write_settings(tmp_path / "person-sync.toml")
    # Nobody answers there, so the first night waits as long as prefect.yaml lets it.
    away = {"emulator_url": f"http://127.0.0.1:{free_port()}"}
    nowhere = scenario.write_settings(tmp_path / "away.toml", salesforce=away)
    home = tmp_path / "prefect"
    home.mkdir()
    with running_server(home, services=True, **HARD_CASE) as server:
        server.command("work-pool", "create", "person-sync", "--type", "process")
        server.command("automation", "create", "--from-file", str(quick_automations(tmp_path)))
        server.command("deploy", "--all")
        with worker(server, nowhere) as first:
            night = run_of(server, "nightly")
            wait_for_state(server, night, "Running")
            # A run that is well and long is left alone.
            time.sleep(max(WINDOWS.values()) + 15)
            assert state_of(server, night)["name"] == "Running"
            kill_like_a_power_cut(first, server, night)
    # The server dies with the machine, and comes back.
    with running_server(home, services=True, **HARD_CASE) as server, worker(server, here):
        assert state_of(server, night)["name"] == "Running"
        next_night = run_of(server, "nightly")
        wait_for_state(server, next_night, "AwaitingConcurrencySlot")
        never_started = run_of(server, "resume", state={"type": "PENDING"})
        cancelled = run_of(server, "resume", state={"type": "PENDING"})
        for state in ("RUNNING", "CANCELLING"):
            server.ask(f"flow_runs/{cancelled}/set_state", state={"type": state})
        crashed = wait_for_state(server, night, "Crashed")
        assert "No sign of life" in crashed["message"]
        wait_for_state(server, next_night, "Completed")
        assert "worker died" in wait_for_state(server, never_started, "Crashed")["message"]
        wait_for_state(server, cancelled, "Cancelled")
    assert [lead["LastName"] for lead in scenario.leads()] == ["Lovelace"]
    assert scenario.outcomes_by_id()["1"]["outcome"] == "created"
