"""Numbers 25, 26, 46, 58: what counts as a duplicate, and how the error looks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import ALLOW, ASK, DUPLICATE, duplicate_rule, error_of
from tests.emulator.plain_http import Client

USE_ONE = "Use one of these records?"
IN_BULK = f"DUPLICATES_DETECTED:{USE_ONE}:--"
ALERT = duplicate_rule("alert")


def duplicate_of(org: Client) -> tuple[Any, ...]:
    """Return a person who is in the org already, so that the org's own rule finds the lead."""
    person = {"FirstName": "Ada", "LastName": org.mark, "Email": f"{org.mark}@example.com"}
    person |= {"Company": org.mark}
    made = org.create(_headers=ALLOW, **person)
    assert made.status_code == 201
    again = org.create(_headers=ASK, **person)
    org.needs(again.status_code == 400, "no active duplicate rule of the org alerts on a twin")
    return person, made.json()["id"], again


@pytest.mark.also_real_org(emulator_has=ALERT)
def test_25_an_alert_rejects_a_duplicate_and_names_the_record(org: Client) -> None:
    _, known, response = duplicate_of(org)
    rejected = error_of(response)
    assert set(rejected) == {"duplicateResult", "errorCode", "message"}
    assert rejected["errorCode"] == "DUPLICATES_DETECTED"
    result = rejected["duplicateResult"]
    assert (result["allowSave"], result["duplicateRuleEntityType"]) == (True, "Lead")
    assert result["errorMessage"] == rejected["message"]
    records = [m["record"] for m in result["matchResults"][0]["matchRecords"]]
    assert [record["Id"] for record in records] == [known]
    assert records[0]["attributes"]["type"] == "Lead"
    assert records[0]["attributes"]["url"].endswith(f"/sobjects/Lead/{known}")


@pytest.mark.also_real_org(emulator_has=ALERT)
def test_25_an_alert_may_be_overridden(org: Client) -> None:
    person, _, _ = duplicate_of(org)
    assert org.create(_headers=ALLOW, **person).status_code == 201
    more = "allowSave=true; includeRecordDetails=false; runAsCurrentUser=true"
    assert org.create(_headers={"Sforce-Duplicate-Rule-Header": more}, **person).status_code == 201


def test_25_the_alert_text_of_a_new_org(org_of: OrgOf) -> None:
    rejected = error_of(org_of(ALERT).create(**DUPLICATE))
    assert rejected["message"] == rejected["duplicateResult"]["errorMessage"] == USE_ONE


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("Lead", "Standard_Lead_Match_Rule_v1_0"),
        ("Contact", "Standard_Contact_Match_Rule_v1_1"),
    ],
)
def test_25_the_matching_rule_is_named_as_a_new_org_names_it(
    org_of: OrgOf, kind: str, rule: str
) -> None:
    contact = '[[contact]]\nLastName = "Lovelace"\nEmail = "ada@engines.example"\n'
    org = org_of(ALERT.replace('matches = "Lead"', f'matches = "{kind}"') + contact)
    (found,) = error_of(org.create(**DUPLICATE))["duplicateResult"]["matchResults"]
    assert (found["rule"], found["entityType"], found["size"]) == (rule, kind, 1)
    assert (found["matchEngine"], found["success"]) == ("FuzzyMatchEngine", True)
    (match,) = found["matchRecords"]
    assert match["record"]["attributes"]["type"] == kind
    assert (match["matchConfidence"], match["fieldDiffs"]) == (100.0, [])


def test_25_a_rule_that_only_allows_has_no_effect(org_of: OrgOf) -> None:
    assert org_of(duplicate_rule("allow")).create(**DUPLICATE).status_code == 201


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"FirstName": "A."}, True),
        ({"FirstName": None}, True),
        ({"FirstName": "Bob"}, False),
        ({"LastName": "Byron"}, False),
        ({"Email": "other@engines.example"}, False),
    ],
)
def test_25_how_alike_two_persons_must_be(
    org_of: OrgOf, other: dict[str, Any], found: bool
) -> None:
    response = org_of(ALERT).create(**(DUPLICATE | other))
    assert response.status_code == (400 if found else 201)


def test_25_the_same_name_and_phone_is_a_duplicate_too(org_of: OrgOf) -> None:
    org = org_of(ALERT)
    caller = {"LastName": "Ring", "FirstName": "Robert", "Company": "C", "Phone": "(0151) 123-4"}
    assert org.create(_headers=ALLOW, **caller).status_code == 201
    assert org.create(**(caller | {"Phone": "01511234", "FirstName": "Bob"})).status_code == 400


