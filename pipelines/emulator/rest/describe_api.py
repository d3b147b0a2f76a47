"""Describe the objects and fields of the org."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from pipelines.emulator.messages import ApiRequest, ApiResponse
from pipelines.emulator.org import describe
from pipelines.emulator.org.org import Org
from pipelines.emulator.rest.records_api import RecordsApi


class DescribeApi:
    """The describe resources of one org."""

    def __init__(self, org: Org, records_api: RecordsApi) -> None:
        self._org = org
        self._records_api = records_api

    def describe_global(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /sobjects`."""
        return ApiResponse(200, describe.describe_global(self._org.schema, request.data))

    def describe_brief(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `GET /sobjects/X`."""
        sobject = self._records_api.sobject(object_name)
        value = {"objectDescribe": describe.brief(sobject, request.data), "recentItems": []}
        return ApiResponse(200, value)

    def describe(self, request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `GET /sobjects/X/describe`; 304 where nothing changed since the client's copy."""
        sobject = self._records_api.sobject(object_name)
        changed_at = self._org.changed_at
        headers = {"Last-Modified": format_datetime(changed_at, usegmt=True)}
        seen = _http_date(request.headers.get("if-modified-since", ""))
        if seen is not None and seen >= changed_at:
            return ApiResponse(304, headers=headers)
        value = describe.describe(self._org.schema, sobject, request.data, request.base)
        return ApiResponse(200, value, headers=headers)


def _http_date(text: str) -> datetime | None:
    """Return the instant of a header, or None where it has none: HTTP ignores such a header."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
