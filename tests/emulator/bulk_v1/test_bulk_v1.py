"""Bulk API 1.0, which older clients load through: jobs in XML or JSON, batches in three forms."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.emulator.bulk_v1.formats import BulkV1Error, read_batch, read_info
from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client

SPACE = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'
TYPES = {"CSV": "text/csv", "XML": "application/xml", "JSON": "application/json"}
RULE = """
[[queue]]
developer_name = "DACH"
name = "DACH"
objects = ["Lead"]
[[assignment_rule]]
name = "Routing"
id = "01Q000000000001"
active = true
[[assignment_rule.entry]]
when = { Country = "DE" }
assign_to = "queue:DACH"
"""


class BulkV1Client:
    """A client of 1.0: its own header for the session, and no other."""

    def __init__(self, org: Client) -> None:
        self.url = f"{org.url}/services/async/60.0/job"
        self.headers = {"X-SFDC-Session": org.authorization.removeprefix("Bearer ")}

    def ask(self, path: str = "", body: str | None = None, kind: str = "XML") -> requests.Response:
        headers = self.headers | {"Content-Type": f"{TYPES[kind]}; charset=UTF-8"}
        method = "GET" if body is None else "POST"
        data = body.encode() if body is not None else None
        return requests.request(method, self.url + path, data=data, headers=headers, timeout=30)

    def xml(self, path: str = "", body: str | None = None) -> dict[str, str]:
        response = self.ask(path, body)
        assert response.status_code in {200, 201}, response.text
        root = ElementTree.fromstring(response.text)  # noqa: S314 - our own emulator's
        return {part.tag.rpartition("}")[2]: part.text or "" for part in root}

    def job(self, operation: str = "insert", kind: str = "CSV", **more: str) -> str:
        asked = {"operation": operation, "object": "Lead"} | more | {"contentType": kind}
        inner = "".join(f"<{name}>{text}</{name}>" for name, text in asked.items())
        return self.xml(body=f"<jobInfo {SPACE}>{inner}</jobInfo>")["id"]

    def load(self, body: str, operation: str = "insert", kind: str = "CSV", **more: str) -> str:
        """The text of a batch's results."""
        job = self.job(operation, kind, **more)
        response = self.ask(f"/{job}/batch", body, kind)
        assert response.status_code == 201, response.text
        batch = self.ask(f"/{job}/batch").text.partition("<id>")[2].partition("</id>")[0]
        self.xml(f"/{job}", f"<jobInfo {SPACE}><state>Closed</state></jobInfo>")
        return self.ask(f"/{job}/batch/{batch}/result").text


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def bulk_v1(org: Client) -> BulkV1Client:
    return BulkV1Client(org)


def test_a_csv_batch_has_a_result_for_each_row_in_its_own_order(
    bulk_v1: BulkV1Client, org: Client
) -> None:
    done = rows(bulk_v1.load("LastName,Company\nA,C\n,C\nB,C\n"))
    assert [row["Success"] for row in done] == ["true", "false", "true"]
    assert [row["Created"] for row in done] == ["true", "false", "true"]
    assert (
        done[1]["Error"]
        == "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
    )
    assert org.rows("SELECT LastName FROM Lead ORDER BY LastName") == [
        {"LastName": "A"},
        {"LastName": "B"},
    ]


def test_the_results_of_an_xml_batch_are_xml(bulk_v1: BulkV1Client, org: Client) -> None:
    sent = (
        f'<sObjects {SPACE} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        "<sObject><LastName>A &amp; B</LastName><Company>C</Company></sObject>"
        "<sObject><LastName>D</LastName><Company>C</Company>"
        '<City xsi:nil="true"/></sObject><sObject><Company>C</Company></sObject></sObjects>'
    )
    message = bulk_v1.load(sent, kind="XML")
    assert message.count("<success>true</success>") == 2
    assert "<statusCode>REQUIRED_FIELD_MISSING</statusCode>" in message
    assert org.rows("SELECT LastName FROM Lead WHERE LastName LIKE 'A%'") == [{"LastName": "A & B"}]


def test_the_results_of_a_json_batch_are_json(bulk_v1: BulkV1Client, org: Client) -> None:
    sent = [{"LastName": "A", "Company": "C", "NumberOfEmployees": 7, "City": None}, {"City": "x"}]
    done = json.loads(bulk_v1.load(json.dumps(sent), kind="JSON"))
    assert [one["success"] for one in done] == [True, False]
    assert done[1]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    assert org.rows("SELECT NumberOfEmployees FROM Lead") == [{"NumberOfEmployees": 7}]


