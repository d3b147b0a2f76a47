"""What the org's answers and the troubles of the wire mean in our own tree of errors.

Nothing of an answer but its code and the names of fields passes this border: messages repeat what
was sent ("invalid email address: …") and simple-salesforce puts the whole URL, with the query and
its e-mail addresses, into the text of its exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import requests
import simple_salesforce.exceptions as sf_errors
from requests import exceptions as wire

from pipelines.errors import (
    ConfigurationError,
    OrgLimitError,
    OrgRejectedError,
    OrgUnavailableError,
    SessionExpiredError,
    SyncError,
)

Foreign = requests.RequestException | sf_errors.SalesforceError | sf_errors.SalesforceOperationError

NOT_FOUND: Final = "NOT_FOUND"
SESSION_INVALID: Final = "INVALID_SESSION_ID"

_REQUEST_TIMEOUT: Final = 408
BUSY_STATUSES: Final = frozenset({420, 429})
BUSY_CODES: Final = frozenset(
    {
        "REQUEST_LIMIT_EXCEEDED",  # arrives as 403, SOAP as 500
        "SERVER_UNAVAILABLE",
        "EXCEEDEDQUOTA",  # the Bulk API drops the underscores
        "rate_limit_exceeded",
    }
)

# Sessions of users without API access answer INVALID_SESSION_ID too; a client that logs in again
# on these never stops (jsforce names both texts).
HOPELESS_SESSIONS: Final = (
    "This session is not valid for use with the REST API",
    "Connected app is not attached to Agent",
)

_NEEDED_READS = "Lead, Contact, User, Group, QueueSobject, AssignmentRule and Organization"
SENTENCES: Final[Mapping[str, str]] = {
    "INVALID_TYPE": "the login cannot see this kind of record: grant it read access to "
    + _NEEDED_READS,
    "INVALID_FIELD": "the login cannot see a field that is asked for: grant it in its permission "
    "set, or leave the field out of the settings",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "the login may not write a field: grant edit access in its "
    "permission set, or leave the field out of [fields]",
    NOT_FOUND: "the org has nothing at this address: the record, the job or the API version is not "
    "there or not visible to the login",
    "INSUFFICIENT_ACCESS": "the login lacks a right for this: compare its permission set with the "
    "list of rights in the documentation",
    "INSUFFICIENT_ACCESS_OR_READONLY": "the login may not change this record: compare its "
    "permission set with the list of rights in the documentation",
    "API_DISABLED_FOR_ORG": "the user may not use the API: grant it 'API Enabled'",
    "API_CURRENTLY_DISABLED": "the user may not use the API: grant it 'API Enabled'",
    SESSION_INVALID: "the session may not use the REST API: grant the user 'API Enabled' and the "
    "app the scope api",
    "INVALID_ASSIGNMENT_RULE": "the assignment rule is not there any more: mend the owner strategy",
    "INVALIDJOBSTATE": "the job is not in a state that allows this",
    "INVALIDJOB": "the org cannot use this job",
    "INVALIDENTITY": "the Bulk API does not serve this kind of record for the login",
    "STORAGE_LIMIT_EXCEEDED": "the org's data storage is full: free some or buy more",
    "INVALID_JSON": "a value cannot be written as JSON: this is a defect of Person Sync",
    "QUERY_FAILED": "the org could not carry out a bulk query: see the job in its Setup",
}
_OTHERWISE = "the org refused the request: look the code up in Salesforce's documentation"

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,79}")
# Only names that our own query asked for can stand here, so no value of a person does.
_UNSEEN = re.compile(
    r"No such column '(?P<column>\w+)' on (?:entity|sobject of type) '?(?P<sobject>\w+)"
    r"|[sS][oO]bject type '(?P<type>\w+)' is not supported"
)


def translate(error: Foreign) -> SyncError:
    """Say in our words what an exception of requests or simple-salesforce means.

    Raise the answer outside the `except` block: inside it the foreign exception, with the URL
    and the e-mail addresses in it, would ride along as `__context__`.
    """
    kind = next(kind for kind in type(error).__mro__ if kind in TRANSLATIONS)
    return TRANSLATIONS[kind](error)


def judge_answer(status: int, content: object) -> SyncError:
    """What an answer of 300 or more means. `content` is the parsed JSON, or a text."""
    trouble = _judge(status, content)
    # A fault of the server's own may come half way; so may the end of a patience on the way.
    trouble.had_no_effect = 400 <= status < 500 and status != _REQUEST_TIMEOUT
    return trouble


def _judge(status: int, content: object) -> SyncError:
    first = _first_error(content)
    code = _clean(first.get("errorCode"))
    message = str(first.get("message", ""))
    if status in BUSY_STATUSES or code in BUSY_CODES:
        return OrgLimitError(f"the org asks for patience ({code or status}): run again later")
    if status >= 500:
        return OrgUnavailableError(f"the org answered with a fault of its own ({code or status})")
    if status == 401 and not message.startswith(HOPELESS_SESSIONS):
        return SessionExpiredError(
            "the session ended and the org did not take a fresh one: run again"
        )
    return OrgRejectedError(code or f"HTTP_{status}", _sentence(code, message, first.get("fields")))


def is_expiry(response: requests.Response) -> bool:
    """Whether a fresh login would help."""
    if response.status_code != 401:
        return False
    try:
        first = _first_error(response.json())
    except requests.JSONDecodeError:
        return False
    is_hopeless = str(first.get("message", "")).startswith(HOPELESS_SESSIONS)
    return first.get("errorCode") == SESSION_INVALID and not is_hopeless


def _first_error(content: object) -> Mapping[str, Any]:
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return content[0]
    return {}


def _clean(code: object) -> str:
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _sentence(code: str, message: str, fields: object) -> str:
    sentence = SENTENCES.get(code, _OTHERWISE)
    unseen = _UNSEEN.search(message)
    names = [name for name in unseen.groups() if name] if unseen else []
    if isinstance(fields, list):
        names += [name for name in fields if isinstance(name, str) and _NAME.fullmatch(name)]
    return f"{sentence} ({', '.join(names)})" if names else sentence


# --- Login

LOGIN_SETTINGS: Final[Mapping[str, str]] = {
    "client_credentials": "salesforce.consumer_key, salesforce.consumer_secret and "
    "salesforce.domain",
    "jwt": "salesforce.username, salesforce.consumer_key, salesforce.private_key_file and "
    "salesforce.domain",
    "password": "salesforce.username, salesforce.password, salesforce.security_token and "
    "salesforce.domain",
}
LOGIN_REMEDIES: Final[Mapping[str, str]] = {
    "invalid_client_id": "salesforce.consumer_key is not known to the org",
    "invalid_client": "salesforce.consumer_key and salesforce.consumer_secret do not belong "
    "together",
    "unsupported_grant_type": "the app does not allow this kind of login: enable its flow in the "
    "app's OAuth settings",
    "invalid_app_access": "the user is not admitted to the app: assign its permission set",
    "inactive_user": "the user behind the login is inactive: activate it or name another",
    "inactive_org": "the org is inactive: ask its administrator",
    "INVALID_LOGIN": "salesforce.username, salesforce.password or salesforce.security_token is "
    "wrong, or the user is locked out",
    "LOGIN_MUST_USE_SECURITY_TOKEN": "salesforce.security_token is missing or out of date",
    "PASSWORD_LOCKOUT": "the user is locked out after too many failures: an administrator unlocks "
    "it",
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "the password has expired: set a new one and put it "
    "in salesforce.password",
    "LOGIN_DURING_RESTRICTED_DOMAIN": "the user may not log in from this address: mend its login "
    "IP ranges",
    "LOGIN_DURING_RESTRICTED_TIME": "the user may not log in at this hour: mend its login hours",
    "INVALID_OPERATION": "the org has switched SOAP logins off: set salesforce.login to "
    "client_credentials or jwt",
    "UNSUPPORTED_API_VERSION": "salesforce.api_version is not served any more",
}
# `invalid_grant` alone says nothing; these are its known descriptions.
GRANT_REMEDIES: Final[Mapping[str, str]] = {
    "user hasn't approved this consumer": "admit the user to the app beforehand (OAuth policies: "
    "admin approved users are pre-authorized)",
    "audience validation failed": "salesforce.domain names the wrong kind of host: login for "
    "production, test for a sandbox, or the org's own My Domain",
    "no client credentials user enabled": "name a Run As user in the app's client credentials flow",
    "invalid assertion": "salesforce.private_key_file does not fit the certificate of the app",
}


def judge_login(response: requests.Response, login: str) -> SyncError | None:
    """What the answer to a login means; None when it let us in.

    simple-salesforce hides a 5xx at login behind SalesforceAuthenticationFailed or even an
    AttributeError, so every answer is judged here before it sees it.
    """
    is_soap = "SOAPAction" in response.request.headers
    is_in, code, description = _read_soap(response) if is_soap else _read_token(response)
    if is_in or response.is_redirect:
        return None
    if code in BUSY_CODES or response.status_code in BUSY_STATUSES:
        return OrgLimitError(f"the org asks for patience at login ({code or response.status_code})")
    is_fault = response.status_code >= 500 and code not in LOGIN_REMEDIES
    if is_fault or code == "unknown_error":
        return OrgUnavailableError(
            f"the org's login answered with a fault ({response.status_code})"
        )
    return _refused(login, code, description)


def _refused(login: str, code: str, description: str) -> ConfigurationError:
    if not code:
        return ConfigurationError(
            "salesforce.domain: what answers there is no login host of Salesforce; name the part "
            "before .salesforce.com"
        )
    remedy = GRANT_REMEDIES.get(description.lower()) or LOGIN_REMEDIES.get(code)
    check = remedy or f"check {LOGIN_SETTINGS[login]}"
    return ConfigurationError(f"the org refused the login ({code}): {check}")


def _read_token(response: requests.Response) -> tuple[bool, str, str]:
    try:
        answer = response.json()
    except requests.JSONDecodeError:
        return False, "", ""
    if isinstance(answer, list):
        return False, _clean(_first_error(answer).get("errorCode")), ""
    if not isinstance(answer, dict):
        return False, "", ""
    is_whole = all(isinstance(answer.get(key), str) for key in ("access_token", "instance_url"))
    description = str(answer.get("error_description") or "")
    return response.status_code == 200 and is_whole, _clean(answer.get("error")), description


def _read_soap(response: requests.Response) -> tuple[bool, str, str]:
    text = response.text
    is_in = all(f"<{name}>" in text and f"</{name}>" in text for name in ("sessionId", "serverUrl"))
    code = re.search(r"<(?:\w+:)?exceptionCode>(\w+)<", text)
    is_xml = text.lstrip().startswith("<") and "Envelope" in text
    return response.status_code == 200 and is_in and is_xml, code[1] if code else "", ""


# --- Every exception class of both libraries, by name: a test fails on one that is missing.

_Translation = Callable[[Any], SyncError]


def _unreachable(sentence: str) -> _Translation:
    return lambda _error: OrgUnavailableError(sentence)


def _settings(sentence: str) -> _Translation:
    return lambda _error: ConfigurationError(sentence)


def _answered(error: sf_errors.SalesforceError) -> SyncError:
    return judge_answer(error.status, error.content)


_AWAY = _unreachable(
    "Salesforce does not answer: check the network, and salesforce.domain if it never did"
)
_SLOW = _unreachable("Salesforce did not answer in time: run again later")
_CUT = _unreachable("an answer of Salesforce broke off: run again later")
_ODD = _unreachable("something on the way, not Salesforce, answered: check proxies and firewalls")
_ADDRESS = _settings("salesforce.domain or salesforce.instance_url is no address of an org")

TRANSLATIONS: Final[Mapping[type[BaseException], _Translation]] = {
    wire.RequestException: _AWAY,
    wire.ConnectionError: _AWAY,
    wire.ProxyError: _unreachable("the proxy did not let us through: check HTTPS_PROXY"),
    wire.SSLError: _unreachable(
        "no trusted connection: the certificate presented is not one this machine trusts "
        "(REQUESTS_CA_BUNDLE names a company's own)"
    ),
    wire.HTTPError: _AWAY,
    wire.RetryError: _AWAY,
    wire.Timeout: _SLOW,
    wire.ConnectTimeout: _SLOW,
    wire.ReadTimeout: _SLOW,
    wire.ChunkedEncodingError: _CUT,
    wire.ContentDecodingError: _CUT,
    wire.StreamConsumedError: _CUT,
    wire.UnrewindableBodyError: _CUT,
    wire.JSONDecodeError: _ODD,
    wire.InvalidJSONError: lambda _: OrgRejectedError("INVALID_JSON", SENTENCES["INVALID_JSON"]),
    wire.TooManyRedirects: _settings(
        "salesforce.domain: the host answered with a redirect, which is never followed with a "
        "token; name the org's own My Domain"
    ),
    wire.InvalidProxyURL: _settings("HTTPS_PROXY is no address of a proxy"),
    wire.InvalidHeader: _settings(
        "a secret in [salesforce] starts with a blank or holds a line break"
    ),
    wire.InvalidURL: _ADDRESS,
    wire.InvalidSchema: _ADDRESS,
    wire.MissingSchema: _ADDRESS,
    wire.URLRequired: _ADDRESS,
    sf_errors.SalesforceError: _answered,
    sf_errors.SalesforceMoreThanOneRecord: _answered,
    sf_errors.SalesforceMalformedRequest: _answered,
    sf_errors.SalesforceExpiredSession: _answered,
    sf_errors.SalesforceRefusedRequest: _answered,
    sf_errors.SalesforceResourceNotFound: _answered,
    sf_errors.SalesforceGeneralError: _answered,
    sf_errors.SalesforceAuthenticationFailed: _settings(
        "the org refused the login: check the names and secrets in [salesforce]"
    ),
    sf_errors.SalesforceOperationError: _AWAY,
    sf_errors.SalesforceBulkV2LoadError: _AWAY,
    sf_errors.SalesforceBulkV2ExtractError: _AWAY,
}
