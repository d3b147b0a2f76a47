"""In what order the workers of one run commit their slices, and how a worker notices its end."""

from __future__ import annotations

import time
from contextlib import suppress

from pipelines.errors import LeaseLostError, WarehouseUnavailableError
from pipelines.retry import Clock
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse

END_CHECK_SECONDS = 1.0  # how often a sleeping worker checks that its run still goes on
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5  # seconds between two looks at the committed position


class SliceStalledError(Exception):
    """The slice at position `first` has not been committed for the whole timeout."""

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.first = first


class StoppableClock:
    """The clock of a worker: while it sleeps it checks that its run still goes on."""

    def __init__(self, warehouse: Warehouse, run_id: str, clock: Clock = time) -> None:
        self._warehouse, self._run_id, self._clock = warehouse, run_id, clock

    def monotonic(self) -> float:
        """Return the time of the clock underneath."""
        return self._clock.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Sleep so long. Raise RunEndedError within a second or two of the end of the run."""
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0:
            self._clock.sleep(min(left, END_CHECK_SECONDS))
            # A warehouse that is away is the next step's to find, which retries.
            with suppress(WarehouseUnavailableError):
                ledger.committed_position(self._warehouse, self._run_id)


class SliceCommitOrder:
    """The order in which slices are committed. A slice that takes too long has stalled."""

    def __init__(self, warehouse: Warehouse, clock: Clock, timeout_seconds: float) -> None:
        self._warehouse, self._clock, self._timeout = warehouse, clock, timeout_seconds

    def wait(self, part: ledger.Slice) -> None:
        """Wait until all earlier slices are committed.

        Raise RunEndedError, SliceStalledError, and LeaseLostError when another worker has committed
        this slice meanwhile.
        """
        seen, since, pause = -1, 0.0, FIRST_PAUSE
        while (position := ledger.committed_position(self._warehouse, part.run_id)) != (
            part.first - 1
        ):
            if position >= part.first:
                raise LeaseLostError(f"another worker has committed positions from {part.first} on")
            now = self._clock.monotonic()
            if position != seen:
                seen, since = position, now
            elif now - since >= self._timeout:
                raise SliceStalledError(position + 1)
            self._clock.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
