"""A real client drives it: simple-salesforce, its https turned to loopback by an adapter."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceError,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client

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

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **more: Any
    ) -> requests.Response:
        _, _, rest = str(request.url).removeprefix("https://").partition("/")
        request.url = f"{self.url}/{rest}"
        return super().send(request, *arguments, **more)


def content_of(raised: pytest.ExceptionInfo[SalesforceError]) -> Any:
    """Return the errors that the org sent, which the library types as a number."""
    return raised.value.content


@pytest.fixture
def emulated(org_of: OrgOf) -> Client:
    return org_of(PEOPLE)


@pytest.fixture
def session(emulated: Client) -> Iterator[Any]:
    with requests.Session() as made:
        made.trust_env = False
        made.mount("https://", Loopback(emulated.url))
        yield made


@pytest.fixture
def sf(session: Any) -> Any:
    return Salesforce(
        consumer_key="key",
        consumer_secret="secret",
        domain="acme.my",
        session=session,
        version="60.0",
    )


def test_it_logs_in_by_soap_and_by_password(session: Any) -> None:
    person: dict[str, Any] = {"username": "ada@test.example", "session": session, "version": "59.0"}
    assert Salesforce(password="pass", security_token="token", **person).limits()
    with pytest.raises(SalesforceAuthenticationFailed) as rejected:
        Salesforce(password="wrong", security_token="token", **person)
    assert rejected.value.code == "INVALID_LOGIN"
    app: dict[str, Any] = {"consumer_key": "key", "consumer_secret": "secret"}
    assert Salesforce(password="passtoken", **app, **person).limits()
    with pytest.raises(SalesforceAuthenticationFailed):
        Salesforce(consumer_key="nobody", consumer_secret="x", domain="a.my", session=session)


def test_it_creates_reads_and_deletes_single_records(sf: Any) -> None:
    made = sf.Lead.create({"LastName": "L", "Company": "C", "Person_Id__c": "p1"})
    assert sf.Lead.get(made["id"])["LastName"] == "L"
    assert sf.Lead.update(made["id"], {"City": "Rome"}) == 204
    assert sf.Lead.upsert("Person_Id__c/p1", {"City": "Oslo"}) == 200
    assert sf.Lead.get_by_custom_id("Person_Id__c", "p1")["City"] == "Oslo"
    assert sf.Lead.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        sf.Lead.get(made["id"])
    with pytest.raises(SalesforceMalformedRequest) as rejected:
        sf.Lead.create({"LastName": "L"})
    assert content_of(rejected)[0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    for _ in range(2):
        sf.Lead.create({"LastName": "L", "Company": "C", "Email": "a@x.org"})
    with pytest.raises(SalesforceMoreThanOneRecord):
        sf.Lead.upsert("Email/a@x.org", {"City": "Oslo"})
    assert sf.Lead.describe()["keyPrefix"] == "00Q"
    assert sf.api_usage == {} or "api-usage" in sf.api_usage


def test_it_queries_page_after_page(sf: Any, emulated: Client) -> None:
    emulated.load("LastName,Company\n" + "L,C\n" * 4_500)
    assert len(list(sf.query_all_iter("SELECT Id FROM Lead"))) == 4_500
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 4_500


def test_it_loads_and_reads_in_bulk(sf: Any, emulated: Client, tmp_path: Path) -> None:
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


def test_it_sends_collections(sf: Any) -> None:
    body = {"records": [{"attributes": {"type": "Lead"}, "LastName": "L", "Company": "C"}] * 2}
    rows = sf.restful("composite/sobjects", method="POST", json=body)
    assert [row["success"] for row in rows] == [True, True]


def test_it_logs_in_by_jwt(org_of: OrgOf, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    app = '[[app]]\nconsumer_key = "jwt"\nconsumer_secret = "x"\n'
    org = org_of(f'{app}public_key = """{public.decode()}"""\n')
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://", Loopback(org.url))
        person: dict[str, Any] = {"username": "integration@test.example", "consumer_key": "jwt"}
        assert Salesforce(
            **person, privatekey=secret.decode(), session=session, domain="test"
        ).limits()


def test_it_asks_what_the_org_is(sf: Any) -> None:
    assert sf.is_sandbox() is True
    assert {one["name"] for one in sf.describe()["sobjects"]} >= {"Lead", "Contact", "User"}
    assert sf.oauth2("userinfo")["preferred_username"] == "integration@test.example"
    assert sf.Lead.metadata()["objectDescribe"]["keyPrefix"] == "00Q"
    items = sf.Lead.describe_layout("012000000000000AAA")["detailLayoutSections"][0]["layoutRows"]
    assert "Company" in {row["layoutItems"][0]["layoutComponents"][0]["value"] for row in items}
    with pytest.raises(SalesforceResourceNotFound):
        sf.Lead.describe_layout("012000000000001AAA")


def test_it_asks_what_was_updated_and_deleted(sf: Any) -> None:
    kept, gone = (sf.Lead.create({"LastName": "L", "Company": "C"})["id"] for _ in range(2))
    sf.Lead.delete(gone)
    start, end = (datetime.now(UTC) + timedelta(minutes=n) for n in (-5, 5))
    assert sf.Lead.updated(start, end)["ids"] == [kept]
    deleted = sf.Lead.deleted(start, end)
    assert [one["id"] for one in deleted["deletedRecords"]] == [gone]
    assert sf.Lead.updated(start - timedelta(hours=2), start)["ids"] == []
    for wrong in ((end, start), (start - timedelta(days=31), end)):
        with pytest.raises(SalesforceMalformedRequest) as rejected:
            sf.Lead.updated(*wrong)
        assert content_of(rejected)[0]["errorCode"] == "INVALID_REPLICATION_DATE"


@pytest.mark.parametrize(
    "call",
    [
        lambda sf: sf.apexecute("Nothing"),
        lambda sf: sf.toolingexecute("query/?q=SELECT+Id+FROM+ApexClass"),
        lambda sf: sf.Lead.get_base64("00Q5e00000AbCd1EAF"),
        lambda sf: sf.restful("tabs"),
    ],
    ids=["apex", "tooling", "get_base64", "tabs"],
)
def test_what_this_org_does_not_have_is_not_found(sf: Any, call: Callable[..., Any]) -> None:
    with pytest.raises(SalesforceResourceNotFound) as rejected:
        call(sf)
    assert content_of(rejected)[0]["errorCode"] == "NOT_FOUND"


def test_a_password_cannot_be_set_over_http(sf: Any) -> None:
    with pytest.raises(SalesforceGeneralError) as rejected:
        sf.set_password("0055e000001XyZ1AAK", "secret")
    assert rejected.value.status == 405


def test_it_reads_further_pages_and_deleted_records(sf: Any, emulated: Client) -> None:
    emulated.load("LastName,Company\n" + "L,C\n" * 2_100)
    first = sf.query("SELECT Id FROM Lead")
    by_url = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    by_name = sf.query_more(first["nextRecordsUrl"].rpartition("/")[2])
    assert len(by_url["records"]) == 100
    assert by_name["records"] == by_url["records"]
    sf.Lead.delete(first["records"][0]["Id"])
    assert sf.query_all("SELECT Id FROM Lead")["totalSize"] == 2_099
    assert sf.query_all("SELECT Id FROM Lead", include_deleted=True)["totalSize"] == 2_100


def test_it_loads_files_in_bulk_and_reads_every_outcome(sf: Any, tmp_path: Path) -> None:
    file = tmp_path / "leads.csv"
    file.write_text("LastName,Company\nA,C\n,C\nB,C\n")
    done = sf.bulk2.Lead.insert(csv_file=str(file), wait=0.1)[0]
    every = sf.bulk2.Lead.get_all_ingest_records(done["job_id"])
    assert {kind: len(rows) for kind, rows in every.items()} == {
        "successfulRecords": 2,
        "failedRecords": 1,
        "unprocessedRecords": 0,
    }
    saved = [{"Id": row["sf__Id"]} for row in every["successfulRecords"]]
    assert sf.bulk2.Lead.hard_delete(records=saved, wait=0.1)[0]["numberRecordsFailed"] == 0
    assert not any("00Q" in page for page in sf.bulk2.Lead.query("SELECT Id FROM Lead", wait=0.1))


def test_it_loads_and_reads_through_bulk_one(sf: Any) -> None:
    records = [{"LastName": f"n{n}", "Company": "C"} for n in range(3)] + [{"Company": "C"}]
    made = sf.bulk.Lead.insert(records)
    assert [one["success"] for one in made] == [True, True, True, False]
    ids = [{"Id": one["id"]} for one in made[:3]]
    changed = sf.bulk.Lead.update([row | {"City": "Rome"} for row in ids], use_serial=True)
    assert all(one["success"] for one in changed)
    keyed = [{"Person_Id__c": "p1", "LastName": "K", "Company": "C"}]
    assert sf.bulk.Lead.upsert(keyed, "Person_Id__c", batch_size=1)[0]["created"]
    found = sf.bulk.Lead.query("SELECT Id, City FROM Lead WHERE City = 'Rome'")
    assert {row["Id"] for row in found} == {row["Id"] for row in ids}
    detailed = sf.bulk.Lead.delete(ids[:1], include_detailed_results=True)
    assert (detailed[0]["success"], detailed[0]["Id"]) == (True, ids[0]["Id"])
    assert len(sf.bulk.Lead.query_all("SELECT Id FROM Lead")) == 4


def test_an_empty_id_next_to_another_key_is_no_target(emulated: Client) -> None:
    lead = emulated.lead(Person_Id__c="p1")
    header = "Id,Person_Id__c,LastName,Company\n"
    key = {"externalIdFieldName": "Person_Id__c"}
    loaded = emulated.load(f"{header},p2,L,C\n{lead},p1,L,C\n", "upsert", **key)
    assert [row["Person_Id__c"] for row in loaded.successful] == ["p2"]
    assert loaded.errors == [
        "INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id in an upsert call:Id --"
    ]
