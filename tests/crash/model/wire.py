"""How a request may fare between a run and the org."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.crash.model import org
from tests.crash.model.faults import OrgRejectedError
from tests.crash.model.ops import Call, World
from tests.crash.model.org import LOCKED
from tests.crash.model.org_side import arrive
from tests.crash.model.run import Answer

CHANGING = ("create_job", "upload", "close_job", "abort_job", "send_records")
# A create that comes late opens a job that nobody knows and nobody fills.
MAY_BE_LATE = ("upload", "close_job", "abort_job", "send_records")
LOST = Answer(trouble="OrgUnavailableError")


class Arrival(NamedTuple):
    """What became of a request. `kind` is what the sender can tell of the answer."""

    world: World
    answer: Answer
    kind: str
    words: str = ""
    fault_count: int = 0
    trouble_count: int = 0
    is_late: bool = False


def arrivals(call: Call, world: World, faults: int, troubles: int) -> Iterator[Arrival]:
    """Every way it may fare."""
    after, answer = _effect(world, call)
    yield Arrival(after, answer, _kind(call, answer))
    if faults:
        doubtful = _doubtful(world, call)
        lost = (LOST, "lost")
        if call.name in CHANGING:
            yield Arrival(doubtful, *lost, ", lost on its way", fault_count=1)
            after = after._replace(unknowable=doubtful.unknowable)
        yield Arrival(after, *lost, ", its answer lost", fault_count=1)
        if call.name in MAY_BE_LATE:
            yield Arrival(doubtful, *lost, ", under way for long", fault_count=1, is_late=True)
    if troubles:
        yield from _troubled(call, world)


def _effect(world: World, call: Call) -> tuple[World, Answer]:
    try:
        _, value = getattr(org, call.name)(world.org, *call.arguments)
    except OrgRejectedError as refusal:
        return arrive(world, call), Answer(trouble=f"OrgRejectedError {refusal}")
    return arrive(world, call), Answer(value)


def _kind(call: Call, answer: Answer) -> str:
    is_gone = call.name == "ask_job" and answer.value is None
    is_refused = answer.trouble is not None or answer.value == "refused"
    return "refused" if is_gone or is_refused else "ok"


def _doubtful(world: World, call: Call) -> World:
    if call.name != "send_records":
        return world
    rows: tuple[str, ...] = call.arguments[1]
    return world._replace(unknowable=world.unknowable | set(rows))


def _troubled(call: Call, before: World) -> Iterator[Arrival]:
    if call.name == "upload":
        _, first = _effect(before, call)
        if first.trouble is None:
            spoiled, _ = org.upload(arrive(before, call).org, *call.arguments)
            world = before._replace(org=spoiled)
            yield Arrival(world, Answer(), "ok", ", repeated by a proxy", trouble_count=1)
    elif call.name in ("read_made", "read_left"):
        _, whole = _effect(before, call)
        if whole.trouble is None and whole.value:
            cut = Answer(whole.value[:-1])
            yield Arrival(before, cut, "ok", ", cut short", trouble_count=1)
    elif call.name == "send_records":
        yield _locked(before, call)


def _locked(before: World, call: Call) -> Arrival:
    """The first record meets a lock, the others are saved."""
    operation, rows = call.arguments
    after, answers = org.send_records(before.org, operation, rows[1:])
    said = ((rows[0], f"!{LOCKED}"), *answers)
    world = before._replace(org=after)
    return Arrival(world, Answer(said), "ok", ", a record locked", trouble_count=1)
