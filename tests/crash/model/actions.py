"""The next operation of a process, with every result that it can have."""

from __future__ import annotations

from collections.abc import Iterator

from tests.crash.model import invariants, ledger_model
from tests.crash.model.batch_view import describe_changes, view_of
from tests.crash.model.errors import StepError
from tests.crash.model.network import Arrival, arrivals
from tests.crash.model.ops import Call, Choose, Commit, Ended, ListOpenBatches, Read, Run
from tests.crash.model.process import Event, Machine, OpResult, Process, after_op, after_unit
from tests.crash.model.setting import Setting, State, Successor


def take_step(machine: Machine, setting: Setting, state: State, index: int) -> Iterator[Successor]:
    """Yield every successor of the state in which this process does its next operation."""
    process = state.processes[index]._replace(is_waiting=False, is_begun=True)
    state, op, name = state._replace(current=index), machine.next(process), process.run.name
    if isinstance(op, Call):
        for arrival in arrivals(op, state.world, state.faults, state.troubles):
            yield _after_call(machine, setting, state, process, op, arrival)
    elif isinstance(op, Commit):
        yield from _after_commit(machine, setting, state, process, op)
    elif isinstance(op, Choose):
        for option in op.options:
            after = _continue(machine, state, process, OpResult(option))
            yield Successor(f"{name}: {op.question} {option}", after.state)
    elif isinstance(op, ListOpenBatches):
        yield _continue(machine, state, process, OpResult(_open_batches(state, op.taker)))
    else:
        assert isinstance(op, Read)
        yield from _after_read(machine, state, process, op)
    if state.faults and isinstance(op, Call | Commit):
        yield _killed(state, process)


def _after_call(
    machine: Machine,
    setting: Setting,
    state: State,
    process: Process,
    call: Call,
    arrival: Arrival,
) -> Successor:
    world = arrival.world
    if world.ledger.org_id != process.run.org_id:
        world = world._replace(broken=world.broken | {invariants.OTHER_ORG})
    late = (*state.late, call) if arrival.is_late else state.late
    state = state._replace(
        world=world,
        late=late,
        faults=state.faults - arrival.fault_count,
        troubles=state.troubles - arrival.trouble_count,
    )
    is_disturbed = arrival.fault_count + arrival.trouble_count > 0
    event = Event(f"{call.name}: {arrival.kind}", is_disturbed) if setting.is_recording else None
    text = f"{process.run.name}: {call.name} {_arguments_of(call)}{arrival.text}"
    return _continue(machine, state, process, arrival.result, event)._replace(text=text)


def _after_commit(
    machine: Machine, setting: Setting, state: State, process: Process, op: Commit
) -> Iterator[Successor]:
    before, name = state.world.ledger, process.run.name
    try:
        after, value = op.act(before)
    except StepError as error:
        rejected = OpResult(error=type(error).__name__)
        text = f"{name}: ledger raises {type(error).__name__}"
        yield _continue(machine, state, process, rejected)._replace(text=text)
        return
    change = describe_changes(view_of(before, op.batch_id), view_of(after, op.batch_id))
    event = Event(change) if setting.is_recording else None
    committed = state._replace(world=state.world._replace(ledger=after))
    for batch in after.batches:
        was = ledger_model.find(before, batch.batch_id)
        if was is not None and was.fencing_token != batch.fencing_token:
            committed = _with_unknowable(committed, batch.batch_id)
    text = f"{name}: ledger {change}"
    yield _continue(machine, committed, process, OpResult(value), event)._replace(text=text)
    if state.faults:
        lost = OpResult(error="WarehouseUnavailableError")
        event = Event(f"{change}: no response", True) if setting.is_recording else None
        failed = state._replace(faults=state.faults - 1)
        failed_text = f"{text}, and is rolled back"
        yield _continue(machine, failed, process, lost, event)._replace(text=failed_text)
        # The run knows that it has not called yet. The next run sees the ledger only.
        silent = _with_unknowable(committed._replace(faults=state.faults - 1), op.batch_id)
        lost_text = f"{text}, and the response is lost"
        yield _continue(machine, silent, process, lost, event)._replace(text=lost_text)


