"""Share the slices of a run among workers: who processes which, and in what order they count.

A worker claims the next slice by a compare-and-set on the run's row. Of several persons with one
e-mail the earliest is kept, so slices are *committed* in the order of their positions, each after
all earlier ones. Reading, matching and encoding happen in parallel. The slice of a lost worker may
be processed by another: both compare the position, one commits, the other is rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pipelines.errors import LeaseLostError, RunEndedError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger.batches import Batch, batch_of, lease_end


@dataclass(frozen=True)
class Slice:
    """The persons of a run at positions first to last."""

    run_id: str
    first: int
    last: int


def claim_slice(warehouse: Warehouse, run_id: str, *, size: int, count: int) -> Slice | None:
    """Claim the next slice of a run with `count` persons; None when none remains.

    Raises RunEndedError. After a commit whose response was lost, do not repeat: the slice is found
    again by `committed_position`.
    """
    with warehouse.transaction() as connection:
        last = warehouse.run(
            connection, "claim_slice", run_id=run_id, slice_size=size, listed_count=count
        ).scalar_one_or_none()
    if last is None:
        committed_position(warehouse, run_id)
        return None
    return Slice(run_id, last - size + 1, min(last, count))


def committed_position(warehouse: Warehouse, run_id: str) -> int:
    """Return the position up to which the run's slices are committed.

    Raises RunEndedError when the run is over, or a worker has failed and the others are to stop.
    """
    with warehouse.reading() as connection:
        row = (
            warehouse.run(connection, "committed_position", run_id=run_id).mappings().one_or_none()
        )
    if row is None or not row["is_open"]:
        raise RunEndedError(
            f"run {run_id} does not continue here: it was ended, or another of its workers failed; "
            "open batches stay in the ledger for the next run"
        )
    position: int = row["committed_position"]
    return position


def commit_slice(
    warehouse: Warehouse, connection: Connection, part: Slice, *, is_whole: bool = True
) -> None:
    """Let the next slice be committed, unless persons of this one are still to be decided.

    With `add_counts` the last statement of the caller's transaction, because it locks the run's
    row. Raises LeaseLostError when it is not the turn of this slice: another worker has committed
    it, or the run is over.
    """
    before = part.first - 1
    changed = warehouse.run(
        connection,
        "commit_slice",
        run_id=part.run_id,
        before_position=before,
        last_position=part.last if is_whole else before,
    )
    if changed.rowcount != 1:
        raise LeaseLostError(
            f"positions {part.first} to {part.last} were committed by another worker, "
            "or the run is over"
        )


def skip_slice(warehouse: Warehouse, part: Slice) -> None:
    """Commit a slice in which no person is left to decide. Raises LeaseLostError."""
    with warehouse.transaction() as connection:
        commit_slice(warehouse, connection, part)


def stop_workers(warehouse: Warehouse, run_id: str) -> None:
    """Ask every worker of the run to stop, on whatever machine. May be repeated."""
    with warehouse.transaction() as connection:
        warehouse.run(connection, "stop_workers", run_id=run_id, now=warehouse.now(connection))


def claim_remaining_batches(
    warehouse: Warehouse, run_id: str, *, lease_seconds: float
) -> list[Batch]:
    """Take over the open batches of the run's own workers, each with a higher fencing token.

    Call it when all workers have ended: the token shuts out one that is frozen. May be repeated.
    """
    with warehouse.transaction() as connection:
        until = lease_end(warehouse, connection, lease_seconds)
        found = warehouse.run(
            connection, "claim_remaining_batches", run_id=run_id, lease_until=until
        )
        return [batch_of(row) for row in found.mappings()]
