"""The sink: a server on loopback that responds like an org with Bulk API 2.0, at almost no cost.

    python -m tests.benchmarks.sink [--failed-share 0.03] [--known-leads 1000000 --known-share 0.1]

Measure the speed of a load with it: the client does all of its work, and the org takes no time. The
result files hold valid ids, the rows to the byte, and counts that add up. So a client that checks
everything finds no error.

The sink reads no row. It rejects only a random share, finds no duplicate external id, runs no
assignment rule, and compresses nothing. It prints `sink on URL` and serves until it is stopped.

`GET /sink/statistics` returns its work so far: calls, rows, bytes and CPU seconds. `busy_seconds`
is the time from a request read to its response sent.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from re import Match, Pattern
from re import compile as pattern
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pyarrow.csv

from tests.benchmarks import sink_org
from tests.benchmarks.sink_jobs import Jobs, Upload
from tests.benchmarks.sink_known import KnownLeads

CSV, JSON = "text/csv; charset=UTF-8", "application/json;charset=UTF-8"


@dataclass
class Request:
    """A complete request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytearray

    def json(self) -> Any:
        """Return the body as a document."""
        return json.loads(self.body)


@dataclass
class Response:
    """A response; its `parts` are sent one after the other, without a copy."""

    status: int = 200
    parts: Sequence[Any] = ()
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Statistics:
    """The sink's work so far."""

    call_count: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    busy_seconds: float = 0.0


