"""Plain HTTP to one org, without a client library."""

from __future__ import annotations

import csv
import io
import itertools
import time
import uuid
from typing import Any

import requests

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


# The records of a test process have this in their company or name, so that they can be found.
RUN = f"PSC{uuid.uuid4().hex[:10]}"
NUMBERS = itertools.count(1)
# Kept open from test to test: a connection costs as much as a request.
CONNECTIONS = requests.adapters.HTTPAdapter()


class Client:
    """A client of one org; the records it creates have `mark` as their company."""

    version = "68.0"
    timeout_seconds = 30.0
    wait_seconds = 20.0
    poll_seconds = 0.01

    def __init__(self, url: str) -> None:
        self.url = url
        self.mark = f"{RUN}x{next(NUMBERS)}x"
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.mount("http://", CONNECTIONS)

    @property
    def authorization(self) -> str:
        """Return the Authorization header of the open session."""
        return str(self.http.headers["Authorization"])

    def needs(self, found: object, reason: str) -> None:
        """What the org must have: the emulator was given it, a real org may lack it."""
        assert found, reason

    def control(self, method: str, path: str, **more: Any) -> requests.Response:
        return self.http.request(method, f"{self.url}/emulator/{path}", timeout=30, **more)

    def reset(self, org: str = BASIC_ORG) -> Client:
        self.http.headers.pop("Authorization", None)
        response = self.control("POST", "reset", data=org.encode())
        assert response.status_code == 200, response.text
        return self.log_in()

    def log_in(self) -> Client:
        response = self.token(
            grant_type="client_credentials", client_id="key", client_secret="secret"
        )
        self.http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return self

    def token(self, **form: str) -> requests.Response:
        url = f"{self.url}/services/oauth2/token"
        headers = {"Authorization": None}
        return self.http.post(url, data=form, headers=headers, timeout=self.timeout_seconds)

    def call(self, method: str, path: str, version: str = "", **more: Any) -> requests.Response:
        more.setdefault("timeout", self.timeout_seconds)
        data = f"{self.url}/services/data/v{version or self.version}"
        return self.http.request(method, f"{data}{path}", **more)

    def following(self, address: str) -> requests.Response:
        """The page that `nextRecordsUrl` names."""
        return self.http.get(f"{self.url}{address}", timeout=self.timeout_seconds)

    def create(
        self, _object: str = "Lead", _headers: Any = None, **fields: Any
    ) -> requests.Response:
        return self.call("POST", f"/sobjects/{_object}", json=fields, headers=_headers)

    def lead(self, **fields: Any) -> str:
        """A lead that must succeed; its id."""
        values = {"LastName": "Lovelace", "Company": self.mark} | fields
        response = self.create(**values)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def query(self, soql: str, path: str = "/query", **headers: str) -> requests.Response:
        return self.call("GET", path, params={"q": soql}, headers=headers)

    def rows(self, soql: str, path: str = "/query") -> list[dict[str, Any]]:
        response = self.query(soql, path)
        assert response.status_code == 200, response.text
        return [
            {k: v for k, v in record.items() if k != "attributes"}
            for record in response.json()["records"]
        ]

    def leads(self, *fields: str, more: str = "") -> list[dict[str, Any]]:
        """Return the leads that have the mark of this test."""
        asked = ", ".join(fields or ("Id",))
        return self.rows(f"SELECT {asked} FROM Lead WHERE Company = '{self.mark}'{more}")

    def faults(self, *faults: dict[str, Any]) -> None:
        response = self.control("PUT", "faults", json=list(faults))
        assert response.status_code == 200, response.text

    # -- bulk ---------------------------------------------------------------------------------

    def open_job(self, operation: str = "insert", **more: Any) -> str:
        asked = {"object": "Lead", "operation": operation} | more
        response = self.call("POST", "/jobs/ingest", json=asked)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def put(self, job: str, text: str | bytes) -> requests.Response:
        data = text.encode() if isinstance(text, str) else text
        headers = {"Content-Type": "text/csv; charset=UTF-8"}
        return self.call("PUT", f"/jobs/ingest/{job}/batches", data=data, headers=headers)

    def patch(self, job: str, state: str) -> requests.Response:
        return self.call("PATCH", f"/jobs/ingest/{job}", json={"state": state})

    def wait(self, job: str, kind: str = "ingest") -> Any:
        until = time.monotonic() + self.wait_seconds
        while time.monotonic() < until:
            shown = self.call("GET", f"/jobs/{kind}/{job}").json()
            if isinstance(shown, list) or shown["state"] in {"JobComplete", "Failed", "Aborted"}:
                return shown
            time.sleep(self.poll_seconds)
        raise AssertionError(f"job {job} did not end")

    def load(self, text: str | bytes, operation: str = "insert", **more: Any) -> Loaded:
        """A whole job, from its creation to its result files."""
        job = self.open_job(operation, **more)
        assert self.put(job, text).status_code == 201
        assert self.patch(job, "UploadComplete").status_code == 200
        return Loaded(self, job, self.wait(job))

    def result(self, job: str, kind: str) -> str:
        response = self.call("GET", f"/jobs/ingest/{job}/{kind}")
        assert response.status_code == 200, response.text
        return response.content.decode()


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
