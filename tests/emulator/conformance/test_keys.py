"""Numbers 27 to 30: upsert by a key, and what becomes of a key that is there already."""

from __future__ import annotations

import pytest
import requests

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import error_of, person_key
from tests.emulator.plain_http import Client


def upsert(org: Client, key: str, **body: str) -> requests.Response:
    address = key.replace("/", "%2F")
    return org.call("PATCH", f"/sobjects/Lead/Person_Id__c/{address}", json=body)


@pytest.mark.also_real_org
def test_27_upsert_by_the_unique_key_never_makes_a_second_record(org: Client) -> None:
    key = person_key(org)
    first = upsert(org, key, LastName="L", Company=org.mark)
    made = first.json()["id"]
    assert first.status_code == 201
    assert first.json() == {"id": made, "success": True, "errors": [], "created": True}
    again = upsert(org, key, LastName="M", Company=org.mark)
    assert again.status_code == 200
    assert again.json() == {"id": made, "success": True, "errors": [], "created": False}
    assert org.leads("Id", "LastName", "Person_Id__c") == [
        {"Id": made, "LastName": "M", "Person_Id__c": key}
    ]


@pytest.mark.also_real_org
def test_27_before_version_46_a_repeated_upsert_has_no_body(org: Client) -> None:
    path = f"/sobjects/Lead/Person_Id__c/{person_key(org).replace('/', '%2F')}"
    body = {"LastName": "L", "Company": org.mark}
    asked = [org.call("PATCH", path, json=body, version="45.0") for _ in range(2)]
    assert [response.status_code for response in asked] == [201, 204]


@pytest.mark.also_real_org
def test_27_update_only_never_creates(org: Client) -> None:
    path = f"/sobjects/Lead/Person_Id__c/{person_key(org).replace('/', '%2F')}?updateOnly=true"
    body = {"LastName": "L", "Company": org.mark}
    assert org.call("PATCH", path, json=body).status_code == 404
    assert org.leads() == []


@pytest.mark.also_real_org
def test_27_a_field_that_is_no_key_is_not_found(org: Client) -> None:
    body = {"LastName": "L", "Company": org.mark}
    unknown = error_of(org.call("PATCH", "/sobjects/Lead/City/Rome", json=body), 404)
    assert unknown == {
        "errorCode": "NOT_FOUND",
        "message": "Provided external ID field does not exist or is not accessible: City",
    }


def test_27_the_key_stands_in_the_address_and_not_in_the_body(org: Client) -> None:
    twice = upsert(org, "p1", LastName="L", Company="C", Person_Id__c="p1")
    assert error_of(twice)["errorCode"] == "INVALID_FIELD"


@pytest.mark.also_real_org
def test_28_a_repeated_unique_value_names_the_record_in_15_characters(org: Client) -> None:
    key = person_key(org)
    made = org.lead(Person_Id__c=key)
    rejected = error_of(org.create(LastName="L", Company=org.mark, Person_Id__c=key))
    assert rejected == {
        "errorCode": "DUPLICATE_VALUE",
        "message": "duplicate value found: Person_Id__c duplicates value on record with id: "
        f"{made[:15]}",
        "fields": [],
    }
    loaded = org.load(f"LastName,Company,Person_Id__c\nL,{org.mark},{key}\n")
    assert loaded.errors == [f"DUPLICATE_VALUE:{rejected['message']}:--"]


def test_28_a_key_is_compared_in_any_case_and_within_a_chunk(org: Client) -> None:
    org.lead(Person_Id__c="p1")
    rejected = error_of(org.create(LastName="L", Company="C", Person_Id__c="P1"))
    assert rejected["errorCode"] == "DUPLICATE_VALUE"
    loaded = org.load("LastName,Company,Person_Id__c\nL,C,p1\nM,C,p2\nN,C,p2\n")
    assert len(loaded.successful) == 1
    assert [error.partition(":")[0] for error in loaded.errors] == ["DUPLICATE_VALUE"] * 2


