"""Somebody asks for a person at once while the nightly run is under way, and many runs at once.

The nightly run is a process of its own, and the org is slow enough for it to be really under way.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.salesforce.servers import Emulator
from tests.steps.scenario import PlainRun, Scenario, make_persons

SLOW = "\n[behaviour]\nqueue_seconds = {}\nrows_per_second = {}\n"
HURRIED = {"run": {"slice_size": 50, "batch_size": 20, "batch_size_without_field": 20}}
IDS = tuple(make_persons(300)["person_id"])


def wait_until(happens: Callable[[], Any], what: str) -> None:
    """Until it happens; a minute at the most."""
    give_up_at = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < give_up_at, f"{what} never happened"
        time.sleep(0.01)


def wait_until_sent(scenario: Scenario) -> None:
    """Until the nightly run has closed its first job."""
    wait_until(lambda: scenario.emulator.served("PATCH .*/jobs/ingest/.* 200"), "the first close")


def leads_of_each(scenario: Scenario) -> Counter[str]:
    """How many leads each e-mail has in the org."""
    return Counter(lead["Email"] for lead in scenario.leads())


def test_now_of_a_person_under_way_says_so_and_makes_no_second_lead(
    any_scenario: Scenario, tmp_path: Path
) -> None:
    any_scenario.set_org(SLOW.format(2, 0))
    any_scenario.put_frame(make_persons(20))
    config = any_scenario.write_settings(tmp_path / "settings.toml")
    with any_scenario.start(config, "live") as nightly:
        wait_until_sent(any_scenario)
        (person,) = any_scenario.sync("now", person_ids=("P0007",))["persons"]
        assert nightly.process.poll() is None, "the nightly run was over too early to tell"
        code, told = nightly.answer()
    assert (person["outcome"], person["batch_state"]) == ("open", "submitted")
    assert (code, told["run"]["created_count"]) == (0, 20)
    assert any_scenario.unaccounted() == []
    assert set(leads_of_each(any_scenario).values()) == {1}


def test_now_of_a_person_the_nightly_run_has_not_come_to_makes_the_lead_at_once(
    any_scenario: Scenario, tmp_path: Path
) -> None:
    any_scenario.set_org(SLOW.format(2, 0))
    any_scenario.put_frame(make_persons(20))
    slices = {"run": {"slice_size": 10, "open_batches": 1}}
    config = any_scenario.write_settings(tmp_path / "settings.toml", **slices)
    with any_scenario.start(config, "live") as nightly:
        wait_until_sent(any_scenario)
        (person,) = any_scenario.sync("now", person_ids=("P0020",))["persons"]
        assert nightly.process.poll() is None, "the nightly run was over too early to tell"
        code, told = nightly.answer()
    assert person["outcome"] == "created"
    assert (code, told["run"]["created_count"]) == (0, 19)
    assert any_scenario.unaccounted() == []
    assert any_scenario.outcome_counts() == {"created": 20}


def test_now_of_a_newcomer_does_not_wait_for_the_nightly_run(
    any_scenario: Scenario, tmp_path: Path
) -> None:
    any_scenario.set_org(SLOW.format(2, 0))
    any_scenario.put_frame(make_persons(20))
    config = any_scenario.write_settings(tmp_path / "settings.toml")
    with any_scenario.start(config, "live") as nightly:
        wait_until_sent(any_scenario)
        any_scenario.put(
            "person_id | last_name | company | email\nN1 | New | Engines | n@new.example"
        )
        (person,) = any_scenario.sync("now", person_ids=("N1",))["persons"]
        assert nightly.process.poll() is None, "now has waited for the nightly run"
        assert nightly.answer()[0] == 0
    assert person["outcome"] == "created"
    assert any_scenario.unaccounted() == []


def test_now_of_somebody_with_the_same_email_as_one_under_way_is_a_duplicate(
    any_scenario: Scenario, tmp_path: Path
) -> None:
    any_scenario.set_org(SLOW.format(2, 0))
    any_scenario.put_frame(make_persons(5))
    config = any_scenario.write_settings(tmp_path / "settings.toml")
    with any_scenario.start(config, "live") as nightly:
        wait_until_sent(any_scenario)
        any_scenario.put(
            "person_id | last_name | company | email\nN1 | New | X | P3@persons.example"
        )
        (person,) = any_scenario.sync("now", person_ids=("N1",))["persons"]
        assert nightly.answer()[0] == 0
    assert (person["outcome"], person["matched"]) == ("duplicate", "persons P0003")
    assert leads_of_each(any_scenario)["p3@persons.example"] == 1
    assert any_scenario.unaccounted() == []


def test_what_a_killed_now_has_left_open_the_nightly_run_carries_on(
    any_scenario: Scenario, tmp_path: Path
) -> None:
    any_scenario.set_org(SLOW.format(1, 0), person_id_field=False)
    any_scenario.put_frame(make_persons(1))
    without = {"salesforce": {"person_id_field": ""}}
    config = any_scenario.write_settings(tmp_path / "settings.toml", **without)
    with any_scenario.start(config, "now", "P0001") as now:
        wait_until_sent(any_scenario)
        now.kill()
    any_scenario.sync(**without)
    assert any_scenario.outcome_counts() == {"created": 1}
    assert any_scenario.unaccounted() == []


def start_all(stack: ExitStack, scenario: Scenario, config: Path) -> list[PlainRun]:
    """Two nightly runs and a now of everybody, ready at about the same time."""
    modes = [("live",), ("live",), ("now", *IDS)]
    started = [stack.enter_context(scenario.start(config, *words)) for words in modes]
    for one in started:
        one.wait_until_ready()
    return started


# The other two pairs are among the programme of `make test-crash`, and its sample.
@pytest.mark.parametrize(
    ("warehouse_url", "has_field"),
    [("sqlite", False), ("postgres", True)],
    indirect=["warehouse_url"],
    ids=["sqlite without the field", "postgres with the field"],
)
def test_three_runs_at_once_over_the_same_persons_make_each_one_lead(
    any_scenario: Scenario, tmp_path: Path, has_field: bool
) -> None:
    any_scenario.set_org(SLOW.format(0.1, 2000), person_id_field=has_field)
    any_scenario.put_frame(make_persons(300))
    without = {} if has_field else {"salesforce": {"person_id_field": ""}}
    config = any_scenario.write_settings(tmp_path / "settings.toml", **HURRIED, **without)
    with ExitStack() as stack:
        answers = [one.answer() for one in start_all(stack, any_scenario, config)]
    assert [told for code, told in answers if "run" not in told] == []
    states = any_scenario.rows("select run_state from sync_runs")
    assert [row["run_state"] for row in states] == ["finished"] * 3
    assert sum(told["run"]["created_count"] for _, told in answers) == 300
    assert (any_scenario.miscounted_runs(), any_scenario.under_way()) == ([], [])
    assert any_scenario.unaccounted() == []
    assert set(leads_of_each(any_scenario).values()) == {1}


def test_a_lock_held_for_longer_than_postgresql_waits_is_waited_for_again(
    postgres_url: str, emulator_process: Emulator
) -> None:
    """A slice of a hundred thousand is recorded for seconds, and holds whatever it has claimed.
    (SQLite has one lock for everything, and waits for it three times as long.)"""
    scenario = Scenario(postgres_url, emulator_process)
    scenario.put_frame(make_persons(2))
    scenario.sync("resume")  # the tables are there
    holder = scenario.engine.connect()
    holder.exec_driver_sql("""
        insert into person_claims
        (person_id, batch_id, run_id, claimed_at, owner_strategy, row_hash, attempt_count)
        values ('P0001', 'B', 'R', '2026-01-01', 'rules', '', 1)
    """)
    release = threading.Timer(4, holder.rollback)
    release.start()
    (person,) = scenario.sync("now", person_ids=("P0001",))["persons"]
    release.join()
    holder.close()
    scenario.engine.dispose()
    assert person["outcome"] == "created"
