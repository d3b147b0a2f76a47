"""A slice is recorded as a whole, except for persons that another run got first."""

from dataclasses import replace

import pandas as pd
import pytest

from pipelines.errors import LedgerInconsistentError
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.reports import open_batches
from tests.tables import cell_texts, drawn
from tests.warehouse.ledger_steps import (
    begin,
    cells,
    change,
    is_consistent,
    pending,
    record_decisions,
    results,
    slice_record,
    submitted,
)

OUTCOMES = "select person_id, outcome, attempt_count from person_outcomes order by person_id"
CLAIMS = "select person_id, batch_id, attempt_count from person_claims order by person_id"
EMAILS = "select email_hash, person_id from person_emails order by email_hash"
MATCHES = "select person_id, matched_in, action_taken from duplicate_persons order by person_id"


def test_every_person_is_decided_or_claimed_and_counted(warehouse: Warehouse) -> None:
    begin(warehouse)
    recorded = record_decisions(
        warehouse,
        """
        person_id | becomes           | email_hash
        P1        | B1                | e1
        P2        | B1                |
        P3        | B2                | e3
        P4        | rejected          | e4
        P5        | duplicate of P1   | e5
        P6        | duplicate in lead | e6
        """,
    )
    assert [(b.batch_id, b.person_count) for b in recorded.batches] == [("B1", 2), ("B2", 1)]
    assert (recorded.to_retry, recorded.taken_by_others) == ([], [])
    assert cells(warehouse, OUTCOMES) == [
        ("P4", "rejected", 1),
        ("P5", "duplicate", 1),
        ("P6", "duplicate", 1),
    ]
    assert cells(warehouse, CLAIMS) == [("P1", "B1", 1), ("P2", "B1", 1), ("P3", "B2", 1)]
    assert cells(warehouse, EMAILS) == [("e1", "P1"), ("e3", "P3"), ("e6", "P6")]
    assert ledger.run_counts(warehouse, "R1") == ledger.RunCounts(6, 0, 0, 2, 1, 0, 3, 0)
    assert is_consistent(warehouse)


def test_a_batch_stands_as_it_was_planned(warehouse: Warehouse) -> None:
    begin(warehouse)
    asked = ledger.NewBatch("B1", "rule:A", "insert", "Lead", "collections", "01Q1", True)
    found = replace(slice_record("person_id | becomes\nP1 | B1"), batches=[asked])
    [batch] = ledger.record_slice(warehouse, "R1", found, lease_seconds=60).batches
    assert {name: getattr(batch, name) for name in vars(asked)} == vars(asked)
    assert (batch.run_id, batch.leased_by_run_id, batch.fencing_token) == ("R1", "R1", 1)
    assert (batch.lease_until - batch.planned_at).total_seconds() == pytest.approx(60, abs=5)
    assert ledger.read_batch(warehouse, "B1") == batch
    assert ledger.read_batch(warehouse, "B2") is None


def test_batches_without_persons_are_not_written(warehouse: Warehouse) -> None:
    begin(warehouse)
    found = slice_record("person_id | becomes\nP1 | rejected")
    found = replace(found, batches=[ledger.NewBatch("B1", "rules", "insert", "Lead", "bulk")])
    assert ledger.record_slice(warehouse, "R1", found, lease_seconds=60).batches == []
    assert open_batches(warehouse) == []


def test_a_slice_without_persons_writes_nothing(warehouse: Warehouse) -> None:
    nothing = slice_record(pd.DataFrame({"person_id": [], "becomes": []}, dtype="str"))
    recorded = ledger.record_slice(warehouse, "R1", nothing, lease_seconds=60)
    assert recorded == ledger.RecordedSlice([], [], [])


def test_a_person_claimed_elsewhere_is_not_touched(warehouse: Warehouse) -> None:
    begin(warehouse, "R1")
    pending(warehouse, "P1", "P2")
    begin(warehouse, "R2")
    recorded = record_decisions(
        warehouse, "person_id | becomes\nP1 | B2\nP2 | rejected\nP3 | B2", run_id="R2"
    )
    assert recorded.taken_by_others == ["P1", "P2"]
    assert [batch.person_count for batch in recorded.batches] == [1]
    assert cells(warehouse, CLAIMS) == [("P1", "B1", 1), ("P2", "B1", 1), ("P3", "B2", 1)]
    assert cells(warehouse, "select person_id from rejected_persons") == []
    assert is_consistent(warehouse)


