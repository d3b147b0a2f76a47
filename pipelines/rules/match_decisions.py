"""Who is already known, to the persons, the ledger or Salesforce, and what is done about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.rules.selection import keep
from pipelines.rules.text import as_text, blank_text, from_arrow, positions, to_arrow, trim

DUPLICATE_COLUMNS = (
    "person_id",
    "matched_in",
    "matched_id",
    "match_key",
    "matched_count",
    "is_ambiguous",
    "action_taken",
)


@dataclass(frozen=True)
class MatchingOptions:
    """What is done about persons whom Salesforce knows: the settings' [matching]."""

    existing_lead: Literal["report", "update"] = "report"
    existing_contact: Literal["report", "update"] = "report"
    contact_with_queue: Literal["duplicate_lead", "report"] = "duplicate_lead"
    deleted: Literal["recreate", "report"] = "recreate"


class Among(NamedTuple):
    """`kept`: the persons to go on with, index fresh. `duplicates`: rows of DUPLICATE_COLUMNS."""

    kept: pd.DataFrame
    duplicates: pd.DataFrame


class InLedger(NamedTuple):
    """As Among, and `outcomes`: person_id, outcome, lead_id, contact_id, reason_code."""

    kept: pd.DataFrame
    duplicates: pd.DataFrame
    outcomes: pd.DataFrame


class Decided(NamedTuple):
    """`persons`: all, with what becomes of them. `duplicates`: rows of DUPLICATE_COLUMNS."""

    persons: pd.DataFrame
    duplicates: pd.DataFrame


def match_key(emails: pd.Series) -> pd.Series:
    """What makes two addresses one: lower-cased, outer blanks gone; null never matches."""
    return trim(emails).str.lower()


def email_key(emails: pd.Series) -> pd.Series:
    """sha256 of the match key in hex, so that the ledger holds no address; null stays null."""
    keys = to_arrow(match_key(emails)).cast(pa.large_binary())
    hashed = [key and hashlib.sha256(key).hexdigest() for key in keys.to_pylist()]
    return from_arrow(pa.array(hashed, pa.large_string()), emails.index)


def duplicates_among(persons: pd.DataFrame, email_column: str = "email") -> Among:
    """Keep the first person of each e-mail address; the others are duplicates of that one.

    Expects the order of the contract: earliest created_at, then smallest person_id. Persons without
    e-mail are all kept, and so is everybody where `email_column` is not read. Repeatable.
    """
    persons = persons.reset_index(drop=True)
    keys = match_key(_emails(persons, email_column))
    again = keys.notna() & keys.duplicated()
    kept_id = persons["person_id"].take(positions(keys[again], keys)).reset_index(drop=True)
    duplicates = _reported(persons.loc[again, "person_id"], "persons", kept_id)
    return Among(keep(persons, ~again), duplicates)


def duplicates_in_ledger(
    persons: pd.DataFrame, holders: pd.DataFrame, email_column: str = "email"
) -> InLedger:
    """Set apart the persons whose e-mail address another person holds in the ledger.

    `holders`: email_key (unique), person_id, lead_id, contact_id, is_this_run. A holder of this
    run, or one with neither lead nor contact yet, is matched in `persons` by person_id; any other
    in `ledger` by the record's id, the lead's first. Takes the persons' own email_key column where
    they have one.
    """
    persons = persons.reset_index(drop=True)
    keys = (
        persons["email_key"]
        if "email_key" in persons
        else email_key(_emails(persons, email_column))
    )
    texts = dict.fromkeys(("email_key", "person_id", "lead_id", "contact_id"), "str")
    held = holders.astype(texts).set_index("email_key").reindex(keys).reset_index(drop=True)
    known = held["person_id"].notna() & keys.notna() & (held["person_id"] != persons["person_id"])
    persons_known, held = persons.loc[known, "person_id"], held[known].reset_index(drop=True)
    record = held["lead_id"].fillna(held["contact_id"])
    by_person = record.isna() | held["is_this_run"].astype(bool)
    duplicates = _reported(
        persons_known,
        as_text(np.where(by_person, "persons", "ledger")),
        record.mask(by_person, held["person_id"]),
    )
    outcomes = _duplicate_outcomes(duplicates["person_id"], held, by_person)
    return InLedger(keep(persons, ~known), duplicates, outcomes)


def of_the_kept(among: pd.DataFrame, in_ledger: pd.DataFrame) -> pd.DataFrame:
    """The duplicates among the persons of a slice, each naming who was kept in the end: whom the
    slice kept may be the duplicate of a person of an earlier one. Both are DUPLICATE_COLUMNS."""
    elders = in_ledger[in_ledger["matched_in"] == "persons"].reset_index(drop=True)
    place = positions(among["matched_id"], elders["person_id"])
    kept = elders["matched_id"].reindex(place).set_axis(among.index)
    return among.assign(matched_id=kept.fillna(among["matched_id"]))


def _emails(persons: pd.DataFrame, column: str) -> pd.Series:
    return persons[column] if column in persons else blank_text(len(persons))


def _duplicate_outcomes(
    person_id: pd.Series, held: pd.DataFrame, by_person: pd.Series
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person_id": person_id,
            "outcome": as_text("duplicate", person_id.index),
            "lead_id": held["lead_id"],
            "contact_id": held["contact_id"],
            "reason_code": as_text(np.where(by_person, "SAME_EMAIL", "KNOWN_TO_LEDGER")),
        }
    )


def _reported(
    person_id: pd.Series, matched_in: str | pd.Series, matched_id: pd.Series
) -> pd.DataFrame:
    """Rows of DUPLICATE_COLUMNS for persons who match one other by e-mail and are only reported."""
    person_id = person_id.reset_index(drop=True)
    if isinstance(matched_in, str):
        matched_in = as_text(matched_in, person_id.index)
    frame = pd.DataFrame(
        {"person_id": person_id, "matched_in": matched_in, "matched_id": matched_id}
    )
    frame["match_key"] = as_text("email", frame.index)
    frame["matched_count"] = np.ones(len(frame), dtype="int64")
    frame["is_ambiguous"] = np.zeros(len(frame), dtype=bool)
    frame["action_taken"] = as_text("reported", frame.index)
    return frame


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
        (several, "duplicate", "AMBIGUOUS"),
        (lead, lead_action, "LEAD_EXISTS"),
        (beside, "create_duplicate_lead", "DUPLICATE_LEAD_ON_PURPOSE"),
        (updatable & kept, "update_contact", "CONTACT_OWNER_KEPT"),
        (updatable, "update_contact", contact_word),
        (contact, "duplicate", contact_word),
        (deleted & (options.deleted == "recreate"), "create", "RECREATED"),
        (deleted, "duplicate", "DELETED_EXISTS"),
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
