"""What a measured process is told to do: everything by its command line, nothing by inheritance."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Task:
    """A load of so many persons from a warehouse of its own into an org."""

    warehouse_url: str
    org_url: str
    person_count: int
    lead_files: tuple[str, ...] = ()
    mode: str = "plain"
    is_profiling: bool = False
    config: str = ""

    @property
    def is_sqlite(self) -> bool:
        """Which of the two engines it is."""
        return self.warehouse_url.startswith("sqlite")

    def as_argument(self) -> str:
        """The command line's one argument."""
        return json.dumps(asdict(self))


def task_of_this_process() -> Task:
    """The task that the command line names."""
    values = json.loads(sys.argv[1])
    return Task(**values | {"lead_files": tuple(values["lead_files"])})
