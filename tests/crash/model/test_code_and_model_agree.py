"""The code and the model take the same steps.

The model's steps come from a search, the code's from real batches with real HTTP and a real ledger.
A step is the state it starts from, its requests and commits in their order, and its end. If a
request or commit is moved, added or missing, the two sets differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from pipelines.steps.load import STEPS
from pipelines.warehouse.statements import SQL_FOLDER
from tests.crash.model import ledger_model, protocol
from tests.crash.model.paths import BatchPath, Label, grouped_paths, take_paths
from tests.crash.model.relay import Relay
from tests.crash.model.search import search
from tests.crash.model.settings import for_steps
from tests.salesforce.servers import Emulator

STATES = re.compile(r"check \(batch_state in \(([^)]*)\)\)")


@pytest.fixture(scope="module")
def steps_of_model() -> frozenset[Label]:
    """Every step of the model with at most one disturbance."""
    results = [search(setting) for setting in for_steps()]
    return frozenset().union(*(result.labels for result in results))


@pytest.fixture(scope="module")
def steps_of_code(
    emulator_process: Emulator,
    relay: Relay,
    migrated_sqlite: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[Label, BatchPath]:
    """Every step of the code, with a path that takes it."""
    folder = tmp_path_factory.mktemp("paths")
    return {
        label: path
        for paths in grouped_paths()
        for label, path in take_paths(paths, emulator_process, relay, migrated_sqlite, folder)
    }


def test_every_step_of_the_code_is_one_of_the_model(
    steps_of_code: dict[Label, BatchPath], steps_of_model: frozenset[Label]
) -> None:
    unknown = steps_of_code.keys() - steps_of_model
    assert not unknown, "\n".join(_lines(unknown, steps_of_code))


def test_every_step_of_the_model_is_one_of_the_code(
    steps_of_code: dict[Label, BatchPath], steps_of_model: frozenset[Label]
) -> None:
    missing = steps_of_model - steps_of_code.keys()
    assert not missing, "\n".join(_lines(missing, {}))


def test_steps_start_from_every_state_but_the_last_with_each_load_api(
    steps_of_code: dict[Label, BatchPath],
) -> None:
    assert {label[:2] for label in steps_of_code} == STEPS.keys()
    assert STEPS.keys() == protocol.STEPS.keys()


def test_the_states_of_the_database_are_those_of_the_model() -> None:
    ledger = (SQL_FOLDER / "migrations" / "001_schema.sql").read_text(encoding="utf-8")
    (states,) = STATES.findall(ledger)
    assert tuple(state.strip(" '") for state in states.split(",")) == ledger_model.STATES


def _lines(labels: Iterable[Label], paths: dict[Label, BatchPath]) -> Iterator[str]:
    for label in sorted(labels):
        path = paths.get(label)
        yield " | ".join(label) + (f"   in {path.steps}" if path else "")
