"""Protocols with a planted bug. A search that cannot tell them from the real one proves nothing.

Some were the designs of others, some were drawn up as mutants in the design, and those marked
`found` stood in the code until the model was held beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.reliability.model import books, laws, protocol
from tests.reliability.model.books import Batch, Outcome
from tests.reliability.model.happenings import Setting, run_of
from tests.reliability.model.ops import (
    Call,
    Choose,
    Commit,
    Ended,
    Memory,
    Mind,
    Read,
    Step,
    Unit,
)
from tests.reliability.model.org import ENDED
from tests.reliability.model.protocol import STEPS, UNITS, Protocol, StepFunction, commit
from tests.reliability.model.settle import read_files, settle_collection
from tests.reliability.model.troubles import FencedOff, OrgRefused, OrgUnreachable


class Bug(NamedTuple):
    """A planted bug, the smallest setting that shows it, and the law it breaks there at least."""

    name: str
    setting: Setting
    breaks: str


def _id_after_close(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    job_id = yield Call("create_job", (batch.operation,))
    yield Call("upload", (job_id, rows))
    yield Call("close_job", (job_id,))
    batch = yield commit(batch, books.record_job, job_id)
    after: Batch = yield commit(batch, books.record_closing)
    return after


def _close_before_intent(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, books.record_job, job_id)
    yield Call("upload", (job_id, rows))
    yield Call("close_job", (job_id,))
    after: Batch = yield commit(batch, books.record_closing)
    return after


def _upload_again(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = yield Read(lambda world: books.held_by(world.ledger, batch.batch_id))
    yield Call("upload", (batch.salesforce_job_id, rows))
    after: Batch = yield commit(batch, books.record_closing)
    yield Call("close_job", (batch.salesforce_job_id,))
    return after


def _abort_running(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    if batch.fence <= batch.attempt_count:  # its own
        return (yield from protocol.follow_job(protocol_, memory, batch))
    yield Call("abort_job", (batch.salesforce_job_id,))
    after: Batch = yield commit(batch, books.detach_job, "Aborted")
    return after


def _keep_payload(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = memory.payloads.get(batch.batch_id)
    if rows is None:
        return (yield from protocol.open_job(protocol_, memory, batch))
    job_id = yield Call("create_job", (batch.operation,))
    batch = yield commit(batch, books.record_job, job_id)
    yield Call("upload", (job_id, rows))
    batch = yield commit(batch, books.record_closing)
    memory.payloads.pop(batch.batch_id, None)  # not reached where that commit is not answered
    yield Call("close_job", (job_id,))
    return batch


def _keep_collection(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    rows = memory.payloads.get(batch.batch_id)
    after = yield from protocol.send_collection(protocol_, memory, batch)
    if rows is not None:
        memory.payloads[batch.batch_id] = rows
    return after


def _forget_answers(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    batch = yield commit(batch, books.record_closing)
    answers = yield Call("send_records", (batch.operation, rows))
    return (yield from settle_collection(protocol_, memory, batch, answers))


def _send_twice(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    batch, rows = yield from protocol.payload_of(protocol_, memory, batch)
    batch = yield commit(batch, books.record_closing)
    try:
        answers = yield Call("send_records", (batch.operation, rows))
    except OrgUnreachable:
        answers = yield Call("send_records", (batch.operation, rows))
    return (yield from settle_collection(protocol_, memory, batch, answers))


def _by_own_clock(step: StepFunction) -> StepFunction:
    """Whoever believes that his lease runs goes on, and nothing is compared."""

    def guarded(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
        word = yield Choose("by its own clock its lease", ("runs", "is over"))
        if word == "is over":
            raise FencedOff
        return (yield from step(protocol_, memory, batch))

    return guarded


def _state_first(
    _: Protocol, batch: Batch, outcomes: tuple[Outcome, ...], end_state: str | None
) -> Step:
    names = tuple(one.person for one in outcomes)
    after: Batch = yield commit(batch, _settle_untold, names, end_state)
    yield Commit(batch.batch_id, lambda ledger: (books.tell(ledger, outcomes), None))
    return after


def _settle_untold(
    ledger: books.Ledger, batch: Batch, names: tuple[str, ...], end_state: str | None
) -> tuple[books.Ledger, Batch]:
    ledger, after = books.settle(ledger, batch, tuple(Outcome(n, "held") for n in names), end_state)
    told = tuple(one for one in ledger.outcomes if one.person not in names)
    return ledger._replace(outcomes=told), after


def _judge_in_two(protocol_: Protocol, mind: Mind) -> Unit:
    new, versions = yield Read(
        lambda world: (books.new_persons(world.ledger, mind.persons), world.versions)
    )
    after = mind._replace(agenda=mind.agenda[1:])
    if not new:
        return Ended(after, "judged")
    batch, claims, _ = protocol.weigh(mind, new, dict(versions), {})
    yield Commit("", lambda ledger: (ledger._replace(claims=(*ledger.claims, *claims)), None))
    yield Commit("", lambda ledger: (ledger._replace(batches=(*ledger.batches, batch)), None))
    return Ended(after._replace(carried=(*after.carried, batch)), "judged")


def _call_library(protocol_: Protocol, mind: Mind) -> Unit:
    """As `bulk2.Lead.insert` does: no word to anybody before the end."""
    new = yield Read(lambda world: books.new_persons(world.ledger, mind.persons))
    after = mind._replace(agenda=mind.agenda[1:])
    if not new:
        return Ended(after, "judged")
    try:
        job_id = yield Call("create_job", (mind.operation,))
        yield Call("upload", (job_id, new))
        yield Call("close_job", (job_id,))
    except (OrgRefused, OrgUnreachable):
        return protocol.stopped(after)
    job = Batch("", "closing", "library", mind.operation, mind.name, job_id)
    return Ended(after._replace(carried=(job,)), "judged")


def _await_library(protocol_: Protocol, memory: Memory, batch: Batch) -> Step:
    job = yield Call("ask_job", (batch.salesforce_job_id,))
    if job.state not in ENDED:
        return batch
    made, refused, _ = yield from read_files(batch.salesforce_job_id)
    word = "created" if batch.operation == "insert" else "updated"
    outcomes = (
        *(Outcome(person, word, lead) for person, lead in made),
        *(Outcome(person, "duplicate") for person, _ in refused),
    )
    yield Commit("", lambda ledger: (books.tell(ledger, outcomes), None))
    return batch._replace(batch_state="settled")


LIBRARY = {"judge": _call_library}, {("library", "closing"): _await_library}


def _protocol(
    has_field: bool,
    steps: Mapping[tuple[str, str], StepFunction] | None = None,
    **more: Any,
) -> Protocol:
    base = protocol.as_it_is(has_field)
    return base._replace(steps={**STEPS, **(steps or {})}, **more)


def _setting(
    protocol_: Protocol,
    budgets: tuple[int, int, int] = (1, 0, 0),
    *,
    run_count: int = 1,
    carrier: str = "bulk",
    operation: str = "insert",
    **more: Any,
) -> Setting:
    names = "AB"[:run_count]
    runs = tuple(run_of(one, "nightly", carrier, operation=operation) for one in names)
    faults, troubles, preemptions = budgets
    setting = Setting(protocol_, runs, faults=faults, troubles=troubles, preemptions=preemptions)
    return setting._replace(**more)


def bugs() -> list[Bug]:
    """All of them."""
    return [*_of_order(), *_of_fence(), *_of_answers(), *_found()]


def _of_order() -> list[Bug]:
    units = {**UNITS, "judge": _judge_in_two}
    library = {**UNITS, **LIBRARY[0]}
    off, planned = False, ("bulk", "planned")
    return [
        Bug("library call", _setting(_protocol(off, LIBRARY[1], units=library)), laws.TWICE),
        Bug(
            "library call by upsert",
            _setting(_protocol(True, LIBRARY[1], units=library), operation="upsert"),
            laws.EDIT_LOST,
        ),
        Bug(
            "id stored after close",
            _setting(_protocol(off, {planned: _id_after_close})),
            laws.TWICE,
        ),
        Bug(
            "closed before the intent",
            _setting(_protocol(off, {planned: _close_before_intent})),
            laws.TWICE,
        ),
        Bug(
            "uploaded twice",
            _setting(_protocol(True, {("bulk", "opened"): _upload_again})),
            laws.TWO_UPLOADS,
        ),
        Bug("claim and batch in two", _setting(_protocol(off, units=units)), laws.NO_WORD),
        Bug("outcomes and state in two", _setting(_protocol(off, record=_state_first)), laws.TWICE),
    ]


def _of_fence() -> list[Bug]:
    own_clock = {key: _by_own_clock(step) for key, step in STEPS.items()}
    aborting = {("bulk", "closing"): _abort_running}
    other = run_of("S", "nightly", org_id="a sandbox")
    return [
        Bug(
            "no fence compared",
            _setting(_protocol(False, is_fenced=False), (0, 0, 3), run_count=2),
            laws.TWICE,
        ),
        Bug(
            "lease by its own clock",
            _setting(_protocol(False, own_clock, is_fenced=False), (0, 0, 3), run_count=2),
            laws.TWICE,
        ),
        Bug(
            "recovery aborts running jobs",
            _setting(_protocol(False, aborting), (1, 0, 1)),
            laws.TWICE,
        ),
        Bug(
            "org not compared",
            _setting(_protocol(True, is_org_compared=False))._replace(
                runs=(run_of("A", "nightly"), other)
            ),
            laws.OTHER_ORG,
        ),
    ]


def _of_answers() -> list[Bug]:
    twice = {("collections", "planned"): _send_twice}
    return [
        Bug(
            "create by collections sent again",
            _setting(_protocol(False, twice), carrier="collections"),
            laws.TWICE,
        ),
        Bug(
            "those left over dropped",
            _setting(_protocol(False, are_left_kept=False), (0, 1, 0)),
            laws.WRONG_WORD,
        ),
        Bug(
            "counts not compared",
            _setting(_protocol(False, are_counts_compared=False), (0, 1, 0)),
            laws.TWICE,
        ),
        Bug(
            "a gone job's persons sent again",
            _setting(_protocol(False, is_gone_held=False), expires=True),
            laws.TWICE,
        ),
        Bug(
            "the same by upsert",
            _setting(_protocol(True), expires=True, operation="upsert"),
            laws.EDIT_LOST,
        ),
        Bug(
            "aborted job settled at first sight",
            _setting(_protocol(False, still_times=1), (0, 1, 0)),
            laws.TWICE,
        ),
    ]


def _found() -> list[Bug]:
    keeping = {("bulk", "planned"): _keep_payload}
    keeping_records = {("collections", "planned"): _keep_collection}
    forgetting = {("collections", "planned"): _forget_answers}
    return [
        Bug(
            "found: payload kept past an unanswered commit",
            _setting(_protocol(False, keeping), (1, 1, 0)),
            laws.TWICE,
        ),
        Bug(
            "found: payload kept past a collections call",
            _setting(_protocol(False, keeping_records), (0, 1, 0), carrier="collections"),
            laws.TWICE,
        ),
        Bug(
            "found: answers forgotten with the owners",
            _setting(_protocol(False, forgetting), carrier="collections"),
            laws.HELD,
        ),
        Bug(
            "found: those left over not counted",
            _setting(_protocol(False, is_left_counted=False), (0, 2, 0)),
            laws.HELD,
        ),
        Bug(
            "found: alarm about a batch of another's",
            _setting(_protocol(False, is_alarm_checked=False), (0, 0, 2), run_count=2),
            laws.ALARM,
        ),
    ]
