"""Start processes for the benchmarks: each measured run has a fresh one, and so has each org."""

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


class ProcessFailed(Exception):
    """A measured process failed or took too long. The message is the end of its error output."""


@dataclass(frozen=True)
class ProcessResult:
    """The output of a process that succeeded, and its times."""

    output: str
    process_seconds: float
    cpu_seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document that the process printed."""
        document: dict[str, Any] = json.loads(self.output)
        return document


def run(
    command: Sequence[str], *, limit_seconds: float, environment: Mapping[str, str] | None = None
) -> ProcessResult:
    """Run a Python command to its end. Raise ProcessFailed, also when it takes too long."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            text=True,
        )
        output, usage = _wait_for(process, limit_seconds)
        seconds = time.perf_counter() - started
        if process.returncode:
            errors.seek(0)
            last_lines = errors.read().decode(errors="replace").strip().splitlines()[-3:]
            raise ProcessFailed(" / ".join(last_lines) or f"ended by {process.returncode}")
    return ProcessResult(output, seconds, usage.ru_utime + usage.ru_stime)


def _wait_for(process: subprocess.Popen[str], limit_seconds: float) -> tuple[str, Any]:
    assert process.stdout is not None
    timer = threading.Timer(limit_seconds, process.kill)
    timer.start()
    try:
        with process.stdout as stream:
            output = stream.read()
        # Not getrusage(RUSAGE_CHILDREN), which adds up all children of this process.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    except BaseException:
        process.kill()
        raise
    finally:
        timer.cancel()
    return output, usage


@contextmanager
def org(
    kind: str, failed_share: float = 0.0, *, known_leads: int = 0, known_share: float = 0.0
) -> Iterator[str]:
    """Start an org of this kind as a process, yield its address, and stop it at the end.

    The org is empty; the sink's may have known leads, a share of them with e-mails of persons.
    """
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
