"""What was measured, as a table to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.contest import Contest
from tests.benchmarks.goals import Figure
from tests.benchmarks.samples import MILLION, Case, Samples

HEADER = (
    *("", "wall s", "persons/s", "CPU s", "server CPU s"),
    *("peak MB", "start to exit s", "calls/million"),
)


def lines(contest: Contest, figures: Sequence[Figure], machine: dict[str, Any]) -> Iterator[str]:
    """Everything, top to bottom: where it ran, the contest with its stages, the goals."""
    yield "  ".join(f"{name}: {value}" for name, value in machine.items())
    yield "median (least-most) of the runs; stages: wall, persons/s, CPU, peak of the process"
    for case in contest.samples.cases():
        yield from _of_case(contest.samples, case)
    for what, reason in [*contest.skipped.items(), *contest.failed.items()]:
        yield f"NOT MEASURED: {what}: {reason}"
    yield ""
    yield from aligned([("figure", "goal", "measured", ""), *map(_figure_row, figures)])
    for case, profiles in contest.profiles.items():
        yield from _of_profiles(case, profiles)


def _of_case(samples: Samples, case: Case) -> Iterator[str]:
    names = ("cpu_seconds", "server_cpu_seconds", "peak_mb", "process_seconds")
    work, calls = (samples.figure(case, name) for name in ("work_seconds", "api_call_count"))
    assert work
    assert calls
    per_million = f"{calls.median * MILLION / case.person_count:,.0f}"
    name = f"{case} ({len(samples.of(case))} runs)"
    speed = _speed(case, work.median)
    rows = [
        HEADER,
        ("all", work, speed, *(samples.figure(case, one) for one in names), per_million),
    ]
    for stage, wall, stage_cpu, stage_peak in samples.stages(case):
        speed = _speed(case, wall.median)
        rows.append((f"  {stage}", wall, speed, stage_cpu, "", f"{stage_peak.most:.0f}", "", ""))
    yield ""
    yield name
    yield from aligned(rows)


def _speed(case: Case, seconds: float) -> str:
    return f"{case.person_count / seconds:,.0f}" if seconds >= 0.01 else "-"


def _figure_row(figure: Figure) -> tuple[str, ...]:
    return figure.name, figure.goal, figure.measured, figure.verdict


def _of_profiles(case: Case, profiles: dict[str, Any]) -> Iterator[str]:
    """The dearest functions of every stage; profiling itself makes Python code seem dearer."""
    for stage, orders in profiles.items():
        for key, rows in orders.items():
            yield ""
            yield f"profile of {case}: {stage}, by {key}"
            header = ("seconds", "own", "calls", "function")
            cells = [
                (row["seconds"], row["own_seconds"], row["calls"], row["function"]) for row in rows
            ]
            yield from aligned([header, *cells])


def aligned(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Rows of cells, each column as wide as its widest cell."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
