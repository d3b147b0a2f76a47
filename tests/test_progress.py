"""What a run's log tells while one thing lasts."""

from __future__ import annotations

import threading
import time

import pytest

from pipelines.progress import Progress


def wait_for_line(caplog: pytest.LogCaptureFixture, words: str) -> None:
    """Return when a log line with these words is there; fail after half a minute."""
    give_up_at = time.monotonic() + 30
    while not any(words in line for line in caplog.messages):
        assert time.monotonic() < give_up_at, f"no line with {words!r} in {caplog.messages}"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def see_our_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipelines")


def test_what_lasts_is_told_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    with Progress(0.03) as progress, progress.during("login: waiting for an answer"):
        wait_for_line(caplog, "login: waiting for an answer, 0 s so far")
        seen = len(caplog.messages)
        give_up_at = time.monotonic() + 30
        while len(caplog.messages) == seen:
            assert time.monotonic() < give_up_at, "told only once"
            time.sleep(0.01)


def test_what_is_quick_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with Progress(600) as progress, progress.during("login"):
        pass
    assert caplog.messages == []


def test_of_nested_things_the_inner_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with Progress(0.03) as progress, progress.during("outer"):
        with progress.during(lambda: "inner, by now"):
            wait_for_line(caplog, "inner, by now")
        assert not any("outer" in line for line in caplog.messages)
        wait_for_line(caplog, "outer")


def test_each_thread_tells_its_own(caplog: pytest.LogCaptureFixture) -> None:
    both = threading.Barrier(3)

    def work(progress: Progress, name: str) -> None:
        with progress.during(name):
            both.wait(30)
            both.wait(30)

    with Progress(0.03) as progress:
        names = ("first slice", "second slice")
        threads = [threading.Thread(target=work, args=(progress, name)) for name in names]
        for thread in threads:
            thread.start()
        both.wait(30)
        wait_for_line(caplog, "first slice")
        wait_for_line(caplog, "second slice")
        both.wait(30)
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
