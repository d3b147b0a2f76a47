"""What happened, for those who ask: a run, its checks, a person. All of it read from the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from pipelines.errors import ConfigurationError
from pipelines.warehouse.database import Rows, Warehouse
from pipelines.warehouse.errors import translated
from pipelines.warehouse.statements import SQL_FOLDER, parameters_of, statement

# Enough to see what is wrong; the rest has the same fault.
ROWS_SHOWN = 50
# SQLite takes 32,766 values in one statement; these are asked for twice in one.
_IDS_AT_ONCE = 10_000
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
    """A check that found something: its file's name, and the first 50 rows (ids and counts)."""

    name: str
    is_failure: bool
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class RunSummary:
    """A run as the warehouse knows it now. Counts in `run` are the run's own and never change after
    it has ended; the rows tell of the persons on whom it still has the latest word.

    - run: the row of sync_runs.
    - strategies: owner_strategy, outcome (open too), person_count.
    - planned: owner_strategy, owner_name, decision, person_count; empty unless a plan run.
    - reasons: rule_name, stage, field_name, sentence, remedy, person_count, retryable_count; the
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
    """Return the batches that still hold persons, oldest first.

    Columns: batch_id, run_id, leased_by_run_id, salesforce_job_id, batch_state, owner_strategy,
    operation, sobject, load_api, leased_by_state, process_host, process_id, is_lease_over, fencing_token,
    attempt_count, person_count, planned_at, opened_at, submitted_at, lease_until.
    """
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "open_batches", now=warehouse.now(connection))


def run_checks(warehouse: Warehouse, run_id: str) -> list[CheckResult]:
    """Every check of `sql/checks` that finds something: `fail_` first, then `warn_`.

    The `fail_` ones look at this run and at every other whose counts have moved since they last
    looked: whatever was written in the meantime, by whomever. A fault is found once, so an old
    damage does not stop every later run.
    """
    with warehouse.reading() as connection, translated():
        seen = warehouse.run(connection, "unchecked_runs").mappings().all()
        findings = _find(warehouse, connection, run_id)
    with warehouse.transaction() as connection:
        for run in seen:
            warehouse.run(connection, "mark_checked", **run)
    return findings


def _find(warehouse: Warehouse, connection: Connection, run_id: str) -> list[CheckResult]:
    given = {"run_id": run_id, "a_day_ago": warehouse.now(connection) - timedelta(days=1)}
    findings = []
    for name in check_names():
        wanted = {key: given[key] for key in parameters_of(name, "checks")}
        found = connection.execute(statement(name, wanted, "checks")).mappings()
        rows = [dict(row) for row in found.fetchmany(ROWS_SHOWN)]
        findings.append(CheckResult(name, name.startswith("fail_"), rows))
    return [finding for finding in findings if finding.rows]


def check_names() -> list[str]:
    """The checks there are, in the order they run."""
    return sorted(file.stem for file in SQL_FOLDER.glob("checks/*.sql"))


def last_run_id(warehouse: Warehouse) -> str | None:
    """The run that began last; None before the first."""
    with warehouse.reading() as connection:
        run_id: str | None = warehouse.run(connection, "report_last_run").scalar()
    return run_id


def run_summary(warehouse: Warehouse, run_id: str) -> RunSummary:
    """What became of the persons of a run, as of one instant. ConfigurationError if there is none."""
    with warehouse.reading() as connection:
        run = warehouse.run(connection, "report_runs", run_id=run_id, most=1).mappings().first()
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
    """The latest runs, newest first: the columns of sync_runs but for who held them."""
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_runs", run_id=None, most=most)


def carried_batches(warehouse: Warehouse, run_id: str) -> Rows:
    """The batches of earlier runs that this run took over: batch_id, run_id, salesforce_job_id,
    batch_state, attempt_count, and its persons in open_count, created_count, updated_count,
    duplicate_count, rejected_count, held_count."""
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_carried_batches", run_id=run_id)


def held_persons(warehouse: Warehouse, most: int = ROWS_SHOWN) -> Rows:
    """The persons that wait for `resolve`, longest first: person_id, run_id, batch_id,
    salesforce_job_id, owner_strategy, reason_code, decided_at."""
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_held_persons", most=most)


def held_count(warehouse: Warehouse) -> int:
    """How many persons wait for `resolve`."""
    with warehouse.reading() as connection:
        count: int = warehouse.run(connection, "count_held_persons").scalar_one()
    return count


def explain_rules(warehouse: Warehouse) -> Rows:
    """The rules a person can break: rule_name, stage, field_name, sentence, remedy."""
    with warehouse.reading() as connection:
        return warehouse.read_rows(connection, "report_rules")


def person_outcome(warehouse: Warehouse, person_ids: Sequence[str]) -> Rows:
    """What is known of these persons, one row each and in the order asked.

    person_id, outcome (of the five, `open` while in a batch, `new` if none), run_id, batch_id,
    batch_state, lead_id, contact_id, owner_strategy, owner_id, owner_name, owner_type, reason_code,
    defaulted_fields, decided_at (of an open one when it was claimed), rules (broken, comma-separated),
    messages (of those rules, a line each; may quote the person), matched (`lead 00Q…`,
    comma-separated).
    """
    wanted = list(dict.fromkeys(person_ids))
    parts = [wanted[n : n + _IDS_AT_ONCE] for n in range(0, len(wanted), _IDS_AT_ONCE)]
    known = {row["person_id"]: row for part in parts for row in _known_of(warehouse, part)}
    return [known.get(person_id, _unknown(person_id)) for person_id in wanted]


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
