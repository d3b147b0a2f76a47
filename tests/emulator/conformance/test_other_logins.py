"""Numbers 4 and 59: signed assertions, SOAP and passwords while they last."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import OWNERS, user
from tests.emulator.plain_http import Client


@pytest.fixture(scope="module")
def key_pair() -> tuple[Any, ...]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key, public.decode()


def assertion(key: Any, algorithm: str = "RS256", **claims: int | list[str] | str) -> str:
    basic = {
        "iss": "jwt-key",
        "sub": "ada@test.example",
        "aud": "https://test.salesforce.com",
        "exp": int(time.time()) + 180,
    }
    return jwt.encode(basic | claims, key, algorithm=algorithm)


def jwt_org(org_of: OrgOf, public: str, username: str = "ada@test.example") -> Client:
    app = (
        f'[[app]]\nconsumer_key = "jwt-key"\nusername = "{username}"\npublic_key = """{public}"""\n'
    )
    return org_of(OWNERS + app)


def bearer_grant(org: Client, token: str) -> requests.Response:
    return org.token(grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=token)


def test_04_a_signed_assertion_gives_a_session(org_of: OrgOf, key_pair: tuple[Any, ...]) -> None:
    key, public = key_pair
    org = jwt_org(org_of, public)
    for audience in ("https://test.salesforce.com", "https://acme.my.salesforce.com", org.url):
        given = bearer_grant(org, assertion(key, aud=audience))
        assert given.status_code == 200, given.text
        assert given.json()["id"].endswith(user(org))
        shown = {"access_token", "scope", "instance_url", "id", "token_type"}
        assert set(given.json()) == shown


@pytest.mark.parametrize(
    ("claims", "description"),
    [
        ({"aud": "https://elsewhere.example"}, "Audience validation failed"),
        ({"aud": "https://login.salesforce.com"}, "Audience validation failed"),
        ({"aud": ["x"]}, "Audience validation failed"),
        ({"exp": 1_000_000}, "expired authorization code"),
        ({"sub": "nobody@test.example"}, "user hasn't approved this consumer"),
        ({"sub": "gone@test.example"}, "inactive user"),
        ({"exp": "soon"}, "invalid assertion"),
    ],
)
def test_04_a_wrong_assertion_is_rejected(
    org_of: OrgOf, key_pair: tuple[Any, ...], claims: dict[str, Any], description: str
) -> None:
    key, public = key_pair
    org = jwt_org(org_of, public, username="")
    rejected = bearer_grant(org, assertion(key, **claims))
    assert rejected.status_code == 400
    assert rejected.json() == {"error": "invalid_grant", "error_description": description}


def test_04_only_rs256_by_the_apps_own_key_is_trusted(
    org_of: OrgOf, key_pair: tuple[Any, ...]
) -> None:
    org = jwt_org(org_of, key_pair[1])
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    secret = "a shared secret of thirty-two bytes or more"
    forged = (assertion(other), assertion(secret, "HS256"), "no.jwt.atall")
    for token in forged:
        assert bearer_grant(org, token).json()["error_description"] == "invalid assertion"
    stranger = bearer_grant(org, assertion(key_pair[0], iss="nobody"))
    assert stranger.json()["error"] == "invalid_client_id"


LOGIN = """<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">
<e:Body><n:login xmlns:n="urn:partner.soap.sforce.com"><n:username>{}</n:username>
<n:password>{}</n:password></n:login></e:Body></e:Envelope>"""
SOAP_USER = """
[[user]]
username = "ada@test.example"
name = "Ada <Byron>"
password = "pass"
security_token = "token"
"""


def soap(org: Client, username: str, password: str, version: str = "59.0") -> requests.Response:
    url = f"{org.url}/services/Soap/u/{version}"
    body = LOGIN.format(username, password).encode()
    headers = {"Content-Type": "text/xml", "SOAPAction": "login"}
    return requests.post(url, data=body, headers=headers, timeout=org.timeout_seconds)


@pytest.mark.parametrize("version", ["31.0", "59.0", "64.0"])
def test_59_soap_login_while_it_lasts(org_of: OrgOf, version: str) -> None:
    org = org_of(SOAP_USER)
    given = soap(org, "ADA@test.example", "passtoken", version)
    assert given.status_code == 200
    assert "<userFullName>Ada &lt;Byron&gt;</userFullName>" in given.text
    assert f"<serverUrl>{org.url}/services/Soap/u/{version}/00D" in given.text
    assert f"<metadataServerUrl>{org.url}/services/Soap/m/{version}/00D" in given.text
    token = given.text.partition("<sessionId>")[2].partition("</sessionId>")[0]
    org.http.headers["Authorization"] = f"Bearer {token}"
    assert org.call("GET", "/limits").status_code == 200


@pytest.mark.parametrize(
    ("version", "behaviour", "code", "message"),
    [
        ("59.0", "", "INVALID_LOGIN", "Invalid username, password, security token; or user locked"),
        ("65.0", "", "INVALID_OPERATION", "not available in the API version specified (65.0)"),
        ("59.0", "soap_login = false", "INVALID_OPERATION", "is disabled by default in this org."),
    ],
)
def test_59_a_soap_fault_is_500_with_the_prefix_clients_read(
    org_of: OrgOf, version: str, behaviour: str, code: str, message: str
) -> None:
    org = org_of(f"{SOAP_USER}[behaviour]\n{behaviour}\n")
    rejected = soap(org, "ada@test.example", "pass", version)
    assert rejected.status_code == 500
    assert f"<sf:exceptionCode>{code}</sf:exceptionCode>" in rejected.text
    assert message in rejected.text
    assert f"<faultstring>{code}: " in rejected.text


@pytest.mark.also_real_org
def test_59_soap_login_ended_with_version_64(org: Client) -> None:
    rejected = soap(org, f"{org.mark}@example.com", "nobody's", "65.0")
    assert rejected.status_code == 500
    assert "INVALID_OPERATION</sf:exceptionCode>" in rejected.text


def test_59_what_is_no_login_request_is_a_fault(org: Client) -> None:
    assert soap(org, "integration@test.example", "").status_code == 500
    url = f"{org.url}/services/Soap/u/59.0"
    for body in (b"nonsense", b"<!DOCTYPE x><x/>", b"<x/>", b"x" * 11_000):
        response = requests.post(url, data=body, timeout=10)
        assert (response.status_code, "Fault" in response.text) == (500, True)


def test_59_the_password_grant_while_it_lasts(org_of: OrgOf) -> None:
    form = {
        "grant_type": "password",
        "client_id": "key",
        "client_secret": "secret",
        "username": "ada@test.example",
    }
    org = org_of(SOAP_USER)
    assert org.token(**form, password="passtoken").status_code == 200
    assert org.token(**form, password="wrong").json()["error"] == "invalid_grant"
    off = org_of(SOAP_USER + "[behaviour]\npassword_grant = false\n")
    assert off.token(**form, password="passtoken").status_code == 400
