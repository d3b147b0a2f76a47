"""A proxy between us and the org that meddles: it repeats requests and changes answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

# Of one connection only, or written anew by whoever sends the message on.
HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding"}

Change = Callable[[str, bytes], bytes]


@contextmanager
def meddling(
    org_url: str, *, repeat: Callable[[str], bool], change: Change = lambda _path, body: body
) -> Iterator[str]:
    """The address of a proxy to the org. It sends on twice what `repeat("METHOD path")` says, and
    answers with what `change(path, body)` makes of the last answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            times = 2 if repeat(f"{self.command} {self.path}") else 1
            for _ in range(times):
                answer = requests.request(
                    self.command, org_url + self.path, data=body, headers=self._kept(), timeout=30
                )
            content = change(self.path, answer.content)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _kept(self) -> dict[str, str]:
            return {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}

        do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - http.server's names

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
