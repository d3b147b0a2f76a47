"""The demo's own Prefect server and worker: start them, watch whether they are used, stop them.

Run by `python -m pipelines.demo.prefect_server HOME --config FILE`; HOME keeps Prefect's files. The
process ends after some time without use, or at SIGTERM. It also ends when server or worker ends,
and when the demo that started it is killed. Server and worker end with it.

Users reach the server through a port that this process forwards; the worker and its runs do not.
So a user's requests are known from the worker's polling. An open page sends requests all the time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import requests

from pipelines.demo.clean_database import keep_clean_database, take_clean_database
from pipelines.demo.port_forwarding import LOOPBACK, forward
from pipelines.demo.server_state import (
    CODE_HOME,
    DEMO_LOCK_FILE,
    EMULATOR_FILE,
    IDLE_SECONDS,
    LOCK_FILE,
    POLL_SECONDS,
    PREFECT_FILE,
    START_SECONDS,
    STATE_FILE,
    UNFINISHED_FILE,
    State,
    is_locked,
    locked,
    signature,
)

POOL = "person-sync"
REQUEST_SECONDS = 5.0
EMULATOR_SECONDS = 60.0  # how often the org emulator is kept awake while the server is in use


class ServerFailed(Exception):
    """Why the server cannot be started or has ended, in one sentence."""


def environment(home: Path, url: str, **given: str) -> dict[str, str]:
    """Return the environment of our own Prefect at `url`, without any other Prefect's settings.

    The user's PREFECT_API_URL, profile and home lead elsewhere, and their PERSON_SYNC_ variables
    would lead the demo's run to a real warehouse or org.
    """
    foreign = ("PREFECT_", "PERSON_SYNC_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return {
        **kept,
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_CLI_COLORS": "false",
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PERSON_SYNC_HOME": str(CODE_HOME),
        **given,
    }


class Supervisor:
    """The server and the worker of one folder."""

    def __init__(self, home: Path, config: Path, idle_seconds: float, start_seconds: float) -> None:
        self._home, self._config = home, config
        self._idle_seconds, self._start_seconds = idle_seconds, start_seconds
        self._used_at = time.monotonic()
        self._emulator_woken_at = 0.0
        self._url = self._inner_url = ""
        self._stop = asyncio.Event()
        self._state = State(os.getpid(), signature(home, idle_seconds))
        self._children: list[asyncio.subprocess.Process] = []

    async def run(self) -> None:
        """Serve until there is a reason to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        self._write_state()
        try:
            async with asyncio.TaskGroup() as tasks:
                starting = tasks.create_task(self._start())
                await self._watch()
                starting.cancel()
        except* (ServerFailed, OSError) as errors:
            self._write_state(error=_sentence(errors))
        finally:
            await asyncio.gather(*map(_end, self._children))

    def _write_state(self, **changed: Any) -> None:
        self._state = replace(self._state, **changed)
        written = self._home / f"{STATE_FILE}.new"
        written.write_text(json.dumps(asdict(self._state)), encoding="utf-8")
        written.replace(self._home / STATE_FILE)

    async def _watch(self) -> None:
        """Return when there is a reason to stop. Raise ServerFailed when a child has ended."""
        while not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), POLL_SECONDS)
            if any(child.returncode is not None for child in self._children):
                raise ServerFailed(f"the Prefect server or its worker has ended: see {self._home}")
            if self._is_idle() or self._is_orphan():
                return
            await self._keep_emulator_awake()

    def _is_idle(self) -> bool:
        is_unused = time.monotonic() - self._used_at > self._idle_seconds
        return is_unused and self._state.is_ready

    def _is_orphan(self) -> bool:
        """Return whether a demo ended before it printed where the server is."""
        if not (self._home / UNFINISHED_FILE).is_file():
            return False
        return not is_locked(self._home.parent / DEMO_LOCK_FILE)

    async def _keep_emulator_awake(self) -> None:
        """Send the org emulator a request: while the page is in use, it must not stop either."""
        if self._used_at < self._emulator_woken_at + EMULATOR_SECONDS:
            return
        self._emulator_woken_at = time.monotonic()
        with suppress(OSError, ValueError, KeyError):
            known = json.loads((self._home.parent / EMULATOR_FILE).read_text(encoding="utf-8"))
            await _request(known["url"], "/emulator/requests")

    def _mark_used(self) -> None:
        self._used_at = time.monotonic()

    async def _start(self) -> None:
        """Start everything, step by step."""
        inner_port = _free_port()
        self._inner_url = f"http://{LOOPBACK}:{inner_port}"
        forwarding = await asyncio.start_server(
            partial(forward, inner_port, self._mark_used), LOOPBACK, 0
        )
        self._url = f"http://{LOOPBACK}:{forwarding.sockets[0].getsockname()[1]}"
        self._write_state(url=self._url, step="server")
        is_new = not take_clean_database(self._home)
        await self._start_child("server", ("server", "start"), self._server_settings(inner_port))
        await self._await_health()
        if is_new:
            keep_clean_database(self._home)
        self._write_state(step="deployments")
        await _request(self._inner_url, "/api/work_pools/", {"name": POOL, "type": "process"})
        command = ("worker", "start", "--pool", POOL, "--type", "process")
        await self._start_child("worker", command, self._worker_settings())
        await self._deploy()
        self._mark_used()  # from here on it may be idle
        self._write_state(step="ready", is_ready=True)

    def _server_settings(self, port: int) -> dict[str, str]:
        return {
            "PREFECT_SERVER_API_HOST": LOOPBACK,
            # With the option --port its page would send its requests to port 4200.
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_UI_API_URL": f"{self._url}/api",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": self._url,  # no page of another site may ask
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            # Two servers with one installation would otherwise copy their pages to one place.
            "PREFECT_UI_STATIC_DIRECTORY": str(self._home / "ui"),
        }

    def _worker_settings(self) -> dict[str, str]:
        return {
            "PREFECT_UI_URL": self._url,  # the links that it writes lead to a page that opens
            "PREFECT_WORKER_QUERY_SECONDS": "1",  # by default it looks every ten
            "PERSON_SYNC_CONFIG": str(self._config),
        }

    async def _await_health(self) -> None:
        give_up_at = time.monotonic() + self._start_seconds
        while time.monotonic() < give_up_at:
            with suppress(OSError):
                if await _request(self._inner_url, "/api/health"):
                    return
            await asyncio.sleep(0.1)
        raise ServerFailed(
            f"the Prefect server did not start within {self._start_seconds:g} seconds: "
            f"see {self._log('server')}"
        )

    async def _deploy(self) -> None:
        command = ("deploy", "--all", "--prefect-file", str(PREFECT_FILE))
        process = await self._start_tied("deploy", command, {}, CODE_HOME)
        try:
            if await process.wait() != 0:
                raise ServerFailed(f"the deployments cannot be made: see {self._log('deploy')}")
        finally:
            await _end(process)

    async def _start_child(
        self, name: str, arguments: Sequence[str], settings: Mapping[str, str]
    ) -> None:
        """Start what has to run as long as this process does."""
        # Prefect reads settings files of its current folder: in this one there are none.
        self._children.append(await self._start_tied(name, arguments, settings, self._home))

    async def _start_tied(
        self, name: str, arguments: Sequence[str], settings: Mapping[str, str], folder: Path
    ) -> asyncio.subprocess.Process:
        """Start a prefect command that ends with this process, even by kill -9."""
        command = (
            "-m",
            "pipelines.demo.tied_process",
            sys.executable,
            "-m",
            "prefect",
            "--no-prompt",
        )
        with self._log(name).open("wb") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *command,
                *arguments,
                cwd=folder,
                env=environment(self._home, self._inner_url, **settings),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self._home / f"{name}.log"


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a tied process by closing its input, and kill what is left of its process group."""
    if process.stdin is not None:
        process.stdin.close()
    await process.wait()
    # Left over only where the process that ties was itself killed.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port: int = free.getsockname()[1]
    return port


def _sentence(errors: BaseExceptionGroup[Exception]) -> str:
    error = errors.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _sentence(error)
    if isinstance(error, ServerFailed):
        return str(error)
    return f"the demo's Prefect server cannot be started ({error})"


async def _request(url: str, path: str, body: Any = None) -> bool:
    """Send a request to a server on loopback. Return whether it succeeded. Raise OSError."""
    return await asyncio.to_thread(_send, f"{url}{path}", body)


def _send(url: str, body: Any) -> bool:
    with requests.Session() as session:
        session.trust_env = False  # the user's proxy cannot reach this machine's loopback
        method = "GET" if body is None else "POST"
        response = session.request(method, url, json=body, timeout=REQUEST_SECONDS)
    return response.status_code in (200, 201)


@click.command()
@click.argument("home", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), required=True)
@click.option("--idle-seconds", type=float, default=IDLE_SECONDS)
@click.option("--start-seconds", type=float, default=START_SECONDS)
def main(home: Path, config: Path, idle_seconds: float, start_seconds: float) -> None:
    """Run the demo's Prefect server and worker."""
    with locked(home / LOCK_FILE):
        asyncio.run(Supervisor(home, config, idle_seconds, start_seconds).run())


if __name__ == "__main__":
    main()
