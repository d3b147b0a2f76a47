"""HTTP as clients use it: whatever HTTP allows, and what this API adds."""

from __future__ import annotations

import gzip
import json
import socket
import xml.etree.ElementTree as ElementTree
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.emulator.messages import ApiRequest, ApiResponse
from pipelines.emulator.xml_responses import in_accepted_format
from tests.emulator.plain_http import Client

LEAD = {"LastName": "Hopper", "Company": "Navy"}
JSON = {"Content-Type": "application/json"}


def raw(org: Client, text: str, count: int = 1) -> str:
    """What comes back for bytes sent as they are, until the server closes."""
    address = urlsplit(org.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(text.encode() * count)
        pieces = []
        while piece := connection.recv(65_536):
            pieces.append(piece)
    return b"".join(pieces).decode()


def head_of(org: Client, line: str, *more: str) -> str:
    token = org.authorization
    lines = (line, "Host: my.example:99", f"Authorization: {token}", "Connection: close", *more)
    return "\r\n".join(lines) + "\r\n\r\n"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "OAuth", "oauth"])
def test_the_scheme_of_a_token_may_be_written_in_any_case(org: Client, scheme: str) -> None:
    token = org.authorization.partition(" ")[2]
    headers = {"Authorization": f"{scheme}  {token}"}
    assert org.call("GET", "/limits", headers=headers).status_code == 200


def test_http_1_0_gets_a_response_and_is_closed(org: Client) -> None:
    head = head_of(org, "GET /services/data/v60.0/limits HTTP/1.0")
    assert raw(org, head).startswith("HTTP/1.1 200")


def test_requests_may_be_sent_without_waiting_for_responses(org: Client) -> None:
    head = head_of(org, "GET /services/data/v60.0/limits HTTP/1.1")
    kept = head.replace("Connection: close\r\n", "")
    assert raw(org, kept + kept + head).count("HTTP/1.1 200 OK") == 3


def test_a_whole_url_may_be_the_target_as_through_a_proxy(org: Client) -> None:
    head = head_of(org, "GET http://my.example:99/services/data/v60.0 HTTP/1.1")
    response = raw(org, head)
    assert response.startswith("HTTP/1.1 200")
    assert '"identity": "http://my.example:99/id/00D' in response


def test_an_instance_url_with_its_slash_is_forgiven(org: Client) -> None:
    response = org.http.get(f"{org.url}//services/data/v60.0/limits", timeout=30)
    assert response.status_code == 200


def test_chunks_and_a_client_that_waits_to_be_asked_on(org: Client) -> None:
    body = json.dumps(LEAD)
    more = ("Content-Type: application/json", "Transfer-Encoding: chunked", "Expect: 100-continue")
    head = head_of(org, "POST /services/data/v60.0/sobjects/Lead/ HTTP/1.1", *more)
    response = raw(org, f"{head}{len(body):x}\r\n{body}\r\n0\r\n\r\n")
    assert response.startswith("HTTP/1.1 100")
    assert "HTTP/1.1 201 Created" in response


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("GZIP", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("identity", bytes),
    ],
    ids=["gzip", "deflate", "joined", "identity"],
)
def test_a_body_may_come_compressed(org: Client, encoding: str, packed: Any) -> None:
    data = packed(json.dumps(LEAD).encode())
    headers = JSON | {"Content-Encoding": encoding}
    assert org.call("POST", "/sobjects/Lead", data=data, headers=headers).status_code == 201
    assert org.rows("SELECT LastName FROM Lead") == [{"LastName": "Hopper"}]


@pytest.mark.parametrize(
    ("encoding", "data", "status"),
    [
        ("br", b"{}", 415),
        ("gzip", b"{}", 400),
        ("gzip", gzip.compress(json.dumps(LEAD).encode())[:-9], 400),
    ],
    ids=["unknown", "not gzip", "cut short"],
)
def test_a_body_that_cannot_be_unpacked_changes_nothing(
    org: Client, encoding: str, data: bytes, status: int
) -> None:
    headers = JSON | {"Content-Encoding": encoding}
    assert org.call("POST", "/sobjects/Lead", data=data, headers=headers).status_code == status
    assert org.rows("SELECT Id FROM Lead") == []


def test_head_responds_as_get_does_without_the_body(org: Client) -> None:
    got, headed = (org.call(method, "/sobjects/Lead/describe") for method in ("GET", "HEAD"))
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["Content-Type"] == got.headers["Content-Type"]


