"""A relay on the wire between a run and the org: it stands still before and after every exchange,
and spoils it when told to.

Standing here, a run can be killed or frozen between a request and its effect, or between the effect
and the answer, exactly.
"""

from __future__ import annotations

import http.client
import re
import select
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote_plus, urlsplit

# The word for an exchange at a side: "go", "gone" (nobody is there any more), or a fault.
At = Callable[[str, str], str]

_VERSION = re.compile(r"/services/data/v\d+\.\d")
_ID = re.compile(r"/(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{15,18}(?=/|$)")
_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
_SESSION_OVER = b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]'
_FAULT = b'[{"message":"An unexpected error occurred","errorCode":"UNKNOWN_EXCEPTION"}]'
_AWAY = b'[{"message":"Unavailable","errorCode":"SERVER_UNAVAILABLE"}]'
_GONE = b'[{"message":"The requested resource does not exist","errorCode":"NOT_FOUND"}]'
ANSWERS = {"401": _SESSION_OVER, "404": _GONE, "500": _FAULT, "503": _AWAY}


@dataclass(frozen=True)
class Request:
    """A request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def name(self) -> str:
        """What kind of request it is, alike in every run: ids are a star, a query its object."""
        path, _, query = self.target.partition("?")
        plain = _ID.sub("/*", _VERSION.sub("", path))
        objects = _FROM.findall(unquote_plus(query))
        return " ".join([self.method, plain or "/", *objects[:1]])


@dataclass(frozen=True)
class Answer:
    """An answer, whole."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def on_the_wire(self) -> bytes:
        """As it is written, with its own length."""
        framing = {"content-length", "transfer-encoding", "connection"}
        kept = [f"{k}: {v}" for k, v in self.headers if k.lower() not in framing]
        lines = [f"HTTP/1.1 {self.status} -", *kept, f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def said(word: str) -> Answer:
    """The answer of somebody who never asked the org."""
    return Answer(int(word), [("Content-Type", "application/json")], ANSWERS[word])


class Hangup(Exception):
    """The exchange ends without an answer."""


class Relay:
    """Listens on loopback for one run, and passes its requests on to the org."""

    def __init__(self, target: str, at: At) -> None:
        self._target = urlsplit(target).netloc
        self._at = at
        self._server = socket.create_server(("127.0.0.1", 0), backlog=16)
        self._clients: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more, and cut what is open."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for client in self._clients:
            _hang_up(client)

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            # Else every answer in two pieces waits 40 ms for the acknowledgement of the first.
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with client.makefile("rb") as stream:
                while request := read_request(stream):
                    client.sendall(self._exchange(client, request))
        except (Hangup, OSError, http.client.HTTPException):
            pass  # the org itself may have cut the connection
        _hang_up(client)

    def _exchange(self, client: socket.socket, request: Request) -> bytes:
        word = self._at("before", request.name)
        if word in ANSWERS:
            return said(word).on_the_wire()
        if word == "slow":  # the client gives up first, and then the effect comes
            _wait_for_hangup(client)
        elif word != "go":
            raise Hangup
        answer = self._ask(request)
        if word == "slow":
            raise Hangup
        return self._after(client, request, answer)

    def _after(self, client: socket.socket, request: Request, answer: Answer) -> bytes:
        word = self._at("after", request.name)
        if word == "go":
            return answer.on_the_wire()
        if word in ANSWERS:
            return said(word).on_the_wire()
        if word in ("short", "empty"):
            return without_rows(answer, all_of_them=word == "empty").on_the_wire()
        if word == "truncate" and answer.body:
            whole = answer.on_the_wire()
            client.sendall(whole[: -(len(answer.body) + 1) // 2])
            client.shutdown(socket.SHUT_WR)
            raise Hangup
        if word == "slow":
            _wait_for_hangup(client)
        raise Hangup

    def _ask(self, request: Request) -> Answer:
        upstream = http.client.HTTPConnection(self._target, timeout=150)
        try:
            upstream.putrequest(
                request.method, request.target, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers:
                upstream.putheader(name, value)
            upstream.endheaders(request.body)
            response = upstream.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            upstream.close()


def read_request(stream: BinaryIO) -> Request | None:
    """The next request, whole; None when the client has gone."""
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = []
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        if name.lower() != "accept-encoding":  # packed answers could not be spoiled by the row
            headers.append((name, value.strip()))
    sizes = [int(value) for name, value in headers if name.lower() == "content-length"]
    return Request(first[0], first[1], headers, stream.read(sizes[0]) if sizes else b"")


def without_rows(answer: Answer, *, all_of_them: bool) -> Answer:
    """A result file that misses its last row, or every row: a file of the org's own, but short."""
    header, _, rows = answer.body.partition(b"\n")
    kept = b"" if all_of_them else rows.rstrip(b"\n").rpartition(b"\n")[0]
    body = header + b"\n" + (kept + b"\n" if kept else b"")
    return Answer(answer.status, answer.headers, body)


def _wait_for_hangup(client: socket.socket) -> None:
    ready, _, _ = select.select([client], [], [], 30)
    if ready:
        client.recv(1)


def _hang_up(client: socket.socket) -> None:
    try:
        # Without lingering the other side gets a reset, as from a machine that has gone.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed already
    client.close()
