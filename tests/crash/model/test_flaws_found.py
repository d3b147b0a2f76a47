"""What the model found in the code, shown on the code: real runs over real HTTP.

The field is off in all of them: where it is on, the org itself refuses a second lead.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pipelines.steps import load
from tests.crash.model.relay import Relay
from tests.crash.model.rig import CONTACT, Rig, rigged
from tests.crash.model.units import as_it_is
from tests.steps.scenario import Scenario

CONTACTS = CONTACT.format("ada0") + CONTACT.format("cyd0")
BY_COLLECTIONS: dict[str, Any] = {"has_field": False, "strategy": "queue:Inbound", "org": CONTACTS}


def carry(rig: Rig, *disturbed: str) -> None:
    """Steps until the batch is settled, the first of them disturbed."""
    for how in disturbed:
        rig.step(how)
    for _ in range(12):
        if rig.batch.batch_state == "completed":
            return
        if rig.batch.salesforce_job_id:
            rig.wait()
        rig.step()
    raise AssertionError(f"the batch is {rig.batch.batch_state} for ever")


def leads_made(scenario: Scenario) -> Counter[str]:
    """How many leads each person has got."""
    return Counter(lead["FirstName"] for lead in scenario.leads() if lead["Company"] == "Engines")


def test_a_lost_answer_of_the_ledger_and_a_locked_row_make_no_second_lead(
    scenario: Scenario, relay: Relay
) -> None:
    with rigged(scenario, relay, "Ada Cyd", has_field=False) as rig:
        scenario.emulator.go_wrong({"job": "nth:1", "fault": "lock_rows:1"})
        carry(rig, "lost@3")
    assert leads_made(scenario) == {"Ada": 1, "Cyd": 1}


def test_a_record_locked_in_a_collections_call_makes_no_second_lead_of_the_others(
    scenario: Scenario, relay: Relay
) -> None:
    with rigged(scenario, relay, "Ada Cyd", **BY_COLLECTIONS) as rig:
        carry(rig, "locked@1")
    assert leads_made(scenario) == {"Ada": 1, "Cyd": 1}
    assert scenario.outcome_counts() == {"created": 2}


def test_nobody_is_held_because_the_owners_could_not_be_read_back(
    scenario: Scenario, relay: Relay
) -> None:
    with rigged(scenario, relay, "Ada Cyd", **BY_COLLECTIONS) as rig:
        carry(rig, "lost@2")
    assert scenario.outcome_counts() == {"created": 2}


def test_nobody_is_held_because_the_list_of_those_left_over_was_cut_short_once(
    scenario: Scenario, relay: Relay
) -> None:
    with rigged(scenario, relay, "Ada Cyd", has_field=False) as rig:
        scenario.emulator.go_wrong({"job": "nth:1", "fault": "fail_after_chunk:0"})
        rig.step()
        rig.wait()
        carry(rig, "cut@4")
    assert scenario.outcome_counts() == {"created": 2}
    assert leads_made(scenario) == {"Ada": 1, "Cyd": 1}


@pytest.mark.parametrize("place", [2, 4])
def test_a_run_whose_batch_another_settles_meanwhile_goes_on(
    scenario: Scenario, relay: Relay, place: int
) -> None:
    with rigged(scenario, relay, "Ada Cyd", has_field=False) as rig:
        rig.step()
        rig.wait()
        rig.run.in_flight.batches[:] = [rig.batch]
        with rig.disturbing(f"completed@{place}"):
            load.advance_batches(rig.run, until_at_most=0)
    assert rig.run.in_flight.batches == []


def test_an_aborted_job_is_seen_still_as_often_as_in_the_model(
    scenario: Scenario, relay: Relay
) -> None:
    with rigged(scenario, relay, "Ada", has_field=False) as rig:
        scenario.emulator.go_wrong({"job": "nth:1", "fault": "abort_after_chunk:0"})
        rig.step()
        rig.wait()
        ends = [rig.step()[-1] for _ in range(as_it_is(has_field=False).still_times)]
    assert ends == ["⇒ busy", "⇒ busy", "⇒ pending"]