@pytest.mark.parametrize("header", [{}, ALLOW])
def test_26_a_block_ignores_allow_save(org_of: OrgOf, header: dict[str, str]) -> None:
    org = org_of(duplicate_rule("block"))
    rejected = error_of(org.create(_headers=header, **DUPLICATE))
    assert rejected["errorCode"] == "DUPLICATES_DETECTED"
    assert rejected["duplicateResult"]["allowSave"] is False


@pytest.mark.parametrize("action", ["block", "alert"])
def test_26_bulk_can_override_neither_kind(org_of: OrgOf, action: str) -> None:
    org = org_of(duplicate_rule(action))
    text = "FirstName,LastName,Company,Email\nAda,Lovelace,E,ada@engines.example\n"
    job = org.open_job()
    assert org.put(job, text).status_code == 201
    closed = org.call(
        "PATCH", f"/jobs/ingest/{job}", json={"state": "UploadComplete"}, headers=ALLOW
    )
    assert closed.status_code == 200
    assert org.wait(job)["numberRecordsFailed"] == 1
    assert IN_BULK in org.result(job, "failedResults")


@pytest.mark.also_real_org(emulator_has=ALERT)
def test_26_a_bulk_row_that_meets_an_alert_fails(org: Client) -> None:
    person, _, rejected = duplicate_of(org)
    loaded = org.load(f"{','.join(person)}\n{','.join(person.values())}\n")
    assert loaded.errors == [f"DUPLICATES_DETECTED:{error_of(rejected)['message']}:--"]


def test_26_a_rule_that_only_allows_lets_bulk_pass(org_of: OrgOf) -> None:
    text = "FirstName,LastName,Company,Email\nAda,Lovelace,E,ada@engines.example\n"
    assert org_of(duplicate_rule("allow")).load(text).errors == []


def test_46_duplicates_in_one_chunk_pass_and_across_chunks_do_not(org_of: OrgOf) -> None:
    org = org_of(ALERT)
    duplicate = "Grace,Hopper,Navy,grace@navy.example\n"
    others = "".join(f"Other,Person{n},C,o{n}@x.example\n" for n in range(198))
    loaded = org.load("FirstName,LastName,Company,Email\n" + duplicate * 2 + others + duplicate)
    assert len([r for r in loaded.successful if r["LastName"] == "Hopper"]) == 2
    assert loaded.errors == [IN_BULK]


def test_46_duplicates_in_one_collection_pass_and_in_the_next_do_not(org_of: OrgOf) -> None:
    org = org_of(ALERT)
    grace = {"FirstName": "Grace", "LastName": "Hopper", "Company": "C", "Email": "g@navy.example"}
    body = {"records": [{"attributes": {"type": "Lead"}} | grace] * 2}
    first, second = (org.call("POST", "/composite/sobjects", json=body).json() for _ in range(2))
    assert [row["success"] for row in first] == [True, True]
    assert [row["errors"][0]["statusCode"] for row in second] == ["DUPLICATES_DETECTED"] * 2


@pytest.mark.parametrize(
    ("version", "key"), [("37.0", "duplicateResut"), ("51.0", "duplicateResut")]
)
@pytest.mark.also_real_org(emulator_has=ALERT)
def test_58_older_versions_misspell_the_duplicate_result(
    org: Client, version: str, key: str
) -> None:
    person, _, _ = duplicate_of(org)
    old = org.call("POST", "/sobjects/Lead", json=person, version=version, headers=ASK)
    assert key in error_of(old)


@pytest.mark.also_real_org(emulator_has=ALERT)
def test_58_from_version_60_the_key_is_right(org: Client) -> None:
    person, _, _ = duplicate_of(org)
    new = org.call("POST", "/sobjects/Lead", json=person, version="60.0", headers=ASK)
    assert "duplicateResult" in error_of(new)


@pytest.mark.parametrize(("until", "key"), [(52.0, "duplicateResult"), (55.0, "duplicateResut")])
def test_58_in_between_a_switch_decides(org_of: OrgOf, until: float, key: str) -> None:
    org = org_of(ALERT + f"[behaviour]\nmisspelt_duplicate_result_until = {until}\n")
    assert key in error_of(org.call("POST", "/sobjects/Lead", json=DUPLICATE, version="55.0"))
