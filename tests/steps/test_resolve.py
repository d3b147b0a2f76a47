"""Held persons: a human's word releases them, or the lead that bears their id; whatever is said,
nobody gets two leads and every run adds up.
"""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import ConfigurationError
from pipelines.run import connections, resolve
from pipelines.salesforce import sobject_collections
from tests.steps.scenario import Scenario, make_persons, make_persons_of_one_strategy

pytestmark = pytest.mark.one_engine

WITHOUT = {"salesforce": {"person_id_field": ""}}
# The job is gone, and nothing tells whether it had made its leads.
MADE = ({"job": "nth:1", "fault": "forget"},)
UNMADE = ({"job": "nth:1", "fault": "fail_after_chunk:0"}, *MADE)
TWINS = """
    person_id | last_name | company | email          | created_at | updated_at
    P0001     | Lovelace  | Engines | ada@one.example | 2026-01-01 | 2026-01-01
    P0002     | Lovelace  | Engines | ada@one.example | 2026-01-02 | 2026-01-02
"""


def hold(scenario: Scenario, *faults: dict[str, Any], extra: str = "") -> None:
    """Everybody in the warehouse is held: their job is gone. The org has the field, unused."""
    scenario.set_org(extra)
    scenario.emulator.go_wrong(*faults)
    scenario.sync(**WITHOUT)
    assert "held" in scenario.outcome_counts()


def hold_persons(scenario: Scenario, count: int = 1, *faults: dict[str, Any]) -> None:
    scenario.put_frame(make_persons_of_one_strategy(count))
    hold(scenario, *(faults or MADE))


def say(scenario: Scenario, word: str, person_id: str = "P0001", **groups: Any) -> dict[str, Any]:
    saying = resolve.parse_resolution(person_id, word, by="ada", note="I looked")
    return resolve.resolve_person(scenario.settings(**(groups or WITHOUT)), saying)


def lead_of(scenario: Scenario, number: int = 1) -> str:
    by_email = {lead["Email"]: lead["Id"] for lead in scenario.emulator.held("leads")}
    return str(by_email[f"p{number}@persons.example"])


def give_ids(scenario: Scenario, *numbers: int) -> None:
    """An administrator fills in the person-id field of leads made without it."""
    with connections.log_in_to(scenario.settings().salesforce) as org:
        given = [{"Id": lead_of(scenario, n), "Person_Id__c": f"P{n:04}"} for n in numbers]
        assert not [
            one.code for one in sobject_collections.update_records(org, "Lead", given) if one.code
        ]


def last_run(scenario: Scenario) -> dict[str, Any]:
    return scenario.rows("select * from sync_runs order by started_at desc, run_id desc")[0]


# --- A word


def test_a_held_person_gets_the_lead_that_somebody_found(any_scenario: Scenario) -> None:
    hold_persons(any_scenario)
    lead_id = lead_of(any_scenario)
    say(any_scenario, f"created:{lead_id[:15]}")
    outcome = any_scenario.outcomes_by_id()["P0001"]
    told = [outcome[name] for name in ("outcome", "lead_id", "owner_name", "reason_code")]
    assert told == ["created", lead_id, "Unassigned", "RESOLVED_MANUALLY"]
    assert (any_scenario.unaccounted(), any_scenario.miscounted_runs()) == ([], [])
    run = last_run(any_scenario)
    assert (run["run_mode"], run["run_state"], run["created_count"]) == ("resolve", "finished", 1)


def test_a_word_is_recorded_with_who_why_and_when(any_scenario: Scenario) -> None:
    hold_persons(any_scenario)
    say(any_scenario, "resend")
    (row,) = any_scenario.rows("select * from resolutions")
    assert (row["resolved_by"], row["note"], row["held_reason"]) == ("ada", "I looked", "JOB_GONE")
    (seen,) = any_scenario.rows("select * from fct_resolutions")
    assert (seen["resolved_as"], bool(seen["has_note"]), seen["person_id"]) == (
        *("resend", True),
        "P0001",
    )


def test_a_person_who_is_sent_again_is_sent_once(any_scenario: Scenario) -> None:
    hold_persons(any_scenario, 2, *UNMADE)
    say(any_scenario, "resend")
    assert last_run(any_scenario)["read_count"] == 0
    again, after = (any_scenario.sync(**WITHOUT)["run"]["read_count"] for _ in range(2))
    assert (again, after, any_scenario.outcome_counts()) == (1, 0, {"created": 1, "held": 1})
    assert [lead["Email"] for lead in any_scenario.leads()] == ["p1@persons.example"]
    assert any_scenario.outcomes_by_id()["P0001"]["attempt_count"] == 2


