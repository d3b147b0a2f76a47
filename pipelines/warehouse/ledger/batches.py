"""The steps of a batch, each committed before or after a request to Salesforce, never with it.

    pending ──► uploading ──► submitted ──► completed
       ▲           │          │
       └───────────┴──────────┘

Each step expects the state, the fencing token and the run with which the batch was read. If another
run has taken the batch over, the step changes no row and raises LeaseLostError. After a commit
whose response was lost, do not repeat the step: call `read_batch`.

`batch_results` completes a batch, `jobs` has the Salesforce jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping

from pipelines.errors import LeaseLostError, LedgerInconsistentError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger.jobs import end_job


@dataclass(frozen=True)
class Batch:
    """A row of `lead_batches` as it was last read. Only the functions of the ledger make one."""

    batch_id: str
    run_id: str
    batch_state: str
    owner_strategy: str
    operation: Literal["insert", "update"]
    sobject: Literal["Lead", "Contact"]
    load_api: Literal["bulk", "collections"]
    assignment_rule_id: str | None
    allow_duplicates: bool
    salesforce_job_id: str | None
    attempt_count: int
    person_count: int
    payload_sha256: str | None
    payload_bytes: int | None
    fencing_token: int
    leased_by_run_id: str
    lease_until: datetime
    planned_at: datetime
    opened_at: datetime | None
    submitted_at: datetime | None
    completed_at: datetime | None


_FIELDS = tuple(field.name for field in fields(Batch))


def batch_of(row: RowMapping) -> Batch:
    """Return the batch of a row of `lead_batches`."""
    return Batch(**{name: row[name] for name in _FIELDS})


def read_batch(warehouse: Warehouse, batch_id: str) -> Batch | None:
    """Return the batch as it is now; None if there is none with that id."""
    with warehouse.reading() as connection:
        row = warehouse.run(connection, "read_batch", batch_id=batch_id).mappings().one_or_none()
        return batch_of(row) if row else None


def record_job(
    warehouse: Warehouse, batch: Batch, job_id: str, *, payload_sha256: str, payload_bytes: int
) -> Batch:
    """Record the job before data is uploaded to it. pending → uploading. Raises LeaseLostError."""
    require_state(batch, "pending")
    with warehouse.transaction() as connection:
        now = warehouse.now(connection)
        after = move(
            warehouse,
            connection,
            "start_upload",
            batch,
            salesforce_job_id=job_id,
            payload_sha256=payload_sha256,
            payload_bytes=payload_bytes,
            now=now,
        )
        warehouse.run(
            connection,
            "record_job",
            salesforce_job_id=job_id,
            batch_id=batch.batch_id,
            attempt=batch.attempt_count,
            now=now,
        )
    return after


def record_submitted(warehouse: Warehouse, batch: Batch) -> Batch:
    """Record the intent to start before Salesforce is asked to start.

    uploading → submitted; pending → submitted for collections, which have no job. After a crash a
    batch that is not submitted can have made nothing. Raises LeaseLostError.
    """
    require_state(batch, "uploading" if batch.load_api == "bulk" else "pending")
    with warehouse.transaction() as connection:
        return move(warehouse, connection, "submit_batch", batch, now=warehouse.now(connection))


def discard_job(
    warehouse: Warehouse, batch: Batch, end_state: str | None, *, is_attempt: bool = True
) -> Batch:
    """Give the job up; all persons remain for another attempt. uploading or submitted → pending.

    Only for a job that certainly made nothing, or whose effects may be repeated. `end_state` is the
    job's; collections have no job. `is_attempt`: whether it counts as an attempt. Raises
    LeaseLostError.
    """
    require_state(batch, "uploading", "submitted")
    with warehouse.transaction() as connection:
        after = move(warehouse, connection, "return_batch", batch, attempts=int(is_attempt))
        end_job(warehouse, connection, batch.salesforce_job_id, end_state)
    return after


def renew_lease(warehouse: Warehouse, batch: Batch, lease_seconds: float) -> Batch:
    """Extend the lease from now on. Raises LeaseLostError. May be repeated."""
    with warehouse.transaction() as connection:
        until = lease_end(warehouse, connection, lease_seconds)
        return move(warehouse, connection, "renew_lease", batch, lease_until=until)


def take_over_stale_batches(
    warehouse: Warehouse,
    run_id: str,
    *,
    lease_seconds: float,
    is_alive: Callable[[str, int], bool],
) -> list[Batch]:
    """Take over the open batches that no run works on, each with a higher fencing token.

    That is: the lease is over by the database's clock, the run of the lease has ended, or
    `is_alive(host, process_id)` returns False for its process. Of two runs one gets the batch; a
    run that renews its lease first keeps it. May be repeated.
    """
    found = [row for row in _open(warehouse) if _is_stale(row, run_id, is_alive)]
    if not found:
        return []
    with warehouse.transaction() as connection:
        until = lease_end(warehouse, connection, lease_seconds)
        taken = [_take_over(warehouse, connection, row, run_id, until) for row in found]
        # Their persons are read from the source again.
        warehouse.dialect.gather_statistics(connection, "person_claims")
    return [batch for batch in taken if batch is not None]


def lease_end(warehouse: Warehouse, connection: Connection, seconds: float) -> datetime:
    """Return the end of a lease that begins now, by the clock that all processes share."""
    return warehouse.now(connection) + timedelta(seconds=seconds)


def move(
    warehouse: Warehouse, connection: Connection, step: str, batch: Batch, **changes: Any
) -> Batch:
    """Execute a step's statement and return the batch after it. Raises LeaseLostError when the
    batch is no longer as it was read."""
    row = (
        warehouse.run(
            connection,
            step,
            batch_id=batch.batch_id,
            fencing_token=batch.fencing_token,
            leased_by_run_id=batch.leased_by_run_id,
            seen_state=batch.batch_state,
            **changes,
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise LeaseLostError(
            f"batch {batch.batch_id} is no longer {batch.batch_state} under the lease of run "
            f"{batch.leased_by_run_id}: another run has taken it over"
        )
    return batch_of(row)


def require_state(batch: Batch, *states: str) -> None:
    """Raise LedgerInconsistentError unless the batch is in one of the states."""
    if batch.batch_state not in states:
        raise LedgerInconsistentError(
            f"batch {batch.batch_id} is {batch.batch_state}; "
            f"this step starts from {' or '.join(states)}"
        )


def _open(warehouse: Warehouse) -> Sequence[RowMapping]:
    with warehouse.reading() as connection:
        now = warehouse.now(connection)
        return warehouse.run(connection, "open_batches", now=now).mappings().all()


def _is_stale(row: RowMapping, run_id: str, is_alive: Callable[[str, int], bool]) -> bool:
    if row["leased_by_run_id"] == run_id:
        return False
    if row["is_lease_over"] or row["leased_by_state"] != "running":
        return True
    return not is_alive(row["process_host"], row["process_id"])


def _take_over(
    warehouse: Warehouse, connection: Connection, row: RowMapping, run_id: str, until: datetime
) -> Batch | None:
    taken = warehouse.run(
        connection,
        "take_over_batch",
        batch_id=row["batch_id"],
        fencing_token=row["fencing_token"],
        seen_lease_until=row["lease_until"],
        run_id=run_id,
        lease_until=until,
    ).mappings()
    batch = taken.one_or_none()
    return batch_of(batch) if batch else None