def _after_read(machine: Machine, state: State, process: Process, op: Read) -> Iterator[Successor]:
    text = f"{process.run.name}: reads the ledger"
    yield _continue(machine, state, process, OpResult(op.act(state.world)))._replace(text=text)
    claimed = [claim.person for claim in state.world.ledger.claims]
    if op.of_source and state.troubles and claimed:
        changed = tuple((one, n + (one == claimed[0])) for one, n in state.world.versions)
        world = state.world._replace(versions=changed)
        after = state._replace(world=world, troubles=state.troubles - 1)
        process = process._replace(disturbed_count=process.disturbed_count + 1)
        yield _continue(machine, after, process, OpResult(op.act(world)))._replace(
            text=f"the source row of {claimed[0]} has changed; {text}"
        )


def _continue(
    machine: Machine, state: State, process: Process, result: OpResult, event: Event | None = None
) -> Successor:
    """Give the process its result. If that ends a unit, go to the beginning of the next."""
    after, label = after_op(process, result, event), None
    ended = machine.next(after)
    if isinstance(ended, Ended):
        if process.run.batches and not process.run.units_left:
            batch = process.run.batches[process.run.batch_index]
            if after.disturbed_count <= 1:
                label = (batch.load_api, batch.batch_state, *after.events, f"⇒ {ended.result}")
        after = after_unit(ended)
        state = _with_needless_stop(state) if ended.is_permanent_error else state
    if after.is_over:
        after = _ended(after)
    text = f"{process.run.name} lists the open batches"
    return Successor(text, with_process(state, after), label)


def _with_needless_stop(state: State) -> State:
    # In the model no run has a reason to stop for a human.
    broken = state.world.broken | {invariants.NEEDLESS_STOP}
    return state._replace(world=state.world._replace(broken=broken))


def with_process(state: State, process: Process) -> State:
    """Return the state with this process in place of the current one."""
    processes = list(state.processes)
    processes[state.current] = process
    return state._replace(processes=tuple(processes))


def _ended(process: Process) -> Process:
    # Only the name of an ended run matters. Without the rest, many end states are equal.
    return Process(Run(process.run.name, (), "", ()), is_over=True)


def _killed(state: State, process: Process) -> Successor:
    after = state._replace(faults=state.faults - 1)
    for batch in process.run.batches:
        after = _with_unknowable(after, batch.batch_id)
    return Successor(f"{process.run.name} is killed", with_process(after, _ended(process)))


def _with_unknowable(state: State, batch_id: str) -> State:
    """Mark the batch's persons as unknowable if only this process knew what its call did."""
    ledger = state.world.ledger
    batch = ledger_model.find(ledger, batch_id)
    if batch is None or (batch.load_api, batch.batch_state) != ("collections", "submitted"):
        return state
    unknowable = state.world.unknowable | set(ledger_model.claimed_by(ledger, batch_id))
    return state._replace(world=state.world._replace(unknowable=unknowable))


def _open_batches(state: State, taker: str) -> tuple[tuple[tuple[str, int], ...], ...]:
    living = {one.run.name for one in state.processes if not one.is_over} - {taker}
    is_open = [one for one in state.world.ledger.batches if one.batch_state != "completed"]
    return (
        tuple((one.batch_id, one.fencing_token) for one in is_open if one.leased_by not in living),
        tuple((one.batch_id, one.fencing_token) for one in is_open if one.leased_by in living),
    )


def _arguments_of(call: Call) -> str:
    return " ".join(
        "(" + ", ".join(map(str, one)) + ")" if isinstance(one, tuple) else str(one)
        for one in call.arguments
    )
