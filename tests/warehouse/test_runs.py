"""Runs begin, belong to one org, count, and end, also those whose process died."""

import pytest

from pipelines.errors import LedgerInconsistentError, OrgMismatchError
from pipelines.rules.frames import PlannedPersons, conform
from pipelines.warehouse import ledger, new_persons
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger.runs import add_counts
from tests.tables import drawn
from tests.warehouse.ledger_steps import begin, cells, put_persons, record_decisions


def state(warehouse: Warehouse, run_id: str = "R1") -> tuple[str, str | None]:
    query = f"select run_state, error_code from sync_runs where run_id = '{run_id}'"
    [(run_state, error_code)] = cells(warehouse, query)
    return run_state, error_code


def waiting(warehouse: Warehouse) -> list[str]:
    found = cells(warehouse, "select distinct run_id from run_persons order by run_id")
    return [run_id for (run_id,) in found]


def test_a_run_begins_with_nothing_counted(warehouse: Warehouse) -> None:
    begin(warehouse)
    assert ledger.run_counts(warehouse, "R1") == ledger.RunCounts(0, 0, 0, 0, 0, 0, 0, 0)
    assert state(warehouse) == ("running", None)


def test_the_first_login_ties_the_ledger_to_its_org(warehouse: Warehouse) -> None:
    for run_id in ("R1", "R2"):
        begin(warehouse, run_id)
        ledger.bind_org(warehouse, run_id, "00D1", "Acme", True)
        ledger.bind_org(warehouse, run_id, "00D1", "Acme", True)
    assert cells(warehouse, "select org_id, org_name from sync_orgs") == [("00D1", "Acme")]
    assert cells(warehouse, "select distinct org_id from sync_runs") == [("00D1",)]


def test_another_org_is_refused_and_both_are_named(warehouse: Warehouse) -> None:
    begin(warehouse)
    ledger.bind_org(warehouse, "R1", "00D1", "Acme", False)
    begin(warehouse, "R2")
    with pytest.raises(OrgMismatchError, match=r"00D1 \(Acme\).*00D2 \(Sandbox\).*results_schema"):
        ledger.bind_org(warehouse, "R2", "00D2", "Sandbox", True)
    assert cells(warehouse, "select org_id from sync_runs where run_id = 'R2'") == [(None,)]


def test_the_lookup_method_is_recorded(warehouse: Warehouse) -> None:
    begin(warehouse)
    ledger.record_lookup_stats(warehouse, "R1", "snapshot")
    assert cells(warehouse, "select lookup_method from sync_runs") == [("snapshot",)]


def test_a_run_that_ends_reports_its_counts_and_forgets_whom_it_read(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1\nP2")
    begin(warehouse)
    new_persons.list_new_persons(warehouse, "R1")
    record_decisions(warehouse, "person_id | becomes\nP1 | rejected\nP2 | B1")
    counts = ledger.end_run(warehouse, "R1", "finished", api_call_count=7)
    assert counts == ledger.RunCounts(2, 0, 0, 0, 1, 0, 1, 7)
    assert ledger.end_run(warehouse, "R1", "finished", api_call_count=7) == counts
    assert state(warehouse) == ("finished", None)
    assert waiting(warehouse) == []


def test_a_run_that_failed_says_why(warehouse: Warehouse) -> None:
    begin(warehouse)
    ledger.end_run(
        warehouse,
        "R1",
        "failed",
        api_call_count=0,
        error_code="OrgLimitError",
        error_message="wait",
    )
    assert state(warehouse) == ("failed", "OrgLimitError")


def test_a_run_whose_process_died_is_failed_by_the_next(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1")
    for run_id, pid in (("R1", 1), ("R2", 2), ("R3", 3)):
        begin(warehouse, run_id, pid=pid)
        new_persons.list_new_persons(warehouse, run_id)
    ledger.end_run(warehouse, "R3", "finished", api_call_count=0)
    dead = ledger.fail_dead_runs(warehouse, lambda host, pid: (host, pid) == ("here", 2))
    assert dead == ["R1"]
    assert state(warehouse, "R1") == ("failed", "PROCESS_DIED")
    assert state(warehouse, "R2") == ("running", None)
    assert waiting(warehouse) == ["R2"]


def test_a_run_declared_dead_stays_failed(warehouse: Warehouse) -> None:
    begin(warehouse)
    ledger.fail_dead_runs(warehouse, lambda _host, _pid: False)
    ledger.end_run(warehouse, "R1", "finished", api_call_count=0)
    assert state(warehouse) == ("failed", "PROCESS_DIED")


def test_an_unknown_run_has_no_counts(warehouse: Warehouse) -> None:
    with pytest.raises(LedgerInconsistentError, match="R9 is not in the ledger"):
        ledger.run_counts(warehouse, "R9")
    with pytest.raises(LedgerInconsistentError, match="R9 is not in the ledger"):
        record_decisions(warehouse, "person_id | becomes\nP1 | rejected", "R9")
    assert cells(warehouse, "select person_id from person_outcomes") == []


def test_counts_that_would_not_add_up_are_refused(warehouse: Warehouse) -> None:
    begin(warehouse)
    with (
        pytest.raises(LedgerInconsistentError, match="add up"),
        warehouse.transaction() as connection,
    ):
        add_counts(warehouse, connection, "R1", read_count=2, created_count=1)


PLANNED = """
    person_id | decision
    P1        | create
    P2        | reject
    P3        | duplicate
    P4        | update
"""


def plan(warehouse: Warehouse) -> None:
    begin(warehouse, run_mode="plan")
    new_persons.list_new_persons(warehouse, "R1")
    rows = conform(drawn(PLANNED), PlannedPersons)
    emails = drawn("person_id | email_hash\nP1 | e1\nP4 |")
    ledger.record_plan(warehouse, "R1", rows, emails)


def test_a_plan_counts_what_would_be(warehouse: Warehouse) -> None:
    plan(warehouse)
    assert ledger.run_counts(warehouse, "R1") == ledger.RunCounts(4, 1, 1, 1, 1, 0, 0, 0)
    query = "select person_id, decision from planned_persons order by person_id"
    assert [list(row) for row in cells(warehouse, query)] == drawn(PLANNED).to_numpy().tolist()


def test_a_plan_knows_its_own_emails_and_no_other_run_does(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1")
    plan(warehouse)
    begin(warehouse, "R2")
    keys = drawn("email_hash\ne1\ne1\ne2")["email_hash"]
    mine = ledger.email_claims(warehouse, "R1", keys)
    assert mine[["email_hash", "person_id", "is_this_run"]].to_numpy().tolist() == [
        ["e1", "P1", True]
    ]
    assert ledger.email_claims(warehouse, "R2", keys).empty
    ledger.end_run(warehouse, "R1", "finished", api_call_count=0)
    assert cells(warehouse, "select email_hash from person_emails") == []


def test_a_live_run_keeps_its_emails_when_it_ends(warehouse: Warehouse) -> None:
    put_persons(warehouse, "person_id\nP1")
    begin(warehouse)
    new_persons.list_new_persons(warehouse, "R1")
    record_decisions(warehouse, "person_id | becomes | email_hash\nP1 | B1 | e1")
    ledger.end_run(warehouse, "R1", "finished", api_call_count=0)
    assert cells(warehouse, "select email_hash from person_emails") == [("e1",)]
