"""The steps before the first slice: what earlier runs left open, and persons who were held."""

from __future__ import annotations

import logging
import os
import platform
import socket

from pipelines.rules.frames import FoundLeads, select
from pipelines.salesforce import lead_owners, lookups
from pipelines.steps.context import RunContext
from pipelines.warehouse import ledger

log = logging.getLogger(__name__)


def resolve_held_persons(run: RunContext) -> int:
    """Resolve the held persons whose lead the person-id field finds; return how many.

    This resolves most held persons without a human. It needs the person-id field. A lead that a
    user has deleted since was created all the same, and is not created again. May be repeated.
    """
    if run.request.is_plan or not run.person_id_field:
        return 0
    held = ledger.held_person_ids(run.warehouse)
    asked = run.request.person_ids
    chosen = held if asked is None else sorted(set(held) & set(asked))
    found = lookups.find_leads_by_person_id(run.org, run.person_id_field, chosen)
    if found.empty:
        return 0
    found = found.sort_values("is_deleted").drop_duplicates("person_id")
    owners = lead_owners.read_owners(run.org, list(found["lead_id"]), created_since=None)
    found["reason_code"] = (
        found["is_deleted"].map({True: "LEAD_DELETED", False: "FOUND_BY_PERSON_ID"}).astype("str")
    )
    with_owners = select(found.merge(owners, on="lead_id", how="left"), FoundLeads)
    count = ledger.resolve_found_leads(run.warehouse, run.run_id, with_owners)
    if count:
        log.info("held persons: %d have a lead after all", count)
    return count


def take_over_stale_batches(run: RunContext) -> int:
    """Take over the open batches whose run has ended or lost its lease; return how many.

    May be repeated: a batch taken over gets a higher fencing token, so the earlier run can no
    longer write about it.
    """
    batches = ledger.take_over_stale_batches(
        run.warehouse,
        run.run_id,
        lease_seconds=run.settings.run.lease_seconds,
        is_alive=is_alive,
    )
    for batch in batches:
        run.in_flight.add(batch)
    if batches:
        persons = sum(batch.person_count for batch in batches)
        log.info("ledger: %d open batches taken over, %s persons", len(batches), f"{persons:,}")
    return len(batches)


def is_alive(host: str, process_id: int) -> bool:
    """Return whether the process may still be running.

    On another machine this cannot be known: then True, and the lease decides.
    """
    if host != socket.gethostname() or platform.system() == "Windows":
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
