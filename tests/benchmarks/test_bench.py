"""The bench runs from end to end, few persons at a time; how long it takes is never asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from tests.benchmarks import comparing, crowds, goals
from tests.benchmarks.children import ROOT, RunFailed, run
from tests.benchmarks.extras import Extras
from tests.benchmarks.samples import Case, Sample, Samples

# Five loads, each by processes of their own: on a busy machine the fixture takes its time.
pytestmark = pytest.mark.timeout(400)

CASE = Case(1_000_000, "sink", "sqlite", "ours")


@dataclass(frozen=True)
class Bench:
    """What a bench left behind."""

    said: str
    document: dict[str, Any]
    chart: Path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "tests.benchmarks", "--persons", "200", "--repeat", "1"]
    command += ["--databases", "sqlite", "--cache", str(folder), "--without-extras", "--profile"]
    command += ["--json", str(folder / "bench.json"), "--chart", str(folder / "bench.png")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Bench(done.stdout, json.loads((folder / "bench.json").read_text()), folder / "bench.png")


def sample(case: Case, seconds: float) -> Sample:
    stage = {"name": "judge", "wall_seconds": seconds, "cpu_seconds": seconds, "peak_mb": 300.0}
    return Sample(case, seconds, seconds, seconds, 0.0, 300.0, 250, [stage])


def verdicts(*found: Sample) -> dict[str, str]:
    return {one.name: one.verdict for one in goals.figures(Samples(found), None)}


def test_everybody_takes_part_against_both_orgs(bench: Bench) -> None:
    cases = {(one["case"]["org"], one["case"]["contestant"]) for one in bench.document["samples"]}
    assert cases == {
        *(("sink", contestant) for contestant in ("floor", "naive", "ours")),
        *(("emulator", contestant) for contestant in ("naive", "ours")),
    }
    assert not bench.document["failed"]


OUR_STEPS = (
    *("find_new_persons", "extract_slice", "validate_slice", "match_slice", "partition_slice"),
    *("load_batches", "reconcile_batches", "open, close"),
)


def test_our_steps_are_told_apart(bench: Bench) -> None:
    ours = next(one for one in bench.document["samples"] if one["case"]["contestant"] == "ours")
    names = {stage["name"] for stage in ours["stages"]}
    assert set(OUR_STEPS) <= names
    assert ours["api_call_count"] > 0


def test_the_table_names_every_goal(bench: Bench) -> None:
    for figure in bench.document["figures"]:
        assert figure["name"] in bench.said


def test_the_chart_is_a_picture(bench: Bench) -> None:
    assert bench.chart.read_bytes().startswith(b"\x89PNG")


def test_a_profile_names_functions_of_ours(bench: Bench) -> None:
    (profiles, *_) = bench.document["profiles"].values()
    slowest = profiles["match_slice"]["seconds"]
    assert any("transform.py" in row["function"] for row in slowest)


def test_of_a_hundred_persons_three_break_a_rule_and_four_repeat_another() -> None:
    people = crowds.persons(0, 1000)
    first = people["email"].slice(0, 100)
    assert (people["company"].null_count, people["last_name"].null_count) == (10, 10)
    assert pc.sum(pc.equal(people["email"], "nobody at all")).as_py() == 10
    assert len(first) - pc.count_distinct(first).as_py() == 4
    assert crowds.lead_count(1000) == 930


def test_a_slice_of_persons_is_the_same_whoever_asks() -> None:
    assert crowds.persons(0, 300).slice(100) == crowds.persons(100, 200)


def test_a_goal_is_judged_by_the_median() -> None:
    floor, naive = replace(CASE, contestant="floor"), replace(CASE, contestant="naive")
    mine = [sample(CASE, seconds) for seconds in (1.0, 4.0, 99.0)]
    found = verdicts(*mine, sample(floor, 1.0), sample(naive, 47.0))
    assert found["sqlite: wall over the floor"] == "reached"
    assert found["sqlite: times faster than naive"] == "not reached"


def test_a_goal_for_a_million_is_not_judged_by_a_thousand() -> None:
    few = replace(CASE, person_count=1000)
    found = verdicts(sample(few, 9.0), sample(replace(few, contestant="floor"), 1.0))
    assert found["sqlite: wall over the floor"] == "-"


def test_a_ratio_is_of_a_size_that_both_have() -> None:
    many = sample(replace(CASE, person_count=2_000_000), 90.0)
    found = verdicts(sample(CASE, 2.0), sample(replace(CASE, contestant="floor"), 1.0), many)
    assert found["sqlite: wall over the floor"] == "reached"


def test_memory_is_not_called_flat_by_a_single_size() -> None:
    few = sample(replace(CASE, person_count=200_000), 1.0)
    assert verdicts(few)["peak memory of the process"] == "-"
    assert verdicts(few, sample(CASE, 5.0))["peak memory of the process"] == "reached"


def test_a_comparison_tells_the_change_and_what_may_be_chance() -> None:
    def change(was: list[float], now: list[float]) -> str:
        before = Samples(sample(CASE, one) for one in was).as_json()
        old = {"samples": before, "made_at": "then", "machine": {}, "extras": None}
        rows = list(comparing.compared(old, Samples(sample(CASE, one) for one in now), None))
        return next(row for row in rows if row.startswith("work_seconds")).split("  ")[-1].strip()

    assert change([10.0], [5.0]) == "-50%"
    assert change([8.0, 10.0, 12.0], [9.0, 11.0, 13.0]) == "+10% (may be chance)"


def test_a_comparison_tells_of_what_was_measured_besides() -> None:
    was, now = Extras(now_seconds=0.04), Extras(now_seconds=0.02, known_api_call_count=90)
    old = {"samples": [], "made_at": "then", "machine": {}, "extras": was.as_json()}
    (row,) = (one for one in comparing.compared(old, Samples(), now) if "seconds" in one)
    assert row.split() == ["now_seconds", "0.04", "0.02", "-50%"]


def test_calls_among_known_leads_are_judged_for_a_million_persons() -> None:
    def verdict(count: int, calls: int) -> str:
        found = Extras(known_person_count=count, known_api_call_count=calls, known_seconds=60)
        rows = goals.figures(Samples(), found)
        return next(one.verdict for one in rows if "1,000,000 leads" in one.name)

    assert verdict(1_000_000, 250) == "reached"
    assert verdict(1_000_000, 3000) == "not reached"
    assert verdict(10_000, 90) == "-"


def test_a_measured_process_that_fails_says_its_last_words() -> None:
    with pytest.raises(RunFailed, match="no warehouse today"):
        run(["-c", "import sys; sys.exit('no warehouse today')"], limit_seconds=60)


def test_a_measured_process_that_does_not_end_is_ended() -> None:
    with pytest.raises(RunFailed, match="-9"):
        run(["-c", "import time; time.sleep(60)"], limit_seconds=0.2)
