"""Jobs of our login that the ledger does not know: a ledger restored from yesterday stops the run,
one left open by a run that was cut off is aborted where nobody else could have opened it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.errors import LedgerInconsistentError
from pipelines.run import checks, connections, lifecycle
from pipelines.salesforce import ingest_jobs
from pipelines.salesforce.session import Org
from pipelines.steps import unknown_jobs
from pipelines.steps.context import new_run_request
from pipelines.warehouse.database import open_warehouse
from tests.steps.scenario import Scenario, make_persons

pytestmark = pytest.mark.one_engine

FORGET = (
    *("person_outcomes", "person_emails", "lead_batches", "salesforce_jobs"),
    *("resolutions", "duplicate_persons", "sync_runs"),
)
ALONE = {"person_id_field": ""}


def restore_yesterday(scenario: Scenario) -> None:
    """The ledger as it was before it did anything."""
    for table in FORGET:
        scenario.run(f"delete from {table}")


def lose_a_run(scenario: Scenario, **salesforce: Any) -> None:
    """One person is made, and the ledger forgets it."""
    scenario.set_org(person_id_field=salesforce.get("person_id_field") != "")
    scenario.put_frame(make_persons(1).assign(email=None, owner_strategy=None))
    scenario.sync(salesforce=salesforce)
    restore_yesterday(scenario)


@pytest.fixture
def org(scenario: Scenario) -> Iterator[Org]:
    with connections.log_in_to(scenario.settings().salesforce) as org:
        yield org


def other_tools_job(
    org: Org, data: str = "LastName,Company\nOther,Tool\n", *, end: bool = True, **kind: str
) -> str:
    """The job of another tool that shares our login."""
    job = ingest_jobs.create_job(org, **{"operation": "insert", "sobject": "Lead", **kind})
    ingest_jobs.upload(org, job.job_id, data.encode())
    ingest_jobs.close_job(org, job.job_id)
    while end and not ((told := ingest_jobs.job_status(org, job.job_id)) and told.has_ended):
        pass
    return job.job_id


# --- A ledger restored from yesterday


@pytest.mark.parametrize("salesforce", [ALONE, {**ALONE, "dedicated_user": True}])
@pytest.mark.parametrize("mode", ["live", "resume", "now"])
def test_a_restored_ledger_stops_the_run_and_names_the_jobs_and_the_ways_out(
    scenario: Scenario, mode: str, salesforce: dict[str, Any]
) -> None:
    lose_a_run(scenario, **salesforce)
    (job,) = scenario.emulator.held("jobs")
    with pytest.raises(LedgerInconsistentError) as error:
        scenario.sync(mode, person_ids=("P0001",) if mode == "now" else None, salesforce=salesforce)
    assert error.value.exit_code == 4
    for words in (job["id"], "resume --accept-unknown-jobs", "salesforce.dedicated_user = false"):
        assert words in str(error.value)
    assert (len(scenario.leads()), scenario.outcomes_by_id()) == (1, {})


def test_with_the_field_a_restored_ledger_is_found_out_person_by_person(
    any_scenario: Scenario,
) -> None:
    lose_a_run(any_scenario)
    any_scenario.sync()
    assert (len(any_scenario.leads()), any_scenario.outcome_counts()) == (1, {"duplicate": 1})


def test_a_login_shared_with_other_tools_stops_nothing(scenario: Scenario, org: Org) -> None:
    other_tools_job(org)
    scenario.put_frame(make_persons(1))
    told = scenario.sync(salesforce={**ALONE, "dedicated_user": False})
    assert told["run"]["created_count"] == 1
    assert scenario.emulator.served("jobType") == []


def test_a_human_may_take_the_jobs_as_known(any_scenario: Scenario) -> None:
    lose_a_run(any_scenario, **ALONE)
    settings = any_scenario.settings(salesforce=ALONE)
    request = new_run_request("resume", accept_unknown_jobs=True)
    with lifecycle.open_run(settings, request) as run:
        lifecycle.close_run(run)
    (row,) = any_scenario.rows("select batch_id, end_state, processed_count from salesforce_jobs")
    assert tuple(row.values()) == ("NONE", "JobComplete", 1)
    assert any_scenario.sync(salesforce=ALONE)["run"]["read_count"] == 1


@pytest.mark.parametrize("sobject", ["Lead", "Contact"])
def test_a_job_that_makes_no_lead_stops_nothing(scenario: Scenario, org: Org, sobject: str) -> None:
    scenario.put_frame(make_persons(1))
    if sobject == "Lead":
        lead_id = org.post_json("sobjects/Lead", {"LastName": "Old", "Company": "Old"})["id"]
        other_tools_job(org, f"Id,Company\n{lead_id},New\n", operation="update")
    else:
        other_tools_job(org, "LastName\nOther\n", sobject="Contact")
    assert scenario.sync(salesforce=ALONE)["run"]["created_count"] == 1


def test_a_job_in_which_every_row_failed_stops_nothing(scenario: Scenario, org: Org) -> None:
    other_tools_job(org, "LastName\nNobody\n")
    assert scenario.sync(salesforce=ALONE)["run"]["run_state"] == "finished"


def test_a_job_still_at_work_stops_the_run(scenario: Scenario) -> None:
    scenario.set_org("[behaviour]\nqueue_seconds = 60\n")
    with connections.log_in_to(scenario.settings().salesforce) as org:
        job_id = other_tools_job(org, end=False)
    with pytest.raises(LedgerInconsistentError, match=job_id):
        scenario.sync(salesforce=ALONE)


def test_check_tells_of_them_too(scenario: Scenario) -> None:
    lose_a_run(scenario, **ALONE)
    (found,) = [
        one for one in checks.check(scenario.settings(salesforce=ALONE)) if one.subject == "jobs"
    ]
    assert (found.is_ok, found.exit_code) == (False, 4)


# --- Jobs left open


def later(hours: float) -> datetime:
    return datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=hours)


def leave_open(scenario: Scenario, org: Org) -> str:
    """A run was cut off between opening a job and recording it."""
    scenario.put_frame(make_persons(1))
    scenario.sync()
    return ingest_jobs.create_job(org, operation="insert", sobject="Lead").job_id


def test_a_job_left_open_stops_nothing_and_is_not_touched(scenario: Scenario, org: Org) -> None:
    job_id = leave_open(scenario, org)
    scenario.sync(salesforce=ALONE)
    told = ingest_jobs.job_status(org, job_id)
    assert told is not None
    assert told.state == "Open"


@pytest.mark.parametrize(("hours", "state"), [(1.9, "Open"), (2.1, "Aborted")])
def test_a_job_left_open_for_two_hours_is_aborted_and_known(
    scenario: Scenario, org: Org, hours: float, state: str
) -> None:
    job_id = leave_open(scenario, org)
    with open_warehouse(scenario.warehouse_url) as warehouse:
        found = unknown_jobs.find(org, warehouse)
        aborted = unknown_jobs.abort_orphans(org, warehouse, found, now=later(hours))
        left = unknown_jobs.find(org, warehouse)
    told = ingest_jobs.job_status(org, job_id)
    assert told is not None
    assert (told.state, aborted, len(left.open)) == (state, *((1, 0) if hours > 2 else (0, 1)))
    assert left.effective == left.harmless == []


def test_a_job_of_a_run_beside_this_is_no_orphan_however_old(scenario: Scenario, org: Org) -> None:
    scenario.put_frame(make_persons(1))
    scenario.emulator.go_wrong({"match": "PUT /jobs/ingest/*/batches", "fault": "drop_before"})
    with pytest.raises(Exception, match="answer"):
        scenario.sync(run={"retry_timeout_seconds": 0, "poll_seconds": 0.05})
    with open_warehouse(scenario.warehouse_url) as warehouse:
        assert unknown_jobs.find(org, warehouse).open == []


def test_a_run_of_a_login_of_our_own_aborts_what_is_old_enough_only(
    scenario: Scenario, org: Org
) -> None:
    job_id = leave_open(scenario, org)
    scenario.sync("resume", salesforce={"dedicated_user": True})
    told = ingest_jobs.job_status(org, job_id)
    assert told is not None
    assert told.state == "Open"  # a minute old: a run on another machine may be about to record it
