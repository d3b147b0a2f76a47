"""Which lookup method is chosen, by its estimated cost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rules.lookup_costs import (
    CHEAPEST_REFRESH,
    Cost,
    bulk_query_cost,
    can_snapshot_be_cheaper,
    cheaper_method,
    is_soql_read_cheaper,
    snapshot_build_cost,
    snapshot_refresh_cost,
    soql_lookup_cost,
    soql_read_cost,
)

MILLION = 1_000_000


def by_soql(persons: int) -> Cost:
    return soql_lookup_cost(persons, has_person_id_field=True)


@pytest.mark.parametrize(
    ("persons", "leads", "method"),
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
def test_a_first_run_builds_a_snapshot_for_many_persons(
    persons: int, leads: int, method: str
) -> None:
    assert cheaper_method(by_soql(persons), snapshot_build_cost([leads, leads // 10])) == method


@pytest.mark.parametrize(
    ("persons", "changed", "method"),
    [
        (1, 0, "soql"),
        (300, 0, "soql"),
        (2_000, 0, "snapshot"),
        (2_000, 2_000, "snapshot"),
        (2_000, 500_000, "soql"),
        (MILLION, MILLION, "snapshot"),
    ],
)
def test_a_later_run_refreshes_where_less_has_changed_than_is_looked_up(
    persons: int, changed: int, method: str
) -> None:
    can_be = can_snapshot_be_cheaper(by_soql(persons))
    found = (
        cheaper_method(by_soql(persons), snapshot_refresh_cost([changed, 0])) if can_be else "soql"
    )
    assert found == method


def test_a_million_persons_against_a_million_leads_stay_below_a_hundred_calls() -> None:
    counting_calls = 2
    assert snapshot_build_cost([MILLION, 0]).call_count + counting_calls < 100
    assert by_soql(MILLION).call_count > 6_000


def test_for_few_persons_no_estimate_is_made() -> None:
    assert not can_snapshot_be_cheaper(by_soql(300))
    assert can_snapshot_be_cheaper(by_soql(2_000))


def test_without_the_field_only_emails_are_looked_up() -> None:
    assert soql_lookup_cost(700, has_person_id_field=False).call_count == 4
    assert soql_lookup_cost(700, has_person_id_field=True).call_count == 5


def test_few_changes_are_read_by_soql_and_many_by_a_bulk_query() -> None:
    assert is_soql_read_cheaper(6_000)
    assert not is_soql_read_cheaper(60_000)


@settings(deadline=None)
@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_never_costs_less(one: int, other: int) -> None:
    fewer, more = sorted((one, other))
    for cost in (by_soql, soql_read_cost, bulk_query_cost):
        assert cost(fewer).weighted_seconds <= cost(more).weighted_seconds
    assert CHEAPEST_REFRESH.weighted_seconds <= 2 * snapshot_refresh_cost([0, 0]).weighted_seconds
