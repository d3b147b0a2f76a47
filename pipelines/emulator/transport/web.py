"""Translate HTTP requests to `ApiRequest`, and `ApiResponse` to HTTP responses."""

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
from pipelines.emulator.messages import ApiRequest, ApiResponse
from pipelines.emulator.transport.upload_spool import UploadSpool

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
UPLOAD = re.compile(r"/services/data/v\d{1,3}\.\d/jobs/ingest/[^/]+/batches")
MAX_BODY = 600_000_000
# zlib's wbits for the two compressions that the REST API accepts.
WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}

Handle = Callable[[ApiRequest], ApiResponse]


class BodyError(Exception):
    """A request body that cannot be read."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def web_app(handle: Handle, control: Handle) -> Starlette:
    """Return the ASGI application: one endpoint for all paths, because the org routes by itself."""

    async def endpoint(request: Request) -> Response:
        try:
            api_request = await read_request(request)
        except ClientDisconnect:
            # Half an upload has no effect: the request never happened.
            return Response(status_code=400)
        except BodyError as error:
            problem = {"errorCode": error.code, "message": str(error)}
            return _response(ApiResponse(error.status, [problem]))
        handler = control if api_request.path.startswith("/emulator/") else handle
        try:
            return _response(await to_thread.run_sync(handler, api_request))
        finally:
            if api_request.upload is not None:
                api_request.upload.close()

    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=METHODS)])
    # The lowest level: the time of a large response should be the org's work, not zlib's.
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=1)
    return app


async def read_request(request: Request) -> ApiRequest:
    """Return the whole request, with its body decompressed."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    path = request.scope["path"].rstrip("/") or "/"
    encoding = headers.get("content-encoding", "identity").strip().lower()
    body, upload = b"", None
    if request.method == "PUT" and UPLOAD.fullmatch(path):
        upload = await _spool_upload(request, encoding)
    else:
        body = _decompress_body(b"".join([piece async for piece in request.stream()]), encoding)
    query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    api_request = ApiRequest(
        method=request.method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        base=f"{_scheme(request)}://{headers.get('host', '127.0.0.1')}",
        upload=upload,
    )
    return _apply_method_override(api_request)


def _scheme(request: Request) -> str:
    """Return the client's scheme, also behind a proxy that ends TLS."""
    forwarded = request.headers.get("x-forwarded-proto", "").lower()
    return forwarded if forwarded in {"http", "https"} else str(request.scope["scheme"])


def _apply_method_override(api_request: ApiRequest) -> ApiRequest:
    """Treat `POST …?_HttpMethod=PATCH` as PATCH, for clients that cannot send PATCH."""
    method = api_request.query.get("_HttpMethod", "").upper()
    if api_request.method != "POST" or method not in METHODS:
        return api_request
    return replace(api_request, method=method)


async def _spool_upload(request: Request, encoding: str) -> IO[bytes]:
    """Collect the data of a bulk job piece by piece."""
    spool = UploadSpool(MAX_UPLOAD, _window(encoding))
    try:
        async for piece in request.stream():
            spool.add(piece)
        spool.close()
    except ClientDisconnect:
        spool.file.close()
        raise
    except zlib.error as error:
        spool.file.close()
        raise _body_error_of(encoding, error) from error
    return spool.file


def _window(encoding: str) -> int | None:
    """Return zlib's wbits for a content encoding, or None for none; raise BodyError otherwise."""
    if encoding in {"identity", ""}:
        return None
    if encoding not in WINDOWS:
        message = f"the content encoding {encoding} is not supported; send gzip or deflate"
        raise BodyError(415, "UNSUPPORTED_MEDIA_TYPE", message)
    return WINDOWS[encoding]


def _body_error_of(encoding: str, error: zlib.error) -> BodyError:
    return BodyError(400, "INVALID_BODY", f"the body is not {encoding}: {error}")


def _decompress_body(body: bytes, encoding: str) -> bytes:
    window = _window(encoding)
    if window is None:
        return body
    try:
        return _decompress(body, window)
    except zlib.error as error:
        raise _body_error_of(encoding, error) from error


def _decompress(body: bytes, window: int) -> bytes:
    """Decompress every gzip member: members may be joined, and some clients send them so."""
    pieces: list[bytes] = []
    remaining = MAX_BODY
    while body:
        member = zlib.decompressobj(wbits=window)
        pieces.append(member.decompress(body, remaining))
        remaining -= len(pieces[-1])
        if member.unconsumed_tail or remaining <= 0:
            raise BodyError(413, "INVALID_BODY", "the body is too large")
        if not member.eof:
            raise zlib.error("it ends too early")
        body = member.unused_data
    return b"".join(pieces)


def _response(handle: ApiResponse) -> Response:
    headers = handle.headers | {"Content-Type": handle.content_type}
    if handle.pieces is not None:
        return StreamingResponse(iter(handle.pieces), handle.status, headers)
    if handle.status in {204, 304}:
        return Response(status_code=handle.status, headers=handle.headers)
    if handle.value is None and handle.text is None:
        return Response(status_code=handle.status, headers=handle.headers)
    return Response(handle.body(), handle.status, headers)
