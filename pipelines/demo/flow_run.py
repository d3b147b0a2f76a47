"""What the demo does with its own Prefect server: keep or start it, run the nightly deployment.

The server runs by `demo_server`, a process apart. Here is its client, over HTTP: the demo needs no
import of Prefect, which takes a second.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from pipelines.demo.prefect_server import (
    DEMO_LOCK_FILE,
    IDLE_SECONDS,
    LOCK_FILE,
    POLL_SECONDS,
    START_SECONDS,
    STATE_FILE,
    UNFINISHED_FILE,
    State,
    is_locked,
    locked,
    read_state,
    signature,
)
from pipelines.errors import ConfigurationError, PrefectUnavailableError
from pipelines.settings import FILE_NAME

HOME = "prefect"  # in the demo's folder: Prefect's own files and the logs
NIGHTLY = "sync-persons/nightly"
STOP_SECONDS = 15.0
# A worker that is alive looks for work every second; its first look takes it some seconds.
PICK_UP_SECONDS = 120.0
LINE_SECONDS = 5.0  # a line at least so often while it waits
REQUEST_SECONDS = 30.0
WAITING = ("SCHEDULED", "PENDING")
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
STEPS = {
    "starting": "is starting",
    "server": "is starting",
    "deployments": "is up; starting a worker and deploying",
    "ready": "is ready",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FlowRun:
    """How the deployment's run ended, and where its page is."""

    id: str
    url: str
    state: str
    message: str

    @property
    def is_completed(self) -> bool:
        return self.state == "COMPLETED"


