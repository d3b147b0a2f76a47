"""Bulk API 2.0 query jobs: asked for, awaited, and read page by page, so that memory stays flat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from pipelines.errors import OrgLimitError, OrgRejectedError, OrgUnavailableError
from pipelines.salesforce.errors import SENTENCES
from pipelines.salesforce.ingest_jobs import read_csv
from pipelines.salesforce.session import Org

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
_ENDED_BADLY: Final = frozenset({"Failed", "Aborted"})


@dataclass(frozen=True)
class QueryJob:
    """A job that was asked for. `created_at` is naive UTC, by the org's clock: the answer holds
    whatever was committed before."""

    job_id: str
    created_at: datetime


def ask(org: Org, soql: str, *, deleted_too: bool = False) -> QueryJob:
    """Ask for the records of a query. Not repeated: another call is another job."""
    operation = "queryAll" if deleted_too else "query"
    raw = org.post_json("jobs/query", {"operation": operation, "query": soql})
    return QueryJob(raw["id"], _instant(raw))


def await_end(
    org: Org, job: QueryJob, wait_seconds: float, meanwhile: Callable[[], None] | None = None
) -> int | None:
    """Wait until the answer is there, asking less and less often; how many records it has, where
    the org says so. `meanwhile` is called before every pause.

    Raises OrgRejectedError when the org gives the job up, and OrgLimitError, with the job stopped, when it is
    not ready in time.
    """
    deadline = time.monotonic() + wait_seconds
    pause = FIRST_PAUSE
    while (told := org.get_json(f"jobs/query/{job.job_id}"))["state"] != "JobComplete":
        if told["state"] in _ENDED_BADLY:
            raise OrgRejectedError("QUERY_FAILED", SENTENCES["QUERY_FAILED"])
        if time.monotonic() + pause > deadline:
            org.patch_json(f"jobs/query/{job.job_id}", {"state": "Aborted"})
            raise OrgLimitError("the org has not answered a bulk query in time: run again later")
        if meanwhile:
            meanwhile()
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    count: int | None = told.get("numberRecordsProcessed")
    return count


def pages(org: Org, job: QueryJob, page_rows: int) -> Iterator[pd.DataFrame]:
    """The answer as frames of `str`, columns as the query names them; the org may give fewer rows a
    page than asked for, and for no record a frame without columns."""
    params = {"maxRecords": str(page_rows)}
    while True:
        answer = org.get(f"jobs/query/{job.job_id}/results", params)
        yield read_csv(answer.content)
        locator = answer.headers.get("Sforce-Locator", "null")
        if locator == "null":  # a string, on the last page
            return
        params["locator"] = locator


def whole_pages(
    org: Org, job: QueryJob, page_rows: int, record_count: int | None
) -> Iterator[pd.DataFrame]:
    """As `pages`; raises OrgUnavailableError at the end when not as many came as the org had told of."""
    count = 0
    for page in pages(org, job, page_rows):
        count += len(page)
        yield page
    if record_count is not None and count != record_count:
        raise OrgUnavailableError(f"a bulk query told of {record_count} records and gave {count}")


def _instant(raw: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(raw["createdDate"]).astimezone(UTC).replace(tzinfo=None)
