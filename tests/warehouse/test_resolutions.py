"""Resolutions of held persons: all or nothing, and one at a time."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pandas as pd
import pytest

from pipelines.errors import ConfigurationError, LeaseLostError, SyncError
from pipelines.rules.frames import FoundLeads, conform
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse, open_warehouse
from tests.warehouse.ledger_steps import begin, cells, is_consistent, pending, results, submitted

RUN = {
    "flow_run_id": None,
    "run_mode": "resolve",
    "owner_default": None,
    "process_host": "here",
    "process_id": 1,
    "code_version": "1",
    "settings_hash": "0",
}
CREATED = ledger.NewResolution("created", "ada", lead_id="00Q1")


def hold(warehouse: Warehouse, *person_ids: str) -> list[ledger.PersonState]:
    """Held persons of a run R1."""
    begin(warehouse)
    batch = submitted(warehouse, pending(warehouse, *person_ids))
    rows = "\n".join(f"{one} | held | JOB_GONE" for one in person_ids)
    ledger.record_results(warehouse, batch, results(f"person_id | outcome | reason_code\n{rows}"))
    found = [ledger.read_person_state(warehouse, one) for one in person_ids]
    return [one for one in found if one is not None]


def resolve_as(
    warehouse: Warehouse, state: ledger.PersonState, new: ledger.NewResolution, run_id: str
) -> None:
    facts: dict[str, Any] = {**RUN, "run_id": run_id}
    ledger.record_resolution(warehouse, state, new, run=facts, org_id="00D", api_call_count=3)


def test_an_unknown_person_has_no_state(warehouse: Warehouse) -> None:
    assert ledger.read_person_state(warehouse, "P1") is None


def test_a_resolution_of_a_changed_person_writes_nothing(warehouse: Warehouse) -> None:
    (seen,) = hold(warehouse, "P1")
    resolve_as(warehouse, seen, CREATED, "R2")
    with pytest.raises(LeaseLostError):
        resolve_as(warehouse, seen, ledger.NewResolution("rejected", "bo"), "R3")
    assert cells(warehouse, "select run_id from sync_runs order by run_id") == [("R1",), ("R2",)]
    assert is_consistent(warehouse)


@pytest.mark.parametrize(
    ("resolved_as", "counted"), [("created", 1), ("rejected", 1), ("resend", 0)]
)
def test_a_resolution_is_a_run_whose_counts_add_up(
    warehouse: Warehouse, resolved_as: str, counted: int
) -> None:
    (seen,) = hold(warehouse, "P1")
    lead_id = "00Q1" if resolved_as == "created" else None
    resolve_as(warehouse, seen, ledger.NewResolution(resolved_as, "ada", lead_id=lead_id), "R2")
    query = "select run_state, read_count, api_call_count from sync_runs where run_id = 'R2'"
    assert cells(warehouse, query) == [("finished", counted, 3)]
    emails = cells(warehouse, "select person_id from person_emails")
    assert emails == ([("P1",)] if resolved_as == "created" else [])
    assert is_consistent(warehouse)


def test_of_two_who_name_one_lead_at_once_one_is_refused(
    warehouse: Warehouse, warehouse_url: str
) -> None:
    both, start, refused = hold(warehouse, "P1", "P2"), Barrier(2), []

    def resolve(number: int) -> None:
        with open_warehouse(warehouse_url) as own:
            start.wait()
            try:
                resolve_as(own, both[number], CREATED, f"R{number + 2}")
            except SyncError as error:
                refused.append(type(error))

    speakers = [Thread(target=resolve, args=(number,)) for number in (0, 1)]
    for one in speakers:
        one.start()
    for one in speakers:
        one.join()
    assert refused == [ConfigurationError]
    assert cells(warehouse, "select count(*) from person_outcomes where lead_id = '00Q1'") == [(1,)]


def found(*rows: tuple[str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["person_id", "lead_id"], dtype="str")
    return conform(frame.assign(reason_code="FOUND_BY_PERSON_ID"), FoundLeads)


def test_leads_found_go_to_those_still_held_and_are_counted_once(warehouse: Warehouse) -> None:
    first, _ = hold(warehouse, "P1", "P2")
    resolve_as(warehouse, first, CREATED, "R2")
    leads = found(("P1", "00Q9"), ("P2", "00Q2"), ("P3", "00Q3"))
    begin(warehouse, "R3", "resume")
    assert ledger.resolve_found_leads(warehouse, "R3", leads) == 1
    assert ledger.resolve_found_leads(warehouse, "R3", leads) == 0
    words = cells(warehouse, "select person_id, lead_id from person_outcomes order by person_id")
    assert words == [("P1", "00Q1"), ("P2", "00Q2")]
    assert is_consistent(warehouse)
