"""A proxy between the code and the emulator of the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.model.relay import Relay, running_relay
from tests.salesforce.servers import Emulator


@pytest.fixture(scope="session")
def relay(emulator_process: Emulator) -> Iterator[Relay]:
    """Start a proxy that sees every request of the model."""
    with running_relay(emulator_process.url) as relay:
        yield relay
