"""The emulator process of the session, and the relay before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.model.relay import Relay, running_relay
from tests.salesforce.conftest import emulator_process
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario

__all__ = ["emulator_process"]


@pytest.fixture(scope="session")
def relay(emulator_process: Emulator) -> Iterator[Relay]:
    """A wire that hears every request."""
    with running_relay(emulator_process.url) as relay:
        yield relay


@pytest.fixture
def scenario(sqlite_warehouse_url: str, emulator_process: Emulator) -> Iterator[Scenario]:
    """An empty warehouse and the org of the test."""
    made = Scenario(sqlite_warehouse_url, emulator_process)
    yield made
    made.engine.dispose()
