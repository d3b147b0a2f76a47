"""Held persons: what a run can find out about them by itself, and a human's word on the others.

    created:LEAD_ID   that lead is theirs
    resend            there is no lead: the next run judges them anew
    rejected          they are to become no lead, until their row changes

A word is acted upon at once, except `resend`, which the next run acts upon: until then another
word may take its place. The same word twice changes nothing.
"""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import pandas as pd

from pipelines.errors import ConfigurationError
from pipelines.rules.rejection_catalog import description_of
from pipelines.run.preflight import Ground
from pipelines.salesforce import ids, lead_owners, lookups
from pipelines.settings import Settings
from pipelines.warehouse import ledger, new_persons

FORMS = "created:LEAD_ID, resend or rejected"


@dataclass(frozen=True)
class ResolutionRequest:
    """What somebody says of a held person, as they typed it."""

    person_id: str
    resolved_as: str
    lead_id: str | None
    by: str
    note: str | None = None

    @property
    def words(self) -> str:
        """As it is typed."""
        return f"{self.resolved_as}:{self.lead_id}" if self.lead_id else self.resolved_as


def parse(
    person_id: str, text: str, *, by: str | None = None, note: str | None = None
) -> ResolutionRequest:
    """The saying that was typed. Raises ConfigurationError for one that cannot be meant."""
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
        raise ConfigurationError("nobody knows who you are here: name yourself with --by") from None


def resolve(ground: Ground, saying: ResolutionRequest) -> dict[str, Any]:
    """Record the word and answer what was recorded: the person, the word, who said it, and
    `is_new`, which is false when the same had been said before and nothing was changed.

    Raises ConfigurationError, with the reason, when the person is not held or the lead cannot be theirs.
    """
    standing = _require_held(ground, saying)
    said = standing.said if standing.is_said else None
    if said and (said.resolved_as, said.lead_id) == (saying.resolved_as, saying.lead_id):
        return _told(saying.person_id, said, is_new=False)
    said = ledger.record_resolution(
        ground.warehouse,
        standing,
        _word(ground, saying),
        run=_run(ground.settings),
        org_id=ground.org.org_id,
        api_call_count=ground.org.api_call_count,
    )
    return _told(saying.person_id, said, is_new=True)


def _require_held(ground: Ground, saying: ResolutionRequest) -> ledger.Standing:
    standing = ledger.read_person_state(ground.warehouse, saying.person_id)
    if standing is None:
        raise ConfigurationError(
            f"no run has ever decided on person {saying.person_id!r}: look at its spelling"
        )
    if standing.claimed_by is not None:
        raise ConfigurationError(
            f"person {saying.person_id} is under way in batch {standing.claimed_by}, not held: "
            "wait for person-sync resume"
        )
    is_same = (
        standing.is_said and standing.said is not None and saying.words == _words(standing.said)
    )
    if standing.is_held or is_same:
        return standing
    if standing.is_said and standing.said is not None:
        raise ConfigurationError(
            f"person {saying.person_id} was resolved as {_words(standing.said)} "
            f"{_origin(standing.said)}: that has been acted upon and stands"
        )
    raise ConfigurationError(
        f"person {saying.person_id} is {standing.outcome}, not held: nothing to say"
    )


def _words(said: ledger.Said) -> str:
    return f"{said.resolved_as}:{said.lead_id}" if said.lead_id else said.resolved_as


def _origin(said: ledger.Said) -> str:
    who = "by a run that found the lead" if said.is_automatic else f"by {said.resolved_by}"
    return f"{who} at {said.resolved_at:%Y-%m-%d %H:%M} UTC"


def _word(ground: Ground, saying: ResolutionRequest) -> ledger.Word:
    word = ledger.Word(saying.resolved_as, saying.by, saying.note)
    if saying.lead_id is not None:
        return _created(ground, saying, saying.lead_id, word)
    _require_no_lead(ground, saying.person_id)
    if saying.resolved_as == "resend":
        _require_row(ground, saying.person_id)
        return word
    return replace(
        word,
        reason_code="REJECTED_MANUALLY",
        message=saying.note or description_of("rejected_manually"),
        # As it is today: a change from before this word must not undo it.
        source_version=new_persons.source_version(ground.warehouse, saying.person_id),
    )


