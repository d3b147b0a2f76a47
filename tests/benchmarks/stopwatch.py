"""Measure stages of this process: wall seconds, CPU seconds and memory."""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_SHOWN, _PACKAGE = 30, "pipelines"


@dataclass
class Stage:
    """A stage, the sum of all its measurements. The peak is that of the whole process."""

    name: str
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    measurement_count: int = 0


@dataclass
class Stopwatch:
    """Measures stages one after the other; with `is_profiling` it profiles them too."""

    is_profiling: bool = False
    stages: dict[str, Stage] = field(default_factory=dict)
    peak_mb: float = 0.0
    _profiles: dict[str, cProfile.Profile] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the block as a part of a stage."""
        stage = self.stages.setdefault(name, Stage(name))
        profile = self._profiles.setdefault(name, cProfile.Profile()) if self.is_profiling else None
        self._reset_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        if profile:
            profile.enable()
        try:
            yield
        finally:
            if profile:
                profile.disable()
            stage.wall_seconds += time.perf_counter() - wall
            stage.cpu_seconds += time.process_time() - cpu
            stage.peak_mb = max(stage.peak_mb, peak_mb())
            stage.measurement_count += 1
            self.peak_mb = max(self.peak_mb, stage.peak_mb)

    def _reset_peak(self) -> None:
        self.peak_mb = max(self.peak_mb, peak_mb())
        # Where the kernel does not allow it, the peak of a stage includes all stages before it.
        with suppress(OSError):
            _CLEAR.write_text("5")

    def print_report(self, **more: Any) -> None:
        """Print the measurements, and more, as the JSON document of this process."""
        document = {
            "stages": [asdict(stage) for stage in self.stages.values()],
            "peak_mb": max(self.peak_mb, peak_mb()),
            "profiles": {name: _top(profile) for name, profile in self._profiles.items()},
            **more,
        }
        sys.stdout.write(json.dumps(document) + "\n")


def peak_mb() -> float:
    """Return the peak memory of this process since the last reset; 0 without /proc."""
    if not _STATUS.exists():
        return 0.0
    lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return int(kilobytes) / 1024


def _top(profile: cProfile.Profile) -> dict[str, list[dict[str, Any]]]:
    """Return the slowest functions: ours with what they call, and all functions without it."""
    rows = [
        {
            "function": f"{_short(file)}:{line}({name})",
            "is_ours": _PACKAGE in Path(file).parts,
            "calls": calls,
            "own_seconds": round(own, 3),
            "seconds": round(total, 3),
        }
        # pstats has no public way to its figures.
        for (file, line, name), (_, calls, own, total, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    ]
    ours = [row for row in rows if row["is_ours"]]
    return {
        "seconds": sorted(ours, key=lambda row: -row["seconds"])[:_SHOWN],
        "own_seconds": sorted(rows, key=lambda row: -row["own_seconds"])[:_SHOWN],
    }


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-2:])
