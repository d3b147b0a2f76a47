"""Tells in the log what a run is doing, at least every half minute while one thing lasts."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

Activity = str | Callable[[], str]


class _Entry:
    """One thing that lasts, in one thread."""

    def __init__(self, activity: Activity) -> None:
        self.activity = activity
        self.since = self.logged_at = time.monotonic()


class Progress:
    """Logs the present activity of each thread whenever it has lasted `line_seconds` more.

    A context manager: its own thread ends with it. It logs in the context it was entered in, so
    that Prefect files the lines under the right flow run.
    """

    def __init__(self, line_seconds: float) -> None:
        self._line_seconds = line_seconds
        self._entries: dict[int, list[_Entry]] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._watch,), name="progress", daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()

    @contextmanager
    def during(self, activity: Activity) -> Iterator[None]:
        """Log the activity while the block lasts too long; of nested ones only the inner one."""
        entry, thread = _Entry(activity), threading.get_ident()
        with self._lock:
            self._entries.setdefault(thread, []).append(entry)
        try:
            yield
        finally:
            with self._lock:
                self._entries[thread].remove(entry)

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self._line_seconds / 3)):
            self._log_what_lasts(time.monotonic())

    def _log_what_lasts(self, now: float) -> None:
        with self._lock:
            present = [entries[-1] for entries in self._entries.values() if entries]
        for entry in present:
            if now - entry.logged_at >= self._line_seconds:
                entry.logged_at = now
                words = entry.activity if isinstance(entry.activity, str) else entry.activity()
                log.info("%s, %.0f s so far", words, now - entry.since)
