"""Decisions on persons whom Salesforce knows: report, update, or a new lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipelines.rules.deduplication import _emails, match_key
from pipelines.rules.text import as_text


@dataclass(frozen=True)
class MatchingOptions:
    """What is done about persons whom Salesforce knows: the settings' [matching]."""

    existing_lead: Literal["report", "update"] = "report"
    existing_contact: Literal["report", "update"] = "report"
    contact_with_queue: Literal["duplicate_lead", "report"] = "duplicate_lead"
    deleted: Literal["recreate", "report"] = "recreate"


class Decided(NamedTuple):
    """`persons`: all, with what becomes of them. `duplicates`: rows of DUPLICATE_COLUMNS."""

    persons: pd.DataFrame
    duplicates: pd.DataFrame


def decide(
    persons: pd.DataFrame,
    known: pd.DataFrame,
    options: MatchingOptions,
    email_column: str = "email",
) -> Decided:
    """What becomes of each person, by the table of the design's owners-and-matching.

    `persons` are those of owners.assign_owners. `known`: match_key (email or person_id),
    match_value (lower-cased e-mail, or person id), record_id, sobject (Lead or Contact),
    is_converted, is_deleted, converted_contact_id, created_at, owner_id; a record may be there
    under both keys and counts once. The persons gain `action` (create update_lead update_contact
    duplicate create_duplicate_lead), `lead_id` and `contact_id` (the kept match) and `reason_code`
    (null for nothing to say); order stays, index fresh. `duplicates` has one row a person and
    record matched. Pure: the same answer whatever the order of `known`.
    """
    persons = persons.reset_index(drop=True)
    matches = _matches(persons, known, email_column)
    found = _found(matches, len(persons))
    action, reason = _judge(persons, found, options)
    decided = persons.assign(
        action=action,
        lead_id=found["lead_id"],
        contact_id=found["contact_id"].mask(found["is_ambiguous"] & found["lead_id"].notna()),
        reason_code=reason,
    )
    return Decided(decided, _match_rows(persons, matches, found, action))


def _matches(persons: pd.DataFrame, known: pd.DataFrame, email_column: str) -> pd.DataFrame:
    """One row a person (`row`) and record, oldest first; deleted ones only where none is live."""
    keys = {"person_id": persons["person_id"], "email": match_key(_emails(persons, email_column))}
    hits = [
        known[known["match_key"] == name].merge(
            pd.DataFrame({"row": np.arange(len(persons)), "match_value": values}).dropna(),
            on="match_value",
        )
        for name, values in keys.items()
    ]
    # A record found by both keys counts once, by the surer one.
    twice = pd.concat(hits, ignore_index=True)
    matches = twice.drop_duplicates(["row", "record_id"], ignore_index=True)
    matches = _with_kinds(matches)
    live = set(matches.loc[matches["kind"] != "deleted", "row"])
    stays = (matches["kind"] != "deleted") | ~matches["row"].isin(live)
    order = ["row", "created_at", "record_id"]
    return matches[stays].sort_values(order).reset_index(drop=True)


def _with_kinds(matches: pd.DataFrame) -> pd.DataFrame:
    """With `kind` (as matched_in) and `contact`: the contact that the record is or became."""
    is_contact = matches["sobject"] == "Contact"
    kinds = np.select(
        [matches["is_deleted"].astype(bool), is_contact, matches["is_converted"].astype(bool)],
        ["deleted", "contact", "converted_lead"],
        "lead",
    )
    gone = matches.loc[is_contact & (kinds == "deleted"), "record_id"]
    became = matches["converted_contact_id"].astype("str")
    contact = matches["record_id"].where(
        kinds == "contact", became.where(kinds == "converted_lead")
    )
    return matches.assign(kind=as_text(kinds), contact=contact.mask(contact.isin(gone)))


