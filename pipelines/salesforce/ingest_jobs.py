"""Bulk API 2.0 ingest jobs, one function for one request. Nothing is aborted automatically.

simple-salesforce's own `bulk2.Lead.insert` is not used. It hides the job's id until the end, aborts
a running job when a single poll fails, and cannot name an assignment rule.

Only closing a job can create leads: until then a job may be discarded. A job that failed is
returned as a value, never raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pandas as pd

from pipelines.errors import OrgRejectedError, OrgUnavailableError
from pipelines.salesforce.csv_files import STR, read_csv
from pipelines.salesforce.errors import NOT_FOUND
from pipelines.salesforce.session import Org

# Salesforce allows 150 MB as base64 and advises to send no more than 100 MB. It does not document
# whether a MB is decimal: we take the smaller value.
MAX_UPLOAD_BYTES: Final = 100_000_000
ALREADY_CLOSED: Final = "INVALIDJOBSTATE"
INVALID_JOB: Final = "INVALIDJOB"  # reported by others for a job with two uploads
END_STATES: Final = frozenset({"JobComplete", "Failed", "Aborted"})

_JOB_ID = re.compile(r"[A-Za-z0-9]{15,18}")
_ERROR = re.compile(
    r"(?P<code>[A-Za-z][A-Za-z0-9_]*):(?P<message>.*?)(?::(?P<fields>[^:]*?)\s*--)?\s*", re.DOTALL
)
_UNKNOWN_CODE = "UNKNOWN_EXCEPTION"


@dataclass(frozen=True)
class JobInfo:
    """A job as the org describes it. `created_date` is naive UTC, by the org's clock.

    Counts are None in `list_jobs`, and until the org has processed something. `processed_count`
    includes `failed_count`. `error_message` may quote the file: never log it.
    """

    job_id: str
    state: str
    processed_count: int | None
    failed_count: int | None
    error_message: str | None = field(repr=False)
    created_date: datetime
    operation: str
    object: str
    created_by_id: str

    @property
    def has_ended(self) -> bool:
        """Whether the state is final: JobComplete, Failed or Aborted."""
        return self.state in END_STATES


@dataclass(frozen=True)
class JobRequestRejected:
    """The org rejected the request: `code` is ALREADY_CLOSED when the job had left state Open."""

    code: str


@dataclass(frozen=True)
class JobGone:
    """The org has no such job: it was deleted, or ended more than seven days ago."""


JobResponse = JobInfo | JobRequestRejected | JobGone


@dataclass(frozen=True)
class JobResults:
    """The three result files: all columns `str`, empty cells null, rows in any order.

    `successful` has sf__Id and sf__Created, `failed` has sf__Id and sf__Error; then follow the
    uploaded columns, with values formatted by type. A row whose cells did not fit the header
    comes back without any of its values.
    """

    successful: pd.DataFrame
    failed: pd.DataFrame
    unprocessed: pd.DataFrame


def create_job(
    org: Org, *, operation: str, sobject: str, assignment_rule_id: str | None = None
) -> JobInfo:
    """Create a job, which does nothing yet. Repeatable: a job whose id was lost stays empty."""
    body = {
        "operation": operation,
        "object": sobject,
        "contentType": "CSV",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    if assignment_rule_id is not None:
        body["assignmentRuleId"] = assignment_rule_id
    return _job(org.post_json("jobs/ingest", body))


def upload(org: Org, job_id: str, data: bytes) -> None:
    """Upload the CSV. Not repeatable: when in doubt, abort the job and create another.

    Raise ValueError, before sending, over MAX_UPLOAD_BYTES. After a transient error it is unknown
    whether the data arrived. Without an error the org has confirmed it with status 201.
    """
    if len(data) > MAX_UPLOAD_BYTES:
        raise ValueError(f"{len(data)} bytes are more than one job may take")
    status = org.put_bytes(f"{_path(job_id)}/batches", data, "text/csv; charset=UTF-8")
    if status != 201:
        raise OrgUnavailableError(f"the org did not confirm the upload (status {status})")


def close_job(org: Org, job_id: str) -> JobResponse:
    """Start the job. Repeatable: the second time it returns JobRequestRejected(ALREADY_CLOSED)."""
    return _change_state(org, job_id, "UploadComplete")


def abort_job(org: Org, job_id: str) -> JobResponse:
    """Stop the job. Repeatable. Processed rows stay: never call it for a job that may be closed."""
    return _change_state(org, job_id, "Aborted")


def job_status(org: Org, job_id: str) -> JobInfo | None:
    """Return the job's current state; None when it is gone. Repeatable."""
    try:
        return _job(org.get_json(_path(job_id)))
    except OrgRejectedError as error:
        if error.code == NOT_FOUND:
            return None
        raise


