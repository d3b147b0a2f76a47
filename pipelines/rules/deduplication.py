"""Find duplicates by e-mail: within a slice, and against persons whom the ledger knows."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.rules.frames import Duplicates, columns_of
from pipelines.rules.selection import filter_rows
from pipelines.rules.text import as_text, blank_text, from_arrow, positions, to_arrow, trim

DUPLICATE_COLUMNS = tuple(columns_of(Duplicates))


class DuplicatesInSlice(NamedTuple):
    """`remaining`: the persons who are no duplicates, with a fresh index. `duplicates`: rows of
    DUPLICATE_COLUMNS."""

    remaining: pd.DataFrame
    duplicates: pd.DataFrame


class DuplicatesInLedger(NamedTuple):
    """As DuplicatesInSlice; `outcomes`: person_id, outcome, lead_id, contact_id, reason_code."""

    remaining: pd.DataFrame
    duplicates: pd.DataFrame
    outcomes: pd.DataFrame


def match_key(emails: pd.Series) -> pd.Series:
    """Return the addresses in the form in which they are compared: lower case, without outer
    blanks. Null never matches."""
    return trim(emails).str.lower()


def email_hash(emails: pd.Series) -> pd.Series:
    """Return the sha256 of each match key in hex; null stays null. The ledger holds no address."""
    keys = to_arrow(match_key(emails)).cast(pa.large_binary())
    hashed = [key and hashlib.sha256(key).hexdigest() for key in keys.to_pylist()]
    return from_arrow(pa.array(hashed, pa.large_string()), emails.index)


def email_cells(persons: pd.DataFrame, column: str) -> pd.Series:
    """Return the persons' addresses; all null where the column was not read."""
    return persons[column] if column in persons else blank_text(len(persons))


def deduplicate_slice(persons: pd.DataFrame, email_column: str = "email") -> DuplicatesInSlice:
    """Leave the first person of each e-mail address; the others are duplicates of that one.

    Expects persons sorted by created_at, then person_id. Persons without an e-mail all remain, and
    so do all persons where `email_column` was not read.
    """
    persons = persons.reset_index(drop=True)
    keys = match_key(email_cells(persons, email_column))
    is_repeated = keys.notna() & keys.duplicated()
    first_ids = persons["person_id"].take(positions(keys[is_repeated], keys))
    duplicates = _reported(
        persons.loc[is_repeated, "person_id"], "persons", first_ids.reset_index(drop=True)
    )
    return DuplicatesInSlice(filter_rows(persons, ~is_repeated), duplicates)


def deduplicate_against_ledger(
    persons: pd.DataFrame, claims: pd.DataFrame, email_column: str = "email"
) -> DuplicatesInLedger:
    """Find the persons whose e-mail address the ledger has for another person.

    `claims`: email_hash (unique), person_id, lead_id, contact_id, is_this_run. A claim of this run,
    or one without a record yet, is matched in `persons` by person_id. Any other is matched in
    `ledger` by the id of the lead, or else of the contact. The persons' own column email_hash is
    used where they have one.
    """
    persons = persons.reset_index(drop=True)
    keys = (
        persons["email_hash"]
        if "email_hash" in persons
        else email_hash(email_cells(persons, email_column))
    )
    texts = dict.fromkeys(("email_hash", "person_id", "lead_id", "contact_id"), "str")
    claim = claims.astype(texts).set_index("email_hash").reindex(keys).reset_index(drop=True)
    is_known = claim["person_id"].notna() & keys.notna()
    is_known &= claim["person_id"] != persons["person_id"]
    known_ids, claim = persons.loc[is_known, "person_id"], claim[is_known].reset_index(drop=True)
    record = claim["lead_id"].fillna(claim["contact_id"])
    by_person = record.isna() | claim["is_this_run"].astype(bool)
    duplicates = _reported(
        known_ids,
        as_text(np.where(by_person, "persons", "ledger")),
        record.mask(by_person, claim["person_id"]),
    )
    outcomes = _duplicate_outcomes(duplicates["person_id"], claim, by_person)
    return DuplicatesInLedger(filter_rows(persons, ~is_known), duplicates, outcomes)


def follow_duplicate_chains(in_slice: pd.DataFrame, in_ledger: pd.DataFrame) -> pd.DataFrame:
    """Return the duplicates of a slice, each with the person at the end of its chain.

    The first person of an address in this slice may be a duplicate of a person of an earlier one.
    Both frames have DUPLICATE_COLUMNS.
    """
    earlier = in_ledger[in_ledger["matched_in"] == "persons"].reset_index(drop=True)
    place = positions(in_slice["matched_id"], earlier["person_id"])
    last = earlier["matched_id"].reindex(place).set_axis(in_slice.index)
    return in_slice.assign(matched_id=last.fillna(in_slice["matched_id"]))


def _duplicate_outcomes(
    person_id: pd.Series, claim: pd.DataFrame, by_person: pd.Series
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "person_id": person_id,
            "outcome": as_text("duplicate", person_id.index),
            "lead_id": claim["lead_id"],
            "contact_id": claim["contact_id"],
            "reason_code": as_text(np.where(by_person, "SAME_EMAIL", "ALREADY_SYNCED")),
        }
    )


def _reported(
    person_id: pd.Series, matched_in: str | pd.Series, matched_id: pd.Series
) -> pd.DataFrame:
    """Return rows of DUPLICATE_COLUMNS for persons who match one other by e-mail; action
    `reported`."""
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
