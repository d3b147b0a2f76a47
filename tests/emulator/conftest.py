"""One emulator process for the whole session; each test gives it an org of its own."""

from __future__ import annotations

import csv
import io
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]

BASIC_ORG = """
[org]
name = "Test Org"
running_user = "integration@test.example"
[[app]]
consumer_key = "key"
consumer_secret = "secret"
[[field]]
object = "Lead"
name = "Person_Id__c"
type = "string"
length = 64
external_id = true
unique = true
"""


class Process:
    """An emulator process, stopped by its own pid."""

    def __init__(self, *arguments: str, deadline: float = 20.0) -> None:
        command = [sys.executable, "-m", "pipelines.emulator.server", *arguments]
        self.popen = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.line = self._first_line(deadline)
        self.url = self.line.rpartition(" on ")[2]

    def _first_line(self, deadline: float) -> str:
        assert self.popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.popen.stdout, selectors.EVENT_READ)
            assert selector.select(deadline), "the emulator said nothing"
        return self.popen.stdout.readline().strip()

    def stop(self, how: int = signal.SIGTERM) -> int:
        if self.popen.poll() is None:
            os.kill(self.popen.pid, how)
        code = self.popen.wait(10)
        for pipe in (self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                pipe.close()
        return code


class Client:
    """Plain HTTP to one org: no library between the test and the wire."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False

    def door(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.http.request(method, f"{self.url}/emulator/{path}", timeout=30, **more)

    def reset(self, org: str = BASIC_ORG) -> Client:
        self.http.headers.pop("Authorization", None)
        answer = self.door("POST", "reset", data=org.encode())
        assert answer.status_code == 200, answer.text
        return self.log_in()

    def log_in(self) -> Client:
        answer = self.token(
            grant_type="client_credentials", client_id="key", client_secret="secret"
        )
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return self

    def token(self, **form: str) -> requests.Response:
        return requests.post(f"{self.url}/services/oauth2/token", data=form, timeout=30)

    def call(self, method: str, path: str, version: str = "68.0", **more: Any) -> requests.Response:
        more.setdefault("timeout", 30)
        return self.http.request(method, f"{self.url}/services/data/v{version}{path}", **more)

    def create(
        self, _object: str = "Lead", _headers: Any = None, **fields: Any
    ) -> requests.Response:
        return self.call("POST", f"/sobjects/{_object}", json=fields, headers=_headers)

    def lead(self, **fields: Any) -> str:
        """A lead that must succeed; its id."""
        values = {"LastName": "Lovelace", "Company": "Engines"} | fields
        answer = self.create(**values)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def query(self, soql: str, path: str = "/query", **headers: str) -> requests.Response:
        return self.call("GET", path, params={"q": soql}, headers=headers)

    def rows(self, soql: str, path: str = "/query") -> list[dict[str, Any]]:
        answer = self.query(soql, path)
        assert answer.status_code == 200, answer.text
        return [
            {k: v for k, v in record.items() if k != "attributes"}
            for record in answer.json()["records"]
        ]

    def faults(self, *faults: dict[str, Any]) -> None:
        answer = self.door("PUT", "faults", json=list(faults))
        assert answer.status_code == 200, answer.text

    # -- bulk ---------------------------------------------------------------------------------

    def open_job(self, operation: str = "insert", **more: Any) -> str:
        asked = {"object": "Lead", "operation": operation} | more
        answer = self.call("POST", "/jobs/ingest", json=asked)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def put(self, job: str, text: str | bytes) -> requests.Response:
        data = text.encode() if isinstance(text, str) else text
        headers = {"Content-Type": "text/csv; charset=UTF-8"}
        return self.call("PUT", f"/jobs/ingest/{job}/batches", data=data, headers=headers)

    def patch(self, job: str, state: str) -> requests.Response:
        return self.call("PATCH", f"/jobs/ingest/{job}", json={"state": state})

    def wait(self, job: str, kind: str = "ingest", deadline: float = 20.0) -> dict[str, Any]:
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            shown = self.call("GET", f"/jobs/{kind}/{job}").json()
            if isinstance(shown, list) or shown["state"] in {"JobComplete", "Failed", "Aborted"}:
                return shown
            time.sleep(0.01)
        raise AssertionError(f"job {job} did not end")

    def load(self, text: str | bytes, operation: str = "insert", **more: Any) -> Loaded:
        """A whole job, from its creation to its result files."""
        job = self.open_job(operation, **more)
        assert self.put(job, text).status_code == 201
        assert self.patch(job, "UploadComplete").status_code == 200
        return Loaded(self, job, self.wait(job))

    def result(self, job: str, kind: str) -> str:
        answer = self.call("GET", f"/jobs/ingest/{job}/{kind}")
        assert answer.status_code == 200, answer.text
        return answer.content.decode()


class Loaded:
    """A job that has ended."""

    def __init__(self, client: Client, job: str, info: dict[str, Any]) -> None:
        self.id = job
        self.info = info
        self.state = info["state"]
        self.texts = {
            kind: client.result(job, name)
            for kind, name in (
                ("successful", "successfulResults"),
                ("failed", "failedResults"),
                ("unprocessed", "unprocessedrecords"),
            )
        }

    def rows(self, kind: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.texts[kind], newline="")))

    @property
    def successful(self) -> list[dict[str, str]]:
        return self.rows("successful")

    @property
    def failed(self) -> list[dict[str, str]]:
        return self.rows("failed")

    @property
    def unprocessed(self) -> list[dict[str, str]]:
        return self.rows("unprocessed")

    @property
    def errors(self) -> list[str]:
        return [row["sf__Error"] for row in self.failed]


@pytest.fixture(scope="session")
def running() -> Iterator[Process]:
    process = Process("--port", "0", "--idle-stop", "900")
    yield process
    assert process.stop() == 0


@pytest.fixture
def org(running: Process) -> Client:
    """A client of an empty org with Person_Id__c."""
    return Client(running.url).reset()


@pytest.fixture
def org_of(running: Process) -> Callable[[str], Client]:
    """A client of the basic org with more in it."""
    return lambda more: Client(running.url).reset(BASIC_ORG + more)


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Starts further emulators, and stops them."""
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


@pytest.fixture
def client() -> type[Client]:
    return Client


@pytest.fixture
def basic_org() -> str:
    return BASIC_ORG
