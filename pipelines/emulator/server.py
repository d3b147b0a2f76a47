"""The emulator's process: one port on loopback, one line when it listens, and a clean end."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipelines.emulator.app import Emulator, web_app
from pipelines.emulator.faults import Faults, Wire
from pipelines.emulator.org import Org
from pipelines.emulator.org_file import DEFAULT_ORG, read_org_file
from pipelines.emulator.org_sections import OrgFileError
from pipelines.emulator.store import Store, StoreError

LOOPBACK = "127.0.0.1"
USAGE = 2


class CannotServe(Exception):
    """What keeps the emulator from starting, in one sentence."""


class Connections:
    """The open TCP connections by the client's address, so that one can be dropped."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def opened(self, client: tuple[str, int], transport: asyncio.Transport) -> None:
        """Remember a connection."""
        self._transports[client] = transport

    def closed(self, client: tuple[str, int]) -> None:
        """Forget a connection."""
        self._transports.pop(client, None)

    def cut(self, client: tuple[str, int], flush: bool) -> None:
        """Drop a connection; with `flush`, what was written may still arrive."""
        transport = self._transports.get(client)
        if transport is None:
            return
        if flush:
            transport.close()
        else:
            transport.abort()


def _protocol(connections: Connections) -> type[H11Protocol]:
    class Protocol(H11Protocol):
        """uvicorn's own, telling of its connections."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self.client is not None:
                connections.opened(self.client, transport)

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client is not None:
                connections.closed(self.client)

    return Protocol


class Server(uvicorn.Server):
    """A server that says where it listens, and stops by itself when nobody calls."""

    def __init__(self, config: uvicorn.Config, url: str, idle_stop: float | None) -> None:
        super().__init__(config)
        self._url = url
        self._idle_stop = idle_stop
        self._last_request = time.monotonic()

    def noticed(self) -> None:
        """A request came."""
        self._last_request = time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        click.echo(f"org emulator on {self._url}")
        sys.stdout.flush()

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's heartbeat, ten times a second."""
        idle = time.monotonic() - self._last_request
        if self._idle_stop is not None and idle > self._idle_stop:
            return True
        return await super().on_tick(counter)


def serve(
    *,
    port: int = 8642,
    org: Path | None = None,
    store: Path | None = None,
    idle_stop: float | None = None,
) -> None:
    """Serve an org on loopback until SIGTERM or SIGINT, or until idle for `idle_stop` seconds.

    Port 0 takes any free one. Prints exactly one line, `org emulator on http://127.0.0.1:PORT`,
    as soon as it accepts connections. Whatever keeps it from starting is one sentence on stderr
    and exit code 2. With a store, the org file is read only while the store is empty.
    """
    try:
        listener = _listen(port)
        kept = Store(store)
        held = _open_org(kept, org, store)
    except (CannotServe, StoreError, OrgFileError) as error:
        click.echo(f"person-sync emulator: {error}", err=True)
        sys.exit(USAGE)
    try:
        _run(listener, held, idle_stop)
    finally:
        kept.close()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Named as TCP, so that asyncio sends small answers at once instead of waiting to fill a packet.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CannotServe(
            f"port {port} cannot be had ({error}); name another with --port, or 0 for any free one"
        ) from error
    return listener


def _open_org(kept: Store, path: Path | None, store: Path | None) -> Org:
    if kept.get("org_text") is not None:
        try:
            return Org(kept, "", Path())
        except OrgFileError as error:
            raise OrgFileError(f"{store}: the org kept there: {error}") from error
    if path is None:
        return Org(kept, DEFAULT_ORG, Path())
    text, _ = read_org_file(path)
    try:
        return Org(kept, text, path.parent.absolute())
    except OrgFileError as error:
        raise OrgFileError(f"{path}: {error}") from error


def _run(listener: socket.socket, org: Org, idle_stop: float | None) -> None:
    connections, faults = Connections(), Faults()
    emulator = Emulator(org, faults)
    host, port = listener.getsockname()
    server: Server | None = None

    def noticed() -> None:
        if server is not None:
            server.noticed()

    wire = Wire(web_app(emulator), faults, expire=org.expire, cut=connections.cut, noticed=noticed)
    server = Server(_config(wire, connections), f"http://{host}:{port}", idle_stop)
    # uvicorn raises the signal again after its clean end; by then it has done its work.
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_, lambda *_: None)
    emulator.begin()
    try:
        server.run(sockets=[listener])
    finally:
        emulator.runner.stop()


def _config(wire: Any, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        wire,
        http=_protocol(connections),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=0,
        # The wire itself refuses long URIs, with the org's own status.
        h11_max_incomplete_event_size=1 << 20,
        backlog=1024,
    )


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True)
@click.option("--org", type=click.Path(path_type=Path), help="What the org holds (TOML).")
@click.option("--store", type=click.Path(path_type=Path), help="Keep the org in this SQLite file.")
@click.option("--idle-stop", type=click.FloatRange(min=0), help="Stop after SECONDS without calls.")
def main(port: int, org: Path | None, store: Path | None, idle_stop: float | None) -> None:
    """Serve the org emulator on loopback."""
    serve(port=port, org=org, store=store, idle_stop=idle_stop)


if __name__ == "__main__":
    main()
