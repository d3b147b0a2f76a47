"""The org emulator with a known org, and a scripted server for answers it never gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer

import pytest

from pipelines.salesforce.session import Org, log_in
from tests.salesforce.servers import (
    CREDENTIALS,
    MARKETING_ORG,
    VERSION,
    Emulator,
    Script,
    ScriptHandler,
    let_in,
)


@pytest.fixture
def emulator(emulator_process: Emulator) -> Emulator:
    """A fresh org with the records and users of MARKETING_ORG."""
    emulator_process.reset(MARKETING_ORG)
    emulator_process.go_wrong()
    return emulator_process


@pytest.fixture
def org(emulator: Emulator) -> Iterator[Org]:
    with log_in(CREDENTIALS, api_version=VERSION, emulator_url=emulator.url) as org:
        yield org


@pytest.fixture
def script() -> Iterator[Script]:
    """A server that lets one log in; the test says the rest."""
    script = Script()
    handler = type("Handler", (ScriptHandler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        script.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()


@pytest.fixture
def scripted_org(script: Script) -> Iterator[Org]:
    """An org that is nothing but the script: what was needed to log in is not in `seen`."""
    let_in(script)
    with log_in(CREDENTIALS, api_version=VERSION, emulator_url=script.url) as org:
        script.seen.clear()
        yield org
