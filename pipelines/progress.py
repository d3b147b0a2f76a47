"""Log what a run is doing while one activity lasts, at least every half minute."""

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
    """One activity of one thread."""

    def __init__(self, activity: Activity) -> None:
        self.activity = activity
        self.began_at = self.logged_at = time.monotonic()


class Progress:
    """Logs the current activity of each thread whenever it has lasted `line_seconds` more.

    A context manager, with a thread of its own that ends with it. That thread logs in the context
    in which the manager was entered, so that Prefect shows the lines with the right flow run.
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
        """Log this activity while the block lasts long; of nested activities only the inner one."""
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
            self._log_long_activities(time.monotonic())

    def _log_long_activities(self, now: float) -> None:
        with self._lock:
            current = [entries[-1] for entries in self._entries.values() if entries]
        for entry in current:
            if now - entry.logged_at >= self._line_seconds:
                entry.logged_at = now
                text = entry.activity if isinstance(entry.activity, str) else entry.activity()
                log.info("%s, %.0f s so far", text, now - entry.began_at)
