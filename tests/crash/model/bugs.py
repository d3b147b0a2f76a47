"""Protocols with a planted bug. A search that does not find them proves nothing.

Those named `found: ...` were in the code until the model was compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.crash.model import invariants, wrong_steps
from tests.crash.model.protocol import STEPS, Protocol, StepFunction
from tests.crash.model.setting import Setting, run_of
from tests.crash.model.units import UNITS, real_protocol


class Bug(NamedTuple):
    """A planted bug, the smallest setting that shows it, and an invariant that it breaks."""

    name: str
    setting: Setting
    breaks: str


LIBRARY_UNITS = {**UNITS, "partition": wrong_steps.call_library}
LIBRARY_STEPS = {("library", "submitted"): wrong_steps.await_library}


def _protocol(
    has_field: bool,
    steps: Mapping[tuple[str, str], StepFunction] | None = None,
    **more: Any,
) -> Protocol:
    base = real_protocol(has_field)
    return base._replace(steps={**STEPS, **(steps or {})}, **more)


def _setting(
    protocol_: Protocol,
    budgets: tuple[int, int, int] = (1, 0, 0),
    *,
    run_count: int = 1,
    load_api: str = "bulk",
    operation: str = "insert",
    **more: Any,
) -> Setting:
    names = "AB"[:run_count]
    runs = tuple(run_of(one, "nightly", load_api, operation=operation) for one in names)
    faults, troubles, preemptions = budgets
    setting = Setting(protocol_, runs, faults=faults, troubles=troubles, preemptions=preemptions)
    return setting._replace(**more)


def bugs() -> list[Bug]:
    """Return all planted bugs."""
    return [*_in_the_order(), *_in_the_lease(), *_in_the_results(), *_found()]


def _in_the_order() -> list[Bug]:
    units = {**UNITS, "partition": wrong_steps.partition_in_two}
    in_two = _protocol(False, record=wrong_steps.state_first)
    pending = ("bulk", "pending")
    return [
        Bug(
            "library call",
            _setting(_protocol(False, LIBRARY_STEPS, units=LIBRARY_UNITS)),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "library call by upsert",
            _setting(_protocol(True, LIBRARY_STEPS, units=LIBRARY_UNITS), operation="upsert"),
            invariants.EDIT_LOST,
        ),
        Bug(
            "id stored after close",
            _setting(_protocol(False, {pending: wrong_steps.id_after_close})),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "closed before the intent",
            _setting(_protocol(False, {pending: wrong_steps.close_before_intent})),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "uploaded twice",
            _setting(_protocol(True, {("bulk", "uploading"): wrong_steps.upload_again})),
            invariants.TWO_UPLOADS,
        ),
        Bug(
            "claim and batch in two",
            _setting(_protocol(False, units=units)),
            invariants.NO_OUTCOME,
        ),
        Bug(
            "outcomes and state in two",
            _setting(in_two),
            invariants.SECOND_LEAD,
        ),
    ]


def _in_the_lease() -> list[Bug]:
    own_clock = {key: wrong_steps.by_own_clock(step) for key, step in STEPS.items()}
    aborting = {("bulk", "submitted"): wrong_steps.abort_running}
    other = run_of("S", "nightly", org_id="a sandbox")
    return [
        Bug(
            "fencing token not compared",
            _setting(_protocol(False, is_fenced=False), (0, 0, 3), run_count=2),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "lease by its own clock",
            _setting(_protocol(False, own_clock, is_fenced=False), (0, 0, 3), run_count=2),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "recovery aborts running jobs",
            _setting(_protocol(False, aborting), (1, 0, 1)),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "org not compared",
            _setting(_protocol(True, is_org_compared=False))._replace(
                runs=(run_of("A", "nightly"), other)
            ),
            invariants.OTHER_ORG,
        ),
    ]


def _in_the_results() -> list[Bug]:
    twice = {("collections", "pending"): wrong_steps.send_twice}
    return [
        Bug(
            "create by collections sent again",
            _setting(_protocol(False, twice), load_api="collections"),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "unprocessed persons dropped",
            _setting(_protocol(False, are_unprocessed_retried=False), (0, 1, 0)),
            invariants.WRONG_OUTCOME,
        ),
        Bug(
            "counts not compared",
            _setting(_protocol(False, are_counts_compared=False), (0, 1, 0)),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "a gone job's persons sent again",
            _setting(_protocol(False, is_gone_held=False), expires=True),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "a gone job's persons sent again by upsert",
            _setting(_protocol(True), expires=True, operation="upsert"),
            invariants.EDIT_LOST,
        ),
        Bug(
            "aborted job reconciled at the first poll",
            _setting(_protocol(False, stable_polls=1), (0, 1, 0)),
            invariants.SECOND_LEAD,
        ),
    ]


def _found() -> list[Bug]:
    keep_payload = {("bulk", "pending"): wrong_steps.keep_payload}
    keep_records = {("collections", "pending"): wrong_steps.keep_collection}
    forget_results = {("collections", "pending"): wrong_steps.forget_results}
    return [
        Bug(
            "found: payload kept after a commit without response",
            _setting(_protocol(False, keep_payload), (1, 1, 0)),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "found: payload kept after a collections call",
            _setting(_protocol(False, keep_records), (0, 1, 0), load_api="collections"),
            invariants.SECOND_LEAD,
        ),
        Bug(
            "found: results forgotten when reading owners failed",
            _setting(_protocol(False, forget_results), load_api="collections"),
            invariants.NEEDLESSLY_HELD,
        ),
        Bug(
            "found: unprocessed persons not counted",
            _setting(_protocol(False, is_unprocessed_counted=False), (0, 2, 0)),
            invariants.NEEDLESSLY_HELD,
        ),
        Bug(
            "found: stopped for another run's batch",
            _setting(_protocol(False, is_rejection_checked=False), (0, 0, 2), run_count=2),
            invariants.NEEDLESS_STOP,
        ),
    ]
