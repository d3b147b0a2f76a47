"""One way to retry: again until a timeout, with lines in the log while the trouble lasts."""

from __future__ import annotations

import logging
from typing import Final, Protocol

from pipelines.errors import TransientError

_PARTIES: Final = {
    "org": "Salesforce",
    "warehouse": "the warehouse",
    "ledger": "the warehouse",
    "run": "other workers",
    "settings": "the settings",
}


class Clock(Protocol):
    """Time as an argument: what cannot be run in a test is handed in."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float, /) -> None: ...


class RetryTimeout:
    """How long one transient trouble has lasted, and whether to go on retrying.

    A line is logged when the trouble begins or changes, and every `line_seconds` while it lasts.
    """

    def __init__(
        self, seconds: float, clock: Clock, log: logging.Logger, *, line_seconds: float = 30
    ) -> None:
        self.seconds = seconds
        self._clock, self._log, self._line_seconds = clock, log, line_seconds
        self._since: float | None = None
        self._logged_at = 0.0
        self._logged = ""

    def reset(self) -> None:
        """Forget the trouble: a call has succeeded."""
        self._since = None

    def failed(self, trouble: TransientError) -> None:
        """Note one more failure. Raise `trouble` when it has lasted for the whole timeout."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since, self._logged = now, ""
        if now - self._since >= self.seconds:
            raise trouble
        if str(trouble) != self._logged:
            self._log.warning("%s; trying again for up to %.0f s", trouble, self.seconds)
        elif now - self._logged_at >= self._line_seconds:
            party, lasted = _PARTIES[trouble.source], now - self._since
            self._log.warning("waiting for %s, %.0f of %.0f s", party, lasted, self.seconds)
        else:
            return
        self._logged, self._logged_at = str(trouble), now
