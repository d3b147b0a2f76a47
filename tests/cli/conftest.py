"""The real command as a process of its own, against the real emulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.prefect_server import Server
from tests.steps.conftest import any_scenario, emulator_process, scenario
from tests.steps.scenario import Scenario

__all__ = ["any_scenario", "emulator_process", "scenario"]

COMMAND = Path(sys.executable).with_name("person-sync")
JUDGED = (
    "person_outcomes",
    "person_claims",
    "person_emails",
    "lead_batches",
    "salesforce_jobs",
    "rejected_persons",
    "duplicate_persons",
    "planned_persons",
    "run_persons",
)


@dataclass(frozen=True)
class Answer:
    """What the command said, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; anything else there is a failure."""
        assert self.stdout.count("\n") == 1, self.stdout
        return json.loads(self.stdout)

    @property
    def everything(self) -> str:
        return self.stdout + self.stderr


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_reaches_a_child() -> Iterator[None]:
    """A suite started in the background ignores Ctrl-C, and whatever it starts would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def clean_environment(**given: str) -> dict[str, str]:
    """This process's environment without settings of Person Sync or Prefect, and what is given."""
    foreign = ("PERSON_SYNC_", "PREFECT_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **given}


def as_toml(groups: dict[str, dict[str, Any]]) -> str:
    """A settings file of these groups."""
    lines = []
    for group, values in groups.items():
        lines += [f"[{group}]", *(f"{name} = {_cell(one)}" for name, one in values.items())]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_cell(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_cell, value)) + "]"
    return json.dumps(value)


def run_command(*words: str, folder: Path, environment: dict[str, str]) -> Answer:
    """Run `person-sync` in that folder to its end; a traceback is always a failure."""
    ended = subprocess.run(
        [COMMAND, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    answer = Answer(ended.returncode, ended.stdout, ended.stderr)
    assert "Traceback" not in answer.everything, answer.everything
    return answer


@dataclass
class Front:
    """The command beside its settings file, a warehouse and an org."""

    scenario: Scenario
    folder: Path
    environment: dict[str, str]

    def set(self, **groups: dict[str, Any]) -> None:
        """Write person-sync.toml: what the scenario needs, changed by what is given here."""
        values: dict[str, dict[str, Any]] = {
            "warehouse": {"url": self.scenario.warehouse_url},
            "salesforce": {
                "domain": "acme.my",
                "consumer_key": "test-key",
                "consumer_secret": "test-secret",
                "emulator_url": self.scenario.emulator.url,
            },
            "run": {"poll_seconds": 0.05},
        }
        for group, names in groups.items():
            values[group] = {**values.get(group, {}), **names}
        (self.folder / "person-sync.toml").write_text(as_toml(values), encoding="utf-8")

    def __call__(self, *words: str, **environment: str) -> Answer:
        given = {**self.environment, **environment}
        return run_command(*words, folder=self.folder, environment=given)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the command and come back at once."""
        return subprocess.Popen(
            [COMMAND, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def written(self) -> dict[str, int]:
        """How many rows the ledger and the results hold, of the tables that hold any."""
        counts = {
            name: self.scenario.rows(f"select count(*) as many from {name}")[0]["many"]
            for name in JUDGED
        }
        return {name: count for name, count in counts.items() if count}

    def untouched(self) -> bool:
        """Nobody judged, nobody claimed, no run left running, nothing made in the org."""
        running = self.scenario.rows("select run_id from sync_runs where run_state = 'running'")
        return not (self.written() or running or self.scenario.leads())


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's own folder for the whole session, so that only the first start makes it."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def front(scenario: Scenario, tmp_path: Path, prefect_home: Path) -> Front:
    """The command on SQLite, with one good person and one without a company."""
    scenario.put(
        """
        person_id | last_name | company | email         | updated_at
        P1        | Lovelace  | Engines | ada@x.example | 2026-01-01 08:00:00
        P2        | Babbage   |         | bab@x.example | 2026-01-01 08:00:00
        """
    )
    front = Front(scenario, tmp_path, clean_environment(PREFECT_HOME=str(prefect_home)))
    front.set()
    return front


@pytest.fixture
def front_by_server(front: Front, prefect_server: Server) -> Front:
    """The same, led to a Prefect server that runs: without one each flow starts its own."""
    return replace(front, environment={**front.environment, **prefect_server.own})
