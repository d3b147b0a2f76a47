"""Translate the response to a login into `pipelines/errors.py`, with the setting to change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import requests

from pipelines.errors import ConfigurationError, OrgLimitError, OrgUnavailableError, SyncError
from pipelines.salesforce.errors import BUSY_CODES, BUSY_STATUSES, clean_code, first_error

# The settings to check, by salesforce.login, when the org says no more.
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
    "LOGIN_DURING_RESTRICTED_DOMAIN": "the user may not log in from this address: change its login "
    "IP ranges",
    "LOGIN_DURING_RESTRICTED_TIME": "the user may not log in at this hour: change its login hours",
    "INVALID_OPERATION": "the org has switched SOAP logins off: set salesforce.login to "
    "client_credentials or jwt",
    "UNSUPPORTED_API_VERSION": "salesforce.api_version is not served any more",
}
# The code `invalid_grant` alone does not say what is wrong; these are its known descriptions.
GRANT_REMEDIES: Final[Mapping[str, str]] = {
    "user hasn't approved this consumer": "admit the user to the app beforehand (OAuth policies: "
    "admin approved users are pre-authorized)",
    "audience validation failed": "salesforce.domain names the wrong kind of host: login for "
    "production, test for a sandbox, or the org's own My Domain",
    "no client credentials user enabled": "name a Run As user in the app's client credentials flow",
    "invalid assertion": "salesforce.private_key_file does not fit the certificate of the app",
}


def login_error(response: requests.Response, login: str) -> SyncError | None:
    """Return what is wrong with the response to a login; None when the login succeeded.

    simple-salesforce hides a 5xx at login behind SalesforceAuthenticationFailed or even an
    AttributeError. So every response is checked here before simple-salesforce reads it.
    """
    is_soap = "SOAPAction" in response.request.headers
    succeeded, code, description = _read_soap(response) if is_soap else _read_token(response)
    if succeeded or response.is_redirect:
        return None
    if code in BUSY_CODES or response.status_code in BUSY_STATUSES:
        return OrgLimitError(
            f"a limit of the org is reached at login ({code or response.status_code})"
        )
    is_fault = response.status_code >= 500 and code not in LOGIN_REMEDIES
    if is_fault or code == "unknown_error":
        return OrgUnavailableError(
            f"the org's login returned an error of its own ({response.status_code})"
        )
    return _rejected(login, code, description)


def _rejected(login: str, code: str, description: str) -> ConfigurationError:
    if not code:
        return ConfigurationError(
            "salesforce.domain: what answers there is no login host of Salesforce; name the part "
            "before .salesforce.com"
        )
    remedy = GRANT_REMEDIES.get(description.lower()) or LOGIN_REMEDIES.get(code)
    check = remedy or f"check {LOGIN_SETTINGS[login]}"
    return ConfigurationError(f"the org refused the login ({code}): {check}")


def _read_token(response: requests.Response) -> tuple[bool, str, str]:
    """Return whether an OAuth login succeeded, the error code and its description."""
    try:
        content = response.json()
    except requests.JSONDecodeError:
        return False, "", ""
    if isinstance(content, list):
        return False, clean_code(first_error(content).get("errorCode")), ""
    if not isinstance(content, dict):
        return False, "", ""
    is_complete = all(isinstance(content.get(key), str) for key in ("access_token", "instance_url"))
    description = str(content.get("error_description") or "")
    succeeded = response.status_code == 200 and is_complete
    return succeeded, clean_code(content.get("error")), description


def _read_soap(response: requests.Response) -> tuple[bool, str, str]:
    """Return whether a SOAP login succeeded, the error code and no description."""
    text = response.text
    is_complete = all(
        f"<{name}>" in text and f"</{name}>" in text for name in ("sessionId", "serverUrl")
    )
    code = re.search(r"<(?:\w+:)?exceptionCode>(\w+)<", text)
    is_xml = text.lstrip().startswith("<") and "Envelope" in text
    succeeded = response.status_code == 200 and is_complete and is_xml
    return succeeded, code[1] if code else "", ""
