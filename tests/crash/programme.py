"""What `make test-crash` performs: every technique at every place it is meant for, in every kind
of environment; and of that a sample by a seed, for those who cannot wait.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.crash import pairs, small_disk
from tests.crash.directed import Boundary
from tests.crash.jobs import TROUBLES
from tests.crash.mutants import CLOSE, CREATE, POLL, PUT
from tests.crash.suite import Case
from tests.crash.techniques import AT_EXCHANGES, Clean
from tests.crash.variants import VARIANTS, Variant
from tests.crash.warehouse_trouble import FULL_KILOBYTES, FULL_PAGES

# At every so-manieth boundary: the first two are the promise itself, the others vary them.
EVERY = {
    "killed": 1,
    "frozen": 1,
    "killed twice": 3,
    "overlapped": 3,
    "now meanwhile": 4,
    "another run meanwhile": 8,
}
RACED_AT = (CREATE, PUT, CLOSE, POLL)


def programme(find: Callable[[Variant], Clean], *, every_pair: bool = False) -> Iterator[Case]:
    """All cases. `find` discovers the boundaries of a variant. `every_pair`: of kills, also
    where nothing has changed in between."""
    for variant in VARIANTS:
        clean = find(variant)
        for technique, step in EVERY.items():
            yield from _cases(technique, variant, clean.boundaries[::step])
        few = pairs.one_batch(variant)
        every = pairs.pairs(find(few).boundaries, every=every_pair)
        yield from _cases("every pair of kills", few, list(every))
        yield from _cases("killed every time", few, _of_jobs(find(few)))
        yield from _cases("raced", variant, _of_jobs(clean))
        for fault in AT_EXCHANGES:
            yield from _cases(fault, variant, clean.exchanges)
        for name, trouble in TROUBLES.items():
            yield Case(name, replace(variant, people="many", org=trouble.org))
        yield from _of_the_warehouse(variant, clean)
        yield from _cases("three runs at once", variant, _rounds(25))
        yield from _cases("nightly and now at once", variant, _rounds(50))


def _of_jobs(clean: Clean) -> list[Boundary]:
    return [one for one in clean.boundaries if one.name in RACED_AT]


def _of_the_warehouse(variant: Variant, clean: Clean) -> Iterator[Case]:
    boundaries = clean.boundaries
    if variant.engine == "postgres":
        commits = [one for one in boundaries if one.is_commit]
        yield from _cases("connection lost at COMMIT", variant, commits)
        yield from _cases("database restarted", variant, _spread(boundaries, 25))
        if small_disk.is_possible():
            sizes = [(disk, size) for disk, all_of in FULL_KILOBYTES.items() for size in all_of]
            yield from _cases("disk full", variant, [Boundary(*size, "") for size in sizes])
    else:
        yield from _cases("disk full", variant, [Boundary("pages", n, "") for n in FULL_PAGES])
    yield from _cases("database locked", variant, _spread(clean.exchanges, 20))
    yield from _cases("ledger of yesterday", variant, _spread(boundaries, 12))
    if variant.has_field:
        yield from _cases("ledger off", variant, _spread(boundaries, 40))
    yield from _cases("another org", variant, _spread(boundaries, 6))


def _spread(places: Sequence[Boundary], count: int) -> list[Boundary]:
    """So many of them, evenly over the run."""
    return [places[number * len(places) // count] for number in range(count)]


def _rounds(count: int) -> list[Boundary]:
    return [Boundary("round", number, "") for number in range(1, count + 1)]


def _cases(technique: str, variant: Variant, places: Sequence[Boundary]) -> Iterator[Case]:
    for place in places:
        yield Case(technique, variant, place)


def sample(cases: Sequence[Case], seed: int, count: int) -> list[Case]:
    """So many of each technique, drawn by the seed."""
    chance = random.Random(seed)  # noqa: S311 - a seed, not a secret
    names = dict.fromkeys(case.technique for case in cases)
    by_name = {name: [case for case in cases if case.technique == name] for name in names}
    return [
        case for mine in by_name.values() for case in chance.sample(mine, min(count, len(mine)))
    ]
