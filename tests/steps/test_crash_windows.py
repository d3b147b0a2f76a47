"""The instants at which a run can be cut off, W1 to W25 of the design, and what holds each.

Whatever the window: everybody has one word, everybody created has one lead, every run adds up.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import flows
from pipelines.errors import (
    DeadlineReachedError,
    OrgRejectedError,
    OrgUnavailableError,
    TransientError,
)
from pipelines.run import connections
from pipelines.salesforce import ingest_jobs
from pipelines.steps import load, partition
from pipelines.steps.context import new_run_request
from tests.proxy import tampering_proxy
from tests.steps.scenario import Scenario, make_persons_of_one_strategy

pytestmark = pytest.mark.one_engine

HERE = "steps/test_crash_windows"
FAULTS = "steps/test_delivery_faults"
KILL = "steps/test_kill::test_a_killed_run_is_carried_on_with_nobody_lost_and_no_lead_twice"

# Window, what is cut off, and the tests that hold it (folder/file::test, beginnings will do).
WINDOWS = {
    "W1 before or during the claim": [
        "warehouse/test_claims::test_an_interrupted_slice_record_writes_nothing",
        KILL,
    ],
    "W2 claimed, no job": [f"{HERE}::test_w2"],
    "W3 job opened, its id lost": [
        f"{FAULTS}::test_an_impatient_run_stops_at_each_fault_and_a_resume_heals",
        "steps/test_unknown_jobs::test_a_job_left_open_for_two_hours_is_aborted_and_known",
    ],
    "W4 commit of the id unanswered: W3 or W5": [
        f"{FAULTS}::test_an_impatient_run_stops_at_each_fault_and_a_resume_heals",
        "warehouse/test_batches::test_a_step_of_a_batch_that_has_moved_on_changes_nothing",
    ],
    "W5 upload in doubt": [
        f"{FAULTS}::test_an_impatient_run_stops_at_each_fault_and_a_resume_heals"
    ],
    "W6 intent to close recorded, close not sent": [f"{HERE}::test_w6_w7"],
    "W7 close sent, answer lost": [f"{HERE}::test_w6_w7"],
    "W8 job at work, process dead": [
        "steps/test_now_and_nightly::test_what_a_killed_now_has_left_open_the_nightly_run_carries",
        KILL,
    ],
    "W9 results unread, half read, cut short": [
        f"{FAULTS}::test_answers_that_stay_away_for_long_stop_an_impatient_run",
    ],
    "W10 commit of the outcomes unanswered: W9 or W11": [
        f"{FAULTS}::test_answers_that_stay_away_for_long_stop_an_impatient_run",
        "warehouse/test_batches::test_a_step_is_taken_once",
    ],
    "W11 settled, not reported": [f"{HERE}::test_w11"],
    "W12 job failed part way": [
        f"{FAULTS}::test_a_job_that_leaves_some_over_is_followed_by_another_for_them",
    ],
    "W13 job aborted by an administrator": [
        f"{FAULTS}::test_a_chunk_that_lands_after_the_abort_makes_no_second_lead",
    ],
    "W14 results that do not add up": [f"{HERE}::test_w14"],
    "W15 job gone after the close": [
        f"{FAULTS}::test_a_job_that_the_org_has_forgotten_is_found_out_by_the_person_id_field",
        f"{FAULTS}::test_without_the_field_the_persons_of_a_forgotten_job_are_held_for_a_human",
        "steps/test_resolve::test_a_held_person_whose_lead_bears_their_id_is_settled_without",
    ],
    "W16 job gone before the close": [f"{HERE}::test_w16"],
    "W17 job queued for long": [f"{HERE}::test_w17"],
    "W18 a frozen process wakes after a take-over": [
        "warehouse/test_batches::test_a_take_over_shuts_out_the_old_run",
        "warehouse/test_concurrency::test_results_and_a_take_over_never_both_have_the_batch",
        f"{HERE}::test_w18",
    ],
    "W19 clocks that differ": [
        "warehouse/test_batches::test_a_lease_is_renewed_by_the_clock_of_the_database",
    ],
    "W20 ledger restored from yesterday": [
        "steps/test_unknown_jobs::test_a_restored_ledger_stops_the_run_and_names_the_jobs",
        "steps/test_unknown_jobs::test_with_the_field_a_restored_ledger_is_found_out_person_by",
    ],
    "W21 another org": [
        f"{HERE}::test_w21",
        "warehouse/test_runs::test_another_org_is_refused_and_both_are_named",
    ],
    "W22 lead deleted before the results are read": [
        f"{HERE}::test_w22",
        "steps/test_resolve::test_a_lead_that_was_deleted_since_was_made_all_the_same",
    ],
    "W23 session ends in the middle": [f"{FAULTS}::test_a_run_heals_itself_of_a_fault_on_the_wire"],
    "W24 source row changed after the claim": [f"{HERE}::test_w24"],
    "W25 job spoiled: close refused and yet open": [f"{HERE}::test_w25"],
}
ALONE = {"salesforce": {"person_id_field": ""}}
EITHER = pytest.mark.parametrize("groups", [{}, ALONE], ids=["with the field", "alone"])
IMPATIENT = {"run": {"retry_timeout_seconds": 0, "poll_seconds": 0.05}}
NEVER: Callable[[str], bool] = lambda _request: False  # noqa: E731 - a word for it


class CutOff(BaseException):
    """The process ends here."""


def cut_off_after(scenario: Scenario, step: Callable[..., int], **groups: Any) -> None:
    """A run of which nothing happens after this step."""

    def perform(wanted: Callable[..., Any], *arguments: Any) -> Any:
        count = wanted(*arguments)
        if wanted is step:
            raise CutOff
        return count

    with pytest.raises(CutOff):
        flows.sync(scenario.settings(**groups), new_run_request("live"), perform)


def cut_off_at(scenario: Scenario, request: str, fault: str, **groups: Any) -> None:
    """A run that gives up when this request has gone wrong."""
    scenario.emulator.go_wrong({"match": request, "fault": fault})
    with pytest.raises(TransientError):
        scenario.sync(**{**groups, **IMPATIENT})


def batch_states(scenario: Scenario) -> list[str]:
    return [row["batch_state"] for row in scenario.rows("select batch_state from lead_batches")]


def prepare(scenario: Scenario, count: int = 3, extra: str = "", **_groups: Any) -> None:
    scenario.set_org(extra)
    scenario.put_frame(make_persons_of_one_strategy(count))


def assert_sound(scenario: Scenario, count: int = 3, **told: int) -> None:
    assert scenario.outcome_counts() == (told or {"created": count})
    assert (scenario.unaccounted(), scenario.under_way(), scenario.miscounted_runs()) == (
        [],
        [],
        [],
    )


def test_every_window_is_held_by_tests_there_are() -> None:
    assert [name.split()[0] for name in WINDOWS] == [f"W{n}" for n in range(1, 26)]
    for window, tests in WINDOWS.items():
        for place in tests:
            file, _, name = place.partition("::")
            tree = ast.parse((Path(__file__).parents[1] / f"{file}.py").read_text("utf-8"))
            there = [one.name for one in tree.body if isinstance(one, ast.FunctionDef)]
            assert any(one.startswith(name) for one in there), (window, place)


@EITHER
def test_w2_what_was_claimed_is_sent_by_the_next_run(any_scenario: Scenario, groups: Any) -> None:
    prepare(any_scenario)
    cut_off_after(any_scenario, partition.partition_slice, **groups)
    assert (batch_states(any_scenario), any_scenario.leads()) == (["pending"], [])
    any_scenario.sync("resume", **groups)
    assert_sound(any_scenario)


@EITHER
@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "status:500_after"])
def test_w6_w7_a_close_in_doubt_is_sent_again_and_the_job_never_aborted(
    scenario: Scenario, fault: str, groups: Any
) -> None:
    prepare(scenario)
    cut_off_at(scenario, "PATCH /jobs/ingest/*", fault, **groups)
    assert batch_states(scenario) == ["submitted"]
    scenario.sync("resume", **groups)
    assert [job["state"] for job in scenario.emulator.held("jobs")] == ["JobComplete"]
    assert_sound(scenario)


def test_w11_outcomes_written_by_a_run_that_never_reported_are_told(any_scenario: Scenario) -> None:
    prepare(any_scenario)
    cut_off_after(any_scenario, load.reconcile_batches)
    any_scenario.sync("resume")
    assert_sound(any_scenario)
    (run,) = any_scenario.rows(
        "select run_state, created_count from sync_runs where read_count = 3"
    )
    assert tuple(run.values()) == ("failed", 3)


def one_line_short(path: str, body: bytes) -> bytes:
    """The results of the successful rows without the last of them."""
    if not path.rstrip("/").endswith("successfulResults"):
        return body
    return b"".join(body.splitlines(keepends=True)[:-1])


@EITHER
def test_w14_whom_the_results_leave_out_is_asked_for_or_held(
    scenario: Scenario, groups: Any
) -> None:
    prepare(scenario)
    with tampering_proxy(scenario.emulator.url, repeat=NEVER, change=one_line_short) as url:
        scenario.sync(salesforce={**groups.get("salesforce", {}), "emulator_url": url})
    assert len(scenario.leads()) == 3
    if groups:
        assert scenario.outcome_counts("reason_code") == {None: 2, "RESULT_MISSING": 1}
    else:
        assert_sound(scenario)


@EITHER
def test_w16_a_job_gone_before_its_close_had_made_nothing(scenario: Scenario, groups: Any) -> None:
    prepare(scenario)
    cut_off_at(scenario, "PUT /jobs/ingest/*/batches", "drop_after", **groups)
    (job,) = scenario.emulator.held("jobs")
    with connections.log_in_to(scenario.settings().salesforce) as org:
        ingest_jobs.abort_job(org, job["id"])
        org._call("DELETE", f"jobs/ingest/{job['id']}")
        assert ingest_jobs.job_status(org, job["id"]) is None
    scenario.sync("resume", **groups)
    assert_sound(scenario)


def test_w17_a_job_that_is_queued_for_long_is_waited_for_and_no_second_made(
    scenario: Scenario,
) -> None:
    prepare(scenario, extra="\n[behaviour]\nqueue_seconds = 2.5\n")
    cut_off_at(scenario, "PATCH /jobs/ingest/*", "drop_after", **ALONE)
    with pytest.raises(DeadlineReachedError, match="1 batches open"):
        scenario.sync("resume", **ALONE, run={"deadline_minutes": 0.0001})
    scenario.sync("resume", **ALONE)
    assert len(scenario.emulator.held("jobs")) == 1
    assert_sound(scenario)


@EITHER
def test_w18_a_run_that_wakes_after_a_take_over_touches_nothing_more(
    scenario: Scenario, groups: Any
) -> None:
    prepare(scenario)

    def perform(step: Callable[..., Any], *arguments: Any) -> Any:
        if step is load.load_batches:  # asleep between the claim and the job; its lease runs out
            scenario.run("update lead_batches set lease_until = '2026-01-01 00:00:00.000000'")
            scenario.sync("resume", **groups)
        return step(*arguments)

    told = flows.sync(scenario.settings(**groups), new_run_request("live"), perform)
    assert (told["run"]["created_count"], told["run"]["open_count"]) == (3, 0)
    assert_sound(scenario)


def test_w21_another_org_stops_the_run_before_anything_is_asked_of_it(scenario: Scenario) -> None:
    prepare(scenario)
    scenario.sync()
    scenario.run("update sync_orgs set org_id = '00D000000000001AAA', org_name = 'Production'")
    scenario.put("person_id | last_name | company\nN1 | New | Engines")
    already = len(scenario.emulator.served())
    with pytest.raises(
        Exception, match=r"belongs to org 00D000000000001AAA \(Production\)"
    ) as told:
        scenario.sync()
    assert getattr(told.value, "exit_code", None) == 4
    asked = [line.split("?")[0] for line in scenario.emulator.served()[already:]]
    assert [line.split()[0] for line in asked] == ["POST", "GET"], asked  # login, which org it is


@EITHER
def test_w22_a_lead_deleted_before_its_result_is_read_is_not_made_again(
    scenario: Scenario, groups: Any
) -> None:
    prepare(scenario)
    cut_off_at(scenario, "PATCH /jobs/ingest/*", "drop_after", **groups)
    with connections.log_in_to(scenario.settings().salesforce) as org:
        while len(scenario.leads()) < 3:
            pass
        org._call("DELETE", f"sobjects/Lead/{scenario.leads()[0]['Id']}")
    scenario.sync("resume", **groups)
    scenario.sync(**groups)
    assert scenario.outcome_counts() == {"created": 3}
    assert len(scenario.leads()) == 2


@EITHER
def test_w24_a_row_that_changes_before_the_close_is_sent_as_it_is_now_and_once(
    any_scenario: Scenario, groups: Any
) -> None:
    prepare(any_scenario)
    cut_off_after(any_scenario, partition.partition_slice, **groups)
    any_scenario.run("update persons set company = 'Looms' where person_id = 'P0002'")
    any_scenario.sync("resume", **groups)
    assert any_scenario.outcome_counts() == {"created": 2}
    any_scenario.sync(**groups)
    assert_sound(any_scenario)
    assert sorted(lead["Company"] for lead in any_scenario.leads()) == [
        "Engines",
        "Engines",
        "Looms",
    ]


def first_upload() -> Callable[[str], bool]:
    """Whether a request is the first upload of all."""
    seen: list[str] = []

    def is_first(request: str) -> bool:
        if request.startswith("PUT") and request.endswith("/batches"):
            seen.append(request)
        return seen == [request]

    return is_first


@EITHER
def test_w25_a_job_that_can_neither_start_nor_end_is_given_up_for_another(
    scenario: Scenario, groups: Any
) -> None:
    prepare(scenario, extra='\n[behaviour]\nsecond_put = "close"\n')
    with tampering_proxy(scenario.emulator.url, repeat=first_upload()) as url:
        salesforce = {**groups.get("salesforce", {}), "emulator_url": url}
        scenario.sync(salesforce=salesforce)
    states = sorted(job["state"] for job in scenario.emulator.held("jobs"))
    assert states == ["Aborted", "JobComplete"]
    assert_sound(scenario)


@EITHER
def test_w25_where_every_upload_is_repeated_the_run_ends_and_nothing_is_lost(
    scenario: Scenario, groups: Any
) -> None:
    prepare(scenario, extra='\n[behaviour]\nsecond_put = "close"\n')
    soon = {"retry_timeout_seconds": 0.5, "poll_seconds": 0.05}
    with tampering_proxy(
        scenario.emulator.url, repeat=lambda request: request.startswith("PUT")
    ) as url:
        salesforce = {**groups.get("salesforce", {}), "emulator_url": url}
        with pytest.raises(OrgUnavailableError, match="did not start"):
            scenario.sync(salesforce=salesforce, run=soon)
    scenario.sync("resume", **groups)
    assert_sound(scenario)


@EITHER
def test_w25_a_close_refused_for_another_reason_leaves_the_word_to_the_job(
    scenario: Scenario, groups: Any
) -> None:
    prepare(scenario)
    close = {"match": "PATCH /jobs/ingest/*", "fault": "status:400", "count": 2}
    scenario.emulator.go_wrong(close)
    scenario.sync(**groups)
    states = sorted(job["state"] for job in scenario.emulator.held("jobs"))
    assert states == ["Aborted", "JobComplete"]
    assert_sound(scenario)


@EITHER
def test_w25_a_job_that_cannot_be_aborted_is_not_given_up(scenario: Scenario, groups: Any) -> None:
    prepare(scenario)
    stale = itertools.count()

    def still_open(path: str, body: bytes) -> bytes:
        # As from a replica that is behind: the job is over, and its state reads as Open.
        if b'"JobComplete"' in body and path.rpartition("/")[2].isalnum() and next(stale) < 2:
            return body.replace(b'"JobComplete"', b'"Open"')
        return body

    with tampering_proxy(scenario.emulator.url, repeat=NEVER, change=still_open) as url:
        salesforce = {**groups.get("salesforce", {}), "emulator_url": url}
        scenario.sync(salesforce=salesforce)
    assert next(stale) >= 2
    assert [job["state"] for job in scenario.emulator.held("jobs")] == ["JobComplete"]
    assert_sound(scenario)


def test_w25_an_upload_refused_because_it_was_repeated_is_made_anew_by_the_next_run(
    scenario: Scenario,
) -> None:
    prepare(scenario)
    with tampering_proxy(scenario.emulator.url, repeat=first_upload()) as url:
        with pytest.raises(OrgRejectedError, match="INVALIDJOB"):
            scenario.sync(salesforce={"emulator_url": url})
        scenario.sync("resume", salesforce={"emulator_url": url})
    assert_sound(scenario)