def test_a_person_sent_again_who_has_a_lead_is_found_as_a_duplicate(scenario: Scenario) -> None:
    hold_persons(scenario)
    say(scenario, "resend")
    scenario.sync(**WITHOUT)
    assert scenario.outcome_counts() == {"duplicate": 1}
    assert len(scenario.leads()) == 1


def test_a_rejected_person_gives_the_e_mail_to_the_twin(any_scenario: Scenario) -> None:
    any_scenario.put(TWINS)
    hold(any_scenario, *UNMADE)
    assert any_scenario.outcome_counts() == {"held": 1, "duplicate": 1}
    say(any_scenario, "rejected")
    assert any_scenario.rejections() == {("P0001", "rejected_manually")}
    any_scenario.sync(**WITHOUT)
    assert any_scenario.outcome_counts() == {"rejected": 1, "created": 1}
    assert (any_scenario.unaccounted(), any_scenario.miscounted_runs()) == ([], [])


def test_only_a_later_change_of_the_row_undoes_a_rejection_by_hand(any_scenario: Scenario) -> None:
    any_scenario.put(TWINS.replace("ada@one.example | 2026-01-02", "bob@one.example | 2026-01-02"))
    hold(any_scenario, *UNMADE)
    any_scenario.run("update persons set updated_at = '2026-02-01' where person_id = 'P0001'")
    say(any_scenario, "rejected")
    assert any_scenario.sync(**WITHOUT)["run"]["read_count"] == 0
    any_scenario.run("update persons set updated_at = '2026-02-02' where person_id = 'P0001'")
    any_scenario.sync(**WITHOUT)
    assert any_scenario.outcome_counts() == {"created": 1, "held": 1}