def _found(matches: pd.DataFrame, length: int) -> pd.DataFrame:
    """One row a person: how many records of each kind, and the oldest of each."""
    leads = matches[matches["kind"] == "lead"]
    contacts = matches[matches["kind"].isin(["contact", "converted_lead"])]
    # A converted lead and the contact it became are one. Where field-level security hides what it
    # became, a contact of the same person that is there is taken for it.
    there = contacts["row"].map(contacts.dropna(subset="contact").groupby("row")["contact"].first())
    who = contacts["contact"].fillna(there.astype("str")).fillna(contacts["record_id"])
    one_each = contacts.assign(who=who).drop_duplicates(["row", "who"])
    itself = contacts[contacts["kind"] == "contact"]
    found = pd.DataFrame(
        {
            "lead_count": _counts(leads["row"], length),
            "contact_count": _counts(one_each["row"], length),
            "deleted_count": _counts(matches.loc[matches["kind"] == "deleted", "row"], length),
            "record_count": _counts(matches["row"], length),
            "is_contact_itself": _counts(itself["row"], length) > 0,
            "lead_id": _first(leads["row"], leads["record_id"], length),
            "contact_id": _first(contacts["row"], contacts["contact"], length),
            "contact_owner_id": _first(itself["row"], itself["owner_id"], length),
        }
    )
    found["is_ambiguous"] = (found["lead_count"] > 1) | (found["contact_count"] > 1)
    return found


def _counts(rows: pd.Series, length: int) -> np.ndarray:
    return np.bincount(rows.to_numpy("int64"), minlength=length)


def _first(rows: pd.Series, values: pd.Series, length: int) -> pd.Series:
    """The first value that is not null for each of the persons."""
    firsts = pd.Series(values.to_numpy(dtype=object), index=rows).dropna()
    firsts = firsts[~firsts.index.duplicated()]
    return as_text(firsts.reindex(range(length)).to_numpy(dtype=object))


def _judge(
    persons: pd.DataFrame, found: pd.DataFrame, options: MatchingOptions
) -> tuple[pd.Series, pd.Series]:
    """The table: the first line that holds decides action and reason."""
    several = found["is_ambiguous"]
    lead, contact = found["lead_count"] > 0, found["contact_count"] > 0
    deleted = found["deleted_count"] > 0
    is_queue = persons["owner_type"] == "queue"
    beside = contact & is_queue & (options.contact_with_queue == "duplicate_lead")
    updatable = contact & ~is_queue & found["contact_id"].notna()
    updatable &= options.existing_contact == "update"
    # A contact is somebody's: its owner stays, and where the person named another we say so.
    kept = (persons["owner_type"] == "user") & (found["contact_owner_id"] != persons["owner_id"])
    lead_action = "update_lead" if options.existing_lead == "update" else "duplicate"
    contact_word = np.where(found["is_contact_itself"], "CONTACT_EXISTS", "CONVERTED_LEAD_EXISTS")
    lines: Sequence[tuple[pd.Series, str, str | np.ndarray]] = [
        (several, "duplicate", "SEVERAL_MATCHES"),
        (lead, lead_action, "LEAD_EXISTS"),
        (beside, "create_duplicate_lead", "DUPLICATE_LEAD_ON_PURPOSE"),
        (updatable & kept, "update_contact", "CONTACT_OWNER_KEPT"),
        (updatable, "update_contact", contact_word),
        (contact, "duplicate", contact_word),
        (deleted & (options.deleted == "recreate"), "create", "RECREATED"),
        (deleted, "duplicate", "DELETED_RECORD_EXISTS"),
    ]
    when = [line[0].to_numpy(bool) for line in lines]
    action = np.select(when, [line[1] for line in lines], "create")
    reason = as_text(np.select(when, [line[2] for line in lines], ""))
    return as_text(action), reason.where(reason != "")


def _match_rows(
    persons: pd.DataFrame, matches: pd.DataFrame, found: pd.DataFrame, action: pd.Series
) -> pd.DataFrame:
    """Rows of DUPLICATE_COLUMNS: each record by its own id and with what was done about it."""
    rows = matches["row"].to_numpy("int64")
    done, kind = action.to_numpy(dtype=object)[rows], matches["kind"].to_numpy(dtype=object)
    # Of a lead and a contact, only the lead is updated.
    updated = ((done == "update_lead") & (kind == "lead")) | (done == "update_contact")
    taken = np.select(
        [updated, done == "create_duplicate_lead", done == "create"],
        ["updated", "duplicate_lead_created", "recreated"],
        "reported",
    )
    return pd.DataFrame(
        {
            "person_id": persons["person_id"].take(rows).reset_index(drop=True),
            "matched_in": matches["kind"],
            "matched_id": matches["record_id"],
            "match_key": matches["match_key"],
            "matched_count": found["record_count"].to_numpy("int64")[rows],
            "is_ambiguous": found["is_ambiguous"].to_numpy(bool)[rows],
            "action_taken": as_text(taken),
        }
    )
