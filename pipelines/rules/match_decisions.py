"""Decide what to do about persons whom Salesforce already has: report, update, or create a lead.

The first row that holds decides. `existing_lead`, `existing_contact`, `contact_with_queue` and
`deleted` are the settings of [matching]; "queue" and "user" are the kind of owner that the person's
strategy gives. A converted lead counts as the contact that it became.

| in Salesforce                            | action                | reason_code               |
|------------------------------------------|-----------------------|---------------------------|
| several leads, or several contacts       | duplicate             | SEVERAL_MATCHES           |
| a lead, existing_lead = update           | update_lead           | LEAD_EXISTS               |
| a lead, otherwise                        | duplicate             | LEAD_EXISTS               |
| a contact, queue,                        | create_duplicate_lead | DUPLICATE_LEAD_ON_PURPOSE |
|   contact_with_queue = duplicate_lead    |                       |                           |
| a contact, existing_contact = update,    | update_contact        | CONTACT_OWNER_KEPT        |
|   user, and the contact's owner differs  |                       |                           |
| a contact, existing_contact = update,    | update_contact        | CONTACT_EXISTS or         |
|   no queue                               |                       |   CONVERTED_LEAD_EXISTS   |
| a contact, otherwise                     | duplicate             | CONTACT_EXISTS or         |
|                                          |                       |   CONVERTED_LEAD_EXISTS   |
| deleted ones only, deleted = recreate    | create                | RECREATED                 |
| deleted ones only, otherwise             | duplicate             | DELETED_RECORD_EXISTS     |
| nothing                                  | create                | (none)                    |

Why each row is as it is stands in `_first_matching_row`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipelines.rules.deduplication import email_cells, match_key
from pipelines.rules.text import as_text


@dataclass(frozen=True)
class MatchingOptions:
    """The settings of [matching] that the decision table reads."""

    existing_lead: Literal["report", "update"] = "report"
    existing_contact: Literal["report", "update"] = "report"
    contact_with_queue: Literal["duplicate_lead", "report"] = "duplicate_lead"
    deleted: Literal["recreate", "report"] = "recreate"


class MatchDecisions(NamedTuple):
    """`persons`: all persons, with their action. `duplicates`: rows of DUPLICATE_COLUMNS."""

    persons: pd.DataFrame
    duplicates: pd.DataFrame


def decide_actions(
    persons: pd.DataFrame,
    known: pd.DataFrame,
    options: MatchingOptions,
    email_column: str = "email",
) -> MatchDecisions:
    """Decide the action for each person by the table in this module's docstring.

    `persons` are those of `assign_owners`. `known` are the records that Salesforce has, with the
    columns of `lookups.find_known`. A record with both keys has two rows and counts once.

    The persons gain `action`, `lead_id` and `contact_id` (the matched record), and `reason_code`
    (null for a plain create). Order kept, index fresh. `duplicates` has one row a person and
    matched record. The result does not depend on the order of `known`.
    """
    persons = persons.reset_index(drop=True)
    matches = _matches(persons, known, email_column)
    found = _found(matches, len(persons))
    action, reason = _first_matching_row(persons, found, options)
    decided = persons.assign(
        action=action,
        lead_id=found["lead_id"],
        contact_id=found["contact_id"].mask(found["is_ambiguous"] & found["lead_id"].notna()),
        reason_code=reason,
    )
    return MatchDecisions(decided, _duplicate_rows(persons, matches, found, action))


def _matches(persons: pd.DataFrame, known: pd.DataFrame, email_column: str) -> pd.DataFrame:
    """Return one row a person (`row`) and record, oldest first.

    Deleted records only for persons without any other.
    """
    emails = match_key(email_cells(persons, email_column))
    # The person id first: of a record found by both keys, the row of the surer key stays.
    keys = {"person_id": persons["person_id"], "email": emails}
    hits = [
        known[known["match_key"] == name].merge(
            pd.DataFrame({"row": np.arange(len(persons)), "match_value": values}).dropna(),
            on="match_value",
        )
        for name, values in keys.items()
    ]
    by_both_keys = pd.concat(hits, ignore_index=True)
    matches = by_both_keys.drop_duplicates(["row", "record_id"], ignore_index=True)
    matches = _with_kinds(matches)
    has_active = set(matches.loc[matches["kind"] != "deleted", "row"])
    is_relevant = (matches["kind"] != "deleted") | ~matches["row"].isin(has_active)
    order = ["row", "created_at", "record_id"]
    return matches[is_relevant].sort_values(order).reset_index(drop=True)


def _with_kinds(matches: pd.DataFrame) -> pd.DataFrame:
    """Return the matches with `kind` (values of matched_in) and `contact`: the id of the contact
    that the record is or became."""
    is_contact = matches["sobject"] == "Contact"
    kinds = np.select(
        [matches["is_deleted"].astype(bool), is_contact, matches["is_converted"].astype(bool)],
        ["deleted", "contact", "converted_lead"],
        "lead",
    )
    deleted_contacts = matches.loc[is_contact & (kinds == "deleted"), "record_id"]
    became = matches["converted_contact_id"].astype("str")
    contact = matches["record_id"].where(
        kinds == "contact", became.where(kinds == "converted_lead")
    )
    return matches.assign(kind=as_text(kinds), contact=contact.mask(contact.isin(deleted_contacts)))


def _found(matches: pd.DataFrame, length: int) -> pd.DataFrame:
    """Return one row a person: how many records of each kind, and the oldest of each."""
    leads = matches[matches["kind"] == "lead"]
    contacts = matches[matches["kind"].isin(["contact", "converted_lead"])]
    # A converted lead and the contact that it became are one. Field-level security may hide what
    # the lead became; then a contact of the same person is taken for it.
    visible = contacts.dropna(subset="contact").groupby("row")["contact"].first()
    visible_contact = contacts["row"].map(visible).astype("str")
    identity = contacts["contact"].fillna(visible_contact).fillna(contacts["record_id"])
    distinct = contacts.assign(identity=identity).drop_duplicates(["row", "identity"])
    real_contacts = contacts[contacts["kind"] == "contact"]
    found = pd.DataFrame(
        {
            "lead_count": _counts(leads["row"], length),
            "contact_count": _counts(distinct["row"], length),
            "deleted_count": _counts(matches.loc[matches["kind"] == "deleted", "row"], length),
            "record_count": _counts(matches["row"], length),
            "has_real_contact": _counts(real_contacts["row"], length) > 0,
            "lead_id": _first(leads["row"], leads["record_id"], length),
            "contact_id": _first(contacts["row"], contacts["contact"], length),
            "contact_owner_id": _first(real_contacts["row"], real_contacts["owner_id"], length),
        }
    )
    found["is_ambiguous"] = (found["lead_count"] > 1) | (found["contact_count"] > 1)
    return found


def _counts(rows: pd.Series, length: int) -> np.ndarray:
    return np.bincount(rows.to_numpy("int64"), minlength=length)


def _first(rows: pd.Series, values: pd.Series, length: int) -> pd.Series:
    """Return the first value that is not null for each of `length` persons."""
    firsts = pd.Series(values.to_numpy(dtype=object), index=rows).dropna()
    firsts = firsts[~firsts.index.duplicated()]
    return as_text(firsts.reindex(range(length)).to_numpy(dtype=object))


def _first_matching_row(
    persons: pd.DataFrame, found: pd.DataFrame, options: MatchingOptions
) -> tuple[pd.Series, pd.Series]:
    """Return the action and the reason code of the first row of the table that holds."""
    has_several = found["is_ambiguous"]
    has_lead, has_contact = found["lead_count"] > 0, found["contact_count"] > 0
    has_deleted = found["deleted_count"] > 0
    is_queue = persons["owner_type"] == "queue"
    owner_differs = found["contact_owner_id"] != persons["owner_id"]
    owner_is_kept = (persons["owner_type"] == "user") & owner_differs
    wants_lead = has_contact & is_queue & (options.contact_with_queue == "duplicate_lead")
    # The contact of a converted lead may be hidden or deleted: without its id nothing is updated.
    is_updatable = has_contact & ~is_queue & found["contact_id"].notna()
    is_updatable &= options.existing_contact == "update"
    lead_action = "update_lead" if options.existing_lead == "update" else "duplicate"
    contact_reason = np.where(found["has_real_contact"], "CONTACT_EXISTS", "CONVERTED_LEAD_EXISTS")
    table: Sequence[tuple[pd.Series, str, str | np.ndarray]] = [
        # Which record is the person cannot be known: a steward merges them, and none is changed.
        (has_several, "duplicate", "SEVERAL_MATCHES"),
        # The lead wins over a contact: it is what a marketer still works on.
        (has_lead, lead_action, "LEAD_EXISTS"),
        # Salesforce lets no queue own a contact. A new lead is the only way into the queue.
        (wants_lead, "create_duplicate_lead", "DUPLICATE_LEAD_ON_PURPOSE"),
        # A contact belongs to a colleague's account: its owner never changes, and the row says so.
        (is_updatable & owner_is_kept, "update_contact", "CONTACT_OWNER_KEPT"),
        (is_updatable, "update_contact", contact_reason),
        (has_contact, "duplicate", contact_reason),
        # `_matches` leaves deleted records only to persons who have no other.
        (has_deleted & (options.deleted == "recreate"), "create", "RECREATED"),
        (has_deleted, "duplicate", "DELETED_RECORD_EXISTS"),
    ]
    conditions = [row[0].to_numpy(bool) for row in table]
    action = np.select(conditions, [row[1] for row in table], "create")
    reason = as_text(np.select(conditions, [row[2] for row in table], ""))
    return as_text(action), reason.where(reason != "")


def _duplicate_rows(
    persons: pd.DataFrame, matches: pd.DataFrame, found: pd.DataFrame, action: pd.Series
) -> pd.DataFrame:
    """Return rows of DUPLICATE_COLUMNS: each matched record, and what was done about it."""
    rows = matches["row"].to_numpy("int64")
    done, kind = action.to_numpy(dtype=object)[rows], matches["kind"].to_numpy(dtype=object)
    # Of a lead and a contact, only the lead is updated.
    is_updated = ((done == "update_lead") & (kind == "lead")) | (done == "update_contact")
    taken = np.select(
        [is_updated, done == "create_duplicate_lead", done == "create"],
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
