"""A plan, and the run that follows it; without Prefect, on each engine."""

from __future__ import annotations

import tomllib

import pytest

from pipelines.demo.sample_data import DATA, read_persons
from tests.cli.conftest import (
    CommandLine,
    held,
)
from tests.steps.scenario import Scenario

pytestmark = pytest.mark.one_engine

DECIDED = {
    "create": "created",
    "update": "updated",
    "duplicate": "duplicate",
    "reject": "rejected",
}


# Only Salesforce's own duplicate rules, asked at the insert itself, can tell of these.
FOUND_BY_SALESFORCE = {"P0166", "P0167", "P0168"}


PLANNED = "select person_id, decision, owner_strategy, matched_id, reason_code from planned_persons"


@pytest.fixture
def demo_scenario(any_scenario: Scenario) -> Scenario:
    """The demo's persons, org and owner choices, on each engine in turn."""
    persons = read_persons(DATA / "persons.csv")
    persons.to_sql("demo_persons", any_scenario.engine, index=False)
    any_scenario.emulator.reset((DATA / "org.toml").read_text(encoding="utf-8"))
    choices = tomllib.loads((DATA / "owner-choices.toml").read_text(encoding="utf-8"))
    any_scenario.choices = {
        "warehouse": {"persons": "demo_persons"},
        "salesforce": {"consumer_key": "demo-key", "consumer_secret": "demo-secret"},
        "owners": choices["owners"],
    }
    return any_scenario


@pytest.mark.parametrize("slice_size", [60, 10_000])
def test_a_live_run_does_what_was_planned_person_by_person(
    demo_scenario: Scenario, slice_size: int
) -> None:
    before = held(demo_scenario)
    plan = demo_scenario.sync("plan", run={"slice_size": slice_size})
    assert held(demo_scenario) == before
    assert demo_scenario.outcomes_by_id() == {}
    planned = {row["person_id"]: row for row in demo_scenario.rows(PLANNED)}
    demo_scenario.sync(run={"slice_size": slice_size})
    outcomes = demo_scenario.outcomes_by_id()
    assert planned.keys() == outcomes.keys()
    changed = {
        one for one in planned if DECIDED[planned[one]["decision"]] != outcomes[one]["outcome"]
    }
    assert changed == FOUND_BY_SALESFORCE
    for one, row in planned.items():
        assert row["owner_strategy"] == outcomes[one]["owner_strategy"], one
    assert sum(row["person_count"] for row in plan["planned"]) == len(planned)


def test_a_plan_counts_whom_it_would_create_and_reject(cli: CommandLine) -> None:
    reported = cli.scenario.sync("plan")
    counts = {row["decision"]: row["person_count"] for row in reported["planned"]}
    assert counts == {"create": 1, "reject": 1}
    assert cli.written() == {"planned_persons": 2}


def test_a_second_plan_finds_the_same(cli: CommandLine) -> None:
    first, second = cli.scenario.sync("plan"), cli.scenario.sync("plan")
    assert first["planned"] == second["planned"]


@pytest.mark.parametrize("mode", ["plan", "live"])
def test_one_person_in_several_slices_is_found_twice_and_made_once(
    any_scenario: Scenario, mode: str
) -> None:
    lines = [f"P{n} | Lovelace{n} | Engines | ada@x.example | 2026-01-0{n}" for n in range(1, 9)]
    any_scenario.put("\n".join(["person_id | last_name | company | email | created_at", *lines]))
    any_scenario.sync(mode, run={"slice_size": 3})
    table, column = (
        ("planned_persons", "decision") if mode == "plan" else ("person_outcomes", "outcome")
    )
    found = any_scenario.rows(f"select person_id, {column} as what from {table} order by person_id")
    assert [row["what"].removesuffix("d") for row in found] == ["create", *["duplicate"] * 7]
    assert len(any_scenario.leads()) == (0 if mode == "plan" else 1)