class Sink:
    """The org and its server."""

    def __init__(self, failed_share: float = 0.0, known: KnownLeads | None = None) -> None:
        self.jobs = Jobs(failed_share, known=known or KnownLeads())
        self.statistics = Statistics()
        self._leads = itertools.count(1)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Serve each connection in a thread of its own, until the process ends."""
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, io.BufferedReader(_raw(connection), 1 << 18) as stream:
            try:
                while (request := _read(stream)) is not None:
                    started = time.perf_counter()
                    sent = _send(connection, self.respond(request))
                    self._count(len(request.body), sent, time.perf_counter() - started)
            except (ConnectionError, TimeoutError):
                return  # the client has closed the connection

    def _count(self, received: int, sent: int, seconds: float) -> None:
        with self._lock:
            self.statistics.call_count += 1
            self.statistics.received_bytes += received
            self.statistics.sent_bytes += sent
            self.statistics.busy_seconds += seconds

    def respond(self, request: Request) -> Response:
        """Return the org's response to a request."""
        for method, path, handler in ROUTES:
            found = path.fullmatch(request.path)
            if found and method == request.method:
                return handler(self, request, found)
        return _error_response(404, "NOT_FOUND", "The requested resource does not exist")

    # --- the org

    def log_in(self, _request: Request, _path: Match[str]) -> Response:
        identity = f"{self.url}/id/{sink_org.ORG_ID}/{sink_org.USER_ID}"
        token = {"access_token": "00D!sink", "token_type": "Bearer"}
        return _json(token | {"instance_url": self.url, "id": identity})

    def resources(self, _request: Request, _path: Match[str]) -> Response:
        return _json({"identity": f"{self.url}/id/{sink_org.ORG_ID}/{sink_org.USER_ID}"})

    def describe(self, _request: Request, path: Match[str]) -> Response:
        return _json(sink_org.describe(path["name"]))

    def limits(self, _request: Request, _path: Match[str]) -> Response:
        return _json(sink_org.limits())

    def query(self, request: Request, _path: Match[str]) -> Response:
        soql = request.query.get("q", "")
        if "GROUP BY IsDeleted" in soql:
            groups = [{"IsDeleted": False, "made": self.jobs.count_created_until(soql)}]
            return _json({"totalSize": 1, "done": True, "records": groups})
        if "COUNT()" in soql:
            return _json({"totalSize": self.jobs.count(soql), "done": True, "records": []})
        found = sink_org.find(soql)
        if sink_org.is_of_leads(soql):
            found = self.jobs.known.find(soql)
        return _json({"totalSize": len(found), "done": True, "records": found})

    def show_statistics(self, _request: Request, _path: Match[str]) -> Response:
        more = {"row_count": self.jobs.row_count, "cpu_seconds": time.process_time()}
        return _json(vars(self.statistics) | more)

    # --- ingest jobs

    def open_job(self, request: Request, _path: Match[str]) -> Response:
        return _json(self.jobs.open(request.json()))

    def list_jobs(self, _request: Request, _path: Match[str]) -> Response:
        jobs = [upload.current() for upload in self.jobs.uploads.values()]
        return _json({"done": True, "records": jobs, "nextRecordsUrl": None})

    def receive_data(self, request: Request, path: Match[str]) -> Response:
        upload = self.jobs.uploads.get(path["id"])
        if upload is None or upload.job["state"] != "Open":
            return _no_job() if upload is None else _job_closed()
        if upload.results is not None:
            return _error_response(400, "INVALIDJOB", "Found multipe contents for job")
        self.jobs.receive(upload, request.body)
        return Response(201)

    def change_job(self, request: Request, path: Match[str]) -> Response:
        upload = self.jobs.uploads.get(path["id"])
        if upload is None:
            return _no_job()
        changed = self.jobs.change(upload, request.json()["state"])
        return _job_closed() if changed is None else _json(changed)

    def show_job(self, _request: Request, path: Match[str]) -> Response:
        upload = self.jobs.uploads.get(path["id"])
        return _no_job() if upload is None else _json(upload.current())

    def results(self, _request: Request, path: Match[str]) -> Response:
        upload: Upload | None = self.jobs.uploads.get(path["id"])
        if upload is None or upload.results is None:
            return _no_job()
        results = upload.results.result()
        files = {
            "successfulResults": results.successful,
            "failedResults": results.failed,
            "unprocessedrecords": results.unprocessed,
        }
        return Response(parts=[files[path["file"]]], kind=CSV)

    # --- query jobs

    def open_query(self, request: Request, _path: Match[str]) -> Response:
        return _json(self.jobs.open_query(request.json()))

    def show_query(self, _request: Request, path: Match[str]) -> Response:
        query = self.jobs.queries.get(path["id"])
        return _json(query[0]) if query else _no_job()

    def query_results(self, request: Request, path: Match[str]) -> Response:
        query = self.jobs.queries.get(path["id"])
        if query is None:
            return _no_job()
        leads = query[1]
        first = int(request.query.get("locator", "0"))
        last = first + int(request.query.get("maxRecords", "50000"))
        csv = io.BytesIO()
        pa.csv.write_csv(leads.slice(first, last - first), csv)
        locator = str(last) if last < leads.num_rows else "null"
        rows = str(min(last, leads.num_rows) - first)
        headers = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": rows}
        return Response(parts=[csv.getbuffer()], kind=CSV, headers=headers)

    # --- collections

    def create(self, request: Request, _path: Match[str]) -> Response:
        records = request.json()["records"]
        first = 900_000_000_000  # far from the ids of bulk jobs
        ids = (f"00Q{first + next(self._leads):012d}EAA" for _ in records)
        return _json([{"id": one, "success": True, "errors": []} for one in ids])

    def retrieve(self, request: Request, _path: Match[str]) -> Response:
        ids = request.json()["ids"]
        return _json([{"Id": one, "OwnerId": sink_org.DEFAULT_OWNER} for one in ids])


Handler = Callable[[Sink, Request, Match[str]], Response]
_ROOT = r"/services/data/v\d+\.0"
_INGEST = rf"{_ROOT}/jobs/ingest/(?P<id>\w+)"
_QUERY = rf"{_ROOT}/jobs/query/(?P<id>\w+)"
_FILES = "successfulResults|failedResults|unprocessedrecords"

