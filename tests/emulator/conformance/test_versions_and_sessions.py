"""Numbers 1, 2, 3, 5, 6: which versions there are, and how a session begins and ends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time

import pytest
import requests

from tests.emulator.conformance.real_org import RealClient
from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import OWNERS, error_of
from tests.emulator.plain_http import Client


@pytest.mark.also_real_org
def test_01_versions_are_listed_without_a_session_and_without_limit_info(org: Client) -> None:
    response = requests.get(f"{org.url}/services/data/", timeout=org.timeout_seconds)
    listed = [entry["version"] for entry in response.json()]
    assert (response.status_code, listed[0]) == (200, "31.0")
    assert listed == sorted(listed, key=float)
    newest = response.json()[listed.index("68.0")]
    assert newest == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    assert response.json()[listed.index("67.0")]["label"] == "Summer '26"
    assert "Sforce-Limit-Info" not in response.headers


@pytest.mark.also_real_org
def test_02_a_retired_version_is_gone_and_a_future_one_not_there(org: Client) -> None:
    for path in ("/query", "/sobjects/Lead", ""):
        assert org.call("GET", path, version="30.0").status_code == 410
    assert error_of(org.call("GET", "/query", version="30.0"), 410)["errorCode"] == "GONE"
    assert org.call("GET", "/query", version="99.0").status_code == 404


@pytest.mark.also_real_org
def test_02_a_deprecated_version_warns(org: Client) -> None:
    assert org.call("GET", "/limits", version="35.0").headers["Warning"].startswith("299")
    assert "Warning" not in org.call("GET", "/limits").headers


@pytest.mark.parametrize("how", ["basic", "form"])
@pytest.mark.also_real_org
def test_03_client_credentials_give_a_session(org: Client, how: str) -> None:
    form = credentials(org)
    key, secret = form["client_id"], form["client_secret"]
    auth = (key, secret) if how == "basic" else None
    if how == "basic":
        form = {"grant_type": "client_credentials"}
    url = f"{org.url}/services/oauth2/token"
    response = requests.post(url, data=form, auth=auth, timeout=org.timeout_seconds)
    given = response.json()
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    assert given["instance_url"] == org.url
    assert re.fullmatch(r"https?://[^/]+/id/00D\w{15}/005\w{15}", given["id"])
    assert given["token_type"] == "Bearer"
    assert "api" in given["scope"].split()
    assert abs(int(given["issued_at"]) / 1000 - time.time()) < 300
    signed = hmac.new(secret.encode(), (given["id"] + given["issued_at"]).encode(), hashlib.sha256)
    assert given["signature"] == base64.b64encode(signed.digest()).decode()
    opened = {"Authorization": f"Bearer {given['access_token']}"}
    assert org.call("GET", "/sobjects", headers=opened).status_code == 200


def credentials(org: Client) -> dict[str, str]:
    """Of the emulated org, or of the real one where its tests were given any."""
    if isinstance(org, RealClient):
        return org.credentials()
    known = {"client_id": "key", "client_secret": "secret"}
    return {"grant_type": "client_credentials"} | known


@pytest.mark.also_real_org
def test_05_an_unknown_client_is_rejected_with_an_object_not_an_array(org: Client) -> None:
    rejected = org.token(grant_type="client_credentials", client_id="nobody", client_secret="x")
    assert rejected.status_code == 400
    assert rejected.json()["error"] == "invalid_client_id"
    assert rejected.json()["error_description"] == "client identifier invalid"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"client_id": "key", "client_secret": "x"}, "invalid_client"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unsupported_grant_type"),
    ],
)
def test_05_every_error_of_the_token_endpoint_is_one_object(
    org: Client, form: dict[str, str], error: str
) -> None:
    rejected = org.token(**({"grant_type": "client_credentials"} | form))
    assert (rejected.status_code, rejected.headers["Cache-Control"]) == (400, "no-store")
    assert set(rejected.json()) == {"error", "error_description"}
    assert rejected.json()["error"] == error


def test_05_a_basic_header_that_is_none_is_rejected_too(org: Client) -> None:
    broken = requests.post(
        f"{org.url}/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": "Basic ???"},
        timeout=10,
    )
    assert broken.json()["error"] == "invalid_client"


def test_05_an_app_whose_user_is_inactive_gives_nothing(org_of: OrgOf) -> None:
    app = '[[app]]\nconsumer_key = "b"\nconsumer_secret = "b"\nusername = "gone@test.example"\n'
    org = org_of(OWNERS + app)
    rejected = org.token(grant_type="client_credentials", client_id="b", client_secret="b")
    assert rejected.json() == {
        "error": "invalid_grant",
        "error_description": "no client credentials user enabled",
    }


@pytest.mark.parametrize(
    "path", ["/query?q=x", "/sobjects/Lead", "/jobs/ingest", "/jobs/query", "/nowhere", ""]
)
@pytest.mark.also_real_org
def test_06_without_a_session_every_path_is_401(org: Client, path: str) -> None:
    url = f"{org.url}/services/data/v{org.version}{path}"
    for headers in ({}, {"Authorization": "Bearer 00D000000000000!x"}):
        response = requests.get(url, headers=headers, timeout=org.timeout_seconds)
        assert response.status_code == 401
        assert response.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert response.json() == [
            {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
        ]


def test_06_another_scheme_opens_nothing(org: Client) -> None:
    headers = {"Authorization": "Basic eA=="}
    assert org.call("GET", "/limits", headers=headers).status_code == 401


def test_06_a_session_can_be_made_to_expire_in_the_middle_of_a_run(org: Client) -> None:
    org.faults({"match": "GET /query", "nth": 2, "fault": "expire_session"})
    assert org.query("SELECT Id FROM Lead").status_code == 200
    rejected = error_of(org.query("SELECT Id FROM Lead"), 401)
    assert rejected == {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
    assert org.call("GET", "/jobs/ingest").status_code == 401
    assert org.log_in().call("GET", "/limits").status_code == 200
