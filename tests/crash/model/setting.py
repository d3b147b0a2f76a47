"""What is searched, a state of it, and a step from one state to the next."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.crash.model import invariants
from tests.crash.model.ledger_model import Ledger
from tests.crash.model.ops import Call, Run, World
from tests.crash.model.org import Org
from tests.crash.model.process import Process
from tests.crash.model.protocol import Protocol
from tests.crash.model.units import MODES


class Setting(NamedTuple):
    """What is searched: a protocol, the runs, the budgets, and what else can happen.

    `late_chunk`: when the chunk of an aborted job is committed: "soon", before a process has slept,
    or "whenever". `expires`: eight days may pass before the last run. `restores`: the ledger may be
    restored to its beginning before it.
    """

    protocol: Protocol
    runs: tuple[Run, ...]
    persons: tuple[str, ...] = ("Ada", "Bob", "Cyd")
    blocked_persons: frozenset[str] = frozenset({"Bob"})
    faults: int = 0
    troubles: int = 0
    preemptions: int = 0
    are_known: bool = False
    late_chunk: str = "soon"
    expires: bool = False
    restores: bool = False
    is_recording: bool = False


class State(NamedTuple):
    """A state of the search. `phase` 0: the runs of the setting; 1 and 2: the runs after them."""

    world: World
    processes: tuple[Process, ...]
    current: int
    faults: int
    troubles: int
    preemptions: int
    phase: int = 0
    late: tuple[Call, ...] = ()


class Successor(NamedTuple):
    """One step of a schedule as text, and the state after it.

    `label` describes a complete step of a batch, for the comparison with the code.
    """

    text: str
    state: State
    label: tuple[str, ...] | None = None


def run_of(name: str, mode: str, load_api: str = "bulk", **more: Any) -> Run:
    """Return a run that has not begun."""
    persons = more.pop("persons", ("Ada", "Bob", "Cyd"))
    return Run(name, persons, load_api, MODES[mode], **more)


def initial_state(setting: Setting) -> State:
    """Return the state before the first step."""
    leads = (
        tuple((one, f"L{n}") for n, one in enumerate(setting.persons)) if setting.are_known else ()
    )
    org = Org(setting.protocol.has_field, setting.blocked_persons, leads=leads)
    world = World(org, Ledger(), tuple((person, 0) for person in setting.persons))
    budgets = (setting.faults, setting.troubles, setting.preemptions)
    processes = [Process(run, is_begun=index == 0) for index, run in enumerate(setting.runs)]
    return State(world, tuple(processes), 0, *budgets)


def broken_at_end(setting: Setting, state: State) -> frozenset[str]:
    """Return the invariants broken by a schedule that ends here."""
    return invariants.broken_at_end(state.world, setting.persons)
