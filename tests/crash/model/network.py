"""What can happen to a request between a run and the org."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.crash.model import org
from tests.crash.model.errors import OrgRejectedError
from tests.crash.model.ops import Call, World
from tests.crash.model.org import LOCKED
from tests.crash.model.org_events import arrive
from tests.crash.model.process import OpResult

CHANGING = ("create_job", "upload", "close_job", "abort_job", "send_records")
# A late create only opens a job that nothing is ever uploaded to.
MAY_BE_LATE = ("upload", "close_job", "abort_job", "send_records")
LOST = OpResult(error="OrgUnavailableError")


class Arrival(NamedTuple):
    """What became of a request. `kind` is what the sender can see of the response."""

    world: World
    result: OpResult
    kind: str
    text: str = ""
    fault_count: int = 0
    trouble_count: int = 0
    is_late: bool = False


def arrivals(call: Call, world: World, faults: int, troubles: int) -> Iterator[Arrival]:
    """Yield everything that can become of a request."""
    after, result = _effect(world, call)
    yield Arrival(after, result, _kind(call, result))
    if faults:
        doubtful = _with_unknowable(world, call)
        lost = (LOST, "lost")
        if call.name in CHANGING:
            yield Arrival(doubtful, *lost, ", the request is lost", fault_count=1)
            after = after._replace(unknowable=doubtful.unknowable)
        yield Arrival(after, *lost, ", the response is lost", fault_count=1)
        if call.name in MAY_BE_LATE:
            yield Arrival(doubtful, *lost, ", delayed", fault_count=1, is_late=True)
    if troubles:
        yield from _troubled(call, world)


def _effect(world: World, call: Call) -> tuple[World, OpResult]:
    try:
        _, value = getattr(org, call.name)(world.org, *call.arguments)
    except OrgRejectedError as error:
        return arrive(world, call), OpResult(error=f"OrgRejectedError {error}")
    return arrive(world, call), OpResult(value)


def _kind(call: Call, result: OpResult) -> str:
    is_gone = call.name == "job_status" and result.value is None
    is_rejected = result.error is not None or result.value == "rejected"
    return "rejected" if is_gone or is_rejected else "ok"


def _with_unknowable(world: World, call: Call) -> World:
    if call.name != "send_records":
        return world
    rows: tuple[str, ...] = call.arguments[1]
    return world._replace(unknowable=world.unknowable | set(rows))


def _troubled(call: Call, before: World) -> Iterator[Arrival]:
    if call.name == "upload":
        _, first = _effect(before, call)
        if first.error is None:
            spoiled, _ = org.upload(arrive(before, call).org, *call.arguments)
            world = before._replace(org=spoiled)
            yield Arrival(world, OpResult(), "ok", ", repeated by a proxy", trouble_count=1)
    elif call.name in ("read_successful", "read_unprocessed"):
        _, whole = _effect(before, call)
        if whole.error is None and whole.value:
            cut = OpResult(whole.value[:-1])
            yield Arrival(before, cut, "ok", ", cut short", trouble_count=1)
    elif call.name == "send_records":
        yield _locked(before, call)


def _locked(before: World, call: Call) -> Arrival:
    """Save all records but the first, which is locked."""
    operation, rows = call.arguments
    after, results = org.send_records(before.org, operation, rows[1:])
    results = ((rows[0], f"!{LOCKED}"), *results)
    world = before._replace(org=after)
    return Arrival(world, OpResult(results), "ok", ", a record locked", trouble_count=1)
