"""Reports on a run and on a person, the same on every engine."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import ConfigurationError
from pipelines.warehouse.database import Rows, Warehouse
from pipelines.warehouse.migrations import migrate
from pipelines.warehouse.reports import (
    explain_rules,
    held_persons,
    last_run_id,
    person_outcome,
    recent_runs,
    run_summary,
)
from tests.tables import cell_texts, drawn
from tests.warehouse_rows import fill


@pytest.fixture
def reported_run(warehouse: Warehouse) -> Warehouse:
    """A warehouse after a run in which something of everything happened."""
    fill(
        warehouse,
        "sync_runs",
        """
        run_id | started_at | read_count | created_count | rejected_count | open_count | held_count
        R1     | 2026-01-31 | 6          | 2             | 1              | 1          | 1
        R0     | 2026-01-30 | 0          | 0             | 0              | 0          | 0
        """,
    )
    fill(
        warehouse,
        "lead_batches",
        """
        batch_id | batch_state | person_count | created_count | held_count | salesforce_job_id
        B1       | completed     | 0            | 2             | 1          | J1
        B2       | submitted     | 1            | 0             | 0          | J2
        """,
    )
    fill(warehouse, "salesforce_jobs", "salesforce_job_id | batch_id\nJ1 | B1\nJ2 | B2")
    fill(
        warehouse, "person_claims", "person_id | batch_id | owner_strategy\nP5 | B2 | queue:Inbound"
    )
    fill(
        warehouse,
        "person_outcomes",
        """
        person_id | outcome   | batch_id | lead_id | owner_strategy | owner_id | owner_name
        P1        | created   | B1       | 00Q1    | rules          | 005A     | Mira
        P2        | created   | B1       | 00Q2    | rules          | 00GB     | Inbound
        P3        | rejected  |          |         |                |          |
        P4        | duplicate |          | 00Q9    | rules          |          |
        P6        | held      | B1       |         | rules          |          |
        """,
    )
    fill(
        warehouse,
        "rejected_persons",
        """
        person_id | rule_name       | message
        P3        | company_missing | The company is missing.
        P3        | email_malformed | The e-mail is none.
        """,
    )
    fill(warehouse, "rejection_rules", "rule_name | description\ncompany_missing | No company.")
    fill(warehouse, "duplicate_persons", "person_id | matched_in | matched_id\nP4 | lead | 00Q9")
    return warehouse


def column(rows: Rows, name: str) -> list[Any]:
    return [row[name] for row in rows]


def only(rows: Rows, *names: str) -> Rows:
    return [{name: row[name] for name in names} for row in rows]


def test_the_last_run_is_the_one_that_began_last(reported_run: Warehouse) -> None:
    assert last_run_id(reported_run) == "R1"
    assert column(recent_runs(reported_run), "run_id") == ["R1", "R0"]
    assert column(recent_runs(reported_run, most=1), "run_id") == ["R1"]


def test_before_the_first_run_there_is_no_last_one(warehouse: Warehouse) -> None:
    assert last_run_id(warehouse) is None


def test_an_unknown_run_is_a_wrong_argument(warehouse: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="no run R7"):
        run_summary(warehouse, "R7")


def test_a_summary_reports_each_strategy_s_persons_by_outcome(reported_run: Warehouse) -> None:
    assert cell_texts(run_summary(reported_run, "R1").strategies) == cell_texts(
        drawn("""
        owner_strategy | outcome   | person_count
        NONE           | rejected  | 1
        queue:Inbound  | open      | 1
        rules          | created   | 2
        rules          | duplicate | 1
        rules          | held      | 1
        """)
    )


def test_a_summary_reports_why_persons_were_rejected_and_how_to_correct_it(
    reported_run: Warehouse,
) -> None:
    assert cell_texts(run_summary(reported_run, "R1").reasons)[0] == (
        ["company_missing", "validation", "NONE", "No company.", "Fix it.", "1", "0"]
    )


def test_a_summary_reports_owners_duplicates_and_open_batches(reported_run: Warehouse) -> None:
    summary = run_summary(reported_run, "R1")
    assert summary.run["read_count"] == 6
    assert column(summary.owners, "owner_name") == ["Mira", "Inbound"]
    assert cell_texts(summary.duplicates) == [["lead", "email", "reported", "1", "0"]]
    assert column(summary.open_batches, "batch_id") == ["B2"]
    assert summary.planned == []


def test_a_plan_s_summary_reports_what_would_happen(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", "run_id | run_mode\nR1 | plan")
    fill(
        warehouse,
        "planned_persons",
        """
        person_id | decision | owner_strategy | owner_name
        P1        | create   | rules          |
        P2        | create   | rules          |
        P3        | reject   |                |
        """,
    )
    assert cell_texts(run_summary(warehouse, "R1").planned) == [
        ["NONE", "NONE", "reject", "1"],
        ["rules", "NONE", "create", "2"],
    ]


def test_held_persons_are_listed_with_the_job_they_were_in(reported_run: Warehouse) -> None:
    held = held_persons(reported_run)
    assert cell_texts(only(held, "person_id", "batch_id", "salesforce_job_id")) == [
        ["P6", "B1", "J1"]
    ]


def test_each_person_asked_for_gets_one_answer_in_the_order_asked(reported_run: Warehouse) -> None:
    asked = person_outcome(reported_run, ["P9", "P5", "P3", "P4", "P1", "P3"])
    assert cell_texts(
        only(asked, "person_id", "outcome", "batch_state", "rules", "matched")
    ) == cell_texts(
        drawn("""
        person_id | outcome   | batch_state | rules                            | matched
        P9        | new       |             |                                  |
        P5        | open      | submitted     |                                  |
        P3        | rejected  |             | company_missing, email_malformed |
        P4        | duplicate |             |                                  | lead 00Q9
        P1        | created   | completed     |                                  |
        """)
    )


def test_an_empty_request_returns_no_person(warehouse: Warehouse) -> None:
    assert person_outcome(warehouse, []) == []


def test_rules_are_described(warehouse: Warehouse) -> None:
    rule = {
        "rule_name": "r",
        "stage": "owner",
        "field_name": None,
        "description": "S",
        "remedy": "M",
    }
    migrate(warehouse, [rule])
    assert cell_texts(explain_rules(warehouse)) == [["r", "owner", None, "S", "M"]]
