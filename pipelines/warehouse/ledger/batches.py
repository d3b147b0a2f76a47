"""The ledger's batches: each step a batch can take, committed before or after the org is asked,
never both.

    pending ──► uploading ──► submitted ──► completed
       ▲           │          │
       └───────────┴──────────┘

Every step moves a batch only from the state, the fencing_token and the holder it was seen with, in one
transaction. Where nothing moves, another run has it: LeaseLostError, and nothing was written. A step
whose commit was not answered is not repeated but looked up by `read_batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

import pandas as pd
from sqlalchemy import Connection, RowMapping

from pipelines.errors import LeaseLostError, LedgerInconsistentError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import rejects_and_duplicates
from pipelines.warehouse.ledger.runs import move_counts

OUTCOMES = ("created", "updated", "duplicate", "rejected", "held")
LEAVING_COLUMNS = [
    "person_id",
    "outcome",
    "lead_id",
    "contact_id",
    "owner_id",
    "owner_name",
    "owner_type",
    "reason_code",
]


@dataclass(frozen=True)
class Batch:
    """A row of `lead_batches` as it stood when last seen. Only the functions here make a new
    one."""

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


@dataclass(frozen=True)
class BatchResults:
    """What the org's answers mean for the persons of a batch; whoever is not in `outcomes` stays
    for another attempt.

    `outcomes`: person_id, outcome (created updated duplicate rejected held), lead_id, contact_id,
    owner_id, owner_name, owner_type, reason_code; a blank lead_id, contact_id or reason_code is
    taken from the claim. `rejected` and `duplicates`: as in `findings`, of persons of `outcomes`.
    The counts are the job's own; None for collections.
    """

    outcomes: pd.DataFrame
    rejected: pd.DataFrame
    duplicates: pd.DataFrame
    end_state: str | None = None
    processed_count: int | None = None
    failed_count: int | None = None


_FIELDS = tuple(field.name for field in fields(Batch))


def batch_of(row: RowMapping) -> Batch:
    """The batch that a row of `lead_batches` is."""
    return Batch(**{name: row[name] for name in _FIELDS})


def read_batch(warehouse: Warehouse, batch_id: str) -> Batch | None:
    """The batch as it stands now; None if there is none of that id."""
    with warehouse.reading() as connection:
        row = warehouse.run(connection, "read_batch", batch_id=batch_id).mappings().one_or_none()
        return batch_of(row) if row else None


def record_job(
    warehouse: Warehouse, batch: Batch, job_id: str, *, payload_sha256: str, payload_bytes: int
) -> Batch:
    """Remember the job before it is given data (T2). pending → uploading. Raises LeaseLostError."""
    _require(batch, "pending")
    with warehouse.transaction() as connection:
        now = warehouse.now(connection)
        after = _move(
            warehouse,
            connection,
            "open_batch",
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
    """Remember the intent to start before the org is asked to (T3). uploading → submitted; planned →
    closing for collections, which have no job. Raises LeaseLostError."""
    _require(batch, "uploading" if batch.load_api == "bulk" else "pending")
    with warehouse.transaction() as connection:
        return _move(warehouse, connection, "close_batch", batch, now=warehouse.now(connection))


def discard_job(
    warehouse: Warehouse, batch: Batch, end_state: str | None, *, is_attempt: bool = True
) -> Batch:
    """Give the job up, every person stays for another attempt. opened or submitted → pending.

    Only for a job that certainly made nothing, or whose effects are harmless to repeat. `end_state`
    is the job's; for collections there is no job to note it at. `is_attempt`: whether it counts as
    one. Raises LeaseLostError.
    """
    _require(batch, "uploading", "submitted")
    with warehouse.transaction() as connection:
        after = _move(warehouse, connection, "return_batch", batch, attempts=int(is_attempt))
        _end_job(warehouse, connection, batch, end_state, None, None)
    return after


def renew_lease(warehouse: Warehouse, batch: Batch, lease_seconds: float) -> Batch:
    """Keep the batch for so long from now by the database's clock. Raises LeaseLostError. May be
    repeated."""
    with warehouse.transaction() as connection:
        until = lease_end(warehouse, connection, lease_seconds)
        return _move(warehouse, connection, "renew_lease", batch, lease_until=until)


def release_persons(warehouse: Warehouse, batch: Batch, person_ids: Sequence[str]) -> Batch:
    """Let persons go whose source rows changed: as if this batch's run had never read them. planned
    → pending, or settled when nobody is left.

    Their claims, e-mails and matches are dropped; they are new again. Raises LeaseLostError, and
    LedgerInconsistentError for a person whom the batch does not hold.
    """
    _require(batch, "pending")
    persons = pd.DataFrame({"person_id": pd.Series(person_ids, dtype="str")})
    rejects_and_duplicates.require_one_row_each(persons)
    with warehouse.transaction() as connection:
        after = _count(warehouse, connection, batch, persons)
        _let_leave(warehouse, connection, batch, persons)
        if not after.person_count:
            after = _finish(warehouse, connection, after)
        gone = -len(persons)
        move_counts(warehouse, connection, batch.run_id, read_count=gone, open_count=gone)
    return after


def settle(warehouse: Warehouse, batch: Batch, settlement: BatchResults) -> Batch:
    """Record what became of the batch's persons, all of it or nothing (T4). submitted → completed, or →
    planned with one more attempt when persons remain without an outcome.

    Outcomes take over strategy, filled fields, attempts and source version from the claims; the
    counts of the batch and of the run that planned it move with them. The matches of persons who
    end rejected or held are dropped, those of duplicates become `reported`. Raises LeaseLostError, and
    LedgerInconsistentError for a person whom the batch does not hold.
    """
    _require(batch, "submitted")
    persons = settlement.outcomes[LEAVING_COLUMNS]
    rejects_and_duplicates.require_one_row_each(persons)
    rejects_and_duplicates.require_within(settlement.rejected, persons, "rejected")
    rejects_and_duplicates.require_within(settlement.duplicates, persons, *OUTCOMES)
    with warehouse.transaction() as connection:
        after = _count(warehouse, connection, batch, persons)
        _let_leave(warehouse, connection, batch, persons)
        rejects_and_duplicates.record_rejections(
            warehouse, connection, batch.run_id, settlement.rejected
        )
        rejects_and_duplicates.record_duplicates(
            warehouse, connection, batch.run_id, settlement.duplicates
        )
        _end_job(
            warehouse,
            connection,
            batch,
            settlement.end_state,
            settlement.processed_count,
            settlement.failed_count,
        )
        if after.person_count:
            after = _move(warehouse, connection, "return_batch", after, attempts=1)
        else:
            after = _finish(warehouse, connection, after)
        counts = _outcome_counts(persons)
        move_counts(warehouse, connection, batch.run_id, open_count=-len(persons), **counts)
    return after


def take_over_stale_batches(
    warehouse: Warehouse,
    run_id: str,
    *,
    lease_seconds: float,
    is_alive: Callable[[str, int], bool],
) -> list[Batch]:
    """Take over the open batches that nobody carries any more, each under a higher fencing_token.

    Nobody: the lease is over by the database's clock, the holder run has ended, or `is_alive(host,
    pid)` knows its process dead. Of two takers one wins; a holder who renews at the last moment
    keeps its batch. May be repeated.
    """
    found = [row for row in _open(warehouse) if _is_abandoned(row, run_id, is_alive)]
    if not found:
        return []
    with warehouse.transaction() as connection:
        until = lease_end(warehouse, connection, lease_seconds)
        taken = [_take(warehouse, connection, row, run_id, until) for row in found]
        # Their persons are read from the source again.
        warehouse.dialect.gather_statistics(connection, "person_claims")
    return [batch for batch in taken if batch is not None]


def count_discarded_jobs(warehouse: Warehouse, batch_id: str) -> int:
    """How many jobs of a batch were aborted before they could make anything."""
    with warehouse.reading() as connection:
        found = warehouse.run(connection, "count_discarded_jobs", batch_id=batch_id)
        return int(found.scalar_one())


def batch_claims(warehouse: Warehouse, batch_id: str) -> pd.DataFrame:
    """The persons a batch holds, by person_id: person_id, lead_id, contact_id, row_hash,
    reason_code."""
    with warehouse.reading() as connection:
        claims = warehouse.read_frame(connection, "batch_claims", batch_id=batch_id)
    # Text sorts by locale on PostgreSQL; here it sorts alike everywhere.
    return claims.sort_values("person_id", ignore_index=True)


def known_job_ids(warehouse: Warehouse) -> frozenset[str]:
    """Every Salesforce job this ledger ever opened."""
    with warehouse.reading() as connection:
        return frozenset(warehouse.run(connection, "known_jobs").scalars())


def record_unknown_job(
    warehouse: Warehouse,
    job_id: str,
    *,
    opened_at: datetime,
    end_state: str,
    processed_count: int | None,
    failed_count: int | None,
) -> None:
    """Remember a job that this ledger did not open; its batch is NONE. May be repeated."""
    with warehouse.transaction() as connection:
        warehouse.run(
            connection,
            "record_unknown_job",
            salesforce_job_id=job_id,
            opened_at=opened_at,
            end_state=end_state,
            processed_count=processed_count,
            failed_count=failed_count,
        )


def lease_end(warehouse: Warehouse, connection: Connection, seconds: float) -> datetime:
    """When a lease given now ends: by the database's clock, the only one that all processes
    share."""
    return warehouse.now(connection) + timedelta(seconds=seconds)


def _move(
    warehouse: Warehouse, connection: Connection, step: str, batch: Batch, **changes: Any
) -> Batch:
    row = _matching(warehouse, connection, step, batch, **changes)
    if row is None:
        raise LeaseLostError(
            f"batch {batch.batch_id} is no longer {batch.batch_state} in the hands of run "
            f"{batch.leased_by_run_id}: another run has taken it over"
        )
    return batch_of(row)


def _matching(
    warehouse: Warehouse, connection: Connection, step: str, batch: Batch, **changes: Any
) -> RowMapping | None:
    return (
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


def _require(batch: Batch, *states: str) -> None:
    if batch.batch_state not in states:
        raise LedgerInconsistentError(
            f"batch {batch.batch_id} is {batch.batch_state}; "
            f"this step starts from {' or '.join(states)}"
        )


def _finish(warehouse: Warehouse, connection: Connection, batch: Batch) -> Batch:
    return _move(warehouse, connection, "finish_batch", batch, now=warehouse.now(connection))


def _count(
    warehouse: Warehouse, connection: Connection, batch: Batch, persons: pd.DataFrame
) -> Batch:
    # First of all steps: it locks the batch's row, so nobody can take it over before we commit.
    counts = _outcome_counts(persons)
    return _move(warehouse, connection, "count_batch", batch, leaving_count=len(persons), **counts)


def _outcome_counts(persons: pd.DataFrame) -> dict[str, int]:
    found = persons.get("outcome", pd.Series(dtype="str"))
    return {f"{outcome}_count": int((found == outcome).sum()) for outcome in OUTCOMES}


def _let_leave(
    warehouse: Warehouse, connection: Connection, batch: Batch, persons: pd.DataFrame
) -> None:
    """Outcomes in, claims out: whoever leaves without an outcome leaves without a trace."""
    warehouse.run(connection, "make_leaving_persons")
    warehouse.insert_frame(connection, "leaving_persons", persons)
    if "outcome" in persons:
        warehouse.run(
            connection,
            "record_settled_persons",
            batch_id=batch.batch_id,
            run_id=batch.run_id,
            now=warehouse.now(connection),
        )
    left = warehouse.run(connection, "drop_left_claims", batch_id=batch.batch_id).rowcount
    if left != len(persons):
        raise LedgerInconsistentError(
            f"{len(persons)} persons should leave batch {batch.batch_id}, "
            f"and it holds {left} of them"
        )
    warehouse.run(connection, "forget_unmade_matches", run_id=batch.run_id)
    warehouse.run(connection, "report_unmade_matches", run_id=batch.run_id)
    warehouse.run(connection, "free_left_emails")
    warehouse.run(connection, "drop_leaving_persons")


def _end_job(
    warehouse: Warehouse,
    connection: Connection,
    batch: Batch,
    end_state: str | None,
    processed_count: int | None,
    failed_count: int | None,
) -> None:
    if batch.salesforce_job_id is not None:
        warehouse.run(
            connection,
            "end_job",
            salesforce_job_id=batch.salesforce_job_id,
            end_state=end_state,
            processed_count=processed_count,
            failed_count=failed_count,
        )


def _open(warehouse: Warehouse) -> Sequence[RowMapping]:
    with warehouse.reading() as connection:
        now = warehouse.now(connection)
        return warehouse.run(connection, "open_batches", now=now).mappings().all()


def _is_abandoned(row: RowMapping, run_id: str, is_alive: Callable[[str, int], bool]) -> bool:
    if row["leased_by_run_id"] == run_id:
        return False
    if row["is_lease_over"] or row["leased_by_state"] != "running":
        return True
    return not is_alive(row["process_host"], row["process_id"])


def _take(
    warehouse: Warehouse, connection: Connection, row: RowMapping, run_id: str, until: datetime
) -> Batch | None:
    taken = warehouse.run(
        connection,
        "take_batch",
        batch_id=row["batch_id"],
        fencing_token=row["fencing_token"],
        seen_until=row["lease_until"],
        run_id=run_id,
        lease_until=until,
    ).mappings()
    batch = taken.one_or_none()
    return batch_of(batch) if batch else None
