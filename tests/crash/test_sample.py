"""A sample of `make reliability`: of every technique a case or two, drawn by a seed that a failing
test names and PERSON_SYNC_TEST_SEED sets.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.conftest import SEED
from tests.crash.environments import Workshop
from tests.crash.mutants import BLIND, IMPATIENT, PLANTS, Plant, plant
from tests.crash.programme import programme, sample
from tests.crash.suite import TECHNIQUES, Case, caught_by, judge
from tests.crash.techniques import Clean
from tests.crash.variants import KINDS, Kind

Find = Callable[[Kind], Clean]
FENCE = next(one for one in PLANTS if one.name == "no fencing_token is compared")
OTHERS = [one for one in PLANTS if one != FENCE]
DRAWN = [FENCE, *random.Random(SEED).sample(OTHERS, 2)]  # noqa: S311 - a seed, not a secret
# The promise itself is tried more often than its variations.
COUNTS = {"killed": 3, "frozen": 2}


@pytest.fixture(scope="session")
def cases(clean: Find) -> list[Case]:
    """The whole programme."""
    return list(programme(clean))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_there_are_more_than_eighty_boundaries_to_be_found(clean: Find, kind: Kind) -> None:
    assert len(clean(kind).boundaries) >= 80


def test_every_technique_has_its_place_in_the_programme(cases: list[Case]) -> None:
    only_for_plants = {"undisturbed", "a row missing once"}
    assert {case.technique for case in cases} == set(TECHNIQUES) - only_for_plants


@pytest.mark.parametrize("technique", [*TECHNIQUES][2:])
def test_whatever_happens_nobody_is_lost_and_nobody_is_made_twice(
    shop: Workshop, clean: Find, cases: list[Case], technique: str
) -> None:
    mine = [case for case in cases if case.technique == technique]
    for case in sample(mine, SEED, COUNTS.get(technique, 1)):
        found = judge(shop, clean(case.kind), case)
        assert found.violations == [], f"seed {SEED}: {case}"


@pytest.mark.parametrize("bug", DRAWN, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(shop: Workshop, clean: Find, bug: Plant) -> None:
    assert caught_by(shop, clean, bug) is not None


SWITCHES = [Plant("impatient", IMPATIENT, ()), Plant("blind", BLIND, ())]


@pytest.mark.parametrize("bug", [*PLANTS, *SWITCHES], ids=lambda bug: bug.name)
def test_a_planted_bug_finds_the_place_it_is_meant_for(bug: Plant, tmp_path: Path) -> None:
    plant(bug.changes, tmp_path)
