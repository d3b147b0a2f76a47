"""One org behind HTTP: which part of it a request is for, who may call, and how it is refused."""

from __future__ import annotations

import re
from dataclasses import replace

from pipelines.emulator.auth.identity import Identities
from pipelines.emulator.auth.login import Logins
from pipelines.emulator.auth.soap import Soap
from pipelines.emulator.bulk.api import Bulk
from pipelines.emulator.bulk.job_runner import Runner
from pipelines.emulator.bulk.jobs import Jobs
from pipelines.emulator.bulk.processing import Processor
from pipelines.emulator.bulk_v1.api import AsyncBulk
from pipelines.emulator.messages import Answer, ApiError, Call, bearer, error_items
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver
from pipelines.emulator.org.values import WrongJsonType
from pipelines.emulator.rest.composite import Composite
from pipelines.emulator.rest.composite_tree import Trees
from pipelines.emulator.rest.records_api import NOT_FOUND, STATUSES, Refused, Rest
from pipelines.emulator.rest.resources import NEWEST, OLDEST, OLDEST_SUPPORTED, About, versions
from pipelines.emulator.rest.sobject_collections import Collections
from pipelines.emulator.routes import Handler, routes
from pipelines.emulator.soql.syntax import SoqlError
from pipelines.emulator.transport.control_api import Door
from pipelines.emulator.transport.faults import Faults
from pipelines.emulator.xml_responses import check_body, represented, without_ending

VERSIONED = re.compile(r"/services/data/v(\d{1,3}\.\d)(/.*)?")
SOAP = re.compile(r"/services/Soap/([uc])/(\d{1,3}\.\d)(?:/\w+)?")


class Emulator:
    """One org: `answer` for its own paths, `door` for the emulator's."""

    def __init__(self, org: Org, faults: Faults) -> None:
        self._org = org
        self.runner = Runner()
        saver = Saver(org)
        self._processor = Processor(org, saver)
        self._jobs = Jobs(org, self._start)
        rest = Rest(org, saver)
        logins = Logins(org)
        identities = Identities(org, logins, f"{NEWEST}.0")
        self._soap = Soap(org, logins)
        self._open: dict[str, Handler] = {
            "/services/data": lambda _call: Answer(200, versions()),
            "/services/oauth2/token": logins.token,
            "/services/oauth2/revoke": identities.revoke,
            "/services/oauth2/introspect": identities.introspect,
            "/services/oauth2/userinfo": identities.userinfo,
        }
        self._identity = identities.identity
        self._about = About(org)
        self._async = AsyncBulk(org, saver, self._about.count_request)
        self._routes = routes(
            org,
            rest,
            Collections(org, saver, rest),
            Bulk(self._jobs, faults.of_next_job),
            Composite(org, self.dispatch),
            Trees(org, saver, rest),
        )
        self.door = Door(org, faults, rest, self._jobs).answer

    def begin(self) -> None:
        """Go on with the jobs that were under way when the process ended."""
        self.runner.start()
        for job_id in self._jobs.open_work():
            self._start(job_id)

    def _start(self, job_id: str) -> None:
        self.runner.add(self._processor.carry(job_id))

    def expire(self, token: str) -> None:
        """End a session behind its client's back."""
        self._org.sessions.end(token)

    def answer(self, call: Call) -> Answer:
        """The answer to any request of the org's own paths, in the form its client prefers."""
        call = without_ending(call)
        return represented(call, self._answer(call))

    def _answer(self, call: Call) -> Answer:
        handler = self._open.get(call.path)
        if handler is not None:
            return handler(call)
        if call.path.startswith("/id/"):
            return self._identity(call)
        if call.path.startswith("/services/async/"):
            return self._async.answer(call)
        soap = SOAP.fullmatch(call.path)
        if soap is not None and call.method == "POST":
            return self._soap.answer(call, soap[1], soap[2])
        try:
            return self._authorised(call)
        except ApiError as error:
            return Answer(error.status, error.errors)

    def _authorised(self, call: Call) -> Answer:
        versioned = VERSIONED.fullmatch(call.path)
        if versioned is not None:
            _check_version(versioned[1])
        session = self._org.sessions.use(bearer(call))
        if session is None:
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self._check_api_enabled(session.user_id)
        if versioned is None:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        usage = self._about.count_request()
        answer = self.dispatch(replace(call, user_id=session.user_id))
        answer.headers["Sforce-Limit-Info"] = usage
        if float(versioned[1]) < OLDEST_SUPPORTED:
            answer.headers["Warning"] = f'299 - "This API is deprecated: v{versioned[1]}"'
        return answer

    def _check_api_enabled(self, user_id: str) -> None:
        """A user without API access; with 401 or with 403, nobody has told (§12)."""
        status = self._org.behaviour.api_disabled_status
        if user_id not in self._org.without_api:
            return
        if status == 401:
            # A client that takes every 401 for an expired session would log in for ever.
            message = "This session is not valid for use with the REST API"
            raise ApiError(401, "INVALID_SESSION_ID", message)
        message = "The REST API is not enabled for this Organization."
        raise ApiError(status, "API_DISABLED_FOR_ORG", message)

    def dispatch(self, call: Call) -> Answer:
        """Route a request whose caller is known; every refusal becomes its JSON here."""
        versioned = VERSIONED.fullmatch(call.path)
        if versioned is None:
            return _refusal(ApiError(404, "NOT_FOUND", NOT_FOUND))
        call = replace(call, version=versioned[1])
        try:
            check_body(call)
            return self._routes.answer(call, versioned[2] or "")
        except ApiError as error:
            return _refusal(error)
        except Refused as refused:
            until = self._org.behaviour.misspelt_duplicate_result_until
            value = error_items(refused.failures, "errorCode", call.version, until)
            return Answer(STATUSES.get(refused.failures[0].code, 400), value)
        except RecursionError:
            return _refusal(ApiError(400, "JSON_PARSER_ERROR", "the body is nested too deeply"))
        except SoqlError as error:
            return _refusal(ApiError(400, error.code, str(error)))
        except WrongJsonType as error:
            return _refusal(ApiError(400, "JSON_PARSER_ERROR", str(error)))


def _check_version(version: str) -> None:
    if float(version) < OLDEST:
        raise ApiError(410, "GONE", f"API version {version} has been retired")
    if float(version) > NEWEST or not version.endswith(".0"):
        raise ApiError(404, "NOT_FOUND", NOT_FOUND)


def _refusal(error: ApiError) -> Answer:
    return Answer(error.status, error.errors)
