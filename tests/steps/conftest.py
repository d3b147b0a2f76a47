"""A stage for each warehouse engine, and the org emulator as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.salesforce.conftest import emulator_process
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Stage

__all__ = ["emulator_process"]


@pytest.fixture
def stage(sqlite_warehouse_url: str, emulator_process: Emulator) -> Iterator[Stage]:
    """An empty warehouse and the org of the test, on SQLite."""
    made = Stage(sqlite_warehouse_url, emulator_process)
    yield made
    made.engine.dispose()


@pytest.fixture
def any_stage(warehouse_url: str, emulator_process: Emulator) -> Iterator[Stage]:
    """The same on each engine in turn."""
    made = Stage(warehouse_url, emulator_process)
    yield made
    made.engine.dispose()
