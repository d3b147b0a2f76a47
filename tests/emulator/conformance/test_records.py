"""Numbers 7, 9, 11, 38, 54: what becomes of a record that is saved, and by which id it is known."""

from __future__ import annotations

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def checksum(id_: str) -> str:
    groups = (id_[start : start + 5] for start in (0, 5, 10))
    return "".join(
        ALPHABET[sum(1 << place for place, char in enumerate(group) if char.isupper())]
        for group in groups
    )


@pytest.mark.also_real_org
def test_07_a_created_lead_has_a_valid_18_character_id_and_is_found_immediately(
    org: Client,
) -> None:
    response = org.create(LastName="Lovelace", Company=org.mark)
    made = response.json()["id"]
    assert response.status_code == 201
    assert response.json() == {"id": made, "success": True, "errors": []}
    assert (made[:3], made[15:], len(made)) == ("00Q", checksum(made), 18)
    assert org.leads("Id", "Name") == [{"Id": made, "Name": "Lovelace"}]


def test_07_the_checksum_of_this_test_is_salesforces() -> None:
    # Two of the ten published ids that the rule was checked against.
    assert (checksum("7506g00000DhRA2"), checksum("0018c00002FInbo")) == ("AAN", "AAD")


@pytest.mark.also_real_org
def test_09_status_has_the_orgs_default(org: Client) -> None:
    default = org.rows("SELECT ApiName FROM LeadStatus WHERE IsDefault = true")[0]["ApiName"]
    org.lead()
    assert org.leads("Status") == [{"Status": default}]


def test_09_the_default_status_of_a_new_org(org: Client) -> None:
    org.lead()
    assert org.leads("Status") == [{"Status": "Open - Not Contacted"}]


@pytest.mark.also_real_org
def test_09_unknown_values_of_unrestricted_picklists_pass(org: Client) -> None:
    odd = {"LeadSource": "Rumour", "Status": "Odd", "Industry": "Alchemy", "Rating": "Tepid"}
    fields = org.call("GET", "/sobjects/Lead/describe").json()["fields"]
    strict = [f["name"] for f in fields if f["name"] in odd and f["restrictedPicklist"]]
    org.needs(not strict, f"the org restricts {strict}")
    org.lead(**odd)
    assert org.leads(*odd) == [odd]


