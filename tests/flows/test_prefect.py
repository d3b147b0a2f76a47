"""The deployments as a team has them: a real Prefect server, `prefect deploy --all`, a worker."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from .stage import Stage

ROOT = Path(__file__).parents[2]
PREFECT = Path(sys.executable).parent / "prefect"


@dataclass
class Server:
    """A Prefect server of the test's own, and what a team does with it."""

    url: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PERSON_SYNC_HOME": str(ROOT),
        }
        return {**os.environ, **own}

    def command(self, *words: str, **environment: str) -> None:
        """Run a prefect command to its end."""
        done = subprocess.run(
            [PREFECT, "--no-prompt", *words],
            env={**self.environment, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, path: str, **body: Any) -> Any:
        """Ask the server's API."""
        answer = requests.post(f"{self.url}/{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def deployment(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.ask("deployments/filter")
        return next(one for one in found if one["name"] == name)

    def run(self, name: str, config: Path, **parameters: Any) -> dict[str, Any]:
        """Have a worker run the deployment once; answers the flow run as it ended."""
        deployment = self.deployment(name)["id"]
        asked = self.ask(f"deployments/{deployment}/create_flow_run", parameters=parameters)
        self.command(
            *("worker", "start", "--pool", "person-sync", "--run-once"),
            PERSON_SYNC_CONFIG=str(config),
        )
        ended: dict[str, Any] = requests.get(
            f"{self.url}/flow_runs/{asked['id']}", timeout=30
        ).json()
        return ended


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Server(f"http://127.0.0.1:{port}/api", home)
    command = [PREFECT, "server", "start", "--port", str(port), "--no-services"]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=made.environment, stdout=log, stderr=log)
    try:
        _await_health(made)
        made.command("work-pool", "create", "person-sync", "--type", "process")
        made.command("deploy", "--all")
        yield made
    finally:
        process.terminate()
        process.wait(30)


def _await_health(server: Server) -> None:
    give_up_at = time.monotonic() + 120
    while time.monotonic() < give_up_at:
        try:
            if requests.get(f"{server.url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail("the Prefect server did not start within two minutes")


@pytest.fixture
def config(stage: Stage, tmp_path: Path) -> Path:
    """The settings file of the stage, with the secret a worker would have in its environment."""
    file = tmp_path / "person-sync.toml"
    file.write_text(
        f"""
        [warehouse]
        url = "{stage.warehouse_url}"
        [salesforce]
        domain = "acme.my"
        consumer_key = "test-key"
        consumer_secret = "test-secret"
        emulator_url = "{stage.emulator.url}"
        [run]
        poll_seconds = 0.05
        """
    )
    stage.put("""
        person_id | last_name | company | email              | created_at | updated_at
        1         | Canary    | Engines | canary@one.example | 2026-11-01 | 2026-11-01
        2         | Second    |         | two@one.example    | 2026-11-02 | 2026-11-02
    """)
    return file


def test_the_nightly_run_has_its_hour_and_time_zone(server: Server) -> None:
    schedules = {
        name: server.deployment(name)["schedules"] for name in ("nightly", "hourly", "at-once")
    }
    assert [one["schedule"]["cron"] for one in schedules["nightly"]] == ["30 2 * * *"]
    assert [one["schedule"]["cron"] for one in schedules["hourly"]] == ["7 * * * *"]
    assert schedules["nightly"][0]["schedule"]["timezone"] == "Europe/Paris"
    assert schedules["at-once"] == []


def test_the_form_explains_every_parameter(server: Server) -> None:
    for name in ("nightly", "at-once"):
        for words in server.deployment(name)["parameter_openapi_schema"]["properties"].values():
            assert words["description"]


def test_prefect_yaml_names_flows_that_are_there(server: Server) -> None:
    written = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {one["name"] for one in written} == {"nightly", "hourly", "at-once"}
    assert {server.deployment(one["name"])["entrypoint"] for one in written} == {
        one["entrypoint"] for one in written
    }


def test_a_worker_runs_the_nightly_sync(server: Server, stage: Stage, config: Path) -> None:
    ended = server.run("nightly", config)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert {key: row["outcome"] for key, row in stage.outcomes().items()} == {
        "1": "created",
        "2": "rejected",
    }
    assert stage.rows("select flow_run_id from sync_runs") == [{"flow_run_id": ended["id"]}]
    told = server.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [ended["id"]]}})
    assert "2 read = 1 created + 0 updated + 0 duplicate + 1 rejected" in told[0]["data"]


def test_neither_secrets_nor_persons_reach_the_prefect_server(
    server: Server, stage: Stage, config: Path
) -> None:
    server.run("nightly", config)
    assert stage.outcomes()["1"]["outcome"] == "created"
    kept = b"".join(file.read_bytes() for file in server.home.rglob("*") if file.is_file())
    for canary in (b"test-secret", b"canary@one.example", b"Canary"):
        assert canary not in kept


def test_one_person_is_synced_without_waiting_for_the_schedule(
    server: Server, stage: Stage, config: Path
) -> None:
    ended = server.run("at-once", config, person_ids=["1"])
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert {key: row["outcome"] for key, row in stage.outcomes().items()} == {"1": "created"}


def test_resuming_with_nothing_open_is_done_at_once(
    server: Server, stage: Stage, config: Path
) -> None:
    assert server.run("hourly", config)["state_type"] == "COMPLETED"
    assert stage.outcomes() == {}


def test_a_wrong_setting_fails_the_run_with_its_sentence(
    server: Server, stage: Stage, config: Path
) -> None:
    ended = server.run("nightly", config, owner="queue:Nowhere")
    assert ended["state_type"] == "FAILED"
    assert "--owner = queue:Nowhere" in ended["state"]["message"]
    assert stage.rows("select run_state, error_code from sync_runs") == [
        {"run_state": "failed", "error_code": "SettingsWrong"}
    ]


def test_a_parameter_that_cannot_be_right_makes_no_run(server: Server) -> None:
    nightly = server.deployment("nightly")["id"]
    answer = requests.post(
        f"{server.url}/deployments/{nightly}/create_flow_run",
        json={"parameters": {"limit": 0}},
        timeout=30,
    )
    assert answer.status_code == 409, json.dumps(answer.json())
