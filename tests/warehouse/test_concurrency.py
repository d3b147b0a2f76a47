"""Several runs in threads and processes: no person twice, none lost, no deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import pandas as pd
import pytest

from pipelines.errors import LeaseLostError, OrgMismatchError
from pipelines.warehouse import ledger, new_persons, person_rows
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.warehouse.ledger_steps import (
    begin,
    cells,
    is_consistent,
    pending,
    put_persons,
    record_decisions,
    results,
    slice_record,
    submitted,
)

Answer = TypeVar("Answer")


def at_once(*actions: Callable[[], Answer]) -> list[Answer]:
    """What the actions answer, all let go at the same instant in threads of their own."""
    line = threading.Barrier(len(actions))

    def start(action: Callable[[], Answer]) -> Answer:
        line.wait(10)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(start, actions))


def record_all(url: str, run_id: str, *, backwards: bool) -> int:
    """A whole run on a connection of its own; answers how many persons it got."""
    with open_warehouse(url) as warehouse:
        begin(warehouse, run_id)
        count = new_persons.list_new_persons(warehouse, run_id)
        firsts = range(1, count + 1, 50)
        for first in reversed(firsts) if backwards else firsts:
            transform_slice(warehouse, run_id, first)
        return ledger.run_counts(warehouse, run_id).read_count


def transform_slice(warehouse: Warehouse, run_id: str, first: int) -> None:
    released = True
    while released:
        found = person_rows.read_slice(warehouse, run_id, first, first + 49, [])
        if found.empty:
            return
        verdict = slice_record(with_results(warehouse, run_id, found, f"{run_id}-{first}"))
        recorded = ledger.record_slice(warehouse, run_id, verdict, lease_seconds=60)
        released = bool(recorded.to_retry)


def with_results(
    warehouse: Warehouse, run_id: str, found: pd.DataFrame, batch: str
) -> pd.DataFrame:
    """Every third is rejected; two neighbours have one e-mail, and the second is a duplicate."""
    number = found["person_id"].astype("int64")
    emails = ("e" + (number // 2).astype("str")).where(number % 3 > 0)
    claimed = ledger.email_claims(warehouse, run_id, emails)
    becomes = pd.Series(f"{batch}-{len(found)}", index=found.index)
    becomes = becomes.mask(
        emails.isin(claimed["email_hash"]) | emails.duplicated(), "duplicate in lead"
    )
    becomes = becomes.mask(number % 3 == 0, "rejected")
    return found.assign(becomes=becomes.astype("str"), email_hash=emails).drop(
        columns="owner_strategy"
    )


def all_accounted_for(warehouse: Warehouse, persons: int) -> bool:
    [(read,)] = cells(warehouse, "select sum(read_count) from sync_runs")
    [(decided,)] = cells(warehouse, "select count(*) from person_outcomes")
    [(claimed,)] = cells(warehouse, "select count(*) from person_claims")
    [(sent_emails,)] = cells(warehouse, "select count(distinct email_hash) from person_claims")
    assert read == decided + claimed == persons
    assert sent_emails == claimed
    return is_consistent(warehouse)


def test_four_runs_in_threads_claim_each_person_once(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    put_persons(warehouse, "person_id\n" + "\n".join(map(str, range(400))))
    got = at_once(
        *(lambda n=n: record_all(warehouse_url, f"R{n}", backwards=n % 2 == 1) for n in range(4))
    )
    assert sum(got) == 400
    assert all_accounted_for(warehouse, 400)


def test_three_runs_in_processes_claim_each_person_once(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    put_persons(warehouse, "person_id\n" + "\n".join(map(str, range(300))))
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(record_all, warehouse_url, f"R{n}", backwards=n == 1) for n in range(3)]
        assert sum(run.result(120) for run in runs) == 300
    assert all_accounted_for(warehouse, 300)


@pytest.fixture
def second(warehouse_url: str) -> Iterator[Warehouse]:
    """The same warehouse, opened a second time."""
    with open_warehouse(warehouse_url) as uploading:
        yield uploading


def test_of_two_persons_with_one_email_one_is_sent(warehouse: Warehouse, second: Warehouse) -> None:
    for run_id in ("R1", "R2"):
        begin(warehouse, run_id)
    for n in range(20):
        one, other = at_once(
            lambda n=n: record_decisions(
                warehouse, f"person_id | becomes | email_hash\nA{n} | A{n} | e{n}"
            ),
            lambda n=n: record_decisions(
                second, f"person_id | becomes | email_hash\nB{n} | B{n} | e{n}", "R2"
            ),
        )
        assert sorted([one.to_retry, other.to_retry]) in ([[], [f"A{n}"]], [[], [f"B{n}"]])
        assert len(one.batches) + len(other.batches) == 1
    assert is_consistent(warehouse)


def test_emails_claimed_crosswise_end_in_no_deadlock(
    warehouse: Warehouse, second: Warehouse
) -> None:
    for run_id in ("R1", "R2"):
        begin(warehouse, run_id)
    heading = "person_id | becomes | email_hash\n"
    # So many that each is still taking e-mails when the other begins.
    for n in range(2):
        up = "\n".join(f"A{n}-{i:04} | A{n} | e{n}-{i:04}" for i in range(3000))
        down = "\n".join(f"B{n}-{i:04} | B{n} | e{n}-{2999 - i:04}" for i in range(3000))
        one, other = at_once(
            lambda up=up: record_decisions(warehouse, heading + up),
            lambda down=down: record_decisions(second, heading + down, "R2"),
        )
        assert len(one.to_retry) + len(other.to_retry) == 3000
    assert is_consistent(warehouse)


def test_of_two_who_take_a_batch_over_one_gets_it(warehouse: Warehouse, second: Warehouse) -> None:
    begin(warehouse, "R0")
    rows = "\n".join(f"P{n} | B{n}" for n in range(12))
    record_decisions(warehouse, f"person_id | becomes\n{rows}", "R0")
    for run_id in ("R1", "R2"):
        begin(warehouse, run_id)
    ledger.end_run(warehouse, "R0", "failed", api_call_count=0)
    one, other = at_once(lambda: taken(warehouse, "R1"), lambda: taken(second, "R2"))
    assert sorted(one + other) == sorted(f"B{n}" for n in range(12))
    assert cells(warehouse, "select distinct fencing_token from lead_batches") == [(2,)]


def taken(warehouse: Warehouse, run_id: str) -> list[str]:
    found = ledger.take_over_stale_batches(
        warehouse, run_id, lease_seconds=60, is_alive=lambda _host, _pid: True
    )
    return [batch.batch_id for batch in found]


def test_results_and_a_take_over_never_both_have_the_batch(
    warehouse: Warehouse, second: Warehouse
) -> None:
    for n in range(10):
        begin(warehouse, f"R{n}")
        batch = submitted(warehouse, pending_as(warehouse, n))
        begin(warehouse, f"T{n}")
        change_hands = [lambda b=batch, n=n: completed(warehouse, b, f"P{n}")]
        change_hands += [lambda n=n: bool(forced(second, f"T{n}"))]
        is_settled, is_taken = at_once(*change_hands)
        assert is_settled is not is_taken
    assert is_consistent(warehouse)


def pending_as(warehouse: Warehouse, n: int) -> ledger.Batch:
    table = f"person_id | becomes\nP{n} | B{n}"
    return record_decisions(warehouse, table, f"R{n}").batches[0]


def completed(warehouse: Warehouse, batch: ledger.Batch, person_id: str) -> bool:
    try:
        ledger.record_results(
            warehouse, batch, results(f"person_id | outcome\n{person_id} | created")
        )
    except LeaseLostError:
        return False
    return True


def forced(warehouse: Warehouse, run_id: str) -> list[str]:
    found = ledger.take_over_stale_batches(
        warehouse, run_id, lease_seconds=60, is_alive=lambda _host, _pid: False
    )
    return [batch.batch_id for batch in found if batch.run_id == run_id.replace("T", "R")]


def test_of_two_first_orgs_the_ledger_belongs_to_one(
    warehouse: Warehouse, second: Warehouse
) -> None:
    for run_id in ("R1", "R2"):
        begin(warehouse, run_id)
    bound = at_once(lambda: binds(warehouse, "R1", "00D1"), lambda: binds(second, "R2", "00D2"))
    assert sorted(bound) == [False, True]
    assert len(cells(warehouse, "select org_id from sync_orgs")) == 1


def binds(warehouse: Warehouse, run_id: str, org_id: str) -> bool:
    try:
        ledger.bind_org(warehouse, run_id, org_id, "Acme", True)
    except OrgMismatchError:
        return False
    return True


def test_recording_a_slice_waits_for_results_and_sees_them(
    warehouse: Warehouse, second: Warehouse
) -> None:
    begin(warehouse, "R1")
    batch = submitted(warehouse, pending(warehouse, "P1"))
    begin(warehouse, "R2")
    _, recorded = at_once(
        lambda: completed(warehouse, batch, "P1"),
        lambda: record_decisions(second, "person_id | becomes\nP1 | B2", "R2"),
    )
    assert isinstance(recorded, ledger.RecordedSlice)
    assert recorded.taken_by_others == ["P1"]
    assert is_consistent(warehouse)
