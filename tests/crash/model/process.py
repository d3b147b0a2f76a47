"""A process of the model: a run, and how far it is in its current unit.

A unit is a generator, and a generator cannot be copied; the results it was given can. So a process
is its run and those results. The generator is created again to find out the next operation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.crash.model import errors
from tests.crash.model.ops import Ended, Op, Run, Unit
from tests.crash.model.protocol import Protocol


class OpResult(NamedTuple):
    """The result of an operation: a value, or the name of the error it raises."""

    value: Any = None
    error: str | None = None


class Process(NamedTuple):
    """A run, perhaps not begun yet.

    `events` and `disturbed_count` are those of the current unit. They serve only the comparison
    with the code.
    """

    run: Run
    results: tuple[OpResult, ...] = ()
    is_waiting: bool = False
    is_over: bool = False
    is_begun: bool = True
    events: tuple[str, ...] = ()
    disturbed_count: int = 0


class Machine:
    """Finds the next operation of a process, and remembers it: many schedules need the same."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._known: dict[tuple[Run, tuple[OpResult, ...]], Op | Ended] = {}

    def next(self, process: Process) -> Op | Ended:
        """Return the next operation of the process, or the end of its unit."""
        key = process.run, process.results
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._replay(*key)
        return known

    def _replay(self, run: Run, results: tuple[OpResult, ...]) -> Op | Ended:
        unit = self.unit(run)
        try:
            op = next(unit)
            for result in results:
                op = give(unit, result)
        except StopIteration as ended:
            value: Ended = ended.value
            return value
        except errors.StepError as error:
            # An error that no unit handles ends the run, as it ends a flow run.
            return Ended(run._replace(units_left=(), batches=()), type(error).__name__)
        return op

    def unit(self, run: Run) -> Unit:
        """Start the next unit of a run."""
        name = run.units_left[0] if run.units_left else "advance"
        return self.protocol.units[name](self.protocol, run)


def give(unit: Unit, result: OpResult) -> Op:
    """Give a unit the result of its operation, and return its next one."""
    if result.error is None:
        return unit.send(result.value)
    if result.error.startswith("OrgRejectedError "):
        return unit.throw(errors.OrgRejectedError(result.error.partition(" ")[2]))
    error: errors.StepError = getattr(errors, result.error)()
    return unit.throw(error)


class Event(NamedTuple):
    """What can be observed of an operation from outside, and whether it was disturbed."""

    text: str
    is_disturbed: bool = False


def after_op(process: Process, result: OpResult, event: Event | None = None) -> Process:
    """Return the process after one operation."""
    after = process._replace(results=(*process.results, result))
    if event is None:
        return after
    return after._replace(
        events=(*process.events, event.text),
        disturbed_count=process.disturbed_count + event.is_disturbed,
    )


def after_unit(ended: Ended) -> Process:
    """Return the process after a whole unit."""
    is_over = not ended.run.units_left and not ended.run.batches
    return Process(ended.run, is_waiting=ended.is_waiting, is_over=is_over)