# --- A word that cannot be


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("maybe", "created:LEAD_ID, resend or rejected"),
        ("created", "created:LEAD_ID, resend or rejected"),
        ("resend:00Q000000000001AAA", "created:LEAD_ID, resend or rejected"),
        ("created:", "is not the id of a lead"),
        ("created:00Q12", "is not the id of a lead"),
        ("created:00300000000001AAAA", "is not the id of a lead"),
        ("created:00QAA0000000001AAA", "is not the id of a lead"),
    ],
)
def test_a_word_nobody_can_mean_is_refused_with_the_forms_there_are(word: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        resolve.parse_resolution("P1", word, by="ada")


def refused(scenario: Scenario, word: str, person_id: str = "P0001", **groups: Any) -> str:
    """The sentence of the refusal; it has changed nothing."""
    before = scenario.outcomes_by_id(), scenario.rows("select * from sync_runs order by run_id")
    with pytest.raises(ConfigurationError) as error:
        say(scenario, word, person_id, **groups)
    assert (
        scenario.outcomes_by_id(),
        scenario.rows("select * from sync_runs order by run_id"),
    ) == before
    return str(error.value)


def test_only_a_held_person_can_be_resolved(scenario: Scenario) -> None:
    scenario.put_frame(make_persons(1))
    scenario.sync()
    assert "is created, not held" in refused(scenario, "resend")
    assert "no run has ever decided about person 'p0001'" in refused(scenario, "resend", "p0001")


def test_a_lead_that_the_org_does_not_have_is_nobodys(scenario: Scenario) -> None:
    hold_persons(scenario)
    assert "finds no lead 00Q00000000000AEAQ" in refused(scenario, "created:00Q00000000000A")


def test_a_lead_is_one_persons_only(any_scenario: Scenario) -> None:
    hold_persons(any_scenario, 2)
    lead_id = lead_of(any_scenario)
    say(any_scenario, f"created:{lead_id}")
    assert "is that of person P0001" in refused(any_scenario, f"created:{lead_id}", "P0002")


def test_a_lead_that_bears_another_persons_id_is_not_given(scenario: Scenario) -> None:
    hold_persons(scenario, 2)
    give_ids(scenario, 2)
    told = refused(scenario, f"created:{lead_of(scenario, 2)}", salesforce={})
    assert "has another person's id in Person_Id__c (P0002)" in told


@pytest.mark.parametrize("word", ["resend", "rejected"])
def test_a_person_whose_id_a_lead_bears_has_that_lead(scenario: Scenario, word: str) -> None:
    hold_persons(scenario)
    give_ids(scenario, 1)
    assert f"--as created:{lead_of(scenario)}" in refused(scenario, word, salesforce={})


def test_a_person_without_a_row_cannot_be_sent_again(scenario: Scenario) -> None:
    hold_persons(scenario)
    scenario.run("delete from persons")
    assert "has no row 'P0001' that could be sent" in refused(scenario, "resend")


# --- A second word


@pytest.mark.parametrize("word", ["created", "resend", "rejected"])
def test_the_same_word_twice_is_said_so_and_changes_nothing(
    any_scenario: Scenario, word: str
) -> None:
    hold_persons(any_scenario)
    word = f"created:{lead_of(any_scenario)}" if word == "created" else word
    first = say(any_scenario, word)
    before = any_scenario.outcomes_by_id(), last_run(any_scenario)
    second = say(any_scenario, word)
    assert (first["is_new"], second["is_new"]) == (True, False)
    assert {**first, "is_new": False} == second
    assert (any_scenario.outcomes_by_id(), last_run(any_scenario)) == before


@pytest.mark.parametrize("first", ["created", "rejected"])
def test_a_word_that_was_acted_upon_stands(scenario: Scenario, first: str) -> None:
    hold_persons(scenario)
    say(scenario, f"created:{lead_of(scenario)}" if first == "created" else first)
    assert "by ada at 20" in refused(scenario, "resend")


@pytest.mark.parametrize("second", ["created", "rejected"])
def test_sending_again_may_be_taken_back_before_a_run_has_done_it(
    any_scenario: Scenario, second: str
) -> None:
    hold_persons(any_scenario)
    say(any_scenario, "resend")
    say(any_scenario, f"created:{lead_of(any_scenario)}" if second == "created" else second)
    assert any_scenario.outcome_counts() == {second: 1}
    reasons = any_scenario.rows("select distinct held_reason from resolutions")
    assert reasons == [{"held_reason": "JOB_GONE"}]
    assert any_scenario.sync(**WITHOUT)["run"]["read_count"] == 0


def test_a_person_sent_again_and_under_way_cannot_be_resolved(scenario: Scenario) -> None:
    hold_persons(scenario, 1, *UNMADE)
    say(scenario, "resend")
    scenario.run("""
        insert into person_claims (person_id, batch_id, run_id, claimed_at, owner_strategy,
            row_hash, attempt_count)
        values ('P0001', 'B1', 'R1', '2026-01-01', 'rules', '-', 2)
    """)
    assert "is in open batch B1" in refused(scenario, "rejected")


# --- What settles by itself


@pytest.mark.parametrize("mode", ["live", "resume"])
def test_a_held_person_whose_lead_bears_their_id_is_settled_without_a_human(
    any_scenario: Scenario, mode: str
) -> None:
    hold_persons(any_scenario, 3)
    give_ids(any_scenario, 1, 2)
    told = any_scenario.sync(mode)
    assert any_scenario.outcome_counts() == {"created": 2, "held": 1}
    assert any_scenario.outcomes_by_id()["P0002"]["lead_id"] == lead_of(any_scenario, 2)
    assert (told["run"]["read_count"], told["run"]["created_count"]) == (2, 2)
    (row,) = any_scenario.rows("select distinct is_automatic, resolved_by from resolutions")
    assert (bool(row["is_automatic"]), row["resolved_by"]) == (True, None)
    assert any_scenario.miscounted_runs() == []


def test_a_lead_that_was_deleted_since_was_made_all_the_same(scenario: Scenario) -> None:
    hold_persons(scenario)
    give_ids(scenario, 1)
    delete(scenario, lead_of(scenario))
    scenario.sync()
    outcome = scenario.outcomes_by_id()["P0001"]
    assert (outcome["outcome"], outcome["reason_code"]) == ("created", "LEAD_DELETED")
    assert scenario.leads() == []


def delete(scenario: Scenario, lead_id: str) -> None:
    with connections.log_in_to(scenario.settings().salesforce) as org:
        assert org._call("DELETE", f"sobjects/Lead/{lead_id}").status_code == 204


def test_a_deleted_lead_may_be_named_and_is_noted_as_such(scenario: Scenario) -> None:
    hold_persons(scenario)
    lead_id = lead_of(scenario)
    delete(scenario, lead_id)
    say(scenario, f"created:{lead_id}")
    assert scenario.outcomes_by_id()["P0001"]["reason_code"] == "LEAD_DELETED"


def test_a_run_for_one_person_settles_that_one_only(scenario: Scenario) -> None:
    hold_persons(scenario, 2)
    give_ids(scenario, 1, 2)
    told = scenario.sync("now", person_ids=("P0001",))
    assert scenario.outcome_counts() == {"created": 1, "held": 1}
    assert told["persons"][0]["lead_id"] == lead_of(scenario)


def test_a_plan_settles_nobody(scenario: Scenario) -> None:
    hold_persons(scenario)
    give_ids(scenario, 1)
    scenario.sync("plan")
    assert scenario.outcome_counts() == {"held": 1}


def test_what_a_run_settled_stands_against_a_human(scenario: Scenario) -> None:
    hold_persons(scenario)
    give_ids(scenario, 1)
    scenario.sync("resume")
    assert "by a run that found the lead at 20" in refused(scenario, "resend", salesforce={})
