"""One environment factory for the session, and each variant undisturbed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.crash.environments import EnvironmentFactory
from tests.crash.techniques import Clean, discover
from tests.crash.variants import Variant

SEED = int(os.environ.get("PERSON_SYNC_TEST_SEED", "20260731"))


@pytest.fixture(scope="session")
def factory() -> Iterator[EnvironmentFactory]:
    """An emulator, a process that forks runs, and databases."""
    with EnvironmentFactory() as made:
        yield made


@pytest.fixture(scope="session")
def clean(factory: EnvironmentFactory) -> Callable[[Variant], Clean]:
    """The boundaries of a variant, found by running it when first asked for."""
    return cache(lambda variant: discover(factory, variant))
