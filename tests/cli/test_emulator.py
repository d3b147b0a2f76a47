"""`person-sync emulator`: the org emulator as a command."""

from __future__ import annotations

import signal
import socket

from tests.cli.conftest import (
    CommandLine,
)


def test_the_emulator_prints_where_it_listens_and_stops_at_ctrl_c(cli: CommandLine) -> None:
    with cli.start("emulator", "--port", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("org emulator on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130


def test_the_emulator_names_the_port_it_cannot_have(cli: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = cli("emulator", "--port", str(taken.getsockname()[1]))
    assert answer.exit_code == 2
    assert "name another with --port" in answer.stderr
