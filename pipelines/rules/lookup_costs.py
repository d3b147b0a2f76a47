"""How persons are best looked up among what Salesforce has: by lists of keys in SOQL, or against a
mirror that bulk queries fill and keep up to date. Estimates; nothing depends on them but the cost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Way = Literal["soql", "snapshot"]

# What an address of 15,000 bytes holds: e-mails of 25 characters, person ids of 10, quoted.
EMAILS_A_CALL = 375
PERSON_IDS_A_CALL = 700
RECORDS_A_CALL = 2_000
RECORDS_A_PAGE = 100_000

# By what a real org is said to take; a job waits its turn, and the waits between looks grow to 5 s.
SECONDS_A_CALL = 0.3
SECONDS_A_JOB = 10.0
POLLS_A_JOB = 6
POLL_SECONDS = 5.0
RECORDS_A_SECOND = 10_000

# Calls are rationed by the day and time is not: a call is weighed as if it took this long besides.
SECONDS_FOR_A_CALL = 1.0


@dataclass(frozen=True)
class Cost:
    """What a way is likely to take."""

    call_count: int
    seconds: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.call_count + other.call_count, self.seconds + other.seconds)

    @property
    def price(self) -> float:
        """Both in one number, to compare."""
        return self.seconds + SECONDS_FOR_A_CALL * self.call_count


def soql_cost(person_count: int, *, has_person_id_field: bool) -> Cost:
    """Looking so many persons up by lists: each e-mail among leads and contacts, each id among
    leads."""
    calls = 2 * math.ceil(person_count / EMAILS_A_CALL)
    if has_person_id_field:
        calls += math.ceil(person_count / PERSON_IDS_A_CALL)
    return Cost(calls, calls * SECONDS_A_CALL)


def cost_of_pages(record_count: int) -> Cost:
    """Reading so many records by pages of SOQL."""
    calls = math.ceil(record_count / RECORDS_A_CALL)
    return Cost(calls, calls * SECONDS_A_CALL)


def cost_of_job(record_count: int) -> Cost:
    """Reading so many records by one bulk query: asked for, awaited, its pages read."""
    seconds = SECONDS_A_JOB + record_count / RECORDS_A_SECOND
    polls = POLLS_A_JOB + math.ceil(seconds / POLL_SECONDS)
    return Cost(1 + polls + max(1, math.ceil(record_count / RECORDS_A_PAGE)), seconds)


def cost_of_filling(record_counts: Sequence[int]) -> Cost:
    """Reading everything there is, one count a kind of record; the kinds are read side by side."""
    jobs = [cost_of_job(count) for count in record_counts]
    return Cost(sum(job.call_count for job in jobs), max(job.seconds for job in jobs))


def cost_of_refreshing(changed_counts: Sequence[int]) -> Cost:
    """Reading what has changed, and counting afterwards whether anything has vanished."""
    total = Cost(len(changed_counts), len(changed_counts) * SECONDS_A_CALL)
    for count in changed_counts:
        by_pages, by_job = cost_of_pages(count), cost_of_job(count)
        total += by_pages if reads_by_pages(count) else by_job
    return total


def reads_by_pages(record_count: int) -> bool:
    """Whether so many records are read more cheaply by pages of SOQL than by a job."""
    return cost_of_pages(record_count).price <= cost_of_job(record_count).price


# Nothing has changed: every kind of record is counted twice, and that is all.
LEAST_OF_A_MIRROR = Cost(4, 4 * SECONDS_A_CALL)


def is_worth_asking(lists: Cost) -> bool:
    """Whether a mirror could be cheaper at all, were it there and up to date."""
    return lists.price > LEAST_OF_A_MIRROR.price


def cheaper_method(lists: Cost, mirror: Cost) -> Way:
    """The way of the lower price."""
    return "snapshot" if mirror.price < lists.price else "soql"
