"""Read who owns leads: the owner that Salesforce really gave each created lead. Never writes.

Every function may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from simple_salesforce.format import format_soql

from pipelines.salesforce import query_jobs
from pipelines.salesforce.csv_files import STR
from pipelines.salesforce.session import Org
from pipelines.salesforce.soql import Record, as_frame, find_records, query, select

COLLECTION_READ: Final = 2_000
QUERY_PAGE_ROWS: Final = 50_000

_OWNER_TYPES: Final = {"005": "user", "00G": "queue"}


def read_owners(
    org: Org,
    lead_ids: Sequence[str] | pd.Series,
    *,
    created_since: datetime | str | None,
    wait_seconds: float = 600.0,
) -> pd.DataFrame:
    """Return who owns these leads now: lead_id, owner_id, owner_name, owner_type (user, queue).

    A lead that is gone has no row. With `created_since`, more than 2,000 leads are read by one bulk
    query. It promises that our own user created them at or after then (naive UTC, the org's clock).
    With None, one call reads 2,000. Raise OrgLimitError when a bulk query takes longer than
    `wait_seconds`.
    """
    wanted = pd.Series(lead_ids, dtype=STR).drop_duplicates()
    if created_since is None or len(wanted) <= COLLECTION_READ:
        return _with_names(org, _read_owner_ids(org, list(wanted)))
    owned = _query_owner_ids(org, created_since, wait_seconds)
    # Not with `isin`, which makes a Python object of every lead.
    is_wanted = pc.is_in(pa.array(owned["lead_id"]), value_set=pa.array(wanted))
    return _with_names(org, owned[is_wanted.to_numpy(zero_copy_only=False)])


def count_leads_by_owner(org: Org) -> pd.DataFrame:
    """Return how many leads each owner has: owner_name, owner_type (user, queue), lead_count.

    Reads every lead, 2,000 a call: for the demo, not for an org of millions.
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
        created_since = created_since.replace(tzinfo=UTC)  # format_soql takes naive for local time
    soql = format_soql(
        select(["Id", "OwnerId"], "Lead", "CreatedDate >= {since} AND CreatedById = {me}"),
        since=created_since,
        me=org.user_id,
    )
    job = query_jobs.create_job(org, soql)
    query_jobs.wait_until_complete(org, job, wait_seconds)
    frame = pd.concat(query_jobs.read_pages(org, job, QUERY_PAGE_ROWS), ignore_index=True)
    frame = frame.reindex(columns=["Id", "OwnerId"]).astype(STR)
    return frame.set_axis(["lead_id", "owner_id"], axis="columns")


def _owner_names(org: Org, owner_ids: Iterable[str]) -> dict[str, str]:
    unknown = [owner for owner in owner_ids if owner not in org.owner_names]
    for prefix, sobject in (("005", "User"), ("00G", "Group")):
        ids = [owner for owner in unknown if owner.startswith(prefix)]
        found = find_records(org, sobject, ["Id", "Name"], "Id", ids)
        org.owner_names.update({one["Id"]: one["Name"] for one in found})
    return org.owner_names
