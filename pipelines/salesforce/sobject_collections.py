"""Creates and updates a few records in one call each: sObject collections.

Unlike the Bulk API they take the header that lets a wanted duplicate past a duplicate rule, and
answer at once. Unlike a job they cannot be taken back: what a lost answer did is open.
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
class RecordAnswer:
    """What became of one record: an id, or a code. `message` may repeat values of the person."""

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
) -> list[RecordAnswer]:
    """Create up to 200 records, each by itself; answers in the order sent. Not repeatable.

    `assignment` is the id of the assignment rule, or FALSE: left out, Salesforce would run the
    active rule over the owners given. `allow_duplicates` passes rules that only alert.
    OrgUnavailableError leaves open whether any were made.
    """
    headers = _headers(assignment, allow_duplicates)
    answer = org.post_json("composite/sobjects", _body(sobject, records), headers)
    return _read(answer, len(records), is_insert=True)


def update_records(
    org: Org,
    sobject: str,
    records: Sequence[Record],
    *,
    assignment: str | Literal["FALSE"] = "FALSE",
    allow_duplicates: bool = False,
) -> list[RecordAnswer]:
    """Update up to 200 records by their `Id`; answers in the order sent. Repeatable by the caller.

    Rules run on updates too, and would route old leads anew: hence FALSE.
    """
    headers = _headers(assignment, allow_duplicates)
    answer = org.patch_json("composite/sobjects", _body(sobject, records), headers)
    return _read(answer, len(records), is_insert=False)


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


def _read(answer: object, sent: int, *, is_insert: bool) -> list[RecordAnswer]:
    if not isinstance(answer, list) or len(answer) != sent:
        raise OrgUnavailableError("the org did not answer for every record sent: ask what it holds")
    return [_record_answer(one, is_insert=is_insert) for one in answer]


def _record_answer(raw: Mapping[str, Any], *, is_insert: bool) -> RecordAnswer:
    error = (raw.get("errors") or [{}])[0]
    return RecordAnswer(
        record_id=raw.get("id"),
        is_created=is_insert and raw["success"],
        code=None if raw["success"] else error.get("statusCode", "UNKNOWN_EXCEPTION"),
        message=error.get("message"),
        fields=tuple(error.get("fields") or ()),
    )
