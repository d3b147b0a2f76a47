"""The paths under `/emulator/`: reset the org, inject faults, read the request log."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.emulator.bulk.job_info import described
from pipelines.emulator.bulk.jobs import Jobs
from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.org_sections import OrgFileError
from pipelines.emulator.rest.records_api import RecordsApi
from pipelines.emulator.transport.faults import Faults, InvalidFaultError


class ControlApi:
    """The control API of one org. Its requests need no session and are never counted."""

    def __init__(self, org: Org, faults: Faults, records_api: RecordsApi, jobs: Jobs) -> None:
        self._org = org
        self._faults = faults
        self._records_api = records_api
        self._jobs = jobs

    def handle(self, request: ApiRequest) -> ApiResponse:
        """Return the response to a request under `/emulator/`."""
        handlers: dict[tuple[str, str], Callable[[ApiRequest], ApiResponse]] = {
            ("POST", "/emulator/reset"): self._reset,
            ("GET", "/emulator/requests"): lambda _request: ApiResponse(
                200, self._faults.requests()
            ),
            ("PUT", "/emulator/faults"): self._put_faults,
            ("GET", "/emulator/org"): lambda _request: ApiResponse(200, self._dump()),
        }
        found = handlers.get((request.method, request.path))
        if found is None:
            known = ", ".join(f"{method} {path}" for method, path in handlers)
            return _error_response(404, f"no such path; there are {known}")
        return found(request)

    def _reset(self, request: ApiRequest) -> ApiResponse:
        try:
            text = request.body.decode()
            self._org.reset(text if text.strip() else None)
        except UnicodeDecodeError:
            return _error_response(400, "the org file is not UTF-8")
        except OrgFileError as error:
            return _error_response(400, f"the org file: {error}")
        self._faults.forget()
        return ApiResponse(200, {"org_id": self._org.id})

    def _put_faults(self, request: ApiRequest) -> ApiResponse:
        try:
            self._faults.put(request.json())
        except (ApiError, InvalidFaultError) as error:
            return _error_response(400, str(error))
        return ApiResponse(200, {"faults": len(self._faults)})

    def _dump(self) -> dict[str, object]:
        with self._org.store.lock:
            return {
                "leads": self._records_api.dump("Lead"),
                "contacts": self._records_api.dump("Contact"),
                "jobs": [described(job) for job in self._jobs.all("V2Ingest")],
            }


def _error_response(status: int, message: str) -> ApiResponse:
    return ApiResponse(status, {"error": message})
