"""A judgement on a slice of persons, recorded in one transaction: whoever is decided gets an
outcome, whoever is to be sent gets a claim and a batch, and nobody gets either twice, however many
runs judge at once.

The claim is the mutual exclusion for everybody, the decided ones too: two runs must not both count
a rejected person. All runs take claims, then e-mails, each in one order, so no two of them can wait
for each other.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from pipelines.errors import LedgerInconsistentError
from pipelines.warehouse import frames
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import rejects_and_duplicates
from pipelines.warehouse.ledger.batches import Batch, batch_of, lease_end
from pipelines.warehouse.ledger.runs import move_counts
from pipelines.warehouse.ledger.slices import Slice, commit_slice

PERSON_COLUMNS = [
    "person_id",
    "attempt_count",
    "source_changed_at",
    "source_version",
    "email_hash",
]
OUTCOME_COLUMNS = [
    "person_id",
    "outcome",
    "lead_id",
    "contact_id",
    "owner_strategy",
    "reason_code",
    "defaulted_fields",
]
CLAIM_COLUMNS = [
    "person_id",
    "batch_id",
    "owner_strategy",
    "owner_id",
    "lead_id",
    "contact_id",
    "row_hash",
    "defaulted_fields",
    "reason_code",
]
PLANNED_COLUMNS = [
    "person_id",
    "decision",
    "owner_strategy",
    "owner_name",
    "matched_id",
    "reason_code",
]

# What a plan run notes of e-mails is for itself alone: under this mark no live run ever looks one
# up.
_PLAN_MARK = "plan:"
_PLANNED_COUNTS = {
    "create": "created_count",
    "update": "updated_count",
    "duplicate": "duplicate_count",
    "reject": "rejected_count",
}


@dataclass(frozen=True)
class NewBatch:
    """A batch to be: its claims name it by `batch_id`, which is minted anew for every judgement."""

    batch_id: str
    owner_strategy: str
    operation: Literal["insert", "update"]
    sobject: Literal["Lead", "Contact"]
    load_api: Literal["bulk", "collections"]
    assignment_rule_id: str | None = None
    allow_duplicates: bool = False


@dataclass(frozen=True)
class SliceRecord:
    """What the rules say of a slice: every person of `persons` stands in exactly one of `outcomes`
    and `claims`.

    `persons`: person_id, attempt_count and source_changed_at and source_version as read, email_hash
    (may be null). `outcomes`: persons decided here: person_id, outcome (rejected duplicate),
    lead_id, contact_id, owner_strategy, reason_code, defaulted_fields. `claims`: persons to be sent:
    person_id, batch_id, owner_strategy, owner_id, lead_id, contact_id, row_hash, defaulted_fields,
    reason_code. `rejected`, `duplicates`: as in `findings`; `duplicates` also of persons to be
    sent, whose `action_taken` says what is about to be done.
    """

    persons: pd.DataFrame
    rejected: pd.DataFrame
    duplicates: pd.DataFrame
    outcomes: pd.DataFrame
    claims: pd.DataFrame
    batches: list[NewBatch]


@dataclass(frozen=True)
class RecordedSlice:
    """What became of a judgement: `batches` hold whom they really claimed; `released` persons are
    to be judged again, because somebody holds their e-mail now; `taken_by_others` are another run's
    business."""

    batches: list[Batch]
    released: list[str]
    taken_by_others: list[str]


def record_slice(
    warehouse: Warehouse,
    run_id: str,
    judgement: SliceRecord,
    *,
    lease_seconds: float,
    turn: Slice | None = None,
) -> RecordedSlice:
    """Write the judgement down in one transaction (T1), as far as no other run was quicker.

    Afterwards the run has counted exactly the persons it got: decided, or open in a batch. Batches
    that got nobody are not written. After an unanswered commit read the slice again; do not repeat.
    `turn`: of a run with several workers; it moves on when nobody is released. Raises
    LedgerInconsistentError when a person stands in both or neither of outcomes and claims, and LeaseLostError
    when it is not this slice's turn.
    """
    judged = _judged(judgement)
    if judged.empty:
        return RecordedSlice([], [], [])
    with warehouse.transaction() as connection:
        lost = _claim(warehouse, connection, run_id, judged, looks_again=turn is not None)
        _decide(warehouse, connection, run_id)
        _record_findings(warehouse, connection, run_id, judgement, lost)
        until = lease_end(warehouse, connection, lease_seconds)
        planned = [
            _plan(warehouse, connection, run_id, new, until)
            for new in sorted(judgement.batches, key=lambda new: new.batch_id)
        ]
        batches = [batch for batch in planned if batch is not None]
        _count(warehouse, connection, run_id, judged, lost, batches)
        released = _with_fate(lost, "released")
        if turn is not None:
            commit_slice(warehouse, connection, turn, is_whole=not released)
    return RecordedSlice(batches, released, _with_fate(lost, "taken"))


def record_plan(
    warehouse: Warehouse, run_id: str, planned: pd.DataFrame, emails: pd.DataFrame
) -> None:
    """Write what a live run would do with these persons, and count it as if it were done. Not
    repeatable.

    `planned`: person_id, decision (create update duplicate reject), owner_strategy, owner_name,
    matched_id, reason_code. `emails`: person_id, email_hash of those who would be sent;
    `email_claims` shows them to this run only, and the end of the run forgets them.
    """
    found = planned["decision"].value_counts()
    counts = {name: int(found.get(decision, 0)) for decision, name in _PLANNED_COUNTS.items()}
    with warehouse.transaction() as connection:
        rows = planned[PLANNED_COLUMNS].assign(run_id=run_id)
        warehouse.insert_frame(connection, "planned_persons", rows)
        claimed_at = pd.Timestamp(warehouse.now(connection)).as_unit("us")
        held = (
            emails[["person_id", "email_hash"]]
            .dropna()
            .assign(run_id=run_id, claimed_at=claimed_at)
        )
        held["email_hash"] = f"{_PLAN_MARK}{run_id}:" + held["email_hash"]
        warehouse.insert_frame(connection, "person_emails", held)
        move_counts(warehouse, connection, run_id, read_count=len(planned), **counts)


def email_claims(warehouse: Warehouse, run_id: str, email_hashes: pd.Series[str]) -> pd.DataFrame:
    """Who holds these e-mails: email_hash, person_id, lead_id, contact_id (of the outcome, else of
    the claim; may be null), is_this_run. One row an e-mail held; nulls and repeats among the keys
    do not matter."""
    # In order: the keys are hashes, and out of order each lookup is a page of its own.
    asked = email_hashes.dropna().drop_duplicates().sort_values().to_frame("email_hash")
    with warehouse.reading() as connection:
        # What a plan run has noted is for itself alone.
        is_plan = warehouse.run(connection, "run_mode", run_id=run_id).scalar() == "plan"
        mark = f"{_PLAN_MARK}{run_id}:"
        if is_plan:
            asked = pd.concat([asked, mark + asked])
        warehouse.run(connection, "make_asked_emails")
        warehouse.insert_frame(connection, "asked_emails", asked)
        warehouse.dialect.gather_statistics(connection, "asked_emails")
        holders = warehouse.read_frame(connection, "email_holders", run_id=run_id)
    return holders.assign(email_hash=holders["email_hash"].str.removeprefix(mark))


def _judged(judgement: SliceRecord) -> pd.DataFrame:
    """All persons of a judgement in one frame, as `judged_persons` wants them."""
    # The claims of the decided live only inside the transaction; a batch id of their own tells them
    # from others'.
    decided = judgement.outcomes[OUTCOME_COLUMNS].assign(
        batch_id=f"decided-{uuid.uuid4()}", is_sent=False
    )
    sent = judgement.claims[CLAIM_COLUMNS].assign(is_sent=True)
    words = pd.concat(
        [part for part in (decided, sent) if not part.empty] or [decided], ignore_index=True
    )
    judged = _beside_persons(words, judgement.persons[PERSON_COLUMNS])
    _require_batches(judgement)
    rejects_and_duplicates.require_within(judgement.rejected, judgement.outcomes, "rejected")
    outcome = judged.get("outcome", pd.Series(index=judged.index, dtype="str"))
    return judged.assign(
        outcome=outcome, is_email_taken=_takes_email(judged, outcome, judgement.duplicates)
    )


def _beside_persons(words: pd.DataFrame, persons: pd.DataFrame) -> pd.DataFrame:
    """Words and persons as one frame; LedgerInconsistentError unless there is exactly one word each."""
    places = frames.positions(words["person_id"], persons["person_id"])
    is_whole = len(words) == len(persons) and (places >= 0).all()
    if not is_whole or len(np.unique(places)) != len(persons):
        raise LedgerInconsistentError(
            "a judgement must decide or send each of its persons exactly once"
        )
    beside = persons.drop(columns="person_id").take(places).set_axis(words.index)
    return pd.concat([words, beside], axis=1)


def _require_batches(judgement: SliceRecord) -> None:
    named = {new.batch_id for new in judgement.batches}
    if not set(judgement.claims["batch_id"].unique()) <= named:
        raise LedgerInconsistentError("a claim names a batch that the judgement does not have")


def _takes_email(
    judged: pd.DataFrame, outcome: pd.Series[str], duplicates: pd.DataFrame
) -> pd.Series[bool]:
    # A duplicate of another person leaves the e-mail to that one; a rejected person must not keep
    # it from others.
    others = duplicates["matched_in"].isin(["persons", "ledger"])
    of_persons = duplicates.loc[others, "person_id"]
    is_known = (outcome == "duplicate") & ~judged["person_id"].isin(of_persons)
    return judged["is_sent"].astype(bool) | is_known


def _claim(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    judged: pd.DataFrame,
    *,
    looks_again: bool,
) -> pd.DataFrame:
    """Claim the persons, take their e-mails; answers whom this run did not get: person_id, fate."""
    now = warehouse.now(connection)
    warehouse.run(connection, "make_judged_persons")
    warehouse.insert_frame(connection, "judged_persons", judged)
    claimed = warehouse.run(connection, "claim_judged_persons", run_id=run_id, now=now)
    # Mostly nobody is quicker, and the number of rows says so; to look for whom we lost takes as
    # long as all the rest.
    if claimed.rowcount != len(judged):
        warehouse.run(connection, "mark_lost_claims")
    warehouse.run(connection, "mark_decided_meanwhile")
    taken = warehouse.run(connection, "take_judged_emails", run_id=run_id, now=now)
    released_count = 0
    if taken.rowcount != int((judged["is_email_taken"] & judged["email_hash"].notna()).sum()):
        released_count += warehouse.run(connection, "mark_email_lost").rowcount
    if looks_again:
        released_count += warehouse.run(connection, "mark_email_overtaken").rowcount
        if released_count:
            warehouse.run(connection, "index_judged_emails")
            warehouse.run(connection, "mark_same_email_released")
    return warehouse.read_frame(connection, "lost_persons")


def _decide(warehouse: Warehouse, connection: Connection, run_id: str) -> None:
    now = warehouse.now(connection)
    warehouse.run(connection, "record_decided_persons", run_id=run_id, now=now)
    warehouse.run(connection, "drop_unsent_claims")
    # After every e-mail is taken: freed before, two runs could each wait for what the other has
    # freed.
    warehouse.run(connection, "free_rejected_emails")
    warehouse.run(connection, "drop_judged_persons")


def _record_findings(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    judgement: SliceRecord,
    lost: pd.DataFrame,
) -> None:
    rejected, duplicates = (
        found[~found["person_id"].isin(lost["person_id"])]
        for found in (judgement.rejected, judgement.duplicates)
    )
    rejects_and_duplicates.record_rejections(warehouse, connection, run_id, rejected)
    rejects_and_duplicates.record_duplicates(warehouse, connection, run_id, duplicates)


def _plan(
    warehouse: Warehouse, connection: Connection, run_id: str, new: NewBatch, until: datetime
) -> Batch | None:
    now = warehouse.now(connection)
    written = warehouse.run(
        connection, "plan_batch", run_id=run_id, now=now, lease_until=until, **vars(new)
    )
    row = written.mappings().one_or_none()
    return batch_of(row) if row else None


def _count(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    judged: pd.DataFrame,
    lost: pd.DataFrame,
    batches: list[Batch],
) -> None:
    kept = judged[~judged["person_id"].isin(lost["person_id"])]
    move_counts(
        warehouse,
        connection,
        run_id,
        read_count=len(kept),
        rejected_count=int((kept["outcome"] == "rejected").sum()),
        duplicate_count=int((kept["outcome"] == "duplicate").sum()),
        open_count=sum(batch.person_count for batch in batches),
    )


def _with_fate(lost: pd.DataFrame, fate: str) -> list[str]:
    return sorted(lost.loc[lost["fate"] == fate, "person_id"])
