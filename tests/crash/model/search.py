"""Every schedule within a budget: each state is looked at once, however many schedules lead to it.

The graph of states has no circle, since every fault, trouble and preemption is paid for and a run
that waits goes on only when something has happened. So the number of schedules, how many of them
break a law, and how far the nearest of those is can be added up from the end to the beginning.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.crash.model.events import moves
from tests.crash.model.run import Machine
from tests.crash.model.setting import Happening, Setting, State, final, first_state

FAR = 1_000_000


class Summary(NamedTuple):
    """What lies beyond a state."""

    schedule_count: int
    violating_count: int
    distance: int  # steps to the nearest end that breaks a law; FAR for none
    broken: frozenset[str]


class Found(NamedTuple):
    """What a search has found. `transitions` are filled where the setting records them."""

    state_count: int
    step_count: int
    is_complete: bool
    summary: Summary
    story: tuple[str, ...]
    transitions: frozenset[tuple[str, ...]]


class _Enough(Exception):
    """The search has seen as many states as it may."""


class Search:
    """One search; `most_states` ends it early, and it says so."""

    def __init__(self, setting: Setting, most_states: int = 20_000_000) -> None:
        self.setting = setting
        self.machine = Machine(setting.protocol)
        self.most_states = most_states
        self.step_count = 0
        self.transitions: set[tuple[str, ...]] = set()
        self._known: dict[tuple[int, ...], Summary] = {}
        self._pool: dict[Any, Any] = {}

    def run(self) -> Found:
        """Look at everything."""
        sys.setrecursionlimit(20_000)
        start, is_complete = first_state(self.setting), True
        gc.disable()  # millions of tuples, no circles: looking for them takes half of the time
        try:
            summary = self._look(start)
        except _Enough:
            summary, is_complete = Summary(0, 0, FAR, frozenset()), False
        finally:
            gc.enable()
        story = tuple(self._tell(start)) if summary.violating_count else ()
        return Found(
            len(self._known),
            self.step_count,
            is_complete,
            summary,
            story,
            frozenset(self.transitions),
        )

    def _look(self, state: State) -> Summary:
        key = self._key(state)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._sum_up(state)
            if len(self._known) > self.most_states:
                raise _Enough
        return known

    def _sum_up(self, state: State) -> Summary:
        schedules = violating = 0
        distance, broken = FAR, frozenset[str]()
        for happening in moves(self.machine, self.setting, state):
            self.step_count += 1
            if happening.transition is not None:
                self.transitions.add(happening.transition)
            beyond = self._look(happening.state)
            schedules += beyond.schedule_count
            violating += beyond.violating_count
            distance = min(distance, beyond.distance + 1)
            broken |= beyond.broken
        if schedules:
            return Summary(schedules, violating, min(distance, FAR), broken)
        found = final(self.setting, state)
        return Summary(1, int(bool(found)), 0 if found else FAR, found)

    def _key(self, state: State) -> tuple[int, ...]:
        """The state by the addresses of its parts, each of which is kept once."""
        keep = self._pool.setdefault
        world = state.world
        parts = (world.org, world.ledger, world[2:], *state.processes, state[2:])
        return tuple([id(keep(part, part)) for part in parts])

    def _tell(self, state: State) -> Iterator[str]:
        """The shortest schedule that breaks a law."""
        while True:
            best: Happening | None = None
            for happening in moves(self.machine, self.setting, state):
                beyond = self._look(happening.state)
                if beyond.distance == self._look(state).distance - 1:
                    best = happening
                    break
            if best is None:
                yield "in the end: " + ", ".join(sorted(final(self.setting, state)))
                return
            yield best.words
            state = best.state


def search(setting: Setting, most_states: int = 20_000_000) -> Found:
    """Look at every schedule of the setting."""
    return Search(setting, most_states).run()
