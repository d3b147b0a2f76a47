"""What the harness has found, each at its own place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash.directed import Boundary
from tests.crash.environments import Workshop
from tests.crash.techniques import Clean, frozen
from tests.crash.variants import KINDS, Kind

POLL = Boundary("GET /jobs/ingest/*", 1, "before")


@pytest.mark.parametrize("kind", KINDS[1:3], ids=str)
def test_a_run_that_wakes_before_a_poll_finds_its_persons_settled_and_goes_on(
    shop: Workshop, clean: Callable[[Kind], Clean], kind: Kind
) -> None:
    expected = clean(kind)
    assert POLL in expected.boundaries
    with shop.world(kind) as world:
        assert frozen(world, expected, POLL) == []
