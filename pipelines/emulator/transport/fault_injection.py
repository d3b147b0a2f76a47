"""Inject faults into requests: dropped connections, error statuses, truncated and slow responses.

This wraps the whole application, so a fault can occur before or after the effect of a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.emulator.transport.faults import Faults

MAX_URI = 16_384
ERROR_CODES = {503: "SERVER_UNAVAILABLE", 500: "UNKNOWN_EXCEPTION", 403: "REQUEST_LIMIT_EXCEEDED"}
# Proxies in front of a real org send these, as an HTML page and never as JSON.
PROXY_STATUSES = frozenset({420, 502, 504})


class FaultInjector:
    """The application as a client sees it over an unreliable network.

    `cut` drops the TCP connection of a client, given by address and port; its flag says whether
    data already written may still arrive. `on_request` is called for every request.
    """

    def __init__(
        self,
        app: ASGIApp,
        faults: Faults,
        *,
        expire: Callable[[str], None],
        cut: Callable[[tuple[str, int], bool], None],
        on_request: Callable[[], None],
    ) -> None:
        self._app = app
        self._faults = faults
        self._expire = expire
        self._cut = cut
        self._on_request = on_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI request: log it, check its length, and apply a fault if one is due."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._on_request()
        # Routed as it was sent: a slash inside an external id arrives as %2F and must stay encoded.
        path = _path(scope)
        scope = {**scope, "path": path}
        if path.startswith("/emulator/"):
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode("ascii")
        entry = self._faults.log(scope["method"], f"{path}?{query}" if query else path)

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        status_too_long = _too_long_status(scope)
        if status_too_long is not None:
            await _error(
                status_too_long, "URI_TOO_LONG", "the request line and headers are too long"
            )(scope, receive, send_and_log)
            return
        fault = self._faults.of_request(scope["method"], path)
        if fault is None:
            await self._app(scope, receive, send_and_log)
        else:
            await self._inject(fault, scope, receive, send_and_log)

    async def _inject(self, fault: str, scope: Scope, receive: Receive, send: Send) -> None:
        kind, _, number = fault.partition(":")
        status, _, after = number.partition("_")
        if kind == "expire_session":
            self._expire(_token(scope))
        elif kind == "drop_before":
            await _read_all(receive)
            await self._drop(scope, receive, flush=False)
            return
        elif kind == "status" and not after:
            await _read_all(receive)
            await _fault_response(int(status), f"fault injected: {status}")(scope, receive, send)
            return
        messages = await self._responses_of(scope, receive)
        if kind == "drop_after":
            await self._drop(scope, receive, flush=False)
        elif kind == "truncate":
            await self._truncate(messages, scope, receive, send)
        elif kind == "status":
            response = _fault_response(int(status), "An unexpected error occurred")
            await response(scope, receive, send)
        else:
            await asyncio.sleep(float(number) if kind == "slow" else 0.0)
            for message in messages:
                await send(message)

    async def _responses_of(self, scope: Scope, receive: Receive) -> list[Message]:
        """Run the request, and return the response messages without sending them."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        return messages

    async def _truncate(
        self, messages: list[Message], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Announce the whole body, send half of it, and disconnect. Without a body, send
        nothing.
        """
        start, *rest = messages
        body = b"".join(message.get("body", b"") for message in rest)
        if not body:
            await self._drop(scope, receive, flush=False)
            return
        framing = {b"content-length", b"transfer-encoding"}
        headers = [(k, v) for k, v in start["headers"] if k.lower() not in framing]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({**start, "headers": headers})
        half = body[: len(body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await self._drop(scope, receive, flush=True)

    async def _drop(self, scope: Scope, receive: Receive, *, flush: bool) -> None:
        self._cut(tuple(scope["client"]), flush)
        while (await receive())["type"] != "http.disconnect":
            pass


def _path(scope: Scope) -> str:
    """Return the path, also where the target is a whole URL (as proxies get it) or begins with
    `//`.
    """
    target: str = scope["raw_path"].decode("ascii")
    scheme, found, rest = target.partition("://")
    if found and scheme.lower() in {"http", "https"}:
        target = "/" + rest.partition("/")[2]
    # An instance URL with a trailing slash gives two slashes; a real org accepts them.
    return "/" + target.lstrip("/")


def _too_long_status(scope: Scope) -> int | None:
    uri = len(scope["raw_path"]) + len(scope["query_string"]) + 1
    if uri > MAX_URI:
        return 414
    headers = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return 431 if uri + headers > MAX_URI else None


def _token(scope: Scope) -> str:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    # Bulk API 1.0 sends its session in a header of its own.
    session_header = headers.get(b"x-sfdc-session", "")
    return str(session_header or headers.get(b"authorization", "").partition(" ")[2]).strip()


async def _read_all(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass


def _fault_response(status: int, message: str) -> Response:
    if status in PROXY_STATUSES:
        return HTMLResponse(f"<html><body><h1>{status}</h1>{message}</body></html>", status)
    return _error(status, ERROR_CODES.get(status, "UNKNOWN_EXCEPTION"), message)


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse([{"errorCode": code, "message": message}], status)
