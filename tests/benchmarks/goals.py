"""The figures to reach, what was measured of them, and whether they are reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.benchmarks.extras import KNOWN_LEADS, MEMORY_PERSONS, Extras
from tests.benchmarks.samples import MILLION, Case, Samples

FLOOR_RATIO, NAIVE_RATIO = 4.0, 12.0
MOST_MB, FLAT_SHARE = 700.0, 0.10
GROWTH, GROWS_FROM = 1.1, 100_000
PREFECT_SHARE = 0.05
NOW_SECONDS, IDLE_SECONDS, IDLE_STORY_SECONDS = 0.05, 5.0, 0.5
API_CALLS = 300


@dataclass(frozen=True)
class Figure:
    """A goal and its measure. `is_reached` is None where nothing was measured."""

    name: str
    goal: str
    measured: str = "not measured"
    is_reached: bool | None = None

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "reached", False: "not reached", None: "-"}[self.is_reached]

    def as_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


def figures(samples: Samples, extras: Extras | None) -> list[Figure]:
    """All figures, measured or not; those of a load by the largest that was measured."""
    return [
        *_of_loads(samples),
        _memory(samples),
        *_of_extras(extras or Extras()),
        Figure(
            "the emulator itself, rules off, on", "100,000, 30,000 rows/s", "make bench-emulator"
        ),
    ]


def _of_loads(samples: Samples) -> Iterator[Figure]:
    for database in ("sqlite", "postgresql"):
        largest = _largest(samples, database)
        for other in ("floor", "naive"):
            yield _ratio(samples, _largest(samples, database, other), other, database)
        yield _growth(samples, largest, database)
        yield _api_calls(samples, largest, database)


def _largest(samples: Samples, database: str, other: str = "ours") -> Case | None:
    """Our largest load from this engine into the sink that another's can be held against."""
    loads = [
        case
        for case in samples.cases()
        if (case.org, case.database, case.contestant) == ("sink", database, "ours")
        and samples.of(replace(case, contestant=other))
    ]
    return max(loads, default=None)


def _ratio(samples: Samples, ours: Case | None, other: str, database: str) -> Figure:
    is_floor = other == "floor"
    name = f"{database}: {'wall over the floor' if is_floor else 'times faster than naive'}"
    goal = f"<= {FLOOR_RATIO}" if is_floor else f">= {NAIVE_RATIO:.0f}"
    if ours is None:
        return Figure(name, goal)
    beside = replace(ours, contestant=other)
    mine, theirs = (samples.figure(case, "work_seconds") for case in (ours, beside))
    if mine is None or theirs is None:
        return Figure(name, goal)
    if is_floor:
        ratio = mine.median / theirs.median
        words = f"{ratio:.1f}: {mine} s over {theirs} s{_at(ours)}{_by_cpu(samples, ours, beside)}"
        return Figure(name, goal, words, _for_a_million(ours, ratio <= FLOOR_RATIO))
    ratio = theirs.median / mine.median
    is_reached = _for_a_million(ours, ratio >= NAIVE_RATIO)
    words = f"{ratio:.1f}: {theirs} s over {mine} s{_at(ours)}{_by_cpu(samples, beside, ours)}"
    return Figure(name, goal, words, is_reached)


def _by_cpu(samples: Samples, above: Case, below: Case) -> str:
    """The same ratio of processor seconds, server included: it stands still on a busy machine."""
    more, less = samples.work_cpu(above), samples.work_cpu(below)
    return f" (by CPU {more / less:.1f})" if more and less else ""


def _growth(samples: Samples, ours: Case | None, database: str) -> Figure:
    """How much longer a person takes in the largest load than in one of 100,000."""
    name, goal = f"{database}: growth from 100,000", f"<= {GROWTH} x linear"
    if ours is None or ours.person_count <= GROWS_FROM:
        return Figure(name, goal)
    small = samples.figure(Case(GROWS_FROM, "sink", database, "ours"), "work_seconds")
    large = samples.figure(ours, "work_seconds")
    if small is None or large is None:
        return Figure(name, goal)
    growth = large.median / small.median * GROWS_FROM / ours.person_count
    return Figure(name, goal, f"{growth:.2f}{_at(ours)}", growth <= GROWTH)


