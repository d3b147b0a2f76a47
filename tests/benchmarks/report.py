"""The report of a benchmark as text: tables of the measurements and of the goals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.benchmarks.comparison import Comparison
from tests.benchmarks.goals import Figure
from tests.benchmarks.samples import MILLION, Case, Samples

HEADER = (
    *("", "wall s", "persons/s", "CPU s", "server CPU s"),
    *("peak MB", "start to exit s", "calls/million"),
)


def lines(
    comparison: Comparison, figures: Sequence[Figure], machine: dict[str, Any]
) -> Iterator[str]:
    """Yield the lines: the machine, each case with its stages, the goals, the profiles."""
    yield "  ".join(f"{name}: {value}" for name, value in machine.items())
    yield "median (minimum-maximum) of the runs; stages: wall, persons/s, CPU, peak of the process"
    for case in comparison.samples.cases():
        yield from _of_case(comparison.samples, case)
    for what, reason in [*comparison.skipped.items(), *comparison.failed.items()]:
        yield f"NOT MEASURED: {what}: {reason}"
    yield ""
    yield from align([("figure", "goal", "measured", ""), *map(_figure_row, figures)])
    for case, profiles in comparison.profiles.items():
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
        peak = f"{stage_peak.maximum:.0f}"
        rows.append((f"  {stage}", wall, speed, stage_cpu, "", peak, "", ""))
    yield ""
    yield name
    yield from align(rows)


def _speed(case: Case, seconds: float) -> str:
    return f"{case.person_count / seconds:,.0f}" if seconds >= 0.01 else "-"


def _figure_row(figure: Figure) -> tuple[str, ...]:
    return figure.name, figure.goal, figure.measured, figure.status


def _of_profiles(case: Case, profiles: dict[str, Any]) -> Iterator[str]:
    """Yield the slowest functions of every stage. Profiling makes Python code seem slower."""
    for stage, orders in profiles.items():
        for key, rows in orders.items():
            yield ""
            yield f"profile of {case}: {stage}, by {key}"
            header = ("seconds", "own", "calls", "function")
            cells = [
                (row["seconds"], row["own_seconds"], row["calls"], row["function"]) for row in rows
            ]
            yield from align([header, *cells])


def align(rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield rows of cells as lines, each column as wide as its widest cell."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
