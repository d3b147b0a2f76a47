"""A scenario for each warehouse engine, and the org emulator as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.salesforce.conftest import emulator_process
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario

__all__ = ["emulator_process"]


@pytest.fixture
def scenario(sqlite_warehouse_url: str, emulator_process: Emulator) -> Iterator[Scenario]:
    """An empty warehouse and the org of the test, on SQLite."""
    made = Scenario(sqlite_warehouse_url, emulator_process)
    yield made
    made.engine.dispose()


@pytest.fixture
def any_scenario(warehouse_url: str, emulator_process: Emulator) -> Iterator[Scenario]:
    """The same on each engine in turn."""
    made = Scenario(warehouse_url, emulator_process)
    yield made
    made.engine.dispose()
