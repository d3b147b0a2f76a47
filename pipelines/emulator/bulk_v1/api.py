"""Bulk API 1.0 (`/services/async`): older clients load through it, in XML, CSV or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.emulator.bulk_v1.formats import (
    TYPES,
    AsyncError,
    info_text,
    list_text,
    read_info,
    result_list_text,
    results_text,
)
from pipelines.emulator.bulk_v1.jobs import QUERIES, AsyncJobs, Info
from pipelines.emulator.messages import Answer, ApiError, Call, bearer
from pipelines.emulator.org import ids
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver

START = re.compile(r"/services/async/(\d{1,3}\.\d)(/.*)")


@dataclass(frozen=True)
class Asked:
    """A request and what its path names: a job, a batch of it, and a result of that."""

    call: Call
    version: str
    user_id: str
    named: tuple[str, ...]

    @property
    def is_json(self) -> bool:
        """What the client writes is what it reads; where it does not say, the job's own form."""
        return _speaks_json(self.call)


Act = Callable[[Asked], Answer]


class AsyncBulk:
    """The resources below `/services/async/VERSION/job`."""

    def __init__(self, org: Org, saver: Saver, count_request: Callable[[], str]) -> None:
        self._org = org
        self._jobs = AsyncJobs(org, saver)
        self._count_request = count_request
        table: dict[str, dict[str, Act]] = {
            "/job": {"POST": self._create},
            "/job/{}": {"GET": self._show, "POST": self._change},
            "/job/{}/batch": {"GET": self._list_batches, "POST": self._add_batch},
            "/job/{}/batch/{}": {"GET": self._show_batch},
            "/job/{}/batch/{}/request": {"GET": self._request},
            "/job/{}/batch/{}/result": {"GET": self._result},
            "/job/{}/batch/{}/result/{}": {"GET": self._result_file},
        }
        self._resources = [
            (re.compile(path.replace("{}", r"(\w+)")), acts) for path, acts in table.items()
        ]

    def answer(self, call: Call) -> Answer:
        """Any request under `/services/async`."""
        try:
            return self._routed(call)
        except AsyncError as error:
            code, message = error.code, str(error)
        except ApiError as error:
            code, message = "ExceededQuota", str(error)
        shown = {"exceptionCode": code, "exceptionMessage": message}
        as_json = _speaks_json(call)
        return _reply(400, info_text("error", shown, as_json=as_json), as_json)

    def _routed(self, call: Call) -> Answer:
        start = START.fullmatch(call.path)
        session = self._org.sessions.use(call.headers.get("x-sfdc-session", "") or bearer(call))
        if session is None:
            raise AsyncError("InvalidSessionId", "Invalid session id")
        version, path = start.groups() if start is not None else ("", "")
        for pattern, acts in self._resources:
            found = pattern.fullmatch(path)
            if found is not None and call.method in acts:
                self._count_request()
                return acts[call.method](Asked(call, version, session.user_id, found.groups()))
        raise AsyncError("InvalidUrl", f"nothing answers {call.method} {call.path}")

    def _create(self, asked: Asked) -> Answer:
        wanted = read_info(asked.call.body, as_json=asked.is_json)
        return self._job_reply(201, asked, self._jobs.create(wanted, asked.user_id, asked.version))

    def _change(self, asked: Asked) -> Answer:
        wanted = read_info(asked.call.body, as_json=asked.is_json)
        info = self._jobs.change(asked.named[0], wanted.get("state", ""))
        return self._job_reply(200, asked, info)

    def _show(self, asked: Asked) -> Answer:
        return self._job_reply(200, asked, self._jobs.find(asked.named[0]))

    def _job_reply(self, status: int, asked: Asked, info: Info) -> Answer:
        shown, as_json = self._jobs.shown(info), _wants_json(asked, info)
        if as_json:
            shown["apiVersion"] = float(info["apiVersion"])
        return _reply(status, info_text("jobInfo", shown, as_json=as_json), as_json)

    def _add_batch(self, asked: Asked) -> Answer:
        job = self._jobs.find(asked.named[0])
        return _batch_reply(201, asked, job, self._jobs.add_batch(job, asked.call.body))

    def _list_batches(self, asked: Asked) -> Answer:
        job = self._jobs.find(asked.named[0])
        as_json = _wants_json(asked, job)
        return _reply(200, list_text(self._jobs.batches(job), as_json=as_json), as_json)

    def _show_batch(self, asked: Asked) -> Answer:
        job = self._jobs.find(asked.named[0])
        return _batch_reply(200, asked, job, self._jobs.batch(job, asked.named[1])[0])

    def _request(self, asked: Asked) -> Answer:
        job = self._jobs.find(asked.named[0])
        request = self._jobs.batch(job, asked.named[1])[1]
        return Answer(200, text=request, content_type=TYPES[job["contentType"]])

    def _result(self, asked: Asked) -> Answer:
        """The results of a batch; those of a query are files, and this lists them."""
        job = self._jobs.find(asked.named[0])
        info, result = self._jobs.result(job, asked.named[1])
        if job["operation"] in QUERIES:
            as_json = job["contentType"] == "JSON"
            return _reply(200, result_list_text([_file_id(info)], as_json=as_json), as_json)
        text = results_text(json.loads(result), job["contentType"])
        return Answer(200, text=text, content_type=TYPES[job["contentType"]])

    def _result_file(self, asked: Asked) -> Answer:
        job = self._jobs.find(asked.named[0])
        info, result = self._jobs.result(job, asked.named[1])
        if job["operation"] not in QUERIES or ids.normalised(asked.named[2]) != _file_id(info):
            raise AsyncError("InvalidBatch", f"Unable to find object: {asked.named[2]}")
        return Answer(200, text=result, content_type=TYPES[job["contentType"]])


def _speaks_json(call: Call) -> bool:
    return call.headers.get("content-type", "").lower().startswith("application/json")


def _wants_json(asked: Asked, job: Info) -> bool:
    says_xml = "xml" in asked.call.headers.get("content-type", "")
    return asked.is_json or (job["contentType"] == "JSON" and not says_xml)


def _file_id(info: Info) -> str:
    fifteen = "752" + str(info["id"])[3:15]
    return fifteen + ids.checksum(fifteen)


def _batch_reply(status: int, asked: Asked, job: Info, info: Info) -> Answer:
    as_json = _wants_json(asked, job)
    return _reply(status, info_text("batchInfo", info, as_json=as_json), as_json)


def _reply(status: int, text: str, as_json: bool) -> Answer:
    return Answer(status, text=text, content_type=TYPES["JSON" if as_json else "XML"])
