"""How a run looks up whom Salesforce knows already: by lists of keys, or against the mirror.

Chosen once a run, when it is known how many persons there are: `rules.matching_ways` says which way
is cheaper. What goes wrong with the mirror on the org's side is no reason to stop: lists find the
same records.
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
from pipelines.rules.lookup_costs import Way
from pipelines.salesforce import lookups
from pipelines.salesforce.session import Org
from pipelines.steps.snapshot import OrgSnapshot, SnapshotOptions
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.ledger import runs

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

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
class Told:
    """What looking up has cost and is not noted yet."""

    call_count: int = 0
    record_count: int = 0
    seconds: float = 0.0


class Matcher:
    """Looks up whom Salesforce knows, for one run. Safe to share by threads."""

    def __init__(
        self,
        warehouse: Warehouse,
        org: Org,
        run_id: str,
        *,
        person_id_field: str,
        way: Literal["auto", "soql", "snapshot"],
        refresh_minutes: float,
        options: SnapshotOptions,
    ) -> None:
        self._warehouse, self._run_id = warehouse, run_id
        self._org, self._field = org, person_id_field
        self._wanted_way, self._refresh_seconds = way, 60 * refresh_minutes
        self._mirror = OrgSnapshot(warehouse, org, run_id, person_id_field, options)
        self._way: Way = "soql"
        self._is_chosen = False
        self._fresh_until = 0.0
        self._lock = threading.Lock()
        self._told = Told()

    def choose(self, person_count: int) -> Way:
        """Decide for the run, which has so many persons to look up; by lists until it is called.

        A mirror is brought up to date at once: what was there when the run began is seen.
        """
        with self._counting():
            self._way = self._cheaper_way(person_count)
            if self._way == "snapshot":
                self._mind(lambda: self._refresh(0.0))
        self._is_chosen = True
        self.note()
        return self._way

    def follow(self) -> None:
        """Go the way that the run has chosen, as one of its workers in another process."""
        way = runs.lookup_method(self._warehouse, self._run_id)
        self._way, self._is_chosen = "soql" if way == "soql" else "snapshot", True

    def refresh_if_stale(self) -> None:
        """Refresh a mirror that has become too old. Before a slice is read, so that the slice and
        a page of the mirror are not in memory together; `find_known` does it where nobody has."""
        if self._way == "snapshot":
            with self._counting():
                self._mind(self._refresh_if_old)

    def find_known(
        self, *, emails: pd.Series, email_hashes: pd.Series, person_ids: pd.Series
    ) -> pd.DataFrame:
        """What Salesforce has with one of these keys, as `lookups.find_known` tells it.

        `emails` as `duplicates.match_key` makes them, `email_hashes` their hashes in the same order.
        A mirror that has become too old is refreshed first.
        """
        with self._counting():
            found = None
            if self._way == "snapshot":
                found = self._mind(lambda: self._by_mirror(emails, email_hashes, person_ids))
            return self._by_lists(emails, person_ids) if found is None else found

    def note(self) -> None:
        """Write down in the run's record how it looks up, and what that has cost since the last
        note."""
        with self._lock:
            told, self._told = self._told, Told()
        if self._is_chosen:
            runs.record_lookup_stats(
                self._warehouse,
                self._run_id,
                self._way,
                call_count=told.call_count,
                record_count=told.record_count,
                seconds=round(told.seconds),
            )

    def _cheaper_way(self, person_count: int) -> Way:
        if self._wanted_way != "auto" or not person_count:
            return "snapshot" if self._wanted_way == "snapshot" and person_count else "soql"
        lists = lookup_costs.soql_cost(person_count, has_person_id_field=bool(self._field))
        if not lookup_costs.is_worth_asking(lists):
            return "soql"
        standing = self._mind(self._mirror.standing)
        if standing is None:
            return "soql"
        way = lookup_costs.cheaper_method(lists, standing.cost)
        log.info(
            "matching: known records are looked up by %s (about %d calls by lists, %d by a mirror)",
            *(way, lists.call_count, standing.cost.call_count),
        )
        return way

    def _mind(self, step: Callable[[], _Answer]) -> _Answer | None:
        """Take the step; None, and lists from now on, when the org would not have it."""
        try:
            return step()
        except SyncError as error:
            if error.source != "org":
                raise
            log.warning("matching: known records are looked up by lists from now on (%s)", error)
            self._way = "soql"
            return None

    def _by_lists(self, emails: pd.Series, person_ids: pd.Series) -> pd.DataFrame:
        found = lookups.find_known(
            self._org,
            emails=list(emails.dropna()),
            person_ids=list(person_ids) if self._field else [],
            person_id_field=self._field,
        )
        with self._lock:
            self._told.record_count += len(found)
        return found

    def _by_mirror(
        self, emails: pd.Series, email_hashes: pd.Series, person_ids: pd.Series
    ) -> pd.DataFrame:
        ids = person_ids if self._field else person_ids[:0]
        found = None
        while found is None:
            self._refresh_if_old()
            found = self._mirror.find(email_hashes, ids)
            if found is None:  # another run has read everything anew
                self._fresh_until = 0.0
        return _as_known(found, emails, email_hashes)

    def _refresh_if_old(self) -> Literal[True]:
        with self._lock:
            if time.monotonic() > self._fresh_until:
                self._refresh(self._refresh_seconds)
        return True

    def _refresh(self, most_seconds: float) -> Literal[True]:
        before = self._mirror.record_count
        age = self._mirror.refresh(most_seconds)
        self._fresh_until = time.monotonic() + self._refresh_seconds - age
        self._told.record_count += self._mirror.record_count - before
        return True

    @contextmanager
    def _counting(self) -> Iterator[None]:
        calls, begun = self._org.own_call_count, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._told.call_count += self._org.own_call_count - calls
                self._told.seconds += time.monotonic() - begun


def _as_known(found: pd.DataFrame, emails: pd.Series, email_hashes: pd.Series) -> pd.DataFrame:
    """Rows of the mirror as `lookups.find_known` tells them: by the e-mail itself, not its hash."""
    spelt = pd.Series(emails.to_numpy(), index=email_hashes.to_numpy(), dtype="str")
    spelt = spelt[~spelt.index.duplicated()]
    is_email = found["email_hash"].notna()
    by_email = found["email_hash"].map(spelt)
    known = found.assign(
        match_key=pd.Series("email", index=found.index, dtype="str").where(is_email, "person_id"),
        match_value=by_email.where(is_email, found["person_id"]).astype("str"),
        is_converted=found["is_converted"].astype(bool),
        is_deleted=found["is_deleted"].astype(bool),
    )
    return known[KNOWN_COLUMNS]
