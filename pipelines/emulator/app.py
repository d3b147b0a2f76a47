"""The org's resources: which path is whose, who may call it, and how a refusal is written."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote

from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipelines.emulator.bulk import Bulk
from pipelines.emulator.calls import Answer, ApiError, Call, error_items
from pipelines.emulator.composite import Composite
from pipelines.emulator.faults import FaultRefused, Faults
from pipelines.emulator.job_info import described
from pipelines.emulator.jobs import Jobs
from pipelines.emulator.login import Logins
from pipelines.emulator.org import Org
from pipelines.emulator.org_sections import OrgFileError
from pipelines.emulator.processing import Processor
from pipelines.emulator.record_collections import Collections
from pipelines.emulator.records import Saver
from pipelines.emulator.rest import STATUSES, Refused, Rest
from pipelines.emulator.runner import Runner
from pipelines.emulator.soql import SoqlError
from pipelines.emulator.trees import Trees
from pipelines.emulator.values import WrongJsonType

NEWEST, OLDEST = 68, 31
SEASONS = ("Winter", "Spring", "Summer")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
VERSIONED = re.compile(r"/services/data/v(\d{1,3}\.\d)(/.*)?")
SOAP = re.compile(r"/services/Soap/[uc]/(\d{1,3}\.\d)(?:/\w+)?")
MAX_BODY = 600_000_000
NOT_FOUND = "The requested resource does not exist"

Handler = Callable[..., Answer]


@dataclass(frozen=True)
class Resource:
    """A path below the version, and what answers each method."""

    pattern: re.Pattern[str]
    handlers: dict[str, Handler]


class Emulator:
    """One org behind HTTP."""

    def __init__(self, org: Org, faults: Faults) -> None:
        self.org = org
        self.faults = faults
        self.runner = Runner()
        saver = Saver(org)
        self._processor = Processor(org, saver)
        self._jobs = Jobs(org, self._start)
        self._rest = Rest(org, saver)
        self._logins = Logins(org)
        self._resources = self._routes(
            self._rest,
            Collections(org, saver, self._rest),
            Bulk(self._jobs, faults.of_next_job),
            Composite(org, self.dispatch),
            Trees(org, saver, self._rest),
        )

    def begin(self) -> None:
        """Go on with the jobs that were under way when the process ended."""
        self.runner.start()
        for job_id in self._jobs.open_work():
            self._start(job_id)

    def _start(self, job_id: str) -> None:
        self.runner.add(self._processor.carry(job_id))

    def _routes(
        self, rest: Rest, many: Collections, bulk: Bulk, composite: Composite, trees: Trees
    ) -> list[Resource]:
        table: dict[str, dict[str, Handler]] = {
            "": {"GET": self._list_resources},
            "/limits": {"GET": self._limits},
            "/limits/recordCount": {"GET": rest.record_count},
            "/query": {"GET": rest.query},
            "/queryAll": {"GET": rest.query_all},
            "/query(?:All)?/{}": {"GET": rest.query_more},
            "/sobjects": {"GET": rest.describe_global},
            "/sobjects/{}": {"GET": rest.describe_brief, "POST": rest.create},
            "/sobjects/{}/describe": {"GET": rest.describe},
            "/sobjects/{}/{}": {
                "GET": rest.read,
                "PATCH": rest.update,
                "DELETE": rest.delete,
            },
            "/sobjects/{}/{}/{}": {
                "GET": rest.read_by_key,
                "PATCH": rest.upsert,
                "DELETE": rest.delete_by_key,
            },
            "/composite": {"POST": composite.composite},
            "/composite/batch": {"POST": composite.batch},
            "/composite/tree/{}": {"POST": trees.tree},
            "/composite/sobjects": {
                "POST": many.create_many,
                "PATCH": many.update_many,
                "DELETE": many.delete_many,
            },
            "/composite/sobjects/{}": {"GET": many.read_many, "POST": many.read_back},
            "/composite/sobjects/{}/{}": {"PATCH": many.upsert_many},
            "/jobs/ingest": {"GET": bulk.list_ingest, "POST": bulk.create_ingest},
            "/jobs/ingest/{}": {
                "GET": bulk.show_ingest,
                "PATCH": bulk.change_ingest,
                "DELETE": bulk.delete_ingest,
            },
            "/jobs/ingest/{}/batches": {"PUT": bulk.upload},
            "/jobs/ingest/{}/{}": {"GET": bulk.results},
            "/jobs/query": {"GET": bulk.list_query, "POST": bulk.create_query},
            "/jobs/query/{}": {
                "GET": bulk.show_query,
                "PATCH": bulk.change_query,
                "DELETE": bulk.delete_query,
            },
            "/jobs/query/{}/results": {"GET": bulk.query_results},
            "/jobs/query/{}/resultPages": {"GET": bulk.query_result_pages},
        }
        return [
            Resource(re.compile(path.replace("{}", "([^/]+)")), handlers)
            for path, handlers in table.items()
        ]

    def answer(self, call: Call) -> Answer:
        """The answer to any request of the org's own paths."""
        if call.path == "/services/data":
            return Answer(200, versions())
        if call.path == "/services/oauth2/token" and call.method == "POST":
            return self._logins.token(call)
        soap = SOAP.fullmatch(call.path)
        if soap is not None and call.method == "POST":
            return self._logins.soap(call, soap[1])
        try:
            return self._authorised(call)
        except ApiError as error:
            return Answer(error.status, error.errors)

    def _authorised(self, call: Call) -> Answer:
        versioned = VERSIONED.fullmatch(call.path)
        if versioned is not None:
            _check_version(versioned[1])
        user_id = self.org.user_of(bearer(call))
        if user_id is None:
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self._check_api_enabled(user_id)
        call = replace(call, user_id=user_id)
        identity = re.fullmatch(r"/id/(00D\w{12,15})/(005\w{12,15})", call.path)
        if identity is not None or call.path == "/services/oauth2/userinfo":
            return self._logins.identity(call, user_id)
        if versioned is None:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        used = self._count_request()
        answer = self.dispatch(call)
        allowed = self.org.file.daily_api_requests
        answer.headers["Sforce-Limit-Info"] = f"api-usage={used}/{allowed}"
        if int(float(versioned[1])) < 41:
            answer.headers["Warning"] = f'299 - "This API is deprecated: v{versioned[1]}"'
        return answer

    def _check_api_enabled(self, user_id: str) -> None:
        """A user without API access; with 401 or with 403, nobody has told (§12)."""
        status = self.org.behaviour.api_disabled_status
        if user_id not in self.org.without_api:
            return
        if status == 401:
            # A client that takes every 401 for an expired session would log in for ever.
            message = "This session is not valid for use with the REST API"
            raise ApiError(401, "INVALID_SESSION_ID", message)
        message = "The REST API is not enabled for this Organization."
        raise ApiError(status, "API_DISABLED_FOR_ORG", message)

    def _count_request(self) -> int:
        with self.org.store.transaction():
            if self._used() >= self.org.file.daily_api_requests:
                raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            return self.org.store.count_up("api_requests")

    def _used(self) -> int:
        return int(self.org.store.get("api_requests") or 0)

    def dispatch(self, call: Call) -> Answer:
        """Route a request whose caller is known; every refusal becomes its JSON here."""
        versioned = VERSIONED.fullmatch(call.path)
        if versioned is None:
            return _refusal(ApiError(404, "NOT_FOUND", NOT_FOUND))
        call = replace(call, version=versioned[1])
        try:
            return self._routed(call, versioned[2] or "")
        except ApiError as error:
            return _refusal(error)
        except Refused as refused:
            until = self.org.behaviour.misspelt_duplicate_result_until
            value = error_items(refused.failures, "errorCode", call.version, until)
            return Answer(STATUSES.get(refused.failures[0].code, 400), value)
        except RecursionError:
            return _refusal(ApiError(400, "JSON_PARSER_ERROR", "the body is nested too deeply"))
        except SoqlError as error:
            return _refusal(ApiError(400, error.code, str(error)))
        except WrongJsonType as error:
            return _refusal(ApiError(400, "JSON_PARSER_ERROR", str(error)))

    def _routed(self, call: Call, path: str) -> Answer:
        for resource in self._resources:
            found = resource.pattern.fullmatch(path)
            if found is None:
                continue
            handler = resource.handlers.get(call.method)
            if handler is None:
                allowed = ",".join(resource.handlers)
                message = f"HTTP Method '{call.method}' not allowed. Allowed are {allowed}"
                raise ApiError(405, "METHOD_NOT_ALLOWED", message)
            return handler(call, *map(unquote, found.groups()))
        raise ApiError(404, "NOT_FOUND", NOT_FOUND)

    def _list_resources(self, call: Call) -> Answer:
        names = ("composite", "jobs", "limits", "query", "queryAll", "sobjects")
        resources = {name: f"{call.data}/{name}" for name in names}
        return Answer(200, resources | {"identity": f"{call.base}/id/{self.org.id}/{call.user_id}"})

    def _limits(self, _call: Call) -> Answer:
        allowed = self.org.file.daily_api_requests
        limits = {
            "DailyApiRequests": allowed,
            "DailyBulkApiBatches": 15_000,
            "DailyBulkV2QueryFileStorageMB": 976_562,
            "DailyBulkV2QueryJobs": 10_000,
            "DataStorageMB": 1_024,
            "SingleEmail": 5_000,
        }
        shown = {name: {"Max": most, "Remaining": most} for name, most in limits.items()}
        shown["DailyApiRequests"]["Remaining"] = max(0, allowed - self._used())
        return Answer(200, shown)

    # -- the door, outside the org's own paths ------------------------------------------------

    def door(self, call: Call) -> Answer:
        """`/emulator/…`: what tests and people may do to the org that no org would allow."""
        doors: dict[tuple[str, str], Callable[[Call], Answer]] = {
            ("POST", "/emulator/reset"): self._reset,
            ("GET", "/emulator/requests"): lambda _call: Answer(200, self.faults.requests()),
            ("PUT", "/emulator/faults"): self._put_faults,
            ("GET", "/emulator/org"): lambda _call: Answer(200, self._dump()),
        }
        found = doors.get((call.method, call.path))
        if found is None:
            known = ", ".join(f"{method} {path}" for method, path in doors)
            return _door_refusal(404, f"no such door; there are {known}")
        return found(call)

    def _reset(self, call: Call) -> Answer:
        try:
            text = call.body.decode()
            self.org.reset(text if text.strip() else None)
        except UnicodeDecodeError:
            return _door_refusal(400, "the org file is not UTF-8")
        except OrgFileError as error:
            return _door_refusal(400, f"the org file: {error}")
        self.faults.forget()
        return Answer(200, {"org_id": self.org.id})

    def _put_faults(self, call: Call) -> Answer:
        try:
            self.faults.put(call.json())
        except ApiError as error:
            return _door_refusal(400, str(error))
        except FaultRefused as error:
            return _door_refusal(400, str(error))
        return Answer(200, {"faults": len(self.faults)})

    def _dump(self) -> dict[str, object]:
        with self.org.store.lock:
            return {
                "leads": self._rest.dump("Lead"),
                "contacts": self._rest.dump("Contact"),
                "jobs": [described(job) for job in self._jobs.all("V2Ingest")],
            }


