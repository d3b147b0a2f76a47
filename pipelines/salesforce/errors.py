"""Translate errors of the org and of the HTTP libraries into `pipelines/errors.py`.

Of a response only the error code and the names of fields are passed on. Its messages repeat what
was sent ("invalid email address: …"). The exceptions of simple-salesforce hold the whole URL, with
the query and the e-mail addresses in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import requests
import simple_salesforce.exceptions as sf_errors
from requests import exceptions as http_errors

from pipelines.errors import (
    ConfigurationError,
    OrgLimitError,
    OrgRejectedError,
    OrgUnavailableError,
    SessionExpiredError,
    SyncError,
)

LibraryError = (
    requests.RequestException | sf_errors.SalesforceError | sf_errors.SalesforceOperationError
)

NOT_FOUND: Final = "NOT_FOUND"
SESSION_INVALID: Final = "INVALID_SESSION_ID"
_REQUEST_TIMEOUT: Final = 408

# --- Wait and run again: OrgLimitError

BUSY_STATUSES: Final = frozenset({420, 429})
BUSY_CODES: Final = frozenset(
    {
        "REQUEST_LIMIT_EXCEEDED",  # comes with status 403, in SOAP with 500
        "SERVER_UNAVAILABLE",
        "EXCEEDEDQUOTA",  # the Bulk API writes codes without underscores
        "rate_limit_exceeded",
    }
)

# --- Grant API access: OrgRejectedError. The org returns INVALID_SESSION_ID as for an expired
# session, but these messages. A client that logs in again on them never stops; jsforce tests for
# both texts.

API_ACCESS_MISSING: Final = (
    "This session is not valid for use with the REST API",
    "Connected app is not attached to Agent",
)

# --- Change something: OrgRejectedError. What to do, by code; one group for each party that acts.

_READ_OBJECTS = "Lead, Contact, User, Group, QueueSobject, AssignmentRule and Organization"
# An administrator grants rights.
_GRANT: Final[Mapping[str, str]] = {
    "INVALID_TYPE": "the login cannot see this kind of record: grant it read access to "
    + _READ_OBJECTS,
    "INVALID_FIELD": "the login cannot see a field that is asked for: grant it in its permission "
    "set, or leave the field out of the settings",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "the login may not write a field: grant edit access in its "
    "permission set, or leave the field out of [fields]",
    "INSUFFICIENT_ACCESS": "the login lacks a right for this: compare its permission set with the "
    "list of rights in the documentation",
    "INSUFFICIENT_ACCESS_OR_READONLY": "the login may not change this record: compare its "
    "permission set with the list of rights in the documentation",
    "INVALIDENTITY": "the Bulk API does not serve this kind of record for the login",
    "API_DISABLED_FOR_ORG": "the user may not use the API: grant it 'API Enabled'",
    "API_CURRENTLY_DISABLED": "the user may not use the API: grant it 'API Enabled'",
    SESSION_INVALID: "the session may not use the REST API: grant the user 'API Enabled' and the "
    "app the scope api",
}
# An administrator changes the org.
_CHANGE_ORG: Final[Mapping[str, str]] = {
    "STORAGE_LIMIT_EXCEEDED": "the org's data storage is full: free some or buy more",
}
# The user of Person Sync changes a setting.
_CHANGE_SETTINGS: Final[Mapping[str, str]] = {
    "INVALID_ASSIGNMENT_RULE": "the assignment rule does not exist any more: correct the owner "
    "strategy",
    NOT_FOUND: "the org has nothing at this address: the record, the job or the API version does "
    "not exist or is not visible to the login",
}
# A developer looks at the job in Setup, or at the code.
_INVESTIGATE: Final[Mapping[str, str]] = {
    "INVALIDJOBSTATE": "the job is not in a state that allows this",
    "INVALIDJOB": "the org cannot use this job",
    "QUERY_FAILED": "the org could not carry out a bulk query: see the job in its Setup",
    "INVALID_JSON": "a value cannot be written as JSON: this is a defect of Person Sync",
}
REMEDIES: Final[Mapping[str, str]] = {**_GRANT, **_CHANGE_ORG, **_CHANGE_SETTINGS, **_INVESTIGATE}
_OTHERWISE = "the org refused the request: look the code up in Salesforce's documentation"

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
# Only names that our own query asked for can be here, never a value of a person.
_NO_SUCH_NAME = re.compile(
    r"No such column '(?P<column>\w+)' on (?:entity|sobject of type) '?(?P<sobject>\w+)"
    r"|[sS][oO]bject type '(?P<type>\w+)' is not supported"
)


def translate(error: LibraryError) -> SyncError:
    """Return our error for an exception of requests or simple-salesforce.

    Raise the result outside the `except` block. Inside it the foreign exception, with the URL and
    the e-mail addresses in it, would become its `__context__`.
    """
    kind = next(kind for kind in type(error).__mro__ if kind in TRANSLATIONS)
    return TRANSLATIONS[kind](error)


def error_from_response(status: int, content: object) -> SyncError:
    """Return our error for a response of status 300 or more. `content`: parsed JSON, or text."""
    error = _classify(status, content)
    # With a 5xx or a 408 (a proxy's timeout) the org may have done a part of the request.
    error.had_no_effect = 400 <= status < 500 and status != _REQUEST_TIMEOUT
    return error


def _classify(status: int, content: object) -> SyncError:
    first = first_error(content)
    code = clean_code(first.get("errorCode"))
    message = str(first.get("message", ""))
    if status in BUSY_STATUSES or code in BUSY_CODES:
        return OrgLimitError(f"a limit of the org is reached ({code or status}): run again later")
    if status >= 500:
        return OrgUnavailableError(f"the org returned an error of its own ({code or status})")
    if status == 401 and not message.startswith(API_ACCESS_MISSING):
        return SessionExpiredError(
            "the session expired and the org did not accept a new one: run again"
        )
    return OrgRejectedError(code or f"HTTP_{status}", _remedy(code, message, first.get("fields")))


def is_expiry(response: requests.Response) -> bool:
    """Return whether the session has expired and a new login would help."""
    if response.status_code != 401:
        return False
    try:
        first = first_error(response.json())
    except requests.JSONDecodeError:
        return False
    lacks_access = str(first.get("message", "")).startswith(API_ACCESS_MISSING)
    return first.get("errorCode") == SESSION_INVALID and not lacks_access


def first_error(content: object) -> Mapping[str, Any]:
    """Return the first error object of a response; empty if it has none."""
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return content[0]
    return {}


def clean_code(code: object) -> str:
    """Return the error code if it looks like one, so that no other text reaches a log."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _remedy(code: str, message: str, fields: object) -> str:
    remedy = REMEDIES.get(code, _OTHERWISE)
    found = _NO_SUCH_NAME.search(message)
    names = [name for name in found.groups() if name] if found else []
    if isinstance(fields, list):
        names += [name for name in fields if isinstance(name, str) and _NAME.fullmatch(name)]
    return f"{remedy} ({', '.join(names)})" if names else remedy


