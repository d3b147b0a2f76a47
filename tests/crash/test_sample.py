"""A sample of `make test-crash`: of every technique a case or two, drawn by a seed that a failing
test names and PERSON_SYNC_TEST_SEED sets.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.crash.conftest import SEED
from tests.crash.environments import EnvironmentFactory
from tests.crash.mutants import BLIND, IMPATIENT, MUTANTS, Mutant, changed_texts
from tests.crash.programme import programme, sample
from tests.crash.suite import TECHNIQUES, Case, first_result_that_catches, run_case
from tests.crash.techniques import Clean
from tests.crash.variants import VARIANTS, Variant

Find = Callable[[Variant], Clean]
FENCE = next(one for one in MUTANTS if one.name == "no fencing_token is compared")
OTHERS = [one for one in MUTANTS if one != FENCE]
DRAWN = [FENCE, *random.Random(SEED).sample(OTHERS, 2)]  # noqa: S311 - a seed, not a secret
# The promise itself is tried more often than its variations.
COUNTS = {"killed": 3, "frozen": 2}


@pytest.fixture(scope="session")
def cases(clean: Find) -> list[Case]:
    """The whole programme."""
    return list(programme(clean))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_there_are_more_than_eighty_boundaries_to_be_found(clean: Find, variant: Variant) -> None:
    assert len(clean(variant).boundaries) >= 80


def test_every_technique_has_its_place_in_the_programme(cases: list[Case]) -> None:
    only_for_mutants = {"undisturbed", "a row missing once"}
    assert {case.technique for case in cases} == set(TECHNIQUES) - only_for_mutants


@pytest.mark.parametrize("technique", [*TECHNIQUES][2:])
def test_whatever_happens_nobody_is_lost_and_nobody_is_made_twice(
    factory: EnvironmentFactory, clean: Find, cases: list[Case], technique: str
) -> None:
    mine = [case for case in cases if case.technique == technique]
    for case in sample(mine, SEED, COUNTS.get(technique, 1)):
        found = run_case(factory, clean(case.variant), case)
        assert found.violations == [], f"seed {SEED}: {case}"


@pytest.mark.parametrize("mutant", DRAWN, ids=lambda one: one.name)
def test_a_mutant_is_caught(factory: EnvironmentFactory, clean: Find, mutant: Mutant) -> None:
    assert first_result_that_catches(factory, clean, mutant) is not None


SWITCHES = [Mutant("impatient", IMPATIENT, ()), Mutant("blind", BLIND, ())]


@pytest.mark.parametrize("mutant", [*MUTANTS, *SWITCHES], ids=lambda one: one.name)
def test_a_mutant_finds_the_place_it_is_meant_for(mutant: Mutant) -> None:
    changed_texts(mutant.changes)
