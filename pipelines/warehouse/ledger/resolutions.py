"""Words on held persons, recorded: a human's, or that of a run that found the lead by itself.

A word of a human is a run of its own, written in one transaction with all that it changes: a
command that is cut off has said nothing or everything. Words come one at a time on PostgreSQL by
the migrator's lock, on SQLite by its one writer, so no two of them give one lead to two persons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import Connection

from pipelines.errors import ConfigurationError, LeaseLostError, LedgerInconsistentError
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import rejects_and_duplicates
from pipelines.warehouse.ledger.runs import move_counts

OWNER_COLUMNS = ("owner_id", "owner_name", "owner_type")
FOUND_COLUMNS = ["person_id", "lead_id", *OWNER_COLUMNS, "reason_code"]
REJECTED_RULE = "rejected_manually"


@dataclass(frozen=True)
class Said:
    """The last word on a person, as it was recorded."""

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
class Standing:
    """How the ledger knows a person: outcome (None before the first), who has the latest word on
    them, the batch that holds them now (None for nobody), and the last word said on them."""

    person_id: str
    outcome: str | None
    reason_code: str | None
    run_id: str | None
    batch_id: str | None
    attempt_count: int | None
    claimed_by: str | None
    said: Said | None

    @property
    def is_held(self) -> bool:
        """Whether a word may be said: held, and not on the way again."""
        return self.outcome == "held" and self.claimed_by is None

    @property
    def is_said(self) -> bool:
        """Whether the last word is what the person stands by."""
        if self.said is None or self.claimed_by is not None:
            return False
        is_resent = self.is_held and self.reason_code == "RESEND"
        return is_resent if self.said.resolved_as == "resend" else self.said.run_id == self.run_id


@dataclass(frozen=True)
class Word:
    """A human's word: what (created resend rejected), of which lead, who says so, and why.

    `source_version` is the persons row's present one, for `rejected`: only a later change of the
    row makes them new again. `owner` is the lead's, read back.
    """

    resolved_as: str
    resolved_by: str
    note: str | None = None
    lead_id: str | None = None
    reason_code: str | None = None
    message: str = ""
    source_version: str | None = None
    owner: Mapping[str, str | None] = field(default_factory=lambda: dict.fromkeys(OWNER_COLUMNS))


def read_person_state(warehouse: Warehouse, person_id: str) -> Standing | None:
    """How the ledger knows the person; None if it never met them."""
    with warehouse.reading() as connection:
        found = warehouse.run(connection, "read_person_state", person_id=person_id).mappings()
        standing = found.one_or_none()
        if standing is None:
            return None
        said = warehouse.run(connection, "last_resolution", person_id=person_id).mappings()
        last = said.one_or_none()
    return Standing(**standing, said=Said(**last) if last else None)


def record_resolution(
    warehouse: Warehouse,
    standing: Standing,
    word: Word,
    *,
    run: Mapping[str, Any],
    org_id: str,
    api_call_count: int,
) -> Said:
    """Write the word and all that follows from it, as a run of mode `resolve`, all or nothing.

    created: the outcome is created, with the lead. resend: the person is new to the next run.
    rejected: the outcome is rejected, with a row in rejected_persons, and the e-mail is free.
    `run` is what `begin_run` takes. Answers what was written. Raises LeaseLostError when the person is
    no longer as seen, and ConfigurationError when the lead has become another person's.
    """
    run_id = run["run_id"]
    with warehouse.transaction() as connection:
        warehouse.dialect.lock_for_migration(connection)
        now = warehouse.now(connection)
        _require_nobodys(warehouse, connection, standing.person_id, word.lead_id)
        warehouse.run(connection, "begin_run", **run, now=now)
        warehouse.run(connection, "bind_run", run_id=run_id, org_id=org_id)
        _change_outcome(warehouse, connection, run_id, standing, word, now)
        said = _write_down(warehouse, connection, run_id, standing, word, now)
        if word.resolved_as != "created":
            warehouse.run(connection, "free_email_of", person_id=standing.person_id)
        _end(warehouse, connection, run_id, api_call_count, now)
        counts = {} if word.resolved_as == "resend" else {f"{word.resolved_as}_count": 1}
        move_counts(warehouse, connection, run_id, read_count=len(counts), **counts)
    return said


def list_held(warehouse: Warehouse) -> list[str]:
    """The persons who are held and in no batch."""
    with warehouse.reading() as connection:
        return sorted(warehouse.run(connection, "held_persons").scalars())


def settle_found(warehouse: Warehouse, run_id: str, found: pd.DataFrame) -> int:
    """Held persons whose lead a run has found have it: created, and counted by the run.

    `found`: person_id, lead_id, owner_id, owner_name, owner_type, reason_code. Answers how many
    were still held. May be repeated.
    """
    with warehouse.transaction() as connection:
        warehouse.dialect.lock_for_migration(connection)
        now = warehouse.now(connection)
        warehouse.run(connection, "make_found_leads")
        warehouse.insert_frame(connection, "found_leads", found[FOUND_COLUMNS])
        noted = warehouse.run(connection, "record_found_leads", run_id=run_id, now=now).rowcount
        made = warehouse.run(connection, "settle_found_leads", run_id=run_id, now=now).rowcount
        warehouse.run(connection, "drop_found_leads")
        if noted != made:
            raise LedgerInconsistentError(
                f"{noted} held persons should be settled, and {made} were"
            )
        move_counts(warehouse, connection, run_id, read_count=made, created_count=made)
    return made


def _require_nobodys(
    warehouse: Warehouse, connection: Connection, person_id: str, lead_id: str | None
) -> None:
    found = warehouse.run(connection, "created_persons_of_lead", lead_id=lead_id).scalars()
    others = [one for one in found if one != person_id]
    if lead_id is not None and others:
        raise ConfigurationError(f"lead {lead_id} is that of person {others[0]}: look at it again")


def _change_outcome(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    standing: Standing,
    word: Word,
    now: datetime,
) -> None:
    seen = {
        "person_id": standing.person_id,
        "seen_run_id": standing.run_id,
        "seen_attempt_count": standing.attempt_count,
    }
    if word.resolved_as == "resend":
        changed = warehouse.run(connection, "resend_held_person", **seen)
    else:
        changed = warehouse.run(
            connection,
            "resolve_held_person",
            **seen,
            outcome=word.resolved_as,
            run_id=run_id,
            lead_id=word.lead_id,
            **word.owner,
            reason_code=word.reason_code,
            source_version=word.source_version,
            now=now,
        )
    if changed.rowcount != 1:
        raise LeaseLostError(f"person {standing.person_id} was taken up by another run just now")


def _write_down(
    warehouse: Warehouse,
    connection: Connection,
    run_id: str,
    standing: Standing,
    word: Word,
    now: datetime,
) -> Said:
    # After `resend` the outcome says so, and why they were held is known by the first word.
    before = standing.said if standing.is_said else None
    said = Said(
        run_id=run_id,
        resolved_as=word.resolved_as,
        is_automatic=False,
        resolved_by=word.resolved_by,
        note=word.note,
        lead_id=word.lead_id,
        held_run_id=standing.run_id or "",
        held_reason=before.held_reason if before else standing.reason_code or "",
        resolved_at=now,
    )
    source = {"person_id": standing.person_id, "batch_id": standing.batch_id}
    warehouse.run(connection, "record_resolution", **vars(said), **source)
    if word.resolved_as == "rejected":
        rejected = pd.DataFrame([_rejection(standing.person_id, word)])
        rejects_and_duplicates.record_rejections(warehouse, connection, run_id, rejected)
    return said


def _rejection(person_id: str, word: Word) -> dict[str, object]:
    return {
        "person_id": person_id,
        "rule_name": REJECTED_RULE,
        "stage": "validation",
        "field_name": None,
        "observed_value": None,
        "message": word.message,
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
