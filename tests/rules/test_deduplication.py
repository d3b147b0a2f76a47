"""Duplicates by e-mail, within a slice and against the ledger."""

from __future__ import annotations

import hashlib

import pandas as pd

from pipelines.rules.deduplication import (
    DUPLICATE_COLUMNS,
    deduplicate_against_ledger,
    deduplicate_slice,
    email_hash,
    follow_duplicate_chains,
    match_key,
)
from tests.rules.tables import as_persons, frame, table, text

ADA_HASH = email_hash(text("ada@x.example"))[0]


def test_addresses_match_whatever_case_and_outer_blanks():
    keys = match_key(text(" ADA@X.example\u00a0", "ada@x.EXAMPLE", " ", None))
    assert keys[0] == keys[1] == "ada@x.example"
    assert keys.isna().tolist() == [False, False, True, True]


def test_the_ledger_stores_a_hash_and_no_address():
    keys = email_hash(text(" Ada@X.example", None).set_axis([4, 5]))
    assert keys[4] == hashlib.sha256(b"ada@x.example").hexdigest()
    assert (keys.isna()[5], keys.dtype) == (True, "str")


def test_the_first_person_of_an_address_remains_and_the_others_name_that_person():
    remaining, duplicates = deduplicate_slice(
        as_persons("""
            person_id | email
            3         | ada@x.example
            1         | Luigi@x.example
            2         | ADA@x.example
            4         |
            5         |
            6         | ada@X.example
        """)
    )
    assert remaining["person_id"].tolist() == ["3", "1", "4", "5"]
    assert list(remaining.index) == [0, 1, 2, 3]
    assert duplicates[["person_id", "matched_id"]].values.tolist() == [["2", "3"], ["6", "3"]]


def test_duplicate_rows_have_the_columns_of_their_table():
    duplicates = deduplicate_slice(as_persons(frame(email=["a@b.de", "a@b.de"]))).duplicates
    assert tuple(duplicates.columns) == DUPLICATE_COLUMNS
    assert duplicates.loc[0].tolist() == ["2", "persons", "1", "email", 1, False, "reported"]


def test_without_an_email_column_there_are_no_duplicates():
    remaining, duplicates = deduplicate_slice(as_persons(frame(city=["x", "x"])))
    assert (len(remaining), len(duplicates)) == (2, 0)


def test_the_email_column_may_have_another_name():
    persons = as_persons(frame(mail=["a@b.de", "a@b.de"]))
    assert len(deduplicate_slice(persons, email_column="mail").remaining) == 1


def ledger_claims(drawn: str) -> pd.DataFrame:
    frame_ = table(drawn)
    return frame_.assign(is_this_run=frame_["is_this_run"] == "yes")


def in_ledger(claim: str, persons: pd.DataFrame | None = None):
    known = ledger_claims(
        f"email_hash | person_id | lead_id | contact_id | is_this_run\n{ADA_HASH} | {claim}"
    )
    if persons is None:
        persons = as_persons(frame(person_id=["7", "8"], email=["ADA@x.example", "b@x.example"]))
    return deduplicate_against_ledger(persons, known)


def matched(claim: str) -> tuple[str, str]:
    return tuple(in_ledger(claim).duplicates.loc[0, ["matched_in", "matched_id"]])


def test_an_address_claimed_by_another_person_is_a_duplicate_of_their_lead():
    remaining, duplicates, outcomes = in_ledger("1 | 00Q1 | | no")
    assert remaining["person_id"].tolist() == ["8"]
    assert tuple(duplicates.columns) == DUPLICATE_COLUMNS
    assert duplicates.loc[0].tolist() == ["7", "ledger", "00Q1", "email", 1, False, "reported"]
    assert outcomes.fillna("").values.tolist() == [["7", "duplicate", "00Q1", "", "ALREADY_SYNCED"]]


def test_the_leads_id_comes_before_the_contacts():
    assert matched("1 | 00Q1 | 0031 | no") == ("ledger", "00Q1")
    assert matched("1 |      | 0031 | no") == ("ledger", "0031")


def test_a_claim_of_this_run_is_matched_in_slice_the_persons():
    assert matched("1 | 00Q1 | | yes") == ("persons", "1")


def test_a_claim_without_a_record_is_matched_in_slice_the_persons():
    assert matched("1 | | | no") == ("persons", "1")
    assert in_ledger("1 | | | no").outcomes["reason_code"].tolist() == ["SAME_EMAIL"]


def test_a_persons_own_claim_is_no_duplicate():
    remaining, duplicates, outcomes = in_ledger("7 | 00Q1 | | no")
    assert (len(remaining), len(duplicates), len(outcomes)) == (2, 0, 0)


def test_duplicates_name_the_person_at_the_end_of_the_chain():
    persons = as_persons(frame(person_id=["7", "8", "9"], email=["ada@x.example"] * 3))
    in_slice = deduplicate_slice(persons)
    of_this_run = in_ledger("1 | 00Q1 | | yes", in_slice.remaining).duplicates
    assert follow_duplicate_chains(in_slice.duplicates, of_this_run)["matched_id"].tolist() == [
        "1",
        "1",
    ]
    of_another = in_ledger("1 | 00Q1 | | no", in_slice.remaining).duplicates
    assert follow_duplicate_chains(in_slice.duplicates, of_another)["matched_id"].tolist() == [
        "7",
        "7",
    ]


def test_a_hash_computed_before_is_used():
    persons = as_persons(frame(email_hash=[ADA_HASH, None]))
    assert len(in_ledger("9 | 00Q1 | | no", persons).remaining) == 1


def test_with_an_empty_ledger_all_persons_remain():
    no_claims = pd.DataFrame(
        columns=["email_hash", "person_id", "lead_id", "contact_id", "is_this_run"]
    )
    persons = as_persons(frame(email=["a@b.de", None]))
    remaining, duplicates, _ = deduplicate_against_ledger(persons, no_claims)
    assert (len(remaining), tuple(duplicates.columns)) == (2, DUPLICATE_COLUMNS)
