"""A run is killed without a word at ten instants, spread over all that it asks of the org; then
`resume`, then a run: nobody lost, no lead twice.

Progress is counted in requests, not in seconds, so that a busy machine kills no later: a seeded
share of those of a clean run, and some milliseconds more.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.salesforce.servers import Emulator
from tests.steps.scenario import PlainRun, Scenario, make_persons

BUSY = """
[behaviour]
queue_seconds = 0.05
rows_per_second = 1000
[[lead]]
LastName = "Known"
Company = "Known"
Email = "p1@persons.example"
[[lead]]
LastName = "Known"
Company = "Known"
Email = "p3@persons.example"
"""
# Persons of a queue whom the org has as contacts: they travel by collections.
CONTACTS = """
[[contact]]
LastName = "Known"
Email = "p2@persons.example"
[[contact]]
LastName = "Known"
Email = "p42@persons.example"
"""
# Polls are not counted: how many there are is a matter of speed.
ASKED = r"(?<!GET) \S*/jobs/ingest|Results|unprocessed|query|composite|describe"
COUNT = 60


@dataclass(frozen=True)
class Instant:
    """When a run is killed, and on which scenario."""

    number: int
    share: float
    seconds: float
    engine: str
    has_field: bool

    def __str__(self) -> str:
        field = "with" if self.has_field else "without"
        return f"{self.number} at {self.share:.0%} on {self.engine} {field} the field"


def instants() -> list[Instant]:
    """Ten, one in each tenth of a run; each engine, with and without the field, in turn."""
    chance = random.Random(20260731)  # noqa: S311 - a seed, not a secret
    kinds = [("sqlite", True), ("postgres", False), ("sqlite", False), ("postgres", True)]
    return [
        Instant(n, (n + chance.random()) / 10.5, chance.random() / 50, *kinds[n % 4])
        for n in range(10)
    ]


def prepare(scenario: Scenario, has_field: bool = True) -> dict[str, dict[str, Any]]:
    """An org that knows a few, persons to sync, and the settings: small batches of each kind."""
    # Without the field nobody can know what a lost collections call did: the design holds those.
    scenario.set_org(BUSY + (CONTACTS if has_field else ""), person_id_field=has_field)
    scenario.put_frame(make_persons(COUNT))
    return {
        "run": {"slice_size": 20, "open_batches": 2, "poll_seconds": 0.05},
        "matching": {"existing_lead": "update"},
        "salesforce": {"person_id_field": "Person_Id__c" if has_field else ""},
    }


def asked(scenario: Scenario) -> int:
    """How many requests the org has seen that are no polls."""
    return len(scenario.emulator.served(ASKED))


@pytest.fixture(scope="module")
def clean_counts(
    emulator_process: Emulator, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, int]:
    """How many requests a run makes that nobody kills, with and without the field."""
    counts = {}
    for has_field in (True, False):
        file = tmp_path_factory.mktemp("clean") / "warehouse.db"
        scenario = Scenario(f"sqlite:///{shutil.copy(migrated_sqlite, file)}", emulator_process)
        scenario.sync(**prepare(scenario, has_field))
        assert scenario.outcome_counts() == {"created": COUNT - 2, "updated": 2}
        scenario.engine.dispose()
        counts[has_field] = asked(scenario)
    return counts


@pytest.fixture
def instant_scenario(
    request: pytest.FixtureRequest, instant: Instant, emulator_process: Emulator
) -> Iterator[Scenario]:
    """The scenario that the instant wants."""
    url = request.getfixturevalue(f"{instant.engine}_warehouse_url")
    scenario = Scenario(url, emulator_process)
    yield scenario
    scenario.engine.dispose()


def kill_at(scenario: Scenario, run: PlainRun, count: int, seconds: float) -> None:
    """Kill the run when it has asked so often, and a little later than that."""
    run.wait_until_ready()
    while asked(scenario) < count and run.process.poll() is None:
        time.sleep(0.002)
    time.sleep(seconds)
    assert run.process.poll() is None, f"over before it could be killed: {run.answer()}"
    run.kill()


# Five of the ten, every kind of scenario among them, are enough for whoever cannot wait.
AT_ONCE = (0, 3, 5, 6, 9)
INSTANTS = [
    pytest.param(one, marks=[] if one.number in AT_ONCE else pytest.mark.slow) for one in instants()
]


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
def test_a_killed_run_is_carried_on_with_nobody_lost_and_no_lead_twice(
    instant: Instant, instant_scenario: Scenario, clean_counts: dict[bool, int], tmp_path: Path
) -> None:
    scenario = instant_scenario
    groups = prepare(scenario, instant.has_field)
    config = scenario.write_settings(tmp_path / "settings.toml", **groups)
    with scenario.start(config, "live") as run:
        kill_at(
            scenario, run, int(instant.share * clean_counts[instant.has_field]), instant.seconds
        )
    assert scenario.unaccounted_but_new() == []
    with scenario.start(config, "resume") as resumed:
        code, told = resumed.answer()
    assert (code, scenario.under_way()) == (0, []), told
    scenario.sync(**groups)
    assert scenario.outcome_counts() == {"created": COUNT - 2, "updated": 2}
    assert (scenario.unaccounted(), scenario.miscounted_runs()) == ([], [])
    assert set(Counter(lead["Email"] for lead in scenario.leads()).values()) == {1}


def test_a_killed_run_is_told_as_failed_by_the_next_one(scenario: Scenario, tmp_path: Path) -> None:
    config = scenario.write_settings(tmp_path / "settings.toml", **prepare(scenario))
    with scenario.start(config, "live") as run:
        kill_at(scenario, run, 20, 0)
    scenario.sync("resume")
    told = scenario.rows(
        "select run_mode, run_state, error_code from sync_runs order by started_at"
    )
    assert [tuple(row.values()) for row in told] == [
        ("live", "failed", "PROCESS_DIED"),
        ("resume", "finished", None),
    ]
