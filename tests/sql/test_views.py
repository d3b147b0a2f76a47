"""The views promise BI their columns, and the same rows on every engine."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, text

from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.statements import SQL_FOLDER
from tests.tables import cell_texts, drawn
from tests.warehouse_rows import fill

VIEWS = sorted(file.stem for file in SQL_FOLDER.glob("views/*.sql"))

PROMISED = [
    "dim_owners",
    "dim_rejection_rules",
    "dim_sync_runs",
    "fct_duplicate_persons",
    "fct_lead_batches",
    "fct_person_outcomes",
    "fct_rejected_persons",
    "fct_resolutions",
    "rpt_daily_sync",
    "rpt_duplicate_sources",
    "rpt_open_persons",
    "rpt_owner_share",
    "rpt_rejection_reasons",
]
INTERNAL = ["unchecked_runs"]  # read by sql/checks, not by BI


def rows_of(warehouse: Warehouse, view: str, columns: str) -> list[list[str | None]]:
    """Rows of some columns, sorted; counts, shares and booleans as every engine spells them."""
    query = text(f"select {columns} from {view}")
    with warehouse.reading() as connection:
        kinds = {name: kind for name in columns.split(", ") if (kind := _kind(name))}
        return sorted(cell_texts(warehouse.read_frame(connection, query, kinds)), key=repr)


def _kind(name: str) -> str | None:
    return {"is": "boolean", "share": "float64"}.get(name.split("_")[0 if "is_" in name else -1])


def holds(warehouse: Warehouse, view: str, picture: str) -> bool:
    expected = drawn(picture)
    found = rows_of(warehouse, view, ", ".join(expected.columns))
    assert found == sorted(cell_texts(expected), key=repr)
    return True


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    fill(
        warehouse,
        "sync_runs",
        """
        run_id | started_at          | run_mode | run_state | read_count | rejected_count
        R1     | 2026-01-31 23:59:59 | live     | finished  | 4          | 1
        R2     | 2026-02-01 00:00:00 | live     | failed    | 0          | 0
        R3     | 2026-02-01 23:00:00 | live     | finished  | 2          | 2
        R4     | 2026-02-01 09:00:00 | plan     | finished  | 2          | 0
        """,
    )
    fill(
        warehouse,
        "person_outcomes",
        """
        person_id | run_id | outcome  | owner_strategy | owner_id | owner_name | owner_type
        P1        | R1     | created  | rules          | 005A     | Mira       | user
        P3        | R1     | created  | rules          | 00GB     | Inbound    | queue
        P4        | R3     | rejected |                |          |            |
        P5        | R1     | created  | user:tomas     |          |            |
        """,
    )
    fill(
        warehouse,
        "person_outcomes",
        """
        person_id | outcome | owner_strategy | owner_id | owner_name | owner_type | decided_at
        P2        | created | rules          | 005A     | Mira Sol   | user       | 2026-02-01
        """,
    )
    fill(
        warehouse,
        "rejected_persons",
        """
        run_id | person_id | rule_name       | stage      | is_retryable | rejected_at
        R1     | P4        | company_missing | validation | no           | 2026-01-31
        R3     | P4        | SOME_CODE       | salesforce | yes          | 2026-02-02
        """,
    )
    fill(warehouse, "rejection_rules", "rule_name | description\ncompany_missing | No company.")
    fill(
        warehouse,
        "duplicate_persons",
        """
        person_id | matched_in | matched_id | is_ambiguous | found_at
        P6        | lead       | 00Q1       | yes          | 2026-01-31 01:00
        P6        | lead       | 00Q2       | yes          | 2026-01-31 01:00
        P7        | lead       | 00Q3       | no           | 2026-01-31 22:00
        """,
    )
    fill(
        warehouse,
        "lead_batches",
        """
        batch_id | batch_state | person_count | salesforce_job_id | planned_at
        B1       | completed     | 0            | J2                | 2026-01-31
        B2       | uploading      | 1            | J3                | 2026-02-01
        """,
    )
    fill(warehouse, "salesforce_jobs", "salesforce_job_id | batch_id\nJ1 | B1\nJ2 | B1\nJ3 | B2")
    fill(warehouse, "person_claims", "person_id | batch_id | run_id\nP8 | B2 | R3")
    return warehouse


def test_the_promised_views_are_there(warehouse: Warehouse) -> None:
    with warehouse.reading() as connection:
        schema = "person_sync" if warehouse.dialect.has_schemas else None
        assert sorted(inspect(connection).get_view_names(schema=schema)) == VIEWS
    assert {*PROMISED, *INTERNAL} <= {*VIEWS}, "BI relies on these views"


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_an_empty_warehouse_is_empty(warehouse: Warehouse, view: str) -> None:
    assert rows_of(warehouse, view, "*") == []


def test_runs_are_counted_by_day_and_mode(filled: Warehouse) -> None:
    assert holds(
        filled,
        "rpt_daily_sync",
        """
        started_date | run_mode | run_count | unfinished_run_count | read_count | rejected_share
        2026-01-31   | live     | 1         | 0                    | 4          | 0.25
        2026-02-01   | live     | 2         | 1                    | 2          | 1.0
        2026-02-01   | plan     | 1         | 0                    | 2          | 0.0
        """,
    )


def test_a_day_without_persons_has_no_share(warehouse: Warehouse) -> None:
    fill(warehouse, "sync_runs", "run_id\nR1")
    assert rows_of(warehouse, "rpt_daily_sync", "rejected_share") == [[None]]


def test_owners_go_by_their_latest_name(filled: Warehouse) -> None:
    assert holds(
        filled,
        "dim_owners",
        """
        owner_id | owner_name | owner_type
        005A     | Mira Sol   | user
        00GB     | Inbound    | queue
        """,
    )


def test_the_shares_of_a_strategy_s_owners_make_a_whole(filled: Warehouse) -> None:
    shares = rows_of(filled, "rpt_owner_share", "owner_strategy, created_share")
    assert sum(float(share or 0) for strategy, share in shares if strategy == "rules") == 1


def test_an_owner_who_was_not_read_back_is_none(filled: Warehouse) -> None:
    assert holds(
        filled,
        "rpt_owner_share",
        """
        owner_strategy | owner_id | owner_type | created_count
        rules          | 005A     | user       | 2
        rules          | 00GB     | queue      | 1
        user:tomas     | NONE     | NONE       | 1
        """,
    )


def test_reasons_are_counted_by_day_with_a_description(filled: Warehouse) -> None:
    refused = "Salesforce rejected the record with this status code."
    assert holds(
        filled,
        "rpt_rejection_reasons",
        f"""
        rejected_date | rule_name       | person_count | still_rejected_count | description
        2026-01-31    | company_missing | 1            | 0                    | No company.
        2026-02-02    | SOME_CODE       | 1            | 1                    | {refused}
        """,
    )


def test_a_person_who_matched_twice_counts_once(filled: Warehouse) -> None:
    assert holds(
        filled,
        "rpt_duplicate_sources",
        """
        found_date | matched_in | match_key | action_taken | person_count | ambiguous_count
        2026-01-31 | lead       | email     | reported     | 2            | 1
        """,
    )


def test_a_batch_counts_the_jobs_it_has_had(filled: Warehouse) -> None:
    assert holds(
        filled,
        "fct_lead_batches",
        """
        batch_id | is_open | job_count | planned_date
        B1       | False   | 2         | 2026-01-31
        B2       | True    | 1         | 2026-02-01
        """,
    )


def test_open_persons_are_reported_with_their_job(filled: Warehouse) -> None:
    assert holds(
        filled,
        "rpt_open_persons",
        """
        person_id | batch_id | run_id | salesforce_job_id | batch_state
        P8        | B2       | R3     | J3                | uploading
        """,
    )


@pytest.mark.parametrize("view", [view for view in VIEWS if not view.startswith("dim_")])
def test_nothing_that_describes_a_person_is_in_a_report(warehouse: Warehouse, view: str) -> None:
    with warehouse.reading() as connection:
        columns = {column["name"] for column in inspect(connection).get_columns(view)}
    personal = {"observed_value", "message", "note", "email_hash", "row_hash", "source_version"}
    assert columns.isdisjoint(personal)
