"""A proxy between the code and the emulator that names requests as the model does.

Requests that belong to no step (logins, names of owners) are sent on unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from tests.proxy import Proxy, Reply, Request, running

ROOT = re.compile(r"/services/data/v[\d.]+")
STATES = {"UploadComplete": "close_job", "Aborted": "abort_job"}
NAMES = (
    (re.compile(r"POST /jobs/ingest"), "create_job"),
    (re.compile(r"PUT /jobs/ingest/\w+/batches"), "upload"),
    (re.compile(r"GET /jobs/ingest/\w+"), "job_status"),
    (re.compile(r"GET /jobs/ingest/\w+/successfulResults/"), "read_successful"),
    (re.compile(r"GET /jobs/ingest/\w+/failedResults/"), "read_failed"),
    (re.compile(r"GET /jobs/ingest/\w+/unprocessedrecords/"), "read_unprocessed"),
    (re.compile(r"(POST|PATCH) /composite/sobjects"), "send_records"),
    (re.compile(r"POST /composite/sobjects/Lead"), "read_owners"),
)


def name_of(request: Request) -> str | None:
    """Return the model's name of a request; None if no step of the model sends it."""
    split = urlsplit(request.path)
    path = ROOT.sub("", split.path, count=1)
    if request.method == "PATCH" and path.startswith("/jobs/ingest/"):
        return STATES[json.loads(request.body)["state"]]
    if path in ("/query", "/queryAll"):
        soql = parse_qs(split.query)["q"][0]
        return "find_leads" if " FROM Lead " in soql else None
    line = f"{request.method} {path}"
    return next((name for pattern, name in NAMES if pattern.fullmatch(line)), None)


class Relay(Proxy):
    """A proxy whose hook gets only the requests that have a name."""

    def handle(self, request: Request) -> Reply | None:
        """Return what the sender gets."""
        return super().handle(request) if name_of(request) else self.send(request)

    def change_state(self, address: str, headers: dict[str, str], state: str) -> None:
        """Close or abort a job as another client would."""
        self._session.patch(address, headers=headers, json={"state": state}, timeout=30)


@contextmanager
def running_relay(upstream: str) -> Iterator[Relay]:
    """Start a relay on loopback."""
    relay = Relay(upstream)
    with running(relay):
        yield relay
