"""Keep a snapshot of the org's leads and contacts in the warehouse, and match persons against it.

The snapshot is built once, by bulk queries that are read page by page. Later runs read what has
changed since the watermark, by SystemModstamp.

Erasing leaves no such trace: a record that was erased, or that the login may not see any more, is
only missing. So after each refresh counts are compared. Of the records created up to the watermark,
Salesforce and the snapshot must have equally many, active ones and ones in the recycle bin. If not,
records were erased: the snapshot is built again.
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

# SystemModstamp is set before the commit that makes a change visible, and Salesforce ends every
# transaction after ten minutes. A change that was committed after our read is stamped at most so
# long before it.
OVERLAP: Final = timedelta(minutes=10)
# The lease is renewed with every page and every poll of a job. One that expires belongs to a run
# that has crashed.
LEASE_SECONDS: Final = 180.0
# Records that are deleted while we count make counts differ too, but not twice by the same number.
MAX_COMPARISONS: Final = 4


@dataclass(frozen=True)
class SnapshotOptions:
    """`wait_seconds`: for a bulk query, and for another run that has the lease. `poll_seconds`:
    between looks at that run's lease. `page_rows`: records a page of a bulk query."""

    wait_seconds: float = 600.0
    poll_seconds: float = 5.0
    page_rows: int = org_records.PAGE_ROWS


@dataclass(frozen=True)
class RefreshEstimate:
    """How many records of each kind are to be read: all if there is no snapshot, else changed."""

    has_snapshot: bool
    record_counts: list[int]

    @property
    def cost(self) -> lookup_costs.Cost:
        """What reading them is likely to take."""
        if self.has_snapshot:
            return lookup_costs.snapshot_refresh_cost(self.record_counts)
        return lookup_costs.snapshot_build_cost(self.record_counts)


