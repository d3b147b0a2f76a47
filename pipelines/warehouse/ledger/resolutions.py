"""Resolutions of held persons: by a human, or by a run that found the lead.

A human's resolution is a run of its own, written in one transaction with everything it changes: an
interrupted command has recorded nothing or everything. The migrator's lock serializes them on
PostgreSQL, the only writer does on SQLite. So no two of them give one lead to two persons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
from sqlalchemy import Connection

from pipelines.errors import ConfigurationError, LeaseLostError, LedgerInconsistentError
from pipelines.rules.frames import FoundLeads, Rejected, conform, select
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import rejects_and_duplicates
from pipelines.warehouse.ledger.runs import add_counts

if TYPE_CHECKING:
    from pandera.typing import DataFrame

OWNER_COLUMNS = ("owner_id", "owner_name", "owner_type")
REJECTED_RULE = "rejected_manually"


@dataclass(frozen=True)
class Resolution:
    """The last resolution of a person, as recorded."""

    run_id: str
    resolved_as: str
    is_automatic: bool
    resolved_by: str | None
    note: str | None
    lead_id: str | None
    held_run_id: str
    held_reason: str
    resolved_at: datetime


@dataclass(frozen=True)
class PersonState:
    """What the ledger knows of a person.

    `outcome` is None before the first one, `run_id` is the run of the outcome, `claimed_by` the
    open batch that contains the person, or None.
    """

    person_id: str
    outcome: str | None
    reason_code: str | None
    run_id: str | None
    batch_id: str | None
    attempt_count: int | None
    claimed_by: str | None
    resolution: Resolution | None

    @property
    def is_held(self) -> bool:
        """Whether the person may be resolved: held, and not being sent again."""
        return self.outcome == "held" and self.claimed_by is None

    @property
    def is_resolved(self) -> bool:
        """Whether the present outcome is that of the last resolution."""
        if self.resolution is None or self.claimed_by is not None:
            return False
        is_resent = self.is_held and self.reason_code == "RESEND"
        is_latest = self.resolution.run_id == self.run_id
        return is_resent if self.resolution.resolved_as == "resend" else is_latest


@dataclass(frozen=True)
class NewResolution:
    """A human's decision: what (created resend rejected), of which lead, who decided, and why.

    `source_version` is that of the persons row now, for `rejected`: only a later change of the row
    makes the person new again. `owner` is the lead's, read back.
    """

    resolved_as: str
    resolved_by: str
    note: str | None = None
    lead_id: str | None = None
    reason_code: str | None = None
    message: str = ""
    source_version: str | None = None
    owner: Mapping[str, str | None] = field(default_factory=lambda: dict.fromkeys(OWNER_COLUMNS))


def read_person_state(warehouse: Warehouse, person_id: str) -> PersonState | None:
    """Return what the ledger knows of the person; None for an unknown person."""
    with warehouse.reading() as connection:
        found = warehouse.run(connection, "read_person_state", person_id=person_id).mappings()
        state = found.one_or_none()
        if state is None:
            return None
        resolutions = warehouse.run(connection, "last_resolution", person_id=person_id).mappings()
        last = resolutions.one_or_none()
    return PersonState(**state, resolution=Resolution(**last) if last else None)


def record_resolution(
    warehouse: Warehouse,
    state: PersonState,
    new: NewResolution,
    *,
    run: Mapping[str, Any],
    org_id: str,
    api_call_count: int,
) -> Resolution:
    """Record a human's resolution with all its effects, as a run of mode `resolve`, or nothing.

        created     the outcome is created, with the lead
        resend      the person is new for the next run
        rejected    the outcome is rejected, with a row in rejected_persons; the e-mail is free

    `run`: what `begin_run` takes. Return what was recorded. Raise LeaseLostError when the person is
    no longer in that state. Raise ConfigurationError when the lead belongs to another person.
    """
    run_id = run["run_id"]
    with warehouse.transaction() as connection:
        warehouse.dialect.lock_for_migration(connection)
        now = warehouse.now(connection)
        _require_free_lead(warehouse, connection, state.person_id, new.lead_id)
        warehouse.run(connection, "begin_run", **run, now=now)
        warehouse.run(connection, "bind_run", run_id=run_id, org_id=org_id)
        _change_outcome(warehouse, connection, run_id, state, new, now)
        recorded = _insert(warehouse, connection, run_id, state, new, now)
        if new.resolved_as != "created":
            warehouse.run(connection, "delete_email_of_person", person_id=state.person_id)
        _end(warehouse, connection, run_id, api_call_count, now)
        counts = {} if new.resolved_as == "resend" else {f"{new.resolved_as}_count": 1}
        add_counts(warehouse, connection, run_id, read_count=len(counts), **counts)
    return recorded


def held_person_ids(warehouse: Warehouse) -> list[str]:
    """Return the persons who are held and in no batch, sorted."""
    with warehouse.reading() as connection:
        return sorted(warehouse.run(connection, "held_person_ids").scalars())


def resolve_found_leads(warehouse: Warehouse, run_id: str, found: DataFrame[FoundLeads]) -> int:
    """Set held persons to created whose lead a run has found, and count them for the run.

    Return how many were still held. May be repeated.
    """
    with warehouse.transaction() as connection:
        warehouse.dialect.lock_for_migration(connection)
        now = warehouse.now(connection)
        leads = select(found, FoundLeads)
        with warehouse.temporary_table(connection, "found_leads", leads):
            # The resolutions first: they record the run and the reason of the held outcome.
            steps = ("record_found_leads", "resolve_found_leads")
            recorded, changed = (
                warehouse.run(connection, step, run_id=run_id, now=now).rowcount for step in steps
            )
        if recorded != changed:
            raise LedgerInconsistentError(
                f"{recorded} held persons should be resolved, and {changed} were"
            )
        add_counts(warehouse, connection, run_id, read_count=changed, created_count=changed)
    return changed


def _require_free_lead(
    warehouse: Warehouse, connection: Connection, person_id: str, lead_id: str | None
) -> None:
    found = warehouse.run(connection, "persons_created_as_lead", lead_id=lead_id).scalars()
    others = [one for one in found if one != person_id]
    if lead_id is not None and others:
        raise ConfigurationError(f"lead {lead_id} is that of person {others[0]}: look at it again")


def _change_outcome(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    state: PersonState,
    new: NewResolution,
    now: datetime,
) -> None:
    seen = {
        "person_id": state.person_id,
        "seen_run_id": state.run_id,
        "seen_attempt_count": state.attempt_count,
    }
    if new.resolved_as == "resend":
        changed = warehouse.run(connection, "resend_held_person", **seen)
    else:
        changed = warehouse.run(
            connection,
            "resolve_held_person",
            **seen,
            outcome=new.resolved_as,
            run_id=run_id,
            lead_id=new.lead_id,
            **new.owner,
            reason_code=new.reason_code,
            source_version=new.source_version,
            now=now,
        )
    if changed.rowcount != 1:
        raise LeaseLostError(f"person {state.person_id} was taken up by another run just now")


def _insert(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    state: PersonState,
    new: NewResolution,
    now: datetime,
) -> Resolution:
    # After `resend` the reason of the outcome is RESEND; the first resolution has the original one.
    before = state.resolution if state.is_resolved else None
    recorded = Resolution(
        run_id=run_id,
        resolved_as=new.resolved_as,
        is_automatic=False,
        resolved_by=new.resolved_by,
        note=new.note,
        lead_id=new.lead_id,
        held_run_id=state.run_id or "",
        held_reason=before.held_reason if before else state.reason_code or "",
        resolved_at=now,
    )
    of_person = {"person_id": state.person_id, "batch_id": state.batch_id}
    warehouse.run(connection, "record_resolution", **vars(recorded), **of_person)
    if new.resolved_as == "rejected":
        rejected = conform(pd.DataFrame([_rejection(state.person_id, new)]), Rejected)
        rejects_and_duplicates.record_rejections(warehouse, connection, run_id, rejected)
    return recorded


def _rejection(person_id: str, new: NewResolution) -> dict[str, object]:
    return {
        "person_id": person_id,
        "rule_name": REJECTED_RULE,
        "stage": "validation",
        "message": new.message,
        "is_retryable": False,
    }


def _end(
    warehouse: Warehouse, connection: Connection, run_id: str, api_call_count: int, now: datetime
) -> None:
    warehouse.run(
        connection,
        "end_run",
        run_id=run_id,
        run_state="finished",
        api_call_count=api_call_count,
        error_code=None,
        error_message=None,
        now=now,
    )