@pytest.mark.also_real_org
def test_28_a_deleted_record_gives_its_key_back(org: Client) -> None:
    key = person_key(org)
    org.call("DELETE", f"/sobjects/Lead/{org.lead(Person_Id__c=key)}")
    assert org.create(LastName="L", Company=org.mark, Person_Id__c=key).status_code == 201


@pytest.mark.also_real_org
def test_29_an_ambiguous_key_is_300_with_the_addresses(org: Client) -> None:
    email = f"{org.mark.lower()}@example.com"
    ids = {org.lead(Email=email, LastName=name) for name in ("One", "Other")}
    response = org.call("PATCH", f"/sobjects/Lead/Email/{email}", json={"City": "R"})
    assert response.status_code == 300
    assert {url.rpartition("/")[2] for url in response.json()} == ids
    assert all(url.startswith("/services/data/v") for url in response.json())
    assert [row["City"] for row in org.leads("City")] == [None, None]


def test_29_an_ambiguous_external_id_is_300_too(org_of: OrgOf) -> None:
    field = '[[field]]\nobject = "Lead"\nname = "Old_Id__c"\nexternal_id = true\n'
    org = org_of(field)
    ids = {org.lead(Old_Id__c="o1") for _ in range(2)}
    for method, body in (("PATCH", {"City": "R"}), ("GET", None), ("DELETE", None)):
        response = org.call(method, "/sobjects/Lead/Old_Id__c/o1", json=body)
        assert response.status_code == 300
        assert {url.rpartition("/")[2] for url in response.json()} == ids


@pytest.mark.also_real_org
def test_29_in_bulk_and_in_collections_it_is_a_failed_row(org: Client) -> None:
    email = f"{org.mark.lower()}@example.com"
    lead = {"LastName": "L", "Company": org.mark, "Email": email}
    for name in ("One", "Other"):
        org.lead(Email=email, LastName=name)
    loaded = org.load(
        f"{','.join(lead)}\n{','.join(lead.values())}\n", "upsert", externalIdFieldName="Email"
    )
    assert [error.partition(":")[0] for error in loaded.errors] == ["DUPLICATE_EXTERNAL_ID"]
    body = {"records": [{"attributes": {"type": "Lead"}} | lead]}
    (row,) = org.call("PATCH", "/composite/sobjects/Lead/Email", json=body).json()
    assert row["errors"][0]["statusCode"] == "DUPLICATE_EXTERNAL_ID"


@pytest.mark.also_real_org
def test_30_two_rows_of_one_collection_with_one_key_both_fail(org: Client) -> None:
    key = person_key(org)
    lead = {"attributes": {"type": "Lead"}, "LastName": "L", "Company": org.mark}
    records = [lead | {"Person_Id__c": k} for k in (key, key, f"{key}x")]
    response = org.call("PATCH", "/composite/sobjects/Lead/Person_Id__c", json={"records": records})
    assert response.status_code == 200
    assert [row["success"] for row in response.json()] == [False, False, True]
    for row in response.json()[:2]:
        assert row["errors"][0]["statusCode"] == "DUPLICATE_VALUE"
        assert row["errors"][0]["message"] == f"Duplicate external id specified: {key}"
    assert response.json()[2]["created"] is True


@pytest.mark.also_real_org
def test_30_two_rows_of_one_chunk_with_one_key_both_fail(org: Client) -> None:
    key = person_key(org)
    rows = "".join(f"{n},{org.mark},{k}\n" for n, k in (("L", key), ("M", key), ("N", f"{key}x")))
    text = f"LastName,Company,Person_Id__c\n{rows}"
    loaded = org.load(text, "upsert", externalIdFieldName="Person_Id__c")
    wanted = f"DUPLICATE_VALUE:Duplicate external id specified: {key}:Person_Id__c --"
    assert loaded.errors == [wanted, wanted]
    assert [row["LastName"] for row in loaded.successful] == ["N"]


def test_30_keys_are_the_same_in_any_case(org: Client) -> None:
    text = "LastName,Company,Person_Id__c\nL,C,p1\nM,C,P1\nN,C,p2\n"
    loaded = org.load(text, "upsert", externalIdFieldName="person_id__C")
    assert len(loaded.errors) == 2
