"""Run the floor, the naive script and ours, each in turn, as often as the time allows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import population, processes
from tests.benchmarks.processes import ProcessFailed, ProcessResult
from tests.benchmarks.samples import CANDIDATES, Case, Sample, Samples
from tests.benchmarks.stores import STORES, Store, lead_files
from tests.benchmarks.task import Task

LONGEST_SECONDS = 3600.0
_FIRST_GUESS = 10.0


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    person_counts: Sequence[int]
    orgs: Sequence[str]
    databases: Sequence[str]
    candidates: Sequence[str]
    repeat: int
    minutes: float
    cache: Path
    failed_share: float
    is_profiling: bool = False


@dataclass
class Comparison:
    """The runs so far, the cases without time for a run, and the runs that failed."""

    plan: Plan
    samples: Samples = field(default_factory=Samples)
    skipped: dict[Case, str] = field(default_factory=dict)
    failed: dict[Case | str, str] = field(default_factory=dict)
    profiles: dict[Case, dict[str, Any]] = field(default_factory=dict)
    _stores: dict[str, Store] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    def run_rounds(self, rounds: int) -> None:
        """Run all cases this often, smallest first, while there is time."""
        for _ in range(rounds):
            for case in self.cases():
                if case not in self.failed and self.has_time_for(case):
                    self.run(case)

    def cases(self) -> Iterator[Case]:
        """Yield the cases of the plan. The floor needs an org that costs nothing."""
        for count in self.plan.person_counts:
            for org in self.plan.orgs:
                for database in self.plan.databases:
                    for candidate in CANDIDATES:
                        is_floor_elsewhere = candidate == "floor" and org != "sink"
                        if candidate in self.plan.candidates and not is_floor_elsewhere:
                            yield Case(count, org, database, candidate)

    def run(self, case: Case) -> None:
        """Run one case once, in a fresh warehouse and a fresh org, and record the sample."""
        _print_progress(f"{case} ...")
        try:
            result, server_cpu = self.measure(case, f"tests.benchmarks.{case.candidate}")
            self._require_leads(case, result)
        except ProcessFailed as failure:
            self.failed[case] = str(failure)
            _print_progress(f"  failed: {failure}")
            return
        self.samples.add(sample_of(case, result, server_cpu))
        if result.document["profiles"]:
            self.profiles[case] = result.document["profiles"]
        _print_progress(f"  {result.process_seconds:.1f} s")

    def _require_leads(self, case: Case, result: ProcessResult) -> None:
        """Raise ProcessFailed if the number of created leads is wrong: no speed makes up for it."""
        created = result.document.get("created_count", 0)
        expected = 0 if case.candidate == "floor" else population.lead_count(case.person_count)
        if created != expected and not self.plan.failed_share:
            raise ProcessFailed(f"created {created} leads instead of {expected}")

    def measure(
        self,
        case: Case,
        module: str,
        *,
        known_leads: int = 0,
        known_share: float = 0.0,
        **more: Any,
    ) -> tuple[ProcessResult, float]:
        """Run a module as a process, with a fresh warehouse and a fresh org.

        Return its result, and the processor seconds of the database server. Raise ProcessFailed.
        The org begins with `known_leads`, a share of them with e-mails of persons.
        """
        known = {"known_leads": known_leads, "known_share": known_share}
        with (
            self.warehouse(case) as url,
            processes.org(case.org, self.plan.failed_share, **known) as org,
        ):
            before = self._stores[case.database].server_cpu_seconds()
            result = processes.run(
                ["-m", module, self.task(case, url, org, **more).as_argument()],
                limit_seconds=LONGEST_SECONDS,
                environment=more.get("environment"),
            )
            return result, self._stores[case.database].server_cpu_seconds() - before

    def task(self, case: Case, url: str, org: str, **more: Any) -> Task:
        """Return the task of a process for this case."""
        files: list[Path] = []
        if case.candidate == "floor":
            files = lead_files(self.plan.cache, case.person_count)
        more.pop("environment", None)
        is_profiling = self.plan.is_profiling and case.candidate == "ours"
        return Task(
            warehouse_url=url,
            org_url=org,
            person_count=case.person_count,
            lead_files=tuple(map(str, files)),
            is_profiling=is_profiling,
            **more,
        )

    def warehouse(self, case: Case) -> AbstractContextManager[str]:
        """Return a context with the URL of a warehouse that has the persons of a case."""
        if case.database not in self._stores:
            self._stores[case.database] = STORES[case.database](self.plan.cache)
        store = self._stores[case.database]
        store.prepare(case.person_count)
        copied: AbstractContextManager[str] = store.copy(case.person_count)
        return copied

    def close(self) -> None:
        """Stop the database servers."""
        for store in self._stores.values():
            store.close()

    def seconds_left(self) -> float:
        """Return what is left of the time that the whole benchmark may take."""
        return self.plan.minutes * 60 - (time.monotonic() - self._started)

    def has_time_for(self, case: Case) -> bool:
        """Whether a run of the case should end in time. Record a case that has no run at all."""
        estimate = self._estimated_seconds(case)
        if estimate <= self.seconds_left():
            return True
        if not self.samples.of(case):
            self.skipped[case] = f"would have taken about {estimate:.0f} s"
        return False

    def _estimated_seconds(self, case: Case) -> float:
        """Estimate a run by the last one; for more persons its work grows in proportion."""
        before = [
            one
            for one in self.samples.all
            if replace(one.case, person_count=case.person_count) == case
            and one.case.person_count <= case.person_count
        ]
        if not before:
            return _FIRST_GUESS
        nearest = max(before, key=lambda one: one.case.person_count)
        times = case.person_count / nearest.case.person_count
        startup = nearest.process_seconds - nearest.work_seconds
        return startup + nearest.work_seconds * times


def sample_of(case: Case, result: ProcessResult, server_cpu_seconds: float) -> Sample:
    """Return the sample of a process that succeeded."""
    report = result.document
    stages = report["stages"]
    in_stages = sum(stage["wall_seconds"] for stage in stages)
    work = report.get("run_wall_seconds", in_stages)
    if work > in_stages:
        cpu = report["run_cpu_seconds"] - sum(stage["cpu_seconds"] for stage in stages)
        rest = {"name": "open, close", "wall_seconds": work - in_stages, "cpu_seconds": cpu}
        stages.append({**rest, "peak_mb": report["peak_mb"], "measurement_count": 1})
    return Sample(
        case=case,
        work_seconds=work,
        process_seconds=result.process_seconds,
        cpu_seconds=result.cpu_seconds,
        server_cpu_seconds=server_cpu_seconds,
        peak_mb=report["peak_mb"],
        api_call_count=report["api_call_count"],
        stages=stages,
    )


def _print_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
