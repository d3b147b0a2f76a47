"""A wire between the code and the emulator that hears every request and may disturb the next.

Real HTTP on both sides. It names requests as the model does; what belongs to no step (logins,
names of owners) passes unheard.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import requests

ROOT = re.compile(r"/services/data/v[\d.]+")
HOP_HEADERS = {"connection", "transfer-encoding", "content-encoding", "content-length", "server"}
STATES = {"UploadComplete": "close_job", "Aborted": "abort_job"}
NAMES = (
    (re.compile(r"POST /jobs/ingest"), "create_job"),
    (re.compile(r"PUT /jobs/ingest/\w+/batches"), "upload"),
    (re.compile(r"GET /jobs/ingest/\w+"), "ask_job"),
    (re.compile(r"GET /jobs/ingest/\w+/successfulResults/"), "read_made"),
    (re.compile(r"GET /jobs/ingest/\w+/failedResults/"), "read_refused"),
    (re.compile(r"GET /jobs/ingest/\w+/unprocessedrecords/"), "read_left"),
    (re.compile(r"(POST|PATCH) /composite/sobjects"), "send_records"),
    (re.compile(r"POST /composite/sobjects/Lead"), "read_owners"),
)


class Request:
    """One request as it arrived."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method, self.path = handler.command, handler.path
        self.headers = {k: v for k, v in handler.headers.items() if k.lower() != "host"}
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.name = self._name()

    def _name(self) -> str | None:
        split = urlsplit(self.path)
        path = ROOT.sub("", split.path, count=1)
        if self.method == "PATCH" and path.startswith("/jobs/ingest/"):
            return STATES[json.loads(self.body)["state"]]
        if path in ("/query", "/queryAll"):
            asked = parse_qs(split.query)["q"][0]
            return "ask_persons" if " FROM Lead " in asked else None
        whole = f"{self.method} {path}"
        return next((name for form, name in NAMES if form.fullmatch(whole)), None)


class Reply:
    """What the org said; None in its place is a connection that breaks."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status, self.body = status, body
        self.headers = {k: v for k, v in headers.items() if k.lower() not in HOP_HEADERS}


Pass = Callable[[Request], Reply]
Hook = Callable[[Request, Pass], Reply | None]


class Relay:
    """`hook` is asked for every request that has a name; it passes it on, or does not."""

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.upstream = upstream
        self.hook: Hook = lambda request, send: send(request)
        self._session = requests.Session()
        self._session.trust_env = False

    def send(self, request: Request) -> Reply:
        """The request as it came, to the emulator."""
        answer = self._session.request(
            request.method,
            self.upstream + request.path,
            headers=request.headers,
            data=request.body,
            timeout=30,
        )
        return Reply(answer.status_code, answer.content, answer.headers)

    def change_state(self, address: str, headers: dict[str, str], state: str) -> None:
        """Close or abort a job as somebody else would."""
        self._session.patch(address, headers=headers, json={"state": state}, timeout=30)

    def answer(self, request: Request) -> Reply | None:
        """What the sender is told."""
        return self.hook(request, self.send) if request.name else self.send(request)


class RelayHandler(BaseHTTPRequestHandler):
    """Keeps connections open, as the org does: a request costs a millisecond less."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    relay: Relay

    def _pass(self) -> None:
        reply = self.relay.answer(Request(self))
        if reply is None:
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_PATCH = _pass  # noqa: N815 - http.server's names


@contextmanager
def running_relay(upstream: str) -> Iterator[Relay]:
    """A relay on loopback, for as long as it is needed."""
    relay = Relay(upstream)
    handler = type("Handler", (RelayHandler,), {"relay": relay})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        relay.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield relay
        server.shutdown()
        thread.join()
