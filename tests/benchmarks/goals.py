"""The goals: each with what was measured, and whether it is reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.benchmarks.extras import KNOWN_LEADS, MEMORY_PERSONS, Extras
from tests.benchmarks.samples import MILLION, Case, Samples

FLOOR_RATIO, NAIVE_RATIO = 4.0, 12.0
MAX_MB, FLAT_SHARE = 700.0, 0.10
GROWTH, GROWS_FROM = 1.1, 100_000
PREFECT_SHARE = 0.05
NOW_SECONDS, IDLE_SECONDS, IDLE_RUN_SECONDS = 0.05, 5.0, 0.5
API_CALLS = 300


@dataclass(frozen=True)
class Figure:
    """A goal and what was measured. `is_reached` is None where nothing was measured."""

    name: str
    goal: str
    measured: str = "not measured"
    is_reached: bool | None = None

    @property
    def status(self) -> str:
        """Whether the goal is reached, as text."""
        return {True: "reached", False: "not reached", None: "-"}[self.is_reached]

    def as_json(self) -> dict[str, Any]:
        """Return every field by its name."""
        return asdict(self)


def figures(samples: Samples, extras: Extras | None) -> list[Figure]:
    """Return all figures, measured or not. Those of a load are of the largest one measured."""
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
    """Return our largest load from this database into the sink that the other one has run too."""
    loads = [
        case
        for case in samples.cases()
        if (case.org, case.database, case.candidate) == ("sink", database, "ours")
        and samples.of(replace(case, candidate=other))
    ]
    return max(loads, default=None)


def _ratio(samples: Samples, ours: Case | None, other: str, database: str) -> Figure:
    is_floor = other == "floor"
    name = f"{database}: {'wall over the floor' if is_floor else 'times faster than naive'}"
    goal = f"<= {FLOOR_RATIO}" if is_floor else f">= {NAIVE_RATIO:.0f}"
    if ours is None:
        return Figure(name, goal)
    theirs = replace(ours, candidate=other)
    slower, faster = (ours, theirs) if is_floor else (theirs, ours)
    above, below = (samples.figure(case, "work_seconds") for case in (slower, faster))
    if above is None or below is None:
        return Figure(name, goal)
    ratio = above.median / below.median
    is_reached = ratio <= FLOOR_RATIO if is_floor else ratio >= NAIVE_RATIO
    text = f"{ratio:.1f}: {above} s over {below} s{_at(ours)}{_by_cpu(samples, slower, faster)}"
    return Figure(name, goal, text, _for_a_million(ours, is_reached))


def _by_cpu(samples: Samples, slower: Case, faster: Case) -> str:
    """Return the ratio of CPU seconds, server included, which a busy machine hardly changes."""
    above, below = samples.work_cpu(slower), samples.work_cpu(faster)
    return f" (by CPU {above / below:.1f})" if above and below else ""


def _growth(samples: Samples, ours: Case | None, database: str) -> Figure:
    """Compare the time per person in the largest load with that in one of 100,000 persons."""
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
    count = samples.figure(ours, "api_call_count") if ours else None
    if ours is None or count is None:
        return Figure(name, goal)
    calls = count.median * MILLION / ours.person_count
    return Figure(name, goal, f"{calls:,.0f}{_at(ours)}", _for_a_million(ours, calls <= API_CALLS))


def _memory(samples: Samples) -> Figure:
    """Check that memory is flat: the largest load takes at most a tenth more than the smallest."""
    goal = f"<= {MAX_MB:.0f} MB, flat within {FLAT_SHARE:.0%}"
    name = "peak memory of the process"
    peaks = {
        case: peak.median
        for case in samples.cases()
        if case.candidate == "ours" and case.org == "sink" and case.person_count >= MEMORY_PERSONS
        if (peak := samples.figure(case, "peak_mb"))
    }
    if not peaks:
        return Figure(name, goal)
    text = ", ".join(
        f"{peak:.0f} MB at {case.person_count:,} ({case.database})" for case, peak in peaks.items()
    )
    is_flat = max(peaks.values()) <= (1 + FLAT_SHARE) * min(peaks.values())
    is_reached = is_flat and max(peaks.values()) <= MAX_MB
    has_a_million = max(case.person_count for case in peaks) >= MILLION
    return Figure(name, goal, text, is_reached if has_a_million or not is_reached else None)


def _of_extras(extras: Extras) -> Iterator[Figure]:
    now, goal = extras.now_seconds, f"<= {NOW_SECONDS * 1000:.0f} ms without the org's time"
    text = "not measured"
    if now is not None and extras.now_cpu_seconds is not None:
        text = f"{now * 1000:.0f} ms (CPU {extras.now_cpu_seconds * 1000:.0f} ms)"
    yield Figure("now, one person, warm", goal, text, _within(now, NOW_SECONDS))
    command = extras.idle_command_seconds
    text = f"{command:.1f} s" if command is not None else "not measured"
    name = "command without new persons, start to exit, Prefect server running"
    yield Figure(name, f"<= {IDLE_SECONDS:.0f} s", text, _within(command, IDLE_SECONDS))
    run = extras.idle_run_seconds
    text = f"{run:.2f} s" if run is not None else "not measured"
    goal = f"<= {IDLE_RUN_SECONDS} s"
    yield Figure("of it the run itself, cold", goal, text, _within(run, IDLE_RUN_SECONDS))
    yield _prefect(extras)
    yield _with_known_leads(extras)


def _prefect(extras: Extras) -> Figure:
    name, goal = "Prefect's share of a run", f"<= {PREFECT_SHARE:.0%} of a million"
    flow, plain = extras.prefect_flow_seconds, extras.prefect_plain_seconds
    if flow is None or plain is None:
        return Figure(name, goal)
    share = (flow - plain) / flow
    at = f"at {extras.prefect_person_count:,}"
    text = f"{share:.1%} {at}: {flow - plain:.1f} s of {flow:.1f} s"
    return Figure(name, goal, text, share <= PREFECT_SHARE)


def _with_known_leads(extras: Extras) -> Figure:
    """Return the API calls of a load into an org with many leads, and its seconds."""
    name = f"API calls a million persons, into an org of {KNOWN_LEADS:,} leads"
    goal, calls, count = f"<= {API_CALLS}", extras.known_api_call_count, extras.known_person_count
    if calls is None:
        return Figure(name, goal)
    case = Case(count, "sink", "sqlite", "ours")
    per_million = calls * MILLION / count
    text = f"{per_million:,.0f}{_at(case)}, {extras.known_seconds:.1f} s"
    return Figure(name, goal, text, _for_a_million(case, per_million <= API_CALLS))


def _within(value: float | None, maximum: float) -> bool | None:
    return None if value is None else value <= maximum


def _for_a_million(case: Case, is_reached: bool) -> bool | None:
    """Return None for a smaller load: the goals are for a million persons."""
    return is_reached if case.person_count >= MILLION else None


def _at(case: Case) -> str:
    return "" if case.person_count == MILLION else f", at {case.person_count:,}"
