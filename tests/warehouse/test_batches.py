"""A batch moves step by step, only under the lease of its run, until each person has an outcome."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pipelines.errors import LeaseLostError, LedgerInconsistentError
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.reports import open_batches
from tests.warehouse.ledger_steps import (
    begin,
    cells,
    change,
    is_consistent,
    pending,
    record_decisions,
    results,
    submitted,
    uploading,
)

JOBS = (
    "select salesforce_job_id, attempt, end_state, processed_count from salesforce_jobs order by 1"
)
OUTCOMES = """
select person_id, outcome, lead_id, contact_id, reason_code, attempt_count, batch_id
from person_outcomes order by person_id
"""
P1_CREATED = results("person_id | outcome | lead_id\nP1 | created | 00Q1")


def alive(_host: str, _pid: int) -> bool:
    return True


def dead(_host: str, _pid: int) -> bool:
    return False


def take(
    warehouse: Warehouse, run_id: str, is_alive: Callable[[str, int], bool]
) -> list[ledger.Batch]:
    return ledger.take_over_stale_batches(warehouse, run_id, lease_seconds=60, is_alive=is_alive)


def start(warehouse: Warehouse, *person_ids: str) -> ledger.Batch:
    begin(warehouse)
    return pending(warehouse, *person_ids)


def collection(warehouse: Warehouse) -> ledger.Batch:
    begin(warehouse)
    [batch] = record_decisions(
        warehouse, "person_id | becomes\nP1 | C1", load_api="collections"
    ).batches
    return batch


def test_a_job_is_known_before_it_has_data(warehouse: Warehouse) -> None:
    batch = start(warehouse, "P1")
    after = ledger.record_job(warehouse, batch, "7501", payload_sha256="abc", payload_bytes=9)
    assert (after.batch_state, after.salesforce_job_id) == ("uploading", "7501")
    assert (after.payload_sha256, after.payload_bytes) == ("abc", 9)
    assert after.opened_at is not None
    assert cells(warehouse, JOBS) == [("7501", 1, None, None)]
    assert ledger.known_job_ids(warehouse) == {"7501"}


def test_the_intent_to_start_is_recorded(warehouse: Warehouse) -> None:
    after = ledger.record_submitted(warehouse, uploading(warehouse, start(warehouse, "P1")))
    assert after.batch_state == "submitted"
    assert after.submitted_at is not None
    assert ledger.read_batch(warehouse, "B1") == after


def test_a_collection_is_submitted_without_a_job(warehouse: Warehouse) -> None:
    after = ledger.record_submitted(warehouse, collection(warehouse))
    assert (after.batch_state, after.salesforce_job_id) == ("submitted", None)


def test_a_discarded_job_is_replaced_by_another(warehouse: Warehouse) -> None:
    first = uploading(warehouse, start(warehouse, "P1"))
    after = ledger.discard_job(warehouse, first, "Aborted")
    assert (after.batch_state, after.attempt_count) == ("pending", 2)
    assert (after.salesforce_job_id, after.opened_at, after.person_count) == (None, None, 1)
    submitted(warehouse, after)
    assert cells(warehouse, JOBS) == [
        ("750-B1-1-1", 1, "Aborted", None),
        ("750-B1-1-2", 2, None, None),
    ]


def test_a_collection_goes_back_for_another_attempt(warehouse: Warehouse) -> None:
    batch = ledger.record_submitted(warehouse, collection(warehouse))
    after = ledger.discard_job(warehouse, batch, None)
    assert (after.batch_state, after.attempt_count, after.submitted_at) == ("pending", 2, None)


def test_a_lease_is_renewed_by_the_clock_of_the_database(warehouse: Warehouse) -> None:
    batch = start(warehouse, "P1")
    after = ledger.renew_lease(warehouse, batch, 3600)
    assert 3000 < (after.lease_until - batch.lease_until).total_seconds() <= 3600


def test_a_completed_batch_reports_all_persons(warehouse: Warehouse) -> None:
    batch = submitted(warehouse, start(warehouse, "P1", "P2", "P3", "P4", "P5"))
    found = results(
        """
        person_id | outcome   | lead_id | contact_id | reason_code
        P1        | created   | 00Q1    |            |
        P2        | updated   | 00Q2    | 0032       | ASKED
        P3        | duplicate |         |            |
        P4        | rejected  |         |            |
        P5        | held      |         |            | JOB_GONE
        """,
        end_state="JobComplete",
        processed_count=5,
        failed_count=2,
    )
    after = ledger.record_results(warehouse, batch, found)
    assert (after.batch_state, after.person_count) == ("completed", 0)
    assert after.completed_at is not None
    assert cells(warehouse, OUTCOMES) == [
        ("P1", "created", "00Q1", None, None, 1, "B1"),
        ("P2", "updated", "00Q2", "0032", "ASKED", 1, "B1"),
        ("P3", "duplicate", None, None, None, 1, "B1"),
        ("P4", "rejected", None, None, None, 1, "B1"),
        ("P5", "held", None, None, "JOB_GONE", 1, "B1"),
    ]
    assert cells(warehouse, JOBS) == [("750-B1-1-1", 1, "JobComplete", 5)]
    assert ledger.run_counts(warehouse, "R1") == ledger.RunCounts(5, 1, 1, 1, 1, 1, 0, 0)
    query = "select created_count, updated_count, held_count from lead_batches"
    assert cells(warehouse, query) == [(1, 1, 1)]
    assert cells(warehouse, "select rule_name from rejected_persons") == [("STRING_TOO_LONG",)]
    assert cells(warehouse, "select matched_in from duplicate_persons") == [("salesforce_rule",)]
    assert is_consistent(warehouse)


def test_an_outcome_remembers_what_the_claim_knew(warehouse: Warehouse) -> None:
    batch = start(warehouse, "P1")
    change(
        warehouse,
        "update person_claims set defaulted_fields = 'Company', contact_id = '0031',"
        " lead_id = '00Q7', reason_code = 'OWNER_KEPT', source_version = 'v1'",
    )
    ledger.record_results(
        warehouse, submitted(warehouse, batch), results("person_id | outcome\nP1 | updated")
    )
    query = """
        select lead_id, contact_id, reason_code, owner_strategy, defaulted_fields, source_version
        from person_outcomes
    """
    assert cells(warehouse, query) == [("00Q7", "0031", "OWNER_KEPT", "rules", "Company", "v1")]


def test_a_remaining_person_takes_part_in_another_attempt(warehouse: Warehouse) -> None:
    batch = submitted(warehouse, start(warehouse, "P1", "P2", "P3"))
    after = ledger.record_results(warehouse, batch, replace(P1_CREATED, end_state="Failed"))
    assert (after.batch_state, after.attempt_count, after.person_count) == ("pending", 2, 2)
    assert after.salesforce_job_id is None
    assert list(ledger.batch_claims(warehouse, "B1")["person_id"]) == ["P2", "P3"]
    assert cells(warehouse, JOBS) == [("750-B1-1-1", 1, "Failed", None)]
    assert is_consistent(warehouse)
    rest = results("person_id | outcome\nP2 | created\nP3 | held")
    assert (
        ledger.record_results(warehouse, submitted(warehouse, after), rest).batch_state
        == "completed"
    )
    assert is_consistent(warehouse)


@pytest.mark.parametrize(
    ("end", "matches", "emails"),
    [
        ("created", [("contact", "duplicate_lead_created")], ["e1"]),
        ("updated", [("contact", "duplicate_lead_created")], ["e1"]),
        ("duplicate", [("contact", "reported"), ("salesforce_rule", "reported")], ["e1"]),
        ("rejected", [], []),
        ("held", [], ["e1"]),
    ],
)
def test_matches_and_emails_fit_the_end(
    warehouse: Warehouse, end: str, matches: list[tuple[str, str]], emails: list[str]
) -> None:
    begin(warehouse)
    [batch] = record_decisions(warehouse, "person_id | becomes | email_hash\nP1 | B1 | e1").batches
    change(
        warehouse,
        "insert into duplicate_persons values ('R1', 'P1', 'contact', '0031', 'email', 1, false,"
        " 'duplicate_lead_created', '2026-01-01 00:00:00.000000')",
    )
    ended = results(f"person_id | outcome\nP1 | {end}")
    ledger.record_results(warehouse, submitted(warehouse, batch), ended)
    query = "select matched_in, action_taken from duplicate_persons order by matched_in"
    assert cells(warehouse, query) == matches
    assert [key for (key,) in cells(warehouse, "select email_hash from person_emails")] == emails


def test_a_person_outside_the_batch_stops_the_recording(warehouse: Warehouse) -> None:
    batch = submitted(warehouse, start(warehouse, "P1"))
    record_decisions(warehouse, "person_id | becomes\nP2 | B2")
    both = results("person_id | outcome\nP1 | created\nP2 | created")
    with pytest.raises(LedgerInconsistentError, match="2 persons should leave batch B1, and 1"):
        ledger.record_results(warehouse, batch, both)
    assert cells(warehouse, OUTCOMES) == []
    assert ledger.read_batch(warehouse, "B1") == batch
    assert is_consistent(warehouse)


def test_two_results_for_one_person_stop_the_recording(warehouse: Warehouse) -> None:
    batch = submitted(warehouse, start(warehouse, "P1", "P2"))
    twice = results("person_id | outcome\nP1 | created\nP1 | rejected")
    with pytest.raises(LedgerInconsistentError, match="twice"):
        ledger.record_results(warehouse, batch, twice)


def test_a_report_on_a_person_without_an_outcome_stops_the_recording(
    warehouse: Warehouse,
) -> None:
    batch = submitted(warehouse, start(warehouse, "P1", "P2"))
    other = results("person_id | outcome\nP2 | rejected")
    with pytest.raises(LedgerInconsistentError, match="rejected"):
        ledger.record_results(warehouse, batch, replace(P1_CREATED, rejected=other.rejected))


def test_released_persons_were_never_there(warehouse: Warehouse) -> None:
    begin(warehouse)
    table = "person_id | becomes | email_hash\nP1 | B1 | e1\nP2 | B1 | e2\nP3 | rejected |"
    [batch] = record_decisions(warehouse, table).batches
    after = ledger.release_persons(warehouse, batch, ["P1"])
    assert (after.batch_state, after.person_count) == ("pending", 1)
    assert cells(warehouse, "select email_hash from person_emails") == [("e2",)]
    assert ledger.run_counts(warehouse, "R1") == ledger.RunCounts(2, 0, 0, 0, 1, 0, 1, 0)
    assert is_consistent(warehouse)


def test_a_batch_that_releases_all_persons_is_completed(warehouse: Warehouse) -> None:
    after = ledger.release_persons(warehouse, start(warehouse, "P1", "P2"), ["P2", "P1"])
    assert (after.batch_state, after.person_count) == ("completed", 0)
    assert open_batches(warehouse) == []
    assert is_consistent(warehouse)


def test_only_persons_of_the_batch_are_released(warehouse: Warehouse) -> None:
    batch = start(warehouse, "P1")
    with pytest.raises(LedgerInconsistentError, match="0 of them are in it"):
        ledger.release_persons(warehouse, batch, ["P9"])
    assert is_consistent(warehouse)


STEPS: dict[str, Callable[[Warehouse, ledger.Batch], ledger.Batch]] = {
    "pending job": uploading,
    "uploading submit": ledger.record_submitted,
    "uploading detach": lambda store, batch: ledger.discard_job(store, batch, "Aborted"),
    "submitted discard": lambda store, batch: ledger.discard_job(store, batch, "Aborted"),
    "pending lease": lambda store, batch: ledger.renew_lease(store, batch, 60),
    "submitted lease": lambda store, batch: ledger.renew_lease(store, batch, 60),
    "pending release": lambda store, batch: ledger.release_persons(store, batch, ["P1"]),
    "submitted results": lambda store, batch: ledger.record_results(store, batch, P1_CREATED),
}


def moved_to(warehouse: Warehouse, state: str) -> ledger.Batch:
    batch = start(warehouse, "P1")
    if state == "pending":
        return batch
    return uploading(warehouse, batch) if state == "uploading" else submitted(warehouse, batch)


def everything(warehouse: Warehouse) -> list[list[tuple[object, ...]]]:
    tables = ("lead_batches", "person_claims", "person_emails", "person_outcomes")
    tables += ("salesforce_jobs", "duplicate_persons", "rejected_persons", "sync_runs")
    return [cells(warehouse, f"select * from {table} order by 1") for table in tables]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("changed", ["fencing_token", "run", "state"])
def test_a_step_of_a_batch_that_has_moved_on_changes_nothing(
    warehouse: Warehouse, step: str, changed: str
) -> None:
    batch = moved_to(warehouse, step.split()[0])
    moved = {
        "fencing_token": "fencing_token = fencing_token + 1",
        "run": "leased_by_run_id = 'R9'",
        "state": "batch_state = case batch_state when 'uploading' then 'submitted' "
        "else 'uploading' end",
    }
    change(warehouse, f"update lead_batches set {moved[changed]}")
    before = everything(warehouse)
    with pytest.raises(LeaseLostError, match="B1"):
        STEPS[step](warehouse, batch)
    assert everything(warehouse) == before


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_taken_once(warehouse: Warehouse, step: str) -> None:
    batch = moved_to(warehouse, step.split()[0])
    STEPS[step](warehouse, batch)
    if not step.endswith("lease"):
        with pytest.raises(LeaseLostError):
            STEPS[step](warehouse, batch)


@pytest.mark.parametrize("step", [name for name in STEPS if not name.endswith("lease")])
def test_a_step_from_a_state_it_does_not_start_from_is_our_own_mistake(
    warehouse: Warehouse, step: str
) -> None:
    batch = replace(start(warehouse, "P1"), batch_state="completed")
    with pytest.raises(LedgerInconsistentError, match="B1 is completed"):
        STEPS[step](warehouse, batch)


def test_a_run_that_is_alive_keeps_its_batches(warehouse: Warehouse) -> None:
    start(warehouse, "P1")
    begin(warehouse, "R2")
    assert take(warehouse, "R2", alive) == []


def test_no_run_takes_its_own_batches_over(warehouse: Warehouse) -> None:
    start(warehouse, "P1")
    assert take(warehouse, "R1", dead) == []


def test_a_completed_batch_is_of_no_run(warehouse: Warehouse) -> None:
    ledger.record_results(warehouse, submitted(warehouse, start(warehouse, "P1")), P1_CREATED)
    begin(warehouse, "R2")
    assert take(warehouse, "R2", dead) == []


ABANDONED: dict[str, Callable[[Warehouse], object]] = {
    "lease over": lambda store: change(
        store, "update lead_batches set lease_until = '2020-01-01 00:00:00.000000'"
    ),
    "run ended": lambda store: ledger.end_run(store, "R1", "deadline", api_call_count=0),
    "run unknown": lambda store: change(store, "update sync_runs set run_id = 'R0'"),
}


@pytest.mark.parametrize("cause", ABANDONED)
def test_an_abandoned_batch_is_taken_over(warehouse: Warehouse, cause: str) -> None:
    start(warehouse, "P1")
    ABANDONED[cause](warehouse)
    begin(warehouse, "R2")
    [taken] = take(warehouse, "R2", alive)
    assert (taken.leased_by_run_id, taken.fencing_token, taken.run_id) == ("R2", 2, "R1")
    assert (taken.batch_state, taken.person_count) == ("pending", 1)
    assert take(warehouse, "R2", alive) == []


def test_a_take_over_shuts_out_the_old_run(warehouse: Warehouse) -> None:
    old = submitted(warehouse, start(warehouse, "P1"))
    begin(warehouse, "R2")
    [taken] = take(warehouse, "R2", dead)
    for step in (STEPS["submitted results"], STEPS["submitted discard"], STEPS["submitted lease"]):
        with pytest.raises(LeaseLostError):
            step(warehouse, old)
    assert ledger.record_results(warehouse, taken, P1_CREATED).batch_state == "completed"
    # The run that planned the batch counts its persons, whichever run has the lease.
    assert ledger.run_counts(warehouse, "R1").created_count == 1
    assert ledger.run_counts(warehouse, "R2").read_count == 0
    assert is_consistent(warehouse)


def test_a_lease_renewed_at_the_last_moment_keeps_the_batch(warehouse: Warehouse) -> None:
    batch = start(warehouse, "P1")

    def renewing(_host: str, _pid: int) -> bool:
        ledger.renew_lease(warehouse, batch, 600)
        return False

    begin(warehouse, "R2")
    assert take(warehouse, "R2", renewing) == []
    assert ledger.renew_lease(warehouse, batch, 60).fencing_token == 1


def test_open_batches_name_the_run_that_has_the_lease(warehouse: Warehouse) -> None:
    uploading(warehouse, start(warehouse, "P1", "P2"))
    [row] = open_batches(warehouse)
    assert (row["batch_id"], row["batch_state"], row["person_count"]) == ("B1", "uploading", 2)
    assert (row["leased_by_run_id"], row["process_host"], row["process_id"]) == ("R1", "here", 1)
    assert (row["salesforce_job_id"], row["is_lease_over"]) == ("750-B1-1-1", False)
