"""Ctrl-C, SIGTERM and a closed terminal end the command within two seconds, with one sentence.

The first signal raises `Interrupted` in the main thread, so that the run is recorded as failed. The
main thread may be blocked by a database call or by worker threads. So a second thread ends the
process after a grace period, and immediately on a second signal. The delivery protocol survives
that at any instant.

This module imports nothing that takes time: it must be ready before everything else is imported.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, NoReturn

from pipelines.errors import Interrupted

GRACE_SECONDS: Final = 1.4  # two seconds are promised; the rest is for a busy machine
REPORT_SECONDS: Final = 1.6  # since the signal, for a report that is being sent
# timeout(1) signals the process and then its group: the same signal twice.
SAME_SIGNAL_SECONDS: Final = 0.1
WRITE_SECONDS: Final = 0.1  # how long a full pipe or a stopped terminal may delay the sentence

# Signal → error name for `--json`, start of the sentence, reason in `sync_runs`.
_SIGNALS: Final = {
    int(getattr(signal, name)): texts
    for name, texts in {
        "SIGINT": ("Interrupted", "interrupted", "interrupted by Ctrl-C"),
        "SIGTERM": ("Terminated", "terminated", "terminated by SIGTERM"),
        "SIGHUP": ("Terminated", "terminated", "the terminal was closed (SIGHUP)"),
    }.items()
    if hasattr(signal, name)
}
_REMEDIES: Final = {
    **dict.fromkeys(
        ("run", "now", "resume"),
        "nothing is lost; `person-sync run` or `person-sync resume` continues",
    ),
    "migrate": "nothing is half done; `person-sync migrate` continues",
    "resolve": "nothing is half done; give the same command again",
    "demo": "`person-sync demo` starts it from the beginning",
}


class _Process:
    """The signals and the end of this process. `install` makes the only one."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.as_json = "--json" in arguments
        self.command = next((one for one in arguments if not one.startswith("-")), "")
        self.signal_number: int | None = None
        self.exit_code: int | None = None  # of a command that is done and only has to leave
        self._noticed_at = 0.0
        self._has_raised = False
        self.report: Callable[[], object] | None = None
        self._reporter: threading.Thread | None = None
        self._may_announce = threading.Lock()
        self._is_announced = threading.Event()
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._writable, False)

    def listen(self) -> None:
        """Install the handlers. A signal that is ignored stays ignored: nohup, `&` in a script."""
        if os.name == "posix":  # elsewhere nothing can wait for a pipe
            # The system's own handler writes the number there, even while the main thread is busy.
            signal.set_wakeup_fd(self._writable, warn_on_full_buffer=False)
            threading.Thread(target=self._watch, name="interruption", daemon=True).start()
        # Registered first, so run last: from then on Python takes our handlers away, and a signal
        # would give a command that is done the exit code of a failure.
        atexit.register(self._ignore_signals)
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                signal.signal(number, self._handle)

    def end(self) -> NoReturn:
        """Print the sentence, once, and end the process without waiting for any thread."""
        if self.exit_code is not None:
            os._exit(self.exit_code)
        number = self.signal_number or signal.SIGINT
        if self._reporter is not None:
            self._reporter.join(max(0.0, self._noticed_at + REPORT_SECONDS - time.monotonic()))
        if self._may_announce.acquire(blocking=False):
            self._announce(number)
            self._is_announced.set()
        self._is_announced.wait(3 * WRITE_SECONDS)
        os._exit(128 + number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal in the main thread, as soon as that runs Python code again."""
        may_continue = self._notice(number)
        if not self._has_raised and self.exit_code is None:
            self._has_raised = True
            # A library may have replaced the wakeup descriptor: tell the watching thread.
            with suppress(OSError):
                os.write(self._writable, b"\0")
            raise Interrupted(number, _SIGNALS[number][2])
        if not may_continue:
            self.end()

    def _ignore_signals(self) -> None:
        for number in _SIGNALS:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_IGN)

    def _watch(self) -> None:
        """Read the signals as they arrive, whatever the main thread is doing."""
        _block()  # so that the main thread gets them, and its waiting ends
        while True:
            left = None
            if self.signal_number is not None:
                left = max(0.0, self._noticed_at + GRACE_SECONDS - time.monotonic())
            if not select.select([self._readable], [], [], left)[0]:
                self.end()
            for number in os.read(self._readable, 64):
                if number in _SIGNALS and not self._notice(number):
                    self.end()
            if self.report is not None and self._reporter is None and self._noticed_at:
                self._reporter = threading.Thread(target=self._run_report, daemon=True)
                self._reporter.start()

    def _run_report(self) -> None:
        report = self.report
        if report is not None:
            with suppress(Exception):  # a server that does not respond gets no report
                report()

    def _notice(self, number: int) -> bool:
        """Record a signal. Return False if the process must end immediately."""
        now = time.monotonic()
        if self.signal_number is None:
            self._noticed_at, self.signal_number = now, number
        return self.exit_code is None and now - self._noticed_at < SAME_SIGNAL_SECONDS

    def _announce(self, number: int) -> None:
        kind, start, _ = _SIGNALS[number]
        sentence = ": ".join(filter(None, (start, _REMEDIES.get(self.command))))
        # On a new line after the ^C that a terminal shows.
        line_break = "\n" if number == signal.SIGINT and os.isatty(2) else ""
        _write(sys.stderr, f"{line_break}{sentence}\n")
        # If output has begun, print no second document: nobody could parse two.
        if self.as_json and not getattr(sys.stdout, "has_written", False):
            import json  # imported late: the handlers come first

            document = {"error": kind, "message": sentence, "is_transient": True}
            _write(sys.stdout, json.dumps(document) + "\n")


_process: _Process | None = None


def install(arguments: Sequence[str]) -> None:
    """Handle signals from now on; `arguments` are those of the command. May be repeated.

    Only in the main thread.
    """
    global _process
    if _process is None:
        _process = _Process(arguments)
        _process.listen()


def is_noticed() -> bool:
    """Return whether a signal has asked this process to end."""
    return _process is not None and _process.signal_number is not None


def end() -> NoReturn:
    """End the process with the signal's exit code, and its sentence if that is not printed yet."""
    if _process is None:
        os._exit(128 + signal.SIGINT)
    _process.end()


@contextmanager
def reporting(report: Callable[[], object]) -> Iterator[None]:
    """Call `report` when a signal arrives during the block, from a thread of its own.

    The main thread may be waiting for its workers.
    """
    if _process is not None:
        _process.report = report
    try:
        yield
    finally:
        if _process is not None:
            _process.report = None


def hold_for_next_program() -> None:
    """Block signals until the program that replaces this process has handlers of its own."""
    _block()


def leave_with(exit_code: int) -> None:
    """Record the exit code of a finished command: a signal no longer changes it."""
    if _process is not None:
        _process.exit_code = exit_code


def _block() -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _write(stream: object, text: str) -> None:
    """Write without the stream's lock, which the main thread may hold; do not wait for a reader."""
    try:
        place = stream.fileno()  # type: ignore[attr-defined]
        if os.name != "posix" or select.select([], [place], [], WRITE_SECONDS)[1]:
            os.write(place, text.encode())
    except (OSError, ValueError, AttributeError):
        return  # the stream is closed
