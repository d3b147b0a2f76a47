"""What the model found in the code, shown on the code: real runs over real HTTP.

The field is off in all of them: where it is on, the org itself refuses a second lead.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.crash.model.relay import Relay
from tests.crash.model.rig import CONTACT, Rig, rigged
from tests.crash.model.units import as_it_is
from tests.steps.scenario import Stage

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


def leads_made(stage: Stage) -> Counter[str]:
    """How many leads each person has got."""
    return Counter(lead["FirstName"] for lead in stage.leads() if lead["Company"] == "Engines")


def test_a_lost_answer_of_the_ledger_and_a_locked_row_make_no_second_lead(
    stage: Stage, relay: Relay
) -> None:
    with rigged(stage, relay, "Ada Cyd", has_field=False) as rig:
        stage.emulator.go_wrong({"job": "nth:1", "fault": "lock_rows:1"})
        carry(rig, "lost@3")
    assert leads_made(stage) == {"Ada": 1, "Cyd": 1}


def test_a_record_locked_in_a_collections_call_makes_no_second_lead_of_the_others(
    stage: Stage, relay: Relay
) -> None:
    with rigged(stage, relay, "Ada Cyd", **BY_COLLECTIONS) as rig:
        carry(rig, "locked@1")
    assert leads_made(stage) == {"Ada": 1, "Cyd": 1}
    assert stage.told() == {"created": 2}


def test_nobody_is_held_because_the_owners_could_not_be_read_back(
    stage: Stage, relay: Relay
) -> None:
    with rigged(stage, relay, "Ada Cyd", **BY_COLLECTIONS) as rig:
        carry(rig, "lost@2")
    assert stage.told() == {"created": 2}


def test_nobody_is_held_because_the_list_of_those_left_over_was_cut_short_once(
    stage: Stage, relay: Relay
) -> None:
    with rigged(stage, relay, "Ada Cyd", has_field=False) as rig:
        stage.emulator.go_wrong({"job": "nth:1", "fault": "fail_after_chunk:0"})
        rig.step()
        rig.wait()
        carry(rig, "cut@4")
    assert stage.told() == {"created": 2}
    assert leads_made(stage) == {"Ada": 1, "Cyd": 1}


@pytest.mark.parametrize("place", [2, 4])
def test_a_run_whose_batch_another_settles_meanwhile_goes_on(
    stage: Stage, relay: Relay, place: int
) -> None:
    with rigged(stage, relay, "Ada Cyd", has_field=False) as rig:
        rig.step()
        rig.wait()
        rig.load_api.in_flight[:] = [rig.batch]
        with rig.disturbing(f"settled@{place}"):
            rig.load_api.carry(until_at_most=0)
    assert rig.load_api.in_flight == []


def test_an_aborted_job_is_seen_still_as_often_as_in_the_model(stage: Stage, relay: Relay) -> None:
    with rigged(stage, relay, "Ada", has_field=False) as rig:
        stage.emulator.go_wrong({"job": "nth:1", "fault": "abort_after_chunk:0"})
        rig.step()
        rig.wait()
        ends = [rig.step()[-1] for _ in range(as_it_is(has_field=False).still_times)]
    assert ends == ["⇒ busy", "⇒ busy", "⇒ planned"]
