"""Several requests in one: composite and composite/batch (§7.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pipelines.emulator.messages import Answer, ApiError, Call
from pipelines.emulator.org.org import Org
from pipelines.emulator.rest.composite_references import NoSuchReference, filled, filled_deep

MAX_SUBREQUESTS = 25
MAX_QUERIES = 5
OLDEST_IN_BATCH = 34.0
REFERENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
VERSIONED = re.compile(r"/services/data/v(\d{1,3}\.\d)(/[^?#]*)?")
# Queries and collections are dear, so fewer of them go into one composite.
DEAR = re.compile(r"/query(All)?(/.*)?|/composite/sobjects(/.*)?")
NEVER_INSIDE = re.compile(r"/composite(/batch|/graph)?/?|/jobs(/.*)?")

Dispatch = Callable[[Call], Answer]
Subrequest = dict[str, Any]


class Halted(Exception):
    """An all-or-none composite met a failure."""


class Composite:
    """Carries out subrequests through the same routes as requests."""

    def __init__(self, org: Org, dispatch: Dispatch) -> None:
        self._org = org
        self._dispatch = dispatch

    def composite(self, call: Call) -> Answer:
        """`POST /composite`: up to 25 subrequests that may refer to earlier answers."""
        body = call.json_object()
        requests = _subrequests(body.get("compositeRequest"))
        _check_reference_ids(requests)
        _check_dear(requests)
        answers: list[dict[str, Any]] = []
        try:
            with self._org.store.savepoint():
                for request in requests:
                    answers.append(self._subanswer(call, request, answers))
                    if body.get("allOrNone") is True and answers[-1]["httpStatusCode"] >= 400:
                        raise Halted
        except Halted:
            answers = [_halted(request, answers[-1]) for request in requests]
        return Answer(200, {"compositeResponse": answers})

    def _subanswer(
        self, call: Call, request: Subrequest, earlier: list[dict[str, Any]]
    ) -> dict[str, Any]:
        reference = request["referenceId"]
        known = {a["referenceId"]: a["body"] for a in earlier if a["httpStatusCode"] < 400}
        try:
            url = filled(str(request["url"]), known)
            body = filled_deep(request.get("body"), known)
        except NoSuchReference as error:
            problem = [{"errorCode": "PROCESSING_HALTED", "message": str(error)}]
            return _composed(400, problem, {}, reference)
        answer = self._send(call, request, url, body)
        return _composed(answer.status, answer.value, answer.headers, reference)

    def _send(self, call: Call, request: Subrequest, url: str, body: Any) -> Answer:
        try:
            split = urlsplit(url)
        except ValueError:
            return Answer(404, [{"errorCode": "NOT_FOUND", "message": f"no resource at {url}"}])
        headers = {str(k).lower(): str(v) for k, v in (request.get("httpHeaders") or {}).items()}
        inner = Call(
            method=str(request["method"]).upper(),
            path=split.path.rstrip("/"),
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            headers={**call.headers, **headers},
            body=b"" if body is None else json.dumps(body).encode(),
            base=call.base,
            user_id=call.user_id,
        )
        return self._dispatch(inner)

    def batch(self, call: Call) -> Answer:
        """`POST /composite/batch`: independent subrequests."""
        body = call.json_object()
        requests = body.get("batchRequests")
        if isinstance(requests, list):
            requests = [_from_root(request) for request in requests]
        requests = _subrequests(requests)
        _check_versions(requests, call.version)
        results: list[dict[str, Any]] = []
        halted = False
        for request in requests:
            if halted:
                results.append(dict(BATCH_HALTED))
                continue
            answer = self._send(call, request, request["url"], request.get("richInput"))
            results.append({"statusCode": answer.status, "result": answer.value})
            halted = answer.status >= 400 and body.get("haltOnError") is True
        failed = any(result["statusCode"] >= 400 for result in results)
        return Answer(200, {"hasErrors": failed, "results": results})


BATCH_HALTED = {
    "statusCode": 412,
    "result": [
        {
            "errorCode": "BATCH_PROCESSING_HALTED",
            "message": "Batch processing was halted because an earlier subrequest failed",
        }
    ],
}


def _from_root(request: Any) -> Any:
    """A batch writes its addresses from the version on."""
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        return request
    below = request["url"].removeprefix("/services/data/").lstrip("/")
    return request | {"url": f"/services/data/{below}"}


def _subrequests(requests: Any) -> list[Subrequest]:
    """The subrequests, judged before any is carried out."""
    if not isinstance(requests, list) or not all(isinstance(r, dict) for r in requests):
        raise ApiError(400, "JSON_PARSER_ERROR", "the subrequests must be a list of objects")
    if len(requests) > MAX_SUBREQUESTS:
        message = f"the number of subrequests is limited to {MAX_SUBREQUESTS}"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    for request in requests:
        for name in ("method", "url"):
            if not isinstance(request.get(name), str):
                raise ApiError(400, "JSON_PARSER_ERROR", f"{name} of a subrequest is required")
        if not isinstance(request.get("httpHeaders") or {}, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "httpHeaders must be an object")
        if NEVER_INSIDE.fullmatch(_resource(request)):
            message = f"{request['url']} cannot be asked for inside a composite"
            raise ApiError(400, "INVALID_REQUEST", message)
    return requests


def _resource(request: Subrequest) -> str:
    """What stands after the version in the address."""
    found = VERSIONED.match(request["url"])
    return (found[2] or "") if found else ""


def _check_reference_ids(requests: list[Subrequest]) -> None:
    seen = set()
    for request in requests:
        reference = request.get("referenceId")
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


def _check_dear(requests: list[Subrequest]) -> None:
    dear = [request for request in requests if DEAR.fullmatch(_resource(request))]
    if len(dear) > MAX_QUERIES:
        message = f"the number of query and collection subrequests is limited to {MAX_QUERIES}"
        raise ApiError(400, "LIMIT_EXCEEDED", message)


def _check_versions(requests: list[Subrequest], version: str) -> None:
    for request in requests:
        found = VERSIONED.match(request["url"])
        if found is not None and not OLDEST_IN_BATCH <= float(found[1]) <= float(version):
            message = f"a subrequest of a batch is of version 34.0 to {version}, not {found[1]}"
            raise ApiError(400, "INVALID_REQUEST", message)


def _composed(status: int, body: Any, headers: dict[str, str], reference: str) -> dict[str, Any]:
    return {
        "body": body,
        "httpHeaders": headers,
        "httpStatusCode": status,
        "referenceId": reference,
    }


def _halted(request: Subrequest, failed: dict[str, Any]) -> dict[str, Any]:
    """The answer of one subrequest after all were undone: only the one that failed says why."""
    if request["referenceId"] == failed["referenceId"]:
        return failed
    problem = {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same "
        "transaction failed.",
    }
    return _composed(400, [problem], {}, request["referenceId"])
