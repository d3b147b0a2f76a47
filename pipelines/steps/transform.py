"""Judges a slice of new persons: who is rejected, who is known, who is sent, and in what batch.

Reads, asks the rules, and records the judgement in one transaction (T1 of the delivery): after it,
every person of the slice has an outcome or a claim, or belongs to another run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import pandas as pd

from pipelines.errors import WarehouseUnavailableError
from pipelines.retry import RetryTimeout
from pipelines.rules import (
    cleaning,
    deduplication,
    match_decisions,
    owner_choices,
    owners,
    validation,
)
from pipelines.rules.payloads import Payload
from pipelines.rules.selection import filter_rows
from pipelines.run.preflight import Ground
from pipelines.steps.partition import PreparedBatch, columns_to_read, pack
from pipelines.warehouse import ledger, new_persons
from pipelines.warehouse.ledger.claims import (
    CLAIM_COLUMNS,
    OUTCOME_COLUMNS,
    PERSON_COLUMNS,
    PLANNED_COLUMNS,
)

log = logging.getLogger(__name__)

_NOTED = ["person_id", "owner_strategy", "defaulted_fields"]


@dataclass(frozen=True)
class Request:
    """How this run differs from the settings: who is asked for, and whether somebody waits."""

    run_id: str
    run_mode: str = "live"
    owner: str | None = None
    person_ids: tuple[str, ...] | None = None
    limit: int | None = None
    flow_run_id: str | None = None
    accept_unknown_jobs: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class SliceDecisions:
    """What the rules say of a slice; nothing is recorded yet.

    `persons`: PERSON_COLUMNS of all that were read. `rejected` and `duplicates`: rows of the result
    tables. `decided`: OUTCOME_COLUMNS of those who need no batch. `sent`: those who do, with their
    action, owner and match. `columns`: Lead field → column of `sent`.
    """

    persons: pd.DataFrame
    rejected: pd.DataFrame
    duplicates: pd.DataFrame
    decided: pd.DataFrame
    sent: pd.DataFrame
    columns: dict[str, str]


@dataclass(frozen=True)
class Decided:
    """What was recorded of a slice: how many persons became what, and the batches to deliver."""

    read_count: int = 0
    to_load_count: int = 0
    duplicate_count: int = 0
    rejected_count: int = 0
    batches: tuple[tuple[ledger.Batch, Payload], ...] = ()

    def __str__(self) -> str:
        """Return the counts, as a log line has them."""
        counts = {
            "read": self.read_count,
            "to load": self.to_load_count,
            "duplicate": self.duplicate_count,
            "rejected": self.rejected_count,
        }
        return ", ".join(f"{count:,} {what}" for what, count in counts.items())


class Order(Protocol):
    """The order in which the workers of one run record what they judge."""

    def wait(self, turn: ledger.Slice) -> None:
        """Until all slices before this one are recorded."""


def transform_slice(
    ground: Ground, request: Request, first: int, last: int, order: Order | None = None
) -> Decided:
    """Judge the persons at positions first..last and record it; answers what was recorded.

    `order`: of a run with several workers. May be repeated: persons decided or claimed meanwhile
    are no longer new and are not read again. Raises LeaseLostError when another worker judged them.
    """
    decided = Decided()
    turn = ledger.Slice(request.run_id, first, last) if order else None
    somebody_waits = request.run_mode == "now"
    while True:
        verdict = weigh(ground, request, first, last)
        if verdict is None:
            if order and turn:
                order.wait(turn)
                ledger.skip_slice(ground.warehouse, turn)
            return decided
        parcels = list(pack(ground, verdict.sent, verdict.columns, somebody_waits=somebody_waits))
        if order and turn:
            order.wait(turn)
        recorded = _record(ground, request, _judgement(verdict, parcels), turn)
        decided = _added(decided, verdict, _really_claimed(parcels, recorded))
        # Released: another run took their e-mail between our look and our write. They are still
        # new, and a second look finds whose duplicates they are.
        if not recorded.released:
            return decided


def _added(
    before: Decided, verdict: SliceDecisions, batches: Iterator[tuple[ledger.Batch, Payload]]
) -> Decided:
    """Add what a second look at a slice has decided; whoever was released is counted there."""
    claimed = tuple(batches)
    rejected = verdict.rejected["person_id"].nunique()
    duplicates = len(verdict.decided) - rejected
    to_load = sum(len(payload.person_ids) for _, payload in claimed)
    return Decided(
        read_count=before.read_count + rejected + duplicates + to_load,
        to_load_count=before.to_load_count + to_load,
        duplicate_count=before.duplicate_count + duplicates,
        rejected_count=before.rejected_count + rejected,
        batches=before.batches + claimed,
    )


def _record(
    ground: Ground, request: Request, judgement: ledger.SliceRecord, turn: ledger.Slice | None
) -> ledger.RecordedSlice:
    """Record it, once more while another run holds the lock: a large slice takes longer to record
    than an engine lets anybody wait, and whoever asks for one person at once must not be refused
    for it."""
    options = ground.settings.run
    timeout = RetryTimeout(
        options.retry_timeout_seconds, time, log, line_seconds=options.progress_seconds
    )
    while True:
        try:
            return ledger.record_slice(
                ground.warehouse,
                request.run_id,
                judgement,
                lease_seconds=ground.settings.run.lease_seconds,
                turn=turn,
            )
        except WarehouseUnavailableError as trouble:
            # After an unanswered commit it may stand in the ledger: then the next run looks.
            if not trouble.had_no_effect:
                raise
            timeout.failed(trouble)


def plan_slice(ground: Ground, request: Request, first: int, last: int) -> Decided:
    """Judge the persons at positions first..last and record what a live run would do."""
    verdict = weigh(ground, request, first, last)
    if verdict is None:
        return Decided()
    held = verdict.persons.loc[_holds_email(verdict), ["person_id", "email_hash"]]
    ledger.record_plan(ground.warehouse, request.run_id, _planned(verdict), emails=held)
    decided = _added(Decided(), verdict, iter(()))
    to_load = len(verdict.sent)
    return replace(decided, read_count=decided.read_count + to_load, to_load_count=to_load)


def weigh(ground: Ground, request: Request, first: int, last: int) -> SliceDecisions | None:
    """Ask every rule about the persons at positions first..last, in the order of judgement; None if
    none of them is new any more. Writes nothing."""
    cleaned = cleaning.clean(_read(ground, request, first, last))
    if cleaned.empty:
        return None
    cleaned, columns = cleaning.fill_defaults(cleaned, ground.columns, ground.settings.defaults)
    email = columns.get("Email", "")
    cleaned["email_hash"] = deduplication.email_hash(
        cleaned[email] if email else pd.Series(None, index=cleaned.index, dtype="str")
    )
    # A slice is in memory once, not once for every rule that sets somebody apart: each frame is let
    # go of as soon as the next is there, and of those set apart only what is told of them stays.
    everybody = cleaned[[*dict.fromkeys([*PERSON_COLUMNS, *_NOTED])]]
    accepted, invalid = validation.validate(
        cleaned, columns, ground.lead_fields, ground.person_id_length
    )
    del cleaned
    accepted, unowned = _assign_owners(ground, accepted)
    notes = accepted[_NOTED]
    accepted, twins = deduplication.deduplicate_slice(accepted, email)
    holders = ledger.email_claims(ground.warehouse, request.run_id, accepted["email_hash"])
    accepted, known_here, of_ledger = deduplication.deduplicate_against_ledger(
        accepted, holders, email
    )
    known = _look_up(ground, accepted, email)
    decided, known_there = match_decisions.decide_actions(accepted, known, ground.matching, email)
    rejected = pd.concat([invalid, unowned], ignore_index=True)
    outcomes = [
        # Without their strategy: it may be any text, and outcomes are read without the grants that
        # rejected_persons asks for.
        _outcomes(everybody, rejected["person_id"], "rejected").assign(owner_strategy=None),
        _outcomes(notes, twins["person_id"], "duplicate", "SAME_EMAIL"),
        of_ledger.merge(notes, on="person_id"),
        decided[decided["action"] == "duplicate"].assign(outcome="duplicate"),
    ]
    return SliceDecisions(
        persons=everybody[PERSON_COLUMNS],
        rejected=rejected,
        duplicates=pd.concat(
            [deduplication.follow_duplicate_chains(twins, known_here), known_here, known_there],
            ignore_index=True,
        ),
        decided=pd.concat([one.reindex(columns=OUTCOME_COLUMNS) for one in outcomes]),
        sent=filter_rows(decided, decided["action"] != "duplicate"),
        columns=columns,
    )


def _read(ground: Ground, request: Request, first: int, last: int) -> pd.DataFrame:
    columns = columns_to_read(ground)
    return new_persons.read_slice(ground.warehouse, request.run_id, first, last, columns)


def _assign_owners(ground: Ground, accepted: pd.DataFrame) -> owners.AssignedOwners:
    strategies = owner_choices.choose_strategies(
        accepted, ground.choices, ground.default_strategy, frozenset(accepted.columns)
    )
    resolved = ground.owner_lookup.resolve(strategies.unique())
    return owners.assign_owners(accepted, strategies, resolved)


def _look_up(ground: Ground, fresh: pd.DataFrame, email: str) -> pd.DataFrame:
    emails = deduplication.match_key(fresh[email]) if email else fresh["email_hash"]
    return ground.matcher.find_known(
        emails=emails, email_hashes=fresh["email_hash"], person_ids=fresh["person_id"]
    )


def _outcomes(
    judged: pd.DataFrame, person_ids: pd.Series[str], outcome: str, reason: str | None = None
) -> pd.DataFrame:
    these = judged.loc[judged["person_id"].isin(person_ids), _NOTED]
    return these.assign(outcome=outcome, reason_code=reason)


def _really_claimed(
    parcels: list[PreparedBatch], recorded: ledger.RecordedSlice
) -> Iterator[tuple[ledger.Batch, Payload]]:
    gone = [*recorded.released, *recorded.taken_by_others]
    payloads = {parcel.batch.batch_id: parcel.payload for parcel in parcels}
    for batch in recorded.batches:
        payload = payloads[batch.batch_id]
        if gone:
            payload = payload.filter_rows(~payload.person_ids.isin(gone))
        yield batch, payload


def _judgement(verdict: SliceDecisions, parcels: list[PreparedBatch]) -> ledger.SliceRecord:
    claims = [
        parcel.persons.assign(
            batch_id=parcel.batch.batch_id, row_hash=parcel.payload.row_hashes
        ).reindex(columns=CLAIM_COLUMNS)
        for parcel in parcels
    ]
    nobody = pd.DataFrame(columns=CLAIM_COLUMNS, dtype="str")
    return ledger.SliceRecord(
        persons=verdict.persons,
        rejected=verdict.rejected,
        duplicates=verdict.duplicates,
        outcomes=verdict.decided,
        claims=pd.concat(claims, ignore_index=True) if claims else nobody,
        batches=[parcel.batch for parcel in parcels],
    )


def _holds_email(verdict: SliceDecisions) -> pd.Series[bool]:
    return verdict.persons["person_id"].isin(verdict.sent["person_id"])


def _planned(verdict: SliceDecisions) -> pd.DataFrame:
    decisions = {"rejected": "reject", "duplicate": "duplicate"}
    decided = verdict.decided.assign(
        decision=verdict.decided["outcome"].map(decisions),
        matched_id=verdict.decided["lead_id"].fillna(verdict.decided["contact_id"]),
    )
    is_update = verdict.sent["action"].str.startswith("update")
    sent = verdict.sent.assign(
        decision=pd.Series("create", index=is_update.index).where(~is_update, "update"),
        matched_id=verdict.sent["lead_id"].fillna(verdict.sent["contact_id"]),
    )
    first = verdict.rejected.drop_duplicates("person_id").set_index("person_id")["rule_name"]
    rows = pd.concat([decided, sent], ignore_index=True)
    rows["reason_code"] = rows["reason_code"].fillna(rows["person_id"].map(first))
    return rows.reindex(columns=PLANNED_COLUMNS)
