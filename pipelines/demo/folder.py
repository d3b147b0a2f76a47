"""A demo's folder: one demo at a time, and whether its Prefect server outlives the demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.demo.flow_run import PrefectServer
from pipelines.demo.server_state import DEMO_LOCK_FILE, HOME, locked
from pipelines.errors import ConfigurationError
from pipelines.settings import FILE_NAME


@contextmanager
def exclusive_demo(folder: Path, *, with_server: bool) -> Iterator[PrefectServer | None]:
    """Lock the folder for one demo; yield the Prefect server that was started, if any.

    The server runs on after a good end. If anything else ends the demo, it is stopped. Raise
    ConfigurationError when another demo uses the folder, or when it cannot be written.
    """
    with _locked(folder):
        server = PrefectServer(folder.resolve() / HOME)
        if not with_server:
            server.stop()  # its worker would continue with databases that are deleted
            yield None
            return
        try:
            server.begin(folder.resolve() / FILE_NAME)
            yield server
        except BaseException:  # Ctrl-C too: the user does not know of the server yet
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
            f"another demo runs in {folder}/: wait for its end, or name another --dir"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the demo cannot write to {folder}/ ({error.strerror}): name another --dir"
        ) from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
