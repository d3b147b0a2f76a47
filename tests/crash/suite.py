"""Every technique by its name, and a case: one technique in one environment at one place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.crash import now_runs, pairs, warehouse_trouble
from tests.crash.directed import Boundary, ForkServer
from tests.crash.environments import Environment, EnvironmentFactory
from tests.crash.jobs import TROUBLES, in_trouble
from tests.crash.mutants import BLIND, IMPATIENT, Mutant, Trial
from tests.crash.techniques import (
    AT_BOUNDARIES,
    AT_EXCHANGES,
    SLOW_FAULTS,
    Clean,
    Technique,
    a_row_missing_once,
    undisturbed,
)
from tests.crash.variants import Variant

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
CODE_CHANGES = {**dict.fromkeys(SLOW_FAULTS, IMPATIENT), "ledger off": BLIND}


@dataclass(frozen=True)
class Case:
    """One technique in one environment at one place."""

    technique: str
    variant: Variant
    place: Boundary = NOWHERE

    def __str__(self) -> str:
        where = "" if self.place == NOWHERE else f" {self.place}"
        return f"{self.technique}{where} ({self.variant})"


@dataclass(frozen=True)
class CaseResult:
    """What a case has found, and how long it took. `is_reached`: the run has come to the place."""

    case: Case
    is_reached: bool = True
    violations: list[str] = field(default_factory=list)
    seconds: float = 0


def run_case(
    factory: EnvironmentFactory,
    clean: Clean,
    case: Case,
    fork_server: ForkServer | None = None,
    techniques: Mapping[str, Technique] = TECHNIQUES,
) -> CaseResult:
    """Perform the case in an environment of its own. `fork_server`: a mutant's; else the project's.

    A case after which nobody has looked whether everything adds up has found nothing good.
    """
    fork_server = fork_server or factory.fork_server_for(CODE_CHANGES.get(case.technique, ()))
    began = time.monotonic()
    with factory.environment(case.variant, fork_server) as environment:
        found = techniques[case.technique](environment, clean, case.place)
        if not found and environment.runs_accounted < len(environment.runs):
            found = ["nobody has looked whether everything adds up"]
        is_reached = _is_reached(environment, case.place)
    return CaseResult(case, is_reached, found, time.monotonic() - began)


def _is_reached(environment: Environment, place: Boundary) -> bool:
    if environment.is_reached is not None:
        return environment.is_reached
    passed = {(one.name, one.nth) for run in environment.runs for one in run.passed}
    return not place.side or (place.name, place.nth) in passed


def cases_of(trial: Trial) -> list[Case]:
    """The cases that a trial names. Batches go in an order of chance, and the first may be updates,
    which do no harm when they are repeated: so the first three."""
    if not trial.place:
        return [Case(trial.technique, trial.variant)]
    places = [Boundary(trial.place, nth, trial.side) for nth in (1, 2, 3)]
    return [Case(trial.technique, trial.variant, place) for place in places]


def first_result_that_catches(
    factory: EnvironmentFactory, find: Callable[[Variant], Clean], mutant: Mutant
) -> CaseResult | None:
    """The first verdict that catches the mutant; None if it goes by."""
    with factory.fork_server_of_changes(mutant.changes) as fork_server:
        for trial in mutant.trials:
            for case in cases_of(trial):
                result = run_case(factory, find(case.variant), case, fork_server)
                if result.violations:
                    return result
    return None
