"""Judges a slice of new persons: who is rejected, who is known, who is sent, and in what batch.

Reads, asks the rules, and records the judgement in one transaction (T1 of the delivery): after it,
every person of the slice has an outcome or a claim, or belongs to another run.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from pipelines.errors import WarehouseUnavailable
from pipelines.preflight import Ground
from pipelines.rules import duplicates, leads, owners, persons
from pipelines.rules.selection import keep
from pipelines.salesforce import bulk
from pipelines.salesforce.collections import MAX_RECORDS
from pipelines.warehouse import ledger, new_persons
from pipelines.warehouse.judgements import (
    CLAIM_COLUMNS,
    OUTCOME_COLUMNS,
    PERSON_COLUMNS,
    PLANNED_COLUMNS,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """How this run differs from the settings: who is asked for, and whether somebody waits."""

    run_id: str
    run_mode: str = "live"
    owner: str | None = None
    person_ids: tuple[str, ...] | None = None
    limit: int | None = None
    flow_run_id: str | None = None
    adopts_jobs: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Payload:
    """What a batch sends: `records` are the rows, `person_ids` whose they are, in one order."""

    person_ids: pd.Series[str]
    records: pd.DataFrame
    row_hashes: pd.Series[str]

    def stretch(self, first: int, last: int) -> Payload:
        """The same from row `first` to the row before `last`."""
        return Payload(
            self.person_ids.iloc[first:last].reset_index(drop=True),
            self.records.iloc[first:last].reset_index(drop=True),
            self.row_hashes.iloc[first:last].reset_index(drop=True),
        )

    def keep(self, is_kept: pd.Series[bool]) -> Payload:
        """The same with these persons only."""
        return Payload(
            self.person_ids[is_kept].reset_index(drop=True),
            self.records[is_kept].reset_index(drop=True),
            self.row_hashes[is_kept].reset_index(drop=True),
        )


@dataclass(frozen=True)
class Verdict:
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
class Parcel:
    """A batch to be, with its persons and what it sends."""

    batch: ledger.NewBatch
    persons: pd.DataFrame
    payload: Payload


class Order(Protocol):
    """The order in which the workers of one run record what they judge."""

    def wait(self, turn: ledger.Turn) -> None:
        """Until all slices before this one are recorded."""


def judge_slice(
    ground: Ground, request: Request, first: int, last: int, order: Order | None = None
) -> list[tuple[ledger.Batch, Payload]]:
    """Judge the persons at positions first..last and record it; answers the batches to deliver.

    `order`: of a run with several workers. May be repeated: persons decided or claimed meanwhile
    are no longer new and are not read again. Raises FencedOff when another worker judged them.
    """
    judged: list[tuple[ledger.Batch, Payload]] = []
    turn = ledger.Turn(request.run_id, first, last) if order else None
    while True:
        verdict = weigh(ground, request, first, last)
        if verdict is None:
            if order and turn:
                order.wait(turn)
                ledger.pass_turn(ground.warehouse, turn)
            return judged
        parcels = list(_pack(ground, request, verdict))
        if order and turn:
            order.wait(turn)
        recorded = _record(ground, request, _judgement(verdict, parcels), turn)
        judged += _really_claimed(parcels, recorded)
        # Released: another run took their e-mail between our look and our write. They are still
        # new, and a second look finds whose duplicates they are.
        if not recorded.released:
            return judged


def _record(
    ground: Ground, request: Request, judgement: ledger.Judgement, turn: ledger.Turn | None
) -> ledger.Recorded:
    """Record it, once more while another run holds the lock: a large slice takes longer to record
    than an engine lets anybody wait, and whoever asks for one person at once must not be refused
    for it."""
    give_up_at = time.monotonic() + ground.settings.run.patience_seconds
    while True:
        try:
            return ledger.record_judgement(
                ground.warehouse,
                request.run_id,
                judgement,
                lease_seconds=ground.settings.run.lease_seconds,
                turn=turn,
            )
        except WarehouseUnavailable as trouble:
            # After an unanswered commit it may stand in the ledger: then the next run looks.
            if not trouble.made_nothing or time.monotonic() >= give_up_at:
                raise
            log.warning("%s; trying again", trouble)


def plan_slice(ground: Ground, request: Request, first: int, last: int) -> None:
    """Judge the persons at positions first..last and write down what a live run would do."""
    verdict = weigh(ground, request, first, last)
    if verdict is not None:
        held = verdict.persons.loc[_holds_email(verdict), ["person_id", "email_key"]]
        ledger.record_plan(ground.warehouse, request.run_id, _planned(verdict), emails=held)


def rebuild_payload(ground: Ground, batch: ledger.Batch) -> tuple[ledger.Batch, Payload]:
    """Make a batch's payload anew from the source rows.

    A person whose row has changed since the claim, or is gone, is released to be judged anew:
    before the close intent nothing can have been made of them. The batch comes back settled when
    nobody is left.
    """
    wanted = _columns_to_read(ground)
    claimed = new_persons.read_claimed(ground.warehouse, batch.batch_id, wanted)
    claims = claimed[["person_id", "owner_id", "lead_id", "contact_id", "row_hash"]]
    # Filling defaults again names the same fields as the claim does; the claim's word stays.
    found = claimed.drop(columns="filled_fields")
    cleaned, columns = persons.fill_defaults(
        persons.clean(found), ground.columns, ground.settings.defaults
    )
    payload = _payload(ground, cleaned, columns, batch)
    is_same = (payload.row_hashes == claims["row_hash"]) & (claimed["row_count"] == 1)
    changed = list(claims.loc[~is_same, "person_id"])
    if changed:
        batch = ledger.release_persons(ground.warehouse, batch, changed)
    return batch, payload.keep(is_same)


def weigh(ground: Ground, request: Request, first: int, last: int) -> Verdict | None:
    """Ask every rule about the persons at positions first..last, in the order of judgement; None if
    none of them is new any more. Writes nothing."""
    cleaned = persons.clean(_read(ground, request, first, last))
    if cleaned.empty:
        return None
    cleaned, columns = persons.fill_defaults(cleaned, ground.columns, ground.settings.defaults)
    email = columns.get("Email", "")
    cleaned["email_key"] = duplicates.email_key(
        cleaned[email] if email else pd.Series(None, index=cleaned.index, dtype="str")
    )
    screened = persons.screen(cleaned, columns, ground.lead_fields, ground.person_id_length)
    assigned = _assign_owners(ground, screened.accepted)
    among = duplicates.duplicates_among(assigned.accepted, email)
    holders = ledger.known_holders(ground.warehouse, request.run_id, among.kept["email_key"])
    in_ledger = duplicates.duplicates_in_ledger(among.kept, holders, email)
    known = _look_up(ground, in_ledger.kept, email)
    decided = duplicates.decide(in_ledger.kept, known, ground.matching, email)
    rejected = pd.concat([screened.rejected, assigned.rejected], ignore_index=True)
    outcomes = [
        # Without their strategy: it may be any text, and outcomes are read without the grants that
        # rejected_persons asks for.
        _outcomes(cleaned, rejected["person_id"], "rejected").assign(owner_strategy=None),
        _outcomes(assigned.accepted, among.duplicates["person_id"], "duplicate", "SAME_EMAIL"),
        in_ledger.outcomes.merge(_notes(assigned.accepted), on="person_id"),
        decided.persons[decided.persons["action"] == "duplicate"].assign(outcome="duplicate"),
    ]
    return Verdict(
        persons=cleaned[PERSON_COLUMNS],
        rejected=rejected,
        duplicates=pd.concat(
            [
                duplicates.of_the_kept(among.duplicates, in_ledger.duplicates),
                in_ledger.duplicates,
                decided.duplicates,
            ],
            ignore_index=True,
        ),
        decided=pd.concat([one.reindex(columns=OUTCOME_COLUMNS) for one in outcomes]),
        sent=keep(decided.persons, decided.persons["action"] != "duplicate"),
        columns=columns,
    )


def _read(ground: Ground, request: Request, first: int, last: int) -> pd.DataFrame:
    columns = _columns_to_read(ground)
    return new_persons.read_slice(ground.warehouse, request.run_id, first, last, columns)


def _columns_to_read(ground: Ground) -> list[str]:
    asked = {column for choice in ground.choices for column in choice.when}
    given = {"person_id", "owner_strategy", "created_at"}
    return [*dict.fromkeys([*ground.columns.values(), *sorted(asked - given)])]


def _assign_owners(ground: Ground, accepted: pd.DataFrame) -> owners.Assigned:
    strategies = owners.choose_strategies(
        accepted, ground.choices, ground.default_strategy, frozenset(accepted.columns)
    )
    resolved = ground.owner_book.resolve(strategies.unique())
    return owners.assign_owners(accepted, strategies, resolved)


def _look_up(ground: Ground, fresh: pd.DataFrame, email: str) -> pd.DataFrame:
    emails = duplicates.match_key(fresh[email]) if email else fresh["email_key"]
    return ground.matcher.find_known(
        emails=emails, email_keys=fresh["email_key"], person_ids=fresh["person_id"]
    )


def _notes(judged: pd.DataFrame) -> pd.DataFrame:
    return judged[["person_id", "owner_strategy", "filled_fields"]]


def _outcomes(
    judged: pd.DataFrame, person_ids: pd.Series[str], outcome: str, reason: str | None = None
) -> pd.DataFrame:
    these = judged[judged["person_id"].isin(person_ids)]
    return _notes(these).assign(outcome=outcome, reason_code=reason)


def _pack(ground: Ground, request: Request, verdict: Verdict) -> Iterator[Parcel]:
    """Part the persons to be sent into batches of what may travel together, each of one job."""
    settings = ground.settings.run
    at_once = request.run_mode == "now" and bool(ground.person_id_field)
    for part in owners.partition(verdict.sent):
        # Somebody waits for these few, and one call is quicker than a job. Without the field only
        # a job's id tells afterwards what a lost answer did, so there even one person gets a job.
        carrier = "collections" if at_once else part.carrier
        size = settings.batch_size if ground.person_id_field else settings.batch_size_without_field
        size = MAX_RECORDS if carrier == "collections" else size
        these = verdict.sent.loc[part.persons].reset_index(drop=True)
        whole = _payload(ground, these, verdict.columns, part)
        for first, last in leads.loads(
            whole.records, most_rows=size, most_bytes=bulk.MAX_UPLOAD_BYTES
        ):
            batch = ledger.NewBatch(
                batch_id=uuid.uuid4().hex,
                owner_strategy=part.owner_strategy,
                operation=part.operation,
                sobject=part.sobject,
                carrier=carrier,
                assignment_rule_id=part.assignment_rule_id,
                is_duplicate_wanted=part.is_duplicate_wanted,
            )
            claimed = these.iloc[first:last].reset_index(drop=True)
            yield Parcel(batch, claimed, whole.stretch(first, last))


def _payload(
    ground: Ground,
    these: pd.DataFrame,
    columns: dict[str, str],
    load: owners.Part | ledger.Batch,
) -> Payload:
    if "assignment_rule_id" in these:
        # A part without a rule may hold persons who came by one: an update never runs a rule.
        these = these.assign(assignment_rule_id=load.assignment_rule_id)
    records = leads.to_records(
        these,
        columns,
        ground.lead_fields,
        sobject=load.sobject,
        operation=load.operation,
        person_id_field=ground.person_id_field,
    )
    return Payload(these["person_id"], records, leads.row_hashes(records, ground.lead_fields))


def _really_claimed(
    parcels: list[Parcel], recorded: ledger.Recorded
) -> Iterator[tuple[ledger.Batch, Payload]]:
    gone = [*recorded.released, *recorded.taken_by_others]
    payloads = {parcel.batch.batch_id: parcel.payload for parcel in parcels}
    for batch in recorded.batches:
        payload = payloads[batch.batch_id]
        if gone:
            payload = payload.keep(~payload.person_ids.isin(gone))
        yield batch, payload


def _judgement(verdict: Verdict, parcels: list[Parcel]) -> ledger.Judgement:
    claims = [
        parcel.persons.assign(
            batch_id=parcel.batch.batch_id, row_hash=parcel.payload.row_hashes
        ).reindex(columns=CLAIM_COLUMNS)
        for parcel in parcels
    ]
    nobody = pd.DataFrame(columns=CLAIM_COLUMNS, dtype="str")
    return ledger.Judgement(
        persons=verdict.persons,
        rejected=verdict.rejected,
        duplicates=verdict.duplicates,
        outcomes=verdict.decided,
        claims=pd.concat(claims, ignore_index=True) if claims else nobody,
        batches=[parcel.batch for parcel in parcels],
    )


def _holds_email(verdict: Verdict) -> pd.Series[bool]:
    return verdict.persons["person_id"].isin(verdict.sent["person_id"])


def _planned(verdict: Verdict) -> pd.DataFrame:
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
