"""Workers as processes of a real Dask cluster, by the real command, beside a Prefect server."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.cli.conftest import COMMAND, clean_environment
from tests.prefect_server import Server
from tests.steps.scenario import Scenario, make_persons
from tests.steps.worker_runs import KNOWN, SMALL, everything_said, make_mixed_persons

DASK = Path(sys.executable).with_name("dask")
BY_DASK = {"task_runner": "dask", "workers": 2}


@contextmanager
def started(
    scenario: Scenario, server: Server, folder: Path, *words: str, **run: Any
) -> Iterator[subprocess.Popen[str]]:
    """The command, at work; killed with all its processes when the block ends."""
    folder.mkdir(exist_ok=True)
    config = scenario.write_settings(folder / "person-sync.toml", run={**SMALL, **run})
    process = subprocess.Popen(
        [COMMAND, *words, "--config", config],
        env=clean_environment(**server.own),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    whole = psutil.Process(process.pid)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                for one in (*whole.children(recursive=True), whole):
                    one.kill()


def run_to_end(scenario: Scenario, server: Server, folder: Path, **run: Any) -> str:
    with started(scenario, server, folder, "run", **run) as process:
        said, _ = process.communicate(timeout=150)
    assert process.returncode in (0, 1), said
    assert "Traceback" not in said
    return said


def wait_for(happens: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + 90
    while not happens():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def sound(scenario: Scenario) -> bool:
    assert (scenario.unaccounted(), scenario.miscounted_runs()) == ([], [])
    return True


WRITTEN = (
    *("person_outcomes", "person_emails", "rejected_persons", "duplicate_persons"),
    *("lead_batches", "salesforce_jobs"),
)


# On SQLite it takes as long and shows no more: the processes wait for the file instead of for rows.
@pytest.mark.parametrize(
    "warehouse_url", ["postgres", pytest.param("sqlite", marks=pytest.mark.slow)], indirect=True
)
def test_two_processes_end_as_one_worker_person_by_person(
    any_scenario: Scenario, prefect_server: Server, tmp_path: Path
) -> None:
    scenario = any_scenario
    scenario.set_org(KNOWN)
    scenario.put_frame(make_mixed_persons(11, 60))
    scenario.sync(run=SMALL)
    alone = everything_said(scenario)
    for table in WRITTEN:
        scenario.run(f"delete from {table}")
    scenario.set_org(KNOWN)
    run_to_end(scenario, prefect_server, tmp_path, **BY_DASK)
    assert sound(scenario)
    assert everything_said(scenario) == alone
    (run,) = scenario.rows("select committed_position from sync_runs where claimed_position > 0")
    assert run["committed_position"] == 60


SLOW = "\n[behaviour]\nqueue_seconds = 3.0\n"


def worker_processes(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Those of the cluster, which Dask has started anew for each worker."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [one for one in children if "spawn_main" in " ".join(one.cmdline())]


def under_way(scenario: Scenario) -> bool:
    return bool(scenario.emulator.served("PATCH .*/jobs/ingest/.* 200"))


on_postgres = pytest.mark.parametrize("warehouse_url", ["postgres"], indirect=True)


@pytest.mark.slow
@on_postgres
def test_a_killed_worker_process_costs_nobody(
    any_scenario: Scenario, prefect_server: Server, tmp_path: Path
) -> None:
    scenario = any_scenario
    scenario.set_org(SLOW)
    scenario.put_frame(make_persons(36))
    choices = {**BY_DASK, "retry_timeout_seconds": 3, "open_batches": 1}
    with started(scenario, prefect_server, tmp_path, "run", **choices) as process:
        wait_for(lambda: under_way(scenario))
        worker_processes(process)[0].kill()
        said, _ = process.communicate(timeout=150)
    assert process.returncode == 0, said
    assert scenario.outcome_counts() == {"created": 36}
    assert sound(scenario)


@pytest.mark.slow
@on_postgres
def test_when_the_run_is_killed_resume_and_the_next_run_lose_nobody(
    any_scenario: Scenario, prefect_server: Server, tmp_path: Path
) -> None:
    scenario = any_scenario
    scenario.set_org(SLOW)
    scenario.put_frame(make_persons(36))
    with started(scenario, prefect_server, tmp_path, "run", **BY_DASK) as process:
        wait_for(lambda: under_way(scenario))
        process.kill()
        process.wait()
        assert scenario.unaccounted_but_new() == []
        scenario.sync("resume", run=SMALL)
        assert scenario.under_way() == []
        scenario.sync(run=SMALL)
    assert scenario.outcome_counts() == {"created": 36}
    assert sound(scenario)


# --- A cluster that is there already: its scheduler hears ids and numbers


class Tee:
    """A relay of TCP before a server, which keeps all that passes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take nobody new."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with one, other:
            try:
                while block := one.recv(65536):
                    self.heard += block
                    other.sendall(block)
            except OSError:
                return


