"""Drives Bulk API 2.0 ingest jobs: one function, one request; nothing aborts by itself.

simple-salesforce's own `bulk2.Lead.insert` is not used: it hides the job's id until the end,
aborts a running job when a single poll fails, and cannot name an assignment rule. Only closing a
job can make leads, so everything before it may be thrown away; a failed job is an answer here,
never an exception.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipelines.errors import OrgRejectedError, OrgUnavailableError
from pipelines.salesforce.errors import NOT_FOUND
from pipelines.salesforce.session import Org

# Salesforce allows 150 MB as base64 and advises to send no more than 100 MB; whether that is
# decimal is not said, so it is taken as the smaller.
MAX_UPLOAD_BYTES: Final = 100_000_000
ALREADY_CLOSED: Final = "INVALIDJOBSTATE"
SPOILED: Final = "INVALIDJOB"  # as others report it of a job that was given two uploads
END_STATES: Final = frozenset({"JobComplete", "Failed", "Aborted"})

# A record may have 400,000 characters; pyarrow wants each to fit in one block.
_BLOCK_BYTES = 8 << 20
_HEADER_BYTES = 1 << 20
_JOB_ID = re.compile(r"[A-Za-z0-9]{15,18}")
_ERROR = re.compile(
    r"(?P<code>[A-Za-z][A-Za-z0-9_]*):(?P<message>.*?)(?::(?P<fields>[^:]*?)\s*--)?\s*", re.DOTALL
)
_UNKNOWN_CODE = "UNKNOWN_EXCEPTION"
_STR = pd.StringDtype(na_value=np.nan)


@dataclass(frozen=True)
class JobInfo:
    """A job as the org describes it. `created_date` is naive UTC, by the org's clock.

    Counts are None in lists and until the org has processed something; `processed_count`
    includes `failed_count`. `error_message` may quote the file: for the table, not for a log.
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
class Refused:
    """The org would not do it: `code` is ALREADY_CLOSED when the job had left state Open."""

    code: str


@dataclass(frozen=True)
class Gone:
    """The org knows no such job: deleted, or more than seven days over."""


JobAnswer = JobInfo | Refused | Gone


@dataclass(frozen=True)
class JobResults:
    """The three result files, all columns `str`, empty cells null, rows in no order at all.

    `successful` has sf__Id and sf__Created, `failed` has sf__Id and sf__Error; then come the
    columns uploaded, with values re-spelled by type. A row whose cells did not fit the header
    comes back with none of its values.
    """

    successful: pd.DataFrame
    failed: pd.DataFrame
    unprocessed: pd.DataFrame


def create_job(
    org: Org, *, operation: str, sobject: str, assignment_rule_id: str | None = None
) -> JobInfo:
    """Open a job; it does nothing yet. Repeatable: a job whose id was lost stays empty."""
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
    """Upload the CSV. Not repeatable: when in doubt, abort the job and open another.

    Raises ValueError, before sending, over MAX_UPLOAD_BYTES. Any Passing error leaves open whether
    the data arrived; without one the org has said 201.
    """
    if len(data) > MAX_UPLOAD_BYTES:
        raise ValueError(f"{len(data)} bytes are more than one job may take")
    status = org.put_bytes(f"{_path(job_id)}/batches", data, "text/csv; charset=UTF-8")
    if status != 201:
        raise OrgUnavailableError(f"the org did not confirm the upload (status {status})")


def close_job(org: Org, job_id: str) -> JobAnswer:
    """Start the job. Repeatable: closed again it answers Refused(ALREADY_CLOSED)."""
    return _change_state(org, job_id, "UploadComplete")


def abort_job(org: Org, job_id: str) -> JobAnswer:
    """Stop the job. Repeatable. Rows already processed stay; never for a job that may be closed."""
    return _change_state(org, job_id, "Aborted")


def job_status(org: Org, job_id: str) -> JobInfo | None:
    """The job as it stands; None when it is gone. Repeatable."""
    try:
        return _job(org.get_json(_path(job_id)))
    except OrgRejectedError as error:
        if error.code == NOT_FOUND:
            return None
        raise


def list_jobs(org: Org, most_pages: int | None = None) -> Iterator[JobInfo]:
    """Every Bulk API 2.0 ingest job of the whole org, in no order, without counts. Repeatable.

    Those of the last seven days, whoever made them: a call per 1,000, at most `most_pages` calls.
    """
    page = org.get_json("jobs/ingest", {"jobType": "V2Ingest"})
    yield from map(_job, page["records"])
    pages = 1
    while not page["done"] and pages != most_pages:
        page = org.get_json(page["nextRecordsUrl"])
        yield from map(_job, page["records"])
        pages += 1


def fetch_results(org: Org, job_id: str, key: str = "") -> JobResults:
    """The three result files of a job that has ended. Repeatable.

    With `key`, of the columns uploaded only that one is parsed, where the files have it in any
    case; it tells whose a row is. Raises OrgUnavailableError when a file breaks off or cannot be read.
    Whether the rows add up to what was sent is the caller's to check: over the daily allocation the
    org records no results.
    """
    path = _path(job_id)

    def read(file: str, *promised: str) -> pd.DataFrame:
        return _with(read_csv(org.get_bytes(f"{path}/{file}/"), key, promised), promised)

    return JobResults(
        successful=read("successfulResults", "sf__Id", "sf__Created"),
        failed=read("failedResults", "sf__Id", "sf__Error"),
        unprocessed=read("unprocessedrecords"),
    )


def split_error(sf_error: pd.Series) -> pd.DataFrame:
    """Take `CODE:message:Field1,Field2 --` apart: code, message, fields; null where not there.

    Same index as `sf_error`. Only the code in front is certain: several errors of one row may
    stand in one cell. A text without a code has the code UNKNOWN_EXCEPTION. Messages may repeat
    values of the person.
    """
    parts = sf_error.str.extract(re.compile(rf"\A{_ERROR.pattern}\Z", _ERROR.flags))
    parts = parts.astype(_STR).mask(parts == "")
    is_odd = parts["code"].isna() & sf_error.notna()
    parts["code"] = parts["code"].mask(is_odd, _UNKNOWN_CODE)
    parts["message"] = parts["message"].mask(is_odd, sf_error)
    return parts


def read_csv(data: bytes, key: str = "", wanted: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV of the org as a frame: all columns `str`, empty cells null.

    Where there is a column `key`, in any case, only it and those `wanted`. Raises OrgUnavailableError
    when it cannot be read.
    """
    if not data:
        return pd.DataFrame()
    try:
        names = next(csv.reader(io.StringIO(data[:_HEADER_BYTES].decode("utf-8-sig", "replace"))))
        keys = [name for name in names if name.lower() == key.lower()]
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=[n for n in names if n in (*wanted, *keys)] if keys else None,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, csv.Error, StopIteration):
        table = None  # the library's words quote rows: they must not ride along
    if table is None:
        raise OrgUnavailableError("a CSV of the org cannot be read: fetch it again")
    return _to_frame(table)


def _with(frame: pd.DataFrame, promised: Sequence[str]) -> pd.DataFrame:
    for column in promised:
        if column not in frame:  # a body without even a header; sf__Id of failures before API 53
            frame[column] = pd.Series(index=frame.index, dtype=_STR)
    return frame


def _to_frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): _STR}.get)
    return frame


def _change_state(org: Org, job_id: str, state: str) -> JobAnswer:
    try:
        return _job(org.patch_json(_path(job_id), {"state": state}))
    except OrgRejectedError as error:
        return Gone() if error.code == NOT_FOUND else Refused(error.code)


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
