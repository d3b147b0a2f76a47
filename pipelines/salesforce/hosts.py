"""Which hosts a secret may be sent to: Salesforce's own, and this machine for the emulator.

An address is rejected unless every part of it is plain. Two parsers that disagree leak tokens: for
`https://evil.example\\.salesforce.com` urlsplit returns one host and urllib3 another.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

PORTS: Final = {"https": 443, "http": 80}

# ASCII only: without the flag, IGNORECASE takes a long s (U+017F) for an s.
_FLAGS: Final = re.ASCII | re.IGNORECASE
LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ORG_HOST = re.compile(rf"(?:{LABEL}\.)+(?:salesforce|force)\.com", _FLAGS)
_HOST_AND_PORT = re.compile(
    r"(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", _FLAGS
)


class Target(NamedTuple):
    """Where a request goes: scheme, host in lower case without brackets, port."""

    scheme: str
    host: str
    port: int


def target_of(url: str) -> Target | None:
    """Return where a request to this URL really goes; None if that is not certain.

    requests connects to the host that urllib.parse reads, and urllib3 writes the request with its
    own parser. Return None when the two differ, or when the URL holds a user name.
    """
    try:
        ours, theirs = urlsplit(url), parse_url(url)
        port = ours.port
    except (ValueError, LocationParseError):
        return None
    host = (theirs.host or "").strip("[]")
    is_same = (ours.scheme, ours.hostname, port) == (theirs.scheme, host, theirs.port)
    has_user = theirs.auth is not None or "@" in ours.netloc
    if not is_same or has_user or not host or ours.scheme not in PORTS:
        return None
    return Target(ours.scheme, host, PORTS[ours.scheme] if port is None else port)


def is_org_target(target: Target | None) -> bool:
    """Return whether this is Salesforce: https, its usual port, a host under its domains."""
    return (
        target is not None
        and target.scheme == "https"
        and target.port == PORTS["https"]
        and _ORG_HOST.fullmatch(target.host) is not None
    )


def is_instance(netloc: str, *, may_be_local: bool) -> bool:
    """Return whether a token may be sent to this host, written as in a URL, port included.

    `may_be_local`: this machine is allowed too, for the org emulator.
    """
    found = _HOST_AND_PORT.fullmatch(netloc)
    if found is None:
        return False
    if may_be_local and is_loopback(found["host"].strip("[]")):
        return True
    return is_org_target(target_of(f"https://{netloc}"))


def is_loopback(host: str) -> bool:
    """Return whether the host is localhost or a loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
