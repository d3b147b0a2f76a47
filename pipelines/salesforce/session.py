"""A session with the org, which all other modules use for their requests.

Built on simple-salesforce for its addresses and typed errors. Its own renewal of an expired session
is not used: it drops headers, and may upload an empty file that Salesforce confirms with 201. The
token is on the requests session instead, which the bulk calls use too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from types import TracebackType
from typing import Any, Self

import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from simple_salesforce.util import call_salesforce

from pipelines.errors import ConfigurationError, OrgRejectedError, SessionExpiredError, SyncError
from pipelines.salesforce.errors import NOT_FOUND, translate
from pipelines.salesforce.login import (
    Credentials,
    check_settings,
    instance_for_token,
    request_session,
    require_header_safe,
)
from pipelines.salesforce.transport import Relogin, Timeout, Transport

__all__ = ["Credentials", "Org", "log_in"]


class Org:
    """A session with one org; a context manager. Threads may share it.

    Every method sends one request (a GET up to four times). It raises OrgUnavailableError,
    OrgLimitError, SessionExpiredError or OrgRejectedError. A `path` is relative to the root of the
    API version, or absolute when it starts with a slash.
    """

    def __init__(self, sf: Salesforce, transport: Transport) -> None:
        self._sf = sf
        self._transport = transport
        self.owner_names: dict[str, str] = {}
        """Names of owners that were read already, by id."""
        organization = self.get_json("query", {"q": "SELECT Id, Name, IsSandbox FROM Organization"})
        self.org_id: str = organization["records"][0]["Id"]
        self.org_name: str = organization["records"][0]["Name"]
        self.is_sandbox: bool = organization["records"][0]["IsSandbox"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The session itself ends by its own timeout in the org."""
        self._transport.close()

    @cached_property
    def user_id(self) -> str:
        """The id of the user who is logged in: the end of the identity URL that the org returns."""
        identity: str = self.get_json("")["identity"]
        return identity.rstrip("/").rpartition("/")[2]

    @property
    def api_call_count(self) -> int:
        """How many requests were sent so far, logins and repeated ones included."""
        return self._transport.call_count

    @property
    def thread_call_count(self) -> int:
        """How many of them this thread has sent."""
        return self._transport.thread_call_count

    @property
    def api_usage(self) -> tuple[int, int] | None:
        """(calls used, calls allowed) of the org today, by the last response; None before any."""
        return self._transport.api_usage

    def get(self, path: str, params: Mapping[str, str] | None = None) -> requests.Response:
        """Return the whole response to a GET, for callers that need its headers."""
        return self._call("GET", path, params=params)

    def get_json(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return the parsed response to a GET."""
        return _parsed(self.get(path, params))

    def get_bytes(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """Return the whole body of the response to a GET."""
        return self.get(path, params).content

    def post_json(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Any:
        """Return the parsed response to a POST.

        Not repeated: after OrgUnavailableError it is unknown what it did.
        """
        return _parsed(self._call("POST", path, headers, json=body))

    def patch_json(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Any:
        """Return the parsed response to a PATCH.

        Not repeated: after OrgUnavailableError it is unknown what it did.
        """
        return _parsed(self._call("PATCH", path, headers, json=body))

    def put_bytes(self, path: str, data: bytes, content_type: str) -> int:
        """Return the status of the response to a PUT.

        Not repeated: after OrgUnavailableError it is unknown what it did. An expired session is the
        exception: a 401 means that nothing was accepted, so the whole body is sent again after one
        new login.
        """
        return self._call("PUT", path, {"Content-Type": content_type}, data=data).status_code

    def _call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **body: Any
    ) -> requests.Response:
        root = f"https://{self._sf.sf_instance}" if path.startswith("/") else self._sf.base_url
        try:
            return call_salesforce(
                root + path,
                method,
                self._sf.session,
                headers={"Accept": "application/json", **(headers or {})},
                **body,
            )
        except (requests.RequestException, SalesforceError) as error:
            trouble = translate(error)
        raise trouble


def _parsed(response: requests.Response) -> Any:
    try:
        return response.json()
    except requests.JSONDecodeError as error:
        trouble = translate(error)
    raise trouble


def log_in(
    credentials: Credentials,
    *,
    api_version: str,
    emulator_url: str = "",
    timeout: Timeout = (10.0, 120.0),
) -> Org:
    """Log in and read which org this is. `timeout` is (connect, read) in seconds.

    `emulator_url` sends every request to the org emulator instead; it must be on this machine.
    Raise ConfigurationError with the setting and the remedy, OrgUnavailableError or OrgLimitError.
    Raise OrgRejectedError when the login returns a host that is not Salesforce's.
    """
    check_settings(credentials, api_version)
    transport = Transport(timeout, emulator_url)
    try:
        session, instance = _begin_session(credentials, api_version, transport, emulator_url)
        # simple-salesforce does not get the token: `repr(sf.__dict__)` would show it.
        sf = Salesforce(
            session_id="on the session", instance=instance, session=session, version=api_version
        )
        return _new_org(sf, transport, credentials, api_version)
    except SyncError:
        transport.close()
        raise


def _begin_session(
    credentials: Credentials, api_version: str, transport: Transport, emulator_url: str
) -> tuple[requests.Session, str]:
    session = transport.new_session()
    if credentials.login == "access_token":
        require_header_safe(credentials.access_token)
        session.auth = Relogin(credentials.access_token)
        return session, instance_for_token(credentials, emulator_url=emulator_url)
    log_in_again = partial(request_session, credentials, api_version, transport)
    token, instance = log_in_again()
    session.auth = Relogin(token, lambda: log_in_again()[0])
    return session, instance


def _new_org(
    sf: Salesforce, transport: Transport, credentials: Credentials, api_version: str
) -> Org:
    try:
        return Org(sf, transport)
    except SessionExpiredError:
        trouble = ConfigurationError(
            f"the org does not accept the session of this login ({credentials.login}): "
            "salesforce.access_token has ended or belongs to another org; get a new one"
        )
    except OrgRejectedError as error:
        if error.code not in (NOT_FOUND, "GONE", "HTTP_410", "UNSUPPORTED_API_VERSION"):
            raise
        trouble = ConfigurationError(
            f"salesforce.api_version: the org does not serve {api_version}; name one that it lists "
            "under /services/data/"
        )
    raise trouble
