"""What was measured: one sample a run of a contestant, and what several of them say together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

CONTESTANTS = ("floor", "naive", "ours")
MILLION = 1_000_000


@dataclass(frozen=True, order=True)
class Case:
    """So many persons from one engine into one org, by one contestant."""

    person_count: int
    org: str
    database: str
    contestant: str

    def __str__(self) -> str:
        return f"{self.contestant}, {self.person_count:,} from {self.database} to the {self.org}"


@dataclass(frozen=True)
class Sample:
    """One run. `work_seconds`: from the first step to the last; `process_seconds`: from start to
    exit, imports and all; `cpu_seconds`: of the whole process, user and system;
    `server_cpu_seconds`: of the database server's processes that served it. Where others use the
    machine, processor seconds are what can be trusted."""

    case: Case
    work_seconds: float
    process_seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    peak_mb: float
    api_call_count: int
    stages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Spread:
    """A figure of several runs."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        if self.least == self.most:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"


def spread(values: Iterable[float]) -> Spread:
    """Median, least and most of at least one value."""
    known = list(values)
    return Spread(median(known), min(known), max(known))


class Samples:
    """All samples of a bench, found by case."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self.all = list(samples)

    def add(self, sample: Sample) -> None:
        """One more."""
        self.all.append(sample)

    def of(self, case: Case) -> list[Sample]:
        """The runs of a case."""
        return [one for one in self.all if one.case == case]

    def cases(self) -> list[Case]:
        """What was measured, smallest first, the contestants of a row together."""
        order = {name: place for place, name in enumerate(CONTESTANTS)}
        found = {one.case for one in self.all}
        return sorted(found, key=lambda c: (c.person_count, c.org, c.database, order[c.contestant]))

    def figure(self, case: Case, name: str) -> Spread | None:
        """A figure of a case over its runs; None where there was none."""
        values = [float(getattr(one, name)) for one in self.of(case)]
        return spread(values) if values else None

    def work_cpu(self, case: Case) -> float | None:
        """Processor seconds of the work alone, the server's included, in the median."""
        used = [
            sum(stage["cpu_seconds"] for stage in one.stages) + one.server_cpu_seconds
            for one in self.of(case)
        ]
        return median(used) if used else None

    def stages(self, case: Case) -> Iterator[tuple[str, Spread, Spread, Spread]]:
        """Name, wall, processor and peak memory of each stage of a case."""
        runs = self.of(case)
        for name in dict.fromkeys(stage["name"] for one in runs for stage in one.stages):
            turns = [stage for one in runs for stage in one.stages if stage["name"] == name]
            wall, cpu, peak = (
                spread(turn[key] for turn in turns)
                for key in ("wall_seconds", "cpu_seconds", "peak_mb")
            )
            yield name, wall, cpu, peak

    def as_json(self) -> list[dict[str, Any]]:
        """Every sample, to be read again by `samples_of`."""
        return [asdict(one) for one in self.all]


def samples_of(documents: Iterable[dict[str, Any]]) -> Samples:
    """The samples that `as_json` wrote."""
    return Samples(Sample(**one | {"case": Case(**one["case"])}) for one in documents)
