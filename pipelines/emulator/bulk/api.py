"""The `/jobs` resources: Bulk API 2.0 as requests and answers."""

from __future__ import annotations

import io
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP

from pipelines.emulator.bulk import jobs
from pipelines.emulator.bulk.job_info import Job, changed, created, described
from pipelines.emulator.bulk.jobs import Jobs
from pipelines.emulator.bulk.query_jobs import parallel_pages
from pipelines.emulator.messages import Answer, ApiError, Call, csv_answer, parsed_json

MAX_RECORDS = 250_000


class Bulk:
    """Ingest and query jobs; `next_faults` names the faults injected into the next ingest job."""

    def __init__(self, jobs_: Jobs, next_faults: Callable[[], list[str]]) -> None:
        self._jobs = jobs_
        self._next_faults = next_faults

    def create_ingest(self, call: Call) -> Answer:
        """`POST /jobs/ingest`."""
        if call.headers.get("content-type", "").startswith("multipart/form-data"):
            return self._create_with_data(call)
        asked = call.json_object()
        job = self._jobs.create_ingest(asked, call.user_id, call.version, self._next_faults())
        return Answer(200, created(job))

    def _create_with_data(self, call: Call) -> Answer:
        """Job and data in one request: it begins at once, so it is never safe to repeat (§6.1)."""
        parts = _multipart(call)
        if "job" not in parts or "content" not in parts:
            raise ApiError(400, "INVALIDJOB", "the parts job and content are required")
        if len(parts["content"].decode("utf-8", "replace")) > jobs.MULTIPART_LIMIT:
            message = "the content of a multipart request is limited to 100,000 characters"
            raise ApiError(400, "INVALIDJOB", message)
        asked = parsed_json(parts["job"])
        if not isinstance(asked, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "the job must be a JSON object")
        job = self._jobs.create_ingest(asked, call.user_id, call.version, self._next_faults())
        self._jobs.upload(job.id, io.BytesIO(parts["content"]))
        return Answer(200, created(self._jobs.close(job.id, call.user_id)))

    def list_ingest(self, call: Call) -> Answer:
        """`GET /jobs/ingest`: every ingest job of the org, orphans included."""
        if call.query.get("jobType", "V2Ingest") != "V2Ingest":
            return Answer(200, {"done": True, "records": [], "nextRecordsUrl": None})
        return Answer(
            200, self._jobs.page("V2Ingest", call.query.get("queryLocator", ""), call.data)
        )

    def upload(self, call: Call, job_id: str) -> Answer:
        """`PUT /jobs/ingest/ID/batches`."""
        if not call.headers.get("content-type", "").lower().startswith("text/csv"):
            self._jobs.find(job_id, "V2Ingest")
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be text/csv")
        self._jobs.upload(job_id, call.upload or io.BytesIO(call.body))
        return Answer(201)

    def change_ingest(self, call: Call, job_id: str) -> Answer:
        """`PATCH /jobs/ingest/ID`."""
        state = call.json_object().get("state")
        if state == "UploadComplete":
            return Answer(200, changed(self._jobs.close(job_id, call.user_id)))
        if state == "Aborted":
            return Answer(200, changed(self._jobs.abort(job_id, "V2Ingest")))
        job = self._jobs.find(job_id, "V2Ingest")
        message = f"Transition from state {job.state} to {state} is not allowed"
        raise ApiError(400, "INVALIDJOBSTATE", message)

    def show_ingest(self, _call: Call, job_id: str) -> Answer:
        """`GET /jobs/ingest/ID`."""
        return Answer(200, described(self._jobs.find(job_id, "V2Ingest")))

    def delete_ingest(self, _call: Call, job_id: str) -> Answer:
        """`DELETE /jobs/ingest/ID`."""
        self._jobs.delete(job_id, "V2Ingest")
        return Answer(204)

    def results(self, _call: Call, job_id: str, kind: str) -> Answer:
        """`GET /jobs/ingest/ID/successfulResults` and its siblings, in any case (§6.1)."""
        kinds = {
            "successfulresults": "successful",
            "failedresults": "failed",
            "unprocessedrecords": "unprocessed",
        }
        job = self._jobs.find(job_id, "V2Ingest")
        found = kinds.get(kind.lower())
        if found is None:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        if not self._jobs.has_results(job):
            message = f"Results are not available while the job is in state {job.state}"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        if found == "unprocessed":
            return csv_answer(self._jobs.unprocessed(job))
        return csv_answer(self._jobs.results(job, found))

    def create_query(self, call: Call) -> Answer:
        """`POST /jobs/query`."""
        job = self._jobs.create_query(call.json_object(), call.user_id, call.version)
        return Answer(200, created(job))

    def list_query(self, call: Call) -> Answer:
        """`GET /jobs/query`."""
        return Answer(
            200, self._jobs.page("V2Query", call.query.get("queryLocator", ""), call.data)
        )

    def show_query(self, _call: Call, job_id: str) -> Answer:
        """`GET /jobs/query/ID`."""
        return Answer(200, described(self._jobs.find(job_id, "V2Query")))

    def change_query(self, call: Call, job_id: str) -> Answer:
        """`PATCH /jobs/query/ID`: a query job can only be aborted."""
        if call.json_object().get("state") != "Aborted":
            raise ApiError(400, "INVALIDJOBSTATE", "a query job can only be aborted")
        return Answer(200, changed(self._jobs.abort(job_id, "V2Query")))

    def delete_query(self, _call: Call, job_id: str) -> Answer:
        """`DELETE /jobs/query/ID`."""
        self._jobs.delete(job_id, "V2Query")
        return Answer(204)

    def query_results(self, call: Call, job_id: str) -> Answer:
        """`GET /jobs/query/ID/results`: the last page's locator is the text `null`."""
        job = self._finished_query(call, job_id)
        asked = call.query.get("maxRecords")
        if asked is not None and (not asked.isdecimal() or len(asked) > 9 or int(asked) == 0):
            raise ApiError(400, "INVALID_FIELD", f"maxRecords must be a number, not {asked}")
        size = None if asked is None else min(int(asked), MAX_RECORDS)
        lines, count, more = self._jobs.query_results(job, call.query.get("locator", ""), size)
        return csv_answer(lines, {"Sforce-NumberOfRecords": str(count), "Sforce-Locator": more})

    def query_result_pages(self, call: Call, job_id: str) -> Answer:
        """`GET /jobs/query/ID/resultPages`: pages to be read at once, from v58.0 on."""
        if float(call.version) < 58:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        job = self._finished_query(call, job_id)
        return Answer(200, parallel_pages(job, call.query.get("locator", ""), call.data))

    def _finished_query(self, call: Call, job_id: str) -> Job:
        job = self._jobs.find(job_id, "V2Query")
        if job.api_version != call.version:
            message = f"the job was created with API version {job.api_version}; use the same one"
            raise ApiError(409, "API_VERSION_MISMATCH", message)
        if job.state != "JobComplete":
            message = f"Results are not available while the job is in state {job.state}"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        return job


def _multipart(call: Call) -> dict[str, bytes]:
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + call.body)
    parts: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            parts[name] = payload
    return parts
