"""`person-sync demo --prefect`: a real server, worker and run, and nothing left of them after."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from pipelines.demo import server_state
from pipelines.demo.flow_run import PrefectServer
from pipelines.demo.tied_process import descendants
from pipelines.errors import PrefectUnavailableError
from tests.cli.conftest import COMMAND, CommandResult, clean_environment

# A first start has taken 70 seconds while six others worked on this machine.
pytestmark = pytest.mark.timeout(400)
DEADLINE = 180.0


def wait_for(what: Callable[[], Any], why: str, seconds: float = DEADLINE) -> Any:
    give_up_at = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < give_up_at, why
        time.sleep(0.1)
    return found


def runs(process: int) -> bool:
    """Whether it runs; what has ended and is not yet collected does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def await_gone(processes: list[int]) -> None:
    def all_gone() -> bool:
        return not any(map(runs, processes))

    wait_for(all_gone, "left behind: " + str([one for one in processes if runs(one)]), 30)


@dataclass
class Folder:
    """A folder in which the demo is played by Prefect, and what runs for it."""

    folder: Path
    environment: dict[str, str]

    @property
    def home(self) -> Path:
        return self.folder / ".demo" / "prefect"

    @property
    def supervisor(self) -> int:
        return PrefectServer(self.home).state.pid

    @property
    def emulator(self) -> int:
        known: dict[str, int] = json.loads((self.folder / ".demo" / "emulator.json").read_text())
        return known["pid"]

    @property
    def processes(self) -> list[int]:
        """The supervisor, and everything that runs below it."""
        return [self.supervisor, *descendants(self.supervisor)]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, "demo", "--prefect", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass
