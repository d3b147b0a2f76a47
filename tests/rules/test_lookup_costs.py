"""Which way known records are looked up: by what it is likely to take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.rules.lookup_costs import (
    LEAST_OF_A_MIRROR,
    Cost,
    cheaper_method,
    cost_of_filling,
    cost_of_job,
    cost_of_pages,
    cost_of_refreshing,
    is_worth_asking,
    reads_by_pages,
    soql_cost,
)

MILLION = 1_000_000


def lists(persons: int) -> Cost:
    return soql_cost(persons, has_person_id_field=True)


@pytest.mark.parametrize(
    ("persons", "leads", "way"),
    [
        (1, MILLION, "soql"),
        (1_000, MILLION, "soql"),
        (100_000, MILLION, "snapshot"),
        (MILLION, MILLION, "snapshot"),
        (MILLION, 10 * MILLION, "snapshot"),
        (10_000, 10 * MILLION, "soql"),
        (10_000, 1_000, "snapshot"),
    ],
)
def test_a_first_run_reads_everything_where_persons_are_many(
    persons: int, leads: int, way: str
) -> None:
    assert cheaper_method(lists(persons), cost_of_filling([leads, leads // 10])) == way


@pytest.mark.parametrize(
    ("persons", "changed", "way"),
    [
        (1, 0, "soql"),
        (300, 0, "soql"),
        (2_000, 0, "snapshot"),
        (2_000, 2_000, "snapshot"),
        (2_000, 500_000, "soql"),
        (MILLION, MILLION, "snapshot"),
    ],
)
def test_a_later_run_refreshes_where_less_has_changed_than_is_asked(
    persons: int, changed: int, way: str
) -> None:
    asked = is_worth_asking(lists(persons))
    found = cheaper_method(lists(persons), cost_of_refreshing([changed, 0])) if asked else "soql"
    assert found == way


def test_a_million_persons_against_a_million_leads_stay_below_a_hundred_calls() -> None:
    asked_first = 2  # how many there are
    assert cost_of_filling([MILLION, 0]).call_count + asked_first < 100
    assert lists(MILLION).call_count > 6_000


def test_for_a_few_the_org_is_not_even_asked() -> None:
    assert not is_worth_asking(lists(300))
    assert is_worth_asking(lists(2_000))


def test_without_the_field_only_emails_are_asked_for() -> None:
    assert soql_cost(700, has_person_id_field=False).call_count == 4
    assert soql_cost(700, has_person_id_field=True).call_count == 5


def test_few_changes_are_read_by_pages_and_many_by_a_job() -> None:
    assert reads_by_pages(6_000)
    assert not reads_by_pages(60_000)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_never_costs_less(one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    for cost in (lists, cost_of_pages, cost_of_job):
        assert cost(fewer).price <= cost(more).price
    assert LEAST_OF_A_MIRROR.price <= 2 * cost_of_refreshing([0, 0]).price
