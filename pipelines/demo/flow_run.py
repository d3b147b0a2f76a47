"""The demo as a client of its own Prefect server: keep or start it, run the nightly deployment.

The server runs in a process of its own, `prefect_server`. This client uses plain HTTP, because
importing Prefect takes a second.
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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from pipelines.demo.server_state import (
    IDLE_SECONDS,
    LOCK_FILE,
    POLL_SECONDS,
    START_SECONDS,
    STATE_FILE,
    UNFINISHED_FILE,
    State,
    is_locked,
    read_state,
    signature,
)
from pipelines.errors import PrefectUnavailableError

NIGHTLY = "sync-persons/nightly"
STOP_SECONDS = 15.0
# The worker polls every second; its first poll takes some seconds.
PICK_UP_SECONDS = 120.0
LINE_SECONDS = 5.0  # while it waits, it logs a line at least so often
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


@dataclass
class PrefectServer:
    """The server of one demo folder, as the demo sees it."""

    home: Path
    idle_seconds: float = IDLE_SECONDS
    start_seconds: float = START_SECONDS
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _session: requests.Session = field(default_factory=requests.Session, init=False)

    def __post_init__(self) -> None:
        # What is on this machine needs no proxy.
        self._session.trust_env = False

    @property
    def state(self) -> State:
        """The state that the server's process wrote last."""
        return read_state(self.home) or State(0, "")

    def begin(self, config: Path) -> None:
        """Keep the server of an earlier demo, or start one. Return without waiting for it.

        Until `hand_over`, it stops when this process ends.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / UNFINISHED_FILE).touch()
        if self._may_be_kept():
            log.info("Prefect: the server of the last demo still runs at %s", self.state.url)
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
        """Return whether the same server runs already, with no run in progress."""
        state = self.state
        if not (is_locked(self.home / LOCK_FILE) and state.is_ready):
            return False
        if state.signature != signature(self.home, self.idle_seconds):
            return False
        try:
            running = {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING", "PAUSED"]}}
            if self._post("flow_runs/filter", flow_runs={"state": running}):
                return False
            # The persons and leads of earlier runs were deleted with the folder's databases.
            over = {"type": {"any_": list(OVER)}}
            while self._post("flow_runs/bulk_delete", flow_runs={"state": over})["deleted"]:
                pass
        except requests.RequestException:
            return False
        return True

    def await_ready(self) -> None:
        """Wait until runs can be started. Raise PrefectUnavailableError if it takes too long."""
        lines = _Pace()
        give_up_at = time.monotonic() + self.start_seconds + START_SECONDS  # and to deploy
        while not (state := self.state).is_ready:
            if state.error or not self._is_alive():
                raise PrefectUnavailableError(self.state.error or self._has_ended())
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

    def _has_ended(self) -> str:
        return f"the demo's Prefect server has ended: see {self.home}"

    def run_nightly(self) -> FlowRun:
        """Run the nightly deployment by the worker. Return when the run has ended."""
        try:
            deployment = self._get(f"deployments/name/{NIGHTLY}")["id"]
            started = self._post(f"deployments/{deployment}/create_flow_run")
            return self._await_end(started["id"])
        except requests.RequestException:
            raise PrefectUnavailableError(self.state.error or self._has_ended()) from None

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
        """Yield the new log lines of ours; Prefect's own lines are on the run's page."""
        of_run = {"flow_run_id": {"any_": [run_id]}}
        for line in self._post("logs/filter", logs=of_run, sort="TIMESTAMP_ASC"):
            if line["id"] not in printed:
                printed.add(line["id"])
                if line["name"].startswith("pipelines"):
                    yield line["message"]

    def hand_over(self) -> None:
        """Let the server run on without this process, until it is not used for some time."""
        (self.home / UNFINISHED_FILE).unlink(missing_ok=True)

    def stop(self, *, waits: bool = True) -> None:
        """Stop the server of this folder, if one runs."""
        give_up_at = time.monotonic() + STOP_SECONDS
        is_signalled = False
        while is_locked(self.home / LOCK_FILE):
            # The lock is held, so this is its holder's process id, and no other process has it.
            if not is_signalled and (pid := self.state.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                is_signalled = True
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
        return self._request("GET", path)

    def _post(self, path: str, **body: Any) -> Any:
        return self._request("POST", path, body)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the API's response. Repeat at 503: Prefect's SQLite is locked by another write."""
        give_up_at = time.monotonic() + REQUEST_SECONDS
        while True:
            url = f"{self.state.url}/api/{path}"
            response = self._session.request(method, url, json=body, timeout=REQUEST_SECONDS)
            if response.status_code < 500 or time.monotonic() > give_up_at:
                response.raise_for_status()
                return response.json()
            time.sleep(POLL_SECONDS)


def _fill(line: str) -> str:
    """Return a log line of the run, indented and wrapped at 80 columns."""
    return textwrap.fill(line, 80, initial_indent="  ", subsequent_indent="    ")


class _Pace:
    """How long a wait has lasted, and whether another line is due."""

    def __init__(self) -> None:
        self._began_at = self._line_at = time.monotonic()
        self._step = ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_at

    def is_due(self, step: str) -> bool:
        """Return True once for each new step, and again after every LINE_SECONDS of it."""
        is_due = step != self._step or time.monotonic() - self._line_at > LINE_SECONDS
        if is_due:
            self._step, self._line_at = step, time.monotonic()
        return is_due