def _api_calls(samples: Samples, ours: Case | None, database: str) -> Figure:
    name, goal = f"{database}: API calls a million persons", f"<= {API_CALLS}"
    made = samples.figure(ours, "api_call_count") if ours else None
    if ours is None or made is None:
        return Figure(name, goal)
    calls = made.median * MILLION / ours.person_count
    return Figure(name, goal, f"{calls:,.0f}{_at(ours)}", _for_a_million(ours, calls <= API_CALLS))


def _memory(samples: Samples) -> Figure:
    """Flat: the largest load may hold a tenth more than that of 200,000."""
    goal = f"<= {MOST_MB:.0f} MB, flat within {FLAT_SHARE:.0%}"
    name = "peak memory of the process"
    peaks = {
        case: peak.median
        for case in samples.cases()
        if case.contestant == "ours" and case.org == "sink" and case.person_count >= MEMORY_PERSONS
        if (peak := samples.figure(case, "peak_mb"))
    }
    if not peaks:
        return Figure(name, goal)
    words = ", ".join(
        f"{peak:.0f} MB at {case.person_count:,} ({case.database})" for case, peak in peaks.items()
    )
    is_flat = max(peaks.values()) <= (1 + FLAT_SHARE) * min(peaks.values())
    is_reached = is_flat and max(peaks.values()) <= MOST_MB
    has_a_million = max(case.person_count for case in peaks) >= MILLION
    return Figure(name, goal, words, is_reached if has_a_million or not is_reached else None)


def _of_extras(extras: Extras) -> Iterator[Figure]:
    now, goal = extras.now_seconds, f"<= {NOW_SECONDS * 1000:.0f} ms without the org's time"
    words = "not measured"
    if now is not None and extras.now_cpu_seconds is not None:
        words = f"{now * 1000:.0f} ms (CPU {extras.now_cpu_seconds * 1000:.0f} ms)"
    yield Figure("now, one person, warm", goal, words, _within(now, NOW_SECONDS))
    idle = extras.idle_command_seconds
    words = f"{idle:.1f} s" if idle is not None else "not measured"
    name = "run with nobody new, start to exit, Prefect server running"
    yield Figure(name, f"<= {IDLE_SECONDS:.0f} s", words, _within(idle, IDLE_SECONDS))
    story = extras.idle_story_seconds
    words = f"{story:.2f} s" if story is not None else "not measured"
    goal = f"<= {IDLE_STORY_SECONDS} s"
    yield Figure("of it the story, cold", goal, words, _within(story, IDLE_STORY_SECONDS))
    yield _prefect(extras)
    yield _among_known(extras)


def _prefect(extras: Extras) -> Figure:
    name, goal = "Prefect's share of a run", f"<= {PREFECT_SHARE:.0%} of a million"
    flow, plain = extras.prefect_flow_seconds, extras.prefect_plain_seconds
    if flow is None or plain is None:
        return Figure(name, goal)
    share = (flow - plain) / flow
    at = f"at {extras.prefect_person_count:,}"
    words = f"{share:.1%} {at}: {flow - plain:.1f} s of {flow:.1f} s"
    return Figure(name, goal, words, share <= PREFECT_SHARE)


def _among_known(extras: Extras) -> Figure:
    """As the API calls of a load into an empty org; and how long it took, for whoever compares."""
    name = f"API calls a million persons, into an org of {KNOWN_LEADS:,} leads"
    goal, calls, count = f"<= {API_CALLS}", extras.known_api_call_count, extras.known_person_count
    if calls is None:
        return Figure(name, goal)
    case = Case(count, "sink", "sqlite", "ours")
    per_million = calls * MILLION / count
    words = f"{per_million:,.0f}{_at(case)}, {extras.known_seconds:.1f} s"
    return Figure(name, goal, words, _for_a_million(case, per_million <= API_CALLS))


def _within(value: float | None, most: float) -> bool | None:
    return None if value is None else value <= most


def _for_a_million(case: Case, is_reached: bool) -> bool | None:
    """The goals are for a million: what holds of fewer says nothing of it."""
    return is_reached if case.person_count >= MILLION else None


def _at(case: Case) -> str:
    return "" if case.person_count == MILLION else f", at {case.person_count:,}"
