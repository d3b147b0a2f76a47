"""The records of a snapshot: insert, replace, index, count and find them.

Keys are looked up as numbers of 60 bits, which need less space than hashes. The key of the record
itself decides whether two of them are equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from pipelines.rules.frames import MatchedRecords, OrgRecords, select
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.snapshots import Snapshot, is_usable, require_lease

if TYPE_CHECKING:
    from pandera.typing import DataFrame

# 15 digits of a hash are 60 bits, which fit a bigint.
_DIGITS: Final = 15
# One transaction has SQLite's only write lock, for which others wait ten seconds.
_ROWS_PER_INSERT: Final = 50_000
_ROWS_PER_INDEX: Final = 1_000_000
# Positions are four bytes on PostgreSQL. By the time they are used up, the first ones are free.
_LAST_POSITION: Final = 1_000_000_000


def next_record_position(warehouse: Warehouse) -> int:
    """Return the position of the next record. Only for the run that has the lease of a snapshot."""
    with warehouse.reading() as connection:
        last: int = warehouse.run(connection, "last_record_position").scalar_one()
    return last + 1 if last < _LAST_POSITION else 1


def add_records(
    warehouse: Warehouse,
    snapshot: Snapshot,
    records: DataFrame[OrgRecords],
    position: int,
    *,
    lease_seconds: float,
) -> int:
    """Insert records from that position on; return the next position.

    Raises LeaseLostError, and inserts nothing, when another run has the lease. May not be repeated.
    """
    with warehouse.transaction() as connection:
        require_lease(warehouse, connection, snapshot, lease_seconds)
        return _insert(warehouse, connection, snapshot, records, position)


@dataclass(frozen=True)
class ReplacedScope:
    """What a second read of one object covered: records created since `created_from`, or the
    deleted ones (None). A record of that scope that the read did not return no longer exists.

    `first_position`: where the records of the second read begin.
    """

    sobject: str
    first_position: int
    created_from: datetime | None


def replace_records(
    warehouse: Warehouse,
    snapshot: Snapshot,
    records: DataFrame[OrgRecords],
    position: int,
    *,
    lease_seconds: float,
    replaced: ReplacedScope | None = None,
) -> int:
    """Replace the old versions of these records in one transaction; return the next position.

    `replaced`: given with the last records of a second read. Raises LeaseLostError.
    """
    with warehouse.transaction() as connection:
        require_lease(warehouse, connection, snapshot, lease_seconds)
        number = {"snapshot_number": snapshot.snapshot_number}
        if len(records):
            ids = records[["record_id"]]
            with warehouse.temporary_table(connection, "refreshed_records", ids):
                warehouse.run(connection, "delete_refreshed_records", **number)
        following = _insert(warehouse, connection, snapshot, records, position)
        _index(warehouse, connection, snapshot, position, following - 1)
        if replaced:
            warehouse.run(
                connection,
                "delete_vanished_records",
                **number,
                sobject=replaced.sobject,
                first_position=replaced.first_position,
                is_of_deleted=replaced.created_from is None,
                created_from=replaced.created_from,
            )
    return following


def index_records(
    warehouse: Warehouse, snapshot: Snapshot, first: int, last: int, *, lease_seconds: float
) -> None:
    """Insert the keys of the records at positions first to last. Raises LeaseLostError."""
    for start in range(first, last + 1, _ROWS_PER_INDEX):
        with warehouse.transaction() as connection:
            require_lease(warehouse, connection, snapshot, lease_seconds)
            end = min(start + _ROWS_PER_INDEX - 1, last)
            _index(warehouse, connection, snapshot, start, end)


@dataclass(frozen=True)
class SnapshotCounts:
    """How many records a snapshot has. By sobject: the active and the deleted ones created up to an
    instant, and those created later."""

    record_count: int
    active: Mapping[str, int]
    deleted: Mapping[str, int]
    later: Mapping[str, int]


def count_snapshot(
    warehouse: Warehouse, snapshot: Snapshot, watermarks: Mapping[str, datetime]
) -> SnapshotCounts:
    """Count the records with one scan. `watermarks`: an instant by sobject."""
    with warehouse.reading() as connection:
        row = warehouse.run(
            connection,
            "count_records",
            snapshot_number=snapshot.snapshot_number,
            lead_watermark=watermarks["Lead"],
            contact_watermark=watermarks["Contact"],
        ).one()
    active = {"Lead": row.active_lead_count, "Contact": row.active_contact_count}
    deleted = {"Lead": row.deleted_lead_count, "Contact": row.deleted_contact_count}
    total = {"Lead": row.lead_count, "Contact": row.record_count - row.lead_count}
    later = {kind: total[kind] - active[kind] - deleted[kind] for kind in total}
    return SnapshotCounts(row.record_count, active, deleted, later)


def find_records(
    warehouse: Warehouse,
    snapshot: Snapshot,
    email_hashes: pd.Series[str],
    person_ids: pd.Series[str],
) -> DataFrame[MatchedRecords] | None:
    """Return the records with one of these keys; None when the snapshot no longer exists."""
    number: dict[str, Any] = {"snapshot_number": snapshot.snapshot_number}
    with warehouse.reading() as connection:
        if not is_usable(warehouse, connection, snapshot):
            return None
        # Where no lead has a person id yet, half of the lookups would be useless.
        has_ids = warehouse.run(connection, "has_person_keys", **number)
        ids = person_ids if has_ids.scalar() else person_ids[:0]
        numbers = pd.concat([_numbers(email_hashes), _person_numbers(ids)]).dropna().unique()
        # Sorted as the table in which they are looked up: neighbours are on the same page.
        keys = pd.DataFrame({"key_number": np.sort(numbers.astype("int64"))})
        with warehouse.temporary_table(connection, "match_keys", keys):
            found = warehouse.read_frame(connection, "find_records", **number)
    # Two keys may share a number, so the keys themselves are compared here.
    by_id = found["is_by_person_id"].astype(bool)
    email_hash = found["email_hash"].mask(by_id)
    person_id = found["person_id"].where(by_id)
    is_wanted = _is_in(email_hash, email_hashes) | _is_in(person_id, person_ids)
    matched = found.assign(email_hash=email_hash, person_id=person_id)[is_wanted]
    return select(matched, MatchedRecords)


def _insert(
    warehouse: Warehouse,
    connection: Connection,
    snapshot: Snapshot,
    records: DataFrame[OrgRecords],
    position: int,
) -> int:
    columns = select(records, OrgRecords)
    for start in range(0, len(columns), _ROWS_PER_INSERT):
        portion = columns[start : start + _ROWS_PER_INSERT]
        rows = portion.assign(
            position=np.arange(position + start, position + start + len(portion)),
            snapshot_number=np.full(len(portion), snapshot.snapshot_number),
            email_number=_numbers(portion["email_hash"]),
            person_number=_person_numbers(portion["person_id"]),
        )
        warehouse.insert_frame(connection, "org_records", rows)
    return position + len(records)


def _index(
    warehouse: Warehouse, connection: Connection, snapshot: Snapshot, first: int, last: int
) -> None:
    positions = {"first_position": first, "last_position": last}
    number = snapshot.snapshot_number
    warehouse.run(connection, "index_records", snapshot_number=number, **positions)


def _is_in(cells: pd.Series[str], wanted: pd.Series[str]) -> pd.Series[bool]:
    # A hundred times as fast as `isin`, which makes a Python object of each wanted value.
    values = pa.array(wanted.dropna(), pa.string())
    found = pc.is_in(pa.array(cells, pa.string()), value_set=values)
    return pd.Series(found.to_numpy(zero_copy_only=False), index=cells.index)


def _person_numbers(person_ids: pd.Series[str]) -> pd.Series[int]:
    """Return negative numbers, so that no number of an e-mail equals that of a person id."""
    known = person_ids.dropna()
    hashes = [
        hashlib.sha256(one.encode("utf-8", "surrogatepass")).hexdigest()
        for one in pa.array(known, pa.string()).to_pylist()
    ]
    hashed = pd.Series(hashes, index=known.index, dtype="str").reindex(person_ids.index)
    return -_numbers(hashed) - 1


def _numbers(hashes: pd.Series[str]) -> pd.Series[int]:
    """Return the number that the first 15 hex digits are; null stays null."""
    known = hashes.dropna()
    numbers = np.zeros(len(known), dtype="int64")
    if len(known):
        texts = pa.chunked_array([pa.array(known)]).combine_chunks()
        # All hashes have one length, so their bytes are a rectangle.
        length = len(known.iloc[0])
        whole = np.frombuffer(texts.buffers()[2], dtype="uint8")
        digits = whole[texts.offset * length :][: len(known) * length].reshape(-1, length)
        for place in range(_DIGITS):
            digit = digits[:, place].astype("int64")
            numbers = (numbers << 4) | np.where(digit > ord("9"), digit - ord("a") + 10, digit - 48)
    return pd.Series(numbers, index=known.index, dtype="Int64").reindex(hashes.index)
