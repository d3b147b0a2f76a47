"""Each check finds its fault, and nothing in a correct ledger."""

from __future__ import annotations

import pytest

from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger.runs import add_counts
from pipelines.warehouse.reports import ROWS_SHOWN, check_names, run_checks
from tests.warehouse_rows import fill

Rows = dict[str, str]

# Check by name: the rows that a ledger with that fault holds.
FAULTS: dict[str, Rows] = {
    "fail_claim_outside_open_batch": {
        "lead_batches": "batch_id | batch_state\nB1 | completed",
        "person_claims": "person_id | batch_id\nP1 | B1\nP2 | nowhere",
    },
    "fail_claimed_and_decided": {
        "lead_batches": "batch_id | person_count\nB1 | 2",
        "person_claims": "person_id | batch_id\nP1 | B1\nP2 | B1",
        "person_outcomes": "person_id | outcome | lead_id\nP1 | updated | 00Q1\nP2 | rejected |",
        "rejected_persons": "person_id | rule_name | stage\nP2 | SOME_CODE | salesforce",
    },
    "fail_open_batch_miscounted": {
        "lead_batches": "batch_id | person_count\nB1 | 2",
        "person_claims": "person_id | batch_id\nP1 | B1",
    },
    "fail_completed_batch_miscounted": {
        "lead_batches": "batch_id | batch_state | rejected_count\nB1 | completed | 0",
        "person_outcomes": "person_id | outcome | batch_id\nP1 | rejected | B1",
        "rejected_persons": "person_id | rule_name | stage\nP1 | SOME_CODE | salesforce",
    },
    "fail_lead_of_two_persons": {
        "person_outcomes": "person_id | outcome | lead_id\nP1 | created | 00Q1\nP2 | created | 00Q1"
    },
    "fail_created_without_lead": {"person_outcomes": "person_id | outcome\nP1 | created"},
    "fail_run_miscounted": {"sync_runs": "run_id | read_count\nR1 | 1"},
    "fail_listed_person_lost": {
        "sync_runs": """
            run_id | listed_count | read_count | rejected_count | taken_count | unread_count
            R1     | 4            | 1          | 1              | 1           | 1
        """
    },
    "fail_run_and_batches_disagree": {
        "sync_runs": "run_id | read_count | open_count\nR1 | 1 | 1",
    },
    "fail_run_and_outcomes_disagree": {
        "sync_runs": "run_id | read_count\nR1 | 0",
        "person_outcomes": "person_id | outcome\nP1 | rejected",
        "rejected_persons": "person_id | rule_name | stage\nP1 | SOME_CODE | salesforce",
    },
    "fail_rejected_without_reason": {"person_outcomes": "person_id | outcome\nP1 | rejected"},
    "fail_duplicate_without_match": {"person_outcomes": "person_id | outcome\nP1 | duplicate"},
    "fail_rule_without_description": {
        "rejected_persons": "person_id | rule_name\nP1 | no_such_rule"
    },
    "warn_many_rejected": {
        "sync_runs": "run_id | read_count | rejected_count | duplicate_count\nR1 | 100 | 21 | 79"
    },
    "warn_persons_held": {"person_outcomes": "person_id | outcome\nP1 | held"},
    "warn_batch_open_for_a_day": {"lead_batches": "batch_id | planned_at\nB1 | 2026-01-31"},
    "warn_run_without_end": {
        "sync_runs": "run_id | run_state | started_at\nR1 | running | 2026-01-31"
    },
    "warn_owner_not_read_back": {
        "person_outcomes": "person_id | outcome | lead_id\nP1 | created | 00Q1"
    },
}

IN_ORDER: Rows = {
    "sync_runs": """
        run_id | read_count | created_count | duplicate_count | rejected_count | open_count
        R1     | 10         | 1             | 7               | 1              | 1
    """,
    "lead_batches": """
        batch_id | batch_state | person_count | created_count | rejected_count | planned_at
        B1       | completed     | 0            | 1             | 1              | 2026-01-31
        B2       | uploading      | 1            | 0             | 0              | 2099-01-31
    """,
    "person_claims": "person_id | batch_id\nP3 | B2",
    "person_outcomes": """
        person_id | outcome   | batch_id | lead_id | owner_id
        P1        | created   | B1       | 00Q1    | 005A
        P2        | rejected  | B1       |         |
        P3        | duplicate |          | 00Q1    |
    """,
    "rejected_persons": """
        person_id | rule_name       | stage
        P2        | SOME_CODE       | salesforce
        P2        | company_missing | validation
    """,
    "duplicate_persons": "person_id | matched_in\nP3 | lead",
    "rejection_rules": "rule_name\ncompany_missing",
}