class OrgSnapshot:
    """The snapshot of one org, as one run uses it. Threads must not share it."""

    def __init__(
        self,
        warehouse: Warehouse,
        org: Org,
        run_id: str,
        person_id_field: str,
        options: SnapshotOptions,
    ) -> None:
        self._warehouse, self._org, self._run_id = warehouse, org, run_id
        self._field, self._options = person_id_field, options
        self._current: Snapshot | None = None
        self._changed_counts: dict[str, int] = {}
        self.record_count = 0
        """Records read from the org so far."""

    def estimate_refresh(self) -> RefreshEstimate:
        """Count in the org how many records are to be read. One call for each kind of record."""
        snapshot = snapshots.latest_snapshot(self._warehouse, self._org.org_id, self._field)
        since = _before_overlap(snapshot.watermarks) if snapshot else {}
        counts = [org_records.count_changed(self._org, kind, since.get(kind)) for kind in SOBJECTS]
        # Kept for the refresh that follows, so that it need not count again.
        self._changed_counts = dict(zip(SOBJECTS, counts, strict=True)) if snapshot else {}
        return RefreshEstimate(snapshot is not None, counts)

    def refresh(self, max_age_seconds: float = 0.0) -> float:
        """Refresh a snapshot that is older, or build one; return its age in seconds.

        If another run does so at the moment, wait for it and use its snapshot. Raise OrgLimitError
        when that takes too long, and the errors of reading from the org. After an error the earlier
        snapshot is unchanged.
        """
        oldest = self._now() - timedelta(seconds=max_age_seconds)
        deadline = time.monotonic() + self._options.wait_seconds
        while (found := self._fresh_snapshot(oldest)) is None:
            if time.monotonic() > deadline:
                raise OrgLimitError(
                    "another run has been reading all leads and contacts for too long"
                )
            time.sleep(self._options.poll_seconds)
        self._current = found
        refreshed_at = found.refreshed_at or oldest
        return max(0.0, (self._now() - refreshed_at).total_seconds())

    def _now(self) -> datetime:
        with self._warehouse.reading() as connection:
            return self._warehouse.now(connection)

    def find(self, email_hashes: pd.Series, person_ids: pd.Series) -> pd.DataFrame | None:
        """Return the records with one of these keys: columns as `MatchedRecords`.

        None when `refresh` must be called first: another run has replaced the snapshot.
        """
        if self._current is None:
            return None
        return snapshot_records.find_records(
            self._warehouse, self._current, email_hashes, person_ids
        )

    def _fresh_snapshot(self, oldest: datetime) -> Snapshot | None:
        """Return a snapshot refreshed since `oldest`; None while another run has the lease."""
        latest = snapshots.latest_snapshot(self._warehouse, self._org.org_id, self._field)
        if latest and latest.refreshed_at and latest.refreshed_at >= oldest:
            return latest
        try:
            leased = self._lease()
            if leased is None:
                return None
            return self._read_changes(leased) if leased.is_complete else self._build(leased)
        except LeaseLostError:
            return None

    def _lease(self, *, rebuild: bool = False) -> Snapshot | None:
        return snapshots.lease_snapshot(
            self._warehouse,
            self._run_id,
            self._org.org_id,
            self._field,
            lease_seconds=LEASE_SECONDS,
            rebuild=rebuild,
        )

    # --- Build a snapshot

    def _build(self, snapshot: Snapshot) -> Snapshot:
        log.info("snapshot: reading all leads and contacts of the org, by bulk queries")
        with self._released_on_error(snapshot):
            wanted = [RecordQuery(kind, self._field) for kind in SOBJECTS]
            # Create both jobs first: the org works on them in parallel.
            jobs = [org_records.create_job(self._org, one) for one in wanted]
            first = position = snapshot_records.next_record_position(self._warehouse)
            for one, job in zip(wanted, jobs, strict=True):
                for records in self._pages(snapshot, one, job):
                    position = snapshot_records.add_records(
                        self._warehouse, snapshot, records, position, lease_seconds=LEASE_SECONDS
                    )
            snapshot_records.index_records(
                self._warehouse, snapshot, first, position - 1, lease_seconds=LEASE_SECONDS
            )
            # A bulk query returns everything that was committed before its job was created.
            watermarks = {
                one.sobject: job.created_at for one, job in zip(wanted, jobs, strict=True)
            }
            snapshots.complete_snapshot(self._warehouse, snapshot, watermarks, position - first)
        log.info("snapshot: %s leads and contacts read", f"{position - first:,}")
        return replace(
            snapshot, is_complete=True, watermarks=watermarks, record_count=position - first
        )

    # --- Refresh a snapshot

    def _read_changes(self, snapshot: Snapshot) -> Snapshot | None:
        difference: dict[str, RecordCounts] = {}
        with self._released_on_error(snapshot):
            watermarks = dict(snapshot.watermarks)
            counts = self._count(snapshot, watermarks)
            for _ in range(MAX_COMPARISONS):
                earlier = dict(watermarks)
                is_changed = [
                    self._read_changed(snapshot, kind, watermarks, counts) for kind in SOBJECTS
                ]
                if any(is_changed) or watermarks != earlier:
                    counts = self._count(snapshot, watermarks)
                before = difference
                difference, counts = self._compare(snapshot, watermarks, counts)
                if not difference:
                    snapshots.complete_snapshot(
                        self._warehouse, snapshot, watermarks, counts.record_count
                    )
                    return replace(
                        snapshot, watermarks=watermarks, record_count=counts.record_count
                    )
                if difference == before:
                    break
            snapshots.release_snapshot(self._warehouse, snapshot)
        log.warning("snapshot: leads or contacts were erased in the org; reading all of them again")
        leased = self._lease(rebuild=True)
        return self._build(leased) if leased else None

    def _count(self, snapshot: Snapshot, watermarks: Mapping[str, datetime]) -> SnapshotCounts:
        return snapshot_records.count_snapshot(
            self._warehouse, snapshot, _before_overlap(watermarks)
        )

    def _read_changed(
        self,
        snapshot: Snapshot,
        kind: str,
        watermarks: dict[str, datetime],
        counts: SnapshotCounts,
    ) -> bool:
        """Read the changed records of a kind and move its `watermarks`; return whether there were
        any to write."""
        since = watermarks[kind] - OVERLAP
        count = self._changed_counts.pop(kind, None)
        if count is None:
            count = org_records.count_changed(self._org, kind, since)
        if not count and not counts.later[kind]:
            return False
        wanted = RecordQuery(kind, self._field, changed_since=since)
        watermarks[kind] = self._replace(snapshot, wanted, count) or watermarks[kind]
        return True

    def _replace(self, snapshot: Snapshot, wanted: RecordQuery, count: int) -> datetime | None:
        """Read these records and replace them in the snapshot.

        Records of the snapshot that the query should return, and does not, are removed. Return the
        new watermark; None without a record.
        """
        watermark: datetime | None = None
        frames: Iterator[DataFrame[OrgRecords]] = iter(())
        if count and lookup_costs.is_soql_read_cheaper(count):
            records, watermark = org_records.read_by_soql(self._org, wanted)
            frames = iter([self._with_hashes(records)])
        elif count:
            job = org_records.create_job(self._org, wanted)
            frames, watermark = self._pages(snapshot, wanted, job), job.created_at
        first = position = snapshot_records.next_record_position(self._warehouse)
        scope = ReplacedScope(wanted.sobject, first, wanted.changed_since)
        for records, is_last in _with_last(frames):
            position = snapshot_records.replace_records(
                self._warehouse,
                snapshot,
                records,
                position,
                lease_seconds=LEASE_SECONDS,
                replaced=scope if is_last else None,
            )
        return watermark

    def _compare(
        self, snapshot: Snapshot, watermarks: Mapping[str, datetime], counts: SnapshotCounts
    ) -> tuple[dict[str, RecordCounts], SnapshotCounts]:
        """Return, for each kind that differs, how many records the org has more than the snapshot;
        and the counts of the snapshot now."""
        differences: dict[str, RecordCounts] = {}
        for kind in SOBJECTS:
            difference = self._difference(kind, watermarks, counts)
            if difference.active_count == 0 != difference.deleted_count:
                # Recycle bins are emptied all the time, and are small: read this one again.
                deleted = RecordQuery(kind, self._field, only_deleted=True)
                self._replace(snapshot, deleted, org_records.count_deleted(self._org, kind))
                counts = self._count(snapshot, watermarks)
                difference = self._difference(kind, watermarks, counts)
            if difference != RecordCounts(0, 0):
                differences[kind] = difference
        return differences, counts

    def _difference(
        self, kind: str, watermarks: Mapping[str, datetime], counts: SnapshotCounts
    ) -> RecordCounts:
        in_org = org_records.count_created(self._org, kind, watermarks[kind] - OVERLAP)
        return RecordCounts(
            in_org.active_count - counts.active[kind], in_org.deleted_count - counts.deleted[kind]
        )

    # --- Both

    def _pages(
        self, snapshot: Snapshot, wanted: RecordQuery, job: query_jobs.QueryJob
    ) -> Iterator[DataFrame[OrgRecords]]:
        def renew() -> None:
            snapshots.renew_snapshot_lease(self._warehouse, snapshot, lease_seconds=LEASE_SECONDS)

        for records in org_records.read_by_bulk_query(
            self._org,
            wanted,
            job,
            wait_seconds=self._options.wait_seconds,
            meanwhile=renew,
            page_rows=self._options.page_rows,
        ):
            yield self._with_hashes(records)

    def _with_hashes(self, records: pd.DataFrame) -> DataFrame[OrgRecords]:
        """Return the records with the hash of the e-mail in its place: no address is stored."""
        self.record_count += len(records)
        email_hash = deduplication.email_hash(records["email"])
        return select(records.assign(email_hash=email_hash), OrgRecords)

    @contextmanager
    def _released_on_error(self, snapshot: Snapshot) -> Iterator[None]:
        """After any error, release the lease, so that other runs need not wait for its end."""
        try:
            yield
        except BaseException:
            with suppress(SyncError):
                snapshots.release_snapshot(self._warehouse, snapshot)
            raise


def _before_overlap(watermarks: Mapping[str, datetime]) -> dict[str, datetime]:
    return {kind: watermarks[kind] - OVERLAP for kind in SOBJECTS}


def _with_last(
    frames: Iterator[DataFrame[OrgRecords]],
) -> Iterator[tuple[DataFrame[OrgRecords], bool]]:
    """Yield each frame, and whether it is the last; an empty one if there is none."""
    nothing = conform(pd.DataFrame(), OrgRecords)
    before = next(frames, nothing)
    for frame in frames:
        yield before, False
        before = frame
    yield before, True
