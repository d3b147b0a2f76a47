"""A real org in the emulator's place: named by the environment, used with care, and left clean.

`PERSON_SYNC_REAL_ORG_URL` names it (its My Domain URL). `PERSON_SYNC_REAL_ORG_TOKEN`, or
`PERSON_SYNC_REAL_ORG_CONSUMER_KEY` and `…_CONSUMER_SECRET`, log in. The tests write records, so
`PERSON_SYNC_REAL_ORG_CONSENT=yes` is required too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from tests.emulator.plain_http import RUN, Client

PREFIX = "PERSON_SYNC_REAL_ORG_"
# A queue may wait for minutes in a real org, and a poll there is a request of its allowance.
SECONDS = 900
# No rule sends mail, and no duplicate rule of the org disturbs a test.
QUIET = {"Sforce-Auto-Assign": "false", "Sforce-Duplicate-Rule-Header": "allowSave=true"}


def named(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what the environment sets about a real org, empty where it names none."""
    settings = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    return settings if "url" in settings else {}


class RealClient(Client):
    """A client of an org that is not ours: it skips what it lacks, and remembers what it made."""

    timeout_seconds = 120.0
    wait_seconds = float(SECONDS - 60)
    poll_seconds = 2.0

    def __init__(self, settings: Mapping[str, str]) -> None:
        super().__init__(settings["url"].rstrip("/"))
        self.settings = settings
        self.http.headers.update(QUIET)
        self.http.trust_env = True  # a proxy may be needed to reach it
        self.jobs: list[str] = []
        listed = requests.get(f"{self.url}/services/data/", timeout=self.timeout_seconds).json()
        self.version = max((entry["version"] for entry in listed), key=float)
        # Polls of another emulator, as when this is tried without a real org, need not be slow.
        if self.url.startswith("http://"):
            self.poll_seconds = Client.poll_seconds

    def needs(self, found: object, reason: str) -> None:
        """Skip a test for which this org lacks something."""
        if not found:
            pytest.skip(reason)

    def log_in(self) -> RealClient:
        """Open a session by what the environment gave."""
        if "token" in self.settings:
            token = self.settings["token"]
        else:
            response = self.token(**self.credentials())
            assert response.status_code == 200, f"the real org refused the login: {response.text}"
            token = response.json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"
        return self

    def credentials(self) -> dict[str, str]:
        """The form of a client-credentials login."""
        both = {"consumer_key", "consumer_secret"}
        self.needs(
            both <= set(self.settings), f"{PREFIX}CONSUMER_KEY and _CONSUMER_SECRET are not set"
        )
        return {
            "grant_type": "client_credentials",
            "client_id": self.settings["consumer_key"],
            "client_secret": self.settings["consumer_secret"],
        }

    def call(self, method: str, path: str, version: str = "", **more: Any) -> requests.Response:
        """As any client's, remembering the jobs that it opens."""
        response = super().call(method, path, version, **more)
        if method == "POST" and path in {"/jobs/ingest", "/jobs/query"} and response.ok:
            self.jobs.append(f"{path}/{response.json()['id']}")
        return response

    def clean_up(self) -> None:
        """Delete the jobs of this client, and every lead and contact of this run."""
        for job in self.jobs:
            if self.call("DELETE", job).status_code == 400:
                self.call("PATCH", job, json={"state": "Aborted"})
                self.call("DELETE", job)
        for name in ("Lead", "Contact"):
            self._delete_all(name)

    def _delete_all(self, name: str) -> None:
        where = f"LastName LIKE '{RUN}%'" + (f" OR Company LIKE '{RUN}%'" if name == "Lead" else "")
        soql = f"SELECT Id FROM {name} WHERE {where} LIMIT 200"
        while found := self.rows(soql):
            ids = ",".join(row["Id"] for row in found)
            deleted = self.call("DELETE", f"/composite/sobjects?ids={ids}&allOrNone=false").json()
            assert any(row["success"] for row in deleted), f"records of {RUN} stay: {deleted[0]}"
