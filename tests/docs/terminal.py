"""A person at a terminal: types a line, answers a question, leaves a server running."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SECONDS = 120
# Without a terminal of its own a command asks nothing, and getpass reads nothing.
ON_A_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(["bash", "-c", sys.argv[1]])))
"""
LONG_RUNNING = ("prefect server start", "prefect worker start")
KEPT = (". ", "export ")


@dataclass
class Typed:
    """What a line printed, and its exit code."""

    exit_code: int
    output: str


@dataclass
class Terminal:
    """A shell in `folder`. What a line changes in the shell holds for the lines after it."""

    folder: Path
    environment: dict[str, str]
    before: list[str] = field(default_factory=list)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def type(self, line: str, answers: dict[str, str] | None = None) -> Typed:
        """Run a line to its end. `answers` maps the text of a question to what is typed then.

        Fail with what stands on the screen when the line waits for anything else.
        """
        if line.startswith(KEPT):
            self.before.append(line)
        command = [sys.executable, "-c", ON_A_TERMINAL, "\n".join(["set -e", *self.before, line])]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            try:
                output = _talk(process, answers or {})
            finally:
                process.kill()
        return Typed(process.returncode, output)

    def start(self, line: str) -> None:
        """Start a line that goes on until `close`; its output goes to `log_of(line)`."""
        script = "\n".join(["set -e", *self.before, f"exec {line}"])
        with self.log_of(line).open("wb") as log:
            self.started[line] = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log_of(self, line: str) -> Path:
        """Return the file with the output of a started line."""
        return self.folder / f"{'-'.join(line.split()[:2])}.log"

    def close(self) -> None:
        """End what was started, last first."""
        for process in reversed(self.started.values()):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _talk(process: subprocess.Popen[bytes], answers: dict[str, str]) -> str:
    seen = ""
    left = dict(answers)
    give_up_at = time.monotonic() + SECONDS
    while chunk := _read(process.stdout, give_up_at, seen):
        seen += chunk.decode("utf-8", errors="replace")
        for question in [one for one in left if one in seen]:
            assert process.stdin is not None
            process.stdin.write(f"{left.pop(question)}\n".encode())
            process.stdin.flush()
    process.wait(10)
    return seen


def _read(validate: IO[bytes] | None, give_up_at: float, seen: str) -> bytes:
    assert validate is not None
    ready, _, _ = select.select([validate], [], [], max(0.0, give_up_at - time.monotonic()))
    assert ready, f"after {SECONDS} s the line still waits:\n{seen}"
    return os.read(validate.fileno(), 65536)
