"""The one rule for retries: repeat a step until it succeeds or the retry timeout is over.

The caller's loop sleeps and repeats; this class decides when to give up, and logs what a run is
waiting for. It is not tenacity, for two reasons. The timeout counts from the first failure in a
row, across different steps of one batch. And a log line must be written while waiting.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from pipelines.errors import ErrorSource, TransientError

_WAITING_FOR: Final[dict[ErrorSource, str]] = {
    "org": "Salesforce",
    "warehouse": "the warehouse",
    "ledger": "the warehouse",
    "run": "other workers",
    "settings": "the settings",
}


class Clock(Protocol):
    """Time as an argument: a test moves its own clock, a worker's clock can be stopped."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float, /) -> None: ...


class RetryTimeout:
    """How long failures in a row have lasted, and whether to go on retrying.

    Logs a line when the error is new or another one, and every `line_seconds` while it lasts.
    """

    def __init__(
        self, seconds: float, clock: Clock, log: logging.Logger, *, line_seconds: float = 30
    ) -> None:
        self.seconds = seconds
        self._clock, self._log, self._line_seconds = clock, log, line_seconds
        self._failing_since: float | None = None
        self._logged_at = 0.0
        self._logged = ""

    def reset(self) -> None:
        """Start the timeout again: a call has succeeded."""
        self._failing_since = None

    def failed(self, error: TransientError) -> None:
        """Record one more failure. Raise `error` when failures have lasted the whole timeout."""
        now = self._clock.monotonic()
        if self._failing_since is None:
            self._failing_since, self._logged = now, ""
        seconds = now - self._failing_since
        if seconds >= self.seconds:
            raise error
        if str(error) != self._logged:
            self._log.warning("%s; trying again for up to %.0f s", error, self.seconds)
        elif now - self._logged_at >= self._line_seconds:
            party = _WAITING_FOR[error.source]
            self._log.warning("waiting for %s, %.0f of %.0f s", party, seconds, self.seconds)
        else:
            return
        self._logged, self._logged_at = str(error), now
