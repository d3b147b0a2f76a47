"""Persons get the owner of their strategy, or are rejected."""

from __future__ import annotations

import pytest

from pipelines.rules.owner_strategies import resolve
from pipelines.rules.owners import StrategyUnresolvedError, assign_owners
from pipelines.rules.rejections import REJECTED_COLUMNS
from tests.rules.tables import as_persons, frame, text
from tests.rules.test_owner_strategies import ADA, DACH, DIRECTORY, ROUTING


def assigned(*written: str):
    persons = as_persons(frame(city=["x"] * len(written)))
    strategies = text(*written)
    resolved = {one: resolve(one, DIRECTORY) for one in written}
    return assign_owners(persons, strategies, resolved)


def test_each_person_gets_the_owner_of_their_strategy():
    accepted = assigned("rules", "USER:ada@acme.example", "queue:DACH_Inbound").accepted
    columns = ["owner_strategy", "owner_id", "owner_name", "owner_type", "assignment_rule_id"]
    assert accepted[columns].astype(object).where(
        accepted[columns].notna(), None
    ).values.tolist() == [
        ["rules", None, None, None, ROUTING],
        ["user:ada@acme.example", ADA, "Ada", "user", None],
        ["queue:DACH_Inbound", DACH, "DACH Inbound", "queue", None],
    ]
    assert (accepted[columns].dtypes == "str").all()


def test_a_persons_bad_strategy_rejects_that_person_alone():
    accepted, rejected = assigned("rules", "user:Nobody", "Queue DACH", "rules")
    assert accepted["person_id"].tolist() == ["1", "4"]
    assert tuple(rejected.columns) == REJECTED_COLUMNS
    shown = rejected[["person_id", "rule_name", "stage", "field_name", "observed_value"]]
    assert shown.values.tolist() == [
        ["2", "owner_unknown", "owner", "owner_strategy", "user:Nobody"],
        ["3", "owner_strategy_malformed", "owner", "owner_strategy", "Queue DACH"],
    ]
    assert not rejected["is_retryable"].any()


def test_without_persons_nothing_is_assigned():
    persons = as_persons(frame(city=["x"])).iloc[:0]
    accepted, rejected = assign_owners(persons, text(), {})
    assert (len(accepted), len(rejected)) == (0, 0)
    assert accepted["owner_id"].dtype == "str"


def test_a_strategy_that_was_not_resolved_is_an_error():
    with pytest.raises(StrategyUnresolvedError):
        assign_owners(as_persons(frame(city=["x"])), text("rules"), {})
