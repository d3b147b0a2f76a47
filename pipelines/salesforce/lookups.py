"""Asks the org what it already holds: fields, owners, known records, limits. Never writes.

Every function may be repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from simple_salesforce.format import format_soql

from pipelines.salesforce import query_jobs
from pipelines.salesforce.session import Org
from pipelines.salesforce.soql import STR, Record, as_frame, checked, find, query, select

COLLECTION_READ: Final = 2_000
QUERY_PAGE_ROWS: Final = 50_000

_USER_ID = re.compile(r"005[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?")
_OWNER_TYPES: Final = {"005": "user", "00G": "queue"}


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
    """The fields of a kind of record by name; those hidden from the login are not there."""
    raw = org.get_json(f"sobjects/{checked(sobject)}/describe")
    return {field["name"]: _described(field) for field in raw["fields"]}


def limits(org: Org) -> dict[str, tuple[int, int]]:
    """(maximum, remaining) of each limit of the org.

    Raises OrgRejectedError where the login lacks 'View Setup and Configuration'.
    """
    raw = org.get_json("limits")
    return {name: (value["Max"], value["Remaining"]) for name, value in raw.items()}


# --- Owners


def find_users(org: Org, names: Sequence[str]) -> pd.DataFrame:
    """The users of these usernames or ids: user_id, username, name, is_active, user_type."""
    ids = [name for name in names if _USER_ID.fullmatch(name)]
    usernames = [name for name in names if not _USER_ID.fullmatch(name)]
    fields = ["Id", "Username", "Name", "IsActive", "UserType"]
    found = [
        *find(org, "User", fields, "Id", ids),
        *find(org, "User", fields, "Username", usernames),
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
    """All queues: queue_id, developer_name, name, serves_leads."""
    queues = query(org, select(["Id", "DeveloperName", "Name"], "Group", "Type = 'Queue'"))
    serving = query(org, select(["QueueId"], "QueueSobject", "SobjectType = 'Lead'"))
    frame = as_frame(queues, queue_id="Id", developer_name="DeveloperName", name="Name")
    frame["serves_leads"] = frame["queue_id"].isin([one["QueueId"] for one in serving])
    return frame


def find_assignment_rules(org: Org) -> pd.DataFrame:
    """The assignment rules for leads: rule_id, name, is_active."""
    rules = query(org, select(["Id", "Name", "Active"], "AssignmentRule", "SobjectType = 'Lead'"))
    return as_frame(rules, rule_id="Id", name="Name", is_active=("Active", bool))


# --- Known records


def find_known(
    org: Org, *, emails: Sequence[str], person_ids: Sequence[str], person_id_field: str
) -> pd.DataFrame:
    """Leads and Contacts with one of these e-mails, and Leads with one of these person ids.

    Deleted ones too. One row a record and key: match_key (email, person_id), match_value (the
    e-mail in lower case, or the person id), record_id, sobject, is_converted, is_deleted,
    converted_contact_id, created_at, owner_id. A record found by both keys has two rows.
    Raises OrgRejectedError when Leads or Contacts are hidden from the login: not to find them would
    make duplicates.
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
    fields = ["Id", "OwnerId", "CreatedDate", "IsDeleted", *of_leads, checked(key_field)]
    found = list(find(org, sobject, fields, key_field, values, deleted_too=True))
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
    # The org compares more loosely than we do: case, and blanks at the end.
    return frame[frame["match_value"].isin(values)]


def find_leads_by_person_id(
    org: Org, person_id_field: str, person_ids: Sequence[str]
) -> pd.DataFrame:
    """The leads with one of these person ids, deleted too: person_id, lead_id, is_deleted,
    is_converted."""
    fields = ["Id", "IsDeleted", "IsConverted", checked(person_id_field)]
    found = list(find(org, "Lead", fields, person_id_field, person_ids, deleted_too=True))
    frame = as_frame(
        found,
        person_id=person_id_field,
        lead_id="Id",
        is_deleted=("IsDeleted", bool),
        is_converted=("IsConverted", bool),
    )
    return frame[frame["person_id"].isin(person_ids)].reset_index(drop=True)


