"""Several requests in one: composite, composite/batch and composite/tree (§7.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pipelines.emulator.calls import Answer, ApiError, Call, error_items
from pipelines.emulator.chunks import chunk_of_json
from pipelines.emulator.org import Org
from pipelines.emulator.records import SaveOptions, Saver
from pipelines.emulator.rest import Rest
from pipelines.emulator.schema import SObject

MAX_SUBREQUESTS = 25
MAX_QUERIES = 5
MAX_TREE = 200
REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")

Dispatch = Callable[[Call], Answer]


class Halted(Exception):
    """An all-or-none composite met a failure."""


class Composite:
    """Carries out subrequests through the same routes as requests."""

    def __init__(self, org: Org, saver: Saver, rest: Rest, dispatch: Dispatch) -> None:
        self._org = org
        self._saver = saver
        self._rest = rest
        self._dispatch = dispatch

    def composite(self, call: Call) -> Answer:
        """`POST /composite`: up to 25 subrequests that may refer to earlier answers."""
        body = call.json_object()
        requests = _subrequests(body.get("compositeRequest"))
        answers: list[dict[str, Any]] = []
        try:
            with self._org.store.savepoint():
                for request in requests:
                    answers.append(self._subanswer(call, request, answers))
                    if body.get("allOrNone") is True and answers[-1]["httpStatusCode"] >= 400:
                        raise Halted
        except Halted:
            answers = [_halted(request, answers) for request in requests]
        return Answer(200, {"compositeResponse": answers})

    def _subanswer(
        self, call: Call, request: dict[str, Any], earlier: list[dict[str, Any]]
    ) -> dict[str, Any]:
        reference = str(request.get("referenceId", ""))
        known = {a["referenceId"]: a["body"] for a in earlier}
        try:
            url = _filled(str(request.get("url", "")), known)
            body = _filled_deep(request.get("body"), known)
        except LookupError as error:
            problem = [{"errorCode": "PROCESSING_HALTED", "message": f"Invalid reference: {error}"}]
            return _composed(400, problem, {}, reference)
        answer = self._send(call, request, url, body)
        return _composed(answer.status, answer.value, answer.headers, reference)

    def _send(self, call: Call, request: dict[str, Any], url: str, body: Any) -> Answer:
        try:
            split = urlsplit(url)
        except ValueError:
            return Answer(404, [{"errorCode": "NOT_FOUND", "message": f"no resource at {url}"}])
        headers = {str(k).lower(): str(v) for k, v in (request.get("httpHeaders") or {}).items()}
        inner = Call(
            method=str(request.get("method", "GET")).upper(),
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
        results = []
        for request in _subrequests(body.get("batchRequests")):
            url = "/services/data/" + str(request.get("url", "")).removeprefix(
                "/services/data/"
            ).lstrip("/")
            answer = self._send(call, request, url, request.get("richInput"))
            results.append({"statusCode": answer.status, "result": answer.value})
            if answer.status >= 400 and body.get("haltOnError") is True:
                break
        failed = any(result["statusCode"] >= 400 for result in results)
        return Answer(200, {"hasErrors": failed, "results": results})

    def tree(self, call: Call, object_name: str) -> Answer:
        """`POST /composite/tree/X`: all records or none."""
        sobject = self._rest.writable(object_name, "create")
        records = call.json_object().get("records")
        if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
            raise ApiError(400, "JSON_PARSER_ERROR", "records must be a list of objects")
        if len(records) > MAX_TREE:
            raise ApiError(400, "EXCEEDED_ID_LIMIT", f"a tree is limited to {MAX_TREE} records")
        options = self._rest.options(call, sobject)
        answers: list[dict[str, object]] = []
        try:
            with self._org.store.savepoint():
                answers = self._plant(call, sobject, records, options)
                if any("errors" in answer for answer in answers):
                    raise Halted
        except Halted:
            refused = [answer for answer in answers if "errors" in answer]
            return Answer(400, {"hasErrors": True, "results": refused})
        return Answer(201, {"hasErrors": False, "results": answers})

    def _plant(
        self, call: Call, sobject: SObject, records: list[dict[str, Any]], options: SaveOptions
    ) -> list[dict[str, object]]:
        chunk = chunk_of_json(sobject, records, creating=True)
        results = self._saver.insert(chunk, options)
        answers: list[dict[str, object]] = []
        for row, record in enumerate(records):
            attributes = record.get("attributes")
            name = attributes.get("referenceId", "") if isinstance(attributes, dict) else ""
            if row in results:
                answers.append({"referenceId": name, "id": results[row].id})
                continue
            errors = error_items(chunk.failures[row], "statusCode", call.version, 0)
            answers.append({"referenceId": name, "errors": errors})
        return answers


def _subrequests(requests: Any) -> list[dict[str, Any]]:
    if not isinstance(requests, list) or not all(isinstance(r, dict) for r in requests):
        raise ApiError(400, "JSON_PARSER_ERROR", "the subrequests must be a list of objects")
    for request in requests:
        if not isinstance(request.get("httpHeaders") or {}, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "httpHeaders must be an object")
        if str(request.get("url")).rstrip("/").endswith(("/composite", "/composite/batch")):
            raise ApiError(400, "INVALID_REQUEST", "a composite cannot hold another composite")
    if len(requests) > MAX_SUBREQUESTS:
        message = f"the number of subrequests is limited to {MAX_SUBREQUESTS}"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    queries = [
        r for r in requests if "/query" in str(r.get("url")) or "/composite" in str(r.get("url"))
    ]
    if len(queries) > MAX_QUERIES:
        message = f"the number of query and collection subrequests is limited to {MAX_QUERIES}"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    return requests


def _composed(status: int, body: Any, headers: dict[str, str], reference: str) -> dict[str, Any]:
    return {
        "body": body,
        "httpHeaders": headers,
        "httpStatusCode": status,
        "referenceId": reference,
    }


def _halted(request: dict[str, Any], answers: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer of one subrequest after all were undone: only the one that failed says why."""
    reference = str(request.get("referenceId", ""))
    for answer in answers:
        if answer["referenceId"] == reference and answer["httpStatusCode"] >= 400:
            return answer
    problem = {
        "errorCode": "PROCESSING_HALTED",
        "message": "The transaction was rolled back since another operation in the same "
        "transaction failed.",
    }
    return _composed(400, [problem], {}, reference)


def _filled(text: str, known: dict[str, Any]) -> str:
    return REFERENCE.sub(lambda match: str(_resolved(match, known)), text)


def _filled_deep(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, str):
        return _filled(value, known)
    if isinstance(value, list):
        return [_filled_deep(item, known) for item in value]
    if isinstance(value, dict):
        return {key: _filled_deep(item, known) for key, item in value.items()}
    return value


def _resolved(match: re.Match[str], known: dict[str, Any]) -> Any:
    value = known[match[1]]
    for name, position in re.findall(r"\.(\w+)|\[(\d+)\]", match[2]):
        try:
            value = value[name] if name else value[int(position)]
        except TypeError:
            raise LookupError(match[0]) from None
    return value
