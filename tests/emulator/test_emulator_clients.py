"""A real client drives it: simple-salesforce, its https turned to loopback by an adapter."""

from __future__ import annotations

import csv
import io

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

PEOPLE = """
[[user]]
username = "ada@test.example"
name = "Ada Byron"
password = "pass"
security_token = "token"
"""


class Loopback(HTTPAdapter):
    """Sends every https request to the emulator instead."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def send(self, request, *arguments, **more):
        _, _, rest = request.url.removeprefix("https://").partition("/")
        request.url = f"{self.url}/{rest}"
        return super().send(request, *arguments, **more)


@pytest.fixture
def emulated(org_of):
    return org_of(PEOPLE)


@pytest.fixture
def session(emulated):
    with requests.Session() as made:
        made.trust_env = False
        made.mount("https://", Loopback(emulated.url))
        yield made


@pytest.fixture
def sf(session):
    return Salesforce(
        consumer_key="key",
        consumer_secret="secret",
        domain="acme.my",
        session=session,
        version="60.0",
    )


def test_it_logs_in_by_soap_and_by_password(session):
    person = {"username": "ada@test.example", "session": session, "version": "59.0"}
    assert Salesforce(password="pass", security_token="token", **person).limits()
    with pytest.raises(SalesforceAuthenticationFailed) as refused:
        Salesforce(password="wrong", security_token="token", **person)
    assert refused.value.code == "INVALID_LOGIN"
    app = {"consumer_key": "key", "consumer_secret": "secret"}
    assert Salesforce(password="passtoken", **app, **person).limits()
    with pytest.raises(SalesforceAuthenticationFailed):
        Salesforce(consumer_key="nobody", consumer_secret="x", domain="a.my", session=session)


def test_it_creates_reads_and_deletes_single_records(sf):
    made = sf.Lead.create({"LastName": "L", "Company": "C", "Person_Id__c": "p1"})
    assert sf.Lead.get(made["id"])["LastName"] == "L"
    assert sf.Lead.update(made["id"], {"City": "Rome"}) == 204
    assert sf.Lead.upsert("Person_Id__c/p1", {"City": "Oslo"}) == 200
    assert sf.Lead.get_by_custom_id("Person_Id__c", "p1")["City"] == "Oslo"
    assert sf.Lead.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        sf.Lead.get(made["id"])
    with pytest.raises(SalesforceMalformedRequest) as refused:
        sf.Lead.create({"LastName": "L"})
    assert refused.value.content[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    for _ in range(2):
        sf.Lead.create({"LastName": "L", "Company": "C", "Email": "a@x.org"})
    with pytest.raises(SalesforceMoreThanOneRecord):
        sf.Lead.upsert("Email/a@x.org", {"City": "Oslo"})
    assert sf.Lead.describe()["keyPrefix"] == "00Q"
    assert sf.api_usage == {} or "api-usage" in sf.api_usage


def test_it_queries_page_after_page(sf, emulated):
    emulated.load("LastName,Company\n" + "L,C\n" * 4_500)
    assert len(list(sf.query_all_iter("SELECT Id FROM Lead"))) == 4_500
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 4_500


def test_it_loads_and_reads_in_bulk(sf, emulated, tmp_path):
    records = [{"LastName": f"n{n}", "Company": 'C, "x"'} for n in range(300)]
    done = sf.bulk2.Lead.insert(records=[*records, {"LastName": "", "Company": "C"}], wait=0.1)[0]
    assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (301, 1)
    saved = list(csv.DictReader(io.StringIO(sf.bulk2.Lead.get_successful_records(done["job_id"]))))
    assert len(saved) == 300
    assert "REQUIRED_FIELD_MISSING" in sf.bulk2.Lead.get_failed_records(done["job_id"])
    sf.bulk2.Lead.get_unprocessed_records(done["job_id"])
    changed = [{"Id": row["sf__Id"], "City": "Rome"} for row in saved[:10]]
    assert sf.bulk2.Lead.update(records=changed, wait=0.1)[0]["numberRecordsFailed"] == 0
    keyed = [{"Person_Id__c": f"p{n}", "LastName": "L", "Company": "C"} for n in range(5)]
    upserted = sf.bulk2.Lead.upsert(records=keyed, external_id_field="Person_Id__c", wait=0.1)
    assert upserted[0]["numberRecordsFailed"] == 0
    deleted = sf.bulk2.Lead.delete(records=[{"Id": saved[-1]["sf__Id"]}], wait=0.1)
    assert deleted[0]["numberRecordsFailed"] == 0
    pages = sf.bulk2.Lead.query(
        "SELECT Id, LastName FROM Lead WHERE City = 'Rome'", max_records=4, wait=0.1
    )
    assert sum(len(list(csv.DictReader(io.StringIO(page)))) for page in pages) == 10
    files = sf.bulk2.Lead.download("SELECT Id FROM Lead", str(tmp_path), max_records=100, wait=0.1)
    assert sum(part["number_of_records"] for part in files) == 304


def test_it_sends_collections(sf):
    body = {"records": [{"attributes": {"type": "Lead"}, "LastName": "L", "Company": "C"}] * 2}
    rows = sf.restful("composite/sobjects", method="POST", json=body)
    assert [row["success"] for row in rows] == [True, True]
