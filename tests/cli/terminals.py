"""The command on a terminal of its own, or without one, and how it ends on a signal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "TEST_OF_INTERRUPTION"
FIGURES = "INTERRUPTION_FIGURES"  # names a file that gets what was measured, a line an end
# Two seconds are promised; the rest is for a machine that runs other tests too.
MOST_SECONDS = 5.0


@dataclass(frozen=True)
class Ended:
    """How a command ended after its signal."""

    exit_code: int
    seconds: float
    stdout: str  # of a terminal: everything
    stderr: str

    @property
    def lines(self) -> list[str]:
        """What was written to the terminal or stderr, the terminal's ^C and blank lines aside."""
        text = (self.stderr or self.stdout).replace("^C", "")
        return [line.strip() for line in text.splitlines() if line.strip()]


class Command:
    """A command under way; all its descendants bear a mark, so that one left over is found."""

    def __init__(
        self,
        words: Sequence[str | Path],
        folder: Path,
        environment: dict[str, str],
        *,
        has_terminal: bool,
        ignores: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self._words = [str(word) for word in words[1:]]
        self.mark = uuid.uuid4().hex
        self._texts: dict[str, bytes] = {"stdout": b"", "stderr": b""}
        self._terminal: int | None = None
        self._is_over = False
        given = {**environment, MARK: self.mark, "PYTHONUNBUFFERED": "1"}
        options: dict[str, Any] = {"cwd": folder, "env": given, "start_new_session": True}
        if has_terminal:
            self._terminal, inside = pty.openpty()
            self._process = subprocess.Popen(
                words,
                stdin=inside,
                stdout=inside,
                stderr=inside,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                **options,
            )
            os.close(inside)
            sources = {"stdout": self._terminal}
        else:
            self._process = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if stderr is None else stderr,
                preexec_fn=None if ignores is None else lambda: _ignore(ignores),
                **options,
            )
            pipes = {"stdout": self._process.stdout, "stderr": self._process.stderr}
            sources = {name: pipe.fileno() for name, pipe in pipes.items() if pipe is not None}
        self._readers = [
            threading.Thread(target=self._read, args=source, daemon=True)
            for source in sources.items()
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str, place: int) -> None:
        # The end of a terminal whose process is gone is an error.
        with suppress(OSError):
            while not self._is_over:
                if select.select([place], [], [], 0.05)[0]:
                    block = os.read(place, 4096)
                    self._texts[name] += block
                    if not block:
                        return

    @property
    def text(self) -> str:
        """Everything written so far."""
        return b"".join(self._texts.values()).decode(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, is_there: Callable[[], object], seconds: float = 60) -> None:
        """Wait for the moment; fail when the command ends before it."""
        give_up_at = time.monotonic() + seconds
        while not is_there():
            assert self._process.poll() is None, f"ended too early: {self.text}"
            assert time.monotonic() < give_up_at, f"the moment never came: {self.text}"
            time.sleep(0.02)

    def send(self, number: int) -> None:
        """Press Ctrl-C on its terminal, or send the signal to its process alone."""
        if number == signal.SIGINT and self._terminal is not None:
            os.write(self._terminal, b"\x03")
        else:
            os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close its terminal."""
        assert self._terminal is not None
        self._stop_reading()  # a terminal that is being read stays open
        os.close(self._terminal)
        self._terminal = None

    def end_by(self, number: int) -> Ended:
        """Send the signal and wait for the end; fail when it takes too long."""
        started = time.monotonic()
        self.send(number)
        return self.wait(started)

    def _stop_reading(self) -> None:
        self._is_over = True
        for reader in self._readers:
            reader.join(2)

    def wait(self, started: float, seconds: float = 30) -> Ended:
        """Wait for the end."""
        try:
            exit_code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end within {seconds} s: {self.text}") from None
        took = time.monotonic() - started
        for reader in self._readers:
            reader.join(2)
        stdout, stderr = (one.decode(errors="replace") for one in self._texts.values())
        ended = Ended(exit_code, took, stdout, stderr)
        if file := os.environ.get(FIGURES):
            with open(file, "a", encoding="utf-8") as sink:
                figures = [os.environ["PYTEST_CURRENT_TEST"], self._words, took, exit_code]
                sink.write(json.dumps([*figures, len(ended.lines), list(self.left())]) + "\n")
        return ended

    def close(self) -> None:
        """Nothing of it stays, whatever became of the test."""
        for pid in self.left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)
        self._stop_reading()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._terminal is not None:
            os.close(self._terminal)

    def left(self, *, but: str = "") -> dict[int, str]:
        """The processes of this command that still run, but for those with these words."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes():
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if words and not (but and but in words):
                        found[int(folder.name)] = words
        return found

    def left_after(self, seconds: float = 5, *, but: str = "") -> dict[int, str]:
        """The same, when those that are about to end have had this time."""
        give_up_at = time.monotonic() + seconds
        while self.left(but=but) and time.monotonic() < give_up_at:
            time.sleep(0.05)
        return self.left(but=but)


def _ignore(number: int) -> None:
    signal.signal(number, signal.SIG_IGN)


@contextmanager
def started(
    words: Sequence[str | Path],
    folder: Path,
    environment: dict[str, str],
    *,
    has_terminal: bool = True,
    ignores: int | None = None,
    stderr: int | None = None,
) -> Iterator[Command]:
    """A command under way, gone when the block ends."""
    options: dict[str, Any] = {"has_terminal": has_terminal, "ignores": ignores, "stderr": stderr}
    command = Command(words, folder, environment, **options)
    try:
        yield command
    finally:
        command.close()
