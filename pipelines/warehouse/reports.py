"""Report what happened: a run, its checks, a person. Everything is read from the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from pipelines.errors import ConfigurationError
from pipelines.warehouse.database import Rows, Warehouse
from pipelines.warehouse.statements import SQL_FOLDER, parameters_of, statement

# Enough to see what is wrong; further rows have the same fault.
ROWS_SHOWN = 50
# SQLite takes 32,766 values in one statement, and the ids occur twice in one.
_IDS_PER_QUERY = 10_000
_QUERIES = {
    "strategies": "report_strategies",
    "planned": "report_planned",
    "reasons": "report_reasons",
    "duplicates": "report_duplicates",
    "owners": "report_owners",
    "resolutions": "report_resolutions",
    "open_batches": "report_open_batches",
}
_OF_PERSONS = ("report_person_outcomes", "report_person_rejections", "report_person_duplicates")


@dataclass(frozen=True)
class CheckResult:
    """A check that found something: the name of its file, and the first 50 rows (ids, counts)."""

    name: str
    is_failure: bool
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class RunSummary:
    """A run as it is in the warehouse now.

    Counts in `run` are the run's own. The rows count the persons whose present outcome is of this
    run.

    - run: the row of sync_runs.
    - strategies: owner_strategy, outcome (open too), person_count.
    - planned: owner_strategy, owner_name, decision, person_count; empty unless a plan run.
    - reasons: rule_name, stage, field_name, description, remedy, person_count, retryable_count; the
      most frequent first.
    - duplicates: matched_in, match_key, action_taken, person_count, ambiguous_count.
    - owners: owner_id, owner_strategy, owner_name, owner_type, created_count, updated_count; the
      most busy first.
    - resolutions: resolved_as, is_automatic, person_count of persons held before.
    - open_batches: batch_id, run_id, salesforce_job_id, batch_state, owner_strategy, operation,
      sobject, load_api, attempt_count, person_count, planned_at, submitted_at, lease_until.
    """

    run: dict[str, Any]
    strategies: Rows
    planned: Rows
    reasons: Rows
    duplicates: Rows
    owners: Rows
    resolutions: Rows
    open_batches: Rows


def open_batches(warehouse: Warehouse) -> Rows:
    """Return the batches that still contain persons, oldest first.

    Columns: batch_id, run_id, leased_by_run_id, salesforce_job_id, batch_state, owner_strategy,
    operation, sobject, load_api, leased_by_state, process_host, process_id, is_lease_over,
    fencing_token, attempt_count, person_count, planned_at, opened_at, submitted_at, lease_until.
    """
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "open_batches", now=warehouse.now(connection))


def run_checks(warehouse: Warehouse, run_id: str) -> list[CheckResult]:
    """Return every check of `sql/checks` that finds something: `fail_` first, then `warn_`.

    The `fail_` checks read this run and every other run whose counts have changed since the checks
    last read them. A fault is found once, so that an old one does not stop every later run.
    """
    _require_check(warehouse, run_id)
    with warehouse.reading() as connection:
        unchecked = warehouse.run(connection, "unchecked_runs").mappings().all()
        results = _run_all(warehouse, connection, run_id)
    with warehouse.transaction() as connection:
        for run in unchecked:
            warehouse.run(connection, "record_checked_revision", **run)
    return results


def _require_check(warehouse: Warehouse, run_id: str) -> None:
    """Let the checks read a run again that they have read already."""
    with warehouse.reading() as connection:
        unchecked = {row.run_id for row in warehouse.run(connection, "unchecked_runs")}
    if run_id not in unchecked:
        with warehouse.transaction() as connection:
            warehouse.run(connection, "record_checked_revision", run_id=run_id, revision=None)


def _run_all(warehouse: Warehouse, connection: Connection, run_id: str) -> list[CheckResult]:
    given = {"run_id": run_id, "a_day_ago": warehouse.now(connection) - timedelta(days=1)}
    results = []
    for name in check_names():
        parameters = {key: given[key] for key in parameters_of(name, "checks")}
        found = connection.execute(statement(name, parameters, "checks")).mappings()
        rows = [dict(row) for row in found.fetchmany(ROWS_SHOWN)]
        results.append(CheckResult(name, name.startswith("fail_"), rows))
    return [result for result in results if result.rows]


def check_names() -> list[str]:
    """Return the names of the checks, in the order they run."""
    return sorted(file.stem for file in SQL_FOLDER.glob("checks/*.sql"))


def last_run_id(warehouse: Warehouse) -> str | None:
    """Return the run that began last; None before the first."""
    with warehouse.reading() as connection:
        run_id: str | None = warehouse.run(connection, "report_last_run").scalar()
    return run_id


def run_summary(warehouse: Warehouse, run_id: str) -> RunSummary:
    """Return what became of the persons of a run, from one snapshot. Raises ConfigurationError."""
    with warehouse.reading() as connection:
        run = (
            warehouse.run(connection, "report_runs", run_id=run_id, row_limit=1).mappings().first()
        )
        if run is None:
            raise ConfigurationError(
                f"there is no run {run_id}; `person-sync status` names the latest"
            )
        rows = {
            name: warehouse.read_rows(connection, query, run_id=run_id)
            for name, query in _QUERIES.items()
        }
    return RunSummary(run=dict(run), **rows)


def recent_runs(warehouse: Warehouse, most: int = 10) -> Rows:
    """Return the latest runs, newest first: the columns of sync_runs except the process."""
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_runs", run_id=None, row_limit=most)


def taken_over_batches(warehouse: Warehouse, run_id: str) -> Rows:
    """Return the batches of earlier runs that this run took over.

    Columns: batch_id, run_id, salesforce_job_id, batch_state, attempt_count, and the persons in
    open_count, created_count, updated_count, duplicate_count, rejected_count, held_count.
    """
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_taken_over_batches", run_id=run_id)


def held_persons(warehouse: Warehouse, most: int = ROWS_SHOWN) -> Rows:
    """Return the persons that wait for `resolve`, longest first.

    Columns: person_id, run_id, batch_id, salesforce_job_id, owner_strategy, reason_code,
    decided_at.
    """
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_held_persons", row_limit=most)


def held_count(warehouse: Warehouse) -> int:
    """Return how many persons wait for `resolve`."""
    with warehouse.reading() as connection:
        count: int = warehouse.run(connection, "count_held_persons").scalar_one()
    return count


def explain_rules(warehouse: Warehouse) -> Rows:
    """Return the rejection rules: rule_name, stage, field_name, description, remedy."""
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_rules")


def person_outcome(warehouse: Warehouse, person_ids: Sequence[str]) -> Rows:
    """Return what is known of these persons, one row each, in the order given.

    Columns:

        person_id, run_id, batch_id, batch_state, lead_id, contact_id
        outcome         one of the five; `open` while in a batch, `new` if there is none
        owner_strategy, owner_id, owner_name, owner_type
        reason_code, defaulted_fields
        decided_at      of an open person the time of the claim
        rules           broken, comma-separated
        messages        of those rules, a line each; may quote the person
        matched         `lead 00Q…`, comma-separated
    """
    ids = list(dict.fromkeys(person_ids))
    parts = [ids[n : n + _IDS_PER_QUERY] for n in range(0, len(ids), _IDS_PER_QUERY)]
    known = {row["person_id"]: row for part in parts for row in _known_of(warehouse, part)}
    return [known.get(person_id, _unknown(person_id)) for person_id in ids]


_OUTCOME_COLUMNS = (
    *("person_id", "outcome", "run_id", "batch_id", "batch_state", "lead_id", "contact_id"),
    *("owner_strategy", "owner_id", "owner_name", "owner_type", "reason_code", "defaulted_fields"),
    *("decided_at", "rules", "messages", "matched"),
)


def _unknown(person_id: str) -> dict[str, Any]:
    return dict.fromkeys(_OUTCOME_COLUMNS) | {"person_id": person_id, "outcome": "new"}


def _known_of(warehouse: Warehouse, person_ids: list[str]) -> Rows:
    with warehouse.reading() as connection:
        outcomes, rejections, duplicates = (
            warehouse.read_rows(connection, query, person_ids=person_ids) for query in _OF_PERSONS
        )
    rules, messages, matched = (defaultdict[str, list[str]](list) for _ in range(3))
    for row in rejections:
        rules[row["person_id"]].append(row["rule_name"])
        messages[row["person_id"]].append(row["message"])
    for row in duplicates:
        matched[row["person_id"]].append(f"{row['matched_in']} {row['matched_id'] or ''}".rstrip())
    for row in outcomes:
        person_id, is_rejected = row["person_id"], row["outcome"] == "rejected"
        row["rules"] = ", ".join(rules[person_id]) if is_rejected else None
        row["messages"] = "\n".join(messages[person_id]) if is_rejected else None
        row["matched"] = ", ".join(matched[person_id]) or None
    return outcomes