def find_leads(org: Org, lead_ids: Sequence[str], person_id_field: str) -> pd.DataFrame:
    """The leads with these ids, deleted too: lead_id, is_deleted, is_converted, person_id (null
    where the lead has none, or the org has no such field)."""
    of_person = [checked(person_id_field)] if person_id_field else []
    fields = ["Id", "IsDeleted", "IsConverted", *of_person]
    return as_frame(
        list(find(org, "Lead", fields, "Id", lead_ids, deleted_too=True)),
        lead_id="Id",
        is_deleted=("IsDeleted", bool),
        is_converted=("IsConverted", bool),
        person_id=person_id_field,
    )


# --- Owners given


def read_owners(
    org: Org,
    lead_ids: Sequence[str] | pd.Series,
    *,
    created_since: datetime | str | None,
    wait_seconds: float = 600.0,
) -> pd.DataFrame:
    """Who owns these leads now: lead_id, owner_id, owner_name, owner_type (user, queue).

    A lead that is not there any more has no row. More than 2,000 that we ourselves created at or
    after `created_since` (naive UTC, by the org's clock) are read by one bulk query, others by one
    call per 2,000. Raises OrgLimitError when the org has not answered a bulk query in `wait_seconds`.
    """
    wanted = pd.Series(lead_ids, dtype=STR).drop_duplicates()
    if created_since is None or len(wanted) <= COLLECTION_READ:
        return _with_names(org, _read_owner_ids(org, list(wanted)))
    owned = _query_owner_ids(org, created_since, wait_seconds)
    # Not by `isin`, which makes a Python object of every lead.
    is_wanted = pc.is_in(pa.array(owned["lead_id"]), value_set=pa.array(wanted))
    return _with_names(org, owned[is_wanted.to_numpy(zero_copy_only=False)])


def count_leads_by_owner(org: Org) -> pd.DataFrame:
    """How many leads each owner has: owner_name, owner_type (user, queue), lead_count.

    Reads every lead, 2,000 a call: for a demo, not for an org of millions.
    """
    leads = as_frame(query(org, "SELECT OwnerId FROM Lead"), owner_id="OwnerId")
    counts = leads.value_counts("owner_id").rename("lead_count").reset_index()
    return _with_names(org, counts)[["owner_name", "owner_type", "lead_count"]]


def _with_names(org: Org, owned: pd.DataFrame) -> pd.DataFrame:
    names = _owner_names(org, owned["owner_id"].unique())
    return owned.assign(
        owner_name=owned["owner_id"].map(names).astype(STR),
        owner_type=owned["owner_id"].str[:3].map(_OWNER_TYPES).astype(STR),
    )


def _read_owner_ids(org: Org, lead_ids: Sequence[str]) -> pd.DataFrame:
    found: list[Record] = []
    for start in range(0, len(lead_ids), COLLECTION_READ):
        body = {"ids": lead_ids[start : start + COLLECTION_READ], "fields": ["Id", "OwnerId"]}
        found += [lead for lead in org.post_json("composite/sobjects/Lead", body) if lead]
    return as_frame(found, lead_id="Id", owner_id="OwnerId")


def _query_owner_ids(org: Org, created_since: datetime | str, wait_seconds: float) -> pd.DataFrame:
    if isinstance(created_since, str):
        created_since = datetime.fromisoformat(created_since)
    if created_since.tzinfo is None:
        created_since = created_since.replace(tzinfo=UTC)  # format_soql takes naive for local
    soql = format_soql(
        select(["Id", "OwnerId"], "Lead", "CreatedDate >= {since} AND CreatedById = {me}"),
        since=created_since,
        me=org.user_id,
    )
    job = query_jobs.ask(org, soql)
    query_jobs.await_end(org, job, wait_seconds)
    frame = pd.concat(query_jobs.pages(org, job, QUERY_PAGE_ROWS), ignore_index=True)
    frame = frame.reindex(columns=["Id", "OwnerId"]).astype(STR)
    return frame.set_axis(["lead_id", "owner_id"], axis="columns")


def _owner_names(org: Org, owner_ids: Iterable[str]) -> dict[str, str]:
    unknown = [owner for owner in owner_ids if owner not in org.owner_names]
    for prefix, sobject in (("005", "User"), ("00G", "Group")):
        ids = [owner for owner in unknown if owner.startswith(prefix)]
        found = find(org, sobject, ["Id", "Name"], "Id", ids)
        org.owner_names.update({one["Id"]: one["Name"] for one in found})
    return org.owner_names


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
