"""Send requests: always with a timeout, repeated where that is harmless, only to allowed hosts.

`Transport` is a requests adapter, `Relogin` the authentication of a session. Both work underneath
simple-salesforce, so its own requests too are counted, limited in time and kept logged in.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from pipelines.errors import ConfigurationError, OrgRejectedError
from pipelines.salesforce.errors import is_expiry
from pipelines.salesforce.hosts import is_loopback, is_org_target, target_of

Timeout = tuple[float, float]

# Seconds before each further try of a GET; no other method is ever repeated. `pipelines/retry.py`
# repeats whole steps, for minutes. Here one page of a long result is repeated, so that a response
# that breaks off does not cost the pages before it.
RETRY_PAUSES: Final = (0.1, 0.4, 1.6)
RETRYABLE_STATUSES: Final = frozenset({420, 429, 500, 502, 503, 504})
RETRYABLE_ERRORS: Final = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
FOREIGN_HOST: Final = "FOREIGN_HOST"

_USAGE = re.compile(r"\bapi-usage=(\d+)/(\d+)")


class Transport(HTTPAdapter):
    """Sends requests: with a timeout, a failed GET again, and to the emulator if one is set.

    urllib3's own Retry is not used: on a broken connection it logs a warning with the whole URL,
    which may hold e-mail addresses.
    """

    def __init__(self, timeout: Timeout, emulator_url: str = "") -> None:
        super().__init__(pool_connections=4, pool_maxsize=16)
        self._timeout = timeout
        self._emulator = _checked_emulator(emulator_url) if emulator_url else None
        self._lock = threading.Lock()
        self.call_count = 0
        self._of_thread = threading.local()
        self.api_usage: tuple[int, int] | None = None

    @property
    def is_local(self) -> bool:
        """Whether requests go to the org emulator on this machine."""
        return self._emulator is not None

    @property
    def thread_call_count(self) -> int:
        """How many requests this thread has sent, repeated ones included."""
        count: int = getattr(self._of_thread, "call_count", 0)
        return count

    def new_session(self) -> requests.Session:
        """Return a session that sends through here and follows no redirect with its token."""
        session = requests.Session()
        session.adapters.clear()
        session.mount("https://", self)
        session.max_redirects = 0
        session.trust_env = self._emulator is None
        return session

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send the request; return when the whole body is here. Every try is counted."""
        for pause in RETRY_PAUSES if request.method == "GET" else ():
            try:
                response = self._send_once(request, *args, **kwargs)
            except RETRYABLE_ERRORS:
                time.sleep(pause)
                continue
            if response.status_code not in RETRYABLE_STATUSES:
                return response
            time.sleep(pause)
        return self._send_once(request, *args, **kwargs)

    def _send_once(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        request = self._directed_to_emulator(request)
        self._require_own_host(request)
        with self._lock:
            self.call_count += 1
        self._of_thread.call_count = self.thread_call_count + 1
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        response = super().send(request, *args, **kwargs)
        _ = response.content  # read here, so that a body that breaks off is retried too
        usage = _USAGE.search(response.headers.get("Sforce-Limit-Info", ""))
        if usage:
            self.api_usage = int(usage[1]), int(usage[2])
        return response

    def _require_own_host(self, request: requests.PreparedRequest) -> None:
        """Raise OrgRejectedError if the prepared request goes to a host that is not Salesforce's.

        Settings and responses are checked before, but only the prepared request shows where its
        token really goes.
        """
        target = target_of(str(request.url))
        if self._emulator is None:
            is_own = is_org_target(target)
        else:
            is_own = target is not None and target == target_of(self._emulator.geturl())
        if not is_own:
            raise OrgRejectedError(
                FOREIGN_HOST,
                "an address outside .salesforce.com and .force.com was to be called, and nothing "
                "was sent there: an administrator must check what the org returns",
            )

    def _directed_to_emulator(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._emulator is None:
            return request
        copy = request.copy()
        copy.url = (
            urlsplit(str(request.url))
            ._replace(scheme=self._emulator.scheme, netloc=self._emulator.netloc)
            .geturl()
        )
        return copy


class Relogin(AuthBase):
    """Adds the token to every request; on a 401 logs in once, under a lock, and sends it again.

    Headers and body stay the same. A body that cannot be rewound (a generator) is not sent again:
    it would be empty, and Salesforce would confirm it with 201.
    """

    def __init__(self, token: SecretStr, renew: Callable[[], SecretStr] | None = None) -> None:
        self._token = token
        self._renew = renew
        self._lock = threading.Lock()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token = self._token
        request.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        tell = getattr(request.body, "tell", None)
        start = tell() if tell else None
        request.hooks["response"].append(partial(self._retry_after_login, token=token, start=start))
        return request

    def _retry_after_login(
        self,
        response: requests.Response,
        *,
        token: SecretStr,
        start: int | None,
        **kwargs: Any,
    ) -> requests.Response:
        body = response.request.body
        is_rewindable = body is None or isinstance(body, str | bytes) or start is not None
        if self._renew is None or not is_rewindable or not is_expiry(response):
            return response
        again = response.request.copy()
        if start is not None:
            again.body.seek(start)  # type: ignore[union-attr]  # it could tell, so it can seek
        again.headers["Authorization"] = f"Bearer {self._renewed(token).get_secret_value()}"
        repeated: requests.Response = response.connection.send(again, **kwargs)
        repeated.history.append(response)
        return repeated

    def _renewed(self, stale: SecretStr) -> SecretStr:
        with self._lock:
            if self._token is stale and self._renew is not None:
                self._token = self._renew()
            return self._token


def _checked_emulator(emulator_url: str) -> SplitResult:
    there = urlsplit(emulator_url)
    is_plain = target_of(emulator_url) is not None
    if there.scheme != "http" or not is_loopback(there.hostname or "") or not is_plain:
        raise ConfigurationError(
            "salesforce.emulator_url must be http:// on this machine, such as "
            "http://127.0.0.1:8642; leave it empty to talk to Salesforce"
        )
    return there
