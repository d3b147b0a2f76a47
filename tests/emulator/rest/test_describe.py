"""Describes: what may be asked of every object, in the shape of the recorded Lead describe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client

READ_ONLY = (
    "User Group QueueSobject GroupMember AssignmentRule Organization RecordType LeadStatus Profile "
    "UserRole DuplicateRule"
)
WRITABLE = "Lead Contact Account"
OBJECTS = [*WRITABLE.split(), *READ_ONLY.split()]


def describe(org: Client, name: str) -> Any:
    response = org.call("GET", f"/sobjects/{name}/describe")
    assert response.status_code == 200
    return response.json()


def field(described: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in described["fields"] if one["name"] == name)


def test_every_object_has_the_keys_of_the_recorded_one(org: Client) -> None:
    lead = describe(org, "Lead")
    assert (len(lead), len(lead["fields"][0])) == (45, 57)
    listed = {one["name"]: one for one in org.call("GET", "/sobjects").json()["sobjects"]}
    assert set(listed) == set(OBJECTS)
    for name in OBJECTS:
        described = describe(org, name)
        assert described.keys() == lead.keys()
        assert all(one.keys() == lead["fields"][0].keys() for one in described["fields"])
        assert listed[name].keys() <= described.keys()
        assert described["createable"] is (name in WRITABLE.split())


@pytest.mark.parametrize("name", OBJECTS)
def test_a_query_does_what_the_describe_of_a_field_promises(org: Client, name: str) -> None:
    for one in describe(org, name)["fields"]:
        for sure, soql in [
            (True, f"SELECT {one['name']} FROM {name} LIMIT 1"),
            (one["sortable"], f"SELECT Id FROM {name} ORDER BY {one['name']} LIMIT 1"),
            (one["groupable"], f"SELECT {one['name']} FROM {name} GROUP BY {one['name']}"),
            (one["aggregatable"], f"SELECT COUNT({one['name']}) FROM {name}"),
        ]:
            assert org.query(soql).ok is sure, soql


def test_child_relationships_are_described_from_either_side(org: Client) -> None:
    account = describe(org, "Account")["childRelationships"]
    contacts = next(c for c in account if c["childSObject"] == "Contact")
    assert (contacts["field"], contacts["relationshipName"]) == ("AccountId", "Contacts")
    of_user = {(c["childSObject"], c["field"]) for c in describe(org, "User")["childRelationships"]}
    assert {("Lead", "OwnerId"), ("Contact", "OwnerId"), ("User", "ManagerId")} <= of_user
    of_group = {c["relationshipName"] for c in describe(org, "Group")["childRelationships"]}
    assert {"QueueSobjects", "GroupMembers"} <= of_group


def test_a_describe_has_the_address_of_everything(org: Client) -> None:
    urls = describe(org, "Lead")["urls"]
    assert urls["describe"] == "/services/data/v68.0/sobjects/Lead/describe"
    assert urls["rowTemplate"] == "/services/data/v68.0/sobjects/Lead/{ID}"
    assert urls["uiNewRecord"] == f"{org.url}/00Q/e"
    assert org.call("GET", "/sobjects/Lead/describe").json()["recordTypeInfos"][0] == {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": "012000000000000AAA",
        "urls": {
            "layout": "/services/data/v68.0/sobjects/Lead/describe/layouts/012000000000000AAA"
        },
    }


def test_a_describe_is_sent_again_only_where_it_changed(org: Client) -> None:
    path = "/sobjects/Lead/describe"
    fresh = org.call("GET", path)
    changed = parsedate_to_datetime(fresh.headers["Last-Modified"])
    assert abs(datetime.now(UTC) - changed) < timedelta(minutes=5)
    for seen, status in [
        (changed, 304),
        (changed + timedelta(days=1), 304),
        (changed - timedelta(seconds=1), 200),
    ]:
        header = {"If-Modified-Since": format_datetime(seen, usegmt=True)}
        assert org.call("GET", path, headers=header).status_code == status
    for nonsense in ("yesterday", "", "Sun, 99 Foo 2026 00:00:00 GMT"):
        header = {"If-Modified-Since": nonsense}
        assert org.call("GET", path, headers=header).status_code == 200
    gone = org.call("GET", "/sobjects/Hat/describe", headers={"If-Modified-Since": "x"})
    assert gone.status_code == 404


def test_declared_fields_are_described_and_hidden_ones_are_not(org_of: OrgOf) -> None:
    org = org_of(
        '[[field]]\nobject = "Lead"\nname = "Size__c"\ntype = "picklist"\n'
        'picklist = ["S", "L"]\nrestricted = true\n'
        '[[field]]\nobject = "Lead"\nname = "Sponsor__c"\ntype = "reference"\n'
        'reference_to = ["Account"]\n'
        '[[hidden_field]]\nname = "Fax"\n'
    )
    lead = describe(org, "Lead")
    size, sponsor = field(lead, "Size__c"), field(lead, "Sponsor__c")
    assert [value["value"] for value in size["picklistValues"]] == ["S", "L"]
    assert (size["restrictedPicklist"], size["custom"]) == (True, True)
    assert (sponsor["referenceTo"], sponsor["relationshipName"]) == (["Account"], "Sponsor__r")
    assert "Fax" not in {one["name"] for one in lead["fields"]}
    children = describe(org, "Account")["childRelationships"]
    assert ("Lead", "Sponsor__c") in {(c["childSObject"], c["field"]) for c in children}


def test_set_up_can_be_asked_for(org_of: OrgOf) -> None:
    org = org_of('[[duplicate_rule]]\nname = "Standard Lead Duplicate Rule"\n')
    soql = "SELECT DeveloperName, SobjectType, IsActive FROM DuplicateRule"
    assert org.rows(soql) == [
        {
            "DeveloperName": "Standard_Lead_Duplicate_Rule",
            "SobjectType": "Lead",
            "IsActive": True,
        }
    ]
    users = org.rows("SELECT Profile.Name, UserType FROM User ORDER BY UserType")
    assert [(u["UserType"], u["Profile"]["Name"]) for u in users] == [
        ("CsnOnly", "Chatter Free User"),
        ("Standard", "Standard User"),
    ]
