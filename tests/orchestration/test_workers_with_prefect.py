"""The command with several workers, as threads of its process, with a Prefect server."""

from __future__ import annotations

import signal
import time

import pytest

from tests.cli.conftest import CommandLine
from tests.steps.scenario import make_persons


@pytest.fixture
def cli_without_persons(cli_with_prefect: CommandLine) -> CommandLine:
    """The command by a Prefect server, and no person yet."""
    cli_with_prefect.scenario.run("delete from persons")
    return cli_with_prefect


def test_run_by_so_many_workers(cli_without_persons: CommandLine) -> None:
    cli = cli_without_persons
    cli.scenario.put_frame(make_persons(12))
    cli.set(run={"poll_seconds": 0.05, "slice_size": 4})
    answer = cli("run", "--workers", "3", "--json")
    assert answer.document["run"]["created_count"] == 12
    assert cli.scenario.rows("select claimed_position from sync_runs") == [{"claimed_position": 12}]
    assert cli("run", "--workers", "0").exit_code == 2


def test_ctrl_c_ends_them_long_before_the_org_is_done(cli_without_persons: CommandLine) -> None:
    cli = cli_without_persons
    cli.scenario.set_org("[behaviour]\nqueue_seconds = 600.0\n")
    cli.scenario.put_frame(make_persons(24))
    cli.set(run={"poll_seconds": 5, "slice_size": 4, "workers": 4})
    with cli.start("run") as process:
        give_up_at = time.monotonic() + 120
        while not cli.scenario.rows("select 1 from lead_batches where batch_state = 'submitted'"):
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stdout + stderr
    assert "interrupted: nothing is lost; `person-sync run` or `person-sync resume`" in stderr
    assert (cli.scenario.unaccounted_but_new(), cli.scenario.miscounted_runs()) == ([], [])
    (run,) = cli.scenario.rows("select run_state, committed_position from sync_runs")
    assert (run["run_state"], run["committed_position"] > 0) == ("failed", True)
