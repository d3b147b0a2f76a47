"""Sessions as clients live with them: how they begin, whose they are, and how they end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from pathlib import Path

import pytest
import requests

from tests.emulator.conftest import OrgOf, Start
from tests.emulator.plain_http import Client

ADA = """
[[user]]
username = "ada@test.example"
name = "Ada Byron"
password = "pass"
"""
LOGIN = (
    '<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">'
    "{}</e:Envelope>"
)
APP = {"client_id": "key", "client_secret": "secret"}


def token_of(org: Client) -> str:
    return org.authorization.removeprefix("Bearer ")


def oauth(org: Client, path: str, **form: str) -> requests.Response:
    return requests.post(f"{org.url}/services/oauth2/{path}", data=form, timeout=30)


def soap(
    org: Client, body: str, header: str = "", port: str = "u", version: str = "59.0"
) -> requests.Response:
    text = LOGIN.format(f"<e:Header>{header}</e:Header><e:Body>{body}</e:Body>")
    url = f"{org.url}/services/Soap/{port}/{version}/00D000000000001"
    return requests.post(url, data=text.encode(), timeout=30)


def soap_session(org: Client) -> str:
    body = "<login><username>ada@test.example</username><password>pass</password></login>"
    found = re.search("<sessionId>(.*?)</sessionId>", soap(org, body).text)
    assert found is not None
    return found[1]


def test_the_signature_of_a_token_response_can_be_verified(org: Client) -> None:
    given = org.token(grant_type="client_credentials", **APP).json()
    signed = (given["id"] + given["issued_at"]).encode()
    expected = hmac.new(b"secret", signed, hashlib.sha256).digest()
    assert base64.b64decode(given["signature"]) == expected


def test_the_token_endpoint_takes_posts_only(org: Client) -> None:
    response = requests.get(f"{org.url}/services/oauth2/token", timeout=30)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_a_revoked_token_opens_nothing_and_cannot_be_revoked_again(org: Client) -> None:
    assert oauth(org, "revoke", token=token_of(org)).status_code == 200
    assert org.call("GET", "/limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"
    again = oauth(org, "revoke", token=token_of(org))
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")


def test_a_token_may_be_revoked_by_its_url(org: Client) -> None:
    parameters = {"token": token_of(org)}
    url = f"{org.url}/services/oauth2/revoke"
    assert requests.get(url, params=parameters, timeout=30).status_code == 200
    assert org.call("GET", "/limits").status_code == 401


def test_an_app_may_ask_about_a_token(org: Client) -> None:
    info = oauth(org, "introspect", token=token_of(org), **APP).json()
    assert (info["active"], info["client_id"]) == (True, "key")
    assert info["username"] == "integration@test.example"
    assert info["exp"] - info["iat"] == 7_200
    assert oauth(org, "introspect", token="none", **APP).json() == {"active": False}
    assert oauth(org, "introspect", token=token_of(org)).status_code == 400


def test_the_identity_url_of_a_token_is_for_its_bearer(org: Client) -> None:
    identity = org.token(grant_type="client_credentials", **APP).json()["id"]
    shown = org.http.get(identity, timeout=30).json()
    assert shown["id"] == identity
    assert shown["urls"]["rest"] == f"{org.url}/services/data/v{{version}}/"
    latest = org.http.get(identity, params={"version": "latest"}, timeout=30).json()
    assert latest["urls"]["query"] == f"{org.url}/services/data/v68.0/query/"


WRONG = {"Authorization": "Bearer x"}
ELSEWHERE = "/id/00D000000000001/005000000000001"


@pytest.mark.parametrize(
    ("path", "headers", "status", "error_text"),
    [
        (ELSEWHERE, {}, 403, "Missing_OAuth_Token"),
        (ELSEWHERE, WRONG, 403, "Bad_OAuth_Token"),
        (ELSEWHERE, None, 403, "Wrong_Org"),
        ("/services/oauth2/userinfo", WRONG, 403, "Bad_OAuth_Token"),
    ],
)
def test_an_identity_error_is_one_word(
    org: Client, path: str, headers: dict[str, str] | None, status: int, error_text: str
) -> None:
    sent = dict(org.http.headers) if headers is None else headers
    response = requests.get(org.url + path, headers=sent, timeout=30)
    assert (response.status_code, response.text) == (status, error_text)


def test_userinfo_has_the_names_of_openid_connect(org: Client) -> None:
    info = org.http.get(f"{org.url}/services/oauth2/userinfo", timeout=30).json()
    assert info["preferred_username"] == "integration@test.example"
    assert info["sub"].startswith(f"{org.url}/id/00D")
    assert (info["name"], info["family_name"]) == ("Integration User", "User")


def test_an_unused_session_ends_after_its_time(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nsession_minutes = 0.001\n")
    time.sleep(0.07)
    rejected = org.call("GET", "/limits")
    assert (rejected.status_code, rejected.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


def test_every_call_puts_the_end_of_a_session_off(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nsession_minutes = 0.02\n")
    org.faults({"match": "GET /limits", "fault": "slow:0.5", "count": 3})
    statuses = [org.call("GET", "/limits").status_code for _ in range(4)]
    assert statuses == [200] * 4  # 1.5 s in all, where 1.2 without a call would have ended it


def test_asking_about_a_token_is_no_use_of_it(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nsession_minutes = 0.01\n")
    for _ in range(4):
        oauth(org, "introspect", token=token_of(org), **APP)
        time.sleep(0.2)
    assert oauth(org, "introspect", token=token_of(org), **APP).json() == {"active": False}


def test_soap_returns_how_long_a_session_lasts_and_ends_it(org_of: OrgOf) -> None:
    org = org_of(ADA + "[behaviour]\nsession_minutes = 30.0\n")
    session = soap_session(org)
    header = f"<SessionHeader><sessionId>{session}</sessionId></SessionHeader>"
    info = soap(org, "<getUserInfo/>", header).text
    assert "<sessionSecondsValid>1800</sessionSecondsValid>" in info
    assert "<userName>ada@test.example</userName>" in info
    assert soap(org, "<logout/>", header).status_code == 200
    over = soap(org, "<getUserInfo/>", header)
    assert over.status_code == 500
    assert "<faultcode>sf:INVALID_SESSION_ID</faultcode>" in over.text


def test_a_soap_session_is_a_bearer_token_too(org_of: OrgOf) -> None:
    org = org_of(ADA)
    headers = {"Authorization": f"OAuth {soap_session(org)}"}
    assert org.call("GET", "/limits", headers=headers).status_code == 200


def test_the_enterprise_port_responds_in_its_own_namespace(org_of: OrgOf) -> None:
    org = org_of(ADA)
    body = "<login><username>ada@test.example</username><password>pass</password></login>"
    response = soap(org, body, port="c")
    assert 'xmlns="urn:enterprise.soap.sforce.com"' in response.text
    assert f"<serverUrl>{org.url}/services/Soap/c/59.0/00D" in response.text


def test_a_soap_operation_that_is_not_served_is_rejected_by_name(org_of: OrgOf) -> None:
    response = soap(org_of(ADA), "<describeGlobal/>")
    assert response.status_code == 500
    assert "No operation available for request describeGlobal" in response.text


def test_a_password_in_cdata_is_a_password(org_of: OrgOf) -> None:
    body = (
        "<login><username>ada@test.example</username><password><![CDATA[pass]]></password></login>"
    )
    assert soap(org_of(ADA), body).status_code == 200


def test_a_soap_body_with_a_document_type_is_rejected(org: Client) -> None:
    text = '<!DOCTYPE x [<!ENTITY a "b">]>' + LOGIN.partition("?>")[2].format("&a;")
    response = requests.post(f"{org.url}/services/Soap/u/59.0", data=text, timeout=30)
    assert (response.status_code, "not a SOAP request" in response.text) == (500, True)


def test_a_session_outlives_a_restart_of_the_emulator(
    start: Start, client: type[Client], basic_org: str, tmp_path: Path
) -> None:
    file, store = tmp_path / "org.toml", tmp_path / "org.db"
    file.write_text(basic_org)
    first = start("--port", "0", "--org", str(file), "--store", str(store))
    org = client(first.url).log_in()
    first.stop()
    again = client(start("--port", "0", "--store", str(store)).url)
    again.http.headers["Authorization"] = org.authorization
    assert again.call("GET", "/limits").status_code == 200
