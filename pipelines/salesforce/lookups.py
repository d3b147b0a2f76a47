"""Look up in the org: fields, limits, possible owners, leads and contacts. Never writes.

Every function may be repeated. Deleted records are included where a function says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from pipelines.salesforce.csv_files import STR
from pipelines.salesforce.session import Org
from pipelines.salesforce.soql import (
    Record,
    as_frame,
    find_records,
    query,
    require_name,
    select,
)

_USER_ID = re.compile(r"005[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?")


@dataclass(frozen=True)
class DescribedField:
    """A field as the login sees it. `picklist_values` are the active ones."""

    name: str
    label: str
    type: str
    length: int
    digits: int
    precision: int
    scale: int
    createable: bool
    updateable: bool
    nillable: bool
    defaulted_on_create: bool
    unique: bool
    external_id: bool
    case_sensitive: bool
    restricted_picklist: bool
    picklist_values: frozenset[str]


def describe(org: Org, sobject: str) -> dict[str, DescribedField]:
    """Return the fields of a kind of record by name, without those hidden from the login."""
    raw = org.get_json(f"sobjects/{require_name(sobject)}/describe")
    return {field["name"]: _described(field) for field in raw["fields"]}


def limits(org: Org) -> dict[str, tuple[int, int]]:
    """Return (maximum, remaining) of each limit of the org.

    Raise OrgRejectedError where the login lacks 'View Setup and Configuration'.
    """
    raw = org.get_json("limits")
    return {name: (value["Max"], value["Remaining"]) for name, value in raw.items()}


# --- Possible owners


def find_users(org: Org, names: Sequence[str]) -> pd.DataFrame:
    """Return the users of these usernames or ids: user_id, username, name, is_active, user_type."""
    ids = [name for name in names if _USER_ID.fullmatch(name)]
    usernames = [name for name in names if not _USER_ID.fullmatch(name)]
    fields = ["Id", "Username", "Name", "IsActive", "UserType"]
    found = [
        *find_records(org, "User", fields, "Id", ids),
        *find_records(org, "User", fields, "Username", usernames),
    ]
    frame = as_frame(
        found,
        user_id="Id",
        username="Username",
        name="Name",
        is_active=("IsActive", bool),
        user_type="UserType",
    )
    return frame.drop_duplicates("user_id", ignore_index=True)


def find_queues(org: Org) -> pd.DataFrame:
    """Return all queues: queue_id, developer_name, name, serves_leads."""
    queues = query(org, select(["Id", "DeveloperName", "Name"], "Group", "Type = 'Queue'"))
    serving = query(org, select(["QueueId"], "QueueSobject", "SobjectType = 'Lead'"))
    frame = as_frame(queues, queue_id="Id", developer_name="DeveloperName", name="Name")
    frame["serves_leads"] = frame["queue_id"].isin([one["QueueId"] for one in serving])
    return frame


def find_assignment_rules(org: Org) -> pd.DataFrame:
    """Return the assignment rules for leads: rule_id, name, is_active."""
    rules = query(org, select(["Id", "Name", "Active"], "AssignmentRule", "SobjectType = 'Lead'"))
    return as_frame(rules, rule_id="Id", name="Name", is_active=("Active", bool))


# What owner strategies are resolved against; the keys are those of OwnerDirectory.records. Lists
# are short enough to be read whole, once. Searches get the names that are wanted.
OWNER_LISTS: Final[Mapping[str, Callable[[Org], pd.DataFrame]]] = {
    "queues": find_queues,
    "assignment_rules": find_assignment_rules,
}
OWNER_SEARCHES: Final[Mapping[str, Callable[[Org, Sequence[str]], pd.DataFrame]]] = {
    "users": find_users,
}


# --- Leads and contacts


def find_known(
    org: Org, *, emails: Sequence[str], person_ids: Sequence[str], person_id_field: str
) -> pd.DataFrame:
    """Return leads and contacts with one of these e-mails, and leads with one of these person ids.

    Deleted ones included. One row a record and key; a record found by both keys has two rows:

        match_key                       email or person_id
        match_value                     the e-mail in lower case, or the person id
        record_id, sobject, owner_id
        is_converted, is_deleted, converted_contact_id
        created_at                      naive UTC

    Raise OrgRejectedError when leads or contacts are hidden from the login: if they were not found,
    the run would create duplicates.
    """
    lowered = pd.Series(emails, dtype=STR).dropna().str.strip().str.lower().tolist()
    frames = [
        _known(org, "Lead", "email", "Email", lowered),
        _known(org, "Contact", "email", "Email", lowered),
    ]
    if person_id_field:
        frames.append(_known(org, "Lead", "person_id", person_id_field, person_ids))
    return pd.concat(frames, ignore_index=True)


def _known(
    org: Org, sobject: str, match_key: str, key_field: str, values: Sequence[str]
) -> pd.DataFrame:
    of_leads = ["IsConverted", "ConvertedContactId"] if sobject == "Lead" else []
    fields = ["Id", "OwnerId", "CreatedDate", "IsDeleted", *of_leads, require_name(key_field)]
    found = list(find_records(org, sobject, fields, key_field, values, deleted_too=True))
    frame = as_frame(
        found,
        match_value=key_field,
        record_id="Id",
        is_converted=("IsConverted", bool),
        is_deleted=("IsDeleted", bool),
        converted_contact_id="ConvertedContactId",
        created_at="CreatedDate",
        owner_id="OwnerId",
    )
    if match_key == "email":
        frame["match_value"] = frame["match_value"].str.lower()
    frame["created_at"] = _instants(frame["created_at"])
    frame.insert(0, "match_key", pd.Series(match_key, index=frame.index, dtype=STR))
    frame.insert(3, "sobject", pd.Series(sobject, index=frame.index, dtype=STR))
    # The org ignores case and blanks at the end when it compares; we do not.
    return frame[frame["match_value"].isin(values)]


def find_leads_by_person_id(
    org: Org, person_id_field: str, person_ids: Sequence[str]
) -> pd.DataFrame:
    """Return the leads with one of these person ids, deleted ones included: person_id, lead_id,
    is_deleted, is_converted."""
    fields = ["Id", "IsDeleted", "IsConverted", require_name(person_id_field)]
    found = list(find_records(org, "Lead", fields, person_id_field, person_ids, deleted_too=True))
    frame = as_frame(
        found,
        person_id=person_id_field,
        lead_id="Id",
        is_deleted=("IsDeleted", bool),
        is_converted=("IsConverted", bool),
    )
    return frame[frame["person_id"].isin(person_ids)].reset_index(drop=True)


def find_leads(org: Org, lead_ids: Sequence[str], person_id_field: str) -> pd.DataFrame:
    """Return the leads with these ids, deleted ones included.

    Columns: lead_id, is_deleted, is_converted and person_id. The last is null where the lead has
    none, or the org has no such field.
    """
    of_person = [require_name(person_id_field)] if person_id_field else []
    fields = ["Id", "IsDeleted", "IsConverted", *of_person]
    return as_frame(
        list(find_records(org, "Lead", fields, "Id", lead_ids, deleted_too=True)),
        lead_id="Id",
        is_deleted=("IsDeleted", bool),
        is_converted=("IsConverted", bool),
        person_id=person_id_field,
    )


def _instants(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts, utc=True).dt.tz_localize(None).astype("datetime64[us]")


def _described(raw: Record) -> DescribedField:
    values = frozenset(one["value"] for one in raw["picklistValues"] if one["active"])
    return DescribedField(
        name=raw["name"],
        label=raw["label"],
        type=raw["type"],
        length=raw["length"],
        digits=raw["digits"],
        precision=raw["precision"],
        scale=raw["scale"],
        createable=raw["createable"],
        updateable=raw["updateable"],
        nillable=raw["nillable"],
        defaulted_on_create=raw["defaultedOnCreate"],
        unique=raw["unique"],
        external_id=raw["externalId"],
        case_sensitive=raw["caseSensitive"],
        restricted_picklist=raw["restrictedPicklist"],
        picklist_values=values,
    )
