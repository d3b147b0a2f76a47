"""The records updated or deleted in a span of time, for clients that keep a copy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.values import moment_text, parsed_moment
from pipelines.emulator.rest.records_api import RecordsApi

MAX_DAYS = 30


@dataclass(frozen=True)
class Span:
    """A span of time in whole minutes; the org ignores seconds here."""

    start: datetime
    end: datetime

    @property
    def bounds(self) -> tuple[str, str]:
        """Return the span as record timestamps; the end is exclusive."""
        return moment_text(self.start), moment_text(self.end)


class Replication:
    """The updated and deleted resources of one org."""

    def __init__(self, org: Org, records_api: RecordsApi) -> None:
        self._org = org
        self._records_api = records_api

    def updated(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `GET /sobjects/X/updated`: records created or changed in the span."""
        found, span = self._changed_records(request, object_name, is_deleted=0)
        value = {"ids": [id_ for id_, _ in found], "latestDateCovered": moment_text(span.end)}
        return ApiResponse(200, value)

    def deleted(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `GET /sobjects/X/deleted`: records deleted in the span, with the time."""
        found, span = self._changed_records(request, object_name, is_deleted=1)
        earliest = datetime.now(UTC) - timedelta(days=MAX_DAYS)
        value = {
            "deletedRecords": [{"id": id_, "deletedDate": moment} for id_, moment in found],
            "earliestDateAvailable": moment_text(earliest),
            "latestDateCovered": moment_text(span.end),
        }
        return ApiResponse(200, value)

    def _changed_records(
        self, request: ApiRequest, object_name: str, *, is_deleted: int
    ) -> tuple[list[tuple[str, str]], Span]:
        sobject = self._records_api.sobject(object_name)
        span = _span(request)
        rows = self._org.store.rows(
            f'select Id, SystemModstamp from "{sobject.name}"'  # noqa: S608 - a known object
            " where IsDeleted = ? and SystemModstamp >= ? and SystemModstamp < ?"
            " order by SystemModstamp, Id",
            (is_deleted, *span.bounds),
        )
        return [(str(id_), str(moment)) for id_, moment in rows], span


def _span(request: ApiRequest) -> Span:
    span = Span(_minute(request, "start"), _minute(request, "end"))
    if span.end <= span.start:
        raise _date_error("endDate must be at least one minute greater than startDate")
    if span.start < datetime.now(UTC) - timedelta(days=MAX_DAYS):
        raise _date_error(f"startDate cannot be more than {MAX_DAYS} days ago")
    return span


def _minute(request: ApiRequest, name: str) -> datetime:
    text = request.query.get(name, "")
    try:
        moment = parsed_moment(text)
    except ValueError:
        raise _date_error(
            f"{name} is not an instant such as 2026-01-31T12:00:00Z: {text}"
        ) from None
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _date_error(message: str) -> ApiError:
    return ApiError(400, "INVALID_REPLICATION_DATE", message)
