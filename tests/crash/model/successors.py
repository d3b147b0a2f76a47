"""Everything that can happen next: a process continues, something goes wrong, the org works.

A fault is in the network, the warehouse or a process; a trouble is in the org or the data. A
preemption is a switch to another process that nothing forces, for instance because one is frozen.
Each kind has a budget.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.model import invariants, org_events
from tests.crash.model.actions import take_step, with_process
from tests.crash.model.ledger_model import Ledger
from tests.crash.model.ops import Call
from tests.crash.model.process import Machine, Process
from tests.crash.model.setting import Setting, State, Successor, broken_at_end, run_of


def successors(machine: Machine, setting: Setting, state: State) -> Iterator[Successor]:
    """Yield everything that can happen next; nothing at the end of a schedule."""
    alive = [index for index, one in enumerate(state.processes) if not one.is_over]
    ready = [index for index in alive if _is_ready(state.processes[index])]
    if invariants.is_endless(state.world):
        return
    if not alive:
        yield from _next_run(setting, state)
    elif not ready:
        yield from _while_all_wait(setting, state)
        for index in alive:
            if not state.processes[index].is_begun:
                yield from take_step(machine, setting, state, index)
    elif state.current not in ready:
        for index in ready:
            yield from take_step(machine, setting, state, index)
    else:
        yield from take_step(machine, setting, state, state.current)
        if state.preemptions:
            yield from _preempt(machine, setting, state, alive)


def _after_sleep(setting: Setting, state: State, index: int) -> State:
    # A process that waits has slept long enough for a late chunk to be committed.
    if not state.processes[index].is_waiting or setting.late_chunk != "soon":
        return state
    world = org_events.commit_late_chunks(state.world)
    if world == state.world:
        return state
    processes = tuple(_disturbed(one) for one in state.processes)
    return state._replace(world=world, processes=processes)


def _disturbed(process: Process) -> Process:
    return process._replace(disturbed_count=process.disturbed_count + bool(process.events))


def _is_ready(process: Process) -> bool:
    return process.is_begun and not process.is_waiting and not process.is_over


def _preempt(
    machine: Machine, setting: Setting, state: State, alive: list[int]
) -> Iterator[Successor]:
    after = state._replace(preemptions=state.preemptions - 1)
    after = with_process(after, _disturbed(state.processes[state.current]))
    for index in alive:
        if index != state.current:
            yield from take_step(machine, setting, _after_sleep(setting, after, index), index)
    yield from _org_works(setting, after)
    for index, call in enumerate(state.late):
        others = state.late[:index] + state.late[index + 1 :]
        yield Successor(f"late arrives: {call.name}", arrive(after._replace(late=others), call))


def arrive(state: State, call: Call) -> State:
    """Return the state after a delayed request has had its effect."""
    return state._replace(world=org_events.arrive(state.world, call))


def _wake(state: State) -> State:
    return state._replace(
        processes=tuple(one._replace(is_waiting=False) for one in state.processes), current=-1
    )


def _org_works(setting: Setting, state: State) -> Iterator[Successor]:
    may_be_late = bool(setting.late_chunk)
    for event in org_events.events(state.world, may_be_late, state.troubles > 0):
        after = state._replace(world=event.world, troubles=state.troubles - event.trouble_count)
        processes = tuple(one._replace(is_waiting=False) for one in after.processes)
        yield Successor(f"org: {event.text}", after._replace(processes=processes))


def _while_all_wait(setting: Setting, state: State) -> Iterator[Successor]:
    if org_events.is_busy(state.world):
        yield from _org_works(setting, state)
        return
    if not any(one.is_waiting for one in state.processes):
        return
    if setting.late_chunk == "soon":
        state = state._replace(world=org_events.commit_late_chunks(state.world))
    elif org_events.has_late_chunk(state.world):
        yield from _org_works(setting, state)
    yield Successor("time passes", _wake(state))


def _next_run(setting: Setting, state: State) -> Iterator[Successor]:
    """Start another run without faults, and a last one after everything delayed has arrived."""
    undisturbed = state._replace(faults=0, troubles=0, preemptions=0, phase=state.phase + 1)
    if state.phase == 0:
        yield Successor("another run starts", _begin(setting, undisturbed))
        if state.late:
            early = undisturbed._replace(late=())
            for call in state.late:
                early = arrive(early, call)
            yield Successor("all late requests arrive, then a run", _begin(setting, early))
        if setting.expires:
            aged = undisturbed._replace(world=org_events.eight_days_later(state.world), late=())
            yield Successor("eight days later another run starts", _begin(setting, aged))
        if setting.restores:
            ledger = Ledger(org_id=state.world.ledger.org_id)
            old = undisturbed._replace(world=state.world._replace(ledger=ledger))
            yield Successor("the ledger is restored to its beginning", _begin(setting, old))
    elif state.phase == 1:
        after = undisturbed._replace(late=())
        for call in state.late:
            after = arrive(after, call)
        after = after._replace(world=org_events.finish(after.world))
        if after.world != state.world or invariants.NO_OUTCOME in broken_at_end(setting, state):
            yield Successor("the rest arrives, and one more run", _begin(setting, after))


def _begin(setting: Setting, state: State) -> State:
    operation = setting.runs[0].operation
    run = run_of(f"R{state.phase}", "nightly", persons=setting.persons, operation=operation)
    return state._replace(processes=(Process(run),), current=0)
