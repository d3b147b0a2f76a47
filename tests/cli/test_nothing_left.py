"""A command that is killed by the system leaves no process behind, and loses no person."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import COMMAND, CommandLine
from tests.cli.terminals import Command, started
from tests.steps.scenario import Scenario, make_persons

EMULATOR = "pipelines.emulator.server"  # the demo's, which outlives it
COUNT = 12
INSTANTS = 10
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run",),
    "workers": ("run", "--workers", "3"),
    "now": ("now", *(f"P{number:04}" for number in range(1, COUNT + 1))),
    "demo": ("demo", "--dir", ".demo"),
}


@pytest.fixture
def cli(scenario: Scenario, make_cli: Callable[[Scenario], CommandLine]) -> CommandLine:
    """The command on SQLite, with some new persons and an org that processes slowly."""
    scenario.set_org("[behaviour]\nqueue_seconds = 0.3\n")
    scenario.put_frame(make_persons(COUNT).assign(owner_strategy=None))
    made = make_cli(scenario)
    made.set(run={"slice_size": 4})
    return made


def cases() -> list[Any]:
    """Each command at ten shares of its own time; eight of the ten are slow tests."""
    chance = random.Random(12)  # noqa: S311 - a seed, not a secret
    found = []
    for name in COMMANDS:
        for at in range(INSTANTS):
            share = round((at + chance.random()) / INSTANTS, 3)
            marks = [] if at in (3, 7) else [pytest.mark.slow]
            found.append(pytest.param(name, share, marks=marks, id=f"{name} at {share:.0%}"))
    return found


def kill(command: Command, seconds: float) -> None:
    time.sleep(seconds)
    command.send(signal.SIGKILL)
    command.wait(time.monotonic())


@pytest.fixture(scope="module")
def took() -> dict[str, float]:
    """Return how long each command takes when it is not killed, as far as known."""
    return {}


@pytest.mark.parametrize(("name", "share"), cases())
def test_a_killed_command_leaves_no_process(
    cli: CommandLine, took: dict[str, float], name: str, share: float
) -> None:
    words = COMMANDS[name]
    if name not in took:
        began = time.monotonic()
        with started([COMMAND, *words], cli.folder, cli.environment) as command:
            command.wait(began, 120)
            took[name] = time.monotonic() - began
            assert command.left_after(but=EMULATOR) == {}
        again(cli)
    with started([COMMAND, *words], cli.folder, cli.environment) as command:
        kill(command, share * took[name])
        assert command.left_after(but=EMULATOR) == {}
        assert len(command.left()) <= (1 if name == "demo" else 0)
    if name == "demo":
        with started([COMMAND, *words], cli.folder, cli.environment) as command:
            ended = command.wait(time.monotonic(), 120)
        # The demo's persons are the sample's, of which more are rejected than a run allows.
        assert (ended.exit_code, "212 read" in ended.stdout) == (0, True), ended
    else:
        assert cli("run").exit_code == 0
        assert len(cli.scenario.leads()) == COUNT
        assert (cli.scenario.unaccounted(), cli.scenario.miscounted_runs()) == ([], [])


def again(cli: CommandLine) -> None:
    """Reset: no person has been read, and the org is empty."""
    for table in ("person_outcomes", "person_emails", "lead_batches", "salesforce_jobs"):
        cli.scenario.run(f"delete from {table}")
    cli.scenario.set_org("[behaviour]\nqueue_seconds = 0.3\n")
