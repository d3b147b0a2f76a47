"""One workshop for the session, and each kind of world undisturbed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.crash.environments import Workshop
from tests.crash.techniques import Clean, discover
from tests.crash.variants import Kind

SEED = int(os.environ.get("PERSON_SYNC_TEST_SEED", "20260731"))


@pytest.fixture(scope="session")
def shop() -> Iterator[Workshop]:
    """An emulator, a process that forks runs, and databases."""
    with Workshop() as made:
        yield made


@pytest.fixture(scope="session")
def clean(shop: Workshop) -> Callable[[Kind], Clean]:
    """The boundaries of a kind of world, found by running it when first asked for."""
    return cache(lambda kind: discover(shop, kind))
