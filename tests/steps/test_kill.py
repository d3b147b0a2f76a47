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
from tests.steps.scenario import PlainRun, Stage, crowd

BUSY = """
[behaviour]
queue_seconds = 0.05
rows_per_second = 1000
[[lead]]
LastName = "Known"
Company = "Known"
Email = "p1@crowd.example"
[[lead]]
LastName = "Known"
Company = "Known"
Email = "p3@crowd.example"
"""
# Persons of a queue whom the org has as contacts: they travel by collections.
CONTACTS = """
[[contact]]
LastName = "Known"
Email = "p2@crowd.example"
[[contact]]
LastName = "Known"
Email = "p42@crowd.example"
"""
# Polls are not counted: how many there are is a matter of speed.
ASKED = r"(?<!GET) \S*/jobs/ingest|Results|unprocessed|query|composite|describe"
COUNT = 60


@dataclass(frozen=True)
class Instant:
    """When a run is killed, and on which stage."""

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


def prepare(stage: Stage, has_field: bool = True) -> dict[str, dict[str, Any]]:
    """An org that knows a few, a crowd to sync, and the settings: small batches of each kind."""
    # Without the field nobody can know what a lost collections call did: the design holds those.
    stage.set_org(BUSY + (CONTACTS if has_field else ""), person_id_field=has_field)
    stage.put_frame(crowd(COUNT))
    return {
        "run": {"slice_size": 20, "open_batches": 2, "poll_seconds": 0.05},
        "matching": {"existing_lead": "update"},
        "salesforce": {"person_id_field": "Person_Id__c" if has_field else ""},
    }


def asked(stage: Stage) -> int:
    """How many requests the org has seen that are no polls."""
    return len(stage.emulator.served(ASKED))


@pytest.fixture(scope="module")
def clean_counts(
    emulator_process: Emulator, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, int]:
    """How many requests a run makes that nobody kills, with and without the field."""
    counts = {}
    for has_field in (True, False):
        file = tmp_path_factory.mktemp("clean") / "warehouse.db"
        stage = Stage(f"sqlite:///{shutil.copy(migrated_sqlite, file)}", emulator_process)
        stage.sync(**prepare(stage, has_field))
        assert stage.told() == {"created": COUNT - 2, "updated": 2}
        stage.engine.dispose()
        counts[has_field] = asked(stage)
    return counts


@pytest.fixture
def instant_stage(
    request: pytest.FixtureRequest, instant: Instant, emulator_process: Emulator
) -> Iterator[Stage]:
    """The stage that the instant wants."""
    url = request.getfixturevalue(f"{instant.engine}_warehouse_url")
    stage = Stage(url, emulator_process)
    yield stage
    stage.engine.dispose()


def kill_at(stage: Stage, run: PlainRun, count: int, seconds: float) -> None:
    """Kill the run when it has asked so often, and a little later than that."""
    run.wait_until_ready()
    while asked(stage) < count and run.process.poll() is None:
        time.sleep(0.002)
    time.sleep(seconds)
    assert run.process.poll() is None, f"over before it could be killed: {run.answer()}"
    run.kill()


# Five of the ten, every kind of stage among them, are enough for whoever cannot wait.
AT_ONCE = (0, 3, 5, 6, 9)
INSTANTS = [
    pytest.param(one, marks=[] if one.number in AT_ONCE else pytest.mark.long) for one in instants()
]


@pytest.mark.parametrize("instant", INSTANTS, ids=str)
def test_a_killed_run_is_carried_on_with_nobody_lost_and_no_lead_twice(
    instant: Instant, instant_stage: Stage, clean_counts: dict[bool, int], tmp_path: Path
) -> None:
    stage = instant_stage
    groups = prepare(stage, instant.has_field)
    config = stage.write_settings(tmp_path / "settings.toml", **groups)
    with stage.start(config, "live") as run:
        kill_at(stage, run, int(instant.share * clean_counts[instant.has_field]), instant.seconds)
    assert stage.unaccounted_but_new() == []
    with stage.start(config, "resume") as resumed:
        code, told = resumed.answer()
    assert (code, stage.under_way()) == (0, []), told
    stage.sync(**groups)
    assert stage.told() == {"created": COUNT - 2, "updated": 2}
    assert (stage.unaccounted(), stage.miscounted_runs()) == ([], [])
    assert set(Counter(lead["Email"] for lead in stage.leads()).values()) == {1}


def test_a_killed_run_is_told_as_failed_by_the_next_one(stage: Stage, tmp_path: Path) -> None:
    config = stage.write_settings(tmp_path / "settings.toml", **prepare(stage))
    with stage.start(config, "live") as run:
        kill_at(stage, run, 20, 0)
    stage.sync("resume")
    told = stage.rows("select run_mode, run_state, error_code from sync_runs order by started_at")
    assert [tuple(row.values()) for row in told] == [
        ("live", "failed", "PROCESS_DIED"),
        ("resume", "finished", None),
    ]
