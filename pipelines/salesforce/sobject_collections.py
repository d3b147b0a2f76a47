"""Create or update up to 200 records in one call: sObject collections.

Unlike the Bulk API they accept the header that lets a wanted duplicate pass a duplicate rule, and
return results immediately. Unlike a job, a call cannot be discarded: after a lost response it is
unknown what was done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pipelines.errors import OrgUnavailableError
from pipelines.salesforce.session import Org

MAX_RECORDS: Final = 200

Record = Mapping[str, Any]


@dataclass(frozen=True)
class RecordResult:
    """The result for one record: an id, or an error code. `message` may repeat person data."""

    record_id: str | None
    is_created: bool
    code: str | None
    message: str | None = field(repr=False)
    fields: tuple[str, ...]


def create_records(
    org: Org,
    sobject: str,
    records: Sequence[Record],
    *,
    assignment: str | Literal["FALSE"],
    allow_duplicates: bool,
) -> list[RecordResult]:
    """Create up to 200 records, each independently; return results in the order sent.

    Not repeatable: after OrgUnavailableError it is unknown whether records were created.
    `assignment` is the id of the assignment rule, or FALSE: without the header Salesforce would run
    the active rule and replace the given owners. `allow_duplicates` passes duplicate rules that
    only alert.
    """
    headers = _headers(assignment, allow_duplicates)
    response = org.post_json("composite/sobjects", _body(sobject, records), headers)
    return _results(response, len(records), is_insert=True)


def update_records(
    org: Org,
    sobject: str,
    records: Sequence[Record],
    *,
    assignment: str | Literal["FALSE"] = "FALSE",
    allow_duplicates: bool = False,
) -> list[RecordResult]:
    """Update up to 200 records by their `Id`; return results in the order sent. Repeatable.

    Assignment rules run on updates too and would give old leads a new owner: hence FALSE.
    """
    headers = _headers(assignment, allow_duplicates)
    response = org.patch_json("composite/sobjects", _body(sobject, records), headers)
    return _results(response, len(records), is_insert=False)


def _headers(assignment: str, allow_duplicates: bool) -> dict[str, str]:
    headers = {"Sforce-Auto-Assign": assignment}
    if allow_duplicates:
        headers["Sforce-Duplicate-Rule-Header"] = "allowSave=true"
    return headers


def _body(sobject: str, records: Sequence[Record]) -> dict[str, Any]:
    if not 0 < len(records) <= MAX_RECORDS:
        raise ValueError(f"1 to {MAX_RECORDS} records fit in a call, not {len(records)}")
    kind = {"attributes": {"type": sobject}}
    return {"allOrNone": False, "records": [{**kind, **record} for record in records]}


def _results(response: object, sent: int, *, is_insert: bool) -> list[RecordResult]:
    if not isinstance(response, list) or len(response) != sent:
        raise OrgUnavailableError(
            "the org did not return a result for every record sent: check which records it has"
        )
    return [_record_result(one, is_insert=is_insert) for one in response]


def _record_result(raw: Mapping[str, Any], *, is_insert: bool) -> RecordResult:
    error = (raw.get("errors") or [{}])[0]
    return RecordResult(
        record_id=raw.get("id"),
        is_created=is_insert and raw["success"],
        code=None if raw["success"] else error.get("statusCode", "UNKNOWN_EXCEPTION"),
        message=error.get("message"),
        fields=tuple(error.get("fields") or ()),
    )