def _created(
    ground: Ground, saying: ResolutionRequest, lead_id: str, word: ledger.Word
) -> ledger.Word:
    found = lookups.find_leads(ground.org, [lead_id], ground.person_id_field)
    if found.empty:
        raise ConfigurationError(
            f"this login finds no lead {lead_id} in {ground.org.org_name}, not even a deleted one"
        )
    lead = found.iloc[0]
    bears = lead["person_id"]
    if ground.person_id_field and pd.notna(bears) and bears != saying.person_id:
        raise ConfigurationError(
            f"lead {lead_id} bears another person's id in {ground.person_id_field} ({bears})"
        )
    read = lead_owners.read_owners(ground.org, [lead_id], created_since=None)
    owner = {
        name: str(value) if isinstance(value, str) else None
        for name in word.owner
        for value in read[name]
    }
    code = "LEAD_DELETED" if lead["is_deleted"] else "RESOLVED_MANUALLY"
    return replace(word, lead_id=lead_id, reason_code=code, owner={**word.owner, **owner})


def _require_no_lead(ground: Ground, person_id: str) -> None:
    """The field knows better than anybody: a lead that bears the person's id is theirs."""
    if not ground.person_id_field:
        return
    found = lookups.find_leads_by_person_id(ground.org, ground.person_id_field, [person_id])
    there = found[~found["is_deleted"]]
    if len(there):
        lead_id = there.iloc[0]["lead_id"]
        raise ConfigurationError(
            f"lead {lead_id} bears the id of person {person_id}: the next run settles that by "
            f"itself, or say --as created:{lead_id}"
        )


def _require_row(ground: Ground, person_id: str) -> None:
    if new_persons.unknown_person_ids(ground.warehouse, [person_id]):
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


def _told(person_id: str, said: ledger.Said, *, is_new: bool) -> dict[str, Any]:
    return {
        "person_id": person_id,
        "resolved_as": said.resolved_as,
        "lead_id": said.lead_id,
        "resolved_by": said.resolved_by,
        "resolved_at": said.resolved_at.isoformat(),
        "note": said.note,
        "held_reason": said.held_reason,
        "held_run_id": said.held_run_id,
        "run_id": said.run_id,
        "is_new": is_new,
    }


def as_line(told: dict[str, Any]) -> str:
    """What was recorded, for whoever said it."""
    words = {
        "created": f"is created as lead {told['lead_id']}",
        "resend": "is new again: the next run judges them anew",
        "rejected": "is rejected, until their row changes",
    }
    line = f"person {told['person_id']} {words[told['resolved_as']]}"
    if told["is_new"]:
        return f"{line} (said by {told['resolved_by']}, was held for {told['held_reason']})"
    who = told["resolved_by"] or "a run that found the lead"
    return f"{line}: {who} has said so already, at {told['resolved_at'][:16]} UTC; nothing changed"


def settle_found(ground: Ground, run_id: str, person_ids: Sequence[str] | None = None) -> int:
    """Give the held persons (all, or these) the lead that bears their id; answers how many.

    What settles most by itself: needs the person-id field, and does nothing without. A lead that
    somebody has deleted since was made all the same, and is not made again. May be repeated.
    """
    if not ground.person_id_field:
        return 0
    held = ledger.list_held(ground.warehouse)
    wanted = held if person_ids is None else sorted(set(held) & set(person_ids))
    found = lookups.find_leads_by_person_id(ground.org, ground.person_id_field, wanted)
    if found.empty:
        return 0
    found = found.sort_values("is_deleted").drop_duplicates("person_id")
    owners = lead_owners.read_owners(ground.org, list(found["lead_id"]), created_since=None)
    found["reason_code"] = (
        found["is_deleted"].map({True: "LEAD_DELETED", False: "FOUND_BY_PERSON_ID"}).astype("str")
    )
    return ledger.settle_found(
        ground.warehouse, run_id, found.merge(owners, on="lead_id", how="left")
    )
