"""Flaws of the code that the model has found, tested with real runs over real HTTP.

All tests are without the person-id field: with it the org itself rejects a second lead.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pipelines.steps import load
from tests.crash.model.relay import Relay
from tests.crash.model.rig import CONTACT, Rig, open_rig
from tests.crash.model.units import real_protocol
from tests.steps.scenario import Scenario

CONTACTS = CONTACT.format("ada0") + CONTACT.format("cyd0")
BY_COLLECTIONS: dict[str, Any] = {"has_field": False, "strategy": "queue:Inbound", "org": CONTACTS}


def complete(rig: Rig, *disturbances: str) -> None:
    """Take steps until the batch is completed, the first of them with these disturbances."""
    for disturbance in disturbances:
        rig.step(disturbance)
    for _ in range(12):
        if rig.batch.batch_state == "completed":
            return
        if rig.batch.salesforce_job_id:
            rig.wait()
        rig.step()
    raise AssertionError(f"the batch is {rig.batch.batch_state} for ever")


def lead_counts(scenario: Scenario) -> Counter[str]:
    """Return how many leads each person has got."""
    return Counter(lead["FirstName"] for lead in scenario.leads() if lead["Company"] == "Engines")


def test_a_lost_response_of_the_ledger_and_a_locked_row_create_no_second_lead(
    scenario: Scenario, relay: Relay
) -> None:
    with open_rig(scenario, relay, "Ada Cyd", has_field=False) as rig:
        scenario.emulator.go_wrong({"job": "nth:1", "fault": "lock_rows:1"})
        complete(rig, "lost@3")
    assert lead_counts(scenario) == {"Ada": 1, "Cyd": 1}


def test_a_record_locked_in_a_collections_call_creates_no_second_lead_of_the_others(
    scenario: Scenario, relay: Relay
) -> None:
    with open_rig(scenario, relay, "Ada Cyd", **BY_COLLECTIONS) as rig:
        complete(rig, "locked@1")
    assert lead_counts(scenario) == {"Ada": 1, "Cyd": 1}
    assert scenario.outcome_counts() == {"created": 2}


def test_no_person_is_held_because_the_owners_could_not_be_read_back(
    scenario: Scenario, relay: Relay
) -> None:
    with open_rig(scenario, relay, "Ada Cyd", **BY_COLLECTIONS) as rig:
        complete(rig, "lost@2")
    assert scenario.outcome_counts() == {"created": 2}


def test_no_person_is_held_because_the_unprocessed_records_were_cut_short_once(
    scenario: Scenario, relay: Relay
) -> None:
    with open_rig(scenario, relay, "Ada Cyd", has_field=False) as rig:
        scenario.emulator.go_wrong({"job": "nth:1", "fault": "fail_after_chunk:0"})
        rig.step()
        rig.wait()
        complete(rig, "cut@4")
    assert scenario.outcome_counts() == {"created": 2}
    assert lead_counts(scenario) == {"Ada": 1, "Cyd": 1}


@pytest.mark.parametrize("event", [2, 4])
def test_a_run_continues_when_another_run_has_completed_its_batch(
    scenario: Scenario, relay: Relay, event: int
) -> None:
    with open_rig(scenario, relay, "Ada Cyd", has_field=False) as rig:
        rig.step()
        rig.wait()
        rig.run.in_flight.batches[:] = [rig.batch]
        with rig.disturbing(f"completed@{event}"):
            load.advance_batches(rig.run, until_at_most=0)
    assert rig.run.in_flight.batches == []


def test_the_counts_of_an_aborted_job_are_polled_as_often_as_in_the_model(
    scenario: Scenario, relay: Relay
) -> None:
    with open_rig(scenario, relay, "Ada", has_field=False) as rig:
        scenario.emulator.go_wrong({"job": "nth:1", "fault": "abort_after_chunk:0"})
        rig.step()
        rig.wait()
        ends = [rig.step()[-1] for _ in range(real_protocol(has_field=False).stable_polls)]
    assert ends == ["⇒ busy", "⇒ busy", "⇒ pending"]