def test_update_upsert_and_delete(bulk_v1: BulkV1Client, org: Client) -> None:
    lead = org.lead(Person_Id__c="p1")
    assert "true" in bulk_v1.load(f"Id,City\n{lead},Rome\n", "update")
    key = {"externalIdFieldName": "Person_Id__c"}
    upserted = rows(
        bulk_v1.load("Person_Id__c,LastName,Company\np1,L,C\np2,M,C\n", "upsert", **key)
    )
    assert [row["Created"] for row in upserted] == ["false", "true"]
    assert org.rows("SELECT City FROM Lead WHERE Person_Id__c = 'p1'") == [{"City": "Rome"}]
    assert rows(bulk_v1.load(f"Id\n{lead}\n", "delete"))[0]["Success"] == "true"
    assert rows(bulk_v1.load(f"Id\n{lead}\n", "delete"))[0]["Error"].startswith("ENTITY_IS_DELETED")


def test_an_owner_may_be_named_by_another_key(bulk_v1: BulkV1Client, org_of: OrgOf) -> None:
    org = org_of('[[user]]\nusername = "ada@test.example"\nname = "Ada Byron"\n')
    sent = "LastName,Company,User:Owner.Username\nL,C,ada@test.example\nM,C,nobody@x.example\n"
    done = rows(BulkV1Client(org).load(sent))
    assert [row["Success"] for row in done] == ["true", "false"]
    assert org.rows("SELECT Owner.Name FROM Lead")[0]["Owner"]["Name"] == "Ada Byron"


def test_an_assignment_rule_runs_where_the_job_names_one(org_of: OrgOf) -> None:
    org = org_of(RULE)
    bulk_v1 = BulkV1Client(org)
    bulk_v1.load("LastName,Company,Country\nA,C,DE\n", assignmentRuleId="01Q000000000001")
    bulk_v1.load("LastName,Company,Country\nB,C,DE\n")
    found = org.rows("SELECT Owner.Name FROM Lead ORDER BY LastName")
    assert [row["Owner"]["Name"] for row in found] == ["DACH", "Integration User"]


def test_a_query_lists_its_files_and_returns_them(bulk_v1: BulkV1Client, org: Client) -> None:
    org.lead(LastName="A"), org.lead(LastName="B")
    job = bulk_v1.job("query")
    batch = bulk_v1.xml(f"/{job}/batch", "SELECT LastName, Company FROM Lead ORDER BY LastName")[
        "id"
    ]
    file = bulk_v1.xml(f"/{job}/batch/{batch}/result")["result"]
    text = bulk_v1.ask(f"/{job}/batch/{batch}/result/{file}").text
    assert [row["LastName"] for row in rows(text)] == ["A", "B"]


def test_an_empty_query_result_has_the_text_clients_look_for(bulk_v1: BulkV1Client) -> None:
    job = bulk_v1.job("query")
    batch = bulk_v1.xml(f"/{job}/batch", "SELECT LastName FROM Lead")["id"]
    file = bulk_v1.xml(f"/{job}/batch/{batch}/result")["result"]
    response = bulk_v1.ask(f"/{job}/batch/{batch}/result/{file}")
    assert response.text == "Records not found for this query"


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ("Nope,Company\nx,C\n", "InvalidBatch : Field name not found : Nope"),
        ('LastName,Company\n"x,C\n', "InvalidBatch : Failed to parse CSV"),
        ("LastName,Company\nx\n", "InvalidBatch : Failed to parse CSV. header = 2 row = 1"),
    ],
)
def test_a_batch_that_cannot_be_read_fails_as_a_whole(
    bulk_v1: BulkV1Client, org: Client, batch: str, message: str
) -> None:
    job = bulk_v1.job()
    sent = bulk_v1.xml(f"/{job}/batch", batch)
    shown = bulk_v1.xml(f"/{job}/batch/{sent['id']}")
    assert shown["state"] == "Failed"
    assert shown["stateMessage"].startswith(message)
    assert bulk_v1.xml(f"/{job}")["numberBatchesFailed"] == "1"
    assert org.rows("SELECT Id FROM Lead") == []


def test_a_closed_job_takes_no_batch(bulk_v1: BulkV1Client) -> None:
    job = bulk_v1.job()
    closed = bulk_v1.xml(f"/{job}", f"<jobInfo {SPACE}><state>Closed</state></jobInfo>")
    assert closed["state"] == "Closed"
    rejected = bulk_v1.ask(f"/{job}/batch", "LastName,Company\nA,C\n", "CSV")
    assert rejected.status_code == 400
    assert "<exceptionCode>InvalidJobState</exceptionCode>" in rejected.text


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"operation": "explode", "object": "Lead"}, "InvalidJob"),
        ({"operation": "insert", "object": "Nothing"}, "InvalidEntity"),
        ({"operation": "upsert", "object": "Lead", "externalIdFieldName": "City"}, "InvalidJob"),
        ({"operation": "insert", "object": "Lead", "contentType": "ZIP_CSV"}, "InvalidJob"),
    ],
)
def test_a_job_that_makes_no_sense_is_rejected(
    bulk_v1: BulkV1Client, asked: dict[str, str], code: str
) -> None:
    rejected = bulk_v1.ask(body=json.dumps(asked), kind="JSON")
    assert (rejected.status_code, rejected.json()["exceptionCode"]) == (400, code)


