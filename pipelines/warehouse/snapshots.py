"""Snapshots of the org's leads and contacts: their life, from the first lease to the last.

A snapshot is written by one run at a time, which renews its lease with each write. A run that has
lost the lease writes nothing more. Only a complete snapshot is used for matching; one that a run
could not complete is deleted by the next. Its records are in `org_records`.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from pipelines.errors import LeaseLostError
from pipelines.warehouse.database import Warehouse

# One transaction has SQLite's only write lock, for which others wait ten seconds.
_ROWS_PER_DELETE: Final = 200_000


@dataclass(frozen=True)
class Snapshot:
    """A snapshot as it was read.

    `watermarks`: by sobject the SystemModstamp up to which it is complete, naive UTC by the org's
    clock; empty before it is complete. `refreshed_at`: by the warehouse's clock. `lease_id`: of
    `lease_snapshot`, the proof for those who write.
    """

    snapshot_number: int
    is_complete: bool
    watermarks: Mapping[str, datetime]
    record_count: int
    refreshed_at: datetime | None
    lease_id: str = ""


def latest_snapshot(warehouse: Warehouse, org_id: str, person_id_field: str) -> Snapshot | None:
    """Return the newest complete snapshot of this org and field; None without one."""
    with warehouse.reading() as connection:
        return _latest_complete(_list(warehouse, connection), org_id, person_id_field)


def is_usable(warehouse: Warehouse, connection: Connection, snapshot: Snapshot) -> bool:
    """Return whether the snapshot still exists and is complete."""
    return any(
        row["snapshot_number"] == snapshot.snapshot_number and row["is_complete"]
        for row in _list(warehouse, connection)
    )


def lease_snapshot(
    warehouse: Warehouse,
    run_id: str,
    org_id: str,
    person_id_field: str,
    *,
    lease_seconds: float,
    rebuild: bool = False,
) -> Snapshot | None:
    """Lease the newest complete snapshot for writing; without one, or to `rebuild`, begin another.

    None while a running run has the lease of any snapshot. Incomplete snapshots without a lease are
    deleted. May be repeated after `release_snapshot`.
    """
    with warehouse.transaction() as connection:
        # Two runs at the same time would both find no lease.
        warehouse.dialect.lock_for_migration(connection)
        snapshots = _list(warehouse, connection)
        if any(row["is_leased"] for row in snapshots):
            return None
        # Waits for a run that has lost its lease in the middle of a transaction.
        warehouse.run(connection, "delete_incomplete_snapshots")
        warehouse.run(connection, "release_all_snapshots")
        found = None if rebuild else _latest_complete(snapshots, org_id, person_id_field)
        now = warehouse.now(connection)
        lease: dict[str, Any] = {"run_id": run_id, "lease_id": uuid.uuid4().hex}
        lease["lease_until"] = now + timedelta(seconds=lease_seconds)
        if found is None:
            found = Snapshot(1 + secrets.randbelow(2**31 - 2), False, {}, 0, None)
            of_org = {"org_id": org_id, "person_id_field": person_id_field, "now": now}
            number = {"snapshot_number": found.snapshot_number}
            warehouse.run(connection, "begin_snapshot", **number, **of_org, **lease)
        else:
            number = {"snapshot_number": found.snapshot_number}
            warehouse.run(connection, "lease_snapshot", **number, **lease)
        return replace(found, lease_id=lease["lease_id"])


def renew_snapshot_lease(warehouse: Warehouse, snapshot: Snapshot, *, lease_seconds: float) -> None:
    """Extend the lease. Raises LeaseLostError when another run has it."""
    with warehouse.transaction() as connection:
        require_lease(warehouse, connection, snapshot, lease_seconds)


def release_snapshot(warehouse: Warehouse, snapshot: Snapshot) -> None:
    """End the lease, whatever state the snapshot is in. May be repeated."""
    with warehouse.transaction() as connection:
        lease = {"snapshot_number": snapshot.snapshot_number, "lease_id": snapshot.lease_id}
        warehouse.run(connection, "release_snapshot", **lease)


def complete_snapshot(
    warehouse: Warehouse, snapshot: Snapshot, watermarks: Mapping[str, datetime], record_count: int
) -> None:
    """Record that the snapshot is complete up to these watermarks, and end the lease.

    Every other snapshot is deleted with its records. Raises LeaseLostError.
    """
    with warehouse.transaction() as connection:
        completed = warehouse.run(
            connection,
            "complete_snapshot",
            snapshot_number=snapshot.snapshot_number,
            lease_id=snapshot.lease_id,
            lead_watermark=watermarks["Lead"],
            contact_watermark=watermarks["Contact"],
            record_count=record_count,
            now=warehouse.now(connection),
        )
        _require_changed(completed.rowcount)
        number = {"snapshot_number": snapshot.snapshot_number}
        deleted_count = warehouse.run(connection, "delete_other_snapshots", **number).rowcount
        if not snapshot.is_complete:
            for table in ("org_records", "org_record_keys"):
                warehouse.dialect.gather_statistics(connection, table)
    if deleted_count or not snapshot.is_complete:
        _delete_orphans(warehouse)


def require_lease(
    warehouse: Warehouse, connection: Connection, snapshot: Snapshot, lease_seconds: float
) -> None:
    """Extend the lease in the caller's transaction; LeaseLostError when another run has it."""
    until = warehouse.now(connection) + timedelta(seconds=lease_seconds)
    renewed = warehouse.run(
        connection,
        "renew_snapshot_lease",
        snapshot_number=snapshot.snapshot_number,
        lease_id=snapshot.lease_id,
        lease_until=until,
    )
    _require_changed(renewed.rowcount)


def _require_changed(count: int) -> None:
    if not count:
        raise LeaseLostError("another run writes the snapshot of the org; this run uses that one")


def _list(warehouse: Warehouse, connection: Connection) -> list[Mapping[str, Any]]:
    now = warehouse.now(connection)
    return [dict(row) for row in warehouse.run(connection, "list_snapshots", now=now).mappings()]


def _latest_complete(
    snapshots: list[Mapping[str, Any]], org_id: str, person_id_field: str
) -> Snapshot | None:
    for row in snapshots:
        is_same = (row["org_id"], row["person_id_field"]) == (org_id, person_id_field)
        if row["is_complete"] and is_same:
            return Snapshot(
                row["snapshot_number"],
                True,
                {"Lead": row["lead_watermark"], "Contact": row["contact_watermark"]},
                row["record_count"],
                row["refreshed_at"],
            )
    return None


def _delete_orphans(warehouse: Warehouse) -> None:
    """Delete the records of deleted snapshots in portions: other runs need the write lock."""
    for query in ("delete_orphaned_records", "delete_orphaned_keys"):
        count = _ROWS_PER_DELETE
        while count == _ROWS_PER_DELETE:
            with warehouse.transaction() as connection:
                count = warehouse.run(connection, query, row_limit=_ROWS_PER_DELETE).rowcount
