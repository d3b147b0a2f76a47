"""Read and count all leads and contacts of the org, or those that have changed. Never writes.

Every function may be repeated. Deleted records are always included.

Frames have RECORD_COLUMNS: record_id, sobject (Lead or Contact), email, person_id (of leads; null
without the field), is_converted, is_deleted, converted_contact_id, created_at (naive UTC),
owner_id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from simple_salesforce.format import format_soql

from pipelines.salesforce import query_jobs
from pipelines.salesforce.csv_files import STR
from pipelines.salesforce.session import Org
from pipelines.salesforce.soql import as_frame, query, require_name, select

SOBJECTS: Final = ("Lead", "Contact")
RECORD_COLUMNS: Final = (
    "record_id",
    "sobject",
    "email",
    "person_id",
    "is_converted",
    "is_deleted",
    "converted_contact_id",
    "created_at",
    "owner_id",
)
# A page of 100,000 rows is some 18 MB of CSV and takes as much memory as a slice. A million records
# take ten calls.
PAGE_ROWS: Final = 100_000
_DELETED: Final = "IsDeleted = true"


class RecordCounts(NamedTuple):
    """How many records there are: active, and deleted (in the recycle bin)."""

    active_count: int
    deleted_count: int


@dataclass(frozen=True)
class RecordQuery:
    """Which records of one kind to read: all, those changed since (naive UTC), or deleted ones."""

    sobject: str
    person_id_field: str
    changed_since: datetime | None = None
    only_deleted: bool = False

    def soql(self, *more: str) -> str:
        """Return the query, with `more` fields after those of the frame."""
        fields = [*self.fields, *more]
        if self.changed_since is not None:
            return _query_since(fields, self.sobject, "SystemModstamp >= {}", self.changed_since)
        return select(fields, self.sobject, _DELETED if self.only_deleted else "")

    @property
    def fields(self) -> list[str]:
        """The fields that this kind of record has, in the order of the query."""
        of_lead = ["IsConverted", "ConvertedContactId"]
        if self.person_id_field:
            of_lead.append(require_name(self.person_id_field))
        always = ["Id", "Email", "IsDeleted", "CreatedDate", "OwnerId"]
        return [*always, *(of_lead if self.sobject == "Lead" else [])]


def count_changed(org: Org, sobject: str, since: datetime | None) -> int:
    """Return how many records have changed since then (naive UTC), or with None, how many there
    are. One call."""
    if since is None:
        return _count(org, select(["COUNT()"], require_name(sobject)))
    return _count(org, _query_since(["COUNT()"], sobject, "SystemModstamp >= {}", since))


def count_deleted(org: Org, sobject: str) -> int:
    """Return how many records are in the recycle bin. One call."""
    return _count(org, select(["COUNT()"], require_name(sobject), _DELETED))


def count_created(org: Org, sobject: str, watermark: datetime) -> RecordCounts:
    """Return how many records exist that were created up to the watermark (naive UTC). One call."""
    text = _query_since(["IsDeleted", "COUNT(Id) made"], sobject, "CreatedDate <= {}", watermark)
    groups = query(org, f"{text} GROUP BY IsDeleted", deleted_too=True)
    counts = {bool(group["IsDeleted"]): int(group["made"]) for group in groups}
    return RecordCounts(counts.get(False, 0), counts.get(True, 0))


def read_by_soql(org: Org, wanted: RecordQuery) -> tuple[pd.DataFrame, datetime | None]:
    """Return the records, read by SOQL with 2,000 a call, and their latest SystemModstamp.

    Naive UTC; None without records.
    """
    records = query(org, wanted.soql("SystemModstamp"), deleted_too=True)
    frame = as_frame(
        records,
        record_id="Id",
        email="Email",
        person_id=wanted.person_id_field or "-",
        is_converted=("IsConverted", bool),
        is_deleted=("IsDeleted", bool),
        converted_contact_id="ConvertedContactId",
        created_at="CreatedDate",
        owner_id="OwnerId",
    )
    frame["created_at"] = _instants(frame["created_at"])
    latest = max((datetime.fromisoformat(one["SystemModstamp"]) for one in records), default=None)
    watermark = latest.astimezone(UTC).replace(tzinfo=None) if latest else None
    return _with_record_columns(frame, wanted.sobject), watermark


def create_job(org: Org, wanted: RecordQuery) -> query_jobs.QueryJob:
    """Create a bulk query for the records."""
    return query_jobs.create_job(org, wanted.soql(), deleted_too=True)


def read_by_bulk_query(
    org: Org,
    wanted: RecordQuery,
    job: query_jobs.QueryJob,
    *,
    wait_seconds: float,
    meanwhile: Callable[[], None],
    page_rows: int = PAGE_ROWS,
) -> Iterator[pd.DataFrame]:
    """Yield the records of the bulk query, one frame a page.

    Raise OrgRejectedError or OrgLimitError as `query_jobs.wait_until_complete`, and
    OrgUnavailableError when records are missing.
    """
    count = query_jobs.wait_until_complete(org, job, wait_seconds, meanwhile)
    for page in query_jobs.read_all_pages(org, job, page_rows, count):
        if len(page):
            yield _from_csv(page, wanted)


def _from_csv(page: pd.DataFrame, wanted: RecordQuery) -> pd.DataFrame:
    # Columns come in the query's order, named in the org's own case; the settings may use another.
    page = page.set_axis(wanted.fields, axis="columns")
    blank = pd.Series(None, index=page.index, dtype=STR)
    frame = pd.DataFrame(
        {
            "record_id": page["Id"],
            "email": page["Email"],
            "person_id": page.get(wanted.person_id_field, blank),
            "is_converted": page.get("IsConverted", blank) == "true",
            "is_deleted": page["IsDeleted"] == "true",
            "converted_contact_id": page.get("ConvertedContactId", blank),
            "created_at": _instants(page["CreatedDate"]),
            "owner_id": page["OwnerId"],
        }
    )
    return _with_record_columns(frame, wanted.sobject)


def _with_record_columns(frame: pd.DataFrame, sobject: str) -> pd.DataFrame:
    of_kind = pd.Series(sobject, index=frame.index, dtype=STR)
    return frame.assign(sobject=of_kind)[list(RECORD_COLUMNS)]


def _instants(texts: pd.Series) -> pd.Series:
    """Return ISO 8601 texts with an offset as naive UTC."""
    utc = pc.cast(pa.array(texts, pa.string()), pa.timestamp("us", "UTC"))
    return pd.Series(utc.cast(pa.timestamp("us")).to_pandas(), index=texts.index)


def _query_since(fields: Sequence[str], sobject: str, condition: str, instant: datetime) -> str:
    # format_soql takes a naive instant for local time.
    return select(
        fields, require_name(sobject), format_soql(condition, instant.replace(tzinfo=UTC))
    )


def _count(org: Org, text: str) -> int:
    return int(org.get_json("queryAll", {"q": text})["totalSize"])
