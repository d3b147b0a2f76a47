"""What a stage costs the process that it runs in: wall, processor and memory."""

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
    """A stage, all its turns together; the peak is of the whole process."""

    name: str
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    turn_count: int = 0


@dataclass
class Stopwatch:
    """Measures stages one after the other. With `is_profiling` it also tells what was called."""

    is_profiling: bool = False
    stages: dict[str, Stage] = field(default_factory=dict)
    peak_mb: float = 0.0
    _profiles: dict[str, cProfile.Profile] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """One turn of a stage."""
        stage = self.stages.setdefault(name, Stage(name))
        profile = self._profiles.setdefault(name, cProfile.Profile()) if self.is_profiling else None
        self._forget_peak()
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
            stage.turn_count += 1
            self.peak_mb = max(self.peak_mb, stage.peak_mb)

    def _forget_peak(self) -> None:
        self.peak_mb = max(self.peak_mb, peak_mb())
        # Where the kernel does not let us, a stage's peak is that of everything before it too.
        with suppress(OSError):
            _CLEAR.write_text("5")

    def tell(self, **more: Any) -> None:
        """Print what was measured, and more, as the one JSON document of this process."""
        document = {
            "stages": [asdict(stage) for stage in self.stages.values()],
            "peak_mb": max(self.peak_mb, peak_mb()),
            "profiles": {name: _top(profile) for name, profile in self._profiles.items()},
            **more,
        }
        sys.stdout.write(json.dumps(document) + "\n")


def peak_mb() -> float:
    """The most memory this process ever held, since the last reset; 0 where /proc is not."""
    if not _STATUS.exists():
        return 0.0
    lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return int(kilobytes) / 1024


def _top(profile: cProfile.Profile) -> dict[str, list[dict[str, Any]]]:
    """The dearest functions: those of ours with what they called, and any by themselves."""
    rows = [
        {
            "function": f"{_short(file)}:{line}({name})",
            "is_ours": _PACKAGE in Path(file).parts,
            "calls": calls,
            "own_seconds": round(own, 3),
            "seconds": round(whole, 3),
        }
        # `stats` is what pstats keeps all its reports in; it has no other way to hand them out.
        for (file, line, name), (_, calls, own, whole, _) in pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    ]
    ours = [row for row in rows if row["is_ours"]]
    return {
        "seconds": sorted(ours, key=lambda row: -row["seconds"])[:_SHOWN],
        "own_seconds": sorted(rows, key=lambda row: -row["own_seconds"])[:_SHOWN],
    }


def _short(file: str) -> str:
    return "/".join(Path(file).parts[-2:])
