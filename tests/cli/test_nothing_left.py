"""A command that is killed without a word leaves no process behind, and loses nobody."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import COMMAND, Front, clean_environment
from tests.cli.terminals import Command, started
from tests.steps.scenario import Scenario, make_persons

EMULATOR = "pipelines.emulator.server"  # the demo's, which says that it goes on
COUNT = 12
INSTANTS = 10
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run",),
    "workers": ("run", "--workers", "3"),
    "now": ("now", *(f"P{number:04}" for number in range(1, COUNT + 1))),
    "demo": ("demo", "--dir", ".demo"),
}


@pytest.fixture
def front(scenario: Scenario, tmp_path: Path, prefect_home: Path) -> Front:
    """The command on SQLite, with new persons and an org that takes its time."""
    scenario.set_org("[behaviour]\nqueue_seconds = 0.3\n")
    scenario.put_frame(make_persons(COUNT).assign(owner_strategy=None))
    made = Front(scenario, tmp_path, clean_environment(PREFECT_HOME=str(prefect_home)))
    made.set(run={"slice_size": 4})
    return made


def cases() -> list[Any]:
    """Each command at ten shares of its own time; two of the ten for whoever cannot wait."""
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
    """How long each command takes that nobody kills, as far as it is known."""
    return {}


@pytest.mark.parametrize(("name", "share"), cases())
def test_a_killed_command_leaves_no_process(
    front: Front, took: dict[str, float], name: str, share: float
) -> None:
    words = COMMANDS[name]
    if name not in took:
        began = time.monotonic()
        with started([COMMAND, *words], front.folder, front.environment) as command:
            command.wait(began, 120)
            took[name] = time.monotonic() - began
            assert command.left_after(but=EMULATOR) == {}
        again(front)
    with started([COMMAND, *words], front.folder, front.environment) as command:
        kill(command, share * took[name])
        assert command.left_after(but=EMULATOR) == {}
        assert len(command.left()) <= (1 if name == "demo" else 0)
    if name == "demo":
        with started([COMMAND, *words], front.folder, front.environment) as command:
            ended = command.wait(time.monotonic(), 120)
        # The demo's persons are the sample's, of which more are rejected than a run allows.
        assert (ended.exit_code, "212 read" in ended.stdout) == (0, True), ended
    else:
        assert front("run").exit_code == 0
        assert len(front.scenario.leads()) == COUNT
        assert (front.scenario.unaccounted(), front.scenario.miscounted_runs()) == ([], [])


def again(front: Front) -> None:
    """The same start as before: nobody has been read, and the org is empty."""
    for table in ("person_outcomes", "person_emails", "lead_batches", "salesforce_jobs"):
        front.scenario.run(f"delete from {table}")
    front.scenario.set_org("[behaviour]\nqueue_seconds = 0.3\n")