@dataclass
class PrefectServer:
    """The server of one demo folder, as the demo sees it."""

    home: Path
    idle_seconds: float = IDLE_SECONDS
    start_seconds: float = START_SECONDS
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _session: requests.Session = field(default_factory=requests.Session, init=False)

    def __post_init__(self) -> None:
        # A proxy of the user's must not be asked for what is on this machine.
        self._session.trust_env = False

    @property
    def state(self) -> State:
        """What the server's process wrote last."""
        return read_state(self.home) or State(0, "")

    def begin(self, config: Path) -> None:
        """Keep the server that an earlier demo left, or start one; come back at once.

        Until `hand_over`, it stops when this process ends.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / UNFINISHED_FILE).touch()
        if self._may_be_kept():
            log.info("Prefect: the server of the last demo goes on at %s", self.state.url)
            return
        self.stop()
        (self.home / STATE_FILE).unlink(missing_ok=True)
        command = [sys.executable, "-m", "pipelines.demo.prefect_server", str(self.home)]
        command += ["--config", str(config), "--idle-seconds", str(self.idle_seconds)]
        command += ["--start-seconds", str(self.start_seconds)]
        with (self.home / "supervisor.log").open("wb") as sink:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
                command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def _may_be_kept(self) -> bool:
        """Return whether it is the server that would be started, with nothing at work in it."""
        state = self.state
        if not (is_locked(self.home / LOCK_FILE) and state.is_ready):
            return False
        if state.signature != signature(self.home, self.idle_seconds):
            return False
        try:
            at_work = {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]}}
            if self._post("flow_runs/filter", flow_runs={"state": at_work}):
                return False
            # The persons and leads of the earlier runs are gone with the folder's databases.
            over = {"type": {"any_": list(OVER)}}
            while self._post("flow_runs/bulk_delete", flow_runs={"state": over})["deleted"]:
                pass
        except requests.RequestException:
            return False
        return True

    def await_ready(self) -> None:
        """Wait until runs can be started. Raise PrefectUnavailableError if that fails."""
        lines = _Pace()
        give_up_at = time.monotonic() + self.start_seconds + START_SECONDS  # and to deploy
        while not (state := self.state).is_ready:
            if state.error or not self._is_alive():
                raise PrefectUnavailableError(self.state.error or self._ended())
            if time.monotonic() > give_up_at:
                raise PrefectUnavailableError(f"the Prefect server is not ready: see {self.home}")
            step = STEPS[state.step]
            if lines.is_due(step):
                log.info("Prefect: a server %s (%d s)", step, lines.seconds)
            time.sleep(POLL_SECONDS / 2)
        if self._process is not None:
            log.info("Prefect: the server is ready at %s (%d s)", state.url, lines.seconds)

    def _is_alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return is_locked(self.home / LOCK_FILE)

    def _ended(self) -> str:
        return f"the demo's Prefect server has ended: see {self.home}"

    def run_nightly(self) -> FlowRun:
        """Have the worker run the nightly deployment; return when it is over."""
        try:
            deployment = self._get(f"deployments/name/{NIGHTLY}")["id"]
            started = self._post(f"deployments/{deployment}/create_flow_run")
            return self._await_end(started["id"])
        except requests.RequestException:
            raise PrefectUnavailableError(self.state.error or self._ended()) from None

    def _await_end(self, run_id: str) -> FlowRun:
        url = f"{self.state.url}/v2/runs/flow-run/{run_id}"
        lines, printed = _Pace(), set[str]()
        while True:
            state = self._get(f"flow_runs/{run_id}")["state"]
            name = state["name"].lower()
            for line in self._new_lines(run_id, printed):
                log.info("%s", _fill(line))
            if state["type"] in OVER:
                log.info("Prefect: the nightly run has ended: %s (%d s)", name, lines.seconds)
                return FlowRun(run_id, url, state["type"], state["message"] or "")
            if lines.is_due(name):
                log.info("Prefect: the nightly run is %s (%d s)", name, lines.seconds)
            if state["type"] in WAITING and lines.seconds > PICK_UP_SECONDS:
                raise PrefectUnavailableError(
                    f"no worker took the run: see {self.home / 'worker.log'}"
                )
            time.sleep(POLL_SECONDS)

    def _new_lines(self, run_id: str, printed: set[str]) -> Iterator[str]:
        """Return what the run has logged of its own; Prefect's lines are on its page."""
        asked = {"flow_run_id": {"any_": [run_id]}}
        for line in self._post("logs/filter", logs=asked, sort="TIMESTAMP_ASC"):
            if line["id"] not in printed:
                printed.add(line["id"])
                if line["name"].startswith("pipelines"):
                    yield line["message"]

    def hand_over(self) -> None:
        """Let the server go on without this process, until nobody has used it for a while."""
        (self.home / UNFINISHED_FILE).unlink(missing_ok=True)

    def stop(self, *, waits: bool = True) -> None:
        """Stop the server that runs in this folder, if there is one."""
        give_up_at = time.monotonic() + STOP_SECONDS
        is_asked = False
        while is_locked(self.home / LOCK_FILE):
            # The lock is held, so this is the number of its holder and of no other process.
            if not is_asked and (pid := self.state.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                is_asked = True
            if not waits:
                return
            if time.monotonic() > give_up_at:
                raise PrefectUnavailableError(
                    f"an earlier demo's server does not stop: see {self.home}"
                )
            time.sleep(POLL_SECONDS / 2)
        if self._process is not None and waits:
            self._process.wait(STOP_SECONDS)

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _post(self, path: str, **body: Any) -> Any:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the API. On SQLite it answers 503 while another writes: then again, for a while."""
        give_up_at = time.monotonic() + REQUEST_SECONDS
        while True:
            url = f"{self.state.url}/api/{path}"
            answer = self._session.request(method, url, json=body, timeout=REQUEST_SECONDS)
            if answer.status_code < 500 or time.monotonic() > give_up_at:
                answer.raise_for_status()
                return answer.json()
            time.sleep(POLL_SECONDS)


def _fill(line: str) -> str:
    """Return a log line of the run, indented and within 80 columns."""
    return textwrap.fill(line, 80, initial_indent="  ", subsequent_indent="    ")


@contextmanager
def demo_at_work(folder: Path, *, with_server: bool) -> Iterator[PrefectServer | None]:
    """Have the folder for one demo alone, with a server of its own on request.

    The server goes on after a good end; whatever else ends the demo, ends the server.
    """
    with _locked(folder):
        server = PrefectServer(folder.resolve() / HOME)
        if not with_server:
            server.stop()  # its worker would go on with databases that are made again
            yield None
            return
        try:
            server.begin(folder.resolve() / FILE_NAME)
            yield server
        except BaseException:  # Ctrl-C too: nobody was told of the server yet
            server.stop(waits=False)
            raise
        server.hand_over()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = locked(folder / DEMO_LOCK_FILE)
        lock.__enter__()
    except BlockingIOError:
        raise ConfigurationError(
            f"another demo is at work in {folder}/: wait for its end, or name another --dir"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the demo cannot write to {folder}/ ({error.strerror}): name another --dir"
        ) from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


class _Pace:
    """How long something has lasted, and whether another line is due."""

    def __init__(self) -> None:
        self._began_at = self._line_at = time.monotonic()
        self._step = ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_at

    def is_due(self, step: str) -> bool:
        """Return True once for each new step, and once for each stretch of time in it."""
        is_due = step != self._step or time.monotonic() - self._line_at > LINE_SECONDS
        if is_due:
            self._step, self._line_at = step, time.monotonic()
        return is_due
