"""PostgreSQL on a disk that is really full: it says so, and once there is room nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crash import small_disk
from tests.crash.directed import Boundary
from tests.crash.environments import EnvironmentFactory
from tests.crash.techniques import Clean
from tests.crash.variants import Variant
from tests.crash.warehouse_trouble import disk_full

Find = Callable[[Variant], Clean]
WORDS = "the warehouse's disk is full (SQLSTATE 53100)"

# Each disk and each layer once; the other two pairs are slow, and `make test-crash` has them all.
CASES = [
    ("tables", 200, True),
    ("log", 100, False),
    pytest.param("tables", 200, False, marks=pytest.mark.slow),
    pytest.param("log", 100, True, marks=pytest.mark.slow),
]


@pytest.mark.skipif(not small_disk.is_possible(), reason="no disk can be mounted here")
@pytest.mark.parametrize(("disk", "kilobytes", "has_field"), CASES)
def test_postgresql_on_a_full_disk(
    factory: EnvironmentFactory, clean: Find, disk: str, kilobytes: int, has_field: bool
) -> None:
    variant = Variant("postgres", has_field)
    expected = clean(variant)
    with factory.environment(variant) as environment:
        assert disk_full(environment, expected, Boundary(disk, kilobytes, "")) == []
        first, second = environment.runs
    assert (first.result.code, second.result.code) == (3, 0)
    assert WORDS in first.result.words