ROUTES: list[tuple[str, Pattern[str], Handler]] = [
    (method, pattern(path), handler)
    for method, path, handler in (
        ("GET", rf"{_INGEST}/?", Sink.show_job),
        ("PUT", rf"{_INGEST}/batches/?", Sink.receive_data),
        ("PATCH", rf"{_INGEST}/?", Sink.change_job),
        ("GET", rf"{_INGEST}/(?P<file>{_FILES})/?", Sink.results),
        ("GET", rf"{_ROOT}/query(?:All)?/?", Sink.query),
        ("POST", rf"{_ROOT}/jobs/ingest/?", Sink.open_job),
        ("GET", rf"{_ROOT}/jobs/ingest/?", Sink.list_jobs),
        ("POST", rf"{_ROOT}/jobs/query/?", Sink.open_query),
        ("GET", _QUERY, Sink.show_query),
        ("GET", rf"{_QUERY}/results/?", Sink.query_results),
        ("POST", rf"{_ROOT}/composite/sobjects/?", Sink.create),
        ("POST", rf"{_ROOT}/composite/sobjects/Lead/?", Sink.retrieve),
        ("GET", rf"{_ROOT}/sobjects/(?P<name>\w+)/describe/?", Sink.describe),
        ("GET", rf"{_ROOT}/limits/?", Sink.limits),
        ("GET", rf"{_ROOT}/?", Sink.resources),
        ("POST", r"/services/oauth2/token", Sink.log_in),
        ("GET", r"/sink/statistics", Sink.show_statistics),
    )
]


def _raw(connection: socket.socket) -> socket.SocketIO:
    return connection.makefile("rb", buffering=0)


def _read(stream: io.BufferedReader[Any]) -> Request | None:
    """Return the next request; None at the end of the connection."""
    first = stream.readline().decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    url = urlsplit(first[1])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    return Request(first[0], url.path, query, headers, _read_body(stream, headers))


def _read_body(stream: io.BufferedReader[Any], headers: dict[str, str]) -> bytearray:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(stream)
    body = bytearray(int(headers.get("content-length", "0")))
    rest = memoryview(body)
    while len(rest):
        count = stream.readinto(rest)
        if not count:
            raise ConnectionError
        rest = rest[count:]
    return body


def _read_chunks(stream: io.BufferedReader[Any]) -> bytearray:
    body = bytearray()
    while size := int(stream.readline().split(b";")[0], 16):
        body += stream.read(size)
        stream.readline()
    while stream.readline().strip():
        pass
    return body


def _send(connection: socket.socket, response: Response) -> int:
    length = sum(memoryview(part).nbytes for part in response.parts)
    headers = {"Content-Type": response.kind, "Content-Length": str(length), **response.headers}
    status = HTTPStatus(response.status)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if length < 1 << 16:
        connection.sendall(b"".join([head, *response.parts]))
        return length
    connection.sendall(head)
    for part in response.parts:
        connection.sendall(part)
    return length


def _json(document: Any, status: int = 200) -> Response:
    return Response(status, [json.dumps(document).encode()])


def _error_response(status: int, code: str, message: str) -> Response:
    return _json([{"errorCode": code, "message": message}], status)


def _no_job() -> Response:
    return _error_response(404, "NOT_FOUND", "The requested resource does not exist")


def _job_closed() -> Response:
    return _error_response(400, "INVALIDJOBSTATE", "The job is no longer open")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--failed-share", type=float, default=0.0)
    parser.add_argument("--known-leads", type=int, default=0)
    parser.add_argument("--known-share", type=float, default=0.0)
    options = parser.parse_args(arguments)
    sink = Sink(options.failed_share, KnownLeads(options.known_leads, options.known_share))
    sys.stdout.write(f"sink on {sink.url}\n")
    sys.stdout.flush()
    sink.serve()


if __name__ == "__main__":
    main()
