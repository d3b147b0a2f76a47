"""Several runs at once over the same persons, each boundary of each held up for a random moment, so
that every round interleaves them otherwise.
"""

from __future__ import annotations

import random
import time

from tests.crash.directed import Boundary, DirectedRun, Director
from tests.crash.environments import Environment
from tests.crash.techniques import NO_LEASE, Clean, woken
from tests.crash.variants import SAME_EMAIL


def three_at_once(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """Three nightly runs, and every lease over at once: each takes over what the others hold."""
    runs = [environment.start(_dawdling(place.nth, turn), **NO_LEASE) for turn in range(3)]
    return _ended(environment, clean, runs)


def nightly_and_now(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """A nightly run, and somebody who asks for twenty persons at once. Of two with one e-mail the
    one asked for would be the lead: so who is somebody else is asked for with their elder."""
    ids = set(random.Random(place.nth).sample(sorted(clean.outcomes), 20))  # noqa: S311 - a seed
    ids |= {elder for person, elder in SAME_EMAIL.items() if person in ids}
    nightly = environment.start(_dawdling(place.nth, 0))
    now = environment.start(_dawdling(place.nth, 1), "now", person_ids=sorted(ids))
    return _ended(environment, clean, [nightly, now])


def _dawdling(seed: int, turn: int) -> Director:
    chance = random.Random(10 * seed + turn)  # noqa: S311 - a seed, not a secret
    late = chance.random() / 2

    def dawdle(run: DirectedRun, _boundary: Boundary) -> str:
        time.sleep(late if len(run.passed) == 1 else chance.random() / 100)
        return "go"

    return dawdle


def _ended(environment: Environment, clean: Clean, runs: list[DirectedRun]) -> list[str]:
    result = [run.wait(environment.most_seconds) for run in runs]
    return woken(environment, clean, result[0], result[1:])