@pytest.mark.parametrize("field", ["CleanStatus", "GeocodeAccuracy"])
def test_09_a_restricted_picklist_rejects_them(org: Client, field: str) -> None:
    rejected = error_of(org.create(LastName="L", Company="C", **{field: "Spotless"}))
    assert rejected["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert rejected["message"].endswith(": bad value for restricted picklist field: Spotless")
    assert rejected["fields"] == [field]


@pytest.mark.also_real_org
def test_11_emails_are_stored_in_lower_case(org: Client) -> None:
    made = org.lead(Email="A.B@X.example.COM")
    assert org.leads("Email") == [{"Email": "a.b@x.example.com"}]
    read = org.call("GET", f"/sobjects/Lead/{made}?fields=Email").json()
    assert read["Email"] == "a.b@x.example.com"


@pytest.mark.parametrize(
    "email", ["a..b@x.example.jp", "a.@x.example.jp", "o'neil+tag@sub.x-y.example.com"]
)
@pytest.mark.also_real_org
def test_11_odd_emails_that_the_org_accepts(org: Client, email: str) -> None:
    assert org.create(LastName="L", Company=org.mark, Email=email).status_code == 201


@pytest.mark.parametrize("email", [".a@x.jp", "foo", "x@gmail", "a b@x.jp", "a@-x.jp", "ä@x.jp"])
@pytest.mark.also_real_org
def test_11_emails_that_the_org_rejects(org: Client, email: str) -> None:
    assert error_of(org.create(LastName="L", Company=org.mark, Email=email)) == {
        "message": f"Email: invalid email address: {email}",
        "errorCode": "INVALID_EMAIL_ADDRESS",
        "fields": ["Email"],
    }


@pytest.mark.also_real_org
def test_38_an_id_of_15_characters_is_the_same_as_one_of_18(org: Client) -> None:
    made = org.lead()
    for given in (made, made[:15]):
        assert org.call("GET", f"/sobjects/Lead/{given}?fields=Id").json()["Id"] == made
        assert org.rows(f"SELECT Id FROM Lead WHERE Id = '{given}'") == [{"Id": made}]
        assert org.call("PATCH", f"/sobjects/Lead/{given}", json={"City": "Rome"}).ok
    loaded = org.load(f"Id,City\n{made[:15]},Oslo\n", "update")
    assert [row["sf__Id"] for row in loaded.successful] == [made]


@pytest.mark.also_real_org
def test_38_an_id_of_18_characters_in_another_case_is_none(org: Client) -> None:
    made = org.lead()
    assert org.call("GET", f"/sobjects/Lead/{made.lower()}").status_code == 404
    assert org.query(f"SELECT Id FROM Lead WHERE Id = '{made.upper()}'").status_code == 400
    for altered in (made.swapcase(), made[:-1], "x"):
        loaded = org.load(f"Id,City\n{altered},Rome\n", "update")
        assert loaded.errors[0].startswith("MALFORMED_ID:")
    assert org.leads("City") == [{"City": None}]


CONVERTED = """
[[contact]]
Id = "0035e00000CoN01AAF"
LastName = "Menabrea"
[[lead]]
LastName = "Menabrea"
Company = "Turin"
IsConverted = true
ConvertedContactId = "0035e00000CoN01"
Person_Id__c = "p1"
[[lead]]
LastName = "Deleted"
Company = "C"
IsDeleted = true
"""


def test_54_a_converted_lead_is_read_only(org_of: OrgOf) -> None:
    org = org_of(CONVERTED)
    found = org.rows("SELECT Id, ConvertedContactId, ConvertedContact.Name FROM Lead")[0]
    assert found["ConvertedContactId"] == "0035e00000CoN01AAF"
    assert found["ConvertedContact"]["Name"] == "Menabrea"
    rejected = error_of(org.call("PATCH", f"/sobjects/Lead/{found['Id']}", json={"City": "R"}))
    assert rejected == {
        "errorCode": "CANNOT_UPDATE_CONVERTED_LEAD",
        "message": "cannot reference converted lead",
        "fields": [],
    }
    row = {"attributes": {"type": "Lead"}, "Id": found["Id"], "City": "R"}
    many = org.call("PATCH", "/composite/sobjects", json={"records": [row]}).json()
    assert many[0]["errors"][0]["statusCode"] == "CANNOT_UPDATE_CONVERTED_LEAD"


def test_54_upsert_meets_a_converted_lead_too(org_of: OrgOf) -> None:
    org = org_of(CONVERTED)
    body = {"LastName": "L", "Company": "C"}
    rejected = error_of(org.call("PATCH", "/sobjects/Lead/Person_Id__c/p1", json=body))
    assert rejected["errorCode"] == "CANNOT_UPDATE_CONVERTED_LEAD"
    text = "LastName,Company,Person_Id__c\nL,C,p1\n"
    loaded = org.load(text, "upsert", externalIdFieldName="Person_Id__c")
    assert loaded.errors == ["CANNOT_UPDATE_CONVERTED_LEAD:cannot reference converted lead:--"]


def test_54_a_deleted_lead_is_seen_only_by_query_all(org_of: OrgOf) -> None:
    org = org_of(CONVERTED)
    soql = "SELECT Id, IsDeleted FROM Lead WHERE LastName = 'Deleted'"
    assert org.rows(soql) == []
    found = org.rows(soql, "/queryAll")
    assert found[0]["IsDeleted"] is True
    assert org.rows(soql + " ALL ROWS") == found
    path = f"/sobjects/Lead/{found[0]['Id']}"
    assert org.call("GET", path).status_code == 404
    assert error_of(org.call("PATCH", path, json={}), 404)["errorCode"] == "ENTITY_IS_DELETED"
    loaded = org.load(f"Id,City\n{found[0]['Id']},R\n00Q5e0000ZZZZZZ,R\n", "update")
    assert sorted(loaded.errors) == [
        "ENTITY_IS_DELETED:entity is deleted:--",
        "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
    ]
    assert all(row["sf__Id"].startswith("00Q") for row in loaded.failed)
