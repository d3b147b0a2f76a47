"""Several workers share one run: everybody ends as by one alone, and nobody twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines import flows
from pipelines.errors import (
    ConfigurationError,
    DeadlineReachedError,
    OrgRejectedError,
    RunEndedError,
)
from pipelines.run import workers
from pipelines.steps import extract
from pipelines.steps.context import RunContext, new_run_request, slice_size_for
from pipelines.warehouse import ledger
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario, make_persons_of_one_strategy
from tests.steps.worker_runs import (
    KNOWN,
    SMALL,
    everything_said,
    in_threads,
    make_mixed_persons,
    sync_together,
)


def settled_by(scenario: Scenario, seed: int, count: int) -> dict[str, Any]:
    """What is said of mixed persons after so many workers have synced it."""
    scenario.set_org(KNOWN)
    scenario.put_frame(make_mixed_persons(seed, 70))
    sync_together(scenario, count, run=SMALL, matching={"existing_contact": "update"})
    assert (scenario.unaccounted(), scenario.under_way(), scenario.miscounted_runs()) == (
        [],
        [],
        [],
    )
    return everything_said(scenario)


def differences(*said: dict[str, list[dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """What only one of the two has said."""
    one, other = said
    return [
        (which, row)
        for which in one
        for these, those in ((one, other), (other, one))
        for row in these[which]
        if row not in those[which]
    ]


@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_four_threads_end_as_one_worker_person_by_person(
    seed: int, migrated_sqlite: Path, emulator_process: Emulator, tmp_path: Path
) -> None:
    said = []
    for count in (1, 4):
        file = shutil.copy(migrated_sqlite, tmp_path / f"{count}.db")
        scenario = Scenario(f"sqlite:///{file}", emulator_process)
        said.append(settled_by(scenario, seed, count))
        scenario.engine.dispose()
    assert differences(*said) == []


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_workers_make_each_person_one_lead_on_each_engine(
    any_scenario: Scenario, count: int
) -> None:
    any_scenario.put_frame(make_persons_of_one_strategy(30))
    told = sync_together(any_scenario, count, run=SMALL)
    assert (told["run"]["created_count"], told["run"]["run_state"]) == (30, "finished")
    assert (any_scenario.unaccounted(), any_scenario.miscounted_runs()) == ([], [])


@pytest.mark.one_engine
def test_without_the_person_id_field_too(any_scenario: Scenario) -> None:
    any_scenario.set_org(KNOWN, person_id_field=False)
    any_scenario.put_frame(make_mixed_persons(9, 40))
    sync_together(any_scenario, 3, run=SMALL, salesforce={"person_id_field": ""})
    assert (any_scenario.unaccounted(), any_scenario.miscounted_runs()) == ([], [])


def test_there_are_no_more_workers_than_slices(scenario: Scenario) -> None:
    scenario.put_frame(make_persons_of_one_strategy(3))
    sync_together(scenario, 4, run=SMALL)
    # Alone, nobody takes turns.
    assert scenario.rows("select claimed_position, committed_position from sync_runs") == [
        {"claimed_position": 0, "committed_position": 0}
    ]


def test_all_workers_are_counted_at_the_org(scenario: Scenario) -> None:
    scenario.put_frame(make_persons_of_one_strategy(30))
    told = sync_together(scenario, 3, run=SMALL)
    asked = scenario.emulator.served(r"/services/data|oauth2/token")
    assert told["run"]["api_call_count"] == len(asked)


# --- Trouble

SLOW = "\n[behaviour]\nqueue_seconds = 2.0\n"


@pytest.mark.one_engine
def test_when_one_worker_fails_the_others_stop_and_the_next_run_carries_on(
    any_scenario: Scenario,
) -> None:
    any_scenario.set_org(SLOW)
    any_scenario.put_frame(make_persons_of_one_strategy(40))
    any_scenario.emulator.go_wrong({"match": "POST /jobs/ingest", "nth": 3, "fault": "status:400"})
    with pytest.raises(OrgRejectedError):
        sync_together(any_scenario, 3, run=SMALL)
    (ended,) = any_scenario.rows("select run_state, error_code, committed_position from sync_runs")
    assert (ended["run_state"], ended["error_code"]) == ("failed", "OrgRejectedError")
    assert any_scenario.under_way()
    assert any_scenario.unaccounted_but_new() == []
    any_scenario.sync(run=SMALL)
    assert any_scenario.outcome_counts() == {"created": 40}
    assert (any_scenario.unaccounted(), any_scenario.miscounted_runs()) == ([], [])


@pytest.mark.one_engine
def test_a_slice_whose_worker_is_gone_is_judged_by_whoever_waits_for_it(
    any_scenario: Scenario,
) -> None:
    any_scenario.put_frame(make_persons_of_one_strategy(30))
    gone = take_slices_before(2)
    settings = any_scenario.settings(run={**SMALL, "retry_timeout_seconds": 0.3})
    request = new_run_request("live", workers=3)
    told = flows.sync(settings, request, gone, partial(in_threads, settings))
    assert told["run"]["created_count"] == 30
    assert (any_scenario.unaccounted(), any_scenario.miscounted_runs()) == ([], [])


@pytest.mark.one_engine
def test_the_run_itself_does_what_none_of_its_workers_has_done(any_scenario: Scenario) -> None:
    any_scenario.put_frame(make_persons_of_one_strategy(30))
    settings = any_scenario.settings(run=SMALL)
    request = new_run_request("live", workers=2)
    told = flows.sync(settings, request, take_slices_before(99), partial(in_threads, settings))
    assert told["run"]["created_count"] == 30
    assert any_scenario.unaccounted() == []


def take_slices_before(count: int) -> Callable[..., int]:
    """Performs a run's steps; so many slices are taken by somebody who dies at once."""

    def perform(step: Callable[..., Any], run: RunContext, *more: Any) -> Any:
        answer = step(run, *more)
        if step is extract.find_new_persons:
            store, size = run.warehouse, run.slice_size
            for _ in range(count):
                ledger.claim_slice(store, run.request.run_id, size=size, count=run.person_count)
        return answer

    return perform


