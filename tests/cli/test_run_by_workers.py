"""The command with several workers, as threads of its process, beside a Prefect server."""

from __future__ import annotations

import signal
import time

import pytest

from tests.cli.conftest import Front
from tests.steps.scenario import make_persons


@pytest.fixture
def front_of_nobody(front_by_server: Front) -> Front:
    """The command by a Prefect server, and no person yet."""
    front_by_server.scenario.run("delete from persons")
    return front_by_server


def test_run_by_so_many_workers(front_of_nobody: Front) -> None:
    front = front_of_nobody
    front.scenario.put_frame(make_persons(12))
    front.set(run={"poll_seconds": 0.05, "slice_size": 4})
    answer = front("run", "--workers", "3", "--json")
    assert answer.document["run"]["created_count"] == 12
    assert front.scenario.rows("select claimed_position from sync_runs") == [
        {"claimed_position": 12}
    ]
    assert front("run", "--workers", "0").exit_code == 2


def test_ctrl_c_ends_them_long_before_the_org_is_done(front_of_nobody: Front) -> None:
    front = front_of_nobody
    front.scenario.set_org("[behaviour]\nqueue_seconds = 600.0\n")
    front.scenario.put_frame(make_persons(24))
    front.set(run={"poll_seconds": 5, "slice_size": 4, "workers": 4})
    with front.start("run") as process:
        give_up_at = time.monotonic() + 120
        while not front.scenario.rows("select 1 from lead_batches where batch_state = 'submitted'"):
            assert time.monotonic() < give_up_at
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stdout + stderr
    assert "interrupted: nothing is lost; `person-sync run` or `person-sync resume`" in stderr
    assert (front.scenario.unaccounted_but_new(), front.scenario.miscounted_runs()) == ([], [])
    (run,) = front.scenario.rows("select run_state, committed_position from sync_runs")
    assert (run["run_state"], run["committed_position"] > 0) == ("failed", True)
