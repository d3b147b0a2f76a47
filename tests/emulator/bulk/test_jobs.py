"""What clients do in bulk beyond the numbers: other operations, foreign keys, and query jobs."""

from __future__ import annotations

import time

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import owner_name
from tests.emulator.plain_http import Client

HEADER = "LastName,Company\n"


def test_owners_may_be_named_by_another_key_in_the_header(org_of: OrgOf) -> None:
    org = org_of('[[user]]\nusername = "ada@t.example"\nname = "Ada Byron"\n')
    text = "LastName,Company,User:Owner.Username\nL,C,ada@t.example\nM,C,nobody\n"
    loaded = org.load(text)
    assert owner_name(org, loaded.successful[0]["sf__Id"]) == "Ada Byron"
    assert loaded.errors == [
        "INVALID_FIELD:Foreign key external ID: nobody not found for field Username "
        "in entity User:--"
    ]
    untyped = org.load("LastName,Company,Owner.Username\nL,C,x\n")
    assert untyped.info["errorMessage"].startswith("InvalidBatch : type is needed")
    typed = org.load("LastName,User:Owner.Username\nL,x\n", object="Contact")
    assert typed.info["errorMessage"].startswith("InvalidBatch : type is not needed")
    for wrong in ("User:Hat.Username", "User:Owner.Hat", "Hat:Owner.Username"):
        response = org.load(f"LastName,Company,{wrong}\nL,C,x\n")
        assert response.info["errorMessage"].endswith(f"Field name not found : {wrong}")


def test_bulk_updates_upserts_and_deletes(org: Client) -> None:
    made = org.load("LastName,Company,Person_Id__c\nL,C,p1\nM,C,p2\n").successful
    ids = {row["Person_Id__c"]: row["sf__Id"] for row in made}
    text = "LastName,Company,Person_Id__c\nL2,C,p1\nN,C,p3\nO,C,\n"
    upserted = org.load(text, "upsert", externalIdFieldName="Person_Id__c")
    assert {(r["Person_Id__c"], r["sf__Created"]) for r in upserted.successful} == {
        ("p1", "false"),
        ("p3", "true"),
    }
    assert upserted.errors == ["MISSING_ARGUMENT:Person_Id__c not specified:Person_Id__c --"]
    by_id = org.load(
        f"Id,City\n{ids['p1']},Rome\n00Q5e0000ZZZZZZ,X\n", "upsert", externalIdFieldName="Id"
    )
    assert len(by_id.successful) == 1
    assert len(by_id.errors) == 1
    updated = org.load(f"Id,City\n{ids['p2']},Oslo\n,X\n", "update")
    assert updated.successful[0]["sf__Created"] == "false"
    assert updated.errors == ["MISSING_ARGUMENT:Id not specified in an update call:Id --"]
    deleted = org.load(f"Id\n{ids['p1']}\n00Q5e0000ZZZZZZ\n", "delete")
    assert deleted.info["numberRecordsFailed"] == 1
    assert sorted(r["LastName"] for r in org.rows("SELECT LastName FROM Lead")) == ["M", "N"]
    assert org.load("Id\n", "hardDelete").info["numberRecordsProcessed"] == 0
    assert org.load("").info["state"] == "JobComplete"


def test_a_hard_delete_leaves_nothing_in_the_bin(org: Client) -> None:
    binned, erased = org.lead(LastName="Binned"), org.lead(LastName="Erased")
    org.load(f"Id\n{binned}\n", "delete")
    org.load(f"Id\n{erased}\n", "hardDelete")
    assert org.rows("SELECT LastName FROM Lead", "/queryAll") == [{"LastName": "Binned"}]
    assert org.load(f"Id\n{erased}\n", "hardDelete").info["numberRecordsFailed"] == 1


def test_an_id_next_to_another_key_is_no_second_target(org: Client) -> None:
    other = org.lead()
    text = f"Id,LastName,Company,Person_Id__c\n{other},L,C,p1\n"
    loaded = org.load(text, "upsert", externalIdFieldName="Person_Id__c")
    assert loaded.errors[0].startswith("INVALID_FIELD_FOR_INSERT_UPDATE:")


