"""A Prefect server of the tests' own, and what a team does with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

ROOT = Path(__file__).parents[1]
PREFECT = Path(sys.executable).parent / "prefect"


@dataclass
class Server:
    """A Prefect server of the test's own, and what a team does with it."""

    url: str
    home: Path
    # Where its commands are typed, and variables for them alone.
    folder: Path = ROOT
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def own(self) -> dict[str, str]:
        """The variables that lead a process to this server."""
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_API_URL": self.url,
            # By the variable, not by --port: the pages of the UI ask at this one.
            "PREFECT_SERVER_API_PORT": str(urlsplit(self.url).port),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, led to this server."""
        theirs = {name: text for name, text in os.environ.items() if name != "PERSON_SYNC_HOME"}
        return {**theirs, **self.own}

    @property
    def log(self) -> str:
        """Everything the server has logged so far."""
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")

    def command(self, *words: str, **environment: str) -> None:
        """Run a prefect command to its end."""
        done = subprocess.run(
            [PREFECT, "--no-prompt", *words],
            env={**self.environment, **self.variables, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def ask(self, path: str, **body: Any) -> Any:
        """Ask the server's API, again where SQLite was locked, as Prefect's own client does."""
        for seconds in (1, 2, 4, 8, 0):
            answer = requests.post(f"{self.url}/{path}", json=body, timeout=30)
            if answer.status_code != 503:
                break
            time.sleep(seconds)
        assert answer.ok, answer.text
        return answer.json()

    def forget(self, kind: str, id_: str) -> None:
        """Delete a flow run, a deployment or the like."""
        requests.delete(f"{self.url}/{kind}/{id_}", timeout=30)

    def deployment(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.ask("deployments/filter")
        return next(one for one in found if one["name"] == name)

    def run(self, name: str, config: Path | None, **parameters: Any) -> dict[str, Any]:
        """Have a worker run the deployment once; answers the flow run as it ended.

        `config` is the settings file that the worker's environment names, if any.
        """
        deployment = self.deployment(name)["id"]
        asked = self.ask(f"deployments/{deployment}/create_flow_run", parameters=parameters)
        self.command(
            *("worker", "start", "--pool", "person-sync", "--run-once"),
            **({} if config is None else {"PERSON_SYNC_CONFIG": str(config)}),
        )
        ended: dict[str, Any] = requests.get(
            f"{self.url}/flow_runs/{asked['id']}", timeout=30
        ).json()
        return ended


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def running_server(home: Path, *, services: bool = False, **environment: str) -> Iterator[Server]:
    """Start a server on a free port of loopback, with nothing deployed.

    Only with `services` does it schedule, look for late runs and evaluate automations.
    """
    made = Server(f"http://127.0.0.1:{free_port()}/api", home)
    command = [PREFECT, "server", "start", *([] if services else ["--no-services"])]
    given = {**made.environment, **environment}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=given, stdout=log, stderr=log)
    try:
        await_health(made)
        yield made
    finally:
        process.terminate()
        process.wait(30)


def await_health(server: Server) -> None:
    """Wait until the server answers. Fail the test after two minutes."""
    give_up_at = time.monotonic() + 120
    while time.monotonic() < give_up_at:
        try:
            if requests.get(f"{server.url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail("the Prefect server did not start within two minutes")
