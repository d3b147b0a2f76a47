"""Several requests in one: composite and composite/batch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.rest.composite_references import (
    UnknownReferenceError,
    fill_references,
    fill_references_deep,
)

MAX_SUBREQUESTS = 25
MAX_QUERIES = 5
OLDEST_IN_BATCH = 34.0
REFERENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
VERSIONED = re.compile(r"/services/data/v(\d{1,3}\.\d)(/[^?#]*)?")
# Queries and collections are expensive, so a composite may contain fewer of them.
COSTLY = re.compile(r"/query(All)?(/.*)?|/composite/sobjects(/.*)?")
NOT_ALLOWED_INSIDE = re.compile(r"/composite(/batch|/graph)?/?|/jobs(/.*)?")

Dispatch = Callable[[ApiRequest], ApiResponse]
Subrequest = dict[str, Any]


class HaltedError(Exception):
    """A subrequest of an all-or-none composite failed; used to roll back."""


class CompositeApi:
    """Runs subrequests through the same routes as requests."""

    def __init__(self, org: Org, dispatch: Dispatch) -> None:
        self._org = org
        self._dispatch = dispatch

    def composite(self, request: ApiRequest) -> ApiResponse:
        """Handle `POST /composite`: up to 25 subrequests that may refer to earlier responses."""
        body = request.json_object()
        subrequests = _subrequests(body.get("compositeRequest"))
        _check_reference_ids(subrequests)
        _check_costly(subrequests)
        responses: list[dict[str, Any]] = []
        try:
            with self._org.store.savepoint():
                for subrequest in subrequests:
                    responses.append(self._subresponse(request, subrequest, responses))
                    if body.get("allOrNone") is True and responses[-1]["httpStatusCode"] >= 400:
                        raise HaltedError
        except HaltedError:
            responses = [_halted(subrequest, responses[-1]) for subrequest in subrequests]
        return ApiResponse(200, {"compositeResponse": responses})

    def _subresponse(
        self, request: ApiRequest, subrequest: Subrequest, earlier: list[dict[str, Any]]
    ) -> dict[str, Any]:
        reference = subrequest["referenceId"]
        known = {a["referenceId"]: a["body"] for a in earlier if a["httpStatusCode"] < 400}
        try:
            url = fill_references(str(subrequest["url"]), known)
            body = fill_references_deep(subrequest.get("body"), known)
        except UnknownReferenceError as error:
            problem = [{"errorCode": "PROCESSING_HALTED", "message": str(error)}]
            return _subresponse_fields(400, problem, {}, reference)
        response = self._dispatch_subrequest(request, subrequest, url, body)
        return _subresponse_fields(response.status, response.value, response.headers, reference)

    def _dispatch_subrequest(
        self, request: ApiRequest, subrequest: Subrequest, url: str, body: Any
    ) -> ApiResponse:
        try:
            split = urlsplit(url)
        except ValueError:
            return ApiResponse(
                404, [{"errorCode": "NOT_FOUND", "message": f"no resource at {url}"}]
            )
        headers = {str(k).lower(): str(v) for k, v in (subrequest.get("httpHeaders") or {}).items()}
        inner_request = ApiRequest(
            method=str(subrequest["method"]).upper(),
            path=split.path.rstrip("/"),
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            headers={**request.headers, **headers},
            body=b"" if body is None else json.dumps(body).encode(),
            base=request.base,
            user_id=request.user_id,
        )
        return self._dispatch(inner_request)

    def batch(self, request: ApiRequest) -> ApiResponse:
        """Handle `POST /composite/batch`: independent subrequests."""
        body = request.json_object()
        subrequests = body.get("batchRequests")
        if isinstance(subrequests, list):
            subrequests = [_from_root(subrequest) for subrequest in subrequests]
        subrequests = _subrequests(subrequests)
        _check_versions(subrequests, request.version)
        results: list[dict[str, Any]] = []
        halted = False
        for subrequest in subrequests:
            if halted:
                results.append(dict(BATCH_HALTED))
                continue
            response = self._dispatch_subrequest(
                request, subrequest, subrequest["url"], subrequest.get("richInput")
            )
            results.append({"statusCode": response.status, "result": response.value})
            halted = response.status >= 400 and body.get("haltOnError") is True
        failed = any(result["statusCode"] >= 400 for result in results)
        return ApiResponse(200, {"hasErrors": failed, "results": results})


BATCH_HALTED = {
    "statusCode": 412,
    "result": [
        {
            "errorCode": "BATCH_PROCESSING_HALTED",
            "message": "Batch processing was halted because an earlier subrequest failed",
        }
    ],
}


def _from_root(subrequest: Any) -> Any:
    """Return a batch subrequest with a full path; batches write URLs from the version on."""
    if not isinstance(subrequest, dict) or not isinstance(subrequest.get("url"), str):
        return subrequest
    below = subrequest["url"].removeprefix("/services/data/").lstrip("/")
    return subrequest | {"url": f"/services/data/{below}"}


def _subrequests(subrequests: Any) -> list[Subrequest]:
    """Return the subrequests after checking all of them; raise ApiError before any is run."""
    if not isinstance(subrequests, list) or not all(isinstance(r, dict) for r in subrequests):
        raise ApiError(400, "JSON_PARSER_ERROR", "the subrequests must be a list of objects")
    if len(subrequests) > MAX_SUBREQUESTS:
        message = f"the number of subrequests is limited to {MAX_SUBREQUESTS}"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    for subrequest in subrequests:
        for name in ("method", "url"):
            if not isinstance(subrequest.get(name), str):
                raise ApiError(400, "JSON_PARSER_ERROR", f"{name} of a subrequest is required")
        if not isinstance(subrequest.get("httpHeaders") or {}, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "httpHeaders must be an object")
        if NOT_ALLOWED_INSIDE.fullmatch(_resource(subrequest)):
            message = f"{subrequest['url']} cannot be asked for inside a composite"
            raise ApiError(400, "INVALID_REQUEST", message)
    return subrequests


def _resource(subrequest: Subrequest) -> str:
    """Return the part of the URL after the version."""
    found = VERSIONED.match(subrequest["url"])
    return (found[2] or "") if found else ""


def _check_reference_ids(subrequests: list[Subrequest]) -> None:
    seen = set()
    for subrequest in subrequests:
        reference = subrequest.get("referenceId")
        if not isinstance(reference, str):
            raise ApiError(400, "JSON_PARSER_ERROR", "referenceId of a subrequest is required")
        if not REFERENCE_ID.fullmatch(reference):
            message = (
                f"Provided referenceId ('{reference}') must start with a letter or a number, and "
                "it can contain only letters, numbers and underscores ('_')."
            )
            raise ApiError(400, "INVALID_INPUT", message)
        if reference in seen:
            message = f"Provided referenceId ('{reference}') is used by another subrequest"
            raise ApiError(400, "INVALID_INPUT", message)
        seen.add(reference)


def _check_costly(subrequests: list[Subrequest]) -> None:
    costly = [subrequest for subrequest in subrequests if COSTLY.fullmatch(_resource(subrequest))]
    if len(costly) > MAX_QUERIES:
        message = f"the number of query and collection subrequests is limited to {MAX_QUERIES}"
        raise ApiError(400, "LIMIT_EXCEEDED", message)


def _check_versions(subrequests: list[Subrequest], version: str) -> None:
    for subrequest in subrequests:
        found = VERSIONED.match(subrequest["url"])
        if found is not None and not OLDEST_IN_BATCH <= float(found[1]) <= float(version):
            message = f"a subrequest of a batch is of version 34.0 to {version}, not {found[1]}"
            raise ApiError(400, "INVALID_REQUEST", message)


def _subresponse_fields(
    status: int, body: Any, headers: dict[str, str], reference: str
) -> dict[str, Any]:
    return {
        "body": body,
        "httpHeaders": headers,
        "httpStatusCode": status,
        "referenceId": reference,
    }


def _halted(subrequest: Subrequest, failed: dict[str, Any]) -> dict[str, Any]:
    """Return a subresponse after the rollback; only the subrequest that failed keeps its own
    error.
    """
    if subrequest["referenceId"] == failed["referenceId"]:
        return failed
    problem = {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same "
        "transaction failed.",
    }
    return _subresponse_fields(400, [problem], {}, subrequest["referenceId"])
