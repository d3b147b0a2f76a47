"""The task of a measured process, given on its command line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Task:
    """A load of `person_count` persons from a warehouse into an org."""

    warehouse_url: str
    org_url: str
    person_count: int
    lead_files: tuple[str, ...] = ()
    mode: str = "plain"
    is_profiling: bool = False
    config: str = ""

    @property
    def is_sqlite(self) -> bool:
        """Whether the warehouse is SQLite; otherwise it is PostgreSQL."""
        return self.warehouse_url.startswith("sqlite")

    def as_argument(self) -> str:
        """Return the task as the argument of the command line."""
        return json.dumps(asdict(self))


def task_of_this_process() -> Task:
    """Return the task from the command line."""
    values = json.loads(sys.argv[1])
    return Task(**values | {"lead_files": tuple(values["lead_files"])})