# --- Every exception class of both libraries. A test fails if one is missing.

_Translation = Callable[[Any], SyncError]


def _unavailable(message: str) -> _Translation:
    return lambda _error: OrgUnavailableError(message)


def _settings(message: str) -> _Translation:
    return lambda _error: ConfigurationError(message)


def _rejected(error: sf_errors.SalesforceError) -> SyncError:
    return error_from_response(error.status, error.content)


_NO_RESPONSE = _unavailable(
    "Salesforce does not answer: check the network, and salesforce.domain if it never did"
)
_TIMED_OUT = _unavailable("Salesforce did not answer in time: run again later")
_INCOMPLETE = _unavailable("a response of Salesforce broke off: run again later")
_NOT_JSON = _unavailable("a proxy or firewall answered in place of Salesforce: check them")
_BAD_ADDRESS = _settings("salesforce.domain or salesforce.instance_url is no address of an org")

TRANSLATIONS: Final[Mapping[type[BaseException], _Translation]] = {
    http_errors.RequestException: _NO_RESPONSE,
    http_errors.ConnectionError: _NO_RESPONSE,
    http_errors.ProxyError: _unavailable("the proxy rejected the connection: check HTTPS_PROXY"),
    http_errors.SSLError: _unavailable(
        "no trusted connection: the certificate presented is not one this machine trusts "
        "(REQUESTS_CA_BUNDLE names a company's own)"
    ),
    http_errors.HTTPError: _NO_RESPONSE,
    http_errors.RetryError: _NO_RESPONSE,
    http_errors.Timeout: _TIMED_OUT,
    http_errors.ConnectTimeout: _TIMED_OUT,
    http_errors.ReadTimeout: _TIMED_OUT,
    http_errors.ChunkedEncodingError: _INCOMPLETE,
    http_errors.ContentDecodingError: _INCOMPLETE,
    http_errors.StreamConsumedError: _INCOMPLETE,
    http_errors.UnrewindableBodyError: _INCOMPLETE,
    http_errors.JSONDecodeError: _NOT_JSON,
    http_errors.InvalidJSONError: lambda _: OrgRejectedError(
        "INVALID_JSON", REMEDIES["INVALID_JSON"]
    ),
    http_errors.TooManyRedirects: _settings(
        "salesforce.domain: the host answered with a redirect, which is never followed with a "
        "token; name the org's own My Domain"
    ),
    http_errors.InvalidProxyURL: _settings("HTTPS_PROXY is no address of a proxy"),
    http_errors.InvalidHeader: _settings(
        "a secret in [salesforce] starts with a blank or holds a line break"
    ),
    http_errors.InvalidURL: _BAD_ADDRESS,
    http_errors.InvalidSchema: _BAD_ADDRESS,
    http_errors.MissingSchema: _BAD_ADDRESS,
    http_errors.URLRequired: _BAD_ADDRESS,
    sf_errors.SalesforceError: _rejected,
    sf_errors.SalesforceMoreThanOneRecord: _rejected,
    sf_errors.SalesforceMalformedRequest: _rejected,
    sf_errors.SalesforceExpiredSession: _rejected,
    sf_errors.SalesforceRefusedRequest: _rejected,
    sf_errors.SalesforceResourceNotFound: _rejected,
    sf_errors.SalesforceGeneralError: _rejected,
    sf_errors.SalesforceAuthenticationFailed: _settings(
        "the org refused the login: check the names and secrets in [salesforce]"
    ),
    sf_errors.SalesforceOperationError: _NO_RESPONSE,
    sf_errors.SalesforceBulkV2LoadError: _NO_RESPONSE,
    sf_errors.SalesforceBulkV2ExtractError: _NO_RESPONSE,
}
