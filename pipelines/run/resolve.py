"""Resolve a held person: record what a human knows about the lead.

    created:LEAD_ID   that lead is the person's
    resend            there is no lead: the next run decides about the person again
    rejected          no lead is to be created, until the person's row changes

`created` and `rejected` take effect immediately. `resend` takes effect in the next run; until then
another resolution may replace it. The same resolution twice changes nothing.
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import pandas as pd

from pipelines.errors import ConfigurationError
from pipelines.rules.rejection_catalog import description_of
from pipelines.run import checks, connections
from pipelines.run.lifecycle import migrate, require_checks_pass
from pipelines.run.preflight import Preflight
from pipelines.salesforce import ids, lead_owners, lookups
from pipelines.settings import Settings
from pipelines.warehouse import ledger, new_persons, person_rows

FORMS = "created:LEAD_ID, resend or rejected"


@dataclass(frozen=True)
class ResolutionRequest:
    """A resolution as a user typed it."""

    person_id: str
    resolved_as: str
    lead_id: str | None
    by: str
    note: str | None = None

    @property
    def text(self) -> str:
        """The resolution as it is typed."""
        return f"{self.resolved_as}:{self.lead_id}" if self.lead_id else self.resolved_as


def parse_resolution(
    person_id: str, text: str, *, by: str | None = None, note: str | None = None
) -> ResolutionRequest:
    """Return the resolution that was typed. Raise ConfigurationError when it is not one."""
    resolved_as, has_lead, lead_id = text.partition(":")
    if resolved_as not in ("created", "resend", "rejected") or bool(has_lead) != (
        resolved_as == "created"
    ):
        raise ConfigurationError(f"--as takes {FORMS}, not {text!r}")
    whole = ids.whole_id(lead_id.strip(), ids.LEAD) if has_lead else None
    if has_lead and whole is None:
        raise ConfigurationError(
            f"{lead_id!r} is not the id of a lead: those have 15 or 18 letters and digits, begin "
            f"with {ids.LEAD}, and upper and lower case matter"
        )
    return ResolutionRequest(person_id, resolved_as, whole, by or _user(), note or None)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # by Python's version; a container's user has no name
        raise ConfigurationError("this system has no name for you: give one with --by") from None


def resolve_person(settings: Settings, request: ResolutionRequest) -> dict[str, Any]:
    """Record a human's resolution of a held person; return what was recorded.

    Keys: person_id, resolved_as, lead_id, resolved_by, resolved_at, note, held_reason, held_run_id,
    run_id, is_new. `is_new` is false when the same was recorded before and nothing was changed.

    Raise ConfigurationError when it cannot be recorded, with nothing written. May be repeated.
    """
    with connections.open_store(settings) as warehouse:
        migrate(settings, warehouse)
        preflight = Preflight(settings, warehouse)
        try:
            for one in checks.RESOLVE_CHECKS:
                one.run(preflight)
            recorded = _resolve(preflight, request)
        finally:
            preflight.close()
        if recorded["is_new"]:
            require_checks_pass(warehouse, recorded["run_id"])
        return recorded


def _resolve(preflight: Preflight, request: ResolutionRequest) -> dict[str, Any]:
    state = _require_held(preflight, request)
    last = state.resolution if state.is_resolved else None
    if last and (last.resolved_as, last.lead_id) == (request.resolved_as, request.lead_id):
        return _as_document(request.person_id, last, is_new=False)
    recorded = ledger.record_resolution(
        preflight.warehouse,
        state,
        _new_resolution(preflight, request),
        run=_run(preflight.settings),
        org_id=preflight.org.org_id,
        api_call_count=preflight.org.api_call_count,
    )
    return _as_document(request.person_id, recorded, is_new=True)


def _require_held(preflight: Preflight, request: ResolutionRequest) -> ledger.PersonState:
    person_id = request.person_id
    state = ledger.read_person_state(preflight.warehouse, person_id)
    if state is None:
        raise ConfigurationError(
            f"no run has ever decided about person {person_id!r}: check the spelling"
        )
    if state.claimed_by is not None:
        raise ConfigurationError(
            f"person {person_id} is in open batch {state.claimed_by}, not held: "
            "wait for person-sync resume"
        )
    last = state.resolution if state.is_resolved else None
    if state.is_held or (last is not None and request.text == _text_of(last)):
        return state
    if last is not None:
        raise ConfigurationError(
            f"person {person_id} was resolved as {_text_of(last)} {_origin(last)}: "
            "that has taken effect and stands"
        )
    raise ConfigurationError(
        f"person {person_id} is {state.outcome}, not held: there is nothing to resolve"
    )


def _text_of(resolution: ledger.Resolution) -> str:
    if resolution.lead_id:
        return f"{resolution.resolved_as}:{resolution.lead_id}"
    return resolution.resolved_as


def _origin(resolution: ledger.Resolution) -> str:
    is_automatic = resolution.is_automatic
    who = "by a run that found the lead" if is_automatic else f"by {resolution.resolved_by}"
    return f"{who} at {resolution.resolved_at:%Y-%m-%d %H:%M} UTC"


def _new_resolution(preflight: Preflight, request: ResolutionRequest) -> ledger.NewResolution:
    resolution = ledger.NewResolution(request.resolved_as, request.by, request.note)
    if request.lead_id is not None:
        return _created(preflight, request, request.lead_id, resolution)
    _require_no_lead(preflight, request.person_id)
    if request.resolved_as == "resend":
        _require_row(preflight, request.person_id)
        return resolution
    return replace(
        resolution,
        reason_code="REJECTED_MANUALLY",
        message=request.note or description_of("rejected_manually"),
        # The row as it is today: a change before this resolution must not undo it.
        source_version=person_rows.source_version(preflight.warehouse, request.person_id),
    )


def _created(
    preflight: Preflight, request: ResolutionRequest, lead_id: str, resolution: ledger.NewResolution
) -> ledger.NewResolution:
    found = lookups.find_leads(preflight.org, [lead_id], preflight.person_id_field)
    if found.empty:
        raise ConfigurationError(
            f"this login finds no lead {lead_id} in {preflight.org.org_name}, "
            "not even a deleted one"
        )
    lead = found.iloc[0]
    other_id = lead["person_id"]
    if preflight.person_id_field and pd.notna(other_id) and other_id != request.person_id:
        raise ConfigurationError(
            f"lead {lead_id} has another person's id in {preflight.person_id_field} ({other_id})"
        )
    read = lead_owners.read_owners(preflight.org, [lead_id], created_since=None)
    owner = {
        name: str(value) if isinstance(value, str) else None
        for name in resolution.owner
        for value in read[name]
    }
    code = "LEAD_DELETED" if lead["is_deleted"] else "RESOLVED_MANUALLY"
    return replace(
        resolution, lead_id=lead_id, reason_code=code, owner={**resolution.owner, **owner}
    )


def _require_no_lead(preflight: Preflight, person_id: str) -> None:
    """Raise ConfigurationError when a lead has the person's id: that lead is the person's."""
    field = preflight.person_id_field
    if not field:
        return
    found = lookups.find_leads_by_person_id(preflight.org, field, [person_id])
    existing = found[~found["is_deleted"]]
    if len(existing):
        lead_id = existing.iloc[0]["lead_id"]
        raise ConfigurationError(
            f"lead {lead_id} has the id of person {person_id}: the next run resolves that by "
            f"itself, or use --as created:{lead_id}"
        )


def _require_row(preflight: Preflight, person_id: str) -> None:
    if new_persons.unknown_person_ids(preflight.warehouse, [person_id]):
        raise ConfigurationError(f"the persons table has no row {person_id!r} that could be sent")


def _run(settings: Settings) -> dict[str, Any]:
    return {
        "run_id": uuid.uuid4().hex,
        "flow_run_id": None,
        "run_mode": "resolve",
        "owner_default": None,
        "process_host": socket.gethostname(),
        "process_id": os.getpid(),
        "code_version": version("person-sync"),
        "settings_hash": settings.fingerprint(),
    }


def _as_document(person_id: str, resolution: ledger.Resolution, *, is_new: bool) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "resolved_as": resolution.resolved_as,
        "lead_id": resolution.lead_id,
        "resolved_by": resolution.resolved_by,
        "resolved_at": resolution.resolved_at.isoformat(),
        "note": resolution.note,
        "held_reason": resolution.held_reason,
        "held_run_id": resolution.held_run_id,
        "run_id": resolution.run_id,
        "is_new": is_new,
    }


def as_line(recorded: dict[str, Any]) -> str:
    """Return what was recorded, as the command prints it."""
    effects = {
        "created": f"is created as lead {recorded['lead_id']}",
        "resend": "is new again: the next run decides about them",
        "rejected": "is rejected, until their row changes",
    }
    line = f"person {recorded['person_id']} {effects[recorded['resolved_as']]}"
    if recorded["is_new"]:
        return f"{line} (by {recorded['resolved_by']}, was held for {recorded['held_reason']})"
    who = recorded["resolved_by"] or "a run that found the lead"
    when = recorded["resolved_at"][:16]
    return f"{line}: recorded by {who} at {when} UTC; nothing changed"
