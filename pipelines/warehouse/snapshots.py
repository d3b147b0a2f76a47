"""What Salesforce has, mirrored here so that persons meet it in one join: `org_records`.

A reading (`org_snapshots`) is written by one run at a time, which holds it for as long as it
renews its hold; whoever has lost it writes nothing more. Until a reading is whole nobody matches
against it, and a run that cannot read on leaves nothing but refuse, which the next one clears away.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from pipelines.errors import LeaseLostError
from pipelines.warehouse.database import Warehouse

RECORD_COLUMNS: Final = (
    "record_id",
    "sobject",
    "email_hash",
    "person_id",
    "is_converted",
    "is_deleted",
    "converted_contact_id",
    "created_at",
    "owner_id",
)
FOUND_COLUMNS: Final = ("email_hash", "person_id", *RECORD_COLUMNS[:2], *RECORD_COLUMNS[4:])

# Of a bigint 60 bits are 15 whole digits of the hash; a record's own key has the last word.
_DIGITS: Final = 15
# One transaction holds SQLite's only write lock, for which others wait ten seconds.
_ROWS_AT_ONCE: Final = 50_000
_INDEXED_AT_ONCE: Final = 1_000_000
_CLEARED_AT_ONCE: Final = 200_000
# Positions are four bytes on PostgreSQL; what stood at the first ones is long gone by then.
_LAST_POSITION: Final = 1_000_000_000


@dataclass(frozen=True)
class Snapshot:
    """A reading. `watermarks`: sobject → the SystemModstamp up to which it is complete (naive UTC
    by the org's clock), empty before it is whole; `refreshed_at`: by the warehouse's clock.
    `holder_id`: of `lease_snapshot`, proof to those who write."""

    fill_number: int
    is_whole: bool
    watermarks: Mapping[str, datetime]
    record_count: int
    refreshed_at: datetime | None
    holder_id: str = ""


def latest_snapshot(warehouse: Warehouse, org_id: str, person_id_field: str) -> Snapshot | None:
    """The newest whole reading of this org and field; None without one."""
    with warehouse.reading() as connection:
        return _newest_whole(_fills(warehouse, connection), org_id, person_id_field)


def lease_snapshot(
    warehouse: Warehouse,
    run_id: str,
    org_id: str,
    person_id_field: str,
    *,
    hold_seconds: float,
    anew: bool = False,
) -> Snapshot | None:
    """Take the newest whole reading to write on it; where there is none, or `anew`, begin another.

    None while somebody holds one for a run that is under way. Half readings that nobody holds any
    more are forgotten. May be repeated once it has been released.
    """
    with warehouse.transaction() as connection:
        # Two at once would both find that nobody holds any.
        warehouse.dialect.lock_for_migration(connection)
        fills = _fills(warehouse, connection)
        if any(one["is_held"] for one in fills):
            return None
        # Waits for whoever has lost its hold in the middle of a transaction.
        warehouse.run(connection, "delete_unfinished_snapshots")
        warehouse.run(connection, "release_dead_snapshots")
        found = None if anew else _newest_whole(fills, org_id, person_id_field)
        now = warehouse.now(connection)
        hold: dict[str, Any] = {"run_id": run_id, "holder_id": uuid.uuid4().hex}
        hold["held_until"] = now + timedelta(seconds=hold_seconds)
        if found is None:
            found = Snapshot(1 + secrets.randbelow(2**31 - 2), False, {}, 0, None)
            of_org = {"org_id": org_id, "person_id_field": person_id_field, "now": now}
            warehouse.run(
                connection, "begin_snapshot", fill_number=found.fill_number, **of_org, **hold
            )
        else:
            warehouse.run(connection, "take_over_snapshot", fill_number=found.fill_number, **hold)
        return replace(found, holder_id=hold["holder_id"])


def renew_snapshot_lease(warehouse: Warehouse, fill: Snapshot, *, hold_seconds: float) -> None:
    """Renew the hold. Raises LeaseLostError when another run has taken it."""
    with warehouse.transaction() as connection:
        _keep(warehouse, connection, fill, hold_seconds)


def release_snapshot(warehouse: Warehouse, fill: Snapshot) -> None:
    """Let go of a reading, whatever state it is in. May be repeated."""
    with warehouse.transaction() as connection:
        warehouse.run(
            connection, "release_snapshot", fill_number=fill.fill_number, holder_id=fill.holder_id
        )


def next_position(warehouse: Warehouse) -> int:
    """Where the next record will stand. Only for whoever holds a reading."""
    with warehouse.reading() as connection:
        last: int = warehouse.run(connection, "last_known_record").scalar_one()
    return last + 1 if last < _LAST_POSITION else 1


def add_records(
    warehouse: Warehouse,
    fill: Snapshot,
    records: pd.DataFrame,
    position: int,
    *,
    hold_seconds: float,
) -> int:
    """Append records (RECORD_COLUMNS) from that position on; answers the next one.

    Raises LeaseLostError, with nothing written, when another run holds the reading. Not repeatable.
    """
    with warehouse.transaction() as connection:
        _keep(warehouse, connection, fill, hold_seconds)
        return _append(warehouse, connection, fill, records, position)


@dataclass(frozen=True)
class ReplacedScope:
    """What a second reading of one kind asked for: all made since then, or the deleted ones. Of
    those, records that it does not tell are gone. `first_position`: where its own records begin."""

    sobject: str
    first_position: int
    created_from: datetime | None


def replace_records(
    warehouse: Warehouse,
    fill: Snapshot,
    records: pd.DataFrame,
    position: int,
    *,
    hold_seconds: float,
    ending: ReplacedScope | None = None,
) -> int:
    """Put records in the place of what was known of them, at once; answers the next position.

    With `ending` they are the last ones of a second reading. Raises LeaseLostError as `add_records`.
    """
    with warehouse.transaction() as connection:
        _keep(warehouse, connection, fill, hold_seconds)
        if len(records):
            warehouse.run(connection, "make_fresh_records")
            warehouse.insert_frame(connection, "fresh_records", records[["record_id"]])
            warehouse.run(connection, "drop_outdated_records", fill_number=fill.fill_number)
            warehouse.run(connection, "drop_fresh_records")
        last = _append(warehouse, connection, fill, records, position)
        _index(warehouse, connection, fill, position, last - 1)
        if ending:
            warehouse.run(
                connection,
                "drop_vanished_records",
                fill_number=fill.fill_number,
                sobject=ending.sobject,
                first_position=ending.first_position,
                is_of_deleted=ending.created_from is None,
                created_from=ending.created_from,
            )
    return last


def index_records(
    warehouse: Warehouse, fill: Snapshot, first: int, last: int, *, hold_seconds: float
) -> None:
    """Make the records at positions first..last findable by their keys. Raises LeaseLostError."""
    for start in range(first, last + 1, _INDEXED_AT_ONCE):
        with warehouse.transaction() as connection:
            _keep(warehouse, connection, fill, hold_seconds)
            end = min(start + _INDEXED_AT_ONCE - 1, last)
            _index(warehouse, connection, fill, start, end)


def finish_snapshot(
    warehouse: Warehouse, fill: Snapshot, until: Mapping[str, datetime], record_count: int
) -> None:
    """Say that the reading is whole, up to these SystemModstamps, and let go of it. Every other
    reading is forgotten, and its records cleared away. Raises LeaseLostError."""
    with warehouse.transaction() as connection:
        finished = warehouse.run(
            connection,
            "finish_snapshot",
            fill_number=fill.fill_number,
            holder_id=fill.holder_id,
            lead_until=until["Lead"],
            contact_until=until["Contact"],
            record_count=record_count,
            now=warehouse.now(connection),
        )
        _require_held(finished.rowcount)
        forgotten = warehouse.run(
            connection, "delete_other_snapshots", fill_number=fill.fill_number
        ).rowcount
        if not fill.is_whole:
            for table in ("org_records", "org_record_keys"):
                warehouse.dialect.gather_statistics(connection, table)
    if forgotten or not fill.is_whole:
        _clear(warehouse)


@dataclass(frozen=True)
class SnapshotCounts:
    """How many records a reading holds, and of each kind the living and deleted ones of those made
    until an instant, and those made later."""

    record_count: int
    living: Mapping[str, int]
    deleted: Mapping[str, int]
    later: Mapping[str, int]


def count_snapshot(
    warehouse: Warehouse, fill: Snapshot, until: Mapping[str, datetime]
) -> SnapshotCounts:
    """Count the records, by one look at all of them. `until`: sobject → an instant."""
    with warehouse.reading() as connection:
        counted = warehouse.run(
            connection,
            "count_known_records",
            fill_number=fill.fill_number,
            lead_until=until["Lead"],
            contact_until=until["Contact"],
        ).one()
    living = {"Lead": counted.living_lead_count, "Contact": counted.living_contact_count}
    deleted = {"Lead": counted.deleted_lead_count, "Contact": counted.deleted_contact_count}
    whole = {"Lead": counted.lead_count, "Contact": counted.record_count - counted.lead_count}
    later = {kind: whole[kind] - living[kind] - deleted[kind] for kind in whole}
    return SnapshotCounts(counted.record_count, living, deleted, later)


def find_records(
    warehouse: Warehouse, fill: Snapshot, email_hashes: pd.Series[str], person_ids: pd.Series[str]
) -> pd.DataFrame | None:
    """The records with one of these keys or ids; None when the reading is gone meanwhile.

    One row a record and key: FOUND_COLUMNS, of which email_hash or person_id is the one it was
    found by and the other null.
    """
    with warehouse.reading() as connection:
        if not any(
            one["fill_number"] == fill.fill_number and one["is_whole"]
            for one in _fills(warehouse, connection)
        ):
            return None
        # Where we have made no lead yet, half of the looking up would be for nothing.
        has_ids = warehouse.run(connection, "has_person_keys", fill_number=fill.fill_number)
        ids = person_ids if has_ids.scalar() else person_ids[:0]
        numbers = pd.concat([_numbers(email_hashes), _person_numbers(ids)]).dropna().unique()
        warehouse.run(connection, "make_match_keys")
        # In the order of the table they are looked up in: neighbours lie on one page.
        keys = pd.DataFrame({"key_number": np.sort(numbers.astype("int64"))})
        warehouse.insert_frame(connection, "match_keys", keys)
        found = warehouse.read_frame(connection, "find_known_records", fill_number=fill.fill_number)
    # Two keys may have one number; what was asked for are the keys.
    by_id = found["is_by_person_id"].astype(bool)
    email_hash = found["email_hash"].mask(by_id)
    person_id = found["person_id"].where(by_id)
    is_asked = _is_among(email_hash, email_hashes) | _is_among(person_id, person_ids)
    return found.assign(email_hash=email_hash, person_id=person_id)[is_asked]


def _fills(warehouse: Warehouse, connection: Connection) -> list[Mapping[str, Any]]:
    now = warehouse.now(connection)
    found = warehouse.run(connection, "org_snapshots", now=now).mappings()
    return [dict(row) for row in found]


def _newest_whole(
    fills: list[Mapping[str, Any]], org_id: str, person_id_field: str
) -> Snapshot | None:
    for one in fills:
        if one["is_whole"] and (one["org_id"], one["person_id_field"]) == (org_id, person_id_field):
            until = {"Lead": one["lead_until"], "Contact": one["contact_until"]}
            return Snapshot(one["fill_number"], True, until, one["record_count"], one["looked_at"])
    return None


def _keep(
    warehouse: Warehouse, connection: Connection, fill: Snapshot, hold_seconds: float
) -> None:
    until = warehouse.now(connection) + timedelta(seconds=hold_seconds)
    kept = warehouse.run(
        connection,
        "renew_snapshot_lease",
        fill_number=fill.fill_number,
        holder_id=fill.holder_id,
        held_until=until,
    )
    _require_held(kept.rowcount)


def _require_held(count: int) -> None:
    if not count:
        raise LeaseLostError("another run reads what Salesforce has; this one goes by its reading")


def _append(
    warehouse: Warehouse,
    connection: Connection,
    fill: Snapshot,
    records: pd.DataFrame,
    position: int,
) -> int:
    for start in range(0, len(records), _ROWS_AT_ONCE):
        some = records[start : start + _ROWS_AT_ONCE][list(RECORD_COLUMNS)]
        rows = some.assign(
            position=np.arange(position + start, position + start + len(some)),
            fill_number=np.full(len(some), fill.fill_number),
            email_number=_numbers(some["email_hash"]),
            person_number=_person_numbers(some["person_id"]),
        )
        warehouse.insert_frame(connection, "org_records", rows)
    return position + len(records)


def _index(
    warehouse: Warehouse, connection: Connection, fill: Snapshot, first: int, last: int
) -> None:
    places = {"first_position": first, "last_position": last}
    warehouse.run(connection, "index_known_records", fill_number=fill.fill_number, **places)


def _clear(warehouse: Warehouse) -> None:
    """Clear away what readings that are gone have left, some at a time: others want the lock."""
    for query in ("forget_known_records", "forget_known_record_keys"):
        count = _CLEARED_AT_ONCE
        while count == _CLEARED_AT_ONCE:
            with warehouse.transaction() as connection:
                count = warehouse.run(connection, query, most=_CLEARED_AT_ONCE).rowcount


def _is_among(cells: pd.Series[str], asked: pd.Series[str]) -> pd.Series[bool]:
    # A hundred times as quick as `isin`, which makes a Python object of every one asked for.
    found = pc.is_in(pa.array(cells, pa.string()), value_set=pa.array(asked.dropna(), pa.string()))
    return pd.Series(found.to_numpy(zero_copy_only=False), index=cells.index)


def _person_numbers(person_ids: pd.Series[str]) -> pd.Series[int]:
    """Below zero, so that no number of an e-mail meets one of a person id."""
    there = person_ids.dropna()
    hashes = [
        hashlib.sha256(one.encode("utf-8", "surrogatepass")).hexdigest()
        for one in pa.array(there, pa.string()).to_pylist()
    ]
    hashed = pd.Series(hashes, index=there.index, dtype="str").reindex(person_ids.index)
    return -_numbers(hashed) - 1


def _numbers(hashes: pd.Series[str]) -> pd.Series[int]:
    """The number that the first 15 hex digits write; null stays null."""
    there = hashes.dropna()
    numbers = np.zeros(len(there), dtype="int64")
    if len(there):
        texts = pa.chunked_array([pa.array(there)]).combine_chunks()
        # All hashes are of one length, so their bytes are one rectangle.
        length = len(there.iloc[0])
        whole = np.frombuffer(texts.buffers()[2], dtype="uint8")
        digits = whole[texts.offset * length :][: len(there) * length].reshape(-1, length)
        for place in range(_DIGITS):
            digit = digits[:, place].astype("int64")
            numbers = (numbers << 4) | np.where(digit > ord("9"), digit - ord("a") + 10, digit - 48)
    return pd.Series(numbers, index=there.index, dtype="Int64").reindex(hashes.index)
