"""How long one trouble is retried, and what a log tells meanwhile."""

from __future__ import annotations

import logging

import pytest

from pipelines.errors import OrgLimitError, OrgUnavailableError, WarehouseUnavailableError
from pipelines.retry import RetryTimeout

log = logging.getLogger("pipelines.test_retry")


class ByHand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> ByHand:
    return ByHand()


def fail_every(
    timeout: RetryTimeout, clock: ByHand, seconds: float, times: int, trouble: OrgUnavailableError
) -> None:
    for _ in range(times):
        timeout.failed(trouble)
        clock.sleep(seconds)


def test_a_trouble_is_raised_when_it_has_lasted_for_the_whole_timeout(clock: ByHand) -> None:
    timeout, trouble = RetryTimeout(120, clock, log), OrgUnavailableError("no answer")
    fail_every(timeout, clock, 5, 24, trouble)
    with pytest.raises(OrgUnavailableError, match="no answer"):
        timeout.failed(trouble)


def test_a_timeout_of_zero_never_retries(clock: ByHand) -> None:
    with pytest.raises(OrgLimitError):
        RetryTimeout(0, clock, log).failed(OrgLimitError("a limit is reached"))


def test_a_success_starts_the_timeout_afresh(clock: ByHand) -> None:
    timeout, trouble = RetryTimeout(10, clock, log), OrgUnavailableError("no answer")
    for _ in range(5):
        fail_every(timeout, clock, 4, 2, trouble)
        timeout.reset()


def test_the_log_tells_the_trouble_once_and_then_how_long_it_lasts(
    clock: ByHand, caplog: pytest.LogCaptureFixture
) -> None:
    timeout = RetryTimeout(120, clock, log, line_seconds=30)
    fail_every(timeout, clock, 5, 14, OrgUnavailableError("no answer"))
    timeout.failed(WarehouseUnavailableError("the warehouse is away"))
    assert caplog.messages == [
        "no answer; trying again for up to 120 s",
        "waiting for Salesforce, 30 of 120 s",
        "waiting for Salesforce, 60 of 120 s",
        "the warehouse is away; trying again for up to 120 s",
    ]
