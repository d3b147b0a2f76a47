"""A sink: answers like an org with Bulk API 2.0, on loopback, and costs next to nothing.

    python -m tests.benchmarks.sink [--failed-share 0.03] [--known-leads 1000000 --known-share 0.1]

It is what the speed of a load is measured against: the org's own time taken away, everything that a
client has to do left in. Uploads are stored as they came; the result files hold true ids, the rows
to the byte, and counts that add up, so a client that checks everything finds everything right. It
does not look into a row: it refuses nobody but a drawn share, sees no repeated external id, runs no
assignment rule, and compresses nothing. Says `sink on URL` and serves until it is ended.

`GET /sink/told` answers what it has done so far: calls, rows, bytes, its own processor seconds, and
the seconds between a request read and its answer sent.
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
    """A request, read to its end."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytearray

    def json(self) -> Any:
        """Its body."""
        return json.loads(self.body)


@dataclass
class Answer:
    """What goes back: `parts` are sent one behind the other, without being copied."""

    status: int = 200
    parts: Sequence[Any] = ()
    kind: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Told:
    """What the sink has done so far."""

    call_count: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    busy_seconds: float = 0.0


class Sink:
    """The org, and the door to it."""

    def __init__(self, failed_share: float = 0.0, known: KnownLeads | None = None) -> None:
        self.jobs = Jobs(failed_share, known=known or KnownLeads())
        self.told = Told()
        self._leads = itertools.count(1)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Answer until the process is ended, each connection by a thread of its own."""
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, io.BufferedReader(_raw(connection), 1 << 18) as stream:
            try:
                while (request := _read(stream)) is not None:
                    begun = time.perf_counter()
                    sent = _send(connection, self.answer(request))
                    self._note(len(request.body), sent, time.perf_counter() - begun)
            except (ConnectionError, TimeoutError):
                return  # whoever asked has gone

    def _note(self, received: int, sent: int, seconds: float) -> None:
        with self._lock:
            self.told.call_count += 1
            self.told.received_bytes += received
            self.told.sent_bytes += sent
            self.told.busy_seconds += seconds

    def answer(self, request: Request) -> Answer:
        """What the org says to a request."""
        for method, path, step in ROUTES:
            found = path.fullmatch(request.path)
            if found and method == request.method:
                return step(self, request, found)
        return _refusal(404, "NOT_FOUND", "The requested resource does not exist")

    # --- what it is

    def log_in(self, _request: Request, _path: Match[str]) -> Answer:
        identity = f"{self.url}/id/{sink_org.ORG_ID}/{sink_org.USER_ID}"
        token = {"access_token": "00D!sink", "token_type": "Bearer"}
        return _json(token | {"instance_url": self.url, "id": identity})

    def resources(self, _request: Request, _path: Match[str]) -> Answer:
        return _json({"identity": f"{self.url}/id/{sink_org.ORG_ID}/{sink_org.USER_ID}"})

    def describe(self, _request: Request, path: Match[str]) -> Answer:
        return _json(sink_org.describe(path["name"]))

    def limits(self, _request: Request, _path: Match[str]) -> Answer:
        return _json(sink_org.limits())

    def find(self, request: Request, _path: Match[str]) -> Answer:
        soql = request.query.get("q", "")
        if "GROUP BY IsDeleted" in soql:
            groups = [{"IsDeleted": False, "made": self.jobs.count_made_until(soql)}]
            return _json({"totalSize": 1, "done": True, "records": groups})
        if "COUNT()" in soql:
            return _json({"totalSize": self.jobs.count(soql), "done": True, "records": []})
        found = sink_org.find(soql)
        if sink_org.is_of_leads(soql):
            found = self.jobs.known.find(soql)
        return _json({"totalSize": len(found), "done": True, "records": found})

    def tell(self, _request: Request, _path: Match[str]) -> Answer:
        own = {"row_count": self.jobs.row_count, "cpu_seconds": time.process_time()}
        return _json(vars(self.told) | own)

    # --- ingest jobs

    def open_job(self, request: Request, _path: Match[str]) -> Answer:
        return _json(self.jobs.open(request.json()))

    def list_jobs(self, _request: Request, _path: Match[str]) -> Answer:
        shown = [upload.settled() for upload in self.jobs.uploads.values()]
        return _json({"done": True, "records": shown, "nextRecordsUrl": None})

    def take_data(self, request: Request, path: Match[str]) -> Answer:
        upload = self.jobs.uploads.get(path["id"])
        if upload is None or upload.shown["state"] != "Open":
            return _no_job() if upload is None else _too_late()
        if upload.results is not None:
            return _refusal(400, "INVALIDJOB", "Found multipe contents for job")
        self.jobs.receive(upload, request.body)
        return Answer(201)

    def change_job(self, request: Request, path: Match[str]) -> Answer:
        upload = self.jobs.uploads.get(path["id"])
        if upload is None:
            return _no_job()
        changed = self.jobs.change(upload, request.json()["state"])
        return _too_late() if changed is None else _json(changed)

    def show_job(self, _request: Request, path: Match[str]) -> Answer:
        upload = self.jobs.uploads.get(path["id"])
        return _no_job() if upload is None else _json(upload.settled())

    def results(self, _request: Request, path: Match[str]) -> Answer:
        upload: Upload | None = self.jobs.uploads.get(path["id"])
        if upload is None or upload.results is None:
            return _no_job()
        made = upload.results.result()
        files = {
            "successfulResults": made.successful,
            "failedResults": made.failed,
            "unprocessedrecords": made.unprocessed,
        }
        return Answer(parts=[files[path["file"]]], kind=CSV)

    # --- query jobs

    def open_query(self, request: Request, _path: Match[str]) -> Answer:
        return _json(self.jobs.ask(request.json()))

    def show_query(self, _request: Request, path: Match[str]) -> Answer:
        known = self.jobs.queries.get(path["id"])
        return _json(known[0]) if known else _no_job()

    def page(self, request: Request, path: Match[str]) -> Answer:
        known = self.jobs.queries.get(path["id"])
        if known is None:
            return _no_job()
        found = known[1]
        first = int(request.query.get("locator", "0"))
        last = first + int(request.query.get("maxRecords", "50000"))
        csv = io.BytesIO()
        pa.csv.write_csv(found.slice(first, last - first), csv)
        locator = str(last) if last < found.num_rows else "null"
        rows = str(min(last, found.num_rows) - first)
        told = {"Sforce-Locator": locator, "Sforce-NumberOfRecords": rows}
        return Answer(parts=[csv.getbuffer()], kind=CSV, headers=told)

    # --- collections

    def create(self, request: Request, _path: Match[str]) -> Answer:
        made = request.json()["records"]
        first = 900_000_000_000  # far from the ids of bulk jobs
        ids = (f"00Q{first + next(self._leads):012d}EAA" for _ in made)
        return _json([{"id": one, "success": True, "errors": []} for one in ids])

    def retrieve(self, request: Request, _path: Match[str]) -> Answer:
        wanted = request.json()["ids"]
        return _json([{"Id": one, "OwnerId": sink_org.DEFAULT_OWNER} for one in wanted])


Step = Callable[[Sink, Request, Match[str]], Answer]
_ROOT = r"/services/data/v\d+\.0"
_INGEST = rf"{_ROOT}/jobs/ingest/(?P<id>\w+)"
_QUERY = rf"{_ROOT}/jobs/query/(?P<id>\w+)"
_FILES = "successfulResults|failedResults|unprocessedrecords"

ROUTES: list[tuple[str, Pattern[str], Step]] = [
    (method, pattern(path), step)
    for method, path, step in (
        ("GET", rf"{_INGEST}/?", Sink.show_job),
        ("PUT", rf"{_INGEST}/batches/?", Sink.take_data),
        ("PATCH", rf"{_INGEST}/?", Sink.change_job),
        ("GET", rf"{_INGEST}/(?P<file>{_FILES})/?", Sink.results),
        ("GET", rf"{_ROOT}/query(?:All)?/?", Sink.find),
        ("POST", rf"{_ROOT}/jobs/ingest/?", Sink.open_job),
        ("GET", rf"{_ROOT}/jobs/ingest/?", Sink.list_jobs),
        ("POST", rf"{_ROOT}/jobs/query/?", Sink.open_query),
        ("GET", _QUERY, Sink.show_query),
        ("GET", rf"{_QUERY}/results/?", Sink.page),
        ("POST", rf"{_ROOT}/composite/sobjects/?", Sink.create),
        ("POST", rf"{_ROOT}/composite/sobjects/Lead/?", Sink.retrieve),
        ("GET", rf"{_ROOT}/sobjects/(?P<name>\w+)/describe/?", Sink.describe),
        ("GET", rf"{_ROOT}/limits/?", Sink.limits),
        ("GET", rf"{_ROOT}/?", Sink.resources),
        ("POST", r"/services/oauth2/token", Sink.log_in),
        ("GET", r"/sink/told", Sink.tell),
    )
]


def _raw(connection: socket.socket) -> socket.SocketIO:
    return connection.makefile("rb", buffering=0)


def _read(stream: io.BufferedReader[Any]) -> Request | None:
    """The next request; None when the other side has nothing more to say."""
    first = stream.readline().decode("latin-1").split()
    if len(first) < 2:
        return None
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    there = urlsplit(first[1])
    query = {name: values[0] for name, values in parse_qs(there.query).items()}
    return Request(first[0], there.path, query, headers, _read_body(stream, headers))


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


def _send(connection: socket.socket, answer: Answer) -> int:
    length = sum(memoryview(part).nbytes for part in answer.parts)
    told = {"Content-Type": answer.kind, "Content-Length": str(length), **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {told[name]}" for name in told)]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if length < 1 << 16:
        connection.sendall(b"".join([head, *answer.parts]))
        return length
    connection.sendall(head)
    for part in answer.parts:
        connection.sendall(part)
    return length


def _json(document: Any, status: int = 200) -> Answer:
    return Answer(status, [json.dumps(document).encode()])


def _refusal(status: int, code: str, message: str) -> Answer:
    return _json([{"errorCode": code, "message": message}], status)


def _no_job() -> Answer:
    return _refusal(404, "NOT_FOUND", "The requested resource does not exist")


def _too_late() -> Answer:
    return _refusal(400, "INVALIDJOBSTATE", "The job is no longer open")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--failed-share", type=float, default=0.0)
    parser.add_argument("--known-leads", type=int, default=0)
    parser.add_argument("--known-share", type=float, default=0.0)
    asked = parser.parse_args(arguments)
    sink = Sink(asked.failed_share, KnownLeads(asked.known_leads, asked.known_share))
    sys.stdout.write(f"sink on {sink.url}\n")
    sys.stdout.flush()
    sink.serve()


if __name__ == "__main__":
    main()
