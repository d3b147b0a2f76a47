"""The HTTP resources of Bulk API 1.0 under `/services/async`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.emulator.bulk_v1.formats import (
    TYPES,
    BulkV1Error,
    info_text,
    list_text,
    read_info,
    result_list_text,
    results_text,
)
from pipelines.emulator.bulk_v1.jobs import QUERIES, BulkV1Jobs, Info
from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse, bearer
from pipelines.emulator.org import ids
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver

START = re.compile(r"/services/async/(\d{1,3}\.\d)(/.*)")


@dataclass(frozen=True)
class BulkV1Request:
    """A request, and the ids in its path: a job, a batch, a result."""

    request: ApiRequest
    version: str
    user_id: str
    path_ids: tuple[str, ...]

    @property
    def is_json(self) -> bool:
        """Return whether the client sends JSON; the response then is JSON too."""
        return _sends_json(self.request)


Handle = Callable[[BulkV1Request], ApiResponse]


class BulkV1Api:
    """The resources below `/services/async/VERSION/job`."""

    def __init__(self, org: Org, saver: Saver, count_request: Callable[[], str]) -> None:
        self._org = org
        self._jobs = BulkV1Jobs(org, saver)
        self._count_request = count_request
        table: dict[str, dict[str, Handle]] = {
            "/job": {"POST": self._create},
            "/job/{}": {"GET": self._show, "POST": self._change},
            "/job/{}/batch": {"GET": self._list_batches, "POST": self._add_batch},
            "/job/{}/batch/{}": {"GET": self._show_batch},
            "/job/{}/batch/{}/request": {"GET": self._show_batch_request},
            "/job/{}/batch/{}/result": {"GET": self._show_batch_result},
            "/job/{}/batch/{}/result/{}": {"GET": self._result_file},
        }
        self._resources = [
            (re.compile(path.replace("{}", r"(\w+)")), handlers) for path, handlers in table.items()
        ]

    def handle(self, request: ApiRequest) -> ApiResponse:
        """Return the response to a request under `/services/async`."""
        try:
            return self._route(request)
        except BulkV1Error as error:
            code, message = error.code, str(error)
        except ApiError as error:
            code, message = "ExceededQuota", str(error)
        shown = {"exceptionCode": code, "exceptionMessage": message}
        as_json = _sends_json(request)
        return _reply(400, info_text("error", shown, as_json=as_json), as_json)

    def _route(self, request: ApiRequest) -> ApiResponse:
        start = START.fullmatch(request.path)
        session = self._org.sessions.use(
            request.headers.get("x-sfdc-session", "") or bearer(request)
        )
        if session is None:
            raise BulkV1Error("InvalidSessionId", "Invalid session id")
        version, path = start.groups() if start is not None else ("", "")
        for pattern, handlers in self._resources:
            found = pattern.fullmatch(path)
            if found is not None and request.method in handlers:
                self._count_request()
                return handlers[request.method](
                    BulkV1Request(request, version, session.user_id, found.groups())
                )
        raise BulkV1Error("InvalidUrl", f"no resource for {request.method} {request.path}")

    def _create(self, bulk_request: BulkV1Request) -> ApiResponse:
        job_info = read_info(bulk_request.request.body, as_json=bulk_request.is_json)
        return self._job_reply(
            201,
            bulk_request,
            self._jobs.create(job_info, bulk_request.user_id, bulk_request.version),
        )

    def _change(self, bulk_request: BulkV1Request) -> ApiResponse:
        job_info = read_info(bulk_request.request.body, as_json=bulk_request.is_json)
        info = self._jobs.change(bulk_request.path_ids[0], job_info.get("state", ""))
        return self._job_reply(200, bulk_request, info)

    def _show(self, bulk_request: BulkV1Request) -> ApiResponse:
        return self._job_reply(200, bulk_request, self._jobs.find(bulk_request.path_ids[0]))

    def _job_reply(self, status: int, bulk_request: BulkV1Request, info: Info) -> ApiResponse:
        shown, as_json = self._jobs.shown(info), _wants_json(bulk_request, info)
        if as_json:
            shown["apiVersion"] = float(info["apiVersion"])
        return _reply(status, info_text("jobInfo", shown, as_json=as_json), as_json)

    def _add_batch(self, bulk_request: BulkV1Request) -> ApiResponse:
        job = self._jobs.find(bulk_request.path_ids[0])
        return _batch_reply(
            201, bulk_request, job, self._jobs.add_batch(job, bulk_request.request.body)
        )

    def _list_batches(self, bulk_request: BulkV1Request) -> ApiResponse:
        job = self._jobs.find(bulk_request.path_ids[0])
        as_json = _wants_json(bulk_request, job)
        return _reply(200, list_text(self._jobs.batches(job), as_json=as_json), as_json)

    def _show_batch(self, bulk_request: BulkV1Request) -> ApiResponse:
        job = self._jobs.find(bulk_request.path_ids[0])
        return _batch_reply(
            200, bulk_request, job, self._jobs.batch(job, bulk_request.path_ids[1])[0]
        )

    def _show_batch_request(self, bulk_request: BulkV1Request) -> ApiResponse:
        job = self._jobs.find(bulk_request.path_ids[0])
        request = self._jobs.batch(job, bulk_request.path_ids[1])[1]
        return ApiResponse(200, text=request, content_type=TYPES[job["contentType"]])

    def _show_batch_result(self, bulk_request: BulkV1Request) -> ApiResponse:
        """Return the results of a batch; for a query, the list of its result files."""
        job = self._jobs.find(bulk_request.path_ids[0])
        info, result = self._jobs.result(job, bulk_request.path_ids[1])
        if job["operation"] in QUERIES:
            as_json = job["contentType"] == "JSON"
            return _reply(200, result_list_text([_file_id(info)], as_json=as_json), as_json)
        text = results_text(json.loads(result), job["contentType"])
        return ApiResponse(200, text=text, content_type=TYPES[job["contentType"]])

    def _result_file(self, bulk_request: BulkV1Request) -> ApiResponse:
        job = self._jobs.find(bulk_request.path_ids[0])
        info, result = self._jobs.result(job, bulk_request.path_ids[1])
        if job["operation"] not in QUERIES or ids.normalised(bulk_request.path_ids[2]) != _file_id(
            info
        ):
            raise BulkV1Error("InvalidBatch", f"Unable to find object: {bulk_request.path_ids[2]}")
        return ApiResponse(200, text=result, content_type=TYPES[job["contentType"]])


def _sends_json(request: ApiRequest) -> bool:
    return request.headers.get("content-type", "").lower().startswith("application/json")


def _wants_json(bulk_request: BulkV1Request, job: Info) -> bool:
    says_xml = "xml" in bulk_request.request.headers.get("content-type", "")
    return bulk_request.is_json or (job["contentType"] == "JSON" and not says_xml)


def _file_id(info: Info) -> str:
    fifteen = "752" + str(info["id"])[3:15]
    return fifteen + ids.checksum(fifteen)


def _batch_reply(status: int, bulk_request: BulkV1Request, job: Info, info: Info) -> ApiResponse:
    as_json = _wants_json(bulk_request, job)
    return _reply(status, info_text("batchInfo", info, as_json=as_json), as_json)


def _reply(status: int, text: str, as_json: bool) -> ApiResponse:
    return ApiResponse(status, text=text, content_type=TYPES["JSON" if as_json else "XML"])