def list_jobs(org: Org, max_pages: int | None = None) -> Iterator[JobInfo]:
    """Yield every Bulk API 2.0 ingest job of the whole org, in any order, without counts.

    The org lists jobs of the last seven days by all users: one call per 1,000, at most `max_pages`
    calls. Repeatable.
    """
    page = org.get_json("jobs/ingest", {"jobType": "V2Ingest"})
    yield from map(_job, page["records"])
    pages = 1
    while not page["done"] and pages != max_pages:
        page = org.get_json(page["nextRecordsUrl"])
        yield from map(_job, page["records"])
        pages += 1


def fetch_results(org: Org, job_id: str, key: str = "") -> JobResults:
    """Return the three result files of a job that has ended. Repeatable.

    With `key`, only that one of the uploaded columns is parsed, in any case: it identifies the
    person. Raise OrgUnavailableError when a file breaks off or cannot be read. The caller checks
    that the rows add up to what was sent: over its daily allocation an org records no results.
    """
    path = _path(job_id)

    def read(file: str, *columns: str) -> pd.DataFrame:
        return _with_columns(read_csv(org.get_bytes(f"{path}/{file}/"), key, columns), columns)

    return JobResults(
        successful=read("successfulResults", "sf__Id", "sf__Created"),
        failed=read("failedResults", "sf__Id", "sf__Error"),
        unprocessed=read("unprocessedrecords"),
    )


def split_error(sf_error: pd.Series) -> pd.DataFrame:
    """Split `CODE:message:Field1,Field2 --` into the columns code, message, fields; null if absent.

    Same index as `sf_error`. Only the code in front is certain: one cell may hold several errors. A
    text without a code gets the code UNKNOWN_EXCEPTION. Messages may repeat values of the person.
    """
    parts = sf_error.str.extract(re.compile(rf"\A{_ERROR.pattern}\Z", _ERROR.flags))
    parts = parts.astype(STR).mask(parts == "")
    is_odd = parts["code"].isna() & sf_error.notna()
    parts["code"] = parts["code"].mask(is_odd, _UNKNOWN_CODE)
    parts["message"] = parts["message"].mask(is_odd, sf_error)
    return parts


def _with_columns(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    for column in columns:
        # An empty file has no header, and before API 53 failed rows had no sf__Id.
        if column not in frame:
            frame[column] = pd.Series(index=frame.index, dtype=STR)
    return frame


def _change_state(org: Org, job_id: str, state: str) -> JobResponse:
    try:
        return _job(org.patch_json(_path(job_id), {"state": state}))
    except OrgRejectedError as error:
        return JobGone() if error.code == NOT_FOUND else JobRequestRejected(error.code)


def _path(job_id: str) -> str:
    if not _JOB_ID.fullmatch(job_id):
        raise ValueError("not the id of a job")
    return f"jobs/ingest/{job_id}"


def _job(raw: Mapping[str, Any]) -> JobInfo:
    return JobInfo(
        job_id=raw["id"],
        state=raw["state"],
        processed_count=raw.get("numberRecordsProcessed"),
        failed_count=raw.get("numberRecordsFailed"),
        error_message=raw.get("errorMessage"),
        created_date=datetime.fromisoformat(raw["createdDate"])
        .astimezone(UTC)
        .replace(tzinfo=None),
        operation=raw["operation"],
        object=raw["object"],
        created_by_id=raw["createdById"],
    )
