"""Logs in: by client credentials, JWT bearer or, below API version 65, user name and password.

Every way is simple-salesforce's own; judged here is what its answer means, and checked is that no
secret goes anywhere but to a host of Salesforce.
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
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

import jwt
import requests
from jwt.algorithms import RSAAlgorithm
from pydantic import SecretStr
from simple_salesforce.login import SalesforceLogin

from pipelines.errors import OrgUnreachable, SettingsWrong, SyncError
from pipelines.salesforce.errors import judge_login, translate
from pipelines.salesforce.transport import Transport, is_loopback

LoginKind = Literal["client_credentials", "jwt", "password", "access_token"]

LAST_SOAP_VERSION: Final = 64
ORG_HOSTS: Final = (".salesforce.com", ".force.com")

_NO_SECRET = SecretStr("")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"\d{2,3}\.0")
_NEEDED: Final[Mapping[LoginKind, tuple[str, ...]]] = {
    "client_credentials": ("consumer_key", "consumer_secret", "domain"),
    "jwt": ("consumer_key", "username", "private_key_file", "domain"),
    "password": ("username", "password", "domain"),
    "access_token": ("access_token",),
}


@dataclass(frozen=True)
class Credentials:
    """How to log in. Secrets never show in a repr.

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
    """Raise SettingsWrong for what can be seen to be wrong before anything is sent."""
    for name in _NEEDED[credentials.login]:
        value = getattr(credentials, name)
        if not (value.get_secret_value() if isinstance(value, SecretStr) else value):
            raise SettingsWrong(
                f"salesforce.{name} is needed for salesforce.login = {credentials.login}"
            )
    _require_plain_secrets(credentials)
    if not _VERSION.fullmatch(api_version):
        raise SettingsWrong("salesforce.api_version must look like 67.0")
    if not _DOMAIN.fullmatch(credentials.domain) or ".salesforce.com" in credentials.domain:
        raise SettingsWrong(
            "salesforce.domain is the part before .salesforce.com, such as acme.my or login"
        )
    if credentials.login == "client_credentials" and credentials.domain in ("login", "test"):
        raise SettingsWrong(
            "salesforce.domain must be the org's own My Domain, such as acme.my: login and test "
            "take no client credentials"
        )
    if credentials.login == "password" and float(api_version) > LAST_SOAP_VERSION:
        raise SettingsWrong(
            "salesforce.login: password needs salesforce.api_version 64.0 or below and ends with "
            "Summer '27; use client_credentials or jwt"
        )


def _require_plain_secrets(credentials: Credentials) -> None:
    # A line break in a token would end a header, and the library's complaint quotes the token.
    for name, value in vars(credentials).items():
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        if text != text.strip() or not text.isprintable():
            raise SettingsWrong(
                f"salesforce.{name} begins or ends with a blank, or holds a line break: mend it"
            )


def given_instance(credentials: Credentials, emulator_url: str) -> str:
    """The host of the org for an access token: the setting's, else the emulator's."""
    given = urlsplit(credentials.instance_url or emulator_url)
    if not given.hostname or given.scheme not in ("https", "http"):
        raise SettingsWrong(
            "salesforce.instance_url is needed for salesforce.login = access_token, such as "
            "https://acme.my.salesforce.com"
        )
    return given.netloc


def check_instance(instance: str) -> None:
    """Raise SettingsWrong unless a token may be sent to this host."""
    there = urlsplit(f"//{instance}")
    host = there.hostname or ""
    if there.username is not None or not (host.endswith(ORG_HOSTS) or is_loopback(host)):
        raise SettingsWrong(
            "salesforce.instance_url: the org's host must end in .salesforce.com or .force.com; "
            "no token is sent anywhere else"
        )


def enter(
    credentials: Credentials, api_version: str, transport: Transport
) -> tuple[SecretStr, str]:
    """Log in: the session's token, and the host it is for.

    Raises SettingsWrong naming the setting and the remedy, OrgUnreachable or OrgBusy.
    """
    arguments = _login_arguments(credentials)
    session = transport.new_session()
    # Without an auth of its own requests would look into .netrc and send what it finds.
    session.auth = _as_it_is
    session.hooks["response"].append(partial(_stop_if_refused, login=credentials.login))
    trouble: SyncError
    try:
        token, instance = SalesforceLogin(session=session, sf_version=api_version, **arguments)
    except requests.RequestException as error:
        trouble = translate(error)
    except ExpatError:
        trouble = OrgUnreachable("the org's login answered with half an XML: run again later")
    else:
        return SecretStr(token), instance
    raise trouble


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _stop_if_refused(response: requests.Response, *, login: str, **_kwargs: object) -> None:
    trouble = judge_login(response, login)
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
    # The audience must be login or test even where the assertion goes to the org's own host; for
    # simple-salesforce `domain` is then the audience and `instance_url`, a label too, the host.
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
            raise SettingsWrong(
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
    raise SettingsWrong(f"salesforce.private_key_file {file} {trouble}")
