"""Log in: by client credentials, JWT bearer or, below API version 65, user name and password.

simple-salesforce sends the login. This module checks settings before and responses after it, and
that secrets go to hosts of Salesforce only.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Final, Literal
from xml.parsers.expat import ExpatError

import jwt
import requests
from jwt.algorithms import RSAAlgorithm
from pydantic import SecretStr
from simple_salesforce.login import SalesforceLogin

from pipelines.errors import ConfigurationError, OrgRejectedError, OrgUnavailableError, SyncError
from pipelines.salesforce.errors import translate
from pipelines.salesforce.hosts import LABEL, is_instance
from pipelines.salesforce.login_errors import login_error
from pipelines.salesforce.transport import FOREIGN_HOST, Transport

LoginKind = Literal["client_credentials", "jwt", "password", "access_token"]

LAST_SOAP_VERSION: Final = 64

_NO_SECRET = SecretStr("")
_DOMAIN = re.compile(rf"{LABEL}(?:\.{LABEL})*", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"https?://(?P<netloc>[^/]*)/?")
# What a header can hold. Other characters would end it, and the library's error quotes the token.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_VERSION = re.compile(r"\d{2,3}\.0")
_NEEDED: Final[Mapping[LoginKind, tuple[str, ...]]] = {
    "client_credentials": ("consumer_key", "consumer_secret", "domain"),
    "jwt": ("consumer_key", "username", "private_key_file", "domain"),
    "password": ("username", "password", "domain"),
    "access_token": ("access_token",),
}


@dataclass(frozen=True)
class Credentials:
    """How to log in. Secrets are never shown in a repr.

    `domain` is the part before .salesforce.com. Which of the others are needed depends on `login`.
    """

    login: LoginKind
    domain: str = "login"
    consumer_key: str = ""
    consumer_secret: SecretStr = _NO_SECRET
    username: str = ""
    password: SecretStr = _NO_SECRET
    security_token: SecretStr = _NO_SECRET
    private_key_file: str = ""
    access_token: SecretStr = _NO_SECRET
    instance_url: str = ""


def check_settings(credentials: Credentials, api_version: str) -> None:
    """Raise ConfigurationError for settings that are wrong, before anything is sent."""
    for name in _NEEDED[credentials.login]:
        value = getattr(credentials, name)
        if not (value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise ConfigurationError(
                f"salesforce.{name} is needed for salesforce.login = {credentials.login}"
            )
    _require_plain_secrets(credentials)
    if not _VERSION.fullmatch(api_version):
        raise ConfigurationError("salesforce.api_version must look like 67.0")
    if not _DOMAIN.fullmatch(credentials.domain) or ".salesforce.com" in credentials.domain.lower():
        raise ConfigurationError(
            "salesforce.domain is the part before .salesforce.com, such as acme.my or login"
        )
    if credentials.login == "client_credentials" and credentials.domain in ("login", "test"):
        raise ConfigurationError(
            "salesforce.domain must be the org's own My Domain, such as acme.my: login and test "
            "take no client credentials"
        )
    if credentials.login == "password" and float(api_version) > LAST_SOAP_VERSION:
        raise ConfigurationError(
            "salesforce.login: password needs salesforce.api_version 64.0 or below and ends with "
            "Summer '27; use client_credentials or jwt"
        )


def _require_plain_secrets(credentials: Credentials) -> None:
    # A line break in a token would end a header, and the library's error quotes the token.
    for name, value in vars(credentials).items():
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if text != text.strip() or not text.isprintable():
            raise ConfigurationError(
                f"salesforce.{name} begins or ends with a blank, or holds a line break: remove it"
            )


def instance_for_token(credentials: Credentials, *, emulator_url: str) -> str:
    """Return the host of the org for an access token: the setting's, else the emulator's.

    Raise ConfigurationError unless the token may be sent there.
    """
    given = credentials.instance_url or emulator_url
    if not given.startswith(("https://", "http://")):
        raise ConfigurationError(
            "salesforce.instance_url is needed for salesforce.login = access_token, such as "
            "https://acme.my.salesforce.com"
        )
    address = _ADDRESS.fullmatch(given)
    is_local = bool(emulator_url)
    is_secure = given.startswith("https://") or is_local
    if not address or not is_secure or not is_instance(address["netloc"], may_be_local=is_local):
        raise ConfigurationError(
            "salesforce.instance_url must be https:// and a host that ends in .salesforce.com or "
            ".force.com, with nothing before or behind it; no token is sent anywhere else"
        )
    return address["netloc"]


def require_header_safe(token: SecretStr) -> None:
    """Raise ConfigurationError for an access token that no request can carry."""
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise ConfigurationError(
            "salesforce.access_token holds a blank, a line break or a letter that no token has: "
            "copy it again, whole and alone"
        )


def request_session(
    credentials: Credentials, api_version: str, transport: Transport
) -> tuple[SecretStr, str]:
    """Log in; return the session's token and the host that it is for.

    Raise ConfigurationError with the setting and the remedy, OrgUnavailableError or OrgLimitError.
    Raise OrgRejectedError when the token would be sent to a host that is not Salesforce's.
    """
    arguments = _login_arguments(credentials)
    session = transport.new_session()
    # Without an `auth`, requests looks into .netrc and sends what it finds.
    session.auth = _unchanged
    session.hooks["response"].append(partial(_raise_if_rejected, login=credentials.login))
    trouble: SyncError
    try:
        token, instance = SalesforceLogin(session=session, sf_version=api_version, **arguments)
    except requests.RequestException as error:
        trouble = translate(error)
    except ExpatError:
        trouble = OrgUnavailableError("the org's login returned incomplete XML: run again later")
    else:
        return _checked_response(token, instance, is_local=transport.is_local)
    raise trouble


def _checked_response(token: str, instance: str, *, is_local: bool) -> tuple[SecretStr, str]:
    if not _TOKEN.fullmatch(token):
        raise OrgRejectedError(
            "TOKEN_MALFORMED",
            "the login's response holds a token that no request can carry: check which server "
            "answers at salesforce.domain",
        )
    # A slash at the end is harmless; anything else after the host is rejected.
    host = instance.removesuffix("/")
    if not is_instance(host, may_be_local=is_local):
        raise OrgRejectedError(
            FOREIGN_HOST,
            "the login's response names a host that does not end in .salesforce.com or .force.com; "
            "no token is sent there: check which server answers at salesforce.domain",
        )
    return SecretStr(token), host


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _raise_if_rejected(response: requests.Response, *, login: str, **_kwargs: object) -> None:
    trouble = login_error(response, login)
    if trouble is not None:
        raise trouble


def _login_arguments(credentials: Credentials) -> dict[str, Any]:
    if credentials.login == "jwt":
        return _jwt_arguments(credentials)
    if credentials.login == "password":
        return {
            "domain": credentials.domain,
            "username": credentials.username,
            "password": credentials.password.get_secret_value(),
            # simple-salesforce escapes the others for XML, but not the token.
            "security_token": escape(credentials.security_token.get_secret_value()),
        }
    return {
        "domain": credentials.domain,
        "consumer_key": credentials.consumer_key,
        "consumer_secret": credentials.consumer_secret.get_secret_value(),
    }


def _jwt_arguments(credentials: Credentials) -> dict[str, Any]:
    # The audience must be login or test, even where the assertion goes to the org's own host. For
    # simple-salesforce `domain` is the audience then, and `instance_url` the host's first part.
    is_own = credentials.domain not in ("login", "test")
    is_test = re.search(r"\.(sandbox|scratch)\b", credentials.domain) is not None
    audience = ("test" if is_test else "login") if is_own else credentials.domain
    return {
        "domain": audience,
        "instance_url": credentials.domain,
        "consumer_key": credentials.consumer_key,
        "username": credentials.username,
        "privatekey": _read_private_key(Path(credentials.private_key_file)),
    }


def _read_private_key(file: Path) -> str:
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise ConfigurationError(
                f"salesforce.private_key_file {file} can be read by others: chmod 600 it"
            )
        text = file.read_text(encoding="ascii")
        RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(text)
    except OSError as error:
        trouble = f"cannot be read: {error.strerror}"
    except (jwt.InvalidKeyError, ValueError, TypeError):
        trouble = "holds no RSA private key in PEM without a passphrase"
    else:
        return text
    raise ConfigurationError(f"salesforce.private_key_file {file} {trouble}")
