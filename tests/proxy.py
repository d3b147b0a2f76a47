"""A proxy on loopback between the code and an org: real HTTP on both sides.

A test sees every request there, and may repeat it, hold it back, or change its response. Where a
run is killed between a request and its effect, `tests/crash/relay.py` stands in its place: it
works on the socket itself, since it must also break a connection in the middle of a response.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

# They belong to one connection only, or are written again by whoever sends the message on.
HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding", "server"}


class Request:
    """One request as it arrived."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.method, self.path = handler.command, handler.path
        self.headers = {k: v for k, v in handler.headers.items() if k.lower() != "host"}
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


class Reply:
    """The response of the org. None in its place is a connection that breaks."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status, self.body = status, body
        self.headers = {k: v for k, v in headers.items() if k.lower() not in HOP_BY_HOP}


Send = Callable[[Request], Reply]
Hook = Callable[[Request, Send], Reply | None]


class Proxy:
    """Send requests on to `upstream`. `hook` gets each request and the function that sends it."""

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.upstream = upstream
        self.hook: Hook = lambda request, send: send(request)
        self._session = requests.Session()
        self._session.trust_env = False

    def send(self, request: Request) -> Reply:
        """Send the request as it came."""
        response = self._session.request(
            request.method,
            self.upstream + request.path,
            headers=request.headers,
            data=request.body,
            timeout=30,
        )
        return Reply(response.status_code, response.content, response.headers)

    def handle(self, request: Request) -> Reply | None:
        """Return what the sender gets."""
        return self.hook(request, self.send)


class _Handler(BaseHTTPRequestHandler):
    """Keeps connections open, as the org does: a request costs a millisecond less."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def _serve(self) -> None:
        reply = self.proxy.handle(Request(self))
        if reply is None:
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - http.server's names


@contextmanager
def running(proxy: Proxy) -> Iterator[None]:
    """Serve the proxy on a free port of loopback."""
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def tampering_proxy(
    org_url: str,
    *,
    repeat: Callable[[str], bool],
    change: Callable[[str, bytes], bytes] = lambda _path, body: body,
) -> Iterator[str]:
    """Start a proxy to the org. Yield its address.

    It sends twice each request for which `repeat("METHOD path")` holds. It returns what
    `change(path, body)` makes of the last response.
    """

    def tamper(request: Request, send: Send) -> Reply:
        reply = send(request)
        if repeat(f"{request.method} {request.path}"):
            reply = send(request)
        reply.body = change(request.path, reply.body)
        return reply

    proxy = Proxy(org_url)
    proxy.hook = tamper
    with running(proxy):
        yield proxy.url
