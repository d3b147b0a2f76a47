"""Estimate what it costs to look persons up in Salesforce, and choose the cheaper lookup method.

- soql: SOQL queries with lists of keys (`WHERE Email IN (...)`).
- snapshot: one join against a copy of the org's leads and contacts in the warehouse. Bulk queries
  build the copy once; later runs refresh it.

These are estimates. A wrong one makes a run slower or uses more API calls; results are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LookupMethod = Literal["soql", "snapshot"]

# How much one API call does.

# Our own limit of 15,000 bytes for an address (`salesforce/soql.py`), divided by the size of a
# percent-encoded e-mail of 25 characters in quotes, and of an id of 10.
EMAILS_PER_CALL = 375
PERSON_IDS_PER_CALL = 700
# Salesforce's largest page of a SOQL query.
RECORDS_PER_CALL = 2_000
# The page that we ask of a bulk query: PAGE_ROWS of `salesforce/records.py`.
RECORDS_PER_PAGE = 100_000

# How long things take. Nothing here was measured in a real org: these are reported figures.

SECONDS_PER_CALL = 0.3
# A bulk query waits in the org's queue before it starts.
SECONDS_PER_JOB = 10.0
RECORDS_PER_SECOND = 10_000
# Pauses between polls double from 0.1 s to 5 s (`salesforce/query_jobs.py`): six short polls first,
# then one every 5 s.
SHORT_POLLS_PER_JOB = 6
POLL_SECONDS = 5.0

# The org's API calls are limited per day, and time is not. So one call counts as much as this many
# seconds more.
SECONDS_WORTH_ONE_CALL = 1.0


@dataclass(frozen=True)
class Cost:
    """What a lookup method is likely to take: API calls and seconds."""

    call_count: int
    seconds: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.call_count + other.call_count, self.seconds + other.seconds)

    @property
    def weighted_seconds(self) -> float:
        """Calls and seconds as one number, to compare costs."""
        return self.seconds + SECONDS_WORTH_ONE_CALL * self.call_count


def soql_lookup_cost(person_count: int, *, has_person_id_field: bool) -> Cost:
    """Return the cost of looking these persons up by SOQL.

    Each e-mail is looked up among leads and among contacts, each person id among leads.
    """
    calls = 2 * math.ceil(person_count / EMAILS_PER_CALL)
    if has_person_id_field:
        calls += math.ceil(person_count / PERSON_IDS_PER_CALL)
    return Cost(calls, calls * SECONDS_PER_CALL)


def soql_read_cost(record_count: int) -> Cost:
    """Return the cost of reading so many records by a SOQL query, page by page."""
    calls = math.ceil(record_count / RECORDS_PER_CALL)
    return Cost(calls, calls * SECONDS_PER_CALL)


def bulk_query_cost(record_count: int) -> Cost:
    """Return the cost of reading so many records by one bulk query: create, poll, read pages."""
    seconds = SECONDS_PER_JOB + record_count / RECORDS_PER_SECOND
    polls = SHORT_POLLS_PER_JOB + math.ceil(seconds / POLL_SECONDS)
    return Cost(1 + polls + max(1, math.ceil(record_count / RECORDS_PER_PAGE)), seconds)


def snapshot_build_cost(record_counts: Sequence[int]) -> Cost:
    """Return the cost of reading all records, given one count per kind of record.

    The org runs the bulk queries of all kinds in parallel.
    """
    jobs = [bulk_query_cost(count) for count in record_counts]
    return Cost(sum(job.call_count for job in jobs), max(job.seconds for job in jobs))


def snapshot_refresh_cost(changed_counts: Sequence[int]) -> Cost:
    """Return the cost of reading changed records, given one count per kind of record.

    Each kind costs one call more: records are counted afterwards, to detect erased ones.
    """
    total = Cost(len(changed_counts), len(changed_counts) * SECONDS_PER_CALL)
    for count in changed_counts:
        total += soql_read_cost(count) if is_soql_read_cheaper(count) else bulk_query_cost(count)
    return total


def is_soql_read_cheaper(record_count: int) -> bool:
    """Return whether so many records are read more cheaply by SOQL than by a bulk query."""
    by_soql, by_job = soql_read_cost(record_count), bulk_query_cost(record_count)
    return by_soql.weighted_seconds <= by_job.weighted_seconds


# Nothing has changed: leads and contacts are counted twice each (changed, and all), and no more.
CHEAPEST_REFRESH = Cost(4, 4 * SECONDS_PER_CALL)


def can_snapshot_be_cheaper(by_soql: Cost) -> bool:
    """Return whether a snapshot could be cheaper at all, if it existed and were up to date.

    If not, its cost need not be estimated, which takes API calls too.
    """
    return by_soql.weighted_seconds > CHEAPEST_REFRESH.weighted_seconds


def cheaper_method(by_soql: Cost, by_snapshot: Cost) -> LookupMethod:
    """Return the method with the lower cost."""
    is_cheaper = by_snapshot.weighted_seconds < by_soql.weighted_seconds
    return "snapshot" if is_cheaper else "soql"
