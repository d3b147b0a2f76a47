"""One run in a process of its own, led from boundary to boundary by a director.

A boundary is a side of a COMMIT or of an HTTP exchange. At each the run stands still until the
director has said a word; meanwhile it can be killed, frozen, or left waiting while others work.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.crash.relay import Relay

ROOT = Path(__file__).parents[2]
OVERDUE = -9


@dataclass(frozen=True, order=True)
class Boundary:
    """A place in a run, alike in every run: a side of the nth exchange or COMMIT of its kind."""

    name: str
    nth: int
    side: str

    def __str__(self) -> str:
        return f"{self.side} {self.name} #{self.nth}"

    @property
    def is_commit(self) -> bool:
        """Whether it is the database's and not the org's."""
        return self.name.startswith("COMMIT")


@dataclass
class RunResult:
    """How a run ended: its exit code (-9: it was killed), and what it said."""

    code: int = -9
    words: str = "killed"
    created: int = 0

    @property
    def is_done(self) -> bool:
        """Whether it came to its end."""
        return self.code == 0


Director = Callable[["DirectedRun", Boundary], str]


def go_on(_run: DirectedRun, _boundary: Boundary) -> str:
    """The director who only watches."""
    return "go"


class ForkServer:
    """The process that forks the runs: of the project's own code, or of a copy of it."""

    def __init__(self, folder: Path = ROOT) -> None:
        self.logs = tempfile.TemporaryDirectory(prefix="reliability-")
        path = os.pathsep.join([str(folder), str(ROOT)])
        command = [sys.executable, "-P", "-m", "tests.crash.fork_server", str(folder)]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()
        assert self._read() == "ready"

    def fork(self, order: dict[str, Any]) -> int:
        """Begin a run; answers its pid."""
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return int(self._read())

    def warm_up(self, settings: dict[str, Any]) -> None:
        """Have it perform a run itself, so that those it forks find every cache warm."""
        self.fork(settings)

    def close(self) -> None:
        """End it, and every child with it."""
        self._process.kill()
        self._process.communicate()
        self.logs.cleanup()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


@dataclass
class RunOrder:
    """What a run is to do."""

    settings: dict[str, Any]
    mode: str = "live"
    person_ids: list[str] | None = None
    most_pages: int = 0
    time_zone: str = ""
    accept_unknown_jobs: bool = False


class DirectedRun:
    """A run under way. `passed` are the boundaries it has come to so far."""

    def __init__(
        self, fork_server: ForkServer, order: RunOrder, director: Director = go_on
    ) -> None:
        self.passed: list[Boundary] = []
        self.result = RunResult()
        self._director = director
        self._counts: Counter[tuple[str, str]] = Counter()
        self._relay = Relay(order.settings["salesforce"]["emulator_url"], self._at)
        self._folder = tempfile.TemporaryDirectory(prefix="line-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder.name}/line")
        self._listener.listen()
        self.log = f"{fork_server.logs.name}/{id(self)}.log"
        self.pid = fork_server.fork(self._order(order))
        self._thread = threading.Thread(target=self._converse, daemon=True)
        self._thread.start()

    def _order(self, order: RunOrder) -> dict[str, Any]:
        org = {**order.settings["salesforce"], "emulator_url": self._relay.url}
        return {
            **vars(order),
            "settings": {**order.settings, "salesforce": org},
            "line": f"{self._folder.name}/line",
            "log": self.log,
        }

    def wait(self, seconds: float = 60) -> RunResult:
        """How it ended. Who takes longer than that is killed, and said to be overdue."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            self.kill()
            self._thread.join(10)
            self.result = RunResult(OVERDUE, "overdue")
        self._relay.close()
        self._listener.close()
        self._folder.cleanup()
        return self.result

    def wait_for(self, happens: Callable[[], bool], seconds: float = 30) -> None:
        """Until it happens or the run is over."""
        give_up_at = time.monotonic() + seconds
        while self._thread.is_alive() and not happens() and time.monotonic() < give_up_at:
            time.sleep(0.001)

    def wait_until_over(self, seconds: float) -> None:
        """Until the run has ended, for so long at the most."""
        self._thread.join(seconds)

    def kill(self) -> str:
        """End it as a power cut would; back when the system has forgotten it."""
        self._signal(signal.SIGKILL)
        give_up_at = time.monotonic() + 10
        while self.is_there() and time.monotonic() < give_up_at:
            time.sleep(0.001)
        return "gone"

    def freeze(self) -> None:
        """It stands still, as on a suspended machine: its connections and its locks stay."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """It goes on as if nothing had been."""
        self._signal(signal.SIGCONT)

    def is_there(self) -> bool:
        """Whether the system still knows its process."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _signal(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return  # it has come to its end by itself

    def _at(self, side: str, name: str) -> str:
        self._counts[side, name] += 1
        boundary = Boundary(name, self._counts[side, name], side)
        self.passed.append(boundary)
        return self._director(self, boundary)

    def _converse(self) -> None:
        self._listener.settimeout(30)
        line, _ = self._listener.accept()
        with line, line.makefile("r", encoding="utf-8") as words:
            try:
                for word in words:
                    self._handle(line, json.loads(word))
            except ConnectionError:
                return  # killed while it waited for our word

    def _handle(self, line: socket.socket, message: dict[str, Any]) -> None:
        if "code" in message:
            self.result = RunResult(**message)
        else:
            word = self._at(message["side"], message["name"])
            line.sendall(word.encode() + b"\n")
