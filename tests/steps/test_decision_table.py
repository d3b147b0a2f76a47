"""What becomes of a person whom the org knows, or not, by both methods of looking her up."""

from __future__ import annotations

import pytest

from tests.steps.decision_table import (
    Section,
    owners_held,
    owners_reported,
    perform,
    record,
    sections,
)
from tests.steps.scenario import Scenario


@pytest.mark.parametrize("lookup", ["soql", "snapshot"])
@pytest.mark.parametrize("section", sections(), ids=str)
def test_what_becomes_of_a_person(scenario: Scenario, section: Section, lookup: str) -> None:
    assert perform(scenario, section, lookup=lookup) == section.cells
    assert owners_reported(scenario) == owners_held(scenario)
    (run,) = scenario.rows("select lookup_method from sync_runs")
    assert run["lookup_method"] == lookup


def test_a_lead_of_her_person_id_is_hers_whatever_its_email(scenario: Scenario) -> None:
    scenario.set_org(record("L1", "elsewhere", 'Person_Id__c = "P1"'))
    scenario.put("""
        person_id | last_name | company     | email               | country
        P1        | Lovelace  | New Engines | Ada@Engines.example | DE
    """)
    scenario.sync(matching={"existing_lead": "update"})
    assert scenario.outcome_counts("reason_code") == {"LEAD_EXISTS": 1}
    assert [lead["Email"] for lead in scenario.leads()] == ["ada@engines.example"]
    (row,) = scenario.duplicates("P1")
    assert (row["match_key"], row["action_taken"]) == ("person_id", "updated")


def test_each_persons_own_strategy_decides_for_her_alone(scenario: Scenario) -> None:
    scenario.set_org(record("L1", "engines"))
    scenario.put("""
        person_id | last_name  | company | email               | country | owner_strategy
        P1        | Lovelace   | Engines | ada@engines.example | DE      | user:ada@acme.example
        P2        | Menabrea   | Engines | two@x.example       | DE      | queue:Inbound
        P3        | Babbage    | Engines | three@x.example     | DE      |
        P4        | Somerville | Engines | four@x.example      |         |
        P5        | Byron      | Engines | five@x.example      |         | user:gone@acme.example
    """)
    scenario.sync(matching={"existing_lead": "update"})
    owners = {lead["LastName"]: lead["Owner"]["Name"] for lead in scenario.leads()}
    expected = {"Lovelace": "Ada", "Menabrea": "Inbound"}
    assert owners == expected | {"Babbage": "Bo", "Somerville": "Unassigned"}
    assert scenario.rejections() == {("P5", "owner_inactive")}
