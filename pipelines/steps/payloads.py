"""What a batch sends: built when its persons are decided, and again from the source rows later.

The ledger keeps no payload, only a hash of each row. A run that takes over a batch builds the
payload again, and leaves out the persons whose rows have changed meanwhile.
"""

from __future__ import annotations

import pandas as pd

from pipelines.rules import cleaning, encoding, leads, partitions
from pipelines.rules.encoding import Payload
from pipelines.steps.context import RunContext
from pipelines.steps.extract import columns_to_read
from pipelines.warehouse import ledger, person_rows


def build_payload(
    run: RunContext,
    persons: pd.DataFrame,
    columns: dict[str, str],
    batch: partitions.Partition | ledger.Batch,
) -> Payload:
    """Return the records of these persons, in their order. `columns`: Lead field → column."""
    if "assignment_rule_id" in persons:
        # A part without a rule may hold persons who came by one: an update never runs a rule.
        persons = persons.assign(assignment_rule_id=batch.assignment_rule_id)
    records = leads.to_records(
        persons,
        columns,
        run.lead_fields,
        sobject=batch.sobject,
        operation=batch.operation,
        person_id_field=run.person_id_field,
    )
    return Payload(persons["person_id"], records, encoding.row_hashes(records, run.lead_fields))


def rebuild_payload(run: RunContext, batch: ledger.Batch) -> tuple[ledger.Batch, Payload]:
    """Return the batch and its payload, built again from the source rows.

    Release the persons whose row has changed since the claim, or is gone. Nothing can have been
    created from them before the batch is submitted. The next run decides about them again. The
    batch returns completed when no person is left. May be repeated.
    """
    claimed = person_rows.read_claimed(run.warehouse, batch.batch_id, columns_to_read(run))
    claims = claimed[["person_id", "owner_id", "lead_id", "contact_id", "row_hash"]]
    # Filling defaults again names the same fields as the claim does; the claim's own value stays.
    found = claimed.drop(columns="defaulted_fields")
    cleaned, columns = cleaning.fill_defaults(
        cleaning.clean(found), run.columns, run.settings.defaults
    )
    payload = build_payload(run, without_unsent_defaults(cleaned, columns, batch), columns, batch)
    is_same = (payload.row_hashes == claims["row_hash"]) & (claimed["row_count"] == 1)
    changed = list(claims.loc[~is_same, "person_id"])
    if changed:
        batch = ledger.release_persons(run.warehouse, batch, changed)
    return batch, payload.filter_rows(is_same)


def without_unsent_defaults(
    persons: pd.DataFrame, columns: dict[str, str], batch: partitions.Partition | ledger.Batch
) -> pd.DataFrame:
    """Return the persons without their defaults when the batch updates records.

    A default lets a person pass the rules when a lead is created. Sent with an update,
    "[not provided]" once replaced the org's real company.
    """
    if batch.operation != "update":
        return persons
    return cleaning.without_defaults(persons, columns)
