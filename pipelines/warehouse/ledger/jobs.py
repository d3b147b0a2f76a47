"""The Salesforce jobs that the ledger knows. Jobs are never deleted from it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from pipelines.warehouse.database import Warehouse


def known_job_ids(warehouse: Warehouse) -> frozenset[str]:
    """Return the id of every job in the ledger."""
    with warehouse.reading() as connection:
        return frozenset(warehouse.run(connection, "known_job_ids").scalars())


def count_discarded_jobs(warehouse: Warehouse, batch_id: str) -> int:
    """Return how many jobs of a batch were aborted before they could make anything."""
    with warehouse.reading() as connection:
        found = warehouse.run(connection, "count_discarded_jobs", batch_id=batch_id)
        return int(found.scalar_one())


def record_unknown_job(
    warehouse: Warehouse,
    job_id: str,
    *,
    opened_at: datetime,
    end_state: str,
    processed_count: int | None,
    failed_count: int | None,
) -> None:
    """Record a job that this ledger did not create; its batch is NONE. May be repeated."""
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


def end_job(
    warehouse: Warehouse,
    connection: Connection,
    job_id: str | None,
    end_state: str | None,
    processed_count: int | None = None,
    failed_count: int | None = None,
) -> None:
    """Record in the caller's transaction how a job ended; None for collections, without effect."""
    if job_id is not None:
        warehouse.run(
            connection,
            "end_job",
            salesforce_job_id=job_id,
            end_state=end_state,
            processed_count=processed_count,
            failed_count=failed_count,
        )
