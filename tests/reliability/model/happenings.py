"""What may happen next: who goes on, what goes wrong, what the org does meanwhile.

A fault is the wire's, the warehouse's or the process's; a trouble is the org's or the data's; a
preemption is a switch that nobody was made to do, a frozen process for instance. Each is paid for
from a budget of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.reliability.model import books, laws, org_side
from tests.reliability.model.books import Ledger
from tests.reliability.model.ops import Call, Choose, Commit, LookAround, Mind, Read, World
from tests.reliability.model.org import Org
from tests.reliability.model.protocol import MODES, Protocol
from tests.reliability.model.run import Answer, Event, Machine, Process, answered, turned
from tests.reliability.model.seen import changes, seen
from tests.reliability.model.troubles import Trouble
from tests.reliability.model.wire import Arrival, arrivals


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


def run_of(name: str, mode: str, carrier: str = "bulk", **more: Any) -> Mind:
    """A run that is about to begin."""
    persons = more.pop("persons", ("Ada", "Bob", "Cyd"))
    return Mind(name, persons, carrier, MODES[mode], **more)


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
                yield from _step(machine, setting, state, place)
    elif state.current not in ready:
        for place in ready:
            yield from _step(machine, setting, state, place)
    else:
        yield from _step(machine, setting, state, state.current)
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
    paid = _put(paid, _disturbed(state.processes[state.current]))
    for place in alive:
        if place != state.current:
            yield from _step(machine, setting, _slept(setting, paid, place), place)
    yield from _org_moves(setting, paid)
    for place, call in enumerate(state.late):
        rest = state.late[:place] + state.late[place + 1 :]
        yield Happening(f"late arrives: {call.name}", arrive(paid._replace(late=rest), call))


# --- A process takes a step


def _step(machine: Machine, setting: Setting, state: State, place: int) -> Iterator[Happening]:
    process = state.processes[place]._replace(is_waiting=False, is_begun=True)
    state, op, name = state._replace(current=place), machine.next(process), process.mind.name
    if isinstance(op, Call):
        for arrival in arrivals(op, state.world, state.faults, state.troubles):
            yield _called(machine, setting, state, process, op, arrival)
    elif isinstance(op, Commit):
        yield from _committed(machine, setting, state, process, op)
    elif isinstance(op, Choose):
        for option in op.options:
            after = _go_on(machine, state, process, Answer(option))
            yield Happening(f"{name}: {op.question} {option}", after.state)
    elif isinstance(op, LookAround):
        yield _go_on(machine, state, process, Answer(_look_around(state, op.taker)))
    else:
        assert isinstance(op, Read)
        yield from _has_read(machine, state, process, op)
    if state.faults and isinstance(op, Call | Commit):
        yield _dies(state, process)


def _called(
    machine: Machine,
    setting: Setting,
    state: State,
    process: Process,
    call: Call,
    arrival: Arrival,
) -> Happening:
    world = arrival.world
    if world.ledger.org_id != process.mind.org_id:
        world = world._replace(broken=world.broken | {laws.OTHER_ORG})
    late = (*state.late, call) if arrival.is_late else state.late
    state = state._replace(
        world=world,
        late=late,
        faults=state.faults - arrival.fault_count,
        troubles=state.troubles - arrival.trouble_count,
    )
    is_odd = arrival.fault_count + arrival.trouble_count > 0
    event = Event(f"{call.name}: {arrival.kind}", is_odd) if setting.is_recording else None
    words = f"{process.mind.name}: {call.name} {_shown(call)}{arrival.words}"
    return _go_on(machine, state, process, arrival.answer, event)._replace(words=words)


def _committed(
    machine: Machine, setting: Setting, state: State, process: Process, op: Commit
) -> Iterator[Happening]:
    before, name = state.world.ledger, process.mind.name
    try:
        after, value = op.act(before)
    except Trouble as trouble:
        refusal = Answer(trouble=type(trouble).__name__)
        words = f"{name}: ledger says {type(trouble).__name__}"
        yield _go_on(machine, state, process, refusal)._replace(words=words)
        return
    what = changes(seen(before, op.batch_id), seen(after, op.batch_id))
    event = Event(what) if setting.is_recording else None
    done = state._replace(world=state.world._replace(ledger=after))
    for batch in after.batches:
        was = books.find(before, batch.batch_id)
        if was is not None and was.fence != batch.fence:
            done = _in_doubt(done, batch.batch_id)
    words = f"{name}: ledger {what}"
    yield _go_on(machine, done, process, Answer(value), event)._replace(words=words)
    if state.faults:
        lost = Answer(trouble="WarehouseUnavailable")
        event = Event(f"{what}: unanswered", True) if setting.is_recording else None
        failed = state._replace(faults=state.faults - 1)
        doubt = f"{words}, and is rolled back"
        yield _go_on(machine, failed, process, lost, event)._replace(words=doubt)
        # The run knows that it has not called yet; the ledger, which it goes by, does not.
        silent = _in_doubt(done._replace(faults=state.faults - 1), op.batch_id)
        doubt = f"{words}, and the answer is lost"
        yield _go_on(machine, silent, process, lost, event)._replace(words=doubt)


def _has_read(machine: Machine, state: State, process: Process, op: Read) -> Iterator[Happening]:
    words = f"{process.mind.name}: looks into the ledger"
    yield _go_on(machine, state, process, Answer(op.act(state.world)))._replace(words=words)
    held = [claim.person for claim in state.world.ledger.claims]
    if op.of_source and state.troubles and held:
        changed = tuple((one, n + (one == held[0])) for one, n in state.world.versions)
        world = state.world._replace(versions=changed)
        after = state._replace(world=world, troubles=state.troubles - 1)
        process = process._replace(disturbed_count=process.disturbed_count + 1)
        yield _go_on(machine, after, process, Answer(op.act(world)))._replace(
            words=f"the source row of {held[0]} has changed; {words}"
        )


def _go_on(
    machine: Machine, state: State, process: Process, answer: Answer, event: Event | None = None
) -> Happening:
    """The process with its answer; where that ended a step, at the beginning of the next."""
    after, transition = answered(process, answer, event), None
    ended = machine.next(after)
    if not isinstance(ended, Call | Commit | Read | LookAround | Choose):
        if process.mind.carried and not process.mind.agenda:
            batch = process.mind.carried[process.mind.turn]
            if after.disturbed_count <= 1:
                transition = (batch.carrier, batch.batch_state, *after.events, f"⇒ {ended.word}")
        after = turned(ended)
        state = _alarmed(state) if ended.is_alarm else state
    if after.is_over:
        after = _gone(after)
    words = f"{process.mind.name} looks around"
    return Happening(words, _put(state, after), transition)


def _alarmed(state: State) -> State:
    # Nothing in the model gives a human anything to look at.
    return state._replace(world=state.world._replace(broken=state.world.broken | {laws.ALARM}))


def _put(state: State, process: Process) -> State:
    processes = list(state.processes)
    processes[state.current] = process
    return state._replace(processes=tuple(processes))


def _gone(process: Process) -> Process:
    # Of a run that is over only its name matters: so that many ends are one.
    return Process(Mind(process.mind.name, (), "", ()), is_over=True)


def _dies(state: State, process: Process) -> Happening:
    paid = state._replace(faults=state.faults - 1)
    for batch in process.mind.carried:
        paid = _in_doubt(paid, batch.batch_id)
    words = f"{process.mind.name} dies"
    return Happening(words, _put(paid, _gone(process)))


def _in_doubt(state: State, batch_id: str) -> State:
    """What a collections call did, if it was made, was known to that process alone."""
    ledger = state.world.ledger
    batch = books.find(ledger, batch_id)
    if batch is None or (batch.carrier, batch.batch_state) != ("collections", "closing"):
        return state
    unknowable = state.world.unknowable | set(books.held_by(ledger, batch_id))
    return state._replace(world=state.world._replace(unknowable=unknowable))


def _look_around(state: State, taker: str) -> tuple[tuple[tuple[str, int], ...], ...]:
    living = {one.mind.name for one in state.processes if not one.is_over} - {taker}
    is_open = [one for one in state.world.ledger.batches if one.batch_state != "settled"]
    return (
        tuple((one.batch_id, one.fence) for one in is_open if one.holder not in living),
        tuple((one.batch_id, one.fence) for one in is_open if one.holder in living),
    )


def _shown(call: Call) -> str:
    return " ".join(
        "(" + ", ".join(map(str, one)) + ")" if isinstance(one, tuple) else str(one)
        for one in call.arguments
    )


# --- Nobody is ready


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


# --- No run is left


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
