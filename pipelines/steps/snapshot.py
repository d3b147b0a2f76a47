"""Keeps a mirror in the warehouse of what Salesforce has, and matches persons against it.

It is read whole once, by bulk queries, page by page; afterwards what has changed since is read by
SystemModstamp. Deleting for good leaves no such trace: a record erased, or gone from the recycle
bin, or out of our sight, is only missed. So after every refresh the org is asked how many records
it has, living and deleted, of those made until the mark, and the mirror has to have as many.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import pandas as pd

from pipelines.errors import LeaseLostError, OrgLimitError, SyncError
from pipelines.rules import deduplication, lookup_costs
from pipelines.rules.frames import OrgRecords, conform, select
from pipelines.salesforce import query_jobs
from pipelines.salesforce import records as org_records
from pipelines.salesforce.records import SOBJECTS, RecordCounts, RecordQuery
from pipelines.salesforce.session import Org
from pipelines.warehouse import snapshot_records, snapshots
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.snapshot_records import ReplacedScope, SnapshotCounts
from pipelines.warehouse.snapshots import Snapshot

if TYPE_CHECKING:
    from pandera.typing import DataFrame

log = logging.getLogger(__name__)

# SystemModstamp is set before the commit that shows it, and Salesforce ends a transaction after ten
# minutes: what was committed unseen is stamped no earlier than this.
OVERLAP: Final = timedelta(minutes=10)
# A hold is renewed with every page and every look at a job; one that is not belongs to the dead.
HOLD_SECONDS: Final = 180.0
# Somebody who deletes just now makes counts differ as well, but not twice by the same number.
MOST_LOOKS: Final = 4


@dataclass(frozen=True)
class SnapshotOptions:
    """How patient the mirror is, and how much it reads at once."""

    wait_seconds: float = 600.0
    poll_seconds: float = 5.0
    page_rows: int = org_records.PAGE_ROWS


@dataclass(frozen=True)
class Standing:
    """What bringing the mirror up to date would read: records per kind, all or those changed."""

    is_filled: bool
    record_counts: list[int]

    @property
    def cost(self) -> lookup_costs.Cost:
        """What that is likely to take."""
        if self.is_filled:
            return lookup_costs.cost_of_refreshing(self.record_counts)
        return lookup_costs.cost_of_filling(self.record_counts)


class OrgSnapshot:
    """The mirror of one org, as one run uses it. Not safe to share by threads."""

    def __init__(
        self,
        warehouse: Warehouse,
        org: Org,
        run_id: str,
        person_id_field: str,
        options: SnapshotOptions,
    ) -> None:
        self._warehouse, self._org, self._run_id = warehouse, org, run_id
        self._field, self._habits = person_id_field, options
        self._fill: Snapshot | None = None
        self._counted: dict[str, int] = {}
        self._counted_here: SnapshotCounts
        self.record_count = 0
        """Records read from the org so far."""

    def standing(self) -> Standing:
        """Ask the org how much there is to read: a call for each kind of record."""
        fill = snapshots.latest_snapshot(self._warehouse, self._org.org_id, self._field)
        since = _since(fill.watermarks) if fill else {}
        counts = [org_records.count_changed(self._org, kind, since.get(kind)) for kind in SOBJECTS]
        # What has been counted need not be counted again to refresh.
        self._counted = dict(zip(SOBJECTS, counts, strict=True)) if fill else {}
        return Standing(fill is not None, counts)

    def refresh(self, most_seconds: float = 0.0) -> float:
        """Bring the mirror up to date if it is older than that, filling it where there is none;
        answers how old it is.

        When another run is at it, its work is waited for and taken. Raises OrgLimitError when that takes
        too long, and what reading the org raises; what was there before is there still.
        """
        since = self._now() - timedelta(seconds=most_seconds)
        deadline = time.monotonic() + self._habits.wait_seconds
        while (found := self._try(since)) is None:
            if time.monotonic() > deadline:
                raise OrgLimitError("another run has been reading what Salesforce has for too long")
            time.sleep(self._habits.poll_seconds)
        self._fill = found
        looked_at = found.refreshed_at or since
        return max(0.0, (self._now() - looked_at).total_seconds())

    def _now(self) -> datetime:
        with self._warehouse.reading() as connection:
            return self._warehouse.now(connection)

    def find(self, email_hashes: pd.Series, person_ids: pd.Series) -> pd.DataFrame | None:
        """The records with one of these keys, as `org_records.find_records`; None when `refresh`
        has to be called, for another run has read everything anew."""
        if self._fill is None:
            return None
        return snapshot_records.find_records(self._warehouse, self._fill, email_hashes, person_ids)

    def _try(self, since: datetime) -> Snapshot | None:
        """The mirror up to date; None while another run is at it."""
        fill = snapshots.latest_snapshot(self._warehouse, self._org.org_id, self._field)
        if fill and fill.refreshed_at and fill.refreshed_at >= since:
            return fill
        try:
            held = self._hold()
            if held is None:
                return None
            return self._refresh(held) if held.is_complete else self._read_whole(held)
        except LeaseLostError:
            return None

    def _hold(self, *, anew: bool = False) -> Snapshot | None:
        return snapshots.lease_snapshot(
            self._warehouse,
            self._run_id,
            self._org.org_id,
            self._field,
            lease_seconds=HOLD_SECONDS,
            rebuild=anew,
        )

    # --- All there is

    def _read_whole(self, fill: Snapshot) -> Snapshot:
        log.info("mirror: reading all leads and contacts of the org, by bulk queries")
        with self._letting_go(fill):
            wanted = [RecordQuery(kind, self._field) for kind in SOBJECTS]
            # Both first: the org works on them side by side.
            jobs = [org_records.ask(self._org, one) for one in wanted]
            first = position = snapshot_records.next_record_position(self._warehouse)
            for one, job in zip(wanted, jobs, strict=True):
                for records in self._pages(fill, one, job):
                    position = snapshot_records.add_records(
                        self._warehouse,
                        fill,
                        records,
                        position,
                        lease_seconds=HOLD_SECONDS,
                    )
            snapshot_records.index_records(
                self._warehouse,
                fill,
                first,
                position - 1,
                lease_seconds=HOLD_SECONDS,
            )
            until = {one.sobject: job.created_at for one, job in zip(wanted, jobs, strict=True)}
            snapshots.complete_snapshot(self._warehouse, fill, until, position - first)
        log.info("mirror: %s leads and contacts read", f"{position - first:,}")
        return replace(fill, is_complete=True, watermarks=until, record_count=position - first)

    # --- What has changed

    def _refresh(self, fill: Snapshot) -> Snapshot | None:
        missed: dict[str, RecordCounts] = {}
        with self._letting_go(fill):
            until = dict(fill.watermarks)
            census = self._census(fill, until)
            for _ in range(MOST_LOOKS):
                seen = dict(until)
                is_changed = [self._read_changed(fill, kind, until, census) for kind in SOBJECTS]
                if any(is_changed) or until != seen:
                    census = self._census(fill, until)
                missed, before = self._missed(fill, until, census), missed
                if not missed:
                    count = self._counted_here.record_count
                    snapshots.complete_snapshot(self._warehouse, fill, until, count)
                    return replace(fill, watermarks=until, record_count=count)
                if missed == before:
                    break
            snapshots.release_snapshot(self._warehouse, fill)
        log.warning("mirror: leads or contacts were erased in the org; reading all of them again")
        held = self._hold(anew=True)
        return self._read_whole(held) if held else None

    def _census(self, fill: Snapshot, until: Mapping[str, datetime]) -> SnapshotCounts:
        self._counted_here = snapshot_records.count_snapshot(self._warehouse, fill, _since(until))
        return self._counted_here

    def _read_changed(
        self, fill: Snapshot, kind: str, until: dict[str, datetime], census: SnapshotCounts
    ) -> bool:
        """Read what has changed, and move `until` to where nothing more is unknown; whether there
        was anything to write."""
        since = until[kind] - OVERLAP
        count = self._counted.pop(kind, None)
        if count is None:
            count = org_records.count_changed(self._org, kind, since)
        if not count and not census.later[kind]:
            return False
        wanted = RecordQuery(kind, self._field, changed_since=since)
        until[kind] = self._read_again(fill, wanted, count) or until[kind]
        return True

    def _read_again(self, fill: Snapshot, wanted: RecordQuery, count: int) -> datetime | None:
        """Read these records in the place of what was known of them, and forget those that should
        be among them and are not. Answers up to when that holds; None when nothing tells."""
        until: datetime | None = None
        frames: Iterator[DataFrame[OrgRecords]] = iter(())
        if count and lookup_costs.reads_by_pages(count):
            records, until = org_records.read_by_pages(self._org, wanted)
            frames = iter([self._keyed(records)])
        elif count:
            job = org_records.ask(self._org, wanted)
            frames, until = self._pages(fill, wanted, job), job.created_at
        first = position = snapshot_records.next_record_position(self._warehouse)
        ending = ReplacedScope(wanted.sobject, first, wanted.changed_since)
        for records, is_last in _with_last(frames):
            position = snapshot_records.replace_records(
                self._warehouse,
                fill,
                records,
                position,
                lease_seconds=HOLD_SECONDS,
                replaced=ending if is_last else None,
            )
        return until

    def _missed(
        self, fill: Snapshot, until: Mapping[str, datetime], census: SnapshotCounts
    ) -> dict[str, RecordCounts]:
        """By how many the mirror has too few records of a kind, where it has not as many."""
        missed: dict[str, RecordCounts] = {}
        for kind in SOBJECTS:
            difference = self._difference(kind, until, census)
            if difference.living_count == 0 != difference.deleted_count:
                # The recycle bin is emptied all the time, and is small beside the rest.
                deleted = RecordQuery(kind, self._field, only_deleted=True)
                self._read_again(fill, deleted, org_records.count_deleted(self._org, kind))
                difference = self._difference(kind, until, self._census(fill, until))
            if difference != RecordCounts(0, 0):
                missed[kind] = difference
        return missed

    def _difference(
        self, kind: str, until: Mapping[str, datetime], census: SnapshotCounts
    ) -> RecordCounts:
        there = org_records.count_made(self._org, kind, until[kind] - OVERLAP)
        return RecordCounts(
            there.living_count - census.active[kind], there.deleted_count - census.deleted[kind]
        )

    # --- Both

    def _pages(
        self, fill: Snapshot, wanted: RecordQuery, job: query_jobs.QueryJob
    ) -> Iterator[DataFrame[OrgRecords]]:
        def renew() -> None:
            snapshots.renew_snapshot_lease(self._warehouse, fill, lease_seconds=HOLD_SECONDS)

        for records in org_records.read_by_job(
            self._org,
            wanted,
            job,
            wait_seconds=self._habits.wait_seconds,
            meanwhile=renew,
            page_rows=self._habits.page_rows,
        ):
            yield self._keyed(records)

    def _keyed(self, records: pd.DataFrame) -> DataFrame[OrgRecords]:
        """With the hash of the e-mail in its place: the mirror holds no address."""
        self.record_count += len(records)
        email_hash = deduplication.email_hash(records["email"])
        return select(records.assign(email_hash=email_hash), OrgRecords)

    @contextmanager
    def _letting_go(self, fill: Snapshot) -> Iterator[None]:
        """Whatever goes wrong, another run need not wait for this one."""
        try:
            yield
        except BaseException:
            with suppress(SyncError):
                snapshots.release_snapshot(self._warehouse, fill)
            raise


def _since(until: Mapping[str, datetime]) -> dict[str, datetime]:
    return {kind: until[kind] - OVERLAP for kind in SOBJECTS}


def _with_last(
    frames: Iterator[DataFrame[OrgRecords]],
) -> Iterator[tuple[DataFrame[OrgRecords], bool]]:
    """Each frame, and whether it is the last; an empty one where there is none."""
    nothing = conform(pd.DataFrame(), OrgRecords)
    before = next(frames, nothing)
    for frame in frames:
        yield before, False
        before = frame
    yield before, True
