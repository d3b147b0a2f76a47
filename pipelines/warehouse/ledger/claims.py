"""Record the decisions on a slice of persons in one transaction.

A decided person gets an outcome; a person to be sent gets a claim and a batch. No person gets
either twice, however many runs work at the same time. The claim is the mutual exclusion for decided
persons, too: two runs must not both count a rejected person. All runs insert claims first and
e-mails second, each sorted by key, so that no two runs can wait for each other.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from pipelines.errors import LedgerInconsistentError
from pipelines.rules.frames import Claims, Outcomes, Persons, select
from pipelines.warehouse import frames
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import rejects_and_duplicates
from pipelines.warehouse.ledger.batches import Batch, batch_of, lease_end
from pipelines.warehouse.ledger.runs import add_counts
from pipelines.warehouse.ledger.slices import Slice, commit_slice

if TYPE_CHECKING:
    from pandera.typing import DataFrame

    from pipelines.rules.frames import Duplicates, Rejected


@dataclass(frozen=True)
class NewBatch:
    """A batch to be inserted. Claims refer to its `batch_id`, which is new for each SliceRecord."""

    batch_id: str
    owner_strategy: str
    operation: Literal["insert", "update"]
    sobject: Literal["Lead", "Contact"]
    load_api: Literal["bulk", "collections"]
    assignment_rule_id: str | None = None
    allow_duplicates: bool = False


@dataclass(frozen=True)
class SliceRecord:
    """What was decided on a slice: each of `persons` is in exactly one of `outcomes` and `claims`.

    `rejected` are rule violations of persons in `outcomes`. `duplicates` may also be of persons to
    be sent; their `action_taken` says what the batch will do.
    """

    persons: DataFrame[Persons]
    rejected: DataFrame[Rejected]
    duplicates: DataFrame[Duplicates]
    outcomes: DataFrame[Outcomes]
    claims: DataFrame[Claims]
    batches: list[NewBatch]


@dataclass(frozen=True)
class RecordedSlice:
    """What was recorded. `batches` contain the persons that were really claimed.

    `to_retry`: persons to decide again, because another person has claimed their e-mail meanwhile.
    `taken_by_others`: persons that another run has claimed or decided.
    """

    batches: list[Batch]
    to_retry: list[str]
    taken_by_others: list[str]


def record_slice(
    warehouse: Warehouse,
    run_id: str,
    record: SliceRecord,
    *,
    lease_seconds: float,
    part: Slice | None = None,
) -> RecordedSlice:
    """Record the decisions in one transaction, except for persons that another run got first.

    Afterwards the run has counted exactly the persons it got: decided, or open in a batch. A batch
    without persons is not inserted. After a commit whose response was lost, read the slice again;
    do not repeat. `part`: the slice of a run with several workers; it is committed when no person
    is to be retried. Raises LedgerInconsistentError when a person is in both or neither of outcomes
    and claims, and LeaseLostError when it is not the turn of this slice.
    """
    persons = _slice_persons(record)
    if persons.empty:
        return RecordedSlice([], [], [])
    with warehouse.transaction() as connection:
        with warehouse.temporary_table(connection, "slice_persons", persons):
            lost = _claim(warehouse, connection, run_id, persons, has_workers=part is not None)
            _record_decided(warehouse, connection, run_id)
        _record_reasons(warehouse, connection, run_id, record, lost)
        until = lease_end(warehouse, connection, lease_seconds)
        # In one order for all runs, as the claims.
        inserted = [
            _insert_batch(warehouse, connection, run_id, new, until)
            for new in sorted(record.batches, key=lambda new: new.batch_id)
        ]
        batches = [batch for batch in inserted if batch is not None]
        _add_counts(warehouse, connection, run_id, persons, lost, batches)
        to_retry = _with_result(lost, "retry")
        if part is not None:
            commit_slice(warehouse, connection, part, is_whole=not to_retry)
    return RecordedSlice(batches, to_retry, _with_result(lost, "taken"))


def _slice_persons(record: SliceRecord) -> pd.DataFrame:
    """Return all persons of a slice in one frame, as the table slice_persons has them."""
    # The claims of decided persons exist only inside the transaction; a batch id of their own tells
    # them from the claims of other runs.
    decided: pd.DataFrame = select(record.outcomes, Outcomes).assign(
        batch_id=f"decided-{uuid.uuid4()}", is_sent=False
    )
    sent: pd.DataFrame = select(record.claims, Claims).assign(is_sent=True)
    decisions = pd.concat(
        [part for part in (decided, sent) if not part.empty] or [decided], ignore_index=True
    )
    persons = _join_persons(decisions, select(record.persons, Persons))
    _require_batches(record)
    rejects_and_duplicates.require_within(record.rejected, record.outcomes, "rejected")
    outcome = persons.get("outcome", pd.Series(index=persons.index, dtype="str"))
    is_claiming_email = _is_claiming_email(persons, outcome, record.duplicates)
    return persons.assign(outcome=outcome, is_claiming_email=is_claiming_email)


def _join_persons(decisions: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """Join decisions and persons; LedgerInconsistentError unless each person has one decision."""
    places = frames.positions(decisions["person_id"], persons["person_id"])
    is_complete = len(decisions) == len(persons) and (places >= 0).all()
    if not is_complete or len(np.unique(places)) != len(persons):
        raise LedgerInconsistentError("each person of a slice must be decided or sent exactly once")
    joined = persons.drop(columns="person_id").take(places).set_axis(decisions.index)
    return pd.concat([decisions, joined], axis=1)


def _require_batches(record: SliceRecord) -> None:
    known = {new.batch_id for new in record.batches}
    if not set(record.claims["batch_id"].unique()) <= known:
        raise LedgerInconsistentError("a claim refers to a batch that the slice does not have")


def _is_claiming_email(
    persons: pd.DataFrame, outcome: pd.Series[str], duplicates: pd.DataFrame
) -> pd.Series[bool]:
    # A duplicate of another person leaves the e-mail to that person. A rejected person must not
    # keep it from others.
    is_of_person = duplicates["matched_in"].isin(["persons", "ledger"])
    of_persons = duplicates.loc[is_of_person, "person_id"]
    is_known = (outcome == "duplicate") & ~persons["person_id"].isin(of_persons)
    return persons["is_sent"].astype(bool) | is_known


def _claim(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    persons: pd.DataFrame,
    *,
    has_workers: bool,
) -> pd.DataFrame:
    """Claim persons and e-mails; return those this run does not get: person_id, claim_result."""
    now = warehouse.now(connection)
    claimed = warehouse.run(connection, "claim_persons", run_id=run_id, now=now)
    # Mostly no other run was faster, and the row count shows it. To look for lost persons takes as
    # long as everything else here.
    if claimed.rowcount != len(persons):
        warehouse.run(connection, "mark_claimed_by_others")
    warehouse.run(connection, "mark_decided_by_others")
    emails = warehouse.run(connection, "claim_emails", run_id=run_id, now=now)
    wanted = persons["is_claiming_email"] & persons["email_hash"].notna()
    retry_count = 0
    if emails.rowcount != int(wanted.sum()):
        retry_count += warehouse.run(connection, "mark_email_conflicts").rowcount
    if has_workers:
        retry_count += warehouse.run(connection, "mark_outdated_duplicates").rowcount
        if retry_count:
            warehouse.run(connection, "index_slice_emails")
            warehouse.run(connection, "mark_same_email_retries")
    return warehouse.read_frame(connection, "persons_not_recorded")


def _record_decided(warehouse: Warehouse, connection: Connection, run_id: str) -> None:
    now = warehouse.now(connection)
    warehouse.run(connection, "record_decided_persons", run_id=run_id, now=now)
    warehouse.run(connection, "delete_unsent_claims")
    # After all e-mails are claimed: if they were deleted before, two runs could each wait for an
    # e-mail that the other has deleted.
    warehouse.run(connection, "delete_rejected_emails")


def _record_reasons(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    record: SliceRecord,
    lost: pd.DataFrame,
) -> None:
    def recorded(rows: pd.DataFrame) -> Any:
        return rows[~rows["person_id"].isin(lost["person_id"])]

    rejected, duplicates = recorded(record.rejected), recorded(record.duplicates)
    rejects_and_duplicates.record_rejections(warehouse, connection, run_id, rejected)
    rejects_and_duplicates.record_duplicates(warehouse, connection, run_id, duplicates)


def _insert_batch(
    warehouse: Warehouse, connection: Connection, run_id: str, new: NewBatch, until: datetime
) -> Batch | None:
    now = warehouse.now(connection)
    inserted = warehouse.run(
        connection, "insert_batch", run_id=run_id, now=now, lease_until=until, **vars(new)
    )
    row = inserted.mappings().one_or_none()
    return batch_of(row) if row else None


def _add_counts(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    persons: pd.DataFrame,
    lost: pd.DataFrame,
    batches: list[Batch],
) -> None:
    kept = persons[~persons["person_id"].isin(lost["person_id"])]
    add_counts(
        warehouse,
        connection,
        run_id,
        read_count=len(kept),
        rejected_count=int((kept["outcome"] == "rejected").sum()),
        duplicate_count=int((kept["outcome"] == "duplicate").sum()),
        open_count=sum(batch.person_count for batch in batches),
    )


def _with_result(lost: pd.DataFrame, claim_result: str) -> list[str]:
    return sorted(lost.loc[lost["claim_result"] == claim_result, "person_id"])
