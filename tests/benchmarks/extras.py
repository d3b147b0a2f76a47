"""Measure what the comparison of loads does not show, all on SQLite and with the sink.

It is the memory at 200,000 persons, a load into an org of a million leads, and Prefect's share.
One person with `now` and a run without new persons are measured too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import population, processes
from tests.benchmarks.comparison import Comparison
from tests.benchmarks.ours import config_of
from tests.benchmarks.processes import ProcessFailed
from tests.benchmarks.samples import Case
from tests.prefect_server import Server, running_server

MEMORY_PERSONS = 200_000
FEW_PERSONS = 200
KNOWN_LEADS, KNOWN_SHARE = 1_000_000, 0.01
_COMMAND = "from pipelines.cli import main; main()"


@dataclass(frozen=True)
class Extras:
    """Medians of several runs; None for what was not measured."""

    now_seconds: float | None = None
    now_cpu_seconds: float | None = None
    idle_command_seconds: float | None = None
    idle_run_seconds: float | None = None
    prefect_person_count: int = 0
    prefect_flow_seconds: float | None = None
    prefect_plain_seconds: float | None = None
    known_person_count: int = 0
    known_api_call_count: float | None = None
    known_seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return every figure by its name."""
        return dict(vars(self))


def measure(comparison: Comparison, prefect_person_count: int) -> Extras:
    """Measure all extras, each as often as the plan says; repeat loads only while there is time."""
    repeat = comparison.plan.repeat
    comparison.run(_case(MEMORY_PERSONS))
    known = _with_known_leads(comparison)
    now = _now_seconds(comparison)
    with tempfile.TemporaryDirectory() as home, running_server(Path(home)) as server:
        command, run = _idle_seconds(comparison, server, repeat)
        flow, plain = _prefect_seconds(comparison, server, prefect_person_count, repeat)
    return Extras(*now, command, run, prefect_person_count, flow, plain, *known)


def _case(count: int) -> Case:
    return Case(count, "sink", "sqlite", "ours")


def _with_known_leads(comparison: Comparison) -> tuple[int, float | None, float | None]:
    """Run the largest load there is time for, into an org of a million leads.

    Return the number of persons, the API calls, and the seconds of the run.
    """
    for count in sorted(comparison.plan.person_counts, reverse=True):
        if comparison.has_time_for(_case(count)):
            known = {"known_leads": KNOWN_LEADS, "known_share": KNOWN_SHARE}
            result, _ = comparison.measure(_case(count), "tests.benchmarks.ours", **known)
            report = result.document
            _require_duplicates(count, report)
            return count, report["api_call_count"], report["run_wall_seconds"]
    return 0, None, None


def _require_duplicates(count: int, report: dict[str, Any]) -> None:
    """Raise ProcessFailed unless the persons whom the org knows have got no second lead."""
    with_leads = population.persons(0, min(count, int(KNOWN_LEADS * KNOWN_SHARE)))
    expected = population.lead_count(count) - population.accepted(with_leads).num_rows
    if report["created_count"] != expected:
        raise ProcessFailed(f"created {report['created_count']} leads instead of {expected}")


def _now_seconds(comparison: Comparison) -> tuple[float, float]:
    """Return wall seconds without the org's time, and CPU seconds. The first run is a warm-up."""
    result, _ = comparison.measure(_case(FEW_PERSONS), "tests.benchmarks.ours", mode="now")
    _, *warm = [
        (run["wall_seconds"] - run["org_seconds"], run["cpu_seconds"])
        for run in result.document["runs"]
    ]
    walls, cpus = zip(*warm, strict=True)
    return median(walls), median(cpus)


def _idle_seconds(comparison: Comparison, server: Server, repeat: int) -> tuple[float, float]:
    """Return the seconds of the command without new persons, and of the run alone."""
    case = _case(FEW_PERSONS)
    with comparison.warehouse(case) as url, processes.org("sink") as org, _config() as config:
        task = comparison.task(case, url, org, config=str(config))
        config.write_text(config_of(task), encoding="utf-8")
        command = ["-c", _COMMAND, "run", "--config", str(config)]
        run_only = ["-m", "tests.benchmarks.ours", task.as_argument()]
        _run(run_only)
        commands = [_run(command, server.own).process_seconds for _ in range(repeat)]
        runs = [_run(run_only).document["run_wall_seconds"] for _ in range(repeat)]
    return median(commands), median(runs)


def _prefect_seconds(
    comparison: Comparison, server: Server, count: int, repeat: int
) -> tuple[float, float]:
    """Return the seconds of a load with Prefect and without, from start to exit, run in turn."""

    def seconds(mode: str) -> float:
        with _config() as config:
            result, _ = comparison.measure(
                _case(count),
                "tests.benchmarks.ours",
                mode=mode,
                config=str(config),
                environment=server.own,
            )
        return result.process_seconds

    pairs = [(seconds("flow"), seconds("plain"))]
    while len(pairs) < repeat and comparison.seconds_left() > sum(pairs[-1]):
        pairs.append((seconds("flow"), seconds("plain")))
    flows, plains = zip(*pairs, strict=True)
    return median(flows), median(plains)


def _run(command: list[str], environment: dict[str, str] | None = None) -> processes.ProcessResult:
    return processes.run(command, limit_seconds=600, environment=environment)


@contextmanager
def _config() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "person-sync.toml"
