"""The code and the model take the same steps. Both sets are derived by running: the model's by a
search, the code's by real batches over real HTTP and a real ledger.

A step is where it starts, each request and each commit in their order, and how it ends. A commit
moved past a request, a request more or less, a state forgotten: the sets differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.steps.load import STEPS
from pipelines.warehouse.statements import SQL_FOLDER
from tests.crash.model import ledger_side, protocol
from tests.crash.model.paths import Journey, Label, by_stage, travel
from tests.crash.model.relay import Relay
from tests.crash.model.search import search
from tests.crash.model.settings import for_steps
from tests.salesforce.servers import Emulator

# One worker makes all the journeys.
STATES = re.compile(r"check \(batch_state in \(([^)]*)\)\)")


@pytest.fixture(scope="module")
def steps_of_model() -> frozenset[Label]:
    """Every step that the model takes when one thing at most goes wrong in it."""
    founds = [search(setting) for setting in for_steps()]
    return frozenset().union(*(found.transitions for found in founds))


@pytest.fixture(scope="module")
def steps_of_code(
    emulator_process: Emulator,
    relay: Relay,
    migrated_sqlite: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Label, Journey]:
    """Every step of the journeys, with one that shows it."""
    folder = tmp_path_factory.mktemp("journeys")
    return {
        label: journey
        for together in by_stage()
        for label, journey in travel(together, emulator_process, relay, migrated_sqlite, folder)
    }


def test_every_step_of_the_code_is_one_of_the_model(
    steps_of_code: dict[Label, Journey], steps_of_model: frozenset[Label]
) -> None:
    strange = {
        label: journey for label, journey in steps_of_code.items() if label not in steps_of_model
    }
    assert not strange, "\n".join(_shown([*strange], strange))


def test_every_step_of_the_model_is_one_of_the_code(
    steps_of_code: dict[Label, Journey], steps_of_model: frozenset[Label]
) -> None:
    missing = steps_of_model - steps_of_code.keys()
    assert not missing, "\n".join(_shown([*missing], {}))


def test_steps_start_from_every_state_but_the_last_on_each_carrier(
    steps_of_code: dict[Label, Journey],
) -> None:
    assert {label[:2] for label in steps_of_code} == STEPS.keys()
    assert STEPS.keys() == protocol.STEPS.keys()


def test_the_states_of_the_database_are_those_of_the_model() -> None:
    ledger = (SQL_FOLDER / "migrations" / "001_schema.sql").read_text(encoding="utf-8")
    (words,) = STATES.findall(ledger)
    assert tuple(word.strip(" '") for word in words.split(",")) == ledger_side.STATES


def _shown(labels: list[Label], journeys_of: dict[Label, Journey]) -> Iterator[str]:
    for label in sorted(labels):
        journey = journeys_of.get(label)
        yield " | ".join(label) + (f"   in {journey.steps}" if journey else "")
