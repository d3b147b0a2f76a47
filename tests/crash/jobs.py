"""Jobs that end otherwise than hoped: failed, aborted, gone, short of rows, hours in the queue.

Each is an environment of 450 persons in one job, which are three of Salesforce's chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.crash.directed import Boundary, DirectedRun, Director, go_on
from tests.crash.environments import Environment
from tests.crash.techniques import Clean, violations

LATE_CHUNK = "[behaviour]\nlate_chunk_after_abort = true\n"
LONG_QUEUE = "[behaviour]\nqueue_seconds = 2\n"


@dataclass(frozen=True)
class Trouble:
    """What happens to the first job. `is_known`: whether the ledger alone can find out what became
    of everybody; where not, those are held, and nobody is sent again."""

    faults: tuple[str, ...] = ()
    word: str = "go"
    files: tuple[str, ...] = ()
    org: str = ""
    run: Mapping[str, Any] | None = None
    is_known: bool = True
    runs: int = 1


_FILES = ("successfulResults", "failedResults", "unprocessedrecords")
TROUBLES = {
    "failed before the first chunk": Trouble(("fail_after_chunk:0",)),
    "failed half way": Trouble(("fail_after_chunk:1",)),
    "failed after the second chunk": Trouble(("fail_after_chunk:2",)),
    "aborted before the first chunk": Trouble(("abort_after_chunk:0",)),
    "aborted half way": Trouble(("abort_after_chunk:1",)),
    "aborted after the second chunk": Trouble(("abort_after_chunk:2",)),
    "aborted, and a late chunk lands": Trouble(
        ("abort_after_chunk:1",), org=LATE_CHUNK, run={"poll_seconds": 0.6}
    ),
    "rows locked": Trouble(("lock_rows:5",)),
    "gone (404)": Trouble(("forget",), is_known=False),
    "failed half way and gone": Trouble(("fail_after_chunk:1", "forget"), is_known=False),
    "a row in none of the files": Trouble(word="short", files=_FILES[:1], is_known=False),
    "an unprocessed row in none of the files": Trouble(
        ("fail_after_chunk:1",), word="short", files=_FILES[2:], is_known=False
    ),
    "over the daily allocation: no results at all": Trouble(
        word="empty", files=_FILES, is_known=False
    ),
    "long in the queue": Trouble(org=LONG_QUEUE, run={"deadline_minutes": 0.01}, runs=9),
}


def in_trouble(trouble: Trouble) -> Callable[[Environment, Clean, Boundary], list[str]]:
    """The technique: the first job meets the trouble, and one run, or some, puts it right."""

    def disturb(environment: Environment, clean: Clean, _place: Boundary) -> list[str]:
        faults = [{"job": "nth:1", "fault": fault} for fault in trouble.faults]
        environment.emulator.go_wrong(*faults)
        result = environment.run_to_end(_spoiling(trouble), **(trouble.run or {}))
        for _ in range(trouble.runs - 1):
            if result.code != 3:
                break
            result = environment.run_to_end(**(trouble.run or {}))
        is_open = not (trouble.is_known or environment.variant.has_field)
        reasons = ("JOB_GONE", "RESULT_MISSING") if is_open else ()
        return violations(environment, clean, result, may_hold=reasons) + _too_many_jobs(
            environment, trouble
        )

    return disturb


def _spoiling(trouble: Trouble) -> Director:
    if trouble.word == "go":
        return go_on
    # Of the first job every time it is read, of those that follow never.
    files = {f"GET /jobs/ingest/*/{name}" for name in trouble.files}

    def spoil(run: DirectedRun, boundary: Boundary) -> str:
        jobs = sum(one.name == "POST /jobs/ingest" for one in run.passed)
        is_meant = boundary.name.rstrip("/") in files and boundary.side == "after" and jobs == 2
        return trouble.word if is_meant else "go"

    return spoil


def _too_many_jobs(environment: Environment, trouble: Trouble) -> list[str]:
    """Whoever waits opens no second job."""
    count = len(environment.rows("select salesforce_job_id from salesforce_jobs"))
    most = 1 if trouble.org == LONG_QUEUE else 3
    return [f"{count} jobs where {most} would do"] if count > most else []
