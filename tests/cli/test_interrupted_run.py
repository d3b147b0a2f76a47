"""Ctrl-C during a run: no person is lost, and the next command completes it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import (
    NOW,
    CommandLine,
    CommandResult,
)

SLOW = "[behaviour]\nqueue_seconds = 6.0\n"


def wait_for(is_there: Callable[[], Any], seconds: float = 60) -> None:
    give_up_at = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def slow_org_without_field(cli: CommandLine) -> None:
    """The org takes its time, and has no person-id field to find leads by."""
    cli.scenario.set_org(SLOW, person_id_field=False)
    cli.set(salesforce={"person_id_field": ""})


def interrupt_under_way(cli: CommandLine, *words: str) -> CommandResult:
    """Start the command, and press Ctrl-C once its job is closed and the org processes it."""
    with cli.start(*words) as process:
        closing = "select 1 from lead_batches where batch_state = 'submitted'"
        wait_for(lambda: cli.scenario.rows(closing))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stdout + stderr, stderr
    return CommandResult(process.returncode, stdout, stderr)


@pytest.mark.parametrize("words", [("run",), ("now", "P1", "P2")], ids=["run", "now"])
def test_ctrl_c_loses_no_person_and_resume_continues(
    cli: CommandLine, words: tuple[str, ...]
) -> None:
    slow_org_without_field(cli)
    answer = interrupt_under_way(cli, *words)
    assert answer.exit_code == 130
    assert (
        "interrupted: nothing is lost; `person-sync run` or `person-sync resume`" in answer.stderr
    )
    assert list(cli.scenario.outcomes_by_id()) == ["P2"]
    assert cli.written()["person_claims"] == 1
    assert cli("resume").exit_code == 0
    assert cli.scenario.outcomes_by_id()["P1"]["outcome"] == "created"
    assert len(cli.scenario.leads()) == 1


def test_status_of_an_interrupted_run_shows_what_is_open(cli: CommandLine) -> None:
    slow_org_without_field(cli)
    interrupt_under_way(cli, *NOW)
    reported = cli("status")
    assert "(now) failed" in reported.stdout
    assert "interrupted" in reported.stdout
    assert "1 open" in reported.stdout
    assert "submitted, held until" in reported.stdout
