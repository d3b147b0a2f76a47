"""The `/jobs` resources of Bulk API 2.0."""

from __future__ import annotations

import io
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP

from pipelines.emulator.bulk import jobs
from pipelines.emulator.bulk.job_info import Job, changed, created, described
from pipelines.emulator.bulk.job_results import JobResults
from pipelines.emulator.bulk.jobs import Jobs
from pipelines.emulator.bulk.query_jobs import parallel_pages
from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse, csv_response, parse_json

MAX_RECORDS = 250_000


class BulkApi:
    """Ingest and query jobs over HTTP. `next_faults` returns the faults for the next ingest job."""

    def __init__(
        self, jobs_: Jobs, results: JobResults, next_faults: Callable[[], list[str]]
    ) -> None:
        self._jobs = jobs_
        self._results = results
        self._next_faults = next_faults

    def create_ingest(self, request: ApiRequest) -> ApiResponse:
        """Handle `POST /jobs/ingest`."""
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            return self._create_with_data(request)
        properties = request.json_object()
        job = self._jobs.create_ingest(
            properties, request.user_id, request.version, self._next_faults()
        )
        return ApiResponse(200, created(job))

    def _create_with_data(self, request: ApiRequest) -> ApiResponse:
        """Create a job with its data. It starts immediately, so the request is not safe to
        repeat.
        """
        parts = _multipart(request)
        if "job" not in parts or "content" not in parts:
            raise ApiError(400, "INVALIDJOB", "the parts job and content are required")
        if len(parts["content"].decode("utf-8", "replace")) > jobs.MULTIPART_LIMIT:
            message = "the content of a multipart request is limited to 100,000 characters"
            raise ApiError(400, "INVALIDJOB", message)
        properties = parse_json(parts["job"])
        if not isinstance(properties, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "the job must be a JSON object")
        job = self._jobs.create_ingest(
            properties, request.user_id, request.version, self._next_faults()
        )
        self._jobs.upload(job.id, io.BytesIO(parts["content"]))
        return ApiResponse(200, created(self._jobs.close(job.id, request.user_id)))

    def list_ingest(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /jobs/ingest`: every ingest job of the org, abandoned ones included."""
        if request.query.get("jobType", "V2Ingest") != "V2Ingest":
            return ApiResponse(200, {"done": True, "records": [], "nextRecordsUrl": None})
        return ApiResponse(
            200, self._jobs.page("V2Ingest", request.query.get("queryLocator", ""), request.data)
        )

    def upload(self, request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `PUT /jobs/ingest/ID/batches`."""
        if not request.headers.get("content-type", "").lower().startswith("text/csv"):
            self._jobs.find(job_id, "V2Ingest")
            raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be text/csv")
        self._jobs.upload(job_id, request.upload or io.BytesIO(request.body))
        return ApiResponse(201)

    def change_ingest(self, request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `PATCH /jobs/ingest/ID`: close or abort a job."""
        state = request.json_object().get("state")
        if state == "UploadComplete":
            return ApiResponse(200, changed(self._jobs.close(job_id, request.user_id)))
        if state == "Aborted":
            return ApiResponse(200, changed(self._jobs.abort(job_id, "V2Ingest")))
        job = self._jobs.find(job_id, "V2Ingest")
        message = f"Transition from state {job.state} to {state} is not allowed"
        raise ApiError(400, "INVALIDJOBSTATE", message)

    def show_ingest(self, _request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `GET /jobs/ingest/ID`."""
        return ApiResponse(200, described(self._jobs.find(job_id, "V2Ingest")))

    def delete_ingest(self, _request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `DELETE /jobs/ingest/ID`."""
        self._jobs.delete(job_id, "V2Ingest")
        return ApiResponse(204)

    def results(self, _request: ApiRequest, job_id: str, kind: str) -> ApiResponse:
        """Handle `GET /jobs/ingest/ID/successfulResults` and the other two files; case is
        ignored.
        """
        kinds = {
            "successfulresults": "successful",
            "failedresults": "failed",
            "unprocessedrecords": "unprocessed",
        }
        job = self._jobs.find(job_id, "V2Ingest")
        found = kinds.get(kind.lower())
        if found is None:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        if not self._results.are_available(job):
            message = f"Results are not available while the job is in state {job.state}"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        if found == "unprocessed":
            return csv_response(self._results.unprocessed(job))
        return csv_response(self._results.file(job, found))

    def create_query(self, request: ApiRequest) -> ApiResponse:
        """Handle `POST /jobs/query`."""
        job = self._jobs.create_query(request.json_object(), request.user_id, request.version)
        return ApiResponse(200, created(job))

    def list_query(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /jobs/query`."""
        return ApiResponse(
            200, self._jobs.page("V2Query", request.query.get("queryLocator", ""), request.data)
        )

    def show_query(self, _request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `GET /jobs/query/ID`."""
        return ApiResponse(200, described(self._jobs.find(job_id, "V2Query")))

    def change_query(self, request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `PATCH /jobs/query/ID`: a query job can only be aborted."""
        if request.json_object().get("state") != "Aborted":
            raise ApiError(400, "INVALIDJOBSTATE", "a query job can only be aborted")
        return ApiResponse(200, changed(self._jobs.abort(job_id, "V2Query")))

    def delete_query(self, _request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `DELETE /jobs/query/ID`."""
        self._jobs.delete(job_id, "V2Query")
        return ApiResponse(204)

    def query_results(self, request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `GET /jobs/query/ID/results`; the last page has the locator `null`, as text."""
        job = self._finished_query(request, job_id)
        properties = request.query.get("maxRecords")
        if properties is not None and (
            not properties.isdecimal() or len(properties) > 9 or int(properties) == 0
        ):
            raise ApiError(400, "INVALID_FIELD", f"maxRecords must be a number, not {properties}")
        size = None if properties is None else min(int(properties), MAX_RECORDS)
        lines, count, more = self._jobs.query_results(job, request.query.get("locator", ""), size)
        return csv_response(lines, {"Sforce-NumberOfRecords": str(count), "Sforce-Locator": more})

    def query_result_pages(self, request: ApiRequest, job_id: str) -> ApiResponse:
        """Handle `GET /jobs/query/ID/resultPages`: pages to read in parallel, from v58.0 on."""
        if float(request.version) < 58:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        job = self._finished_query(request, job_id)
        return ApiResponse(200, parallel_pages(job, request.query.get("locator", ""), request.data))

    def _finished_query(self, request: ApiRequest, job_id: str) -> Job:
        job = self._jobs.find(job_id, "V2Query")
        if job.api_version != request.version:
            message = f"the job was created with API version {job.api_version}; use the same one"
            raise ApiError(409, "API_VERSION_MISMATCH", message)
        if job.state != "JobComplete":
            message = f"Results are not available while the job is in state {job.state}"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        return job


def _multipart(request: ApiRequest) -> dict[str, bytes]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    parts: dict[str, bytes] = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            parts[name] = payload
    return parts