class Shown(Folder):
    """The same after a demo, with what it printed."""

    foreign: socket.socket
    first: CommandResult

    @property
    def reported(self) -> dict[str, Any]:
        reported: dict[str, Any] = self.first.document["prefect"]
        return reported

    def ask(self, path: str, **body: Any) -> Any:
        answer = requests.post(f"{self.reported['url']}/api/{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def flow_run(self) -> Any:
        path = f"api/flow_runs/{self.reported['flow_run_id']}"
        return requests.get(f"{self.reported['url']}/{path}", timeout=30).json()


def ended(process: subprocess.Popen[str]) -> CommandResult:
    stdout, stderr = process.communicate(timeout=DEADLINE)
    assert "Traceback" not in stdout + stderr, stdout + stderr
    return CommandResult(process.returncode, stdout, stderr)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The demo, shown once where the user has a Prefect, a warehouse and an org already."""
    folder = tmp_path_factory.mktemp("shown")
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        foreign.setblocking(False)
        url = f"http://127.0.0.1:{foreign.getsockname()[1]}"
        environment = clean_environment(
            PREFECT_API_URL=f"{url}/api",
            PREFECT_API_KEY="foreign-key",
            PREFECT_PROFILE="foreign",
            PREFECT_HOME=str(folder / "foreign"),
            PERSON_SYNC_CONFIG=str(folder / "foreign.toml"),
            PERSON_SYNC_WAREHOUSE__URL="sqlite:///foreign.db",
            PERSON_SYNC_SALESFORCE__EMULATOR_URL=url,
        )
        first = ended(Folder(folder, environment).start("--json"))
        shown = Shown(folder, environment, foreign, first)
        yield shown
        PrefectServer(shown.home).stop()
        with suppress(ProcessLookupError):
            os.kill(shown.emulator, signal.SIGTERM)


# In the order of the file: the later ones go on where the earlier ones stopped.


def test_the_worker_of_the_demo_has_run_the_nightly_deployment(shown: Shown) -> None:
    assert shown.first.exit_code == 0, shown.first.stderr
    run = shown.flow_run()
    assert (run["state"]["type"], run["work_pool_name"]) == ("COMPLETED", "person-sync")
    (deployment,) = shown.ask(
        "deployments/filter", deployments={"id": {"any_": [run["deployment_id"]]}}
    )
    assert deployment["name"] == "nightly"
    of_the_run = {"flow_run_id": {"any_": [run["id"]]}}

    def task_names() -> set[str]:
        found = shown.ask("task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
        return {one["name"] for one in found}

    # Task runs are reported by events, some time after they have ended.
    wanted = {
        *("resolve-held-persons", "take-over-stale-batches", "find-new-persons"),
        *(f"{step} 1–212 of 212" for step in ("extract", "validate", "match", "partition")),
        *("load-batches 1–212 of 212", "reconcile-batches"),
    }
    wait_for(lambda: task_names() >= wanted, f"the page lacks tasks of {wanted}")
    assert shown.ask("logs/filter", logs=of_the_run)
    assert shown.ask("artifacts/filter", artifacts=of_the_run)


def test_the_summary_is_that_run_of_the_warehouse(shown: Shown) -> None:
    reported = shown.first.document["run"]
    assert reported["flow_run_id"] == shown.reported["flow_run_id"]
    assert (reported["read_count"], reported["created_count"], reported["rejected_count"]) == (
        212,
        147,
        43,
    )


def test_the_address_of_the_page_responds_and_uses_its_own_server(shown: Shown) -> None:
    page = requests.get(shown.reported["flow_run_url"], headers={"Accept": "text/html"}, timeout=30)
    assert page.ok
    assert "<html" in page.text
    settings = requests.get(f"{shown.reported['url']}/ui-settings", timeout=30).json()
    assert settings["api_url"] == f"{shown.reported['url']}/api"


def test_what_the_user_has_of_prefect_and_settings_is_neither_used_nor_touched(
    shown: Shown,
) -> None:
    assert {one.name for one in shown.folder.iterdir()} == {".demo"}
    with pytest.raises(BlockingIOError):
        shown.foreign.accept()


def test_progress_is_plain_lines_on_stderr_and_no_banner(shown: Shown) -> None:
    lines = shown.first.stderr.splitlines()
    assert lines[0] == "Person Sync demo in .demo/ (the first time Prefect takes half a minute)"
    assert any("the server is ready at http://127.0.0.1:" in line for line in lines)
    assert lines[-1].startswith("Prefect: the nightly run has ended: completed")
    assert [line for line in lines if len(line) > 80] == []
    assert "___" not in shown.first.stderr


def test_the_logs_hold_no_secret(shown: Shown) -> None:
    logs = {file.name: file.read_text() for file in shown.home.glob("*.log")}
    assert {"server.log", "worker.log"} <= set(logs)
    for name, text in logs.items():
        assert "demo-secret" not in text, name


@pytest.mark.parametrize("cron", ["30 2 * * *", "7 * * * *"])
def test_the_runs_to_come_are_there(shown: Shown, cron: str) -> None:
    scheduled = {
        one["id"]
        for one in shown.ask("deployments/filter")
        if cron in [schedule["schedule"]["cron"] for schedule in one["schedules"]]
    }
    upcoming = {"state": {"type": {"any_": ["SCHEDULED"]}}}

    def found() -> bool:
        runs = shown.ask("flow_runs/filter", flow_runs=upcoming)
        return scheduled <= {one["deployment_id"] for one in runs}

    assert scheduled
    wait_for(found, f"nothing is scheduled by {cron}", 100)


def test_a_second_demo_starts_clean_and_keeps_the_server(shown: Shown) -> None:
    before = shown.processes
    second = ended(shown.start("--json"))
    assert second.exit_code == 0, second.stderr
    assert second.document["prefect"]["url"] == shown.reported["url"]
    assert second.document["run"]["created_count"] == 147
    assert all(map(runs, before[:5]))
    over = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
    (only,) = shown.ask("flow_runs/filter", flow_runs=over)
    assert only["id"] == second.document["prefect"]["flow_run_id"]


def test_a_second_demo_at_the_same_time_is_refused(shown: Shown) -> None:
    with server_state.locked(shown.folder / ".demo" / server_state.DEMO_LOCK_FILE):
        answer = ended(shown.start())
    assert answer.exit_code == 2
    assert "another demo runs in .demo/" in answer.stderr
    assert runs(shown.supervisor)


def test_a_demo_killed_before_its_end_leaves_no_server(shown: Shown) -> None:
    process = shown.start()
    assert process.stderr is not None
    for line in process.stderr:
        if "the nightly run is running" in line:
            break
    processes = shown.processes
    process.kill()
    process.communicate(timeout=30)
    assert len(processes) >= 6  # of the run too
    await_gone(processes)


def supervise(shown: Shown, *words: str) -> subprocess.Popen[bytes]:
    """The supervisor alone, as the demo starts it."""
    (shown.home / server_state.UNFINISHED_FILE).unlink(missing_ok=True)
    config = shown.folder / ".demo" / "person-sync.toml"
    command = [sys.executable, "-m", "pipelines.demo.prefect_server", str(shown.home)]
    return subprocess.Popen([*command, "--config", str(config), *words])


def below(process: subprocess.Popen[bytes], words: str) -> list[int]:
    """The processes below it, as soon as one of them was started by these words."""

    def found() -> list[int]:
        there = descendants(process.pid)
        lines = [Path(f"/proc/{one}/cmdline") for one in there]
        texts = [line.read_bytes().replace(b"\0", b" ") for line in lines if line.is_file()]
        return (
            there
            if any(b"-m prefect --no-prompt " + words.encode() in one for one in texts)
            else []
        )

    there: list[int] = wait_for(found, f"no {words} is started")
    return there


def test_server_and_worker_stop_with_their_supervisor_even_by_kill_9(shown: Shown) -> None:
    supervisor = supervise(shown)
    processes = below(supervisor, "server start")
    supervisor.kill()
    supervisor.wait(30)
    await_gone(processes)


def test_server_and_worker_go_on_in_use_and_stop_without_it_whatever_the_worker_asks(
    shown: Shown,
) -> None:
    supervisor = supervise(shown, "--idle-seconds", "3")
    server = PrefectServer(shown.home)

    def is_ready() -> bool:
        return server.state.pid == supervisor.pid and server.state.is_ready

    wait_for(is_ready, "it is not ready")
    processes = below(supervisor, "worker start")
    for _ in range(6):
        assert requests.get(f"{server.state.url}/api/health", timeout=30).ok
        time.sleep(1)
    assert supervisor.poll() is None
    assert supervisor.wait(60) == 0
    await_gone(processes)


def test_a_server_that_does_not_start_in_time_is_reported_in_one_sentence(tmp_path: Path) -> None:
    server = PrefectServer(tmp_path / "prefect", start_seconds=0.1)
    sentence = r"did not start within 0.1 seconds: see .*/server.log"
    with server_state.locked(tmp_path / server_state.DEMO_LOCK_FILE):
        server.begin(tmp_path / "person-sync.toml")
        with pytest.raises(PrefectUnavailableError, match=sentence):
            server.await_ready()
    server.stop()
    assert not server_state.is_locked(server.home / server_state.LOCK_FILE)


@pytest.mark.parametrize("words", [(), ("--prefect",)])
def test_a_folder_that_cannot_be_written_to_is_reported_in_one_sentence(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    command = [COMMAND, "demo", "--dir", "file/demo", *words]
    answer = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert answer.stderr.splitlines()[1:] == [
        "person-sync: the demo cannot write to file/demo/ (Not a directory): name another --dir"
    ]


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = Folder(tmp_path, clean_environment())
    process = demo.start()
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("org emulator: "):
            break
    processes = [demo.emulator, *demo.processes]
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert "Traceback" not in rest
    assert process.returncode != 0
    await_gone(processes)


def test_a_tied_process_takes_along_what_has_a_session_of_its_own(tmp_path: Path) -> None:
    script = (
        "import subprocess, time\n"
        "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-m", "pipelines.demo.tied_process", sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        wait_for(lambda: len(descendants(process.pid)) == 2, "the sleeper is not started", 30)
        processes = descendants(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
    await_gone(processes)