@contextmanager
def cluster(environment: dict[str, str], folder: Path) -> Iterator[Tee]:
    """Start a scheduler and a worker as processes of their own, met through the tee."""
    own: dict[str, Any] = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL}
    where = ["--dashboard-address", "127.0.0.1:0"]
    words = [DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", *where]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, **own) as scheduler:
        assert scheduler.stderr is not None
        address = None
        while not address:
            address = re.search(r"Scheduler at:\s+tcp://\S+:(\d+)", scheduler.stderr.readline())
        threading.Thread(target=scheduler.stderr.read, daemon=True).start()
        tee = Tee(int(address[1]))
        words = [DASK, "worker", f"tcp://127.0.0.1:{tee.port}", *where]
        # One is enough: what passes its scheduler does not depend on how many there are.
        words += ["--nworkers", "1", "--nthreads", "1"]
        with subprocess.Popen(words, stderr=subprocess.DEVNULL, **own) as workers:
            try:
                yield tee
            finally:
                workers.terminate()
                workers.wait(60)
                scheduler.terminate()
                tee.close()


def test_no_secret_and_no_person_reaches_the_scheduler(
    scenario: Scenario, prefect_server: Server, tmp_path: Path
) -> None:
    scenario.put_frame(make_persons(30).assign(last_name="Canaryname", company="Canary Works"))
    config = scenario.write_settings(tmp_path / "theirs.toml", run=SMALL)
    config.write_text(config.read_text().replace('consumer_secret = "test-secret"', ""))
    secret = {"PERSON_SYNC_SALESFORCE__CONSUMER_SECRET": "test-secret"}
    theirs = clean_environment(**prefect_server.own, **secret, PERSON_SYNC_CONFIG=str(config))
    with cluster(theirs, tmp_path) as tee:
        there = {"dask_address": f"tcp://127.0.0.1:{tee.port}", **BY_DASK}
        run_to_end(scenario, prefect_server, tmp_path / "ours", **there)
    assert scenario.outcome_counts() == {"created": 30}
    (run,) = scenario.rows("select run_id, committed_position from sync_runs")
    assert (run["committed_position"], run["run_id"].encode() in tee.heard) == (30, True)
    heard = bytes(tee.heard).lower()
    for canary in (b"test-secret", b"@persons.example", b"canary", b"warehouse.db"):
        assert canary not in heard


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_ends_the_run_as_passing_trouble(
    scenario: Scenario, prefect_server: Server, tmp_path: Path
) -> None:
    scenario.put_frame(make_persons(30))
    nowhere = {**BY_DASK, "dask_address": "tcp://127.0.0.1:1"}
    with started(scenario, prefect_server, tmp_path, "run", **nowhere) as process:
        said, _ = process.communicate(timeout=150)
    assert process.returncode == 3, said
    assert "no Dask scheduler answers at run.dask_address" in said
    assert (scenario.outcomes_by_id(), scenario.leads()) == ({}, [])
