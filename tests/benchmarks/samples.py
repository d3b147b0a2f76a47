"""The measurements: one sample per run, and the figures over several runs of a case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

CANDIDATES = ("floor", "naive", "ours")
MILLION = 1_000_000


@dataclass(frozen=True, order=True)
class Case:
    """What one run is: how many persons, from which database, to which org, by which candidate."""

    person_count: int
    org: str
    database: str
    candidate: str

    def __str__(self) -> str:
        return f"{self.candidate}, {self.person_count:,} from {self.database} to the {self.org}"


@dataclass(frozen=True)
class Sample:
    """One run.

    `work_seconds`: from the first step to the last. `process_seconds`: from start to exit, with the
    imports. `cpu_seconds`: of the whole process, user and system. `server_cpu_seconds`: of the
    database server's processes that served it. On a busy machine trust the CPU seconds only.
    """

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
    """One figure over several runs."""

    median: float
    minimum: float
    maximum: float

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        if self.minimum == self.maximum:
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} ({self.minimum:.{digits}f}-{self.maximum:.{digits}f})"


def spread(values: Iterable[float]) -> Spread:
    """Return median, minimum and maximum of at least one value."""
    listed = list(values)
    return Spread(median(listed), min(listed), max(listed))


class Samples:
    """All samples of a benchmark, found by case."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self.all = list(samples)

    def add(self, sample: Sample) -> None:
        """Add a sample."""
        self.all.append(sample)

    def of(self, case: Case) -> list[Sample]:
        """Return the runs of a case."""
        return [one for one in self.all if one.case == case]

    def cases(self) -> list[Case]:
        """Return the cases that were measured, smallest first, with their candidates in order."""
        order = {name: place for place, name in enumerate(CANDIDATES)}
        found = {one.case for one in self.all}
        return sorted(found, key=lambda c: (c.person_count, c.org, c.database, order[c.candidate]))

    def figure(self, case: Case, name: str) -> Spread | None:
        """Return a figure of a case over its runs; None without a run."""
        values = [float(getattr(one, name)) for one in self.of(case)]
        return spread(values) if values else None

    def work_cpu(self, case: Case) -> float | None:
        """Return the median of the CPU seconds of the work alone, the server's included."""
        used = [
            sum(stage["cpu_seconds"] for stage in one.stages) + one.server_cpu_seconds
            for one in self.of(case)
        ]
        return median(used) if used else None

    def stages(self, case: Case) -> Iterator[tuple[str, Spread, Spread, Spread]]:
        """Yield name, wall seconds, CPU seconds and peak memory of each stage of a case."""
        runs = self.of(case)
        for name in dict.fromkeys(stage["name"] for one in runs for stage in one.stages):
            stages = [stage for one in runs for stage in one.stages if stage["name"] == name]
            wall, cpu, peak = (
                spread(stage[key] for stage in stages)
                for key in ("wall_seconds", "cpu_seconds", "peak_mb")
            )
            yield name, wall, cpu, peak

    def as_json(self) -> list[dict[str, Any]]:
        """Return every sample as a document that `samples_of` reads."""
        return [asdict(one) for one in self.all]


def samples_of(documents: Iterable[dict[str, Any]]) -> Samples:
    """Return the samples that `as_json` wrote."""
    return Samples(Sample(**one | {"case": Case(**one["case"])}) for one in documents)