def versions() -> list[dict[str, str]]:
    """Every version on offer, oldest first; v68.0 is Winter '27 (§2)."""
    listed = []
    for number in range(OLDEST, NEWEST + 1):
        # Three releases a year; Winter carries the number of the year to come.
        since = number - NEWEST
        season, year = SEASONS[since % 3], 27 + (since // 3)
        version = f"{number}.0"
        label = f"{season} '{year % 100:02d}"
        listed.append({"label": label, "url": f"/services/data/v{version}", "version": version})
    return listed


def bearer(call: Call) -> str:
    """The token of a request; the old scheme name is still understood."""
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in {"bearer", "oauth"} else ""


def _check_version(version: str) -> None:
    if float(version) < OLDEST:
        raise ApiError(410, "GONE", f"API version {version} has been retired")
    if float(version) > NEWEST or not version.endswith(".0"):
        raise ApiError(404, "NOT_FOUND", NOT_FOUND)


def _refusal(error: ApiError) -> Answer:
    return Answer(error.status, error.errors)


def _door_refusal(status: int, sentence: str) -> Answer:
    return Answer(status, {"error": sentence})


def web_app(emulator: Emulator) -> Starlette:
    """The ASGI application: one endpoint, the routing being the org's own."""

    async def endpoint(request: Request) -> Response:
        try:
            call = await read_call(request)
        except ClientDisconnect:
            # Half an upload is none: the request never happened.
            return Response(status_code=400)
        except BodyRefused as refused:
            return _response(
                Answer(refused.status, [{"errorCode": "INVALID_BODY", "message": str(refused)}])
            )
        act = emulator.door if call.path.startswith("/emulator/") else emulator.answer
        return _response(await to_thread.run_sync(act, call))

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=METHODS)])
    # The lowest level: what a large answer costs should be the org's work, not zlib's.
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=1)
    return app


