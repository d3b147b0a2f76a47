"""A hundred thousand persons, and fifty kills at random moments: the load as a nightly run has it.

    python -m tests.crash.kill_many [--persons N] [--kills N] [--seed N] [--engine E]

Two runs of the same load: one that nobody disturbs, and one that is killed again and again, each
time carried on by the next. Kills are drawn evenly over the requests of the undisturbed run.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence

from tests.crash.accounts import troubles
from tests.crash.directed import Boundary, DirectedRun, Director, go_on
from tests.crash.environments import Environment, EnvironmentFactory
from tests.crash.mutants import CREATE, POLL
from tests.crash.table import as_text
from tests.crash.variants import PEOPLE, Variant
from tests.steps.scenario import make_persons

POLL_SECONDS = 0.5
SETTINGS = {"slice_size": 10_000, "open_batches": 8, "poll_seconds": POLL_SECONDS}
HEAD = ("run", "kills", "runs", "seconds", "created", "lost or twice")


class Reaper:
    """Kills whoever comes to the next moment drawn; moments are counted over all runs together, by
    what brings the load forward, as if it were one run."""

    def __init__(self, moments: Sequence[int], forward: frozenset[str]) -> None:
        self._moments = list(moments)
        self._forward = forward
        self._count = 0
        self.kills = 0

    def __call__(self, run: DirectedRun, boundary: Boundary) -> str:
        if boundary.name not in self._forward or not self._moments:
            return "go"
        self._count += 1
        if self._count < self._moments[0]:
            return "go"
        del self._moments[0]
        self.kills += 1
        return run.kill()


def perform(environment: Environment, director: Director) -> tuple[int, float, list[DirectedRun]]:
    """Run after run until one comes to its end; answers how many it took, and seconds."""
    began = time.monotonic()
    environment.most_seconds = 1800
    while not environment.run_to_end(director, **SETTINGS).is_done:
        if len(environment.runs) > 500:
            raise RuntimeError("it never comes to an end")
    return len(environment.runs), time.monotonic() - began, environment.runs


def main(arguments: Sequence[str]) -> int:
    """Both runs, and the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=20260731)
    parser.add_argument("--engine", default="sqlite")
    asked = parser.parse_args(arguments)
    PEOPLE["many"] = lambda: make_persons(asked.persons)
    variant = Variant(asked.engine, has_field=True, people="many")
    rows = []
    with EnvironmentFactory() as factory:
        with factory.environment(variant) as environment:
            count, calm, runs = perform(environment, go_on)
            rows.append(
                ["undisturbed", 0, count, round(calm, 1), *_accounts(environment, asked.persons)]
            )
            names = [boundary.name for boundary in runs[0].passed]
            # Not the start of a run, which every further run has, and no polls.
            forward = frozenset(names[names.index(CREATE) :]) - {
                POLL,
                *names[: names.index(CREATE)],
            }
            passed = sum(name in forward for name in names)
        chance = random.Random(asked.seed)  # noqa: S311 - a seed, not a secret
        reaper = Reaper(sorted(chance.randint(1, passed) for _ in range(asked.kills)), forward)
        with factory.environment(variant) as environment:
            count, busy, _ = perform(environment, reaper)
            accounts = _accounts(environment, asked.persons)
            rows.append(["killed", reaper.kills, count, round(busy, 1), *accounts])
    most = 1.5 * calm + asked.kills * POLL_SECONDS
    sys.stdout.write(as_text(HEAD, rows) + "\n")
    sys.stdout.write(f"{busy:.1f} s of {most:.1f} s allowed: 1.5 x {calm:.1f} + a poll a kill\n")
    return 0 if busy <= most and all(row[-1] == 0 for row in rows) else 1


def _accounts(environment: Environment, count: int) -> tuple[int, int]:
    (created,) = environment.rows(
        "select count(*) as n from person_outcomes where outcome = 'created'"
    )
    wrong = troubles(environment)
    for line in wrong[:5]:
        sys.stderr.write(line + "\n")
    return created["n"], len(wrong) + abs(count - created["n"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
