"""What the tests talk to: the org emulator over HTTP, and a server that says what it is told."""

from __future__ import annotations

import json
import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import requests
from pydantic import SecretStr

from pipelines.salesforce.session import Credentials
from tests.org import CONSUMER_SECRET, ORG, PERSON_ID_FIELD

VERSION = "67.0"
CANARY_SECRET = "canary-consumer-secret"  # must be seen nowhere
CREDENTIALS = Credentials(
    login="client_credentials",
    domain="acme.my",
    consumer_key="test-key",
    consumer_secret=SecretStr(CANARY_SECRET),
)
MARKETING_ORG = f"""{ORG.replace(CONSUMER_SECRET, CANARY_SECRET)}
[[duplicate_rule]]
name = "Leads with duplicate leads"
object = "Lead"
matches = "Lead"
action = "alert"
{PERSON_ID_FIELD}
[[hidden_field]]
object = "Lead"
name = "HasOptedOutOfEmail"
"""


@dataclass
class Emulator:
    """The org emulator, seen through its own paths."""

    url: str

    def reset(self, org: str) -> None:
        self._send("POST", "reset", data=org.encode())

    def go_wrong(self, *faults: dict[str, Any]) -> None:
        """Each fault: `match` "METHOD /path", `fault`, and perhaps `nth` and `count`."""
        self._send("PUT", "faults", json=[{"nth": 1, "count": 1, **fault} for fault in faults])

    def served(self, match: str = "") -> list[str]:
        """ "METHOD path status" of every request so far whose words hold the match."""
        found = self._send("GET", "requests").json()
        lines = [f"{one['method']} {one['path']} {one['status']}" for one in found]
        return [line for line in lines if re.search(match, line)]

    def held(self, kind: str) -> list[dict[str, Any]]:
        """What the org holds: leads, contacts or jobs."""
        records: list[dict[str, Any]] = self._send("GET", "org").json()[kind]
        return records

    def _send(self, method: str, path: str, **body: Any) -> requests.Response:
        answer = requests.request(method, f"{self.url}/emulator/{path}", timeout=30, **body)
        assert answer.ok, answer.text
        return answer


# --- A server that says what a test tells it to

TOKEN = "POST /services/oauth2/token"
QUERY = f"GET /services/data/v{VERSION}/query"
ABOUT = {
    "done": True,
    "records": [{"Id": "00D5e000000OrG1EAK", "Name": "Acme", "IsSandbox": True}],
}


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Script:
    """Answers by "METHOD path" without query: in the order told, the last until told anew."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    _answers: dict[str, deque[tuple[int, bytes, dict[str, str]]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    _given: set[str] = field(default_factory=set)

    def say(self, request: str, status: int, body: object = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if request in self._given and len(self._answers[request]) == 1:
            self._answers[request].clear()
        self._answers[request].append((status, data, named))

    def answer(self, seen: Seen) -> tuple[int, bytes, dict[str, str]]:
        self.seen.append(seen)
        request = f"{seen.method} {seen.path.partition('?')[0]}"
        answers = self._answers[request]
        self._given.add(request)
        if not answers:
            return 404, b'[{"errorCode":"NOT_FOUND","message":"?"}]', {}
        return answers.popleft() if len(answers) > 1 else answers[0]

    def forget(self) -> None:
        """Start again, with no answer told and nothing seen."""
        self.seen.clear()
        self._answers.clear()
        self._given.clear()

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path.partition('?')[0]}" for one in self.seen]


class ScriptHandler(BaseHTTPRequestHandler):
    script: Script

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, dict(self.headers), body)
        status, data, headers = self.script.answer(seen)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815 - http.server's names

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def let_in(script: Script, *tokens: str) -> None:
    """Have the script answer logins with these tokens, and say which org it is."""
    for token in tokens or ("canary-session-token",):
        script.say(
            TOKEN, 200, {"access_token": token, "instance_url": "https://acme.my.salesforce.com"}
        )
    script.say(QUERY, 200, ABOUT)
