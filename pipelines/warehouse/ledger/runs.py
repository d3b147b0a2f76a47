"""The runs: when each began and ended, to which org it spoke, and what it has counted so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from sqlalchemy import Connection, RowMapping

from pipelines.errors import LedgerInconsistentError, OrgMismatchError
from pipelines.warehouse.database import Warehouse


@dataclass(frozen=True)
class RunCounts:
    """What a run has counted: read = created + updated + duplicate + rejected + held + open, at any
    time."""

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
    """Write down that the run has begun, in that process. Not repeatable: a run id is used once."""
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
    """Tie the run to the org it has logged in to; the first time, the whole ledger. May be
    repeated.

    Raises OrgMismatchError when the ledger belongs to another org: its leads are not there, and every
    person would be created anew.
    """
    with warehouse.transaction() as connection:
        # Two first runs of two orgs would both find the ledger free; the migrator's lock lets one
        # of them look first.
        warehouse.dialect.lock_for_migration(connection)
        known = warehouse.run(connection, "known_orgs").mappings().one_or_none()
        if known is None:
            now = warehouse.now(connection)
            warehouse.run(
                connection,
                "remember_org",
                org_id=org_id,
                org_name=org_name,
                is_sandbox=is_sandbox,
                now=now,
            )
        else:
            _require_same(known, org_id, org_name)
        warehouse.run(connection, "bind_run", run_id=run_id, org_id=org_id)


def require_own_org(warehouse: Warehouse, org_id: str, org_name: str) -> None:
    """Raise OrgMismatchError where `bind_org` would; write nothing. Expects a migrated warehouse."""
    with warehouse.reading() as connection:
        known = warehouse.run(connection, "known_orgs").mappings().one_or_none()
    if known is not None:
        _require_same(known, org_id, org_name)


def _require_same(known: RowMapping, org_id: str, org_name: str) -> None:
    if known["org_id"] != org_id:
        raise OrgMismatchError(
            f"this ledger belongs to org {known['org_id']} ({known['org_name']}) and the login "
            f"is for org {org_id} ({org_name}); mend `salesforce.domain`, or give this org a "
            "ledger of its own by `warehouse.results_schema` or another `warehouse.url`"
        )


def record_lookup_stats(
    warehouse: Warehouse,
    run_id: str,
    way: str,
    *,
    call_count: int = 0,
    record_count: int = 0,
    seconds: int = 0,
) -> None:
    """Note how the run looks up what Salesforce already has (soql or snapshot), and what that has
    cost since the last note. Two ways in one run are noted as mixed."""
    with warehouse.transaction() as connection:
        warehouse.run(
            connection,
            "record_lookup_stats",
            run_id=run_id,
            lookup_method=way,
            matching_call_count=call_count,
            matching_record_count=record_count,
            matching_seconds=seconds,
        )


def lookup_method(warehouse: Warehouse, run_id: str) -> str | None:
    """How the run looks up what Salesforce already has; None before it was noted."""
    with warehouse.reading() as connection:
        way: str | None = warehouse.run(connection, "lookup_method", run_id=run_id).scalar()
    return way


def run_counts(warehouse: Warehouse, run_id: str) -> RunCounts:
    """What the run has counted so far. Raises LedgerInconsistentError for a run nobody began."""
    with warehouse.reading() as connection:
        return _read_counts(warehouse, connection, run_id)


def count_listed(warehouse: Warehouse, run_id: str) -> int:
    """Count what became of the persons that the run had set out to read, before its end.

    Return how many were not read: nobody has claimed or decided them since they were listed. May
    be repeated.
    """
    with warehouse.transaction() as connection:
        # First the lock: another run may be letting go of persons of this one's batches.
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
    """End the run as finished, failed or deadline, and empty its list of persons. Answers what it
    counted.

    A run that was declared dead meanwhile stays failed. May be repeated.
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
        _forget_reading(warehouse, connection, run_id)
        return _read_counts(warehouse, connection, run_id)


def fail_dead_runs(warehouse: Warehouse, is_alive: Callable[[str, int], bool]) -> list[str]:
    """Mark the runs as failed whose process `is_alive(host, pid)` knows dead, and empty their lists
    of persons.

    Answers their ids. Their batches stay open until somebody takes them. May be repeated.
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
                error_message="the process ended without a word; the next run carries on",
                now=warehouse.now(connection),
            )
            _forget_reading(warehouse, connection, run_id)
    return dead


def move_counts(warehouse: Warehouse, connection: Connection, run_id: str, **changes: int) -> None:
    """Add to the run's counts inside the caller's transaction, and as its last statement.

    Last, because every transaction that holds this row and waited for another one could close a
    circle of waiting. Raises LedgerInconsistentError for a run nobody began, or when the counts would no
    longer add up.
    """
    parts = sum(count for name, count in changes.items() if name != "read_count")
    if changes.get("read_count", 0) != parts:
        raise LedgerInconsistentError(f"the counts of run {run_id} would not add up: {changes}")
    moves = {name: changes.get(name, 0) for name in _COUNTS if name != "api_call_count"}
    if warehouse.run(connection, "move_run_counts", run_id=run_id, **moves).rowcount != 1:
        raise LedgerInconsistentError(f"run {run_id} is not in the ledger")


def _forget_reading(warehouse: Warehouse, connection: Connection, run_id: str) -> None:
    warehouse.run(connection, "forget_planned_emails", run_id=run_id)
    warehouse.run(connection, "forget_run_persons", run_id=run_id)


def _read_counts(warehouse: Warehouse, connection: Connection, run_id: str) -> RunCounts:
    row = warehouse.run(connection, "run_counts", run_id=run_id).mappings().one_or_none()
    if row is None:
        raise LedgerInconsistentError(f"run {run_id} is not in the ledger")
    return RunCounts(**row)
