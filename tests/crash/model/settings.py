"""What is searched: in every test run, and in the long run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.crash.model.setting import Setting, run_of
from tests.crash.model.units import as_it_is

ALL = ("Ada", "Bob", "Cyd")
# Modes of the runs, load_api, operation, persons; faults, troubles, preemptions; what else.
Drawn = tuple[str, str, str, tuple[str, ...], tuple[int, int, int], dict[str, Any]]
ALONE, BOTH = "nightly", "nightly nightly"

# Each finds steps that none before it found; together every step that one disturbance can bring.
FOR_STEPS: tuple[tuple[bool, Drawn], ...] = (
    (True, (ALONE, "collections", "insert", ALL, (1, 1, 0), {})),
    (False, (ALONE, "collections", "insert", ("Ada",), (2, 1, 0), {})),
    (True, (ALONE, "bulk", "insert", ALL, (0, 1, 1), {"late_chunk": "whenever"})),
    (True, (BOTH, "collections", "insert", ("Ada",), (1, 0, 1), {})),
    (False, (ALONE, "bulk", "insert", ("Ada",), (1, 1, 0), {})),
    (True, (BOTH, "bulk", "insert", ("Ada",), (0, 1, 1), {})),
    (False, (ALONE, "bulk", "insert", ALL, (0, 2, 0), {})),
    (True, (BOTH, "collections", "insert", ALL, (0, 1, 2), {})),
    (True, (ALONE, "bulk", "insert", ("Ada",), (1, 1, 0), {})),
    (True, (ALONE, "bulk", "update", ALL, (0, 1, 1), {"late_chunk": "whenever"})),
    (True, (BOTH, "collections", "insert", ALL, (1, 0, 2), {})),
    (False, (BOTH, "bulk", "insert", ("Ada",), (1, 0, 1), {})),
    (True, (ALONE, "bulk", "insert", ALL, (1, 1, 0), {})),
    (True, (ALONE, "bulk", "update", ("Ada",), (1, 1, 1), {"late_chunk": "whenever"})),
)

QUICK: tuple[Drawn, ...] = (
    (ALONE, "bulk", "insert", ALL, (1, 1, 0), {"expires": True}),
    (BOTH, "bulk", "insert", ALL, (1, 0, 1), {}),
    (BOTH, "bulk", "insert", ALL, (0, 0, 3), {}),
    ("nightly resume", "bulk", "insert", ALL, (1, 0, 1), {}),
    (BOTH, "collections", "insert", ALL, (1, 1, 1), {"expires": True}),
)

LONG: tuple[Drawn, ...] = (
    (ALONE, "bulk", "insert", ALL, (2, 1, 0), {"expires": True}),
    (ALONE, "bulk", "insert", ALL, (3, 0, 0), {"expires": True}),
    (BOTH, "bulk", "insert", ALL, (0, 1, 3), {}),
    (BOTH, "bulk", "insert", ALL, (1, 1, 2), {}),
    (BOTH, "bulk", "insert", ALL, (2, 0, 3), {"expires": True}),
    ("nightly now", "bulk", "insert", ALL, (2, 0, 3), {}),
    ("nightly resume", "bulk", "insert", ALL, (2, 0, 2), {}),
    ("nightly nightly now", "bulk", "insert", ("Ada", "Bob"), (1, 0, 2), {}),
    (BOTH, "collections", "insert", ALL, (2, 1, 3), {"expires": True}),
    (BOTH, "bulk", "update", ALL, (1, 1, 1), {"expires": True}),
)


def setting_of(has_field: bool, drawn: Drawn, **more: Any) -> Setting:
    """The setting that a row draws."""
    modes, load_api, operation, persons, budgets, extra = drawn
    runs = tuple(
        run_of(
            "ABC"[place],
            mode,
            _carrier(mode, load_api, has_field),
            operation=operation,
            persons=persons[-1:] if mode == "now" else persons,
        )
        for place, mode in enumerate(modes.split())
    )
    given: dict[str, Any] = {"persons": persons, **extra, **more}
    if operation == "update":
        given |= {"are_known": True, "strangers": frozenset()}
    faults, troubles, preemptions = budgets
    return Setting(
        as_it_is(has_field),
        runs,
        faults=faults,
        troubles=troubles,
        preemptions=preemptions,
        **given,
    )


def _carrier(mode: str, load_api: str, has_field: bool) -> str:
    # Without the field only a job's id tells what a lost answer did: there `now` is a job too.
    return "collections" if mode == "now" and has_field else load_api


def for_steps() -> Iterator[Setting]:
    """The settings from which the model's steps are derived."""
    for has_field, drawn in FOR_STEPS:
        yield setting_of(has_field, drawn, is_recording=True, expires=True)


def words_of(has_field: bool, drawn: Drawn) -> tuple[str, ...]:
    """A setting as cells of a table."""
    modes, load_api, operation, persons, budgets, extra = drawn
    field = "on" if has_field else "off"
    more = " ".join(f"{name}={value}" for name, value in extra.items())
    what = load_api if operation == "insert" else f"{load_api} {operation}"
    return (modes, field, what, str(len(persons)), *map(str, budgets), more)
