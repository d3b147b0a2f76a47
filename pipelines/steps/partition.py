"""What a batch sends: packed when its persons are judged, and made anew from the source rows by
whoever has to carry it on, since the ledger keeps no payload, only a hash of each row.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from pipelines.rules import cleaning, leads, partitions, payloads
from pipelines.rules.payloads import Payload
from pipelines.run.preflight import Ground
from pipelines.salesforce import ingest_jobs
from pipelines.salesforce.sobject_collections import MAX_RECORDS
from pipelines.warehouse import ledger, new_persons


@dataclass(frozen=True)
class PreparedBatch:
    """A batch to be, with its persons and what it sends."""

    batch: ledger.NewBatch
    persons: pd.DataFrame
    payload: Payload


def pack(
    ground: Ground, sent: pd.DataFrame, columns: dict[str, str], *, somebody_waits: bool
) -> Iterator[PreparedBatch]:
    """Part the persons to be sent into batches of what may travel together, each of one job.

    `sent`: persons with their action, owner and match. `columns`: Lead field → column of `sent`.
    """
    settings = ground.settings.run
    at_once = somebody_waits and bool(ground.person_id_field)
    for part in partitions.partition(sent):
        # Somebody waits for these few, and one call is quicker than a job. Without the field only
        # a job's id tells afterwards what a lost answer did, so there even one person gets a job.
        load_api = "collections" if at_once else part.load_api
        size = settings.batch_size if ground.person_id_field else settings.batch_size_without_field
        size = MAX_RECORDS if load_api == "collections" else size
        these = _as_sent(sent.loc[part.persons].reset_index(drop=True), columns, part)
        whole = _payload(ground, these, columns, part)
        for first, last in payloads.upload_ranges(
            whole.records, max_rows=size, max_bytes=ingest_jobs.MAX_UPLOAD_BYTES
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
            claimed = these.iloc[first:last].reset_index(drop=True)
            yield PreparedBatch(batch, claimed, whole.slice_rows(first, last))


def rebuild_payload(ground: Ground, batch: ledger.Batch) -> tuple[ledger.Batch, Payload]:
    """Make a batch's payload anew from the source rows.

    A person whose row has changed since the claim, or is gone, is released to be judged anew:
    before the close intent nothing can have been made of them. The batch comes back settled when
    nobody is left.
    """
    wanted = columns_to_read(ground)
    claimed = new_persons.read_claimed(ground.warehouse, batch.batch_id, wanted)
    claims = claimed[["person_id", "owner_id", "lead_id", "contact_id", "row_hash"]]
    # Filling defaults again names the same fields as the claim does; the claim's word stays.
    found = claimed.drop(columns="defaulted_fields")
    cleaned, columns = cleaning.fill_defaults(
        cleaning.clean(found), ground.columns, ground.settings.defaults
    )
    payload = _payload(ground, _as_sent(cleaned, columns, batch), columns, batch)
    is_same = (payload.row_hashes == claims["row_hash"]) & (claimed["row_count"] == 1)
    changed = list(claims.loc[~is_same, "person_id"])
    if changed:
        batch = ledger.release_persons(ground.warehouse, batch, changed)
    return batch, payload.filter_rows(is_same)


def columns_to_read(ground: Ground) -> list[str]:
    """The columns of the persons table that judging and sending need."""
    asked = {column for choice in ground.choices for column in choice.when}
    given = {"person_id", "owner_strategy", "created_at"}
    return [*dict.fromkeys([*ground.columns.values(), *sorted(asked - given)])]


def _as_sent(
    these: pd.DataFrame, columns: dict[str, str], load: partitions.Partition | ledger.Batch
) -> pd.DataFrame:
    # A default made it past the rules, and that is all it is for where the record is there: sent
    # with an update, "[not provided]" took the place of the org's real company.
    return cleaning.without_defaults(these, columns) if load.operation == "update" else these


def _payload(
    ground: Ground,
    these: pd.DataFrame,
    columns: dict[str, str],
    load: partitions.Partition | ledger.Batch,
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
    return Payload(these["person_id"], records, payloads.row_hashes(records, ground.lead_fields))