def test_a_bulk_query_comes_in_pages_with_locators(org: Client) -> None:
    org.load("LastName,Company,AnnualRevenue,DoNotCall\n" + "L,C,912260031,true\n" * 25)
    soql = "SELECT Id, LastName, Owner.Name, AnnualRevenue, DoNotCall, City, CreatedDate FROM Lead"
    made = org.call("POST", "/jobs/query", json={"operation": "query", "query": soql}).json()
    assert made["state"] == "UploadComplete"
    assert org.wait(made["id"], "query")["numberRecordsProcessed"] == 25
    path, locator, lines = f"/jobs/query/{made['id']}/results", "", []
    while locator != "null":
        page = org.call("GET", f"{path}?maxRecords=10&locator={locator}")
        assert page.headers["Content-Type"].startswith("text/csv")
        head, *rows = page.text.splitlines()
        assert int(page.headers["Sforce-NumberOfRecords"]) == len(rows)
        assert head == (
            '"Id","LastName","Owner.Name","AnnualRevenue","DoNotCall","City","CreatedDate"'
        )
        lines += rows
        locator = page.headers["Sforce-Locator"]
    assert len(set(lines)) == 25
    assert '"L","Integration User","9.12260031E8","true","","20' in lines[0]
    assert org.call("GET", path, version="67.0").status_code == 409
    assert org.call("GET", path + "?locator=?").status_code == 400
    assert org.call("GET", path + "?maxRecords=0").status_code == 400
    assert org.call("PATCH", f"/jobs/query/{made['id']}", json={"state": "Open"}).status_code == 400
    assert org.patch(made["id"], "Aborted").status_code == 404
    assert len(org.call("GET", "/jobs/query").json()["records"]) == 1
    assert org.call("DELETE", f"/jobs/query/{made['id']}").status_code == 204


def test_a_bulk_query_may_be_aborted_while_it_waits(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nqueue_seconds = 5\n")
    asked = {"operation": "queryAll", "query": "SELECT Id FROM Lead"}
    job = org.call("POST", "/jobs/query", json=asked).json()["id"]
    assert org.call("GET", f"/jobs/query/{job}/results").status_code == 400
    aborted = org.call("PATCH", f"/jobs/query/{job}", json={"state": "Aborted"})
    assert aborted.json()["state"] == "Aborted"


@pytest.mark.parametrize(
    "asked",
    [
        {"operation": "insert", "query": "SELECT Id FROM Lead"},
        {"operation": "query"},
        {"operation": "query", "query": "SELECT COUNT() FROM Lead"},
        {"operation": "query", "query": "SELECT Address FROM Lead"},
        {"operation": "query", "query": "SELECT Hat FROM Lead"},
    ],
)
def test_a_wrong_bulk_query_is_rejected_at_creation(org: Client, asked: dict[str, str]) -> None:
    assert org.call("POST", "/jobs/query", json=asked).status_code == 400


@pytest.mark.parametrize(("late", "more"), [("true", 200), ("false", 0)])
def test_a_late_chunk_may_land_after_an_abort(org_of: OrgOf, late: str, more: int) -> None:
    pace = f"[behaviour]\nrows_per_second = 1000\nlate_chunk_after_abort = {late}\n"
    org = org_of(pace)
    job = org.open_job()
    org.put(job, HEADER + "L,C\n" * 1_000)
    org.patch(job, "UploadComplete")

    def done() -> int:
        return int(org.call("GET", f"/jobs/ingest/{job}").json().get("numberRecordsProcessed", 0))

    while done() < 200:
        time.sleep(0.01)
    org.patch(job, "Aborted")
    before = done()
    # It lands when the pause between chunks is over, and 0.3 seconds more.
    until = time.monotonic() + 0.8
    while done() == before and time.monotonic() < until:
        time.sleep(0.02)
    assert done() - before == more
    assert len(org.rows("SELECT Id FROM Lead")) == done()