def test_who_was_decided_since_they_were_read_is_left_alone(warehouse: Warehouse) -> None:
    begin(warehouse, "R1")
    record_decisions(warehouse, "person_id | becomes\nP1 | rejected\nP2 | rejected")
    begin(warehouse, "R2")
    recorded = record_decisions(
        warehouse,
        "person_id | becomes | attempt_count\nP1 | B2 | 0\nP2 | rejected | 1",
        run_id="R2",
    )
    assert (recorded.taken_by_others, recorded.batches) == (["P1"], [])
    assert cells(warehouse, OUTCOMES) == [("P1", "rejected", 1), ("P2", "rejected", 2)]
    assert cells(warehouse, CLAIMS) == []
    assert is_consistent(warehouse)


def test_a_person_whose_email_another_run_claimed_is_decided_again(warehouse: Warehouse) -> None:
    begin(warehouse, "R1")
    record_decisions(warehouse, "person_id | becomes | email_hash\nP1 | B1 | e1")
    begin(warehouse, "R2")
    table = "person_id | becomes | email_hash\nP2 | B2 | e1\nP3 | duplicate in lead | e1\nP4 | B2 |"
    recorded = record_decisions(warehouse, table, run_id="R2")
    assert (recorded.to_retry, recorded.taken_by_others) == (["P2"], [])
    assert cells(warehouse, EMAILS) == [("e1", "P1")]
    assert cells(warehouse, CLAIMS) == [("P1", "B1", 1), ("P4", "B2", 1)]
    assert ledger.run_counts(warehouse, "R2").read_count == 2
    assert is_consistent(warehouse)


def test_of_two_with_one_email_in_a_slice_one_is_sent(warehouse: Warehouse) -> None:
    begin(warehouse)
    recorded = record_decisions(
        warehouse, "person_id | becomes | email_hash\nP1 | B1 | e1\nP2 | B1 | e1"
    )
    assert recorded.to_retry == ["P2"]
    assert [batch.person_count for batch in recorded.batches] == [1]
    assert is_consistent(warehouse)


def test_who_is_sent_again_keeps_the_email(warehouse: Warehouse) -> None:
    begin(warehouse)
    record_decisions(warehouse, "person_id | becomes | email_hash\nP1 | duplicate in lead | e1")
    recorded = record_decisions(
        warehouse, "person_id | becomes | email_hash | attempt_count\nP1 | B1 | e1 | 1"
    )
    assert recorded.to_retry == []
    assert cells(warehouse, EMAILS) == [("e1", "P1")]


def test_a_rejected_person_lets_the_email_go(warehouse: Warehouse) -> None:
    begin(warehouse)
    record_decisions(warehouse, "person_id | becomes | email_hash\nP1 | duplicate in lead | e1")
    record_decisions(
        warehouse, "person_id | becomes | email_hash | attempt_count\nP1 | rejected | e1 | 1"
    )
    assert cells(warehouse, EMAILS) == []


def test_a_person_decided_again_has_only_the_latest_outcome(warehouse: Warehouse) -> None:
    begin(warehouse, "R1")
    batch = submitted(warehouse, pending(warehouse, "P1"))
    change(warehouse, "update person_claims set lead_id = '00Q1'")
    ledger.record_results(
        warehouse, batch, results("person_id | outcome | owner_id\nP1 | rejected | 0051")
    )
    begin(warehouse, "R2")
    record_decisions(
        warehouse, "person_id | becomes | attempt_count\nP1 | duplicate in lead | 1", "R2"
    )
    query = (
        "select outcome, run_id, batch_id, lead_id, owner_id, attempt_count from person_outcomes"
    )
    assert cells(warehouse, query) == [("duplicate", "R2", None, None, None, 2)]


def test_what_was_matched_is_recorded_of_the_kept_ones_only(warehouse: Warehouse) -> None:
    begin(warehouse, "R1")
    pending(warehouse, "P1")
    begin(warehouse, "R2")
    found = slice_record("person_id | becomes\nP1 | duplicate in lead\nP2 | B2")
    beside = found.duplicates.assign(
        person_id="P2", matched_in="contact", action_taken="duplicate_lead_created"
    )
    found = replace(found, duplicates=pd.concat([found.duplicates, beside, beside]))
    ledger.record_slice(warehouse, "R2", found, lease_seconds=60)
    assert cells(warehouse, MATCHES) == [("P2", "contact", "duplicate_lead_created")]


def test_a_rule_broken_twice_is_reported_once_as_it_came_last(warehouse: Warehouse) -> None:
    begin(warehouse)
    found = slice_record("person_id | becomes\nP1 | rejected")
    twice = pd.concat([found.rejected, found.rejected.assign(field_name="company")])
    ledger.record_slice(warehouse, "R1", replace(found, rejected=twice), lease_seconds=60)
    query = "select person_id, rule_name, field_name from rejected_persons"
    assert cells(warehouse, query) == [("P1", "company_missing", "company")]


