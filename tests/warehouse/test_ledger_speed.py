"""How long the ledger takes for 100,000 persons: printed, not checked. `pytest -s` shows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from pipelines.rules.frames import BatchOutcomes, Duplicates, Rejected, empty
from pipelines.warehouse import ledger, new_persons, person_rows
from pipelines.warehouse.database import Warehouse
from tests.warehouse.ledger_steps import begin, filled, slice_record, submitted

PERSONS, SLICE = 100_000, 10_000
COLUMNS = ["first_name", "last_name", "company", "email", "phone", "street", "city", "country"]


@contextmanager
def timed(what: str, warehouse: Warehouse) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    if what:
        sys.stdout.write(f"\n{warehouse.engine.dialect.name:>12} {what:<24} {seconds:6.2f} s")


def many_persons() -> pd.DataFrame:
    number = pd.Series((np.arange(PERSONS) * 7919) % PERSONS).astype("str").str.zfill(7)
    seconds = pd.to_timedelta(np.arange(PERSONS) % 5_000, unit="s")
    created_at = (pd.Timestamp("2026-01-01") + seconds).as_unit("us")
    words = {name: name + number for name in COLUMNS}
    return pd.DataFrame({"person_id": number, "created_at": created_at, **words})


@pytest.mark.slow
def test_a_hundred_thousand_persons_come_in_and_go_out(warehouse: Warehouse) -> None:
    with timed("put in", warehouse), warehouse.transaction() as connection:
        warehouse.insert_frame(connection, "persons", many_persons())
    begin(warehouse)
    with timed("list", warehouse):
        assert new_persons.list_new_persons(warehouse, "R1") == PERSONS
    for first in range(1, PERSONS + 1, SLICE):
        advance(warehouse, first, is_timed=first == PERSONS - SLICE + 1)
    assert ledger.run_counts(warehouse, "R1").created_count == PERSONS
    begin(warehouse, "R2")
    with timed("list no new person", warehouse):
        assert new_persons.list_new_persons(warehouse, "R2") == 0


def advance(warehouse: Warehouse, first: int, *, is_timed: bool) -> None:
    names = ["read a slice", "record it", "read it as claimed", "record results"]
    read, record, claimed, results = names if is_timed else [""] * 4
    with timed(read, warehouse):
        found = person_rows.read_slice(warehouse, "R1", first, first + SLICE - 1, COLUMNS)
    decided = found.assign(becomes=f"B{first}", email_hash=found["email"]).drop(
        columns="owner_strategy"
    )
    with timed(record, warehouse):
        [batch] = ledger.record_slice(
            warehouse, "R1", slice_record(decided), lease_seconds=60
        ).batches
    batch = submitted(warehouse, batch)
    with timed(claimed, warehouse):
        assert len(person_rows.read_claimed(warehouse, batch.batch_id, COLUMNS)) == SLICE
    ended = filled(found[["person_id"]].assign(outcome="created", lead_id="00Q1"), BatchOutcomes)
    done = ledger.BatchResults(ended, empty(Rejected), empty(Duplicates))
    with timed(results, warehouse):
        assert ledger.record_results(warehouse, batch, done).batch_state == "completed"
