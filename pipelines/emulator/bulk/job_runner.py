"""The thread that runs jobs in turns."""

from __future__ import annotations

import heapq
import itertools
import signal
import threading
import time
from collections.abc import Iterator

Work = Iterator[float]


class JobRunner(threading.Thread):
    """Runs whichever job is due. A job is an iterator that yields how many seconds it waits."""

    def __init__(self) -> None:
        super().__init__(name="bulk jobs", daemon=True)
        self._due: list[tuple[float, int, Work]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False

    def add(self, work: Work) -> None:
        """Add a job that is due now."""
        self._push(0.0, work)

    def stop(self) -> None:
        """Stop after the current step."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self.join(timeout=0.8)

    def run(self) -> None:
        """Run jobs until stopped."""
        try:
            while (work := self._next()) is not None:
                delay = next(work, None)
                if delay is not None:
                    self._push(delay, work)
        finally:
            if not self._stopping:
                # An internal error must not look like a slow job, so the whole emulator ends.
                signal.raise_signal(signal.SIGTERM)

    def _push(self, delay: float, work: Work) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), work))
            self._changed.notify()

    def _next(self) -> Work | None:
        with self._changed:
            while not self._stopping:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None
