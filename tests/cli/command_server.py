"""A process that has imported the command and forks a child for each run of it.

    python -m tests.cli.command_server SOCKET_NUMBER

A child is the real command: it has the arguments, folder, environment and standard streams of its
caller, and it ends by itself with its own exit code. It only need not import everything, which took
three quarters of its time. The fork is safe: this process has no thread and no connection.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_REQUEST_BYTES = 1 << 20
# What a run imports. Prefect is missing: it reads its settings from the environment on import.
_IMPORTED = (
    *("pipelines.cli", "pipelines.flows", "pipelines.settings", "pipelines.process.ending"),
    *("pipelines.run.checks", "pipelines.run.resolve", "pipelines.run.summary_lines"),
    *("pipelines.orchestration.late_import", "pipelines.salesforce.session"),
    *("sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql", "psycopg"),
)


class CommandServer:
    """The server as its client sees it: it runs one command at a time."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=root)
        theirs.close()

    def run(
        self, words: Sequence[str], folder: Path, environment: dict[str, str], seconds: float
    ) -> tuple[int, str, str]:
        """Run the command to its end. Return its exit code, stdout and stderr."""
        request = {"words": list(words), "folder": str(folder), "environment": environment}
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            streams = [stdout.fileno(), stderr.fileno()]
            socket.send_fds(self._socket, [json.dumps(request).encode()], streams)
            self._socket.settimeout(seconds)
            pid = json.loads(self._socket.recv(64))
            try:
                exit_code: int = json.loads(self._socket.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._socket.recv(64)
                raise
            texts = [os.pread(one, os.fstat(one).st_size, 0).decode() for one in streams]
        return exit_code, texts[0], texts[1]

    def close(self) -> None:
        """End the server."""
        self._socket.close()
        self._process.wait(30)


def serve(connection: socket.socket) -> None:
    """Fork a child for every request, until the client is gone. Returns in each child too."""
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what stays in its pages need not be copied by every child
    while True:
        message, streams, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            connection.close()
            _become_command(json.loads(message), streams)
            return
        for one in streams:
            os.close(one)
        connection.send(json.dumps(pid).encode())
        connection.send(json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())


def _become_command(request: dict[str, Any], streams: Sequence[int]) -> None:
    for target, source in zip((1, 2), streams, strict=True):
        os.dup2(source, target)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["person-sync", *request["words"]]
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(request["folder"])

    from pipelines.__main__ import main

    main()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
