"""The real command as a process of its own, with the real emulator.

Most tests run it by the command server, which forks a process that has imported everything.
`run_command` and `start` start it from nothing, where imports, signals or streams are tested.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_server import CommandServer
from tests.prefect_server import Server
from tests.steps.scenario import Scenario

COMMAND = Path(sys.executable).with_name("person-sync")
# What a run that has begun its work has written to.
WRITTEN_TABLES = (
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
class CommandResult:
    """What the command printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout. Anything else there fails the test."""
        assert self.stdout.count("\n") == 1, self.stdout
        return json.loads(self.stdout)

    @property
    def output(self) -> str:
        """Stdout and stderr."""
        return self.stdout + self.stderr


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_reaches_a_child() -> Iterator[None]:
    """A suite started in the background ignores Ctrl-C, and whatever it starts would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def clean_environment(**given: str) -> dict[str, str]:
    """Return this environment without variables of Person Sync or Prefect, with the given ones."""
    foreign = ("PERSON_SYNC_", "PREFECT_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return {**kept, **given}


def as_toml(groups: dict[str, dict[str, Any]]) -> str:
    """Return a settings file with these groups."""
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


def run_command(*words: str, folder: Path, environment: dict[str, str]) -> CommandResult:
    """Execute `person-sync` in that folder, to its end. A traceback fails the test."""
    ended = subprocess.run(
        [COMMAND, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return _without_traceback(CommandResult(ended.returncode, ended.stdout, ended.stderr))


def _without_traceback(result: CommandResult) -> CommandResult:
    assert "Traceback" not in result.output, result.output
    return result


@dataclass
class CommandLine:
    """The command in a folder with its settings file, a warehouse and an org."""

    scenario: Scenario
    folder: Path
    environment: dict[str, str]
    server: CommandServer

    def set(self, **groups: dict[str, Any]) -> None:
        """Write person-sync.toml: what the warehouse and org need, changed by what is given."""
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

    def __call__(self, *words: str, **environment: str) -> CommandResult:
        """Run the command to its end, by the command server. A traceback fails the test."""
        given = {**self.environment, **environment}
        return _without_traceback(CommandResult(*self.server.run(words, self.folder, given, 120)))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the command, and return without waiting for it."""
        return subprocess.Popen(
            [COMMAND, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def written(self) -> dict[str, int]:
        """Return the row count of each table of the ledger and the results that is not empty."""
        counts = {
            name: self.scenario.rows(f"select count(*) as many from {name}")[0]["many"]
            for name in WRITTEN_TABLES
        }
        return {name: count for name, count in counts.items() if count}

    def untouched(self) -> bool:
        """Return whether no person was decided on or claimed, no run is running, no lead exists."""
        running = self.scenario.rows("select run_id from sync_runs where run_state = 'running'")
        return not (self.written() or running or self.scenario.leads())


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefect's own folder for the whole session, so that only the first start makes it."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def make_cli(
    command_server: CommandServer, tmp_path: Path, prefect_home: Path
) -> Callable[[Scenario], CommandLine]:
    """Return a function that returns the command for a warehouse and an org."""

    def make(scenario: Scenario) -> CommandLine:
        environment = clean_environment(PREFECT_HOME=str(prefect_home))
        made = CommandLine(scenario, tmp_path, environment, command_server)
        made.set()
        return made

    return make


@pytest.fixture
def cli(scenario: Scenario, make_cli: Callable[[Scenario], CommandLine]) -> CommandLine:
    """The command on SQLite, with one good person and one without a company."""
    scenario.put(
        """
        person_id | last_name | company | email         | updated_at
        P1        | Lovelace  | Engines | ada@x.example | 2026-01-01 08:00:00
        P2        | Babbage   |         | bab@x.example | 2026-01-01 08:00:00
        """
    )
    return make_cli(scenario)


@pytest.fixture
def cli_with_prefect(cli: CommandLine, prefect_server: Server) -> CommandLine:
    """The same where a Prefect server is named: a run is a flow run there."""
    return replace(cli, environment={**cli.environment, **prefect_server.own})


NOW = ("now", "P1")


def nothing_done(cli: CommandLine, answer: CommandResult, exit_code: int, *words: str) -> None:
    """Assert that stderr alone holds the sentence, and that no run has begun its work."""
    assert answer.exit_code == exit_code, answer.output
    assert answer.stdout == ""
    reported = answer.stderr.splitlines()[-1]
    assert reported.startswith("person-sync: ") or "settings in" in answer.stderr
    for word in words:
        assert word in answer.stderr
    assert cli.untouched()


def closed_port() -> int:
    """Return a port of loopback where no server listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def held(scenario: Scenario) -> list[Any]:
    """Return the leads, contacts and jobs of the org."""
    return [scenario.emulator.held(kind) for kind in ("leads", "contacts", "jobs")]
