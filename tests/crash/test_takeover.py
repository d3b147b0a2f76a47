"""What the harness has found, each at its own place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash.directed import Boundary
from tests.crash.environments import EnvironmentFactory
from tests.crash.techniques import Clean, frozen
from tests.crash.variants import VARIANTS, Variant

POLL = Boundary("GET /jobs/ingest/*", 1, "before")


@pytest.mark.parametrize("variant", VARIANTS[1:3], ids=str)
def test_a_run_that_wakes_before_a_poll_finds_its_persons_settled_and_goes_on(
    factory: EnvironmentFactory, clean: Callable[[Variant], Clean], variant: Variant
) -> None:
    expected = clean(variant)
    assert POLL in expected.boundaries
    with factory.environment(variant) as environment:
        assert frozen(environment, expected, POLL) == []
