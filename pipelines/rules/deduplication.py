"""Deduplication: the same person among the new ones, and persons whom the ledger knows."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.rules.frames import Duplicates, columns_of
from pipelines.rules.selection import keep
from pipelines.rules.text import as_text, blank_text, from_arrow, positions, to_arrow, trim

DUPLICATE_COLUMNS = tuple(columns_of(Duplicates))


class DuplicatesInSlice(NamedTuple):
    """`kept`: the persons to go on with, index fresh. `duplicates`: rows of DUPLICATE_COLUMNS."""

    kept: pd.DataFrame
    duplicates: pd.DataFrame


class DuplicatesInLedger(NamedTuple):
    """As Among, and `outcomes`: person_id, outcome, lead_id, contact_id, reason_code."""

    kept: pd.DataFrame
    duplicates: pd.DataFrame
    outcomes: pd.DataFrame


def match_key(emails: pd.Series) -> pd.Series:
    """What makes two addresses one: lower-cased, outer blanks gone; null never matches."""
    return trim(emails).str.lower()


def email_hash(emails: pd.Series) -> pd.Series:
    """sha256 of the match key in hex, so that the ledger holds no address; null stays null."""
    keys = to_arrow(match_key(emails)).cast(pa.large_binary())
    hashed = [key and hashlib.sha256(key).hexdigest() for key in keys.to_pylist()]
    return from_arrow(pa.array(hashed, pa.large_string()), emails.index)


def deduplicate_slice(persons: pd.DataFrame, email_column: str = "email") -> DuplicatesInSlice:
    """Keep the first person of each e-mail address; the others are duplicates of that one.

    Expects the order of the contract: earliest created_at, then smallest person_id. Persons without
    e-mail are all kept, and so is everybody where `email_column` is not read. Repeatable.
    """
    persons = persons.reset_index(drop=True)
    keys = match_key(_emails(persons, email_column))
    again = keys.notna() & keys.duplicated()
    kept_id = persons["person_id"].take(positions(keys[again], keys)).reset_index(drop=True)
    duplicates = _reported(persons.loc[again, "person_id"], "persons", kept_id)
    return DuplicatesInSlice(keep(persons, ~again), duplicates)


def deduplicate_against_ledger(
    persons: pd.DataFrame, holders: pd.DataFrame, email_column: str = "email"
) -> DuplicatesInLedger:
    """Set apart the persons whose e-mail address another person holds in the ledger.

    `holders`: email_hash (unique), person_id, lead_id, contact_id, is_this_run. A holder of this
    run, or one with neither lead nor contact yet, is matched in `persons` by person_id; any other
    in `ledger` by the record's id, the lead's first. Takes the persons' own email_hash column where
    they have one.
    """
    persons = persons.reset_index(drop=True)
    keys = (
        persons["email_hash"]
        if "email_hash" in persons
        else email_hash(_emails(persons, email_column))
    )
    texts = dict.fromkeys(("email_hash", "person_id", "lead_id", "contact_id"), "str")
    held = holders.astype(texts).set_index("email_hash").reindex(keys).reset_index(drop=True)
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
    return DuplicatesInLedger(keep(persons, ~known), duplicates, outcomes)


def follow_duplicate_chains(among: pd.DataFrame, in_ledger: pd.DataFrame) -> pd.DataFrame:
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
            "reason_code": as_text(np.where(by_person, "SAME_EMAIL", "ALREADY_SYNCED")),
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
