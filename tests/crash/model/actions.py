"""A process takes a step, and whatever may go wrong with it does."""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.model import laws, ledger_side
from tests.crash.model.faults import Trouble
from tests.crash.model.ops import Call, Choose, Commit, LookAround, Mind, Read
from tests.crash.model.run import Answer, Event, Machine, Process, answered, turned
from tests.crash.model.seen import changes, seen
from tests.crash.model.setting import Happening, Setting, State
from tests.crash.model.wire import Arrival, arrivals


def take_step(machine: Machine, setting: Setting, state: State, place: int) -> Iterator[Happening]:
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
        was = ledger_side.find(before, batch.batch_id)
        if was is not None and was.fencing_token != batch.fencing_token:
            done = _in_doubt(done, batch.batch_id)
    words = f"{name}: ledger {what}"
    yield _go_on(machine, done, process, Answer(value), event)._replace(words=words)
    if state.faults:
        lost = Answer(trouble="WarehouseUnavailableError")
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
                transition = (batch.load_api, batch.batch_state, *after.events, f"⇒ {ended.word}")
        after = turned(ended)
        state = _alarmed(state) if ended.is_alarm else state
    if after.is_over:
        after = _gone(after)
    words = f"{process.mind.name} looks around"
    return Happening(words, put(state, after), transition)


def _alarmed(state: State) -> State:
    # Nothing in the model gives a human anything to look at.
    return state._replace(world=state.world._replace(broken=state.world.broken | {laws.ALARM}))


def put(state: State, process: Process) -> State:
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
    return Happening(words, put(paid, _gone(process)))


def _in_doubt(state: State, batch_id: str) -> State:
    """What a collections call did, if it was made, was known to that process alone."""
    ledger = state.world.ledger
    batch = ledger_side.find(ledger, batch_id)
    if batch is None or (batch.load_api, batch.batch_state) != ("collections", "submitted"):
        return state
    unknowable = state.world.unknowable | set(ledger_side.held_by(ledger, batch_id))
    return state._replace(world=state.world._replace(unknowable=unknowable))


def _look_around(state: State, taker: str) -> tuple[tuple[tuple[str, int], ...], ...]:
    living = {one.mind.name for one in state.processes if not one.is_over} - {taker}
    is_open = [one for one in state.world.ledger.batches if one.batch_state != "completed"]
    return (
        tuple((one.batch_id, one.fencing_token) for one in is_open if one.holder not in living),
        tuple((one.batch_id, one.fencing_token) for one in is_open if one.holder in living),
    )


def _shown(call: Call) -> str:
    return " ".join(
        "(" + ", ".join(map(str, one)) + ")" if isinstance(one, tuple) else str(one)
        for one in call.arguments
    )
