"""README's part on schedules, typed as it stands by a new user, and the page for who is on call.

All tests share a clone, a server and a worker, and each goes on where the last one stopped.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prefect.settings.models.server.api import ServerAPISettings

from tests.cli.conftest import clean_environment
from tests.docs.terminal import LONG_RUNNING, Terminal
from tests.prefect_server import Server, await_health, free_port
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ON_CALL = (ROOT / "pipelines" / "on-call.md").read_text(encoding="utf-8")
PREFECT_YAML = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
SCHEDULES = {
    one["name"]: one["schedules"] for one in PREFECT_YAML["deployments"] if one["schedules"]
}
SECRET = "test-secret"
PERSONS = """
person_id | last_name | company | email           | created_at | updated_at
1         | Lovelace  | Engines | ada@one.example | 2026-11-01 | 2026-11-01
"""


def lines_of(text: str) -> list[list[str]]:
    """Return the lines of each sh block, without their comments."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [
        [line.partition("  #")[0].strip() for line in block.splitlines() if line.strip()]
        for block in blocks
    ]


PART = README.split("## On a schedule")[1].split("\n## ")[0]
IN_THE_FIRST, IN_THE_SECOND, AT_ONCE, INSTALLED = lines_of(PART)


def wait_for(what: Callable[[], Any], seconds: float, otherwise: Callable[[], str]) -> Any:
    """Ask until there is an answer. Fail with `otherwise` when there is none in time."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if answer := what():
            return answer
        time.sleep(0.5)
    return pytest.fail(otherwise())


@dataclass
class Installation:
    """A clone with settings, a server and a worker, all of them made by README's lines."""

    scenario: Scenario
    server: Server
    first: Terminal
    second: Terminal

    @property
    def folder(self) -> Path:
        return self.second.folder

    @property
    def troubles(self) -> list[str]:
        """Return what server and worker have logged as an error so far."""
        logs = [*self.first.folder.glob("prefect-*.log")]
        text = "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
        return re.findall(r"^.*(?:\| ERROR|\| CRITICAL|Traceback|Error: ).*$", text, re.MULTILINE)

    def scheduled(self, name: str, seconds: float = 3, **parameters: Any) -> str:
        """Schedule a run so far ahead, as the scheduler does. Return its id."""
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": when.isoformat()}}
        asked = self.server.ask(
            f"deployments/{self.server.deployment(name)['id']}/create_flow_run",
            state=state,
            parameters=parameters,
        )
        return str(asked["id"])

    def state_of(self, run: str) -> dict[str, Any]:
        found = requests.get(f"{self.server.url}/flow_runs/{run}", timeout=30).json()["state"]
        return dict(found)

    def ended(self, run: str) -> dict[str, Any]:
        """Wait for the end of a run. Return its last state."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        wait_for(
            lambda: self.state_of(run)["type"] in final,
            90,
            lambda: f"after 90 s the run is {self.state_of(run)['name']}: {self.troubles}",
        )
        return self.state_of(run)

    def working_folder(self, name: str = "nightly") -> str:
        """Return the folder in which a worker would start the deployment."""
        (step,) = self.server.deployment(name)["pull_steps"]
        return str(step["prefect.deployments.steps.set_working_directory"]["directory"])


def clone(folder: Path) -> Path:
    """Make a folder that looks like this clone, for files that a user adds to it."""
    for name in ("pipelines", "sql", "data", "prefect.yaml", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def fresh_shell(home: Path, port: int) -> dict[str, str]:
    """Return the environment of a shell in which nothing of ours is set, and the ports are free."""
    bin_folder = str(Path(sys.executable).parent)
    paths = [one for one in os.environ["PATH"].split(":") if one != bin_folder]
    return clean_environment(
        PATH=":".join(paths),
        PREFECT_HOME=str(home),
        PREFECT_SERVER_API_PORT=str(port),
        DO_NOT_TRACK="1",
        # By itself a worker looks for runs every ten seconds, and each run here would wait for it.
        PREFECT_WORKER_QUERY_SECONDS="1",
    )


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, emulator_process: Emulator
) -> Iterator[Installation]:
    """Type both blocks of README, each in a terminal of its own."""
    folder = clone(tmp_path_factory.mktemp("clone"))
    shutil.copy(migrated_sqlite, folder / "warehouse.db")
    scenario = Scenario(f"sqlite:///{folder}/warehouse.db", emulator_process)
    scenario.put(PERSONS)
    (setting,) = re.findall(r'`consumer_secret = "(block:[\w-]+)"`', PART)
    scenario.write_settings(folder / "person-sync.toml", salesforce={"consumer_secret": setting})
    port = free_port()
    environment = fresh_shell(tmp_path_factory.mktemp("prefect-home"), port)
    first, second = Terminal(folder, environment), Terminal(folder, environment)
    server = Server(f"http://127.0.0.1:{port}/api", Path(environment["PREFECT_HOME"]))
    try:
        type_all(first, IN_THE_FIRST)
        await_health(server)
        type_all(second, IN_THE_SECOND)
        yield Installation(scenario, server, first, second)
    finally:
        second.close()
        first.close()
        scenario.engine.dispose()


def type_all(terminal: Terminal, lines: list[str]) -> None:
    for line in lines:
        if line.startswith(LONG_RUNNING):
            terminal.start(line)
            continue
        typed = terminal.type(line, {"consumer secret: ": SECRET})
        assert typed.exit_code == 0, f"{line}\n{typed.output}"
        if line.startswith("prefect config set PREFECT_API_URL="):
            # The port of README may be taken on this machine: from here on it is ours.
            port = terminal.environment["PREFECT_SERVER_API_PORT"]
            typed = terminal.type(line.replace(":4200/", f":{port}/"))
            assert typed.exit_code == 0, typed.output


@pytest.fixture(scope="module")
def night(installation: Installation) -> str:
    """Run the night once, scheduled a few seconds ahead. Return the id of the run."""
    run = installation.scheduled("nightly")
    installation.ended(run)
    return run


# --- README


def test_the_address_is_that_of_a_server_on_its_own_port() -> None:
    default = ServerAPISettings.model_fields["port"].default
    assert f"PREFECT_API_URL=http://127.0.0.1:{default}/api" in PART


def test_every_schedule_has_runs_ahead(installation: Installation) -> None:
    def ahead(name: str) -> int:
        deployment = installation.server.deployment(name)["id"]
        count: int = installation.server.ask(
            "flow_runs/count",
            deployments={"id": {"any_": [deployment]}},
            flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}, "tags": {"all_": AUTOMATIC}},
        )
        return count

    assert SCHEDULES
    for name in SCHEDULES:
        wait_for(
            lambda name=name: ahead(name),
            90,
            lambda name=name: (
                f"{name}: no run is ahead of its schedule after 90 s. "
                f"The logs say: {installation.troubles[:4]}"
            ),
        )


AUTOMATIC = ["auto-scheduled"]


def test_a_scheduled_run_is_picked_up_and_its_leads_are_in_the_org(
    installation: Installation, night: str
) -> None:
    state = installation.state_of(night)
    assert state["type"] == "COMPLETED", state["message"]
    assert [lead["LastName"] for lead in installation.scenario.leads()] == ["Lovelace"]
    (run,) = installation.scenario.rows("select flow_run_id, run_state from sync_runs")
    assert run == {"flow_run_id": night, "run_state": "finished"}


def test_neither_the_server_nor_the_worker_logs_an_error(
    installation: Installation, night: str
) -> None:
    assert installation.troubles == []


def test_the_night_is_run_at_once(installation: Installation, night: str) -> None:
    (line,) = AT_ONCE
    typed = installation.second.type(line)
    assert typed.exit_code == 0, typed.output
    (run,) = re.findall(r"UUID: ([\w-]+)", typed.output)
    assert installation.ended(run)["type"] == "COMPLETED"


def test_the_hours_of_the_readme_are_those_deployed(installation: Installation) -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*?) \|", PART, re.MULTILINE))
    assert set(rows) == {one["name"] for one in PREFECT_YAML["deployments"]}
    (nightly,) = installation.server.deployment("nightly")["schedules"]
    (hour, minute) = re.findall(r"(\d\d):(\d\d)", rows["nightly"])[0]
    assert nightly["schedule"]["cron"] == f"{int(minute)} {int(hour)} * * *"
    assert nightly["schedule"]["timezone"] == "Europe/Paris"
    (resume,) = installation.server.deployment("resume")["schedules"]
    (minute,) = re.findall(r"at (\d+) minutes past every hour", rows["resume"])
    assert resume["schedule"]["cron"] == f"{minute} * * * *"
    assert installation.server.deployment("now")["schedules"] == []


def test_the_automations_are_on(installation: Installation) -> None:
    shipped = yaml.safe_load(
        (ROOT / "pipelines" / "orchestration" / "automations.yaml").read_text("utf-8")
    )
    there = installation.server.ask("automations/filter")
    assert {(one["name"], one["enabled"]) for one in there} == {
        (one["name"], True) for one in shipped["automations"]
    }


def test_a_server_in_this_folder_keeps_its_leases_on_disk(installation: Installation) -> None:
    (said,) = re.findall(r"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=([\w.]+)`", PART)
    settings = requests.get(f"{installation.server.url}/admin/settings", timeout=30).json()
    assert settings["server"]["concurrency"]["lease_storage"] == said


def test_runs_start_in_the_folder_that_was_deployed_from(
    installation: Installation, tmp_path: Path
) -> None:
    assert installation.working_folder() == str(installation.folder)
    elsewhere = Terminal(
        tmp_path, installation.second.environment, [f". {installation.folder}/.venv/bin/activate"]
    )
    file = f"--prefect-file {installation.folder}/prefect.yaml"
    typed = elsewhere.type(f"prefect deploy --name now {file}")
    assert typed.exit_code == 0, typed.output
    assert installation.working_folder("now") == str(tmp_path)


def test_a_worker_whose_folder_is_elsewhere_is_deployed_for(installation: Installation) -> None:
    typed = installation.second.type("PERSON_SYNC_HOME=/srv/person-sync prefect deploy --name now")
    assert typed.exit_code == 0, typed.output
    assert installation.working_folder("now") == "/srv/person-sync"
    # What the page for who is on call says of a folder that the worker's machine does not have.
    run = installation.scheduled("now", person_ids=["1"])
    state = installation.ended(run)
    assert state["name"] == "Crashed"
    assert state["message"].startswith("Process exited with status code: 1.")
    logged = installation.second.type(f"prefect flow-run logs {run}").output
    assert "set_working_directory" in logged
    assert "completed successfully" not in logged


# --- The page for who is on call

OF_THE_PAGE = dict.fromkeys(line for block in lines_of(ON_CALL) for line in block)
# The others are typed for README already, or are the command's own: test_on_call.py reads those.
OF_PREFECT = [
    line for line in OF_THE_PAGE if "prefect " in line and line not in [*IN_THE_SECOND, *AT_ONCE]
]


@pytest.mark.parametrize("line", OF_PREFECT)
def test_a_line_of_the_page_does_what_it_says(
    line: str, installation: Installation, night: str
) -> None:
    run = run_for(line, installation, night)
    typed = installation.second.type(line.replace("FLOW_RUN_ID", run))
    assert typed.exit_code == 0, typed.output
    assert "Traceback" not in typed.output


def run_for(line: str, installation: Installation, night: str) -> str:
    """Return the run that a line is tried with: one of its own where the line ends it."""
    ends_it = "flow-run cancel" in line or "flow-run delete" in line
    return installation.scheduled("nightly", 3600) if ends_it else night


def test_deploying_again_turns_a_paused_schedule_on(installation: Installation) -> None:
    nightly = installation.server.deployment("nightly")
    (schedule,) = nightly["schedules"]
    paused = requests.patch(
        f"{installation.server.url}/deployments/{nightly['id']}/schedules/{schedule['id']}",
        json={"active": False},
        timeout=30,
    )
    assert paused.ok, paused.text
    typed = installation.second.type("prefect deploy --name nightly")
    assert typed.exit_code == 0, typed.output
    (schedule,) = installation.server.deployment("nightly")["schedules"]
    assert schedule["active"]


def test_the_pool_says_whether_there_is_a_worker(installation: Installation) -> None:
    typed = installation.second.type("prefect work-pool inspect person-sync")
    assert "READY" in typed.output
    assert "NOT_READY" not in typed.output


def test_a_wrong_secret_is_told_as_the_page_says(installation: Installation) -> None:
    (line,) = [one for one in IN_THE_SECOND if "getpass" in one]
    installation.second.type(line, {"consumer secret: ": "wrong"})
    typed = installation.second.type("person-sync check")
    assert (typed.exit_code, "the org refused the login" in typed.output) == (2, True), typed.output
    installation.second.type(line, {"consumer secret: ": SECRET})