class BodyRefused(Exception):
    """A body that cannot be read."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_call(request: Request) -> Call:
    """The whole request, its body unpacked where it came gzipped."""
    pieces = [piece async for piece in request.stream()]
    body = b"".join(pieces)
    headers = {name.lower(): value for name, value in request.headers.items()}
    if headers.get("content-encoding", "").lower() == "gzip":
        body = _unzipped(body)
    path = request.scope["path"].rstrip("/") or "/"
    query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    return Call(
        method=request.method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        base=f"{request.scope['scheme']}://{headers.get('host', '127.0.0.1')}",
    )


def _unzipped(body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(body, MAX_BODY)
    except zlib.error as error:
        raise BodyRefused(400, f"the body is not gzip: {error}") from error
    if unzip.unconsumed_tail:
        raise BodyRefused(413, "the body is too large")
    return plain


def _response(answer: Answer) -> Response:
    headers = answer.headers | {"Content-Type": answer.content_type}
    if answer.pieces is not None:
        return StreamingResponse(iter(answer.pieces), answer.status, headers)
    if answer.status in {204, 304}:
        return Response(status_code=answer.status, headers=answer.headers)
    if answer.value is None and answer.text is None:
        return Response(status_code=answer.status, headers=answer.headers)
    return Response(answer.body(), answer.status, headers)
