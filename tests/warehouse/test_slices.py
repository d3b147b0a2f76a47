"""Each slice is claimed once and recorded in order, however many workers there are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from pipelines.errors import LeaseLostError, RunEndedError
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse
from tests.warehouse.ledger_steps import (
    begin,
    cells,
    is_consistent,
    pending,
    slice_record,
    submitted,
)


def take(warehouse: Warehouse) -> ledger.Slice | None:
    return ledger.claim_slice(warehouse, "R1", size=10, count=95)


def slice_at(first: int, last: int) -> ledger.Slice:
    return ledger.Slice("R1", first, last)


def record(warehouse: Warehouse, at: ledger.Slice, table: str) -> ledger.RecordedSlice:
    drawn = slice_record(table)
    return ledger.record_slice(warehouse, "R1", drawn, lease_seconds=60, part=at)


def test_four_threads_take_every_slice_once(warehouse: Warehouse) -> None:
    begin(warehouse)
    with ThreadPoolExecutor(4) as pool:
        taken = [one for one in pool.map(lambda _: take(warehouse), range(20)) if one]
    slices = sorted((one.first, one.last) for one in taken)
    assert slices == [(first, min(first + 9, 95)) for first in range(1, 96, 10)]


def test_no_worker_claims_a_slice_of_a_run_that_is_over(warehouse: Warehouse) -> None:
    begin(warehouse)
    ledger.end_run(warehouse, "R1", "failed", api_call_count=0)
    for ask in (take, partial(ledger.committed_position, run_id="R1")):
        with pytest.raises(RunEndedError):
            ask(warehouse)


def test_a_run_asked_to_stop_is_over_for_its_workers_and_keeps_running(
    warehouse: Warehouse,
) -> None:
    begin(warehouse)
    ledger.stop_workers(warehouse, "R1")
    ledger.stop_workers(warehouse, "R1")
    with pytest.raises(RunEndedError, match="another of its workers failed"):
        take(warehouse)
    with pytest.raises(LeaseLostError):
        ledger.skip_slice(warehouse, slice_at(1, 10))
    assert cells(warehouse, "select run_state from sync_runs") == [("running",)]


def test_a_run_of_another_warehouse_is_not_ours_to_work_for(warehouse: Warehouse) -> None:
    with pytest.raises(RunEndedError):
        ledger.committed_position(warehouse, "R1")


def test_a_slice_out_of_turn_leaves_nothing_behind(warehouse: Warehouse) -> None:
    begin(warehouse)
    with pytest.raises(LeaseLostError):
        record(warehouse, slice_at(11, 20), "person_id | becomes\nP1 | B1\nP2 | rejected")
    for table in ("person_claims", "person_outcomes", "lead_batches", "person_emails"):
        assert cells(warehouse, f"select * from {table}") == []
    assert is_consistent(warehouse)


def test_a_slice_is_recorded_once_by_whichever_worker(warehouse: Warehouse) -> None:
    begin(warehouse)
    record(warehouse, slice_at(1, 10), "person_id | becomes\nP1 | B1")
    with pytest.raises(LeaseLostError):
        record(warehouse, slice_at(1, 10), "person_id | becomes\nP2 | B2")
    assert ledger.committed_position(warehouse, "R1") == 10
    assert cells(warehouse, "select person_id from person_claims") == [("P1",)]


def test_an_empty_slice_is_skipped(warehouse: Warehouse) -> None:
    begin(warehouse)
    ledger.skip_slice(warehouse, slice_at(1, 10))
    assert ledger.committed_position(warehouse, "R1") == 10


# What an earlier slice of the same run has written between our look and our turn.
EARLIER = "person_id | becomes | email_hash\nA | B1 | e1"


def test_the_position_stays_while_a_person_is_to_be_decided_again(warehouse: Warehouse) -> None:
    begin(warehouse)
    record(warehouse, slice_at(1, 10), EARLIER)
    first_look = "person_id | becomes | email_hash\nC | B2 | e1\nD | B2 | e2"
    assert record(warehouse, slice_at(11, 20), first_look).to_retry == ["C"]
    assert ledger.committed_position(warehouse, "R1") == 10
    second_look = "person_id | becomes | email_hash\nC | duplicate of A | e1"
    assert record(warehouse, slice_at(11, 20), second_look).to_retry == []
    assert ledger.committed_position(warehouse, "R1") == 20
    assert is_consistent(warehouse)


def test_a_duplicate_in_the_org_is_decided_again_too(warehouse: Warehouse) -> None:
    begin(warehouse)
    record(warehouse, slice_at(1, 10), EARLIER)
    look = (
        "person_id | becomes | email_hash\nC | duplicate in lead | e1\nD | duplicate in lead | e2"
    )
    assert record(warehouse, slice_at(11, 20), look).to_retry == ["C"]


def test_a_duplicate_of_a_person_decided_again_is_decided_again(warehouse: Warehouse) -> None:
    begin(warehouse)
    record(warehouse, slice_at(1, 10), EARLIER)
    look = "person_id | becomes | email_hash\nC | B2 | e1\nD | duplicate of C | e1"
    assert record(warehouse, slice_at(11, 20), look).to_retry == ["C", "D"]


def test_a_duplicate_of_an_email_no_longer_claimed_is_decided_again(warehouse: Warehouse) -> None:
    begin(warehouse)
    record(warehouse, slice_at(1, 10), "person_id | becomes | email_hash\nA | rejected | e1")
    look = "person_id | becomes | email_hash\nC | duplicate of A | e1"
    assert record(warehouse, slice_at(11, 20), look).to_retry == ["C"]


def test_a_duplicate_in_the_ledger_or_in_its_own_slice_stands(warehouse: Warehouse) -> None:
    begin(warehouse)
    record(warehouse, slice_at(1, 10), EARLIER)
    look = """
        person_id | becomes             | email_hash
        C         | duplicate in ledger | e1
        D         | B2                  | e2
        E         | duplicate of D      | e2
        F         | duplicate in lead   | e3
        G         | duplicate of F      | e3
        H         | rejected            | e1
    """
    assert record(warehouse, slice_at(11, 20), look).to_retry == []


def test_batches_of_dead_workers_are_claimed_and_a_frozen_one_is_shut_out(
    warehouse: Warehouse,
) -> None:
    begin(warehouse)
    batch = submitted(warehouse, pending(warehouse, "P1"))
    (taken,) = ledger.claim_remaining_batches(warehouse, "R1", lease_seconds=60)
    assert (taken.batch_id, taken.fencing_token) == (batch.batch_id, batch.fencing_token + 1)
    with pytest.raises(LeaseLostError):
        ledger.renew_lease(warehouse, batch, 60)
    assert ledger.claim_remaining_batches(warehouse, "R2", lease_seconds=60) == []
