"""The partition step: split by owner strategy into batches, and record the slice.

One transaction (T1 in pipelines/README.md) writes outcomes, rejected persons, duplicates, claims
and batches. After it every person of the slice has an outcome or a claim, or is another run's.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from pipelines.errors import WarehouseUnavailableError
from pipelines.rules import encoding, partitions
from pipelines.rules.encoding import Payload
from pipelines.rules.frames import Claims, PlannedPersons, conform, empty
from pipelines.salesforce import ingest_jobs
from pipelines.salesforce.sobject_collections import MAX_RECORDS
from pipelines.steps.context import Passed, RunContext
from pipelines.steps.payloads import build_payload, without_unsent_defaults
from pipelines.steps.transform import SliceDecisions, decide_again
from pipelines.warehouse import ledger

if TYPE_CHECKING:
    from pandera.typing import DataFrame

log = logging.getLogger(__name__)

ClaimedBatch = tuple[ledger.Batch, Payload]


@dataclass(frozen=True)
class PreparedBatch:
    """A batch that is not recorded yet, with its persons and its payload."""

    batch: ledger.NewBatch
    persons: pd.DataFrame
    payload: Payload


@dataclass(frozen=True)
class SliceCounts:
    """How many persons of a slice were recorded as what."""

    read_count: int = 0
    to_load_count: int = 0
    duplicate_count: int = 0
    rejected_count: int = 0
    batch_count: int = 0

    def __str__(self) -> str:
        """Return the counts, as a log line has them."""
        counts = {
            "read": self.read_count,
            "to load": self.to_load_count,
            "duplicate": self.duplicate_count,
            "rejected": self.rejected_count,
        }
        return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def partition_slice(run: RunContext, matched: Passed[SliceDecisions | None]) -> SliceCounts:
    """Split the slice into batches, record it in one transaction, and take its batches in flight.

    In a plan run only `planned_persons` is written. May be repeated: persons decided or claimed
    meanwhile are no longer new. Raise LeaseLostError when another worker has recorded the slice.
    """
    part = matched.part
    with run.progress.during(f"slice {run.slice_name(part)}: partitioning by owner"):
        if run.request.is_plan:
            counts = _record_plan(run, matched.take())
        else:
            counts = _record_slice(run, part, matched.take())
    log.info("slice %s: %s", run.slice_name(part), counts)
    return counts


def _record_slice(
    run: RunContext, part: ledger.Slice, decisions: SliceDecisions | None
) -> SliceCounts:
    counts = SliceCounts()
    while decisions is not None:
        prepared = list(partition_into_batches(run, decisions.to_load, decisions.columns))
        if run.commit_order:
            run.commit_order.wait(part)
        recorded = _record(run, _slice_record(decisions, prepared), part)
        claimed = list(_claimed_batches(prepared, recorded))
        counts = _added(counts, decisions, claimed)
        for batch, payload in claimed:
            run.in_flight.add(batch, payload)
        # To retry: another run claimed their e-mail between our lookup and our write. They are
        # still new, and a second lookup finds whose duplicates they are.
        if not recorded.to_retry:
            return counts
        decisions = decide_again(run, part)
    if run.commit_order:
        run.commit_order.wait(part)
        ledger.skip_slice(run.warehouse, part)
    return counts


def partition_into_batches(
    run: RunContext, to_load: pd.DataFrame, columns: dict[str, str]
) -> Iterator[PreparedBatch]:
    """Split persons into batches, each of one owner strategy, operation and job.

    `to_load`: persons with their action, owner and match. `columns`: Lead field → column of it.
    """
    settings = run.settings.run
    size = settings.batch_size if run.person_id_field else settings.batch_size_without_field
    for part in partitions.partition(to_load):
        # A person is waiting for `now`, and one call is quicker than a job. Without the field only
        # a job's id tells afterwards what a lost response did: there even one person gets a job.
        is_one_call = run.request.run_mode == "now" and bool(run.person_id_field)
        load_api = "collections" if is_one_call else part.load_api
        persons = to_load.loc[part.persons].reset_index(drop=True)
        persons = without_unsent_defaults(persons, columns, part)
        whole = build_payload(run, persons, columns, part)
        for first, last in encoding.upload_ranges(
            whole.records,
            max_rows=MAX_RECORDS if load_api == "collections" else size,
            max_bytes=ingest_jobs.MAX_UPLOAD_BYTES,
        ):
            batch = ledger.NewBatch(
                batch_id=uuid.uuid4().hex,
                owner_strategy=part.owner_strategy,
                operation=part.operation,
                sobject=part.sobject,
                load_api=load_api,
                assignment_rule_id=part.assignment_rule_id,
                allow_duplicates=part.allow_duplicates,
            )
            claimed = persons.iloc[first:last].reset_index(drop=True)
            yield PreparedBatch(batch, claimed, whole.slice_rows(first, last))


def _record(
    run: RunContext, record: ledger.SliceRecord, part: ledger.Slice
) -> ledger.RecordedSlice:
    """Record the slice; retry while another run holds the lock.

    Recording a large slice takes longer than some engines let another process wait for the lock. A
    person synced immediately must not fail for that reason.
    """
    retry = run.new_retry(log)
    while True:
        try:
            return ledger.record_slice(
                run.warehouse,
                run.run_id,
                record,
                lease_seconds=run.settings.run.lease_seconds,
                part=part if run.commit_order else None,
            )
        except WarehouseUnavailableError as error:
            # After a commit without a response the slice may be recorded: the next run looks.
            if not error.had_no_effect:
                raise
            retry.failed(error)


def _slice_record(decisions: SliceDecisions, prepared: list[PreparedBatch]) -> ledger.SliceRecord:
    claims = [
        one.persons.assign(batch_id=one.batch.batch_id, row_hash=one.payload.row_hashes)
        for one in prepared
    ]
    all_claims = conform(pd.concat(claims, ignore_index=True), Claims) if claims else empty(Claims)
    return ledger.SliceRecord(
        persons=decisions.persons,
        rejected=decisions.rejected,
        duplicates=decisions.duplicates,
        outcomes=decisions.decided,
        claims=all_claims,
        batches=[one.batch for one in prepared],
    )


def _claimed_batches(
    prepared: list[PreparedBatch], recorded: ledger.RecordedSlice
) -> Iterator[ClaimedBatch]:
    """Yield the recorded batches, each with the payload of the persons it really claimed."""
    not_claimed = [*recorded.to_retry, *recorded.taken_by_others]
    payloads = {one.batch.batch_id: one.payload for one in prepared}
    for batch in recorded.batches:
        payload = payloads[batch.batch_id]
        if not_claimed:
            payload = payload.filter_rows(~payload.person_ids.isin(not_claimed))
        yield batch, payload


def _added(
    counts: SliceCounts, decisions: SliceDecisions, claimed: list[ClaimedBatch]
) -> SliceCounts:
    to_load = sum(len(payload.person_ids) for _, payload in claimed)
    decided = decisions.rejected_count + decisions.duplicate_count
    return SliceCounts(
        read_count=counts.read_count + decided + to_load,
        to_load_count=counts.to_load_count + to_load,
        duplicate_count=counts.duplicate_count + decisions.duplicate_count,
        rejected_count=counts.rejected_count + decisions.rejected_count,
        batch_count=counts.batch_count + len(claimed),
    )


def _record_plan(run: RunContext, decisions: SliceDecisions | None) -> SliceCounts:
    """Record what a live run would do with the persons of this slice."""
    if decisions is None:
        return SliceCounts()
    is_loaded = decisions.persons["person_id"].isin(decisions.to_load["person_id"])
    claimed = decisions.persons.loc[is_loaded, ["person_id", "email_hash"]]
    ledger.record_plan(run.warehouse, run.run_id, _planned_persons(decisions), emails=claimed)
    counts = _added(SliceCounts(), decisions, [])
    to_load = len(decisions.to_load)
    return replace(counts, read_count=counts.read_count + to_load, to_load_count=to_load)


def _planned_persons(decisions: SliceDecisions) -> DataFrame[PlannedPersons]:
    names = {"rejected": "reject", "duplicate": "duplicate"}
    decided = decisions.decided.assign(
        decision=decisions.decided["outcome"].map(names),
        matched_id=decisions.decided["lead_id"].fillna(decisions.decided["contact_id"]),
    )
    is_update = decisions.to_load["action"].str.startswith("update")
    to_load = decisions.to_load.assign(
        decision=pd.Series("create", index=is_update.index).where(~is_update, "update"),
        matched_id=decisions.to_load["lead_id"].fillna(decisions.to_load["contact_id"]),
    )
    first_rule = decisions.rejected.drop_duplicates("person_id").set_index("person_id")["rule_name"]
    rows = pd.concat([decided, to_load], ignore_index=True)
    rows["reason_code"] = rows["reason_code"].fillna(rows["person_id"].map(first_rule))
    return conform(rows, PlannedPersons)
