"""The deployments as a team has them: a real Prefect server, `prefect deploy --all`, a worker."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import requests
import yaml

from pipelines.settings import load_settings
from tests.prefect_server import Server
from tests.steps.scenario import Scenario

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(prefect_server: Server) -> Server:
    """The server with everything deployed as `prefect.yaml` says."""
    # Other tests of the session may have made it.
    prefect_server.command(
        *("work-pool", "create", "person-sync", "--type", "process", "--overwrite")
    )
    prefect_server.command("deploy", "--all")
    return prefect_server


@pytest.fixture
def config(scenario: Scenario, tmp_path: Path) -> Path:
    """The settings file of the scenario, with the secret a worker would have in its environment."""
    file = tmp_path / "person-sync.toml"
    file.write_text(
        f"""
        [warehouse]
        url = "{scenario.warehouse_url}"
        [salesforce]
        domain = "acme.my"
        consumer_key = "test-key"
        consumer_secret = "test-secret"
        emulator_url = "{scenario.emulator.url}"
        [run]
        poll_seconds = 0.05
        allowed_reject_share = 0.5
        """
    )
    scenario.put("""
        person_id | last_name | company | email              | created_at | updated_at
        1         | Canary    | Engines | canary@one.example | 2026-11-01 | 2026-11-01
        2         | Second    |         | two@one.example    | 2026-11-02 | 2026-11-02
    """)
    return file


def test_the_nightly_run_has_its_hour_and_time_zone(server: Server) -> None:
    schedules = {
        name: server.deployment(name)["schedules"] for name in ("nightly", "resume", "now")
    }
    assert [one["schedule"]["cron"] for one in schedules["nightly"]] == ["30 2 * * *"]
    assert [one["schedule"]["cron"] for one in schedules["resume"]] == ["7 * * * *"]
    assert schedules["nightly"][0]["schedule"]["timezone"] == "Europe/Paris"
    assert schedules["now"] == []


def test_the_form_explains_every_parameter(server: Server) -> None:
    for name in ("nightly", "now"):
        for words in server.deployment(name)["parameter_openapi_schema"]["properties"].values():
            assert words["description"]


def test_prefect_yaml_names_flows_that_are_there(server: Server) -> None:
    written = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert {one["name"] for one in written} == {"nightly", "resume", "now"}
    assert {server.deployment(one["name"])["entrypoint"] for one in written} == {
        one["entrypoint"] for one in written
    }


ELSEWHERE = {
    "docker": ["docker"],
    "kubernetes": ["kubernetes", "kubernetes-dask"],
    "ecs": ["ecs"],
}


def elsewhere(tmp_path: Path, pool: str) -> Path:
    """prefect.yaml with the deployment that stands there as a comment, by that pool."""
    written = (ROOT / "prefect.yaml").read_text()
    shown = re.sub(r"^  # (  |- name: nightly-kub)", r"  \1", written, flags=re.MULTILINE)
    assert shown != written
    file = tmp_path / "prefect.yaml"
    file.write_text(shown.replace("work_pool: *kubernetes\n", f"work_pool: *{pool}\n"))
    return file


@pytest.mark.parametrize(
    "kind",
    [pytest.param(one, marks=[] if one == "kubernetes" else pytest.mark.slow) for one in ELSEWHERE],
)
def test_the_same_flow_is_deployed_elsewhere(server: Server, tmp_path: Path, kind: str) -> None:
    server.command("work-pool", "create", f"person-sync-{kind}", "--type", kind)
    pool = requests.get(f"{server.url}/work_pools/person-sync-{kind}", timeout=30).json()
    known = set(pool["base_job_template"]["variables"]["properties"])
    for name in ELSEWHERE[kind]:
        file = elsewhere(tmp_path, name)
        server.command("deploy", "--name", "nightly-kubernetes", "--prefect-file", str(file))
        made = server.deployment("nightly-kubernetes")
        assert (made["work_pool_name"], made["entrypoint"]) == (
            f"person-sync-{kind}",
            server.deployment("nightly")["entrypoint"],
        )
        assert set(made["job_variables"]) <= known
        named = without_file(made["job_variables"]["env"])
        assert load_settings(None, {**BARE, **named}).run.workers > 1


BARE = {"PERSON_SYNC_WAREHOUSE__URL": "sqlite:///warehouse.db"}


def without_file(environment: dict[str, str]) -> dict[str, str]:
    """The settings among these variables; the file they name is in the image."""
    return {key: text for key, text in environment.items() if key != "PERSON_SYNC_CONFIG"}


def test_a_worker_runs_the_nightly_sync_and_no_secret_nor_person_reaches_the_server(
    server: Server, scenario: Scenario, config: Path
) -> None:
    ended = server.run("nightly", config)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert {key: row["outcome"] for key, row in scenario.outcomes_by_id().items()} == {
        "1": "created",
        "2": "rejected",
    }
    assert scenario.rows("select flow_run_id from sync_runs") == [{"flow_run_id": ended["id"]}]
    artifacts = server.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [ended["id"]]}})
    shown = {one["key"]: one["data"] for one in artifacts}
    assert "2 read = 1 created + 0 updated + 0 duplicate + 1 rejected" in shown["person-sync-live"]
    kept = b"".join(file.read_bytes() for file in server.home.rglob("*") if file.is_file())
    for canary in (b"test-secret", b"canary@one.example", b"Canary"):
        assert canary not in kept


def test_one_person_is_synced_without_waiting_for_the_schedule(
    server: Server, scenario: Scenario, config: Path
) -> None:
    ended = server.run("now", config, person_ids=["1"])
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert {key: row["outcome"] for key, row in scenario.outcomes_by_id().items()} == {
        "1": "created"
    }


def test_resuming_with_nothing_open_is_done_at_once(
    server: Server, scenario: Scenario, config: Path
) -> None:
    assert server.run("resume", config)["state_type"] == "COMPLETED"
    assert scenario.outcomes_by_id() == {}


def test_a_wrong_setting_fails_the_run_with_its_sentence(
    server: Server, scenario: Scenario, config: Path
) -> None:
    ended = server.run("nightly", config, owner="queue:Nowhere")
    assert ended["state_type"] == "FAILED"
    assert "--owner = queue:Nowhere" in ended["state"]["message"]
    mine = {"flow_run_id": {"any_": [ended["id"]]}}
    lines = [one["message"] for one in server.ask("logs/filter", logs=mine)]
    assert any(line.startswith("permanent: --owner = queue:Nowhere") for line in lines), lines
    assert not [line for line in lines if "Traceback" in line or "unexpected" in line], lines
    assert scenario.rows("select run_state, error_code from sync_runs") == [
        {"run_state": "failed", "error_code": "ConfigurationError"}
    ]


def test_a_parameter_that_cannot_be_right_makes_no_run(server: Server) -> None:
    nightly = server.deployment("nightly")["id"]
    answer = requests.post(
        f"{server.url}/deployments/{nightly}/create_flow_run",
        json={"parameters": {"limit": 0}},
        timeout=30,
    )
    assert answer.status_code == 409, json.dumps(answer.json())
