"""What is searched, a moment of it, and a step from one to the next."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.crash.model import laws
from tests.crash.model.ledger_side import Ledger
from tests.crash.model.ops import Call, Mind, World
from tests.crash.model.org import Org
from tests.crash.model.protocol import Protocol
from tests.crash.model.run import Process
from tests.crash.model.units import MODES


class Setting(NamedTuple):
    """What is searched: a protocol, the runs, the budgets, and what else may happen.

    `late_chunk`: a chunk under way when its job is aborted lands "soon", before anybody has slept,
    or "whenever". `expires`: eight days may pass before the last run; `restores`: the ledger may
    be put back to its beginning by then.
    """

    protocol: Protocol
    runs: tuple[Mind, ...]
    persons: tuple[str, ...] = ("Ada", "Bob", "Cyd")
    strangers: frozenset[str] = frozenset({"Bob"})
    faults: int = 0
    troubles: int = 0
    preemptions: int = 0
    are_known: bool = False
    late_chunk: str = "soon"
    expires: bool = False
    restores: bool = False
    is_recording: bool = False


class State(NamedTuple):
    """A moment. `phase` 0: the runs of the setting; 1 and 2: what carries on after them."""

    world: World
    processes: tuple[Process, ...]
    current: int
    faults: int
    troubles: int
    preemptions: int
    phase: int = 0
    late: tuple[Call, ...] = ()


class Happening(NamedTuple):
    """One step of a schedule, in words, and the moment after it."""

    words: str
    state: State
    transition: tuple[str, ...] | None = None


def run_of(name: str, mode: str, load_api: str = "bulk", **more: Any) -> Mind:
    """A run that is about to begin."""
    persons = more.pop("persons", ("Ada", "Bob", "Cyd"))
    return Mind(name, persons, load_api, MODES[mode], **more)


def first_state(setting: Setting) -> State:
    """Nothing has happened yet."""
    leads = (
        tuple((one, f"L{n}") for n, one in enumerate(setting.persons)) if setting.are_known else ()
    )
    org = Org(setting.protocol.has_field, setting.strangers, leads=leads)
    world = World(org, Ledger(), tuple((person, 0) for person in setting.persons))
    budgets = (setting.faults, setting.troubles, setting.preemptions)
    processes = [Process(mind, is_begun=place == 0) for place, mind in enumerate(setting.runs)]
    return State(world, tuple(processes), 0, *budgets)


def final(setting: Setting, state: State) -> frozenset[str]:
    """The laws broken by a schedule that ends here."""
    return laws.at_rest(state.world, setting.persons)
