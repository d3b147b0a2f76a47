"""One emulator process for the whole session; each test gives it an org of its own."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulator.plain_http import BASIC_ORG, Client

ROOT = Path(__file__).resolve().parents[2]

# Resets the session's emulator to the basic org plus more of an org file.
OrgOf = Callable[[str], Client]


class Process:
    """An emulator process, stopped by its own pid."""

    def __init__(self, *arguments: str, deadline: float = 20.0) -> None:
        command = [sys.executable, "-m", "pipelines.emulator.server", *arguments]
        self.popen = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.line = self._first_line(deadline)
        self.url = self.line.rpartition(" on ")[2]

    def _first_line(self, deadline: float) -> str:
        assert self.popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.popen.stdout, selectors.EVENT_READ)
            assert selector.select(deadline), "the emulator printed no address"
        return self.popen.stdout.readline().strip()

    def stop(self, how: int = signal.SIGTERM) -> int:
        if self.popen.poll() is None:
            os.kill(self.popen.pid, how)
        code = self.popen.wait(10)
        for pipe in (self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                pipe.close()
        return code


# Starts one more emulator process with these options.
Start = Callable[..., Process]


@pytest.fixture(scope="session")
def running() -> Iterator[Process]:
    process = Process("--port", "0", "--idle-stop", "900")
    yield process
    assert process.stop() == 0


@pytest.fixture
def org(running: Process) -> Client:
    """A client of an empty org with Person_Id__c."""
    return Client(running.url).reset()


@pytest.fixture
def org_of(running: Process) -> OrgOf:
    """A client of the basic org with more in it."""
    return lambda more: Client(running.url).reset(BASIC_ORG + more)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts further emulators, and stops them."""
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


@pytest.fixture
def client() -> type[Client]:
    return Client


@pytest.fixture
def basic_org() -> str:
    return BASIC_ORG
