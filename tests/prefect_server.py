"""A Prefect server of the tests' own, and what a team does with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parents[1]
PREFECT = Path(sys.executable).parent / "prefect"


@dataclass
class Server:
    """A Prefect server of the test's own, and what a team does with it."""

    url: str
    home: Path

    @property
    def own(self) -> dict[str, str]:
        """The variables that lead a process to this server."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, led to this server."""
        return {**os.environ, **self.own, "PERSON_SYNC_HOME": str(ROOT)}

    def command(self, *words: str, **environment: str) -> None:
        """Run a prefect command to its end."""
        done = subprocess.run(
            [PREFECT, "--no-prompt", *words],
            env={**self.environment, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, path: str, **body: Any) -> Any:
        """Ask the server's API."""
        answer = requests.post(f"{self.url}/{path}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def forget(self, kind: str, id_: str) -> None:
        """Delete a flow run, a deployment or the like."""
        requests.delete(f"{self.url}/{kind}/{id_}", timeout=30)

    def deployment(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.ask("deployments/filter")
        return next(one for one in found if one["name"] == name)

    def run(self, name: str, config: Path, **parameters: Any) -> dict[str, Any]:
        """Have a worker run the deployment once; answers the flow run as it ended."""
        deployment = self.deployment(name)["id"]
        asked = self.ask(f"deployments/{deployment}/create_flow_run", parameters=parameters)
        self.command(
            *("worker", "start", "--pool", "person-sync", "--run-once"),
            PERSON_SYNC_CONFIG=str(config),
        )
        ended: dict[str, Any] = requests.get(
            f"{self.url}/flow_runs/{asked['id']}", timeout=30
        ).json()
        return ended


@contextmanager
def running_server(home: Path) -> Iterator[Server]:
    """A server on a free port of loopback, with nothing deployed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Server(f"http://127.0.0.1:{port}/api", home)
    command = [PREFECT, "server", "start", "--port", str(port), "--no-services"]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=made.environment, stdout=log, stderr=log)
    try:
        _await_health(made)
        yield made
    finally:
        process.terminate()
        process.wait(30)


def _await_health(server: Server) -> None:
    give_up_at = time.monotonic() + 120
    while time.monotonic() < give_up_at:
        try:
            if requests.get(f"{server.url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail("the Prefect server did not start within two minutes")
