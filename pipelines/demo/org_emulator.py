"""The org emulator of a demo folder: a process of its own, which continues after the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import requests

from pipelines.demo.sample_data import DATA
from pipelines.errors import ConfigurationError, OrgUnavailableError

IDLE_SECONDS = 1800
START_SECONDS = 30


def start_emulator(folder: Path) -> str:
    """Start the org emulator on a free port. Return its address. It outlives this process."""
    command = [sys.executable, "-m", "pipelines.emulator.server", "--port", "0"]
    command += ["--org", str(DATA / "org.toml"), "--store", str(folder / "org.db")]
    command += ["--idle-stop", str(IDLE_SECONDS)]
    log = folder / "emulator.log"
    with log.open("wb") as sink:
        # In its own session and without our pipes: it does not end with a closed terminal, and a
        # reader of our output does not wait for its end.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, start_new_session=True
        )
    url = _await_address(process, log)
    (folder / "emulator.json").write_text(json.dumps({"pid": process.pid, "url": url}))
    return url


def _await_address(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        text = log.read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            if line.startswith("org emulator on "):
                return line.removeprefix("org emulator on ").strip()
        if process.poll() is not None:
            raise ConfigurationError(f"the org emulator did not start: {text.strip()[-500:]}")
        time.sleep(0.05)
    process.terminate()
    raise OrgUnavailableError(
        f"the org emulator did not start within {START_SECONDS} seconds: see {log}"
    )


def stop_emulator(folder: Path, *, waits: bool = True) -> None:
    """Stop the emulator that a demo has left in this folder, if it still runs."""
    file = folder / "emulator.json"
    if not file.is_file():
        return
    known = json.loads(file.read_text())
    if not (_responds(known["url"]) and _is_emulator(known["pid"])):
        return  # it has stopped by itself, and another process may have its number by now
    with suppress(ProcessLookupError):
        os.kill(known["pid"], signal.SIGTERM)
    give_up_at = time.monotonic() + START_SECONDS if waits else 0.0
    while _responds(known["url"]) and time.monotonic() < give_up_at:
        time.sleep(0.05)


def _responds(url: str) -> bool:
    try:
        response = requests.get(f"{url}/emulator/requests", timeout=2)
    except requests.RequestException:
        return False
    return response.ok


def _is_emulator(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline")
    # Without /proc, a response from the address has to do.
    return not Path("/proc").is_dir() or (
        command.is_file() and b"pipelines.emulator.server" in command.read_bytes()
    )
