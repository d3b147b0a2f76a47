"""One org behind HTTP: choose the part that handles a request, and check the caller's session."""

from __future__ import annotations

import re
from dataclasses import replace

from pipelines.emulator.auth.identity import Identities
from pipelines.emulator.auth.login import Logins
from pipelines.emulator.auth.soap import Soap
from pipelines.emulator.bulk.api import BulkApi
from pipelines.emulator.bulk.job_results import JobResults
from pipelines.emulator.bulk.job_runner import JobRunner
from pipelines.emulator.bulk.jobs import Jobs
from pipelines.emulator.bulk.processing import Processor
from pipelines.emulator.bulk_v1.api import BulkV1Api
from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse, bearer, error_items
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver
from pipelines.emulator.org.values import JsonTypeError
from pipelines.emulator.rest.composite import CompositeApi
from pipelines.emulator.rest.composite_tree import CompositeTree
from pipelines.emulator.rest.records_api import NOT_FOUND, STATUSES, RecordError, RecordsApi
from pipelines.emulator.rest.resources import (
    NEWEST,
    OLDEST,
    OLDEST_SUPPORTED,
    OrgResources,
    versions,
)
from pipelines.emulator.rest.sobject_collections import SObjectCollections
from pipelines.emulator.routes import Handler, routes
from pipelines.emulator.soql.syntax import SoqlError
from pipelines.emulator.transport.control_api import ControlApi
from pipelines.emulator.transport.faults import Faults
from pipelines.emulator.xml_responses import check_body, in_accepted_format, without_extension

VERSIONED = re.compile(r"/services/data/v(\d{1,3}\.\d)(/.*)?")
SOAP = re.compile(r"/services/Soap/([uc])/(\d{1,3}\.\d)(?:/\w+)?")


class Emulator:
    """One org: `handle` serves the org's own paths, `control_api` those under `/emulator/`."""

    def __init__(self, org: Org, faults: Faults) -> None:
        self._org = org
        self.runner = JobRunner()
        saver = Saver(org)
        self._processor = Processor(org, saver)
        self._jobs = Jobs(org, self._start)
        records_api = RecordsApi(org, saver)
        logins = Logins(org)
        identities = Identities(org, logins, f"{NEWEST}.0")
        self._soap = Soap(org, logins)
        self._public: dict[str, Handler] = {
            "/services/data": lambda _request: ApiResponse(200, versions()),
            "/services/oauth2/token": logins.token,
            "/services/oauth2/revoke": identities.revoke,
            "/services/oauth2/introspect": identities.introspect,
            "/services/oauth2/userinfo": identities.userinfo,
        }
        self._identity = identities.identity
        self._resources = OrgResources(org)
        self._bulk_v1 = BulkV1Api(org, saver, self._resources.count_request)
        self._routes = routes(
            org,
            records_api,
            SObjectCollections(org, saver, records_api),
            BulkApi(self._jobs, JobResults(org, self._jobs), faults.of_next_job),
            CompositeApi(org, self.dispatch),
            CompositeTree(org, saver, records_api),
        )
        self.control_api = ControlApi(org, faults, records_api, self._jobs).handle

    def resume_jobs(self) -> None:
        """Start the job thread, and continue the jobs that were running when the process ended."""
        self.runner.start()
        for job_id in self._jobs.open_work():
            self._start(job_id)

    def _start(self, job_id: str) -> None:
        self.runner.add(self._processor.run_job(job_id))

    def expire(self, token: str) -> None:
        """End a session without telling its client."""
        self._org.sessions.end(token)

    def handle(self, request: ApiRequest) -> ApiResponse:
        """Return the response to a request for one of the org's own paths, as JSON or XML."""
        request = without_extension(request)
        return in_accepted_format(request, self._route(request))

    def _route(self, request: ApiRequest) -> ApiResponse:
        handler = self._public.get(request.path)
        if handler is not None:
            return handler(request)
        if request.path.startswith("/id/"):
            return self._identity(request)
        if request.path.startswith("/services/async/"):
            return self._bulk_v1.handle(request)
        soap = SOAP.fullmatch(request.path)
        if soap is not None and request.method == "POST":
            return self._soap.handle(request, soap[1], soap[2])
        try:
            return self._handle_authorised(request)
        except ApiError as error:
            return ApiResponse(error.status, error.errors)

    def _handle_authorised(self, request: ApiRequest) -> ApiResponse:
        versioned = VERSIONED.fullmatch(request.path)
        if versioned is not None:
            _check_version(versioned[1])
        session = self._org.sessions.use(bearer(request))
        if session is None:
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self._check_api_enabled(session.user_id)
        if versioned is None:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        usage = self._resources.count_request()
        response = self.dispatch(replace(request, user_id=session.user_id))
        response.headers["Sforce-Limit-Info"] = usage
        if float(versioned[1]) < OLDEST_SUPPORTED:
            response.headers["Warning"] = f'299 - "This API is deprecated: v{versioned[1]}"'
        return response

    def _check_api_enabled(self, user_id: str) -> None:
        """Raise ApiError where the user has no API access. Whether a real org sends 401 or 403 is
        unknown.
        """
        status = self._org.behaviour.api_disabled_status
        if user_id not in self._org.without_api:
            return
        if status == 401:
            # A client that treats every 401 as an expired session would log in without end.
            message = "This session is not valid for use with the REST API"
            raise ApiError(401, "INVALID_SESSION_ID", message)
        message = "The REST API is not enabled for this Organization."
        raise ApiError(status, "API_DISABLED_FOR_ORG", message)

    def dispatch(self, request: ApiRequest) -> ApiResponse:
        """Route a request whose user is known. Every error becomes its JSON response here."""
        versioned = VERSIONED.fullmatch(request.path)
        if versioned is None:
            return _error_response(ApiError(404, "NOT_FOUND", NOT_FOUND))
        request = replace(request, version=versioned[1])
        try:
            check_body(request)
            return self._routes.handle(request, versioned[2] or "")
        except ApiError as error:
            return _error_response(error)
        except RecordError as error:
            until = self._org.behaviour.misspelt_duplicate_result_until
            value = error_items(error.failures, "errorCode", request.version, until)
            return ApiResponse(STATUSES.get(error.failures[0].code, 400), value)
        except RecursionError:
            return _error_response(
                ApiError(400, "JSON_PARSER_ERROR", "the body is nested too deeply")
            )
        except SoqlError as error:
            return _error_response(ApiError(400, error.code, str(error)))
        except JsonTypeError as error:
            return _error_response(ApiError(400, "JSON_PARSER_ERROR", str(error)))


def _check_version(version: str) -> None:
    if float(version) < OLDEST:
        raise ApiError(410, "GONE", f"API version {version} has been retired")
    if float(version) > NEWEST or not version.endswith(".0"):
        raise ApiError(404, "NOT_FOUND", NOT_FOUND)


def _error_response(error: ApiError) -> ApiResponse:
    return ApiResponse(error.status, error.errors)
