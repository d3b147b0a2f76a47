"""Things go wrong on the way to the org: each kind of request, each fault, and jobs that fail, are
aborted, meet locks or vanish. Whatever happens: never twice, never lost.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pipelines.errors import OrgRejectedError, TransientError
from pipelines.run import summaries
from pipelines.steps.job_results import MAX_ATTEMPTS
from tests.steps.scenario import Scenario, make_persons, make_persons_of_one_strategy

pytestmark = pytest.mark.one_engine

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
UNREPEATED = ("create job", "upload", "close", "collections", "read-back")
BREAKING = ["drop_before", "drop_after", "status:500_after"]
WITHOUT = {"salesforce": {"person_id_field": ""}}
IMPATIENT = {"run": {"retry_timeout_seconds": 0, "poll_seconds": 0.05}}
KNOWN_CONTACT = '\n[[contact]]\nLastName = "Known"\nEmail = "p2@persons.example"\n'
COUNT = 4


def prepare(scenario: Scenario, *, has_field: bool = True) -> None:
    """Set up an org and persons for one job, and one more person whom the org has as a contact.

    She goes to a queue, so her Lead is made by a collections call. Without the person-id field a
    lost answer to that call holds her, and she goes with the others.
    """
    scenario.set_org(KNOWN_CONTACT if has_field else "", person_id_field=has_field)
    persons = make_persons_of_one_strategy(COUNT)
    if has_field:
        persons.loc[persons["email"] == "p2@persons.example", "owner_strategy"] = "queue:Inbound"
    scenario.put_frame(persons)


def known_leads(count: int) -> str:
    """The persons as leads that the org has already."""
    lead = '\n[[lead]]\nLastName = "Old"\nCompany = "Old"\nEmail = "p{}@persons.example"\n'
    return "".join(lead.format(number) for number in range(1, count + 1))


def assert_each_has_one_lead(scenario: Scenario, count: int = COUNT) -> None:
    """Everybody is created, and the org has exactly one lead for each."""
    assert scenario.outcome_counts() == {"created": count}
    assert (scenario.unaccounted(), scenario.under_way()) == ([], [])
    assert set(Counter(lead["Email"] for lead in scenario.leads()).values()) == {1}
    assert scenario.miscounted_runs() == []


# --- On the wire


def kinds_of(*kinds: str) -> list[Any]:
    """Return parameters: all kinds at once, and each alone, which is slow and tells them apart."""
    alone = [pytest.param((kind,), id=kind, marks=pytest.mark.slow) for kind in kinds]
    return [pytest.param(kinds, id="every kind"), *alone]


def disturb(scenario: Scenario, kinds: tuple[str, ...], fault: str) -> None:
    """Let the first request of each kind meet the fault."""
    scenario.emulator.go_wrong(*({"match": REQUESTS[kind], "fault": fault} for kind in kinds))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kinds", kinds_of(*REQUESTS))
def test_a_run_heals_itself_of_a_fault_on_the_wire(
    scenario: Scenario, kinds: tuple[str, ...], fault: str
) -> None:
    prepare(scenario)
    disturb(scenario, kinds, fault)
    summary = scenario.sync()
    assert summary["run"]["run_state"] == "finished"
    assert_each_has_one_lead(scenario)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kinds", kinds_of("create job", "upload", "close"))
def test_so_it_does_where_the_ledger_stands_alone(
    scenario: Scenario, kinds: tuple[str, ...], fault: str
) -> None:
    prepare(scenario, has_field=False)
    disturb(scenario, kinds, fault)
    scenario.sync(**WITHOUT)
    assert_each_has_one_lead(scenario)


@pytest.mark.parametrize("fault", BREAKING)
def test_an_impatient_run_stops_at_each_fault_and_a_resume_heals(
    scenario: Scenario, fault: str
) -> None:
    prepare(scenario)
    disturb(scenario, UNREPEATED, fault)
    with pytest.raises(TransientError):
        scenario.sync(**IMPATIENT)
    for _ in UNREPEATED[1:]:
        with pytest.raises(TransientError):
            scenario.sync("resume", **IMPATIENT)
    scenario.sync("resume", **IMPATIENT)
    assert_each_has_one_lead(scenario)


@pytest.mark.parametrize(("kind", "fault"), [("poll", "drop_after"), ("results", "truncate")])
def test_answers_that_stay_away_for_long_stop_an_impatient_run(
    scenario: Scenario, kind: str, fault: str
) -> None:
    prepare(scenario)
    scenario.emulator.go_wrong({"match": REQUESTS[kind], "fault": fault, "count": 4})
    with pytest.raises(TransientError):
        scenario.sync(**IMPATIENT)
    scenario.sync("resume")
    assert_each_has_one_lead(scenario)


@pytest.mark.parametrize("kind", ["create job", "upload", "close", "collections"])
def test_a_fault_that_comes_again_and_again_heals_too(scenario: Scenario, kind: str) -> None:
    prepare(scenario)
    scenario.emulator.go_wrong({"match": REQUESTS[kind], "fault": "drop_after", "count": 3})
    scenario.sync()
    assert_each_has_one_lead(scenario)


def test_a_lost_answer_to_the_deliberate_duplicate_holds_her_where_nobody_can_know(
    scenario: Scenario,
) -> None:
    scenario.set_org(KNOWN_CONTACT, person_id_field=False)
    scenario.put_frame(make_persons(2))
    scenario.emulator.go_wrong({"match": REQUESTS["collections"], "fault": "drop_after"})
    summary = scenario.sync(**WITHOUT)
    assert scenario.outcome_counts() == {"created": 1, "held": 1}
    assert "RESPONSE_LOST" in scenario.outcome_counts("reason_code")
    assert [lead["Email"] for lead in scenario.leads()].count("p2@persons.example") == 1
    assert summaries.exit_code(summary, 0.2) == 1
    again = scenario.sync(**WITHOUT)
    assert again["run"]["read_count"] == 0


def test_a_collections_call_refused_as_a_whole_made_nothing_and_holds_nobody(
    scenario: Scenario,
) -> None:
    scenario.set_org(KNOWN_CONTACT, person_id_field=False)
    scenario.put_frame(make_persons(2))
    scenario.emulator.go_wrong({"match": REQUESTS["collections"], "fault": "status:400"})
    with pytest.raises(OrgRejectedError):
        scenario.sync(**WITHOUT)
    scenario.sync("resume", **WITHOUT)
    assert_each_has_one_lead(scenario, 2)


@pytest.mark.parametrize("status", [403, 429])
def test_a_collections_call_refused_for_a_while_goes_out_again(
    scenario: Scenario, status: int
) -> None:
    scenario.set_org(KNOWN_CONTACT, person_id_field=False)
    scenario.put_frame(make_persons(2))
    refused = {"match": REQUESTS["collections"], "fault": f"status:{status}", "count": 7}
    scenario.emulator.go_wrong(refused)
    scenario.sync(**WITHOUT)
    assert_each_has_one_lead(scenario, 2)


# --- Jobs: 250 persons are two chunks of the org's


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize("fault", ["lock_rows:1", "fail_after_chunk:0"])
def test_uploads_that_were_lost_use_up_no_attempt(
    scenario: Scenario, fault: str, has_field: bool
) -> None:
    scenario.set_org(person_id_field=has_field)
    scenario.put_frame(make_persons_of_one_strategy(COUNT))
    lost = {"match": REQUESTS["upload"], "fault": "drop_before", "count": MAX_ATTEMPTS}
    scenario.emulator.go_wrong(lost, {"job": f"nth:{MAX_ATTEMPTS + 1}", "fault": fault})
    scenario.sync(**({} if has_field else WITHOUT))
    assert_each_has_one_lead(scenario)


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize(
    "fault",
    [
        *("fail_after_chunk:0", "fail_after_chunk:1"),
        *("abort_after_chunk:0", "abort_after_chunk:1", "lock_rows:5"),
    ],
)
def test_a_job_that_leaves_some_over_is_followed_by_another_for_them(
    scenario: Scenario, fault: str, has_field: bool
) -> None:
    scenario.set_org(person_id_field=has_field)
    scenario.put_frame(make_persons_of_one_strategy(250))
    scenario.emulator.go_wrong({"job": "nth:1", "fault": fault})
    scenario.sync(**({} if has_field else WITHOUT))
    assert_each_has_one_lead(scenario, 250)
    assert len(scenario.rows("select * from salesforce_jobs")) == 2


def test_a_chunk_that_lands_after_the_abort_makes_no_second_lead(any_scenario: Scenario) -> None:
    any_scenario.set_org("\n[behaviour]\nlate_chunk_after_abort = true\n")
    any_scenario.put_frame(make_persons_of_one_strategy(450))
    any_scenario.emulator.go_wrong({"job": "nth:1", "fault": "abort_after_chunk:1"})
    any_scenario.sync()
    assert_each_has_one_lead(any_scenario, 450)


def test_rows_locked_at_every_attempt_are_rejected_and_said_to_be_retryable(
    any_scenario: Scenario,
) -> None:
    any_scenario.put_frame(make_persons_of_one_strategy(6))
    any_scenario.emulator.go_wrong({"job": "nth:1", "fault": "lock_rows:2", "count": 9})
    any_scenario.sync()
    assert any_scenario.outcome_counts() == {"created": 4, "rejected": 2}
    (why,) = any_scenario.rows("select distinct rule_name, is_retryable from rejected_persons")
    assert (why["rule_name"], bool(why["is_retryable"])) == ("UNABLE_TO_LOCK_ROW", True)
    assert any_scenario.unaccounted() == []


def test_a_job_that_the_org_has_forgotten_is_found_out_by_the_person_id_field(
    any_scenario: Scenario,
) -> None:
    any_scenario.put_frame(make_persons_of_one_strategy(250))
    any_scenario.emulator.go_wrong({"job": "nth:1", "fault": "forget"})
    summary = any_scenario.sync()
    assert summaries.exit_code(summary, 0.2) == 0
    assert_each_has_one_lead(any_scenario, 250)


def test_a_job_forgotten_half_way_is_found_out_and_the_rest_sent_again(
    any_scenario: Scenario,
) -> None:
    any_scenario.put_frame(make_persons_of_one_strategy(250))
    any_scenario.emulator.go_wrong(
        {"job": "nth:1", "fault": "fail_after_chunk:1"}, {"job": "nth:1", "fault": "forget"}
    )
    any_scenario.sync()
    assert_each_has_one_lead(any_scenario, 250)


def test_without_the_field_the_persons_of_a_forgotten_job_are_held_for_a_human(
    any_scenario: Scenario,
) -> None:
    any_scenario.set_org(person_id_field=False)
    any_scenario.put_frame(make_persons_of_one_strategy(250))
    any_scenario.emulator.go_wrong({"job": "nth:1", "fault": "forget"})
    summary = any_scenario.sync(**WITHOUT)
    assert any_scenario.outcome_counts("reason_code") == {"JOB_GONE": 250}
    assert (summary["run"]["held_count"], summaries.exit_code(summary, 0.2)) == (250, 1)
    assert len(any_scenario.leads()) == 250
    again = any_scenario.sync(**WITHOUT)
    assert (again["run"]["read_count"], len(any_scenario.leads())) == (0, 250)


# --- Updates may always be repeated


@pytest.mark.parametrize("has_field", [True, False], ids=["with the field", "without the field"])
@pytest.mark.parametrize(
    "fault", ["forget", "fail_after_chunk:0", "abort_after_chunk:0", "lock_rows:3"]
)
def test_an_update_whose_job_goes_wrong_is_made_again(
    scenario: Scenario, fault: str, has_field: bool
) -> None:
    scenario.set_org(known_leads(5), person_id_field=has_field)
    scenario.put_frame(make_persons(5))
    scenario.emulator.go_wrong({"job": "nth:1", "fault": fault})
    updating = {"matching": {"existing_lead": "update"}}
    scenario.sync(**updating, **({} if has_field else WITHOUT))
    assert scenario.outcome_counts() == {"updated": 5}
    assert {lead["Company"] for lead in scenario.leads()} == {"Engines"}
    assert (len(scenario.leads()), scenario.unaccounted()) == (5, [])


@pytest.mark.parametrize("fault", ["drop_after", "status:500_after", "expire_session"])
@pytest.mark.parametrize("kinds", kinds_of("upload", "close", "poll"))
def test_an_update_heals_itself_of_a_fault_on_the_wire(
    scenario: Scenario, kinds: tuple[str, ...], fault: str
) -> None:
    scenario.set_org(known_leads(5))
    scenario.put_frame(make_persons(5))
    disturb(scenario, kinds, fault)
    scenario.sync(matching={"existing_lead": "update"})
    assert scenario.outcome_counts() == {"updated": 5}
    assert {lead["Company"] for lead in scenario.leads()} == {"Engines"}
    assert len(scenario.leads()) == 5
