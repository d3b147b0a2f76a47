"""Tests whose subject is not the engine: `make test` runs each case on one engine, in turn.

The other engine's half is slow. What engines do differently is tested in `tests/warehouse`.
"""

from __future__ import annotations

import zlib

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark one of the two engines of each case slow, where the test or module is `one_engine`."""
    for item in items:
        if item.get_closest_marker("one_engine") is not None and is_left_out(item):
            item.add_marker(pytest.mark.slow)


def is_left_out(item: pytest.Item) -> bool:
    """Return whether the case's turn is the other engine's. The name decides, so it stays so."""
    engines = [name for name in ("sqlite", "postgres") if name in item.name]
    if len(engines) != 1:  # it has no engine, or is about both
        return False
    case = item.name.replace(engines[0], "")
    turn = ("sqlite", "postgres")[zlib.crc32(case.encode()) % 2]
    return engines[0] != turn
