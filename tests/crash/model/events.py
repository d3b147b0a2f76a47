"""What may happen next: who goes on, what goes wrong, what the org does meanwhile.

A fault is the wire's, the warehouse's or the process's; a trouble is the org's or the data's; a
preemption is a switch that nobody was made to do, a frozen process for instance. Each is paid for
from a budget of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.model import laws, org_side
from tests.crash.model.actions import put, take_step
from tests.crash.model.ledger_side import Ledger
from tests.crash.model.ops import Call
from tests.crash.model.run import Machine, Process
from tests.crash.model.setting import Happening, Setting, State, final, run_of


def moves(machine: Machine, setting: Setting, state: State) -> Iterator[Happening]:
    """Everything that may happen next; nothing at the end of a schedule."""
    alive = [place for place, one in enumerate(state.processes) if not one.is_over]
    ready = [place for place in alive if _is_ready(state.processes[place])]
    if laws.is_endless(state.world):
        return
    if not alive:
        yield from _carry_on(setting, state)
    elif not ready:
        yield from _while_all_wait(setting, state)
        for place in alive:
            if not state.processes[place].is_begun:
                yield from take_step(machine, setting, state, place)
    elif state.current not in ready:
        for place in ready:
            yield from take_step(machine, setting, state, place)
    else:
        yield from take_step(machine, setting, state, state.current)
        if state.preemptions:
            yield from _interrupt(machine, setting, state, alive)


def _slept(setting: Setting, state: State, place: int) -> State:
    # Who waited has slept, and that is long enough for a chunk to land.
    if not state.processes[place].is_waiting or setting.late_chunk != "soon":
        return state
    landed = org_side.land_all(state.world)
    if landed == state.world:
        return state
    processes = tuple(_disturbed(one) for one in state.processes)
    return state._replace(world=landed, processes=processes)


def _disturbed(process: Process) -> Process:
    return process._replace(disturbed_count=process.disturbed_count + bool(process.events))


def _is_ready(process: Process) -> bool:
    return process.is_begun and not process.is_waiting and not process.is_over


def _interrupt(
    machine: Machine, setting: Setting, state: State, alive: list[int]
) -> Iterator[Happening]:
    paid = state._replace(preemptions=state.preemptions - 1)
    paid = put(paid, _disturbed(state.processes[state.current]))
    for place in alive:
        if place != state.current:
            yield from take_step(machine, setting, _slept(setting, paid, place), place)
    yield from _org_moves(setting, paid)
    for place, call in enumerate(state.late):
        rest = state.late[:place] + state.late[place + 1 :]
        yield Happening(f"late arrives: {call.name}", arrive(paid._replace(late=rest), call))


def arrive(state: State, call: Call) -> State:
    """A request that was thought lost has its effect."""
    return state._replace(world=org_side.arrive(state.world, call))


def _wake(state: State) -> State:
    return state._replace(
        processes=tuple(one._replace(is_waiting=False) for one in state.processes), current=-1
    )


def _org_moves(setting: Setting, state: State) -> Iterator[Happening]:
    is_late = bool(setting.late_chunk)
    for move in org_side.moves(state.world, is_late, state.troubles > 0):
        after = state._replace(world=move.world, troubles=state.troubles - move.trouble_count)
        processes = tuple(one._replace(is_waiting=False) for one in after.processes)
        yield Happening(f"org: {move.words}", after._replace(processes=processes))


def _while_all_wait(setting: Setting, state: State) -> Iterator[Happening]:
    if org_side.is_busy(state.world):
        yield from _org_moves(setting, state)
        return
    if not any(one.is_waiting for one in state.processes):
        return
    if setting.late_chunk == "soon":
        state = state._replace(world=org_side.land_all(state.world))
    elif org_side.is_late(state.world):
        yield from _org_moves(setting, state)
    yield Happening("time passes", _wake(state))


def _carry_on(setting: Setting, state: State) -> Iterator[Happening]:
    """Another run, to which nothing happens; and one more after whatever was still under way."""
    calm = state._replace(faults=0, troubles=0, preemptions=0, phase=state.phase + 1)
    if state.phase == 0:
        yield Happening("a run carries on", _begin(setting, calm))
        if state.late:
            early = calm._replace(late=())
            for call in state.late:
                early = arrive(early, call)
            yield Happening("all that was late arrives, then a run", _begin(setting, early))
        if setting.expires:
            aged = calm._replace(world=org_side.eight_days_later(state.world), late=())
            yield Happening("eight days later a run carries on", _begin(setting, aged))
        if setting.restores:
            ledger = Ledger(org_id=state.world.ledger.org_id)
            old = calm._replace(world=state.world._replace(ledger=ledger))
            yield Happening("the ledger is restored to its beginning", _begin(setting, old))
    elif state.phase == 1:
        after = calm._replace(late=())
        for call in state.late:
            after = arrive(after, call)
        after = after._replace(world=org_side.finish(after.world))
        if after.world != state.world or laws.NO_WORD in final(setting, state):
            yield Happening("the rest arrives, and one more run", _begin(setting, after))


def _begin(setting: Setting, state: State) -> State:
    operation = setting.runs[0].operation
    run = run_of(f"R{state.phase}", "nightly", persons=setting.persons, operation=operation)
    return state._replace(processes=(Process(run),), current=0)
