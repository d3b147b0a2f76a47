"""The faults that a test asked for, and the request or job that each one hits.

`fault_injection.py` applies them. This module also keeps the request log; a dropped request has
status 0.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pipelines.emulator.bulk.jobs import JOB_FAULTS

REQUEST_FAULT = re.compile(
    r"drop_before|drop_after|expire_session|truncate|status:[1-5]\d\d(?:_after)?|slow:\d+(?:\.\d+)?"
)
JOB_FAULT = re.compile(rf"({'|'.join(sorted(JOB_FAULTS))})(?::\d+(?:\.\d+)?)?")
BELOW_VERSION = re.compile(r"/services/data/v\d+\.\d(/.*)")
FAULT_KEYS = frozenset({"match", "job", "nth", "count", "fault"})


class InvalidFaultError(Exception):
    """The description of a fault is invalid; the message says why."""


@dataclass
class Fault:
    """A fault, and how many matching requests or jobs it has seen."""

    fault: str
    nth: int
    count: int
    method: str = "*"
    glob: str = "*"
    of_jobs: bool = False
    seen: int = 0

    def hits(self) -> bool:
        """Count one more match, and return whether the fault applies to it."""
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.count

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault concerns this request."""
        below = BELOW_VERSION.fullmatch(path)
        seen = below[1] if below else path
        fits = fnmatchcase(seen, self.glob) or fnmatchcase(path, self.glob)
        return not self.of_jobs and self.method in {method, "*"} and fits


class Faults:
    """The requested faults, and the log of requests. Safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._requests: list[dict[str, object]] = []

    def __len__(self) -> int:
        return len(self._faults)

    def put(self, wanted: Any) -> None:
        """Replace all faults; raise InvalidFaultError and change nothing where one is invalid."""
        if not isinstance(wanted, list):
            raise InvalidFaultError("write a JSON list of faults")
        faults = [_fault(item) for item in wanted]
        with self._lock:
            self._faults = faults

    def forget(self) -> None:
        """Remove all faults and empty the log."""
        with self._lock:
            self._faults, self._requests = [], []

    def requests(self) -> list[dict[str, object]]:
        """Return a copy of the log."""
        with self._lock:
            return [dict(entry) for entry in self._requests]

    def log(self, method: str, path: str) -> dict[str, object]:
        """Append a request to the log and return its entry; the status is filled in later."""
        entry: dict[str, object] = {"method": method, "path": path, "status": 0}
        with self._lock:
            self._requests.append(entry)
        return entry

    def of_request(self, method: str, path: str) -> str | None:
        """Return the fault for this request, or None. Every matching fault counts it."""
        with self._lock:
            hits = [f.fault for f in self._faults if f.matches(method, path) and f.hits()]
        return hits[0] if hits else None

    def of_next_job(self) -> list[str]:
        """Return the faults for the ingest job that is being created."""
        with self._lock:
            return [f.fault for f in self._faults if f.of_jobs and f.hits()]


def _fault(item: Any) -> Fault:
    if not isinstance(item, dict) or not isinstance(item.get("fault"), str):
        raise InvalidFaultError(f"a fault is an object with a text `fault`, not {item!r}")
    unknown = set(item) - FAULT_KEYS
    if unknown:
        raise InvalidFaultError(
            f"{unknown.pop()!r} is not a key of a fault; known: {sorted(FAULT_KEYS)}"
        )
    nth, count = _whole(item, "nth"), _whole(item, "count")
    if "job" in item:
        return _job_fault(item, count)
    method, _, glob = str(item.get("match", "")).partition(" ")
    if not method or not glob:
        raise InvalidFaultError('`match` is "METHOD GLOB", such as "PUT /jobs/ingest/*/batches"')
    if not REQUEST_FAULT.fullmatch(item["fault"]):
        raise InvalidFaultError(f"unknown fault {item['fault']!r} for a request")
    return Fault(item["fault"], nth, count, method.upper(), glob)


def _job_fault(item: dict[str, Any], count: int) -> Fault:
    place = re.fullmatch(r"nth:([1-9]\d{0,8})", str(item["job"]))
    if place is None:
        raise InvalidFaultError('`job` is "nth:N", the N-th ingest job created from now on')
    if not JOB_FAULT.fullmatch(item["fault"]):
        raise InvalidFaultError(f"unknown fault {item['fault']!r} for a job")
    return Fault(item["fault"], int(place[1]), count, of_jobs=True)


def _whole(item: dict[str, Any], key: str) -> int:
    value = item.get(key, 1)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidFaultError(f"`{key}` is a whole number from 1 on, not {value!r}")
    return value
