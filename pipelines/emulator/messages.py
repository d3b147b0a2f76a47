"""Requests and responses as the emulator's own code sees them, independent of any web framework."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from pipelines.emulator.org.values import Failure

JSON_TYPE = "application/json;charset=UTF-8"
CSV_TYPE = "text/csv; charset=UTF-8"
XML_TYPE = "text/xml; charset=utf-8"
ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class ApiError(Exception):
    """An error for a whole request: an HTTP status and an array of errors."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.errors: list[dict[str, object]] = [{"message": message, "errorCode": code}]
        if fields:
            self.errors[0]["fields"] = list(fields)


@dataclass(frozen=True)
class ApiRequest:
    """One request. `base` is scheme and host as the client wrote them, `version` is like `68.0`.

    `upload` holds the data of a bulk job; `body` holds every other body.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base: str = ""
    version: str = ""
    user_id: str = ""
    upload: IO[bytes] | None = None

    @property
    def data(self) -> str:
        """Return the path under which the resources of this version begin."""
        return f"/services/data/v{self.version}"

    def json(self) -> Any:
        """Return the body as JSON; raise ApiError with JSON_PARSER_ERROR where it is none."""
        return parse_json(self.body)

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object; raise ApiError where it is something else."""
        value = self.json()
        if not isinstance(value, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object")
        return value


@dataclass
class ApiResponse:
    """One response: a JSON value, a text of another type, or an iterator of byte pieces."""

    status: int = 200
    value: Any = None
    text: str | None = None
    pieces: Iterable[bytes] | None = None
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the bytes of a response that has no pieces."""
        if self.text is not None:
            return self.text.encode()
        return b"" if self.value is None else json.dumps(self.value, ensure_ascii=False).encode()


def bearer(request: ApiRequest) -> str:
    """Return the token of a request. The old scheme name OAuth is accepted too."""
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() in {"bearer", "oauth"} else ""


def csv_response(pieces: Iterator[bytes], headers: Mapping[str, str] | None = None) -> ApiResponse:
    """Return a CSV response that is sent while it is produced."""
    return ApiResponse(pieces=pieces, content_type=CSV_TYPE, headers=dict(headers or {}))


def parse_json(body: bytes) -> Any:
    """Parse JSON as strictly as the org: no NaN, no lone surrogates, no unlimited nesting."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
        if ESCAPED_SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ApiError(
            400, "JSON_PARSER_ERROR", f"Unexpected content in the body: {error}"
        ) from None
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def error_items(
    failures: Sequence[Failure], code_key: str, version: str, misspelt_until: float
) -> Any:
    """Return failures as REST (`errorCode`) or collections (`statusCode`) list them."""
    return [_error_item(failure, code_key, version, misspelt_until) for failure in failures]


def _error_item(
    failure: Failure, code_key: str, version: str, misspelt_until: float
) -> dict[str, object]:
    if failure.details is not None and code_key == "errorCode":
        # Older API versions misspell the key, so clients must read both spellings.
        key = "duplicateResut" if float(version) <= misspelt_until else "duplicateResult"
        detail = _with_urls(failure.details, version)
        return {key: detail, "errorCode": failure.code, "message": failure.message}
    return {code_key: failure.code, "message": failure.message, "fields": list(failure.fields)}


def _with_urls(details: Mapping[str, object], version: str) -> Any:
    copy = json.loads(json.dumps(details))
    for match in copy["matchResults"]:
        for found in match["matchRecords"]:
            attributes = found["record"]["attributes"]
            kind, record_id = attributes["type"], attributes["url"]
            attributes["url"] = f"/services/data/v{version}/sobjects/{kind}/{record_id}"
    return copy
