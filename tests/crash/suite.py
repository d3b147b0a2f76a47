"""Every technique by its name, and a case: one technique in one world at one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.crash import now_runs, pairs, warehouse_trouble
from tests.crash.directed import Boundary, Zygote
from tests.crash.environments import Workshop, World
from tests.crash.jobs import TROUBLES, in_trouble
from tests.crash.mutants import BLIND, IMPATIENT, Plant, Trial
from tests.crash.techniques import (
    AT_BOUNDARIES,
    AT_EXCHANGES,
    SLOW_FAULTS,
    Clean,
    Technique,
    a_row_missing_once,
    undisturbed,
)
from tests.crash.variants import Kind

NOWHERE = Boundary("", 0, "")
TECHNIQUES: dict[str, Technique] = {
    "undisturbed": undisturbed,
    "a row missing once": a_row_missing_once,
    **AT_BOUNDARIES,
    **AT_EXCHANGES,
    "connection lost at COMMIT": warehouse_trouble.connection_lost,
    "database locked": warehouse_trouble.locked,
    "database restarted": warehouse_trouble.restarted,
    "disk full": warehouse_trouble.disk_full,
    "ledger of yesterday": warehouse_trouble.ledger_of_yesterday,
    "another org": warehouse_trouble.another_org,
    "ledger off": warehouse_trouble.ledger_off,
    "every pair of kills": pairs.killed_at_both,
    "three runs at once": now_runs.three_at_once,
    "nightly and now at once": now_runs.nightly_and_now,
    **{name: in_trouble(trouble) for name, trouble in TROUBLES.items()},
}

# Techniques that need the code changed, though nothing is wrong with it then.
VARIANTS = {**dict.fromkeys(SLOW_FAULTS, IMPATIENT), "ledger off": BLIND}


@dataclass(frozen=True)
class Case:
    """One technique in one world at one place."""

    technique: str
    kind: Kind
    place: Boundary = NOWHERE

    def __str__(self) -> str:
        where = "" if self.place == NOWHERE else f" {self.place}"
        return f"{self.technique}{where} ({self.kind})"


@dataclass(frozen=True)
class Expectation:
    """What a case has found, and how long it took. `is_reached`: the run has come to the place."""

    case: Case
    is_reached: bool = True
    violations: list[str] = field(default_factory=list)
    seconds: float = 0


def judge(
    shop: Workshop,
    clean: Clean,
    case: Case,
    zygote: Zygote | None = None,
    techniques: Mapping[str, Technique] = TECHNIQUES,
) -> Expectation:
    """Perform the case in a world of its own. `zygote`: with a planted bug; else the project's.

    A case after which nobody has looked whether everything adds up has found nothing good.
    """
    zygote = zygote or shop.variant(VARIANTS.get(case.technique, ()))
    began = time.monotonic()
    with shop.world(case.kind, zygote) as world:
        found = techniques[case.technique](world, clean, case.place)
        if not found and world.runs_accounted < len(world.runs):
            found = ["nobody has looked whether everything adds up"]
        is_reached = _is_reached(world, case.place)
    return Expectation(case, is_reached, found, time.monotonic() - began)


def _is_reached(world: World, place: Boundary) -> bool:
    if world.is_reached is not None:
        return world.is_reached
    passed = {(one.name, one.nth) for run in world.runs for one in run.passed}
    return not place.side or (place.name, place.nth) in passed


def cases_of(trial: Trial) -> list[Case]:
    """The cases that a trial names. Batches go in an order of chance, and the first may be updates,
    which do no harm when they are repeated: so the first three."""
    if not trial.place:
        return [Case(trial.technique, trial.kind)]
    places = [Boundary(trial.place, nth, trial.side) for nth in (1, 2, 3)]
    return [Case(trial.technique, trial.kind, place) for place in places]


def caught_by(shop: Workshop, find: Callable[[Kind], Clean], plant: Plant) -> Expectation | None:
    """The first verdict that catches the planted bug; None if it goes by."""
    with shop.planted(plant.changes) as zygote:
        for trial in plant.trials:
            for case in cases_of(trial):
                verdict = judge(shop, find(case.kind), case, zygote)
                if verdict.violations:
                    return verdict
    return None
