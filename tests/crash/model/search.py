"""Search every schedule within a budget. Each state is explored once, for all schedules through it.

The graph of states has no circle. Every fault, trouble and preemption takes from a budget, and a
run that waits continues only when something has happened. So a state's numbers follow from its
successors: its schedules, those that violate an invariant, and the distance to the nearest.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.crash.model.process import Machine
from tests.crash.model.setting import Setting, State, Successor, broken_at_end, initial_state
from tests.crash.model.successors import successors

NO_VIOLATION = 1_000_000


class Summary(NamedTuple):
    """The schedules from a state on."""

    schedule_count: int
    violating_count: int
    distance: int  # steps to the nearest end that breaks an invariant, or NO_VIOLATION
    broken: frozenset[str]


class SearchResult(NamedTuple):
    """What a search has found. `labels` is empty unless the setting records them."""

    state_count: int
    step_count: int
    is_complete: bool
    summary: Summary
    trace: tuple[str, ...]
    labels: frozenset[tuple[str, ...]]


class _StateLimitReached(Exception):
    """The search has reached its limit of states."""


class Search:
    """One search. At `max_states` it stops, and its result is not complete."""

    def __init__(self, setting: Setting, max_states: int = 20_000_000) -> None:
        self.setting = setting
        self.machine = Machine(setting.protocol)
        self.max_states = max_states
        self.step_count = 0
        self.labels: set[tuple[str, ...]] = set()
        self._summaries: dict[tuple[int, ...], Summary] = {}
        self._pool: dict[Any, Any] = {}

    def run(self) -> SearchResult:
        """Explore every schedule."""
        sys.setrecursionlimit(20_000)
        start, is_complete = initial_state(self.setting), True
        gc.disable()  # millions of tuples without circles: collecting takes half of the time
        try:
            summary = self._explore(start)
        except _StateLimitReached:
            summary, is_complete = Summary(0, 0, NO_VIOLATION, frozenset()), False
        finally:
            gc.enable()
        trace = tuple(self._shortest_trace(start)) if summary.violating_count else ()
        return SearchResult(
            len(self._summaries),
            self.step_count,
            is_complete,
            summary,
            trace,
            frozenset(self.labels),
        )

    def _explore(self, state: State) -> Summary:
        key = self._key(state)
        summary = self._summaries.get(key)
        if summary is None:
            summary = self._summaries[key] = self._summarize(state)
            if len(self._summaries) > self.max_states:
                raise _StateLimitReached
        return summary

    def _summarize(self, state: State) -> Summary:
        schedules = violating = 0
        distance, broken = NO_VIOLATION, frozenset[str]()
        for successor in successors(self.machine, self.setting, state):
            self.step_count += 1
            if successor.label is not None:
                self.labels.add(successor.label)
            after = self._explore(successor.state)
            schedules += after.schedule_count
            violating += after.violating_count
            distance = min(distance, after.distance + 1)
            broken |= after.broken
        if schedules:
            return Summary(schedules, violating, min(distance, NO_VIOLATION), broken)
        broken = broken_at_end(self.setting, state)
        return Summary(1, int(bool(broken)), 0 if broken else NO_VIOLATION, broken)

    def _key(self, state: State) -> tuple[int, ...]:
        """Return the addresses of the state's parts. Equal parts are stored once."""
        stored = self._pool.setdefault
        world = state.world
        parts = (world.org, world.ledger, world[2:], *state.processes, state[2:])
        return tuple([id(stored(part, part)) for part in parts])

    def _shortest_trace(self, state: State) -> Iterator[str]:
        """Yield the steps of the shortest schedule that breaks an invariant."""
        while True:
            best: Successor | None = None
            for successor in successors(self.machine, self.setting, state):
                after = self._explore(successor.state)
                if after.distance == self._explore(state).distance - 1:
                    best = successor
                    break
            if best is None:
                yield "in the end: " + ", ".join(sorted(broken_at_end(self.setting, state)))
                return
            yield best.text
            state = best.state


def search(setting: Setting, max_states: int = 20_000_000) -> SearchResult:
    """Explore every schedule of the setting."""
    return Search(setting, max_states).run()
