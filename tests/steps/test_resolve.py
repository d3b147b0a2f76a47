"""Held persons: a human's word releases them, or the lead that bears their id; whatever is said,
nobody gets two leads and every run adds up.
"""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import ConfigurationError
from pipelines.run import connections, resolve
from pipelines.salesforce import sobject_collections
from tests.steps.scenario import Stage, crowd

WITHOUT = {"salesforce": {"person_id_field": ""}}
# The job is gone, and nothing tells whether it had made its leads.
MADE = ({"job": "nth:1", "fault": "forget"},)
UNMADE = ({"job": "nth:1", "fault": "fail_after_chunk:0"}, *MADE)
TWINS = """
    person_id | last_name | company | email          | created_at | updated_at
    P0001     | Lovelace  | Engines | ada@one.example | 2026-01-01 | 2026-01-01
    P0002     | Lovelace  | Engines | ada@one.example | 2026-01-02 | 2026-01-02
"""


def hold(stage: Stage, *faults: dict[str, Any], extra: str = "") -> None:
    """Everybody in the warehouse is held: their job is gone. The org has the field, unused."""
    stage.set_org(extra)
    stage.emulator.go_wrong(*faults)
    stage.sync(**WITHOUT)
    assert "held" in stage.told()


def hold_crowd(stage: Stage, count: int = 1, *faults: dict[str, Any]) -> None:
    stage.put_frame(crowd(count).assign(owner_strategy=None))
    hold(stage, *(faults or MADE))


def say(stage: Stage, word: str, person_id: str = "P0001", **groups: Any) -> dict[str, Any]:
    saying = resolve.parse_resolution(person_id, word, by="ada", note="I looked")
    return resolve.resolve_person(stage.settings(**(groups or WITHOUT)), saying)


def lead_of(stage: Stage, number: int = 1) -> str:
    by_email = {lead["Email"]: lead["Id"] for lead in stage.emulator.held("leads")}
    return str(by_email[f"p{number}@crowd.example"])


def give_ids(stage: Stage, *numbers: int) -> None:
    """An administrator fills in the person-id field of leads made without it."""
    with connections.log_in_to(stage.settings().salesforce) as org:
        given = [{"Id": lead_of(stage, n), "Person_Id__c": f"P{n:04}"} for n in numbers]
        assert not [
            one.code for one in sobject_collections.update_records(org, "Lead", given) if one.code
        ]


def last_run(stage: Stage) -> dict[str, Any]:
    return stage.rows("select * from sync_runs order by started_at desc, run_id desc")[0]


# --- A word


def test_a_held_person_gets_the_lead_that_somebody_found(any_stage: Stage) -> None:
    hold_crowd(any_stage)
    lead_id = lead_of(any_stage)
    say(any_stage, f"created:{lead_id[:15]}")
    outcome = any_stage.outcomes()["P0001"]
    told = [outcome[name] for name in ("outcome", "lead_id", "owner_name", "reason_code")]
    assert told == ["created", lead_id, "Unassigned", "RESOLVED_MANUALLY"]
    assert (any_stage.unaccounted(), any_stage.miscounted_runs()) == ([], [])
    run = last_run(any_stage)
    assert (run["run_mode"], run["run_state"], run["created_count"]) == ("resolve", "finished", 1)


def test_a_word_is_recorded_with_who_why_and_when(any_stage: Stage) -> None:
    hold_crowd(any_stage)
    say(any_stage, "resend")
    (row,) = any_stage.rows("select * from resolutions")
    assert (row["resolved_by"], row["note"], row["held_reason"]) == ("ada", "I looked", "JOB_GONE")
    (seen,) = any_stage.rows("select * from fct_resolutions")
    assert (seen["resolved_as"], bool(seen["has_note"]), seen["person_id"]) == (
        *("resend", True),
        "P0001",
    )


def test_a_person_who_is_sent_again_is_sent_once(any_stage: Stage) -> None:
    hold_crowd(any_stage, 2, *UNMADE)
    say(any_stage, "resend")
    assert last_run(any_stage)["read_count"] == 0
    again, after = (any_stage.sync(**WITHOUT)["run"]["read_count"] for _ in range(2))
    assert (again, after, any_stage.told()) == (1, 0, {"created": 1, "held": 1})
    assert [lead["Email"] for lead in any_stage.leads()] == ["p1@crowd.example"]
    assert any_stage.outcomes()["P0001"]["attempt_count"] == 2