def test_an_unknown_method_gets_the_list_of_known_ones(org: Client) -> None:
    rejected = org.call("OPTIONS", "/sobjects/Lead")
    assert rejected.status_code == 405
    assert rejected.headers["Allow"] == "HEAD,GET,POST"
    assert rejected.json()[0]["message"].endswith("Allowed are HEAD,GET,POST")


def test_a_client_without_patch_may_name_it_in_the_url(org: Client) -> None:
    path = "/sobjects/Lead/Person_Id__c/p1?_HttpMethod=PATCH"
    assert org.call("POST", path, json=LEAD).status_code == 201
    assert org.call("POST", path, json={"City": "Rome"}).json()["created"] is False


@pytest.mark.parametrize("space", ["+", "%20"])
def test_a_query_may_write_its_spaces_as_plus_or_percent(org: Client, space: str) -> None:
    org.lead(LastName="A B")
    text = f"SELECT{space}Id{space}FROM{space}Lead{space}WHERE{space}LastName='A{space}B'"
    assert org.call("GET", f"/query/?q={text}").json()["totalSize"] == 1


@pytest.mark.parametrize("path", ["/query/", "/query.json"])
def test_a_path_may_end_in_a_slash_or_in_its_form(org: Client, path: str) -> None:
    assert org.call("GET", path, params={"q": "SELECT Id FROM Lead"}).json()["totalSize"] == 0


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/xml"])
def test_a_body_of_another_form_than_json_is_rejected(org: Client, kind: str) -> None:
    rejected = org.call(
        "POST", "/sobjects/Lead", data=json.dumps(LEAD), headers={"Content-Type": kind}
    )
    assert (rejected.status_code, rejected.json()[0]["errorCode"]) == (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    )


def xml(response: requests.Response) -> Any:
    assert response.headers["Content-Type"] == "application/xml;charset=UTF-8"
    return ElementTree.fromstring(response.content)  # noqa: S314 - our own emulator's


@pytest.mark.parametrize(
    ("accept", "is_xml"),
    [
        ("application/xml", True),
        ("text/xml, */*;q=0.1", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("application/json, application/xml", False),
        ("application/xml;q=0.5, application/json", False),
        ("text/csv", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_an_response_is_xml_where_that_is_preferred(org: Client, accept: str, is_xml: bool) -> None:
    response = org.call("GET", "/limits", headers={"Accept": accept})
    assert response.headers["Content-Type"].startswith("application/xml") is is_xml


def test_records_and_queries_in_xml(org: Client) -> None:
    lead = org.lead(LastName="A & <B>")
    read = xml(org.call("GET", f"/sobjects/Lead/{lead}.xml?fields=Id,LastName,City"))
    assert (read.tag, read.get("type"), read.find("LastName").text) == ("Lead", "Lead", "A & <B>")
    assert list(read.find("City").attrib.values()) == ["true"]
    found = xml(org.query("SELECT Id, Owner.Name FROM Lead", Accept="application/xml"))
    assert (found.tag, found.find("totalSize").text) == ("QueryResult", "1")
    assert found.find("records/Owner/Name").text == "Integration User"


def test_errors_and_versions_in_xml(org: Client) -> None:
    headers = {"Accept": "application/xml"}
    errors = xml(org.create(LastName="L", _headers=headers))
    assert (errors.tag, errors.find("Error/errorCode").text) == ("Errors", "REQUIRED_FIELD_MISSING")
    listed = xml(requests.get(f"{org.url}/services/data", headers=headers, timeout=30))
    assert listed.findall("Version")[-1].find("version").text == "68.0"
    form = {"grant_type": "client_credentials", "client_id": "key", "client_secret": "secret"}
    url = f"{org.url}/services/oauth2/token"
    token = xml(requests.post(url, data=form, headers=headers, timeout=30))
    assert (token.tag, token.find("instance_url").text) == ("OAuth", org.url)


def test_a_proxy_that_ends_tls_is_believed(org: Client) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.1"}
    identity = org.call("GET", "", headers=headers).json()["identity"]
    assert identity.startswith("https://127.0.0.1:")
    org.faults({"match": "GET /limits", "fault": "drop_before"})
    with pytest.raises(requests.exceptions.ConnectionError):
        org.call("GET", "/limits", headers=headers)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_response_can_be_written_as_xml_that_can_be_read(value: dict[str, Any]) -> None:
    call = ApiRequest("GET", "/services/data/v60.0/x", {}, {"accept": "application/xml"}, b"")
    text = in_accepted_format(call, ApiResponse(200, value)).text
    assert text is not None
    ElementTree.fromstring(text)  # noqa: S314 - our own
