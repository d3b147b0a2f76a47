"""Two benches side by side: what became quicker, what slower, and what may be chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.benchmarks.extras import Extras
from tests.benchmarks.samples import Case, Samples, Spread, samples_of, spread
from tests.benchmarks.words import aligned

COMPARED = ("work_seconds", "cpu_seconds", "peak_mb", "api_call_count")
_ALIKE = 0.02


def compared(old: Mapping[str, Any], new: Samples, extras: Extras | None) -> Iterator[str]:
    """Each case that both have, figure by figure; then the stages of ours; then what else both
    have measured, once each."""
    before = samples_of(old["samples"])
    yield f"compared with {old['made_at']}: {_machines(old)}"
    for case in new.cases():
        if before.of(case):
            yield ""
            yield str(case)
            yield from aligned([("", "was", "is", "change"), *_rows(before, new, case)])
    more = list(_extra_rows(old["extras"] or {}, extras.as_json() if extras else {}))
    if more:
        yield ""
        yield from aligned([("besides", "was", "is", "change"), *more])


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
    """By how much, and whether the runs of both overlap, so that it may be chance."""
    if not was.median:
        return "" if not now.median else "new"
    share = now.median / was.median - 1
    if abs(share) < _ALIKE:
        return "alike"
    may_be_chance = now.least <= was.most and was.least <= now.most
    return f"{share:+.0%}{' (may be chance)' if may_be_chance else ''}"


def _machines(old: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in old["machine"].items())
