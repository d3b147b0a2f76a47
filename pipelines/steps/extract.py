"""The first step: find the new persons, and read them slice by slice."""

from __future__ import annotations

import logging

import pandas as pd

from pipelines import memory
from pipelines.steps.context import Passed, RunContext
from pipelines.warehouse import ledger, new_persons, person_rows

log = logging.getLogger(__name__)


def find_new_persons(run: RunContext) -> int:
    """List the persons to be read, earliest first, and plan the slices; return how many there are.

    Also choose how Salesforce's known records are looked up, which depends on that number. May be
    repeated.
    """
    with run.progress.during("persons: looking for new ones"):
        count = new_persons.list_new_persons(
            run.warehouse, run.run_id, only=run.request.person_ids, limit=run.request.limit
        )
    run.plan_slices(count)
    log.info("persons: %s new", f"{count:,}")
    with run.progress.during("matching: choosing the lookup method"):
        run.matcher.choose_method(run.person_count)
    return run.person_count


def extract_slice(run: RunContext, part: ledger.Slice) -> Passed[pd.DataFrame]:
    """Return the source rows of the slice's persons that are still new: one row per person.

    Columns: those of `columns_to_read`, and the ledger's own (see `person_rows.read_slice`). May be
    repeated. Raise DeadlineReachedError when the run's time is over.
    """
    run.require_time_left()
    with run.progress.during(f"slice {run.slice_name(part)}: extracting"):
        # First, so that a page of the snapshot and the slice are not in memory together.
        run.matcher.refresh_if_stale()
        if part.first > 1:  # a run of one slice ends soon anyway, and a person may be waiting
            memory.trim_heap()
        columns = columns_to_read(run)
        rows = person_rows.read_slice(run.warehouse, run.run_id, part.first, part.last, columns)
    return Passed(part, rows, f"{len(rows):,} read")


def columns_to_read(run: RunContext) -> list[str]:
    """Return the columns of the persons table that the rules and the payload need."""
    asked = {column for choice in run.choices for column in choice.when}
    always_read = {"person_id", "owner_strategy", "created_at"}
    return [*dict.fromkeys([*run.columns.values(), *sorted(asked - always_read)])]
