"""Runs: when each began and ended, in which org, and what it has counted so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from sqlalchemy import Connection, RowMapping

from pipelines.errors import LedgerInconsistentError, OrgMismatchError
from pipelines.warehouse.database import Warehouse


@dataclass(frozen=True)
class RunCounts:
    """What a run has counted.

    At any time read = created + updated + duplicate + rejected + held + open.
    """

    read_count: int
    created_count: int
    updated_count: int
    duplicate_count: int
    rejected_count: int
    held_count: int
    open_count: int
    api_call_count: int


_COUNTS = tuple(field.name for field in fields(RunCounts))


def begin_run(
    warehouse: Warehouse,
    *,
    run_id: str,
    run_mode: str,
    owner_default: str | None,
    flow_run_id: str | None,
    code_version: str,
    settings_hash: str,
    process_host: str,
    process_id: int,
) -> None:
    """Record that the run has begun, in that process. A run id is used once."""
    with warehouse.transaction() as connection:
        warehouse.run(
            connection,
            "begin_run",
            run_id=run_id,
            run_mode=run_mode,
            owner_default=owner_default,
            flow_run_id=flow_run_id,
            code_version=code_version,
            settings_hash=settings_hash,
            process_host=process_host,
            process_id=process_id,
            now=warehouse.now(connection),
        )


def bind_org(
    warehouse: Warehouse, run_id: str, org_id: str, org_name: str, is_sandbox: bool
) -> None:
    """Bind the run to the org of its login, and the ledger to that of the first. May be repeated.

    Raises OrgMismatchError when the ledger belongs to another org: its leads are not in this one,
    and every person would be created a second time.
    """
    with warehouse.transaction() as connection:
        # Two first runs in two orgs would both find no org; with the migrator's lock one of them
        # waits for the other.
        warehouse.dialect.lock_for_migration(connection)
        known = warehouse.run(connection, "ledger_org").mappings().one_or_none()
        if known is None:
            now = warehouse.now(connection)
            warehouse.run(
                connection,
                "record_org",
                org_id=org_id,
                org_name=org_name,
                is_sandbox=is_sandbox,
                now=now,
            )
        else:
            _require_same(known, org_id, org_name)
        warehouse.run(connection, "bind_run", run_id=run_id, org_id=org_id)


def require_own_org(warehouse: Warehouse, org_id: str, org_name: str) -> None:
    """Raise OrgMismatchError where `bind_org` would; write nothing. Needs a migrated warehouse."""
    with warehouse.reading() as connection:
        known = warehouse.run(connection, "ledger_org").mappings().one_or_none()
    if known is not None:
        _require_same(known, org_id, org_name)


def _require_same(known: RowMapping, org_id: str, org_name: str) -> None:
    if known["org_id"] != org_id:
        raise OrgMismatchError(
            f"this ledger belongs to org {known['org_id']} ({known['org_name']}) and the login "
            f"is for org {org_id} ({org_name}); correct `salesforce.domain`, or give this org a "
            "ledger of its own by `warehouse.results_schema` or another `warehouse.url`"
        )


def record_lookup_stats(
    warehouse: Warehouse,
    run_id: str,
    method: str,
    *,
    call_count: int = 0,
    record_count: int = 0,
    seconds: int = 0,
) -> None:
    """Record how the run looks up existing records (soql or snapshot), and add what that has cost.

    Two methods in one run are recorded as mixed.
    """
    with warehouse.transaction() as connection:
        warehouse.run(
            connection,
            "record_lookup_stats",
            run_id=run_id,
            lookup_method=method,
            lookup_call_count=call_count,
            lookup_record_count=record_count,
            lookup_seconds=seconds,
        )


def lookup_method(warehouse: Warehouse, run_id: str) -> str | None:
    """Return how the run looks up existing records; None before it was recorded."""
    with warehouse.reading() as connection:
        method: str | None = warehouse.run(connection, "lookup_method", run_id=run_id).scalar()
    return method


def run_counts(warehouse: Warehouse, run_id: str) -> RunCounts:
    """Return what the run has counted so far. Raises LedgerInconsistentError for an unknown run."""
    with warehouse.reading() as connection:
        return _read_counts(warehouse, connection, run_id)


def count_listed_persons(warehouse: Warehouse, run_id: str) -> int:
    """Count what became of the persons on the run's list, before its end.

    Return how many were not read: no run has claimed or decided them since they were listed. May be
    repeated.
    """
    with warehouse.transaction() as connection:
        # The lock first: another run may be releasing persons of this run's batches.
        warehouse.run(connection, "lock_run", run_id=run_id)
        counted = warehouse.run(connection, "count_listed_persons", run_id=run_id)
        unread_count: int = counted.scalar_one()
    return unread_count


def end_run(
    warehouse: Warehouse,
    run_id: str,
    run_state: str,
    *,
    api_call_count: int,
    error_code: str | None = None,
    error_message: str | None = None,
) -> RunCounts:
    """End the run as finished, failed or deadline, and delete its list of persons.

    Return what it counted. A run that was marked as failed before stays failed. May be repeated.
    """
    with warehouse.transaction() as connection:
        warehouse.run(
            connection,
            "end_run",
            run_id=run_id,
            run_state=run_state,
            api_call_count=api_call_count,
            error_code=error_code,
            error_message=error_message,
            now=warehouse.now(connection),
        )
        _delete_list(warehouse, connection, run_id)
        return _read_counts(warehouse, connection, run_id)


def fail_dead_runs(warehouse: Warehouse, is_alive: Callable[[str, int], bool]) -> list[str]:
    """Mark the runs as failed for whose process `is_alive(host, process_id)` returns False.

    Delete their lists of persons, and return their ids. Their batches stay open until a run takes
    them over. May be repeated.
    """
    with warehouse.transaction() as connection:
        running = warehouse.run(connection, "running_runs").mappings().all()
        dead = [
            row["run_id"] for row in running if not is_alive(row["process_host"], row["process_id"])
        ]
        for run_id in dead:
            warehouse.run(
                connection,
                "fail_run",
                run_id=run_id,
                error_code="PROCESS_DIED",
                error_message="the process ended without recording it; the next run continues",
                now=warehouse.now(connection),
            )
            _delete_list(warehouse, connection, run_id)
    return dead


def add_counts(warehouse: Warehouse, connection: Connection, run_id: str, **changes: int) -> None:
    """Add to the run's counts inside the caller's transaction, as its last statement.

    Last, because a transaction that has locked this row and then waits for another one could end in
    a deadlock. Raises LedgerInconsistentError for an unknown run, or when the counts would no
    longer add up.
    """
    parts = sum(count for name, count in changes.items() if name != "read_count")
    if changes.get("read_count", 0) != parts:
        raise LedgerInconsistentError(f"the counts of run {run_id} would not add up: {changes}")
    added = {name: changes.get(name, 0) for name in _COUNTS if name != "api_call_count"}
    if warehouse.run(connection, "add_run_counts", run_id=run_id, **added).rowcount != 1:
        raise LedgerInconsistentError(f"run {run_id} is not in the ledger")


def _delete_list(warehouse: Warehouse, connection: Connection, run_id: str) -> None:
    warehouse.run(connection, "delete_planned_emails", run_id=run_id)
    warehouse.run(connection, "delete_run_persons", run_id=run_id)


def _read_counts(warehouse: Warehouse, connection: Connection, run_id: str) -> RunCounts:
    row = warehouse.run(connection, "run_counts", run_id=run_id).mappings().one_or_none()
    if row is None:
        raise LedgerInconsistentError(f"run {run_id} is not in the ledger")
    return RunCounts(**row)
