"""In whatever order: read = created + updated + duplicate + rejected + held + open."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipelines.errors import LeaseLostError
from pipelines.warehouse import ledger, new_persons, person_rows
from pipelines.warehouse.database import Warehouse, open_warehouse
from pipelines.warehouse.ledger.batch_results import OUTCOMES
from tests.conftest import PostgresServer
from tests.warehouse.ledger_steps import (
    begin,
    cells,
    change,
    is_consistent,
    put_persons,
    results,
    slice_record,
    uploading,
)

PERSONS = [f"P{number}" for number in range(8)]
RUNS = ["R1", "R2", "R3"]
FATES = ["sent", "sent", "sent", "rejected", "duplicate in lead", "duplicate of P0"]


class LedgerMachine(RuleBasedStateMachine):
    """Three runs record, send, complete, release and take over each other's batches."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.warehouse: Warehouse = open_warehouse(self.fresh())
        self.held: list[ledger.Batch] = []  # as each run last saw them, old ones too
        self.minted = 0

    def fresh(self) -> str:
        raise NotImplementedError

    @initialize()
    def begin_runs(self) -> None:
        rows = "\n".join(f"{person_id} | 2026-01-01" for person_id in PERSONS)
        put_persons(self.warehouse, f"person_id | updated_at\n{rows}")
        for run_id in RUNS:
            begin(self.warehouse, run_id)

    @rule(
        run_id=st.sampled_from(RUNS),
        outcomes=st.lists(st.sampled_from(FATES), min_size=8, max_size=8),
        emails=st.lists(st.sampled_from(["e1", "e2", "e3", None]), min_size=8, max_size=8),
    )
    def record_new_persons(
        self, run_id: str, outcomes: list[str], emails: list[str | None]
    ) -> None:
        change(self.warehouse, f"delete from run_persons where run_id = '{run_id}'")
        count = new_persons.list_new_persons(self.warehouse, run_id)
        found = person_rows.read_slice(self.warehouse, run_id, 1, count, [])
        self.minted += 1
        decision = {
            p: w.replace("sent", f"B{self.minted}") for p, w in zip(PERSONS, outcomes, strict=True)
        }
        becomes = found["person_id"].map(decision)
        email_hash = found["person_id"].map(dict(zip(PERSONS, emails, strict=True)))
        # A person is never a duplicate of itself.
        becomes = becomes.mask(found["person_id"].eq("P0"), "rejected")
        decided = found.assign(becomes=becomes.astype("str"), email_hash=email_hash.astype("str"))
        record = slice_record(decided.drop(columns="owner_strategy"))
        recorded = ledger.record_slice(self.warehouse, run_id, record, lease_seconds=60)
        assert recorded.taken_by_others == []
        self.held += recorded.batches

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def continue_batches(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.held))
        if batch.batch_state == "pending":
            self.step(batch, lambda: self.upload_again(batch))
        elif batch.batch_state == "uploading":
            self.step(batch, lambda: ledger.record_submitted(self.warehouse, batch))
        elif batch.batch_state == "submitted":
            self.complete(batch, data)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def discard_job_of(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.held))
        if batch.batch_state in ("uploading", "submitted"):
            self.step(batch, lambda: ledger.discard_job(self.warehouse, batch, "Aborted"))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.held))
        some = self.some_of(batch, data)
        if batch.batch_state == "pending":
            self.step(batch, lambda: ledger.release_persons(self.warehouse, batch, some))

    @rule(run_id=st.sampled_from(RUNS))
    def take_over(self, run_id: str) -> None:
        self.held += ledger.take_over_stale_batches(
            self.warehouse, run_id, lease_seconds=60, is_alive=lambda _host, _pid: False
        )

    @rule(person_id=st.sampled_from(PERSONS), day=st.integers(2, 28))
    def correct_a_row(self, person_id: str, day: int) -> None:
        instant = f"2026-01-{day:02} 00:00:00.000000"
        where = f"where person_id = '{person_id}'"
        change(self.warehouse, f"update persons set updated_at = '{instant}' {where}")

    def complete(self, batch: ledger.Batch, data: st.DataObject) -> None:
        some = self.some_of(batch, data)
        ends = data.draw(st.lists(st.sampled_from(OUTCOMES), min_size=8, max_size=8))
        rows = "\n".join(f"{p} | {end}" for p, end in zip(some, ends, strict=False))
        ended = results(f"person_id | outcome\n{rows}")
        self.step(batch, lambda: ledger.record_results(self.warehouse, batch, ended))

    def some_of(self, batch: ledger.Batch, data: st.DataObject) -> list[str]:
        claims = list(ledger.batch_claims(self.warehouse, batch.batch_id)["person_id"])
        return data.draw(st.lists(st.sampled_from(claims), unique=True)) if claims else []

    def upload_again(self, batch: ledger.Batch) -> ledger.Batch:
        return uploading(self.warehouse, batch)

    def step(self, batch: ledger.Batch, move: Any) -> None:
        """Takes the step if this is how the batch stands; else nothing may happen."""
        is_as_seen = ledger.read_batch(self.warehouse, batch.batch_id) == batch
        try:
            after = move()
        except LeaseLostError:
            assert not is_as_seen
        else:
            assert is_as_seen
            self.held[self.held.index(batch)] = after

    @invariant()
    def counts_add_up(self) -> None:
        assert is_consistent(self.warehouse)

    @invariant()
    def no_person_is_sent_twice(self) -> None:
        query = "select person_id, outcome from person_outcomes"
        outcomes = dict(cells(self.warehouse, query))
        claimed = {row[0] for row in cells(self.warehouse, "select person_id from person_claims")}
        for person_id in claimed & outcomes.keys():
            assert outcomes[person_id] in ("rejected", "duplicate")

    @invariant()
    def no_person_is_created_twice(self) -> None:
        [(counted,)] = cells(self.warehouse, "select sum(created_count) from sync_runs")
        outcomes = Counter(
            o for (o,) in cells(self.warehouse, "select outcome from person_outcomes")
        )
        assert (counted or 0) == outcomes["created"]

    @invariant()
    def an_email_is_sent_once(self) -> None:
        query = """
            select email_hash from person_claims where email_hash is not null
            group by email_hash having count(*) > 1
        """
        assert cells(self.warehouse, query) == []

    def teardown(self) -> None:
        self.warehouse.close()


def hold(machine: type[LedgerMachine], examples: int) -> None:
    calm = [HealthCheck.too_slow, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=calm
    )
    run_state_machine_as_test(machine, settings=chosen)


def test_the_laws_hold_on_sqlite(migrated_sqlite: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:

        class OnSQLite(LedgerMachine):
            def fresh(self) -> str:
                for old in Path(folder).iterdir():
                    old.unlink()
                shutil.copy(migrated_sqlite, Path(folder) / "warehouse.db")
                return f"sqlite:///{folder}/warehouse.db"

        hold(OnSQLite, examples=40)


@pytest.mark.timeout(300)
def test_the_laws_hold_on_postgresql(
    migrated_postgres: str, postgres_server: PostgresServer
) -> None:
    class OnPostgreSQL(LedgerMachine):
        database = ""

        def fresh(self) -> str:
            self.database = postgres_server.fresh(template=migrated_postgres)
            return postgres_server.address(self.database)

        def teardown(self) -> None:
            super().teardown()
            postgres_server.run("drop database {} with (force)", self.database)

    hold(OnPostgreSQL, examples=20)
