"""Numbers 22 to 24: when an assignment rule runs, and that it wins over the owner that was sent."""

from __future__ import annotations

import pytest

from tests.emulator.conftest import OrgOf, Process
from tests.emulator.orgs import RULES, error_of, id_of, owner_name, user
from tests.emulator.plain_http import Client


@pytest.mark.parametrize(
    ("header", "owner"),
    [
        (None, "DACH Inbound"),
        ("TRUE", "DACH Inbound"),
        ("true", "DACH Inbound"),
        ("FALSE", "Ada Byron"),
        ("false", "Ada Byron"),
        ("False", "Ada Byron"),
    ],
)
def test_22_rest_runs_the_active_rule_unless_a_header_prevents_it(
    org_of: OrgOf, header: str | None, owner: str
) -> None:
    org = org_of(RULES)
    asked = {} if header is None else {"Sforce-Auto-Assign": header}
    german = {"LastName": "L", "Company": "C", "Country": "de", "OwnerId": user(org)}
    assert owner_name(org, org.create(_headers=asked, **german).json()["id"]) == owner


def test_22_the_header_may_name_a_rule_even_one_asleep(org_of: OrgOf) -> None:
    org = org_of(RULES)
    named = {"Sforce-Auto-Assign": id_of(org, "Name", "Sleeping", "AssignmentRule")}
    made = org.create(_headers=named, LastName="L", Company="C", Country="DE").json()["id"]
    assert owner_name(org, made) == "Ada Byron"


def test_22_collections_run_the_rule_too(org_of: OrgOf) -> None:
    org = org_of(RULES)
    lead = {"attributes": {"type": "Lead"}, "LastName": "L", "Company": "C", "Country": "AT"}
    body = {"records": [lead]}
    for header, owner in (({}, "DACH Inbound"), ({"Sforce-Auto-Assign": "false"}, "Integration")):
        made = org.call("POST", "/composite/sobjects", json=body, headers=header).json()
        assert owner_name(org, made[0]["id"]).startswith(owner)


@pytest.mark.also_real_org
def test_22_where_no_rule_runs_the_running_user_owns(org: Client) -> None:
    quiet = {"Sforce-Auto-Assign": "fAlSe"}
    assert org.create(_headers=quiet, LastName="L", Company=org.mark).status_code == 201
    (made,) = org.leads("OwnerId", "CreatedById")
    assert made["OwnerId"] == made["CreatedById"]


def test_22_an_org_without_a_rule_gives_no_lead_to_its_default_owner(
    running: Process, basic_org: str, client: type[Client]
) -> None:
    text = basic_org.replace("[[app]]", 'default_lead_owner = "queue:Q"\n[[app]]', 1)
    org = client(running.url).reset(text)
    assert owner_name(org, org.lead()) == "Integration User"


@pytest.mark.parametrize(
    ("header", "code"),
    [("nonsense", "MALFORMED_ID"), ("01Q5e0000ZZZZZZ", "INVALID_ASSIGNMENT_RULE")],
)
@pytest.mark.also_real_org
def test_22_a_wrong_rule_id_in_the_header_is_rejected(org: Client, header: str, code: str) -> None:
    response = org.create(_headers={"Sforce-Auto-Assign": header}, LastName="L", Company=org.mark)
    assert error_of(response)["errorCode"] == code


def test_23_a_patch_runs_the_rule_again(org_of: OrgOf) -> None:
    org = org_of(RULES)
    made = org.lead(Country="FR")
    assert owner_name(org, made) == "Integration User"
    assert org.call("PATCH", f"/sobjects/Lead/{made}", json={"Country": "AT"}).status_code == 204
    assert owner_name(org, made) == "DACH Inbound"


def test_23_a_patch_of_the_owner_changes_nothing_unless_a_header_prevents_assigning(
    org_of: OrgOf,
) -> None:
    org = org_of(RULES)
    made, body = org.lead(Country="AT"), {"OwnerId": user(org)}
    assert org.call("PATCH", f"/sobjects/Lead/{made}", json=body).status_code == 204
    assert owner_name(org, made) == "DACH Inbound"
    quiet = {"Sforce-Auto-Assign": "FALSE"}
    org.call("PATCH", f"/sobjects/Lead/{made}", json=body, headers=quiet)
    assert owner_name(org, made) == "Ada Byron"


@pytest.mark.also_real_org(emulator_has=RULES)
def test_24_a_bulk_job_without_a_rule_id_leaves_the_owner(org: Client) -> None:
    org.load(f"LastName,Company,Country\nL,{org.mark},DE\n")
    (made,) = org.leads("OwnerId", "CreatedById")
    assert made["OwnerId"] == made["CreatedById"]


def test_24_a_bulk_job_keeps_the_owner_of_the_file(org_of: OrgOf) -> None:
    org = org_of(RULES)
    org.load(f"LastName,Company,Country,OwnerId\nA,C,DE,{user(org)}\nB,C,DE,\n")
    owned = "SELECT LastName, Owner.Name FROM Lead ORDER BY LastName"
    assert [row["Owner"]["Name"] for row in org.rows(owned)] == ["Ada Byron", "Integration User"]


@pytest.mark.parametrize(
    ("name", "owner"), [("Standard routing", "DACH Inbound"), ("Sleeping", "Ada Byron")]
)
def test_24_the_rule_that_a_bulk_job_names_wins_over_the_owner_of_the_file(
    org_of: OrgOf, name: str, owner: str
) -> None:
    org = org_of(RULES)
    rule = id_of(org, "Name", name, "AssignmentRule")
    sent = user(org, "integration@test.example")
    text = f"LastName,Company,Country,OwnerId\nA,C,DE,{sent}\n"
    loaded = org.load(text, assignmentRuleId=rule)
    assert loaded.info["assignmentRuleId"] == rule
    assert owner_name(org, loaded.successful[0]["sf__Id"]) == owner


def test_24_a_switch_lets_bulk_run_the_active_rule(org_of: OrgOf) -> None:
    org = org_of(RULES + "[behaviour]\nbulk_default_assignment = true\n")
    made = org.load("LastName,Company,Country\nL,C,CH\n").successful[0]["sf__Id"]
    assert owner_name(org, made) == "DACH Inbound"
