"""A process of the model: a run's mind, and how far it is in the step under way.

A step is a generator, and generators cannot be copied; what it was answered can. So a process is
its mind and those answers, and the generator is made again whenever it is asked what comes next.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.crash.model import faults
from tests.crash.model.ops import Ended, Mind, Op, Unit
from tests.crash.model.protocol import Protocol


class Answer(NamedTuple):
    """What an op came back with: a value, or the trouble raised."""

    value: Any = None
    trouble: str | None = None


class Process(NamedTuple):
    """A run, perhaps not begun yet. The `events` of a step, and how often it was disturbed, are
    only kept for the comparison with the code."""

    mind: Mind
    answers: tuple[Answer, ...] = ()
    is_waiting: bool = False
    is_over: bool = False
    is_begun: bool = True
    events: tuple[str, ...] = ()
    disturbed_count: int = 0


class Machine:
    """Says what a process does next. Remembers, since many schedules ask the same."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._known: dict[tuple[Mind, tuple[Answer, ...]], Op | Ended] = {}

    def next(self, process: Process) -> Op | Ended:
        """The next op of the process, or how its step has ended."""
        key = process.mind, process.answers
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._replay(*key)
        return known

    def _replay(self, mind: Mind, answers: tuple[Answer, ...]) -> Op | Ended:
        unit = self.unit(mind)
        try:
            op = next(unit)
            for answer in answers:
                op = give(unit, answer)
        except StopIteration as ended:
            value: Ended = ended.value
            return value
        except faults.Trouble as trouble:
            # What nobody catches ends the run, as it ends a flow run.
            return Ended(mind._replace(agenda=(), carried=()), type(trouble).__name__)
        return op

    def unit(self, mind: Mind) -> Unit:
        """The step that the mind is about to take."""
        name = mind.agenda[0] if mind.agenda else "carry"
        return self.protocol.units[name](self.protocol, mind)


def give(unit: Unit, answer: Answer) -> Op:
    """Let a step go on with what it was answered."""
    if answer.trouble is None:
        return unit.send(answer.value)
    if answer.trouble.startswith("OrgRejectedError "):
        return unit.throw(faults.OrgRejectedError(answer.trouble.partition(" ")[2]))
    raised: faults.Trouble = getattr(faults, answer.trouble)()
    return unit.throw(raised)


class Event(NamedTuple):
    """What could be observed of an op from outside, and whether something went wrong."""

    words: str
    is_disturbed: bool = False


def answered(process: Process, answer: Answer, event: Event | None = None) -> Process:
    """The process after one op."""
    after = process._replace(answers=(*process.answers, answer))
    if event is None:
        return after
    return after._replace(
        events=(*process.events, event.words),
        disturbed_count=process.disturbed_count + event.is_disturbed,
    )


def turned(ended: Ended) -> Process:
    """The process after a whole step."""
    mind = ended.mind
    is_over = not mind.agenda and not mind.carried
    return Process(mind, is_waiting=ended.is_waiting, is_over=is_over)
