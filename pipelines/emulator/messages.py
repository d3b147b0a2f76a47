"""A request and its answer as the org's own code sees them, free of any web framework."""

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
    """A refusal of the whole request: an array of errors with an HTTP status."""

    def __init__(self, status: int, code: str, message: str, fields: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.errors: list[dict[str, object]] = [{"message": message, "errorCode": code}]
        if fields:
            self.errors[0]["fields"] = list(fields)


@dataclass(frozen=True)
class ApiRequest:
    """One request: `base` is scheme and host as the client wrote them, `version` like `68.0`.

    What a bulk job is to load is in `upload`, every other body in `body`.
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
        """Where this version's resources begin."""
        return f"/services/data/v{self.version}"

    def json(self) -> Any:
        """The body as JSON, or the org's JSON_PARSER_ERROR."""
        return parse_json(self.body)

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object."""
        value = self.json()
        if not isinstance(value, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The HTTP entity body must be a JSON object")
        return value


@dataclass
class ApiResponse:
    """What goes back: a JSON value, text of another type, or pieces still to come."""

    status: int = 200
    value: Any = None
    text: str | None = None
    pieces: Iterable[bytes] | None = None
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The bytes of an answer that is not in pieces."""
        if self.text is not None:
            return self.text.encode()
        return b"" if self.value is None else json.dumps(self.value, ensure_ascii=False).encode()


def bearer(request: ApiRequest) -> str:
    """The token of a request; the old scheme name is still understood."""
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() in {"bearer", "oauth"} else ""


def csv_response(pieces: Iterator[bytes], headers: Mapping[str, str] | None = None) -> ApiResponse:
    """An answer of CSV, sent as it is made."""
    return ApiResponse(pieces=pieces, content_type=CSV_TYPE, headers=dict(headers or {}))


def parse_json(body: bytes) -> Any:
    """JSON as strict as the org: no NaN, no lone surrogates, no bottomless nesting."""
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
    """Failures as REST (`errorCode`) or collections (`statusCode`) list them."""
    return [_error_item(failure, code_key, version, misspelt_until) for failure in failures]


def _error_item(
    failure: Failure, code_key: str, version: str, misspelt_until: float
) -> dict[str, object]:
    if failure.details is not None and code_key == "errorCode":
        # Older API versions misspell the key; clients must read both (ten facts, 4).
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
