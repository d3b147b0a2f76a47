"""The contest: floor, naive script and ours, side by side, as often as the time allows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import children, crowds
from tests.benchmarks.children import Finished, RunFailed
from tests.benchmarks.samples import CONTESTANTS, Case, Sample, Samples
from tests.benchmarks.stores import STORES, Store, lead_files
from tests.benchmarks.task import Task

LONGEST_SECONDS = 3600.0
_FIRST_GUESS = 10.0


@dataclass(frozen=True)
class Choices:
    """What is measured."""

    person_counts: Sequence[int]
    orgs: Sequence[str]
    databases: Sequence[str]
    contestants: Sequence[str]
    repeat: int
    minutes: float
    cache: Path
    failed_share: float
    is_profiling: bool = False


@dataclass
class Contest:
    """The runs so far, and those there was no time for. A run that fails is told, not hidden."""

    choices: Choices
    samples: Samples = field(default_factory=Samples)
    skipped: dict[Case, str] = field(default_factory=dict)
    failed: dict[Case | str, str] = field(default_factory=dict)
    profiles: dict[Case, dict[str, Any]] = field(default_factory=dict)
    _stores: dict[str, Store] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def hold(self, rounds: int) -> None:
        """Run everything so often, smallest first, while there is time."""
        for _ in range(rounds):
            for case in self.cases():
                if case not in self.failed and self.has_time_for(case):
                    self.run(case)

    def cases(self) -> Iterator[Case]:
        """What is asked for; the floor needs an org that costs nothing."""
        for count in self.choices.person_counts:
            for org in self.choices.orgs:
                for database in self.choices.databases:
                    for contestant in CONTESTANTS:
                        is_floor_of_nothing = contestant == "floor" and org != "sink"
                        if contestant in self.choices.contestants and not is_floor_of_nothing:
                            yield Case(count, org, database, contestant)

    def run(self, case: Case) -> None:
        """One run of one case, in a fresh warehouse and a fresh org."""
        _say(f"{case} ...")
        try:
            done, server_cpu = self.perform(case, f"tests.benchmarks.{case.contestant}")
            self._require_leads(case, done)
        except RunFailed as failure:
            self.failed[case] = str(failure)
            _say(f"  failed: {failure}")
            return
        self.samples.add(sample_of(case, done, server_cpu))
        if done.document["profiles"]:
            self.profiles[case] = done.document["profiles"]
        _say(f"  {done.process_seconds:.1f} s")

    def _require_leads(self, case: Case, done: Finished) -> None:
        """A load that did something else is no contestant, however quick it was."""
        made = done.document.get("created_count", 0)
        expected = 0 if case.contestant == "floor" else crowds.lead_count(case.person_count)
        if made != expected and not self.choices.failed_share:
            raise RunFailed(f"made {made} leads where {expected} are right")

    def perform(
        self,
        case: Case,
        module: str,
        *,
        known_leads: int = 0,
        known_share: float = 0.0,
        **more: Any,
    ) -> tuple[Finished, float]:
        """Run a module as a process over a fresh warehouse and a fresh org; answers what the
        database server used for it, too. Raises RunFailed. `known_leads`: so many has the org from
        the start, and of these a share the persons' e-mails."""
        known = {"known_leads": known_leads, "known_share": known_share}
        with (
            self.warehouse(case) as url,
            children.org(case.org, self.choices.failed_share, **known) as org,
        ):
            before = self._stores[case.database].server_cpu_seconds()
            done = children.run(
                ["-m", module, self.task(case, url, org, **more).as_argument()],
                limit_seconds=LONGEST_SECONDS,
                environment=more.get("environment"),
            )
            return done, self._stores[case.database].server_cpu_seconds() - before

    def task(self, case: Case, url: str, org: str, **more: Any) -> Task:
        """What a process is told to do."""
        files: list[Path] = []
        if case.contestant == "floor":
            files = lead_files(self.choices.cache, case.person_count)
        more.pop("environment", None)
        is_profiling = self.choices.is_profiling and case.contestant == "ours"
        return Task(
            warehouse_url=url,
            org_url=org,
            person_count=case.person_count,
            lead_files=tuple(map(str, files)),
            is_profiling=is_profiling,
            **more,
        )

    def warehouse(self, case: Case) -> AbstractContextManager[str]:
        """The URL of a warehouse with the persons of a case, gone at the end."""
        if case.database not in self._stores:
            self._stores[case.database] = STORES[case.database](self.choices.cache)
        store = self._stores[case.database]
        store.prepare(case.person_count)
        copied: AbstractContextManager[str] = store.copy(case.person_count)
        return copied

    def close(self) -> None:
        """Stop what was started."""
        for store in self._stores.values():
            store.close()

    def seconds_left(self) -> float:
        """Of the time the whole bench may take."""
        return self.choices.minutes * 60 - (time.monotonic() - self._begun)

    def has_time_for(self, case: Case) -> bool:
        """Whether a run of it likely ends in time; if not, and there was none, that is noted."""
        likely = self._likely_seconds(case)
        if likely <= self.seconds_left():
            return True
        if not self.samples.of(case):
            self.skipped[case] = f"would have taken about {likely:.0f} s"
        return False

    def _likely_seconds(self, case: Case) -> float:
        """As long as before; or as before with the work in proportion, for more persons."""
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
        around = nearest.process_seconds - nearest.work_seconds
        return around + nearest.work_seconds * times


def sample_of(case: Case, done: Finished, server_cpu_seconds: float) -> Sample:
    """What a process that ended well was like."""
    told = done.document
    stages = told["stages"]
    in_stages = sum(stage["wall_seconds"] for stage in stages)
    work = told.get("story_wall_seconds", in_stages)
    if work > in_stages:
        cpu = told["story_cpu_seconds"] - sum(stage["cpu_seconds"] for stage in stages)
        rest = {"name": "open, close", "wall_seconds": work - in_stages, "cpu_seconds": cpu}
        stages.append({**rest, "peak_mb": told["peak_mb"], "turn_count": 1})
    return Sample(
        case=case,
        work_seconds=work,
        process_seconds=done.process_seconds,
        cpu_seconds=done.cpu_seconds,
        server_cpu_seconds=server_cpu_seconds,
        peak_mb=told["peak_mb"],
        api_call_count=told["api_call_count"],
        stages=stages,
    )


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
