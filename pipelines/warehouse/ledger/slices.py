"""Several workers of one run: who judges which slice, and in what order the judgements count.

Taking is a compare-and-set on the run's row, so whichever worker is free takes the next slice. Of
several persons with one e-mail the earliest is kept, so judgements are *recorded* in the order of
the slices, each when all before it are: reading, matching and encoding go on side by side. A slice
whose worker is gone may be judged by another: both compare, one wins, the other's transaction is
undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pipelines.errors import LeaseLostError, RunEndedError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger.batches import Batch, batch_of, lease_end


@dataclass(frozen=True)
class Slice:
    """A slice's place among those of its run: positions first to last."""

    run_id: str
    first: int
    last: int


def claim_slice(warehouse: Warehouse, run_id: str, *, size: int, count: int) -> Slice | None:
    """Take the next slice of a run that has set out to read `count` persons; None when none is
    left. Raises RunEndedError. After an unanswered commit the slice is left to `committed_position`."""
    with warehouse.transaction() as connection:
        taken = warehouse.run(
            connection, "claim_slice", run_id=run_id, slice_size=size, listed_count=count
        ).scalar_one_or_none()
    if taken is None:
        committed_position(warehouse, run_id)
        return None
    return Slice(run_id, taken - size + 1, min(taken, count))


def committed_position(warehouse: Warehouse, run_id: str) -> int:
    """Up to which position the run's slices are judged. Raises RunEndedError when the run is over, or a
    worker has failed and the others are to stop."""
    with warehouse.reading() as connection:
        row = (
            warehouse.run(connection, "committed_position", run_id=run_id).mappings().one_or_none()
        )
    if row is None or not row["is_going_on"]:
        raise RunEndedError(
            f"run {run_id} does not go on here: it was ended, or another of its workers failed; "
            "what is open stays in the ledger for the next run"
        )
    judged: int = row["committed_position"]
    return judged


def commit_slice(
    warehouse: Warehouse, connection: Connection, turn: Slice, *, is_whole: bool = True
) -> None:
    """Let the next slice be recorded, unless this one is not judged as a whole yet.

    Beside `move_counts` the last statement of the caller's transaction, because it holds the run's
    row. Raises LeaseLostError when it is not this slice's turn: another worker has judged it, or the
    run is over.
    """
    before = turn.first - 1
    moved = warehouse.run(
        connection,
        "commit_slice",
        run_id=turn.run_id,
        before_position=before,
        moved_position=turn.last if is_whole else before,
    )
    if moved.rowcount != 1:
        raise LeaseLostError(f"positions {turn.first} to {turn.last} are no longer ours to judge")


def skip_slice(warehouse: Warehouse, turn: Slice) -> None:
    """Move on from a slice with nobody left to judge. Raises LeaseLostError."""
    with warehouse.transaction() as connection:
        commit_slice(warehouse, connection, turn)


def stop_workers(warehouse: Warehouse, run_id: str) -> None:
    """Tell every worker of the run to stop, wherever it is. May be repeated."""
    with warehouse.transaction() as connection:
        warehouse.run(connection, "stop_workers", run_id=run_id, now=warehouse.now(connection))


def claim_left_batches(warehouse: Warehouse, run_id: str, *, lease_seconds: float) -> list[Batch]:
    """Take the open batches of the run's own workers, each under a higher fencing_token. Only when all of
    them have ended: one that is frozen, and not dead, is fenced off. May be repeated."""
    with warehouse.transaction() as connection:
        until = lease_end(warehouse, connection, lease_seconds)
        left = warehouse.run(connection, "claim_left_batches", run_id=run_id, lease_until=until)
        return [batch_of(row) for row in left.mappings()]
