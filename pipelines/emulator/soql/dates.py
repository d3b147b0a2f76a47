"""The date literals of SOQL as ranges of days. Weeks start on Sunday; days are in UTC."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

# From the first day (inclusive) to the day after the last.
Days = tuple[date, date]

FIXED = re.compile(r"(last|this|next)_(week|month|quarter|year)")
COUNTED = re.compile(r"(last|next)_n_(day|week|month|quarter|year)s:(\d{1,4})")
AGO = re.compile(r"n_(day|week|month|quarter|year)s_ago:(\d{1,4})")
FISCAL = re.compile(r"\w*fiscal\w*(:\d+)?")
ONE = timedelta(days=1)
STEPS = {"last": -1, "this": 0, "next": 1}


class DateLiteralError(Exception):
    """There is no date literal of this name, or it leaves the calendar."""


def named_days(literal: str, today: date) -> Days:
    """Return the days of a literal such as `LAST_N_WEEKS:2`; raise DateLiteralError otherwise."""
    name = literal.lower()
    try:
        found = _named(name, today)
    except (ValueError, OverflowError) as error:
        raise DateLiteralError(f"'{literal}' leaves the calendar") from error
    if found is not None:
        return found
    if FISCAL.fullmatch(name):
        raise DateLiteralError(f"unexpected token: '{literal}' (this org has no fiscal calendar)")
    raise DateLiteralError(f"unexpected token: '{literal}'")


def _named(name: str, today: date) -> Days | None:
    single = {"yesterday": -ONE, "today": 0 * ONE, "tomorrow": ONE}.get(name)
    if single is not None:
        return today + single, today + single + ONE
    if fixed := FIXED.fullmatch(name):
        return _span(fixed[2], today, STEPS[fixed[1]], 1)
    if ago := AGO.fullmatch(name):
        return _span(ago[1], today, -int(ago[2]), 1)
    if name in {"last_90_days", "next_90_days"}:
        name = name.replace("90_days", "n_days:90")
    if counted := COUNTED.fullmatch(name):
        return _counted(counted[1], counted[2], int(counted[3]), today)
    return None


def _counted(direction: str, unit: str, count: int, today: date) -> Days:
    if unit == "day":
        # The last days include today; the next days begin tomorrow.
        if direction == "last":
            return today - count * ONE, today + ONE
        return today + ONE, today + (count + 1) * ONE
    # For longer units, the current one belongs to neither range.
    return _span(unit, today, -count if direction == "last" else 1, count)


def _span(unit: str, today: date, step: int, count: int) -> Days:
    """Return `count` whole units; the first is `step` units from the current one."""
    return STARTS[unit](today, step), STARTS[unit](today, step + count)


def _week(today: date, step: int) -> date:
    return today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=step)


def _month(today: date, step: int) -> date:
    years, month = divmod(today.month - 1 + step, 12)
    return date(today.year + years, month + 1, 1)


def _quarter(today: date, step: int) -> date:
    first = today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1)
    return _month(first, 3 * step)


def _year(today: date, step: int) -> date:
    return date(today.year + step, 1, 1)


STARTS: dict[str, Callable[[date, int], date]] = {
    "day": lambda today, step: today + step * ONE,
    "week": _week,
    "month": _month,
    "quarter": _quarter,
    "year": _year,
}
