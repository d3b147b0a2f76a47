"""Persons leave a batch: with the outcome that Salesforce's results mean, or released without one.

Claims, outcomes, matches, the batch and the run's counts change in one transaction. So each person
has either a claim or an outcome at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
from sqlalchemy import Connection

from pipelines.errors import LedgerInconsistentError
from pipelines.rules.frames import BatchClaims, BatchOutcomes, select
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import rejects_and_duplicates
from pipelines.warehouse.ledger.batches import Batch, move, require_state
from pipelines.warehouse.ledger.jobs import end_job
from pipelines.warehouse.ledger.runs import add_counts

if TYPE_CHECKING:
    from pandera.typing import DataFrame

    from pipelines.rules.frames import Duplicates, Rejected

OUTCOMES = ("created", "updated", "duplicate", "rejected", "held")


@dataclass(frozen=True)
class BatchResults:
    """What Salesforce's results mean for the persons of a batch.

    A person who is not in `outcomes` remains for another attempt. `rejected` and `duplicates` are
    of persons in `outcomes`. The counts are the job's own; None for collections.
    """

    outcomes: DataFrame[BatchOutcomes]
    rejected: DataFrame[Rejected]
    duplicates: DataFrame[Duplicates]
    end_state: str | None = None
    processed_count: int | None = None
    failed_count: int | None = None


def batch_claims(warehouse: Warehouse, batch_id: str) -> DataFrame[BatchClaims]:
    """Return the persons of a batch, sorted by person_id."""
    with warehouse.reading() as connection:
        claims = warehouse.read_frame(connection, "batch_claims", batch_id=batch_id)
    # PostgreSQL sorts text by locale; here the order is the same on every engine.
    return select(claims.sort_values("person_id", ignore_index=True), BatchClaims)


def record_results(warehouse: Warehouse, batch: Batch, results: BatchResults) -> Batch:
    """Record what became of the batch's persons, all of it or nothing.

    submitted → completed; → pending with one more attempt when persons without an outcome remain.
    Outcomes get strategy, defaulted fields, attempts and source version from the claims. The counts
    of the batch and of the run that planned it change with them. Matches of rejected and held
    persons are deleted, those of duplicates become `reported`. Raises LeaseLostError, and
    LedgerInconsistentError for a person who is not in the batch.
    """
    require_state(batch, "submitted")
    persons = select(results.outcomes, BatchOutcomes)
    rejects_and_duplicates.require_one_row_each(persons)
    rejects_and_duplicates.require_within(results.rejected, persons, "rejected")
    rejects_and_duplicates.require_within(results.duplicates, persons, *OUTCOMES)
    run_id = batch.run_id
    with warehouse.transaction() as connection:
        after = _add_counts(warehouse, connection, batch, persons)
        _release_claims(warehouse, connection, batch, persons)
        rejects_and_duplicates.record_rejections(warehouse, connection, run_id, results.rejected)
        rejects_and_duplicates.record_duplicates(warehouse, connection, run_id, results.duplicates)
        end_job(
            warehouse,
            connection,
            batch.salesforce_job_id,
            results.end_state,
            results.processed_count,
            results.failed_count,
        )
        if after.person_count:
            after = move(warehouse, connection, "return_batch", after, attempts=1)
        else:
            after = _complete(warehouse, connection, after)
        counts = _outcome_counts(persons)
        add_counts(warehouse, connection, run_id, open_count=-len(persons), **counts)
    return after


def release_persons(warehouse: Warehouse, batch: Batch, person_ids: Sequence[str]) -> Batch:
    """Release persons whose source rows have changed, as if the batch's run had never read them.

    pending → pending, or completed when no person remains. Their claims, e-mails and matches are
    deleted; they are new again. Raises LeaseLostError, and LedgerInconsistentError for a person who
    is not in the batch.
    """
    require_state(batch, "pending")
    persons = pd.DataFrame({"person_id": pd.Series(person_ids, dtype="str")})
    rejects_and_duplicates.require_one_row_each(persons)
    with warehouse.transaction() as connection:
        after = _add_counts(warehouse, connection, batch, persons)
        _release_claims(warehouse, connection, batch, persons)
        if not after.person_count:
            after = _complete(warehouse, connection, after)
        change = -len(persons)
        add_counts(warehouse, connection, batch.run_id, read_count=change, open_count=change)
    return after


def _complete(warehouse: Warehouse, connection: Connection, batch: Batch) -> Batch:
    return move(warehouse, connection, "complete_batch", batch, now=warehouse.now(connection))


def _add_counts(
    warehouse: Warehouse, connection: Connection, batch: Batch, persons: pd.DataFrame
) -> Batch:
    # The first statement of the transaction: it locks the batch's row, so that no run can take the
    # batch over before the commit.
    released = {"released_count": len(persons)}
    counts = _outcome_counts(persons)
    return move(warehouse, connection, "add_batch_counts", batch, **released, **counts)


def _outcome_counts(persons: pd.DataFrame) -> dict[str, int]:
    found = persons.get("outcome", pd.Series(dtype="str"))
    return {f"{outcome}_count": int((found == outcome).sum()) for outcome in OUTCOMES}


def _release_claims(
    warehouse: Warehouse, connection: Connection, batch: Batch, persons: pd.DataFrame
) -> None:
    """Replace claims by outcomes. A person without an outcome leaves nothing in the ledger."""
    with warehouse.temporary_table(connection, "released_claims", persons):
        if "outcome" in persons:
            now = warehouse.now(connection)
            of_batch = {"batch_id": batch.batch_id, "run_id": batch.run_id}
            warehouse.run(connection, "record_outcomes", **of_batch, now=now)
        found = warehouse.run(connection, "delete_released_claims", batch_id=batch.batch_id)
        if found.rowcount != len(persons):
            raise LedgerInconsistentError(
                f"{len(persons)} persons should leave batch {batch.batch_id}, "
                f"and {found.rowcount} of them are in it"
            )
        warehouse.run(connection, "delete_unused_matches", run_id=batch.run_id)
        warehouse.run(connection, "mark_matches_reported", run_id=batch.run_id)
        warehouse.run(connection, "delete_released_emails")
