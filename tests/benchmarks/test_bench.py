"""The benchmarks run from end to end with few persons. No test depends on how long they take."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from tests.benchmarks import baseline, goals, population
from tests.benchmarks.extras import Extras
from tests.benchmarks.processes import ROOT, ProcessFailed, run
from tests.benchmarks.samples import Case, Sample, Samples

# The fixture runs five loads, each in processes of its own: on a busy machine it is slow.
pytestmark = pytest.mark.timeout(400)

CASE = Case(1_000_000, "sink", "sqlite", "ours")


@dataclass(frozen=True)
class Bench:
    """The output and the files of a benchmark."""

    output: str
    document: dict[str, Any]
    chart: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "tests.benchmarks", "--persons", "200", "--repeat", "1"]
    command += ["--databases", "sqlite", "--cache", str(folder), "--without-extras", "--profile"]
    command += ["--json", str(folder / "bench.json"), "--chart", str(folder / "bench.png")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    document = json.loads((folder / "bench.json").read_text())
    return Bench(result.stdout, document, folder / "bench.png")


def sample(case: Case, seconds: float) -> Sample:
    stage = {"name": "match", "wall_seconds": seconds, "cpu_seconds": seconds, "peak_mb": 300.0}
    return Sample(case, seconds, seconds, seconds, 0.0, 300.0, 250, [stage])


def statuses(*samples: Sample) -> dict[str, str]:
    return {one.name: one.status for one in goals.figures(Samples(samples), None)}


def test_every_candidate_runs_with_both_orgs(bench: Bench) -> None:
    cases = {(one["case"]["org"], one["case"]["candidate"]) for one in bench.document["samples"]}
    assert cases == {
        *(("sink", candidate) for candidate in ("floor", "naive", "ours")),
        *(("emulator", candidate) for candidate in ("naive", "ours")),
    }
    assert not bench.document["failed"]


OUR_STEPS = (
    *("find_new_persons", "extract_slice", "validate_slice", "match_slice", "partition_slice"),
    *("load_batches", "reconcile_batches", "open, close"),
)


def test_each_of_our_steps_is_a_stage(bench: Bench) -> None:
    ours = next(one for one in bench.document["samples"] if one["case"]["candidate"] == "ours")
    names = {stage["name"] for stage in ours["stages"]}
    assert set(OUR_STEPS) <= names
    assert ours["api_call_count"] > 0


def test_the_table_names_every_goal(bench: Bench) -> None:
    for figure in bench.document["figures"]:
        assert figure["name"] in bench.output


def test_the_chart_is_a_picture(bench: Bench) -> None:
    assert bench.chart.read_bytes().startswith(b"\x89PNG")


def test_a_profile_names_functions_of_ours(bench: Bench) -> None:
    (profiles, *_) = bench.document["profiles"].values()
    slowest = profiles["match_slice"]["seconds"]
    assert any("transform.py" in row["function"] for row in slowest)


def test_of_a_hundred_persons_three_break_a_rule_and_four_repeat_an_email() -> None:
    persons = population.persons(0, 1000)
    first = persons["email"].slice(0, 100)
    assert (persons["company"].null_count, persons["last_name"].null_count) == (10, 10)
    assert pc.sum(pc.equal(persons["email"], population.MALFORMED_EMAIL)).as_py() == 10
    assert len(first) - pc.count_distinct(first).as_py() == 4
    assert population.lead_count(1000) == 930


def test_a_slice_of_persons_is_always_the_same() -> None:
    assert population.persons(0, 300).slice(100) == population.persons(100, 200)


def test_a_goal_is_measured_by_the_median() -> None:
    floor, naive = replace(CASE, candidate="floor"), replace(CASE, candidate="naive")
    mine = [sample(CASE, seconds) for seconds in (1.0, 4.0, 99.0)]
    found = statuses(*mine, sample(floor, 1.0), sample(naive, 47.0))
    assert found["sqlite: wall over the floor"] == "reached"
    assert found["sqlite: times faster than naive"] == "not reached"


def test_a_goal_for_a_million_is_not_measured_by_a_thousand() -> None:
    few = replace(CASE, person_count=1000)
    found = statuses(sample(few, 9.0), sample(replace(few, candidate="floor"), 1.0))
    assert found["sqlite: wall over the floor"] == "-"


def test_a_ratio_is_of_a_size_that_both_have() -> None:
    many = sample(replace(CASE, person_count=2_000_000), 90.0)
    found = statuses(sample(CASE, 2.0), sample(replace(CASE, candidate="floor"), 1.0), many)
    assert found["sqlite: wall over the floor"] == "reached"


def test_memory_is_not_called_flat_by_a_single_size() -> None:
    few = sample(replace(CASE, person_count=200_000), 1.0)
    assert statuses(few)["peak memory of the process"] == "-"
    assert statuses(few, sample(CASE, 5.0))["peak memory of the process"] == "reached"


def test_a_baseline_shows_the_change_and_what_may_be_chance() -> None:
    def change(was: list[float], now: list[float]) -> str:
        before = Samples(sample(CASE, one) for one in was).as_json()
        old = {"samples": before, "made_at": "then", "machine": {}, "extras": None}
        new = Samples(sample(CASE, one) for one in now)
        rows = list(baseline.compare_with_baseline(old, new, None))
        return next(row for row in rows if row.startswith("work_seconds")).split("  ")[-1].strip()

    assert change([10.0], [5.0]) == "-50%"
    assert change([8.0, 10.0, 12.0], [9.0, 11.0, 13.0]) == "+10% (may be chance)"


def test_a_baseline_shows_the_change_of_the_extras() -> None:
    was, now = Extras(now_seconds=0.04), Extras(now_seconds=0.02, known_api_call_count=90)
    old = {"samples": [], "made_at": "then", "machine": {}, "extras": was.as_json()}
    rows = baseline.compare_with_baseline(old, Samples(), now)
    (row,) = (one for one in rows if "seconds" in one)
    assert row.split() == ["now_seconds", "0.04", "0.02", "-50%"]


def test_the_goal_with_known_leads_is_for_a_million_persons() -> None:
    def status(count: int, calls: int) -> str:
        extras = Extras(known_person_count=count, known_api_call_count=calls, known_seconds=60)
        rows = goals.figures(Samples(), extras)
        return next(one.status for one in rows if "1,000,000 leads" in one.name)

    assert status(1_000_000, 250) == "reached"
    assert status(1_000_000, 3000) == "not reached"
    assert status(10_000, 90) == "-"


def test_the_error_of_a_measured_process_is_reported() -> None:
    with pytest.raises(ProcessFailed, match="no warehouse today"):
        run(["-c", "import sys; sys.exit('no warehouse today')"], limit_seconds=60)


def test_a_measured_process_that_does_not_end_is_killed() -> None:
    with pytest.raises(ProcessFailed, match="-9"):
        run(["-c", "import time; time.sleep(60)"], limit_seconds=0.2)
