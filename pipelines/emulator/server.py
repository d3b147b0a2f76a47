"""The emulator's process: one port on loopback, one line of output when it listens, a clean end."""

from __future__ import annotations

import gc
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import uvicorn

from pipelines.emulator.app import Emulator
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.org_file import DEFAULT_ORG, read_org_file
from pipelines.emulator.org.org_sections import OrgFileError
from pipelines.emulator.org.store import Store, StoreError
from pipelines.emulator.transport.connections import Connections, protocol_of
from pipelines.emulator.transport.fault_injection import FaultInjector
from pipelines.emulator.transport.faults import Faults
from pipelines.emulator.transport.web import web_app

LOOPBACK = "127.0.0.1"
USAGE_EXIT_CODE = 2
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

if TYPE_CHECKING:
    from pipelines.emulator.transport.certificate import Certificate


class StartError(Exception):
    """The emulator cannot start; the message is one sentence for the user."""


class Server(uvicorn.Server):
    """A uvicorn server that prints its address, and stops after a time without requests."""

    def __init__(self, config: uvicorn.Config, url: str, idle_stop: float | None) -> None:
        super().__init__(config)
        self._url = url
        self._idle_stop = idle_stop
        self._last_request = time.monotonic()
        self.ended_by: signal.Signals | None = None
        # uvicorn handles Ctrl-C even where nohup, or a script's `&`, ignores it.
        self._ignored = [
            signal_ for signal_ in STOP_SIGNALS if signal.getsignal(signal_) == signal.SIG_IGN
        ]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Remember the first signal, and stop; ignored signals stay ignored."""
        if sig not in self._ignored:
            self.ended_by = self.ended_by or signal.Signals(sig)
            super().handle_exit(sig, frame)

    def on_request(self) -> None:
        """Remember the time of a request, for the idle timeout."""
        self._last_request = time.monotonic()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then print the address."""
        await super().startup(sockets)
        click.echo(f"org emulator on {self._url}")
        sys.stdout.flush()

    async def on_tick(self, counter: int) -> bool:
        """Return True when the server should stop. uvicorn calls this ten times a second."""
        idle = time.monotonic() - self._last_request
        if self._idle_stop is not None and idle > self._idle_stop:
            return True
        return await super().on_tick(counter)


@dataclass(frozen=True)
class Tls:
    """Serve https. The certificate is written as PEM to `path`, or to a temporary file."""

    path: Path | None = None


def serve(
    *,
    port: int = 8642,
    org: Path | None = None,
    store: Path | None = None,
    idle_stop: float | None = None,
    tls: Tls | None = None,
) -> signal.Signals | None:
    """Serve an org on loopback until SIGTERM or SIGINT, or until idle for `idle_stop` seconds.

    Return the signal that ended it, or None. Port 0 takes any free port. Print exactly one line,
    `org emulator on http://127.0.0.1:PORT` (`https://` with `tls`), as soon as connections are
    accepted. If the emulator cannot start, print one sentence on stderr and exit with code 2. With
    a store, the org file is read only while the store is empty.
    """
    try:
        listener = _listen(port)
        store_ = Store(store)
        org_ = _open_org(store_, org, store)
        with _open_certificate(tls) as certificate:
            ended_by = _run(listener, org_, idle_stop, certificate)
    except (StartError, StoreError, OrgFileError) as error:
        click.echo(f"person-sync emulator: {error}", err=True)
        sys.exit(USAGE_EXIT_CODE)
    store_.close()
    return ended_by


@contextmanager
def _open_certificate(tls: Tls | None) -> Iterator[Certificate | None]:
    """Create a certificate for the time of the block; delete a temporary PEM at its end."""
    if tls is None:
        yield None
        return
    # Imported late: most emulators serve plain http and start faster without it.
    from pipelines.emulator.transport.certificate import make_certificate, write_certificate

    certificate = make_certificate()
    try:
        pem = write_certificate(certificate, tls.path)
    except OSError as error:
        raise StartError(f"the certificate cannot be written to {tls.path} ({error})") from error
    click.echo(f"person-sync emulator: clients trust it by the certificate {pem}", err=True)
    try:
        yield certificate
    finally:
        if tls.path is None:
            pem.unlink(missing_ok=True)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # asyncio disables the Nagle delay only for sockets named TCP; small responses go out faster.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        raise StartError(
            f"port {port} cannot be used ({error}); name another with --port, or 0 for any free one"
        ) from error
    return listener


def _open_org(store_: Store, path: Path | None, store: Path | None) -> Org:
    if store_.get("org_text") is not None:
        try:
            return Org(store_, "", Path())
        except OrgFileError as error:
            raise OrgFileError(f"{store}: the org kept there: {error}") from error
    if path is None:
        return Org(store_, DEFAULT_ORG, Path())
    text, _ = read_org_file(path)
    try:
        return Org(store_, text, path.parent.absolute())
    except OrgFileError as error:
        raise OrgFileError(f"{path}: {error}") from error


def _run(
    listener: socket.socket, org: Org, idle_stop: float | None, certificate: Certificate | None
) -> signal.Signals | None:
    connections, faults = Connections(), Faults()
    emulator = Emulator(org, faults)
    host, port = listener.getsockname()
    server: Server | None = None

    def on_request() -> None:
        if server is not None:
            server.on_request()

    injector = FaultInjector(
        web_app(emulator.handle, emulator.control_api),
        faults,
        expire=emulator.expire,
        cut=connections.cut,
        on_request=on_request,
    )
    scheme = "http" if certificate is None else "https"
    config = _config(injector, connections, certificate)
    server = Server(config, f"{scheme}://{host}:{port}", idle_stop)
    # uvicorn raises the signal again after its clean end; by then it has done its work.
    for signal_ in STOP_SIGNALS:
        signal.signal(signal_, lambda *_: None)
    _reduce_garbage_collection()
    emulator.resume_jobs()
    try:
        server.run(sockets=[listener])
    finally:
        emulator.runner.stop()
    return server.ended_by


def _reduce_garbage_collection() -> None:
    """Collect garbage less often: scanning rows by the ten thousand took a tenth of a bulk job."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _config(
    injector: Any, connections: Connections, certificate: Certificate | None
) -> uvicorn.Config:
    return uvicorn.Config(
        injector,
        http=protocol_of(connections),
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
        # A forwarded address would hide the connection that a fault must drop.
        proxy_headers=False,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=0,
        # The fault injector rejects long URIs itself, with the org's own status.
        h11_max_incomplete_event_size=1 << 20,
        backlog=1024,
    )


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True)
@click.option("--org", type=click.Path(path_type=Path), help="What the org holds (TOML).")
@click.option("--store", type=click.Path(path_type=Path), help="Keep the org in this SQLite file.")
@click.option("--idle-stop", type=click.FloatRange(min=0), help="Stop after idle SECONDS.")
@click.option("--tls", is_flag=True, help="Serve https with a self-signed certificate.")
@click.option(
    "--tls-certificate",
    type=click.Path(path_type=Path),
    help="Write the certificate's PEM here, for clients to trust (implies --tls).",
)
def main(
    port: int,
    org: Path | None,
    store: Path | None,
    idle_stop: float | None,
    tls: bool,
    tls_certificate: Path | None,
) -> signal.Signals | None:
    """Serve the org emulator on loopback."""
    tls_ = Tls(tls_certificate) if tls or tls_certificate else None
    return serve(port=port, org=org, store=store, idle_stop=idle_stop, tls=tls_)


if __name__ == "__main__":
    main()
