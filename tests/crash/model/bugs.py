"""Protocols with a planted bug. A search that cannot tell them from the real one proves nothing.

Some were the designs of others, some were drawn up as mutants in the design, and those marked
`found` stood in the code until the model was held beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.crash.model import laws, wrong_steps
from tests.crash.model.protocol import STEPS, Protocol, StepFunction
from tests.crash.model.setting import Setting, run_of
from tests.crash.model.units import UNITS, as_it_is


class Bug(NamedTuple):
    """A planted bug, the smallest setting that shows it, and the law it breaks there at least."""

    name: str
    setting: Setting
    breaks: str


LIBRARY = {"judge": wrong_steps.call_library}, {("library", "submitted"): wrong_steps.await_library}


def _protocol(
    has_field: bool,
    steps: Mapping[tuple[str, str], StepFunction] | None = None,
    **more: Any,
) -> Protocol:
    base = as_it_is(has_field)
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
    """All of them."""
    return [*_of_order(), *_of_fence(), *_of_answers(), *_found()]


def _of_order() -> list[Bug]:
    units = {**UNITS, "judge": wrong_steps.judge_in_two}
    library = {**UNITS, **LIBRARY[0]}
    in_two = _protocol(False, record=wrong_steps.state_first)
    off, planned = False, ("bulk", "pending")
    return [
        Bug("library call", _setting(_protocol(off, LIBRARY[1], units=library)), laws.TWICE),
        Bug(
            "library call by upsert",
            _setting(_protocol(True, LIBRARY[1], units=library), operation="upsert"),
            laws.EDIT_LOST,
        ),
        Bug(
            "id stored after close",
            _setting(_protocol(off, {planned: wrong_steps.id_after_close})),
            laws.TWICE,
        ),
        Bug(
            "closed before the intent",
            _setting(_protocol(off, {planned: wrong_steps.close_before_intent})),
            laws.TWICE,
        ),
        Bug(
            "uploaded twice",
            _setting(_protocol(True, {("bulk", "uploading"): wrong_steps.upload_again})),
            laws.TWO_UPLOADS,
        ),
        Bug("claim and batch in two", _setting(_protocol(off, units=units)), laws.NO_WORD),
        Bug(
            "outcomes and state in two",
            _setting(in_two),
            laws.TWICE,
        ),
    ]


def _of_fence() -> list[Bug]:
    own_clock = {key: wrong_steps.by_own_clock(step) for key, step in STEPS.items()}
    aborting = {("bulk", "submitted"): wrong_steps.abort_running}
    other = run_of("S", "nightly", org_id="a sandbox")
    return [
        Bug(
            "no fencing_token compared",
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
    twice = {("collections", "pending"): wrong_steps.send_twice}
    return [
        Bug(
            "create by collections sent again",
            _setting(_protocol(False, twice), load_api="collections"),
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
    keeping = {("bulk", "pending"): wrong_steps.keep_payload}
    keeping_records = {("collections", "pending"): wrong_steps.keep_collection}
    forgetting = {("collections", "pending"): wrong_steps.forget_answers}
    return [
        Bug(
            "found: payload kept past an unanswered commit",
            _setting(_protocol(False, keeping), (1, 1, 0)),
            laws.TWICE,
        ),
        Bug(
            "found: payload kept past a collections call",
            _setting(_protocol(False, keeping_records), (0, 1, 0), load_api="collections"),
            laws.TWICE,
        ),
        Bug(
            "found: answers forgotten with the owners",
            _setting(_protocol(False, forgetting), load_api="collections"),
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
