"""The settings that are searched: by every test run, and by the long search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.crash.model.setting import Setting, run_of
from tests.crash.model.units import real_protocol

ALL = ("Ada", "Bob", "Cyd")
# Modes of the runs, load_api, operation, persons; faults, troubles, preemptions; other settings.
SettingRow = tuple[str, str, str, tuple[str, ...], tuple[int, int, int], dict[str, Any]]
ALONE, BOTH = "nightly", "nightly nightly"

# Each finds steps that no earlier one finds. Together they find every step with one disturbance.
FOR_STEPS: tuple[tuple[bool, SettingRow], ...] = (
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

QUICK: tuple[SettingRow, ...] = (
    (ALONE, "bulk", "insert", ALL, (1, 1, 0), {"expires": True}),
    (BOTH, "bulk", "insert", ALL, (1, 0, 1), {}),
    (BOTH, "bulk", "insert", ALL, (0, 0, 3), {}),
    ("nightly resume", "bulk", "insert", ALL, (1, 0, 1), {}),
    (BOTH, "collections", "insert", ALL, (1, 1, 1), {"expires": True}),
)

LONG: tuple[SettingRow, ...] = (
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


def setting_of(has_field: bool, row: SettingRow, **more: Any) -> Setting:
    """Return the setting of a row."""
    modes, load_api, operation, persons, budgets, extra = row
    runs = tuple(
        run_of(
            "ABC"[index],
            mode,
            _load_api_of(mode, load_api, has_field),
            operation=operation,
            persons=persons[-1:] if mode == "now" else persons,
        )
        for index, mode in enumerate(modes.split())
    )
    others: dict[str, Any] = {"persons": persons, **extra, **more}
    if operation == "update":
        others |= {"are_known": True, "blocked_persons": frozenset()}
    faults, troubles, preemptions = budgets
    return Setting(
        real_protocol(has_field),
        runs,
        faults=faults,
        troubles=troubles,
        preemptions=preemptions,
        **others,
    )


def _load_api_of(mode: str, load_api: str, has_field: bool) -> str:
    # As in the code: without the field `now` loads by a job, since a lost response needs its id.
    return "collections" if mode == "now" and has_field else load_api


def for_steps() -> Iterator[Setting]:
    """Yield the settings that find the model's steps."""
    for has_field, row in FOR_STEPS:
        yield setting_of(has_field, row, is_recording=True, expires=True)


def cells_of(has_field: bool, row: SettingRow) -> tuple[str, ...]:
    """Return a setting as cells of a table."""
    modes, load_api, operation, persons, budgets, extra = row
    field = "on" if has_field else "off"
    more = " ".join(f"{name}={value}" for name, value in extra.items())
    what = load_api if operation == "insert" else f"{load_api} {operation}"
    return (modes, field, what, str(len(persons)), *map(str, budgets), more)