def test_a_person_sent_again_who_has_a_lead_is_found_as_a_duplicate(stage: Stage) -> None:
    hold_crowd(stage)
    say(stage, "resend")
    stage.sync(**WITHOUT)
    assert stage.told() == {"duplicate": 1}
    assert len(stage.leads()) == 1


def test_a_rejected_person_gives_the_e_mail_to_the_twin(any_stage: Stage) -> None:
    any_stage.put(TWINS)
    hold(any_stage, *UNMADE)
    assert any_stage.told() == {"held": 1, "duplicate": 1}
    say(any_stage, "rejected")
    assert any_stage.rejections() == {("P0001", "rejected_manually")}
    any_stage.sync(**WITHOUT)
    assert any_stage.told() == {"rejected": 1, "created": 1}
    assert (any_stage.unaccounted(), any_stage.miscounted_runs()) == ([], [])


def test_only_a_later_change_of_the_row_undoes_a_rejection_by_hand(any_stage: Stage) -> None:
    any_stage.put(TWINS.replace("ada@one.example | 2026-01-02", "bob@one.example | 2026-01-02"))
    hold(any_stage, *UNMADE)
    any_stage.run("update persons set updated_at = '2026-02-01' where person_id = 'P0001'")
    say(any_stage, "rejected")
    assert any_stage.sync(**WITHOUT)["run"]["read_count"] == 0
    any_stage.run("update persons set updated_at = '2026-02-02' where person_id = 'P0001'")
    any_stage.sync(**WITHOUT)
    assert any_stage.told() == {"created": 1, "held": 1}


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


def refused(stage: Stage, word: str, person_id: str = "P0001", **groups: Any) -> str:
    """The sentence of the refusal; it has changed nothing."""
    before = stage.outcomes(), stage.rows("select * from sync_runs order by run_id")
    with pytest.raises(ConfigurationError) as error:
        say(stage, word, person_id, **groups)
    assert (stage.outcomes(), stage.rows("select * from sync_runs order by run_id")) == before
    return str(error.value)


def test_only_a_held_person_can_be_resolved(stage: Stage) -> None:
    stage.put_frame(crowd(1))
    stage.sync()
    assert "is created, not held" in refused(stage, "resend")
    assert "no run has ever decided on person 'p0001'" in refused(stage, "resend", "p0001")


def test_a_lead_that_the_org_does_not_have_is_nobodys(stage: Stage) -> None:
    hold_crowd(stage)
    assert "finds no lead 00Q00000000000AEAQ" in refused(stage, "created:00Q00000000000A")


def test_a_lead_is_one_persons_only(any_stage: Stage) -> None:
    hold_crowd(any_stage, 2)
    lead_id = lead_of(any_stage)
    say(any_stage, f"created:{lead_id}")
    assert "is that of person P0001" in refused(any_stage, f"created:{lead_id}", "P0002")


def test_a_lead_that_bears_another_persons_id_is_not_given(stage: Stage) -> None:
    hold_crowd(stage, 2)
    give_ids(stage, 2)
    told = refused(stage, f"created:{lead_of(stage, 2)}", salesforce={})
    assert "bears another person's id in Person_Id__c (P0002)" in told


@pytest.mark.parametrize("word", ["resend", "rejected"])
def test_a_person_whose_id_a_lead_bears_has_that_lead(stage: Stage, word: str) -> None:
    hold_crowd(stage)
    give_ids(stage, 1)
    assert f"--as created:{lead_of(stage)}" in refused(stage, word, salesforce={})


def test_a_person_without_a_row_cannot_be_sent_again(stage: Stage) -> None:
    hold_crowd(stage)
    stage.run("delete from persons")
    assert "has no row 'P0001' that could be sent" in refused(stage, "resend")


# --- A second word


@pytest.mark.parametrize("word", ["created", "resend", "rejected"])
def test_the_same_word_twice_is_said_so_and_changes_nothing(any_stage: Stage, word: str) -> None:
    hold_crowd(any_stage)
    word = f"created:{lead_of(any_stage)}" if word == "created" else word
    first = say(any_stage, word)
    before = any_stage.outcomes(), last_run(any_stage)
    second = say(any_stage, word)
    assert (first["is_new"], second["is_new"]) == (True, False)
    assert {**first, "is_new": False} == second
    assert (any_stage.outcomes(), last_run(any_stage)) == before


