"""Processes of the bench's own: what is measured runs in a fresh one, and so do the orgs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

ORG = """
[org]
name = "Bench"
is_sandbox = true
running_user = "loader@bench.example"
default_lead_owner = "queue:Inbound"
[[app]]
consumer_key = "bench-key"
consumer_secret = "bench-secret"
[[user]]
username = "loader@bench.example"
name = "Loader"
email = "loader@bench.example"
is_active = true
user_type = "Standard"
[[queue]]
developer_name = "Inbound"
name = "Inbound"
objects = ["Lead"]
[[assignment_rule]]
name = "Standard routing"
active = true
[[assignment_rule.entry]]
when = { Country = ["GB"] }
assign_to = "user:loader@bench.example"
[[field]]
object = "Lead"
name = "Person_Id__c"
type = "string"
length = 64
external_id = true
unique = true
case_sensitive = true
[behaviour]
newline_in_cell = true
[limits]
daily_api_requests = 100000000
"""


class RunFailed(Exception):
    """A measured process did not come to its end; the words are its last ones."""


@dataclass(frozen=True)
class Finished:
    """What a process said, and what the system says of it."""

    said: str
    process_seconds: float
    cpu_seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """Its one JSON document."""
        found: dict[str, Any] = json.loads(self.said)
        return found


def run(
    command: Sequence[str], *, limit_seconds: float, environment: Mapping[str, str] | None = None
) -> Finished:
    """Run a Python command of ours to its end. Raises RunFailed, also when it takes too long."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, **(environment or {})},
            text=True,
        )
        said, used = _await(process, limit_seconds)
        seconds = time.perf_counter() - begun
        if process.returncode:
            complaints.seek(0)
            last = complaints.read().decode(errors="replace").strip().splitlines()[-3:]
            raise RunFailed(" / ".join(last) or f"ended by {process.returncode}")
    return Finished(said, seconds, used.ru_utime + used.ru_stime)


def _await(process: subprocess.Popen[str], limit_seconds: float) -> tuple[str, Any]:
    assert process.stdout is not None
    timer = threading.Timer(limit_seconds, process.kill)
    timer.start()
    try:
        with process.stdout as stream:
            said = stream.read()
        # Not getrusage(RUSAGE_CHILDREN), which would count every child there ever was.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        process.kill()
        raise
    finally:
        timer.cancel()
    return said, used


@contextmanager
def org(
    kind: str, failed_share: float = 0.0, *, known_leads: int = 0, known_share: float = 0.0
) -> Iterator[str]:
    """The address of an org of this kind, by a process that ends with the block. The sink's has so
    many leads, of which a share bears e-mails of the persons; otherwise it is empty."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(ORG)
        file.flush()
        commands = {
            "sink": [
                *("tests.benchmarks.sink", "--failed-share", str(failed_share)),
                *("--known-leads", str(known_leads), "--known-share", str(known_share)),
            ],
            "emulator": ["pipelines.emulator.server", "--port", "0", "--org", file.name],
        }
        process = subprocess.Popen(
            [sys.executable, "-m", *commands[kind]], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip().rpartition(" on ")[2]
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()
