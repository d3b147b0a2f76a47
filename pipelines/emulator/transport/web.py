"""HTTP on one side, calls and answers on the other: bodies unpacked, answers written."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import IO
from urllib.parse import parse_qsl

from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipelines.emulator.bulk.jobs import MAX_UPLOAD
from pipelines.emulator.messages import Answer, Call
from pipelines.emulator.transport.upload_spool import Spooled

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
UPLOAD = re.compile(r"/services/data/v\d{1,3}\.\d/jobs/ingest/[^/]+/batches")
MAX_BODY = 600_000_000
# zlib's own numbers for the two compressions that REST takes (§13, 60).
WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}

Act = Callable[[Call], Answer]


class BodyRefused(Exception):
    """A body that cannot be read."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def web_app(answer: Act, door: Act) -> Starlette:
    """The ASGI application: one endpoint, the routing being the org's own."""

    async def endpoint(request: Request) -> Response:
        try:
            call = await read_call(request)
        except ClientDisconnect:
            # Half an upload is none: the request never happened.
            return Response(status_code=400)
        except BodyRefused as refused:
            problem = {"errorCode": refused.code, "message": str(refused)}
            return _response(Answer(refused.status, [problem]))
        act = door if call.path.startswith("/emulator/") else answer
        try:
            return _response(await to_thread.run_sync(act, call))
        finally:
            if call.upload is not None:
                call.upload.close()

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=METHODS)])
    # The lowest level: what a large answer costs should be the org's work, not zlib's.
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=1)
    return app


async def read_call(request: Request) -> Call:
    """The whole request, its body unpacked where it came compressed."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    path = request.scope["path"].rstrip("/") or "/"
    encoding = headers.get("content-encoding", "identity").strip().lower()
    body, upload = b"", None
    if request.method == "PUT" and UPLOAD.fullmatch(path):
        upload = await _spooled(request, encoding)
    else:
        body = _unpacked(b"".join([piece async for piece in request.stream()]), encoding)
    query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    call = Call(
        method=request.method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        base=f"{_scheme(request)}://{headers.get('host', '127.0.0.1')}",
        upload=upload,
    )
    return _overridden(call)


def _scheme(request: Request) -> str:
    """A proxy that ends TLS in front of the emulator says what its client speaks."""
    told = request.headers.get("x-forwarded-proto", "").lower()
    return told if told in {"http", "https"} else str(request.scope["scheme"])


def _overridden(call: Call) -> Call:
    """`POST …?_HttpMethod=PATCH` is a PATCH, for clients that cannot send one."""
    asked = call.query.get("_HttpMethod", "").upper()
    if call.method != "POST" or asked not in METHODS:
        return call
    return replace(call, method=asked)


async def _spooled(request: Request, encoding: str) -> IO[bytes]:
    """The data of a bulk job, put aside piece by piece."""
    spooled = Spooled(MAX_UPLOAD, _window(encoding))
    try:
        async for piece in request.stream():
            spooled.add(piece)
        spooled.close()
    except ClientDisconnect:
        spooled.file.close()
        raise
    except zlib.error as error:
        spooled.file.close()
        raise _not_packed(encoding, error) from error
    return spooled.file


def _window(encoding: str) -> int | None:
    """The window of a compression that is taken; None for no compression."""
    if encoding in {"identity", ""}:
        return None
    if encoding not in WINDOWS:
        message = f"the content encoding {encoding} is not supported; send gzip or deflate"
        raise BodyRefused(415, "UNSUPPORTED_MEDIA_TYPE", message)
    return WINDOWS[encoding]


def _not_packed(encoding: str, error: zlib.error) -> BodyRefused:
    return BodyRefused(400, "INVALID_BODY", f"the body is not {encoding}: {error}")


def _unpacked(body: bytes, encoding: str) -> bytes:
    window = _window(encoding)
    if window is None:
        return body
    try:
        return _inflated(body, window)
    except zlib.error as error:
        raise _not_packed(encoding, error) from error


def _inflated(body: bytes, window: int) -> bytes:
    """Every member: gzip files may be joined end to end, and some clients send them so."""
    pieces: list[bytes] = []
    room = MAX_BODY
    while body:
        member = zlib.decompressobj(wbits=window)
        pieces.append(member.decompress(body, room))
        room -= len(pieces[-1])
        if member.unconsumed_tail or room <= 0:
            raise BodyRefused(413, "INVALID_BODY", "the body is too large")
        if not member.eof:
            raise zlib.error("it ends too early")
        body = member.unused_data
    return b"".join(pieces)


def _response(answer: Answer) -> Response:
    headers = answer.headers | {"Content-Type": answer.content_type}
    if answer.pieces is not None:
        return StreamingResponse(iter(answer.pieces), answer.status, headers)
    if answer.status in {204, 304}:
        return Response(status_code=answer.status, headers=answer.headers)
    if answer.value is None and answer.text is None:
        return Response(status_code=answer.status, headers=answer.headers)
    return Response(answer.body(), answer.status, headers)
