"""Bulk API 2.0 query jobs: create, wait, and read page by page, so that memory use stays flat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from pipelines.errors import OrgLimitError, OrgRejectedError, OrgUnavailableError
from pipelines.salesforce.csv_files import read_csv
from pipelines.salesforce.errors import REMEDIES
from pipelines.salesforce.session import Org

FIRST_PAUSE_SECONDS: Final = 0.1
MAX_PAUSE_SECONDS: Final = 5.0
_FAILED_STATES: Final = frozenset({"Failed", "Aborted"})


@dataclass(frozen=True)
class QueryJob:
    """A job that was created. `created_at` is naive UTC, by the org's clock: the results hold
    everything that was committed before."""

    job_id: str
    created_at: datetime


def create_job(org: Org, soql: str, *, deleted_too: bool = False) -> QueryJob:
    """Create a job for a query; `deleted_too` includes deleted records. Each call is a new job."""
    operation = "queryAll" if deleted_too else "query"
    raw = org.post_json("jobs/query", {"operation": operation, "query": soql})
    return QueryJob(raw["id"], _instant(raw))


def wait_until_complete(
    org: Org, job: QueryJob, wait_seconds: float, meanwhile: Callable[[], None] | None = None
) -> int | None:
    """Wait for the results, polling less and less often; return the record count, if known.

    `meanwhile` is called before every pause. Raise OrgRejectedError when the job failed. Raise
    OrgLimitError, with the job aborted, when it is not complete after `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    pause = FIRST_PAUSE_SECONDS
    while (status := org.get_json(f"jobs/query/{job.job_id}"))["state"] != "JobComplete":
        if status["state"] in _FAILED_STATES:
            raise OrgRejectedError("QUERY_FAILED", REMEDIES["QUERY_FAILED"])
        if time.monotonic() + pause > deadline:
            org.patch_json(f"jobs/query/{job.job_id}", {"state": "Aborted"})
            raise OrgLimitError("the org has not responseed a bulk query in time: run again later")
        if meanwhile:
            meanwhile()
        time.sleep(pause)
        pause = min(pause * 2, MAX_PAUSE_SECONDS)
    count: int | None = status.get("numberRecordsProcessed")
    return count


def read_pages(org: Org, job: QueryJob, page_rows: int) -> Iterator[pd.DataFrame]:
    """Yield the results as frames of `str`, with the columns of the query.

    A page may have fewer rows than asked for. Without any record the frame has no columns.
    """
    params = {"maxRecords": str(page_rows)}
    while True:
        response = org.get(f"jobs/query/{job.job_id}/results", params)
        yield read_csv(response.content)
        locator = response.headers.get("Sforce-Locator", "null")
        if locator == "null":  # a text, on the last page
            return
        params["locator"] = locator


def read_all_pages(
    org: Org, job: QueryJob, page_rows: int, record_count: int | None
) -> Iterator[pd.DataFrame]:
    """As `read_pages`. Raise OrgUnavailableError at the end if `record_count` was not reached."""
    count = 0
    for page in read_pages(org, job, page_rows):
        count += len(page)
        yield page
    if record_count is not None and count != record_count:
        raise OrgUnavailableError(
            f"a bulk query announced {record_count} records and returned {count}"
        )


def _instant(raw: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(raw["createdDate"]).astimezone(UTC).replace(tzinfo=None)
