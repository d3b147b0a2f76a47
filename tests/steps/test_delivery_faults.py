"""Things go wrong on the way to the org: each kind of request, each fault, and jobs that fail, are
aborted, meet locks or vanish. Whatever happens: never twice, never lost.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pipelines.errors import OrgRejectedError, TransientError
from pipelines.run import summaries
from pipelines.steps.reconcile import MAX_ATTEMPTS
from tests.steps.scenario import Stage, crowd

REQUESTS = {
    "create job": "POST /jobs/ingest",
    "upload": "PUT /jobs/ingest/*/batches",
    "close": "PATCH /jobs/ingest/*",
    "poll": "GET /jobs/ingest/*",
    "results": "GET /jobs/ingest/*Results/",
    "collections": "POST /composite/sobjects",
    "read-back": "POST /composite/sobjects/Lead",
}
FAULTS = [
    *("drop_before", "drop_after", "status:503"),
    *("status:500_after", "expire_session", "truncate"),
]
UNREPEATED = ["create job", "upload", "close", "collections", "read-back"]
BREAKING = ["drop_before", "drop_after", "status:500_after"]
WITHOUT = {"salesforce": {"person_id_field": ""}}
IMPATIENT = {"run": {"retry_timeout_seconds": 0, "poll_seconds": 0.05}}
KNOWN_CONTACT = '\n[[contact]]\nLastName = "Known"\nEmail = "p2@crowd.example"\n'
# Of eight, one goes to a queue and is a contact already: she travels by collections.
COUNT = 8


def prepare(stage: Stage, *, has_field: bool = True, count: int = COUNT) -> None:
    """An org and a crowd; with the person-id field also somebody who travels by collections."""
    stage.set_org(KNOWN_CONTACT if has_field else "", person_id_field=has_field)
    stage.put_frame(crowd(count))


def one_strategy(count: int) -> Any:
    """A crowd that travels in one job."""
    return crowd(count).assign(owner_strategy=None)


def known_leads(count: int) -> str:
    """The crowd as leads that the org has already."""
    lead = '\n[[lead]]\nLastName = "Old"\nCompany = "Old"\nEmail = "p{}@crowd.example"\n'
    return "".join(lead.format(number) for number in range(1, count + 1))


def assert_each_has_one_lead(stage: Stage, count: int = COUNT) -> None:
    """Everybody is created, and the org has exactly one lead for each."""
    assert stage.told() == {"created": count}
    assert (stage.unaccounted(), stage.under_way()) == ([], [])
    assert set(Counter(lead["Email"] for lead in stage.leads()).values()) == {1}
    assert stage.miscounted_runs() == []


# --- On the wire


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", REQUESTS)
def test_a_run_heals_itself_of_a_fault_on_the_wire(stage: Stage, kind: str, fault: str) -> None:
    prepare(stage)
    stage.emulator.go_wrong({"match": REQUESTS[kind], "fault": fault})
    told = stage.sync()
    assert told["run"]["run_state"] == "finished"
    assert_each_has_one_lead(stage)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["create job", "upload", "close"])
def test_so_it_does_where_the_ledger_stands_alone(stage: Stage, kind: str, fault: str) -> None:
    prepare(stage, has_field=False)
    stage.emulator.go_wrong({"match": REQUESTS[kind], "fault": fault})
    stage.sync(**WITHOUT)
    assert_each_has_one_lead(stage)


@pytest.mark.parametrize("fault", BREAKING)
@pytest.mark.parametrize("kind", UNREPEATED)
def test_an_impatient_run_stops_and_a_resume_heals(stage: Stage, kind: str, fault: str) -> None:
    prepare(stage)
    stage.emulator.go_wrong({"match": REQUESTS[kind], "fault": fault})
    with pytest.raises(TransientError):
        stage.sync(**IMPATIENT)
    stage.sync("resume")
    assert_each_has_one_lead(stage)


@pytest.mark.parametrize(("kind", "fault"), [("poll", "drop_after"), ("results", "truncate")])
def test_answers_that_stay_away_for_long_stop_an_impatient_run(
    any_stage: Stage, kind: str, fault: str
) -> None:
    prepare(any_stage)
    any_stage.emulator.go_wrong({"match": REQUESTS[kind], "fault": fault, "count": 4})
    with pytest.raises(TransientError):
        any_stage.sync(**IMPATIENT)
    any_stage.sync("resume")
    assert_each_has_one_lead(any_stage)


@pytest.mark.parametrize("kind", ["create job", "upload", "close", "collections"])
def test_a_fault_that_comes_again_and_again_heals_too(any_stage: Stage, kind: str) -> None:
    prepare(any_stage)
    any_stage.emulator.go_wrong({"match": REQUESTS[kind], "fault": "drop_after", "count": 3})
    any_stage.sync()
    assert_each_has_one_lead(any_stage)


def test_a_lost_answer_to_the_deliberate_duplicate_holds_her_where_nobody_can_know(
    any_stage: Stage,
) -> None:
    any_stage.set_org(KNOWN_CONTACT, person_id_field=False)
    any_stage.put_frame(crowd(2))
    any_stage.emulator.go_wrong({"match": REQUESTS["collections"], "fault": "drop_after"})
    told = any_stage.sync(**WITHOUT)
    assert any_stage.told() == {"created": 1, "held": 1}
    assert "RESPONSE_LOST" in any_stage.told("reason_code")
    assert [lead["Email"] for lead in any_stage.leads()].count("p2@crowd.example") == 1
    assert summaries.exit_code(told, 0.2) == 1
    again = any_stage.sync(**WITHOUT)
    assert again["run"]["read_count"] == 0


def test_a_collections_call_refused_as_a_whole_made_nothing_and_holds_nobody(
    any_stage: Stage,
) -> None:
    any_stage.set_org(KNOWN_CONTACT, person_id_field=False)
    any_stage.put_frame(crowd(2))
    any_stage.emulator.go_wrong({"match": REQUESTS["collections"], "fault": "status:400"})
    with pytest.raises(OrgRejectedError):
        any_stage.sync(**WITHOUT)
    any_stage.sync("resume", **WITHOUT)
    assert_each_has_one_lead(any_stage, 2)


@pytest.mark.parametrize("status", [403, 429])
def test_a_collections_call_refused_for_a_while_goes_out_again(
    any_stage: Stage, status: int
) -> None:
    any_stage.set_org(KNOWN_CONTACT, person_id_field=False)
    any_stage.put_frame(crowd(2))
    refused = {"match": REQUESTS["collections"], "fault": f"status:{status}", "count": 7}
    any_stage.emulator.go_wrong(refused)
    any_stage.sync(**WITHOUT)
    assert_each_has_one_lead(any_stage, 2)


# --- Jobs: 250 persons are two chunks of the org's


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize("fault", ["lock_rows:1", "fail_after_chunk:0"])
def test_uploads_that_were_lost_use_up_no_attempt(
    stage: Stage, fault: str, has_field: bool
) -> None:
    stage.set_org(person_id_field=has_field)
    stage.put_frame(one_strategy(COUNT))
    lost = {"match": REQUESTS["upload"], "fault": "drop_before", "count": MAX_ATTEMPTS}
    stage.emulator.go_wrong(lost, {"job": f"nth:{MAX_ATTEMPTS + 1}", "fault": fault})
    stage.sync(**({} if has_field else WITHOUT))
    assert_each_has_one_lead(stage)


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize(
    "fault",
    [
        *("fail_after_chunk:0", "fail_after_chunk:1"),
        *("abort_after_chunk:0", "abort_after_chunk:1", "lock_rows:5"),
    ],
)
def test_a_job_that_leaves_some_over_is_followed_by_another_for_them(
    stage: Stage, fault: str, has_field: bool
) -> None:
    stage.set_org(person_id_field=has_field)
    stage.put_frame(one_strategy(250))
    stage.emulator.go_wrong({"job": "nth:1", "fault": fault})
    stage.sync(**({} if has_field else WITHOUT))
    assert_each_has_one_lead(stage, 250)
    assert len(stage.rows("select * from salesforce_jobs")) == 2


def test_a_chunk_that_lands_after_the_abort_makes_no_second_lead(any_stage: Stage) -> None:
    any_stage.set_org("\n[behaviour]\nlate_chunk_after_abort = true\n")
    any_stage.put_frame(one_strategy(450))
    any_stage.emulator.go_wrong({"job": "nth:1", "fault": "abort_after_chunk:1"})
    any_stage.sync()
    assert_each_has_one_lead(any_stage, 450)


def test_rows_locked_at_every_attempt_are_rejected_and_said_to_be_retryable(
    any_stage: Stage,
) -> None:
    any_stage.put_frame(one_strategy(6))
    any_stage.emulator.go_wrong({"job": "nth:1", "fault": "lock_rows:2", "count": 9})
    any_stage.sync()
    assert any_stage.told() == {"created": 4, "rejected": 2}
    (why,) = any_stage.rows("select distinct rule_name, is_retryable from rejected_persons")
    assert (why["rule_name"], bool(why["is_retryable"])) == ("UNABLE_TO_LOCK_ROW", True)
    assert any_stage.unaccounted() == []


def test_a_job_that_the_org_has_forgotten_is_found_out_by_the_person_id_field(
    any_stage: Stage,
) -> None:
    any_stage.put_frame(one_strategy(250))
    any_stage.emulator.go_wrong({"job": "nth:1", "fault": "forget"})
    told = any_stage.sync()
    assert summaries.exit_code(told, 0.2) == 0
    assert_each_has_one_lead(any_stage, 250)


def test_a_job_forgotten_half_way_is_found_out_and_the_rest_sent_again(any_stage: Stage) -> None:
    any_stage.put_frame(one_strategy(250))
    any_stage.emulator.go_wrong(
        {"job": "nth:1", "fault": "fail_after_chunk:1"}, {"job": "nth:1", "fault": "forget"}
    )
    any_stage.sync()
    assert_each_has_one_lead(any_stage, 250)


def test_without_the_field_the_persons_of_a_forgotten_job_are_held_for_a_human(
    any_stage: Stage,
) -> None:
    any_stage.set_org(person_id_field=False)
    any_stage.put_frame(one_strategy(250))
    any_stage.emulator.go_wrong({"job": "nth:1", "fault": "forget"})
    told = any_stage.sync(**WITHOUT)
    assert any_stage.told("reason_code") == {"JOB_GONE": 250}
    assert (told["run"]["held_count"], summaries.exit_code(told, 0.2)) == (250, 1)
    assert len(any_stage.leads()) == 250
    again = any_stage.sync(**WITHOUT)
    assert (again["run"]["read_count"], len(any_stage.leads())) == (0, 250)


# --- Updates may always be repeated


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize(
    "fault", ["forget", "fail_after_chunk:0", "abort_after_chunk:0", "lock_rows:3"]
)
def test_an_update_whose_job_goes_wrong_is_made_again(
    stage: Stage, fault: str, has_field: bool
) -> None:
    stage.set_org(known_leads(5), person_id_field=has_field)
    stage.put_frame(crowd(5))
    stage.emulator.go_wrong({"job": "nth:1", "fault": fault})
    updating = {"matching": {"existing_lead": "update"}}
    stage.sync(**updating, **({} if has_field else WITHOUT))
    assert stage.told() == {"updated": 5}
    assert {lead["Company"] for lead in stage.leads()} == {"Engines"}
    assert (len(stage.leads()), stage.unaccounted()) == (5, [])


@pytest.mark.parametrize("fault", ["drop_after", "status:500_after", "expire_session"])
@pytest.mark.parametrize("kind", ["upload", "close", "poll"])
def test_an_update_heals_itself_of_a_fault_on_the_wire(stage: Stage, kind: str, fault: str) -> None:
    stage.set_org(known_leads(5))
    stage.put_frame(crowd(5))
    stage.emulator.go_wrong({"match": REQUESTS[kind], "fault": fault})
    stage.sync(matching={"existing_lead": "update"})
    assert stage.told() == {"updated": 5}
    assert {lead["Company"] for lead in stage.leads()} == {"Engines"}
    assert len(stage.leads()) == 5