def test_an_expired_session_has_the_error_of_this_api(bulk_v1: BulkV1Client) -> None:
    bulk_v1.headers = {"X-SFDC-Session": "over"}
    rejected = bulk_v1.ask(body=f"<jobInfo {SPACE}></jobInfo>")
    assert rejected.status_code == 400
    assert "<exceptionCode>InvalidSessionId</exceptionCode>" in rejected.text


def test_what_was_sent_can_be_read_back(bulk_v1: BulkV1Client) -> None:
    job = bulk_v1.job()
    batch = bulk_v1.xml(f"/{job}/batch", "LastName,Company\nZoë,C\n")["id"]
    assert bulk_v1.ask(f"/{job}/batch/{batch}/request").content.decode() == (
        "LastName,Company\nZoë,C\n"
    )


def test_a_session_can_be_made_to_end_in_the_middle(bulk_v1: BulkV1Client, org: Client) -> None:
    org.faults({"match": "POST */job/*/batch", "fault": "expire_session"})
    rejected = bulk_v1.ask(f"/{bulk_v1.job()}/batch", "LastName,Company\nA,C\n", "CSV")
    assert "<exceptionCode>InvalidSessionId</exceptionCode>" in rejected.text
    assert org.log_in().rows("SELECT Id FROM Lead") == []


def test_its_requests_count_against_the_day(org_of: OrgOf) -> None:
    org = org_of("[limits]\ndaily_api_requests = 2\n")
    bulk_v1 = BulkV1Client(org)
    bulk_v1.job(), bulk_v1.job()
    rejected = bulk_v1.ask(body=f"<jobInfo {SPACE}></jobInfo>")
    assert "<exceptionCode>ExceededQuota</exceptionCode>" in rejected.text


def test_a_batch_with_a_document_type_is_rejected(bulk_v1: BulkV1Client) -> None:
    job = bulk_v1.job(kind="XML")
    batch = bulk_v1.xml(f"/{job}/batch", '<!DOCTYPE x [<!ENTITY a "b">]><sObjects/>')
    assert bulk_v1.xml(f"/{job}/batch/{batch['id']}")["state"] == "Failed"


def test_a_related_record_may_be_named_in_json(org_of: OrgOf) -> None:
    org = org_of('[[user]]\nusername = "ada@test.example"\nname = "Ada Byron"\n')
    owner = {"attributes": {"type": "User"}, "Username": "ada@test.example"}
    sent = [{"LastName": "L", "Company": "C", "Owner": owner}]
    assert json.loads(BulkV1Client(org).load(json.dumps(sent), kind="JSON"))[0]["success"]
    assert org.rows("SELECT Owner.Name FROM Lead")[0]["Owner"]["Name"] == "Ada Byron"


def test_a_field_that_cannot_be_written_fails_its_rows(bulk_v1: BulkV1Client) -> None:
    done = rows(bulk_v1.load("LastName,Company,CreatedDate\nL,C,2026-01-01T00:00:00Z\n"))
    assert done[0]["Error"].startswith("INVALID_FIELD_FOR_INSERT_UPDATE")


@pytest.mark.parametrize("path", ["/nothing", "/nothing/batch", "/x/y/z"])
def test_what_is_not_there_is_rejected(bulk_v1: BulkV1Client, path: str) -> None:
    assert bulk_v1.ask(path).status_code == 400


def test_a_query_result_may_be_xml_or_json(bulk_v1: BulkV1Client, org: Client) -> None:
    org.lead(LastName="A & B")
    for kind, expected in (("XML", "<LastName>A &amp; B</LastName>"), ("JSON", '"A & B"')):
        job = bulk_v1.job("query", kind)
        batch = bulk_v1.xml(f"/{job}/batch", "SELECT LastName, City, Owner.Name FROM Lead")["id"]
        listed = bulk_v1.ask(f"/{job}/batch/{batch}/result").text
        file = listed[listed.index("752") :][:18]
        assert expected in bulk_v1.ask(f"/{job}/batch/{batch}/result/{file}").text


def outcome(read: Callable[..., Any], *arguments: bytes | str, **more: bool) -> Any:
    try:
        return read(*arguments, **more)
    except BulkV1Error:
        return []


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["attributes", "Owner", "type", "City"]), inner, max_size=3
        )
    ),
)


@settings(deadline=None, max_examples=150)
@given(JSON_VALUES.map(json.dumps).map(str.encode) | st.binary(max_size=40))
@example(b'[{"a":' * 3_000 + b"1" + b"}]" * 3_000)
@example(b"<sObject>" * 3_000 + b"</sObject>" * 3_000)
def test_any_batch_is_read_as_texts_or_rejected(body: bytes) -> None:
    for kind in TYPES:
        for record in outcome(read_batch, body, kind):
            assert all(isinstance(text, str) for text in [*record, *record.values()])
    for as_json in (True, False):
        outcome(read_info, body, as_json=as_json)