def test_a_worker_with_other_settings_is_told_so(scenario: Scenario) -> None:
    scenario.put_frame(make_persons_of_one_strategy(20))
    settings = scenario.settings(run=SMALL)
    other = scenario.settings(run=SMALL, matching={"deleted": "report"})
    request = new_run_request("live", workers=2)
    with pytest.raises(ConfigurationError, match="give every machine the same settings file"):
        flows.sync(settings, request, flows.call_step, partial(in_threads, other))
    assert scenario.leads() == []


def test_a_worker_stops_at_the_deadline_of_its_run(scenario: Scenario) -> None:
    scenario.set_org("\n[behaviour]\nqueue_seconds = 600.0\n")
    scenario.put_frame(make_persons_of_one_strategy(30))
    with pytest.raises(DeadlineReachedError):
        sync_together(scenario, 3, run={**SMALL, "deadline_minutes": 0.05})
    assert scenario.rows("select run_state from sync_runs") == [{"run_state": "deadline"}]


# --- The run dies over its workers


@pytest.mark.slow
def test_workers_whose_run_is_declared_dead_stop_and_are_fenced_off(
    any_scenario: Scenario, tmp_path: Path
) -> None:
    any_scenario.set_org(SLOW)
    any_scenario.put_frame(make_persons_of_one_strategy(40))
    config = any_scenario.write_settings(tmp_path / "settings.toml", run=SMALL)
    settings = any_scenario.settings(run=SMALL)
    with open_crewless(config) as (process, share), ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(workers.work, share, lambda: settings) for _ in range(2)]
        wait_for(lambda: any_scenario.emulator.served("PATCH .*/jobs/ingest/.* 200"))
        process.kill()
        process.wait()
        any_scenario.sync("resume", run=SMALL)
        for future in futures:
            with pytest.raises(RunEndedError):
                future.result(60)
    states = any_scenario.rows("select run_mode, error_code from sync_runs order by started_at")
    assert [tuple(row.values()) for row in states] == [("live", "PROCESS_DIED"), ("resume", None)]
    any_scenario.sync(run=SMALL)
    assert any_scenario.outcome_counts() == {"created": 40}
    assert (any_scenario.unaccounted(), any_scenario.miscounted_runs()) == ([], [])


@contextmanager
def open_crewless(config: Path) -> Iterator[tuple[subprocess.Popen[str], workers.WorkerSpec]]:
    """A run in a process of its own that lists persons and then waits; and its share."""
    command = [sys.executable, "-m", "tests.steps.run_without_workers", str(config)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes) as process:
        try:
            assert process.stdout is not None
            yield process, workers.WorkerSpec(**json.loads(process.stdout.readline()))
        finally:
            process.kill()


def wait_for(happens: Callable[[], Any]) -> None:
    give_up_at = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("persons", "asked", "sizes"),
    [
        (250_000, 1, [100_000, 100_000, 50_000]),
        (250_000, 4, [62_500] * 4),
        (900_000, 4, [100_000] * 9),
        (6_000, 4, [5_000, 1_000]),
        (0, 4, []),
    ],
)
def test_every_worker_gets_a_slice_where_persons_are_enough(
    persons: int, asked: int, sizes: list[int]
) -> None:
    size = slice_size_for(persons, asked, 100_000)
    assert [min(size, persons - before) for before in range(0, persons, size)] == sizes