@pytest.mark.parametrize("first", ["created", "rejected"])
def test_a_word_that_was_acted_upon_stands(stage: Stage, first: str) -> None:
    hold_crowd(stage)
    say(stage, f"created:{lead_of(stage)}" if first == "created" else first)
    assert "by ada at 20" in refused(stage, "resend")


@pytest.mark.parametrize("second", ["created", "rejected"])
def test_sending_again_may_be_taken_back_before_a_run_has_done_it(
    any_stage: Stage, second: str
) -> None:
    hold_crowd(any_stage)
    say(any_stage, "resend")
    say(any_stage, f"created:{lead_of(any_stage)}" if second == "created" else second)
    assert any_stage.told() == {second: 1}
    reasons = any_stage.rows("select distinct held_reason from resolutions")
    assert reasons == [{"held_reason": "JOB_GONE"}]
    assert any_stage.sync(**WITHOUT)["run"]["read_count"] == 0


def test_a_person_sent_again_and_under_way_cannot_be_resolved(stage: Stage) -> None:
    hold_crowd(stage, 1, *UNMADE)
    say(stage, "resend")
    stage.run("""
        insert into person_claims (person_id, batch_id, run_id, claimed_at, owner_strategy,
            row_hash, attempt_count)
        values ('P0001', 'B1', 'R1', '2026-01-01', 'rules', '-', 2)
    """)
    assert "is under way in batch B1" in refused(stage, "rejected")


# --- What settles by itself


@pytest.mark.parametrize("mode", ["live", "resume"])
def test_a_held_person_whose_lead_bears_their_id_is_settled_without_a_human(
    any_stage: Stage, mode: str
) -> None:
    hold_crowd(any_stage, 3)
    give_ids(any_stage, 1, 2)
    told = any_stage.sync(mode)
    assert any_stage.told() == {"created": 2, "held": 1}
    assert any_stage.outcomes()["P0002"]["lead_id"] == lead_of(any_stage, 2)
    assert (told["run"]["read_count"], told["run"]["created_count"]) == (2, 2)
    (row,) = any_stage.rows("select distinct is_automatic, resolved_by from resolutions")
    assert (bool(row["is_automatic"]), row["resolved_by"]) == (True, None)
    assert any_stage.miscounted_runs() == []


def test_a_lead_that_was_deleted_since_was_made_all_the_same(stage: Stage) -> None:
    hold_crowd(stage)
    give_ids(stage, 1)
    delete(stage, lead_of(stage))
    stage.sync()
    outcome = stage.outcomes()["P0001"]
    assert (outcome["outcome"], outcome["reason_code"]) == ("created", "LEAD_DELETED")
    assert stage.leads() == []


def delete(stage: Stage, lead_id: str) -> None:
    with connections.log_in_to(stage.settings().salesforce) as org:
        assert org._call("DELETE", f"sobjects/Lead/{lead_id}").status_code == 204


def test_a_deleted_lead_may_be_named_and_is_noted_as_such(stage: Stage) -> None:
    hold_crowd(stage)
    lead_id = lead_of(stage)
    delete(stage, lead_id)
    say(stage, f"created:{lead_id}")
    assert stage.outcomes()["P0001"]["reason_code"] == "LEAD_DELETED"


def test_a_run_for_one_person_settles_that_one_only(stage: Stage) -> None:
    hold_crowd(stage, 2)
    give_ids(stage, 1, 2)
    told = stage.sync("now", person_ids=("P0001",))
    assert stage.told() == {"created": 1, "held": 1}
    assert told["persons"][0]["lead_id"] == lead_of(stage)


def test_a_plan_settles_nobody(stage: Stage) -> None:
    hold_crowd(stage)
    give_ids(stage, 1)
    stage.sync("plan")
    assert stage.told() == {"held": 1}


def test_what_a_run_settled_stands_against_a_human(stage: Stage) -> None:
    hold_crowd(stage)
    give_ids(stage, 1)
    stage.sync("resume")
    assert "by a run that found the lead at 20" in refused(stage, "resend", salesforce={})
