"""Compare the measurements with those of an earlier benchmark, the baseline.

Say what became faster or slower, and where the difference may be chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.benchmarks.extras import Extras
from tests.benchmarks.report import align
from tests.benchmarks.samples import Case, Samples, Spread, samples_of, spread

COMPARED = ("work_seconds", "cpu_seconds", "peak_mb", "api_call_count")
_SAME_WITHIN = 0.02


def compare_with_baseline(
    old: Mapping[str, Any], new: Samples, extras: Extras | None
) -> Iterator[str]:
    """Yield lines: each case that both have, with its figures and stages; then the extras."""
    before = samples_of(old["samples"])
    yield f"compared with {old['made_at']}: {_machine(old)}"
    for case in new.cases():
        if before.of(case):
            yield ""
            yield str(case)
            yield from align([("", "was", "is", "change"), *_rows(before, new, case)])
    more = list(_extra_rows(old["extras"] or {}, extras.as_json() if extras else {}))
    if more:
        yield ""
        yield from align([("extras", "was", "is", "change"), *more])


def _extra_rows(
    old: Mapping[str, float | None], new: Mapping[str, float | None]
) -> Iterator[tuple[str, str, str, str]]:
    for name, now in new.items():
        was = old.get(name)
        if now and was and not name.endswith("person_count"):
            yield name, f"{was:.3g}", f"{now:.3g}", change(spread([was]), spread([now]))


def _rows(before: Samples, new: Samples, case: Case) -> Iterator[tuple[str, str, str, str]]:
    for name in COMPARED:
        was, now = before.figure(case, name), new.figure(case, name)
        assert was
        assert now
        yield name, str(was), str(now), change(was, now)
    known = {name: wall for name, wall, *_ in before.stages(case)}
    for name, wall, *_ in new.stages(case):
        if name in known:
            yield f"  {name}", str(known[name]), str(wall), change(known[name], wall)


def change(was: Spread, now: Spread) -> str:
    """Return the change in percent. It may be chance where the runs of both overlap."""
    if not was.median:
        return "" if not now.median else "new"
    share = now.median / was.median - 1
    if abs(share) < _SAME_WITHIN:
        return "same"
    may_be_chance = now.minimum <= was.maximum and was.minimum <= now.maximum
    return f"{share:+.0%}{' (may be chance)' if may_be_chance else ''}"


def _machine(old: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in old["machine"].items())
