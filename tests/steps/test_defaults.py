"""Defaults fill the blanks of created leads; what the org already holds is never overwritten."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines import flows
from pipelines.steps import partition
from pipelines.steps.context import new_run_request
from tests.steps.scenario import Scenario

pytestmark = pytest.mark.one_engine

LEAD, OTHER_LEAD = "00Q000000000001EAA", "00Q000000000002EAA"
CONTACT = "003000000000001AAA"
ORG = f"""
[[lead]]
Id = "{LEAD}"
FirstName = "Augusta"
LastName = "King"
Company = "Engines"
LeadSource = "Web"
Email = "lead@known.example"
[[lead]]
Id = "{OTHER_LEAD}"
LastName = "Byron"
Company = "Poems"
Email = "other@known.example"
[[contact]]
Id = "{CONTACT}"
FirstName = "Luigi"
LastName = "Menabrea"
LeadSource = "Web"
MailingCity = "Turin"
Email = "contact@known.example"
"""
# Known by their e-mail, with blanks where the defaults stand; the last one is nobody's.
PERSONS = """
    person_id | last_name | company | email                 | title  | city
    P1        |           |         | lead@known.example    | Baron  | London
    P2        | Noel      |         | other@known.example   | Poet   | Athens
    P3        |           |         | contact@known.example | Count  |
    P4        |           |         | new@known.example     | Doctor |
"""
DEFAULTS = {
    "LastName": "[no name]",
    "Company": "[not provided]",
    "LeadSource": "Other",
    "City": "Nowhere",
    "Rating": "Cold",  # no column feeds it
}
SETTINGS: dict[str, Any] = {
    "defaults": DEFAULTS,
    "matching": {"existing_lead": "update", "existing_contact": "update"},
    "owners": {"default": "user:ada@acme.example"},
}
MADE_OF = {"LastName", "Company", "LeadSource", "City", "Rating"}


@pytest.fixture
def known(any_scenario: Scenario) -> Scenario:
    """Three persons whom the org knows and one whom it does not."""
    any_scenario.set_org(ORG)
    any_scenario.put(PERSONS)
    return any_scenario


def in_org(scenario: Scenario) -> dict[str, dict[str, Any]]:
    """The records of the org by e-mail: their names, what the defaults name, and their titles."""
    names = ["FirstName", "LastName", "Company", "LeadSource", "City", "MailingCity", "Rating"]
    records = [*scenario.emulator.held("leads"), *scenario.emulator.held("contacts")]
    return {
        one["Email"]: {name: one[name] for name in [*names, "Title"] if one.get(name)}
        for one in records
    }


UPDATED = {
    "lead@known.example": {
        "FirstName": "Augusta",
        "LastName": "King",
        "Company": "Engines",
        "LeadSource": "Web",
        "City": "London",
        "Title": "Baron",
    },
    "other@known.example": {
        "LastName": "Noel",
        "Company": "Poems",
        "City": "Athens",
        "Title": "Poet",
    },
    "contact@known.example": {
        "FirstName": "Luigi",
        "LastName": "Menabrea",
        "LeadSource": "Web",
        "MailingCity": "Turin",
        "Title": "Count",
    },
    "new@known.example": {
        "LastName": "[no name]",
        "Company": "[not provided]",
        "LeadSource": "Other",
        "City": "Nowhere",
        "Rating": "Cold",
        "Title": "Doctor",
    },
}


def assert_only_the_created_was_filled(scenario: Scenario) -> None:
    assert in_org(scenario) == UPDATED
    told = {
        one: (row["outcome"], row["defaulted_fields"])
        for one, row in scenario.outcomes_by_id().items()
    }
    assert {one: told[one] for one in ("P1", "P2", "P3")} == dict.fromkeys(
        ("P1", "P2", "P3"), ("updated", None)
    )
    outcome, filled = told["P4"]
    assert (outcome, set(filled.split(","))) == ("created", MADE_OF)
    assert scenario.miscounted_runs() == []


@pytest.mark.parametrize("field", ["Person_Id__c", ""])
def test_a_nightly_run_sends_no_default_with_an_update(known: Scenario, field: str) -> None:
    told = known.sync(**SETTINGS, salesforce={"person_id_field": field})
    assert (told["run"]["updated_count"], told["run"]["created_count"]) == (3, 1)
    assert_only_the_created_was_filled(known)


@pytest.mark.parametrize("field", ["Person_Id__c", ""])
def test_nor_does_a_run_for_persons_at_once(known: Scenario, field: str) -> None:
    asked = ("P1", "P2", "P3", "P4")
    known.sync("now", person_ids=asked, **SETTINGS, salesforce={"person_id_field": field})
    assert_only_the_created_was_filled(known)


def test_nor_does_the_payload_that_is_made_again_after_a_crash(known: Scenario) -> None:
    cut_off_after_judging(known)
    told = known.sync("resume", **SETTINGS)
    # Every row hash agrees: whoever was let go would be new again and in no carried batch.
    assert sum(batch["updated_count"] for batch in told["taken_over_batches"]) == 3
    assert known.under_way() == []
    assert_only_the_created_was_filled(known)


def test_a_row_that_lost_a_value_meanwhile_is_judged_again(known: Scenario) -> None:
    cut_off_after_judging(known)
    known.run("update persons set title = 'Countess' where person_id = 'P1'")
    known.sync("resume", **SETTINGS)
    assert "P1" not in known.outcomes_by_id()
    known.sync(**SETTINGS)
    titled = {**UPDATED["lead@known.example"], "Title": "Countess"}
    assert in_org(known)["lead@known.example"] == titled
    assert known.outcomes_by_id()["P1"]["defaulted_fields"] is None


def cut_off_after_judging(scenario: Scenario) -> None:
    """Begin a run whose process ends when the persons are claimed and nothing is sent."""

    class CutOff(BaseException):
        pass

    def perform(step: Any, *arguments: Any) -> int:
        count: int = step(*arguments)
        if step is partition.partition_slice:
            raise CutOff
        return count

    with pytest.raises(CutOff):
        flows.sync(scenario.settings(**SETTINGS), new_run_request("live"), perform)


def test_a_plan_says_the_same_and_changes_nothing(known: Scenario) -> None:
    before = in_org(known)
    told = known.sync("plan", **SETTINGS)
    planned = known.rows("select person_id, decision, matched_id from planned_persons order by 1")
    assert [tuple(row.values()) for row in planned] == [
        ("P1", "update", LEAD),
        ("P2", "update", OTHER_LEAD),
        ("P3", "update", CONTACT),
        ("P4", "create", None),
    ]
    assert told["run"]["updated_count"] == 3
    assert in_org(known) == before
    assert (known.outcomes_by_id(), known.under_way()) == ({}, [])


def test_a_person_with_nothing_but_an_email_leaves_the_record_as_it_is(
    scenario: Scenario,
) -> None:
    scenario.set_org(ORG)
    scenario.put("person_id | email\nP1 | lead@known.example\nP2 | contact@known.example")
    before = in_org(scenario)
    scenario.sync(**{**SETTINGS, "owners": {"default": "rules"}})
    assert in_org(scenario) == before
    assert scenario.outcome_counts() == {"updated": 2}


def test_without_defaults_a_blank_name_is_still_rejected(scenario: Scenario) -> None:
    scenario.set_org(ORG)
    scenario.put("person_id | email\nP1 | lead@known.example")
    scenario.sync(matching=SETTINGS["matching"])
    assert scenario.rejections() == {("P1", "company_missing"), ("P1", "last_name_missing")}
