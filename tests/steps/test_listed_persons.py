"""Whoever is listed is read, or counted and told: nobody is lost without a word."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pipelines import flows
from pipelines.errors import ConfigurationError
from pipelines.orchestration import artifacts
from pipelines.run import checks, summary_lines
from pipelines.steps import extract, load, partition
from pipelines.steps.context import new_run_request
from tests.steps.scenario import Scenario
from tests.steps.worker_runs import in_threads

pytestmark = pytest.mark.one_engine

SENTENCE = "not read: their rows changed or vanished"
FOUR = """
    person_id | last_name | company | email           | updated_at
    P1        | Byron     | Engines | p1@here.example | 2026-01-01
    P2        | Noel      | Engines | p2@here.example | 2026-01-01
    P3        | King      | Engines | p3@here.example | 2026-01-01
    P4        |           | Engines | p4@here.example | 2026-01-01
"""


def remake(scenario: Scenario, type_: str, *ids: str) -> None:
    """A persons table of SQLite whose ids are of this type, with these ids."""
    scenario.run("drop table persons")
    scenario.run(f"create table persons (person_id {type_}, last_name, company, updated_at)")
    for number, one in enumerate(ids):
        scenario.run(f"insert into persons values ({one}, 'Name {number}', 'Engines', '2026')")


def sync_with(
    scenario: Scenario, after_listing: Callable[[], object], mode: str = "live", **groups: Any
) -> dict[str, Any]:
    """A run in which something happens between the list and the first slice."""

    def perform(step: Callable[..., Any], *arguments: Any) -> Any:
        count = step(*arguments)
        if step is extract.find_new_persons:
            after_listing()
        return count

    return flows.sync(scenario.settings(**groups), new_run_request(mode), perform)


def counts(told: dict[str, Any]) -> tuple[int, ...]:
    names = ("listed_count", "read_count", "taken_count", "unread_count")
    return tuple(told["run"][name] for name in names)


def lines_about_it(told: dict[str, Any]) -> list[str]:
    lines = [*summary_lines.as_lines(told), *artifacts.as_markdown(told).splitlines()]
    return [line for line in lines if "not read" in line]


# --- Ids of any kind in SQLite


@pytest.mark.parametrize("type_", ["", "integer", "text"])
@pytest.mark.parametrize("field", ["Person_Id__c", ""])
def test_words_and_numbers_in_one_column_all_become_leads(
    scenario: Scenario, type_: str, field: str
) -> None:
    remake(scenario, type_, "1", "2", "'x'")
    told = scenario.sync(salesforce={"person_id_field": field})
    assert (counts(told), scenario.outcome_counts()) == ((3, 3, 0, 0), {"created": 3})
    assert sorted(scenario.outcomes_by_id()) == ["1", "2", "x"]
    assert sorted(lead["LastName"] for lead in scenario.leads()) == ["Name 0", "Name 1", "Name 2"]
    assert scenario.sync(salesforce={"person_id_field": field})["run"]["read_count"] == 0
    assert lines_about_it(told) == []


def test_a_number_beside_the_same_word_is_one_person_and_never_a_lead_twice(
    scenario: Scenario,
) -> None:
    remake(scenario, "", "1", "'1'", "2")
    told = scenario.sync()
    assert counts(told) == (2, 2, 0, 0)
    assert scenario.rejections() == {("1", "person_id_repeated")}
    assert scenario.outcome_counts() == {"rejected": 1, "created": 1}
    scenario.run("delete from persons where typeof(person_id) = 'text'")
    scenario.sync()
    assert scenario.outcome_counts() == {"created": 2}
    assert sorted(lead["Person_Id__c"] for lead in scenario.leads()) == ["1", "2"]


@pytest.mark.parametrize("type_", ["", "integer", "text"])
def test_bytes_for_an_id_are_rejected_and_told(scenario: Scenario, type_: str) -> None:
    remake(scenario, type_, "x'5031'", "'P1'")
    told = scenario.sync(run={"allowed_reject_share": 1})
    assert counts(told) == (2, 2, 0, 0)
    assert scenario.rejections() == {("X'5031'", "person_id_malformed")}
    assert scenario.outcomes_by_id()["P1"]["outcome"] == "created"
    assert scenario.sync()["run"]["read_count"] == 0


def test_a_column_of_bytes_is_refused_before_anybody_is_read(scenario: Scenario) -> None:
    remake(scenario, "blob", "x'5031'")
    with pytest.raises(
        ConfigurationError, match=r"person_id of persons holds bytes \(BLOB\)"
    ) as caught:
        scenario.sync()
    assert caught.value.exit_code == 2
    found = {one.subject: one for one in checks.check(scenario.settings())}
    assert "holds bytes" in found["persons table"].message
    assert scenario.outcomes_by_id() == {}


@pytest.mark.parametrize("type_", ["", "integer", "text"])
def test_now_takes_ids_of_any_kind(scenario: Scenario, type_: str) -> None:
    remake(scenario, type_, "1", "'x'", "3")
    told = scenario.sync("now", person_ids=("1", "x"))
    assert [one["outcome"] for one in told["persons"]] == ["created", "created"]
    assert sorted(scenario.outcomes_by_id()) == ["1", "x"]


@pytest.mark.parametrize("type_", ["", "integer", "text"])
def test_a_run_cut_off_finds_ids_of_any_kind_again(scenario: Scenario, type_: str) -> None:
    class CutOff(BaseException):
        pass

    def perform(step: Callable[..., Any], *arguments: Any) -> Any:
        count = step(*arguments)
        if step is partition.partition_slice:
            raise CutOff
        return count

    remake(scenario, type_, "1", "2", "'x'")
    with pytest.raises(CutOff):
        flows.sync(scenario.settings(), new_run_request("live"), perform)
    assert len(scenario.under_way()) == 3
    scenario.sync("resume")
    assert (scenario.outcome_counts(), scenario.under_way()) == ({"created": 3}, [])


# --- Rows that change or vanish between the list and the reading


def test_whose_id_has_changed_is_told_and_found_by_the_next_run(
    any_scenario: Scenario, caplog: pytest.LogCaptureFixture
) -> None:
    any_scenario.put(FOUR)
    renamed = "update persons set person_id = 'N' || person_id where person_id in ('P1', 'P2')"
    with caplog.at_level(logging.WARNING, "pipelines"):
        told = sync_with(any_scenario, lambda: any_scenario.run(renamed))
    assert counts(told) == (4, 2, 0, 2)
    expected = f"2 listed persons were {SENTENCE}; those still there stay new, and the next"
    assert [line.startswith(expected) for line in lines_about_it(told)] == [True, True]
    assert expected in caplog.text
    assert sorted(any_scenario.outcomes_by_id()) == ["P3", "P4"]
    again = any_scenario.sync()
    assert (counts(again), lines_about_it(again)) == ((2, 2, 0, 0), [])
    assert any_scenario.outcome_counts() == {"created": 3, "rejected": 1}
    assert any_scenario.miscounted_runs() == []


def test_a_view_whose_ids_move_loses_nobody_without_a_word(any_scenario: Scenario) -> None:
    schema = "public." if any_scenario.engine.dialect.name == "postgresql" else ""
    any_scenario.put(FOUR)
    any_scenario.run(f"create table {schema}moved (by_many integer)")
    any_scenario.run(f"insert into {schema}moved values (0)")
    columns = "last_name, company, email, updated_at"
    any_scenario.run(
        f"create view {schema}moving as select person_id || '-' || moved.by_many as person_id, "
        f"{columns} from {schema}persons cross join {schema}moved"
    )
    groups = {"warehouse": {"persons": f"{schema}moving"}}
    told = sync_with(
        any_scenario, lambda: any_scenario.run("update moved set by_many = 1"), **groups
    )
    assert counts(told) == (4, 0, 0, 4)
    assert len(lines_about_it(told)) == 2
    again = any_scenario.sync(**groups)
    assert (counts(again), any_scenario.outcome_counts()) == (
        (4, 4, 0, 0),
        {"created": 3, "rejected": 1},
    )


def test_whose_row_is_gone_is_told_and_not_looked_for_again(any_scenario: Scenario) -> None:
    any_scenario.put(FOUR)
    gone = "delete from persons where person_id = 'P3'"
    told = sync_with(any_scenario, lambda: any_scenario.run(gone))
    assert counts(told) == (4, 3, 0, 1)
    assert [line[:23] for line in lines_about_it(told)] == ["1 listed person was not"] * 2
    assert counts(any_scenario.sync()) == (0, 0, 0, 0)


def test_a_row_that_changes_before_it_is_sent_is_told_too(any_scenario: Scenario) -> None:
    any_scenario.put(FOUR)

    def perform(step: Callable[..., Any], *arguments: Any) -> Any:
        # As if the process had been another: the payload is built again.
        if step is load.load_batches:
            arguments[0].in_flight.payloads.clear()
            any_scenario.run("update persons set company = 'Looms' where person_id = 'P2'")
        return step(*arguments)

    told = flows.sync(any_scenario.settings(), new_run_request("live"), perform)
    assert counts(told) == (4, 3, 0, 1)
    any_scenario.sync()
    assert any_scenario.outcome_counts() == {"created": 3, "rejected": 1}
    assert any_scenario.unaccounted() == []


def test_whom_another_run_has_taken_is_not_missing(any_scenario: Scenario) -> None:
    any_scenario.put(FOUR)
    asked = ("P1", "P4")
    told = sync_with(any_scenario, lambda: any_scenario.sync("now", person_ids=asked))
    assert counts(told) == (4, 2, 2, 0)
    assert lines_about_it(told) == []
    assert any_scenario.outcome_counts() == {"created": 3, "rejected": 1}
    assert any_scenario.unaccounted() == []


def test_a_plan_tells_it_as_well(any_scenario: Scenario) -> None:
    any_scenario.put(FOUR)
    gone = "delete from persons where person_id = 'P3'"
    told = sync_with(any_scenario, lambda: any_scenario.run(gone), "plan")
    assert counts(told) == (4, 3, 0, 1)
    assert len(lines_about_it(told)) == 2


def test_workers_of_one_run_count_together(any_scenario: Scenario) -> None:
    any_scenario.put(FOUR)
    settings = any_scenario.settings(run={"slice_size": 1, "poll_seconds": 0.02})
    gone = "delete from persons where person_id in ('P1', 'P3')"

    def perform(step: Callable[..., Any], *arguments: Any) -> Any:
        count = step(*arguments)
        if step is extract.find_new_persons:
            any_scenario.run(gone)
        return count

    request = new_run_request("live", workers=2)
    told = flows.sync(settings, request, perform, partial(in_threads, settings))
    assert counts(told) == (4, 2, 0, 2)


def test_a_run_that_ends_badly_has_counted_nothing(any_scenario: Scenario) -> None:
    any_scenario.put(FOUR)

    def stop() -> None:
        raise ConfigurationError("stopped here")

    with pytest.raises(ConfigurationError):
        sync_with(any_scenario, stop)
    (run,) = any_scenario.rows("select listed_count, unread_count from sync_runs")
    assert tuple(run.values()) == (None, 0)
