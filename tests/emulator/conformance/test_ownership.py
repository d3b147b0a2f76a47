"""Numbers 31 to 37: who may own a lead, and who may not."""

from __future__ import annotations

import pytest

from tests.emulator.conftest import OrgOf, Process
from tests.emulator.orgs import (
    OWNERS,
    RULES,
    chatter_user,
    error_of,
    id_of,
    inactive_user,
    lead_queue,
    other_queue,
    owner_name,
    user,
)
from tests.emulator.plain_http import Client


def rejected_everywhere(org: Client, owner: str) -> tuple[str, str]:
    """Return the error by REST, after checking that a bulk result has the same."""
    rejected = error_of(org.create(LastName="L", Company=org.mark, OwnerId=owner))
    loaded = org.load(f"LastName,Company,OwnerId\nL,{org.mark},{owner}\n")
    named = "".join(f"{field} " for field in rejected["fields"])
    assert loaded.errors == [f"{rejected['errorCode']}:{rejected['message']}:{named}--"]
    assert org.leads() == []
    return rejected["errorCode"], rejected["message"]


@pytest.mark.also_real_org(emulator_has=OWNERS)
def test_31_a_queue_for_leads_may_own_a_lead(org: Client) -> None:
    owner = lead_queue(org)
    made = org.lead(OwnerId=owner)
    shown = org.rows(f"SELECT OwnerId, Owner.Type, Owner.Name FROM Lead WHERE Id = '{made}'")[0]
    name = org.rows(f"SELECT Name FROM Group WHERE Id = '{owner}'")[0]["Name"]
    attributes = shown["Owner"].pop("attributes")
    assert shown == {"OwnerId": owner, "Owner": {"Type": "Queue", "Name": name}}
    assert attributes["url"].endswith(f"/sobjects/Group/{owner}")


def test_31_the_queues_for_leads_are_listed(org_of: OrgOf) -> None:
    served = "SELECT Queue.DeveloperName FROM QueueSobject WHERE SobjectType = 'Lead'"
    rows = org_of(OWNERS).rows(served)
    assert [row["Queue"]["DeveloperName"] for row in rows] == ["DACH_Inbound"]


@pytest.mark.also_real_org(emulator_has=OWNERS)
def test_32_a_queue_for_other_objects_may_not(org: Client) -> None:
    expected = ("INVALID_OPERATION", "Queue not associated with this SObject type")
    assert rejected_everywhere(org, other_queue(org)) == expected


@pytest.mark.also_real_org(emulator_has=OWNERS)
def test_33_an_inactive_user_may_not(org: Client) -> None:
    gone = inactive_user(org)
    message = f"operation performed with inactive user [{gone}] as owner of lead"
    assert rejected_everywhere(org, gone) == ("INACTIVE_OWNER_OR_USER", message)


@pytest.mark.also_real_org
def test_34_the_chatter_user_that_every_org_ships_may_not(org: Client) -> None:
    expected = ("OP_WITH_INVALID_USER_TYPE_EXCEPTION", "Operation not valid for this user type")
    assert rejected_everywhere(org, chatter_user(org)) == expected


@pytest.mark.parametrize(
    "owner", ["00Q000000000000AAA", "001000000000000AAA", "00Q5e0000AbCd1", "me"]
)
@pytest.mark.also_real_org
def test_35_an_owner_of_the_wrong_kind_is_a_malformed_id(org: Client, owner: str) -> None:
    message = f"Owner ID: id value of incorrect type: {owner}"
    assert rejected_everywhere(org, owner) == ("MALFORMED_ID", message)
    rejected = error_of(org.create(LastName="L", Company=org.mark, OwnerId=owner))
    assert rejected["fields"] == ["OwnerId"]


@pytest.mark.parametrize("owner", ["0055e00000ZZZZZ", "00G5e00000ZZZZZ"])
@pytest.mark.also_real_org
def test_35_an_owner_who_is_not_there_is_an_invalid_reference(org: Client, owner: str) -> None:
    expected = ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    assert rejected_everywhere(org, owner) == expected


def test_35_an_owner_cannot_be_blank(org: Client) -> None:
    rejected = error_of(org.create(LastName="L", Company="C", OwnerId=None))
    assert rejected["message"] == "owner cannot be blank"


@pytest.mark.also_real_org(emulator_has=OWNERS)
def test_36_no_contact_is_ever_owned_by_a_queue(org: Client) -> None:
    owner = lead_queue(org)
    rejected = error_of(org.create("Contact", LastName=org.mark, OwnerId=owner))
    assert rejected["fields"] == ["OwnerId"]
    assert rejected["message"] == f"Owner ID: id value of incorrect type: {owner}"
    loaded = org.load(f"LastName,OwnerId\n{org.mark},{owner}\n", object="Contact")
    assert len(loaded.errors) == 1
    assert org.rows(f"SELECT Id FROM Contact WHERE LastName = '{org.mark}'") == []


def test_36_the_code_of_that_error(org_of: OrgOf) -> None:
    # No recording from a real org shows it.
    org = org_of(OWNERS)
    rejected = error_of(org.create("Contact", LastName="L", OwnerId=lead_queue(org)))
    assert rejected["errorCode"] == "MALFORMED_ID"


@pytest.mark.also_real_org
def test_36_describe_shows_that_only_users_own_contacts(org: Client) -> None:
    fields = org.call("GET", "/sobjects/Contact/describe").json()["fields"]
    owner = next(field for field in fields if field["name"] == "OwnerId")
    assert owner["referenceTo"] == ["User"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("queue:Unassigned_Leads", "Unassigned Leads"),
        ("user:ada@test.example", "Ada Byron"),
        ("", "Integration User"),
    ],
)
def test_37_the_default_lead_owner_takes_what_no_entry_matches(
    running: Process, basic_org: str, client: type[Client], words: str, expected: str
) -> None:
    text = basic_org.replace("[[app]]", f'default_lead_owner = "{words}"\n[[app]]', 1) + RULES
    org = client(running.url).reset(text)
    assert owner_name(org, org.lead(Country="FR")) == expected
    assert owner_name(org, org.lead(Country="DE")) == "DACH Inbound"
    rule = id_of(org, "Name", "Standard routing", "AssignmentRule")
    loaded = org.load("LastName,Company,Country\nL,C,FR\n", assignmentRuleId=rule)
    assert owner_name(org, loaded.successful[0]["sf__Id"]) == expected


def test_37_it_takes_even_what_was_sent_with_an_owner(org_of: OrgOf) -> None:
    # What a real org does is unknown; here the client loses its owner.
    org = org_of(RULES)
    assert owner_name(org, org.lead(Country="FR", OwnerId=user(org))) == "Integration User"
