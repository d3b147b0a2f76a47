"""Match persons with what Salesforce has, by SOQL queries or against a snapshot in the warehouse.

The lookup method is chosen once a run, when the number of persons is known:
`rules/lookup_costs.py` says which one is cheaper. If the org fails while the snapshot is built or
refreshed, the run goes on with SOQL, which finds the same records.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import pandas as pd

from pipelines.errors import SyncError
from pipelines.rules import lookup_costs
from pipelines.rules.lookup_costs import LookupMethod
from pipelines.salesforce import lookups
from pipelines.salesforce.session import Org
from pipelines.steps.snapshot import OrgSnapshot, SnapshotOptions
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import runs

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

KNOWN_COLUMNS = [
    "match_key",
    "match_value",
    "record_id",
    "sobject",
    "is_converted",
    "is_deleted",
    "converted_contact_id",
    "created_at",
    "owner_id",
]


@dataclass
class LookupStats:
    """What lookups have cost since the last `flush_stats`."""

    call_count: int = 0
    record_count: int = 0
    seconds: float = 0.0


class Matcher:
    """Looks up the records that Salesforce has of persons, for one run. Threads may share it."""

    def __init__(
        self,
        warehouse: Warehouse,
        org: Org,
        run_id: str,
        *,
        person_id_field: str,
        lookup: Literal["auto", "soql", "snapshot"],
        refresh_minutes: float,
        options: SnapshotOptions,
    ) -> None:
        self._warehouse, self._run_id = warehouse, run_id
        self._org, self._field = org, person_id_field
        self._setting, self._refresh_seconds = lookup, 60 * refresh_minutes
        self._snapshot = OrgSnapshot(warehouse, org, run_id, person_id_field, options)
        self._method: LookupMethod = "soql"
        self._is_chosen = False
        self._fresh_until = 0.0  # by time.monotonic()
        self._lock = threading.Lock()
        self._stats = LookupStats()

    def choose_method(self, person_count: int) -> LookupMethod:
        """Choose the lookup method for a run of so many persons; before, it is SOQL.

        A snapshot is refreshed here, so that the run sees every record that existed at its start.
        """
        with self._measured():
            self._method = self._cheaper_method(person_count)
            if self._method == "snapshot":
                self._or_use_soql(lambda: self._refresh(0.0))
        self._is_chosen = True
        self.flush_stats()
        return self._method

    def use_chosen_method(self) -> None:
        """Take the method that the run has chosen: for its workers in other processes."""
        method = runs.lookup_method(self._warehouse, self._run_id)
        self._method, self._is_chosen = "soql" if method == "soql" else "snapshot", True

    def refresh_if_stale(self) -> None:
        """Refresh a snapshot that is older than the setting allows.

        Call it before a slice is read: the slice and a page of the snapshot are then never in
        memory together. Otherwise `find_known` does it.
        """
        if self._method == "snapshot":
            with self._measured():
                self._or_use_soql(self._refresh_if_stale)

    def find_known(
        self, *, emails: pd.Series, email_hashes: pd.Series, person_ids: pd.Series
    ) -> pd.DataFrame:
        """Return the records with one of these keys, as `lookups.find_known` does.

        `emails` are those of `deduplication.match_key`, `email_hashes` their hashes in the same
        order. A stale snapshot is refreshed first.
        """
        with self._measured():
            found = None
            if self._method == "snapshot":
                found = self._or_use_soql(
                    lambda: self._find_in_snapshot(emails, email_hashes, person_ids)
                )
            return self._find_by_soql(emails, person_ids) if found is None else found

    def flush_stats(self) -> None:
        """Add to the run's row the lookup method and what it has cost since the last call."""
        with self._lock:
            stats, self._stats = self._stats, LookupStats()
        if self._is_chosen:
            runs.record_lookup_stats(
                self._warehouse,
                self._run_id,
                self._method,
                call_count=stats.call_count,
                record_count=stats.record_count,
                seconds=round(stats.seconds),
            )

    def _cheaper_method(self, person_count: int) -> LookupMethod:
        if self._setting != "auto" or not person_count:
            return "snapshot" if self._setting == "snapshot" and person_count else "soql"
        by_soql = lookup_costs.soql_lookup_cost(person_count, has_person_id_field=bool(self._field))
        if not lookup_costs.can_snapshot_be_cheaper(by_soql):
            return "soql"
        estimate = self._or_use_soql(self._snapshot.estimate_refresh)
        if estimate is None:
            return "soql"
        method = lookup_costs.cheaper_method(by_soql, estimate.cost)
        log.info(
            "matching: known records are looked up by %s (about %d calls by soql, %d by snapshot)",
            *(method, by_soql.call_count, estimate.cost.call_count),
        )
        return method

    def _or_use_soql(self, step: Callable[[], _Result]) -> _Result | None:
        """Return the step's result; if the org fails, use SOQL from now on and return None."""
        try:
            return step()
        except SyncError as error:
            if error.source != "org":
                raise
            log.warning("matching: known records are looked up by SOQL from now on (%s)", error)
            self._method = "soql"
            return None

    def _find_by_soql(self, emails: pd.Series, person_ids: pd.Series) -> pd.DataFrame:
        found = lookups.find_known(
            self._org,
            emails=list(emails.dropna()),
            person_ids=list(person_ids) if self._field else [],
            person_id_field=self._field,
        )
        with self._lock:
            self._stats.record_count += len(found)
        return found

    def _find_in_snapshot(
        self, emails: pd.Series, email_hashes: pd.Series, person_ids: pd.Series
    ) -> pd.DataFrame:
        ids = person_ids if self._field else person_ids[:0]
        found = None
        while found is None:
            self._refresh_if_stale()
            found = self._snapshot.find(email_hashes, ids)
            if found is None:  # another run has replaced the snapshot
                self._fresh_until = 0.0
        return _as_known(found, emails, email_hashes)

    def _refresh_if_stale(self) -> Literal[True]:
        with self._lock:
            if time.monotonic() > self._fresh_until:
                self._refresh(self._refresh_seconds)
        return True

    def _refresh(self, max_age_seconds: float) -> Literal[True]:
        before = self._snapshot.record_count
        age = self._snapshot.refresh(max_age_seconds)
        self._fresh_until = time.monotonic() + self._refresh_seconds - age
        self._stats.record_count += self._snapshot.record_count - before
        return True

    @contextmanager
    def _measured(self) -> Iterator[None]:
        # By this thread's calls: other threads of the run use the same session.
        calls, began_at = self._org.thread_call_count, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._stats.call_count += self._org.thread_call_count - calls
                self._stats.seconds += time.monotonic() - began_at


def _as_known(found: pd.DataFrame, emails: pd.Series, email_hashes: pd.Series) -> pd.DataFrame:
    """Return rows of the snapshot as `lookups.find_known` does: with the e-mail, not its hash."""
    email_of = pd.Series(emails.to_numpy(), index=email_hashes.to_numpy(), dtype="str")
    email_of = email_of[~email_of.index.duplicated()]
    is_email = found["email_hash"].notna()
    by_email = found["email_hash"].map(email_of)
    known = found.assign(
        match_key=pd.Series("email", index=found.index, dtype="str").where(is_email, "person_id"),
        match_value=by_email.where(is_email, found["person_id"]).astype("str"),
        is_converted=found["is_converted"].astype(bool),
        is_deleted=found["is_deleted"].astype(bool),
    )
    return known[KNOWN_COLUMNS]
