"""Reads all leads and contacts of the org, as far as matching needs them; how many there are, and
which have changed. Never writes; every function may be repeated.

Frames have RECORD_COLUMNS: record_id, sobject (Lead or Contact), email, person_id (of leads, null
without the field), is_converted, is_deleted, converted_contact_id, created_at, owner_id. Deleted
records are always among them.
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
from pipelines.salesforce.session import Org
from pipelines.salesforce.soql import STR, as_frame, checked, query, select

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
# A page of 100,000 rows is some 18 MB of CSV, and as much memory as a slice; ten calls a million.
PAGE_ROWS: Final = 100_000
_DELETED: Final = "IsDeleted = true"


class RecordCounts(NamedTuple):
    """How many records there are, living and in the recycle bin."""

    living_count: int
    deleted_count: int


@dataclass(frozen=True)
class RecordQuery:
    """Which records to read: of one kind, all or those changed since (naive UTC) or deleted."""

    sobject: str
    person_id_field: str
    changed_since: datetime | None = None
    only_deleted: bool = False

    def soql(self, *more: str) -> str:
        """The query, `more` fields beside those of the frame."""
        fields = [*self.fields, *more]
        if self.changed_since is not None:
            return _written(fields, self.sobject, "SystemModstamp >= {}", self.changed_since)
        return select(fields, self.sobject, _DELETED if self.only_deleted else "")

    @property
    def fields(self) -> list[str]:
        """The fields of the frame that this kind of record has."""
        of_lead = ["IsConverted", "ConvertedContactId"]
        if self.person_id_field:
            of_lead.append(checked(self.person_id_field))
        always = ["Id", "Email", "IsDeleted", "CreatedDate", "OwnerId"]
        return [*always, *(of_lead if self.sobject == "Lead" else [])]


def count_changed(org: Org, sobject: str, since: datetime | None) -> int:
    """How many records have changed since then (naive UTC), deleted ones too; None: how many there
    are. One call."""
    if since is None:
        return _count(org, select(["COUNT()"], checked(sobject)))
    return _count(org, _written(["COUNT()"], sobject, "SystemModstamp >= {}", since))


def count_deleted(org: Org, sobject: str) -> int:
    """How many records lie in the recycle bin. One call."""
    return _count(org, select(["COUNT()"], checked(sobject), _DELETED))


def count_made(org: Org, sobject: str, until: datetime) -> RecordCounts:
    """How many records there are of those made until then (naive UTC). One call."""
    text = _written(["IsDeleted", "COUNT(Id) made"], sobject, "CreatedDate <= {}", until)
    groups = query(org, f"{text} GROUP BY IsDeleted", deleted_too=True)
    counts = {bool(group["IsDeleted"]): int(group["made"]) for group in groups}
    return RecordCounts(counts.get(False, 0), counts.get(True, 0))


def read_by_pages(org: Org, wanted: RecordQuery) -> tuple[pd.DataFrame, datetime | None]:
    """The records, 2,000 a call, and the latest SystemModstamp among them; None without any."""
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
    until = latest.astimezone(UTC).replace(tzinfo=None) if latest else None
    return _tidy(frame, wanted.sobject), until


def ask(org: Org, wanted: RecordQuery) -> query_jobs.QueryJob:
    """Ask for the records by a bulk query."""
    return query_jobs.ask(org, wanted.soql(), deleted_too=True)


def read_by_job(
    org: Org,
    wanted: RecordQuery,
    job: query_jobs.QueryJob,
    *,
    wait_seconds: float,
    meanwhile: Callable[[], None],
    page_rows: int = PAGE_ROWS,
) -> Iterator[pd.DataFrame]:
    """The records of the bulk query, a frame a page. Raises as `query_jobs`: OrgRejectedError, OrgLimitError,
    OrgUnavailableError when fewer came than there are."""
    count = query_jobs.await_end(org, job, wait_seconds, meanwhile)
    for page in query_jobs.whole_pages(org, job, page_rows, count):
        if len(page):
            yield _of_csv(page, wanted)


def _of_csv(page: pd.DataFrame, wanted: RecordQuery) -> pd.DataFrame:
    # Columns come in the query's order; the org spells a field its own way, the settings another.
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
    return _tidy(frame, wanted.sobject)


def _tidy(frame: pd.DataFrame, sobject: str) -> pd.DataFrame:
    of_kind = pd.Series(sobject, index=frame.index, dtype=STR)
    return frame.assign(sobject=of_kind)[list(RECORD_COLUMNS)]


def _instants(texts: pd.Series) -> pd.Series:
    """ISO 8601 with an offset, as naive UTC."""
    utc = pc.cast(pa.array(texts, pa.string()), pa.timestamp("us", "UTC"))
    return pd.Series(utc.cast(pa.timestamp("us")).to_pandas(), index=texts.index)


def _written(fields: Sequence[str], sobject: str, condition: str, instant: datetime) -> str:
    # format_soql takes naive for local.
    return select(fields, checked(sobject), format_soql(condition, instant.replace(tzinfo=UTC)))


def _count(org: Org, text: str) -> int:
    return int(org.get_json("queryAll", {"q": text})["totalSize"])
