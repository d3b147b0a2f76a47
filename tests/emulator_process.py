"""Start the org emulator as a process of its own. Every test that only uses an org starts it here.

Tests of the process itself (its options, its end) are in `tests/emulator/` and have their own.
"""

from __future__ import annotations

import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.salesforce.servers import Emulator

ROOT = Path(__file__).parents[1]
START_SECONDS = 60


@contextmanager
def running_emulator(*arguments: str) -> Iterator[Emulator]:
    """Start an emulator on a free port, and stop it at the end.

    It stops by itself after half an hour without a request, so a killed test run leaves none.
    Fail when it prints no address within a minute.
    """
    command = [sys.executable, "-m", "pipelines.emulator.server", "--port", "0"]
    command += ["--idle-stop", "1800", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Emulator(_first_line(process).rpartition(" ")[2])
        finally:
            process.terminate()


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(START_SECONDS), "the emulator printed no address"
    return process.stdout.readline().strip()