def test_a_second_rejection_in_one_run_takes_the_place_of_the_first(warehouse: Warehouse) -> None:
    begin(warehouse)
    record_decisions(warehouse, "person_id | becomes | message\nP1 | rejected | Once.")
    record_decisions(
        warehouse, "person_id | becomes | message | attempt_count\nP1 | rejected | Again. | 1"
    )
    assert cells(warehouse, "select message from rejected_persons") == [("Again.",)]


@pytest.mark.parametrize("lost", ["outcomes", "claims", "persons"])
def test_a_slice_record_without_a_decision_on_a_person_is_an_error(
    warehouse: Warehouse, lost: str
) -> None:
    begin(warehouse)
    found = slice_record("person_id | becomes\nP1 | rejected\nP2 | B1")
    short = replace(found, **{lost: getattr(found, lost).iloc[:0]})
    with pytest.raises(LedgerInconsistentError, match="exactly once"):
        ledger.record_slice(warehouse, "R1", short, lease_seconds=60)
    assert cells(warehouse, CLAIMS) == []


def test_a_slice_record_with_two_decisions_on_a_person_is_an_error(warehouse: Warehouse) -> None:
    begin(warehouse)
    found = slice_record("person_id | becomes\nP1 | rejected\nP2 | rejected")
    twice = replace(found, outcomes=found.outcomes.assign(person_id="P1"))
    with pytest.raises(LedgerInconsistentError, match="exactly once"):
        ledger.record_slice(warehouse, "R1", twice, lease_seconds=60)


def test_a_claim_for_a_batch_that_is_not_there_is_refused(warehouse: Warehouse) -> None:
    begin(warehouse)
    found = replace(slice_record("person_id | becomes\nP1 | B1"), batches=[])
    with pytest.raises(LedgerInconsistentError, match="batch"):
        ledger.record_slice(warehouse, "R1", found, lease_seconds=60)


def test_a_rule_broken_by_a_person_not_rejected_is_refused(warehouse: Warehouse) -> None:
    begin(warehouse)
    found = slice_record("person_id | becomes\nP1 | rejected\nP2 | B1")
    wrong = replace(found, rejected=found.rejected.assign(person_id="P2"))
    with pytest.raises(LedgerInconsistentError, match="rejected"):
        ledger.record_slice(warehouse, "R1", wrong, lease_seconds=60)


def test_an_interrupted_slice_record_writes_nothing(warehouse: Warehouse) -> None:
    begin(warehouse)
    pending(warehouse, "P1")
    before = [cells(warehouse, query) for query in (CLAIMS, OUTCOMES, EMAILS, MATCHES)]
    # A batch id is used once: the last statement but one of the transaction fails.
    with pytest.raises(Exception, match="refused"):
        record_decisions(
            warehouse, "person_id | becomes | email_hash\nP2 | B1 | e2\nP3 | rejected |"
        )
    assert [cells(warehouse, query) for query in (CLAIMS, OUTCOMES, EMAILS, MATCHES)] == before
    assert is_consistent(warehouse)


def test_email_claims_come_with_the_records_in_salesforce(warehouse: Warehouse) -> None:
    begin(warehouse, "R1")
    batch = submitted(warehouse, pending(warehouse, "P1"))
    ledger.record_results(
        warehouse, batch, results("person_id | outcome | lead_id\nP1 | created | 00Q1")
    )
    begin(warehouse, "R2")
    record_decisions(warehouse, "person_id | becomes | email_hash\nP2 | B2 | e2", "R2")
    change(warehouse, "update person_claims set contact_id = '0031'")
    keys = drawn("email_hash\ne-P1\ne2\n\ne3\ne2")["email_hash"]
    assert cell_texts(ledger.email_claims(warehouse, "R2", keys).sort_values("email_hash")) == [
        ["e-P1", "P1", "00Q1", None, "False"],
        ["e2", "P2", None, "0031", "True"],
    ]


def test_without_emails_nothing_is_looked_up(warehouse: Warehouse) -> None:
    found = ledger.email_claims(warehouse, "R1", pd.Series([None], dtype="str"))
    assert list(found.columns) == [
        "email_hash",
        "person_id",
        "lead_id",
        "contact_id",
        "is_this_run",
    ]
    assert found.empty
    assert str(found["is_this_run"].dtype) == "boolean"


def test_more_emails_than_a_statement_takes_are_asked_for_in_parts(warehouse: Warehouse) -> None:
    begin(warehouse)
    record_decisions(warehouse, "person_id | becomes | email_hash\nP1 | B1 | e24999")
    keys = "e" + pd.Series(range(25_000)).astype("str")
    assert list(ledger.email_claims(warehouse, "R1", keys)["person_id"]) == ["P1"]