def found_in(warehouse: Warehouse, rows: Rows) -> list[str]:
    for table, text in rows.items():
        fill(warehouse, table, text)
    return [finding.name for finding in run_checks(warehouse, "R1")]


def test_a_ledger_in_order_has_no_findings(warehouse: Warehouse) -> None:
    assert found_in(warehouse, IN_ORDER) == []


def test_every_check_has_a_fault_to_find() -> None:
    assert sorted(FAULTS) == check_names()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_check(warehouse: Warehouse, name: str) -> None:
    assert name in found_in(warehouse, {"sync_runs": "run_id\nR1", **FAULTS[name]})


def test_only_a_failure_fails_and_its_rows_say_who(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", "run_id\nR1")
    fill(warehouse, "person_outcomes", "person_id | outcome\nP1 | held\nP2 | created")
    by_name = {finding.name: finding for finding in run_checks(warehouse, "R1")}
    assert not by_name["warn_persons_held"].is_failure
    assert by_name["fail_created_without_lead"].is_failure
    assert by_name["fail_created_without_lead"].rows == [{"person_id": "P2", "batch_id": None}]


def test_of_very_many_faults_the_first_are_shown(warehouse: Warehouse) -> None:
    persons = "\n".join(f"P{n} | held" for n in range(ROWS_SHOWN + 1))
    fill(warehouse, "person_outcomes", f"person_id | outcome\n{persons}")
    (finding,) = run_checks(warehouse, "R1")
    assert len(finding.rows) == ROWS_SHOWN


# --- True after every run, and reported once


OLD_DAMAGE = "run_id | read_count | started_at\nR0 | 1 | 2026-01-30\n"


def test_an_old_damage_is_reported_once_and_stops_no_later_run(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", OLD_DAMAGE)
    assert found_in(warehouse, {}) == ["fail_run_miscounted"]
    assert found_in(warehouse, {}) == []


def test_a_run_that_is_continued_is_looked_at_again(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", OLD_DAMAGE)
    found_in(warehouse, {})
    with warehouse.transaction() as connection:
        add_counts(warehouse, connection, "R0", created_count=1, open_count=-1)
    assert found_in(warehouse, {}) == ["fail_run_and_batches_disagree", "fail_run_miscounted"]


def test_the_run_itself_is_always_looked_at(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", "run_id | read_count\nR1 | 1")
    assert found_in(warehouse, {}) == found_in(warehouse, {}) == ["fail_run_miscounted"]


def test_the_lead_of_a_person_decided_long_ago_is_not_made_anothers(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", "run_id | read_count | duplicate_count\nR0 | 1 | 1\nR1 | 1 | 1")
    old = "person_id | run_id | outcome | lead_id | owner_id\nP0 | R0 | created | 00Q1 | 005A"
    fill(warehouse, "person_outcomes", old)
    assert found_in(warehouse, {}) == []
    new = "person_id | run_id | outcome | lead_id | owner_id\nP1 | R1 | created | 00Q1 | 005A"
    assert found_in(warehouse, {"person_outcomes": new}) == ["fail_lead_of_two_persons"]


def test_a_person_to_be_sent_again_may_be_under_way(warehouse: Warehouse) -> None:
    rows = {
        "sync_runs": "run_id | read_count | open_count\nR1 | 1 | 1",
        "lead_batches": "batch_id | person_count | planned_at\nB1 | 1 | 2099-01-31",
        "person_claims": "person_id | batch_id\nP1 | B1",
        "person_outcomes": "person_id | run_id | outcome | reason_code\nP1 | R0 | held | RESEND",
    }
    assert found_in(warehouse, rows) == []
