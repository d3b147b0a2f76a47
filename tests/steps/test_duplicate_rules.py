"""The org's own duplicate rules: they find namesakes with her phone, whatever their e-mail."""

from __future__ import annotations

import pytest

from tests.steps.decision_table import duplicate_report, held, record
from tests.steps.scenario import Scenario

CALLING = """
    person_id | first_name | last_name | company | email          | phone    | country
    P1        | Augusta    | King      | Engines | other@home.test | +44 20 1 | DE
"""
KNOWN = """
    person_id | first_name | last_name | company | email               | phone    | country
    P1        | Augusta    | King      | Engines | ada@engines.example | +44 20 1 | DE
"""


def rule(action: str, matches: str) -> str:
    """A duplicate rule for new leads."""
    name = f"{action} {matches}"
    return f"""
[[duplicate_rule]]
name = "{name}"
object = "Lead"
matches = "{matches}"
action = "{action}"
"""


@pytest.mark.parametrize("known", ["L1", "C1"])
@pytest.mark.parametrize("action", ["alert", "block"])
def test_whom_a_duplicate_rule_refuses_is_a_duplicate(
    scenario: Scenario, action: str, known: str
) -> None:
    scenario.set_org(
        record(known, "engines") + rule(action, {"L": "Lead", "C": "Contact"}[known[0]])
    )
    before = held(scenario)
    scenario.put(CALLING)
    told = scenario.sync()
    assert scenario.outcome_counts("reason_code") == {"DUPLICATES_DETECTED": 1}
    assert (told["run"]["duplicate_count"], scenario.rejections()) == (1, set())
    (row,) = scenario.duplicates("P1")
    words = ("matched_in", "matched_count", "is_ambiguous", "action_taken")
    assert [row[word] for word in words] == ["salesforce_rule", 1, False, "reported"]
    assert held(scenario) == before


def test_a_rule_that_only_allows_lets_the_lead_in(scenario: Scenario) -> None:
    scenario.set_org(record("L1", "engines") + rule("allow", "Lead"))
    scenario.put(CALLING)
    scenario.sync()
    assert scenario.outcome_counts() == {"created": 1}
    assert scenario.duplicates("P1") == []


@pytest.mark.parametrize("matches", ["Lead", "Contact"])
def test_the_deliberate_duplicate_passes_a_rule_that_alerts(
    scenario: Scenario, matches: str
) -> None:
    scenario.set_org(record("C1", "engines") + rule("alert", matches))
    scenario.put(KNOWN)
    scenario.sync(owners={"default": "queue:Inbound"})
    assert scenario.outcome_counts("reason_code") == {"DUPLICATE_LEAD_ON_PURPOSE": 1}
    assert [lead["Owner"]["Name"] for lead in scenario.leads()] == ["Inbound"]
    assert duplicate_report(scenario, "engines", "P1") == "C1 duplicate_lead_created"


def test_the_deliberate_duplicate_is_rejected_by_a_rule_that_blocks(any_scenario: Scenario) -> None:
    any_scenario.set_org(record("C1", "engines") + rule("block", "Contact"))
    before = held(any_scenario)
    any_scenario.put(KNOWN)
    any_scenario.sync(owners={"default": "queue:Inbound"})
    (why,) = any_scenario.rows("select person_id, rule_name, stage, message from rejected_persons")
    assert tuple(why.values()) == (
        *("P1", "DUPLICATES_DETECTED", "salesforce"),
        "Use one of these records?",
    )
    assert any_scenario.outcome_counts() == {"rejected": 1}
    assert any_scenario.duplicates("P1") == []
    assert held(any_scenario) == before


def test_a_rule_that_blocks_one_deliberate_duplicate_lets_her_neighbours_in(
    scenario: Scenario,
) -> None:
    other = record("C2", "other").replace("King", "Byron")
    scenario.set_org(record("C1", "engines") + other + rule("block", "Contact"))
    scenario.put(
        KNOWN + "P2 | Ada | Lovelace | Engines | ada@other.example | +1 | DE\n"
        "P3 | Ada | Lovelace | Engines | nobody@other.example | +2 | DE"
    )
    scenario.sync(owners={"default": "queue:Inbound"})
    told = {person: row["outcome"] for person, row in scenario.outcomes_by_id().items()}
    assert told == {"P1": "rejected", "P2": "created", "P3": "created"}
