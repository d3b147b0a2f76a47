"""Every pair of kills: one at a boundary, and another at a boundary of the run that carries on.

On a load of one batch. A kill leaves nothing behind but the warehouse and the org. So two kills
with only reads between them leave the same state: one boundary stands for each such stretch.
`make test-crash CRASH=--every-pair` takes them one by one all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.crash.directed import Boundary, DirectedRun, Director
from tests.crash.environments import Environment
from tests.crash.techniques import Clean, kill_at, may_hold, violations
from tests.crash.variants import Variant

# A run that carries on may find one thing more to do than an undisturbed one: a job to throw away.
MORE = 4


@dataclass(frozen=True, order=True)
class Pair(Boundary):
    """The first kill is at the boundary, the second at the so-manieth of the run that carries on.
    `counts_reads`: of all its boundaries, not only of those where something changes."""

    turn: int = 1
    counts_reads: bool = False

    @property
    def first(self) -> Boundary:
        """Where the first is."""
        return Boundary(self.name, self.nth, self.side)

    def __str__(self) -> str:
        what = "boundary" if self.counts_reads else "change"
        return f"{self.first}, then at {what} {self.turn}"


def is_change(boundary: Boundary) -> bool:
    """Whether what lies behind it changes the warehouse or the org. Owners are read by a POST."""
    is_read = boundary.name.startswith(("GET ", "POST /composite/sobjects/"))
    return not is_read and "oauth2" not in boundary.name


def stretches(boundaries: Sequence[Boundary]) -> list[Boundary]:
    """One boundary of each stretch between two changes: the last before a change, and the end."""
    before = [one for one in boundaries if one.side == "before" and is_change(one)]
    return [*before, boundaries[-1]]


def pairs(boundaries: Sequence[Boundary], *, every: bool) -> Iterator[Pair]:
    """Every pair there is; not all are reached, since most runs that carry on have less to do."""
    firsts = boundaries if every else stretches(boundaries)
    for first in firsts:
        for turn in range(1, len(firsts) + MORE + 1):
            yield Pair(first.name, first.nth, first.side, turn, every)


def killed_at_both(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """kill -9 at the first boundary, kill -9 of the run that carries on, and one more run."""
    assert isinstance(place, Pair)
    first, turn = place.first, place.turn
    environment.run_to_end(kill_at(first))
    last = environment.run_to_end(_kill_at_turn(turn, counts_reads=place.counts_reads))
    environment.is_reached = not last.is_done
    if environment.is_reached:
        last = environment.run_to_end()
    return violations(environment, clean, last, may_hold=may_hold(environment))


def _kill_at_turn(turn: int, *, counts_reads: bool) -> Director:

    def kill(run: DirectedRun, boundary: Boundary) -> str:
        if counts_reads:
            count = len(run.passed)
        else:
            count = sum(one.side == "before" and is_change(one) for one in run.passed)
        is_there = counts_reads or (boundary.side == "before" and is_change(boundary))
        return run.kill() if is_there and count == turn else "go"

    return kill


def one_batch(variant: Variant) -> Variant:
    """The variant whose persons are one batch."""
    return Variant(variant.engine, variant.has_field, people="few")
