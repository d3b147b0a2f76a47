"""Who is already known among the persons or in the ledger."""

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

HELD = email_hash(text("ada@x.example"))[0]


def test_addresses_match_whatever_case_and_outer_blanks():
    keys = match_key(text(" ADA@X.example\u00a0", "ada@x.EXAMPLE", " ", None))
    assert keys[0] == keys[1] == "ada@x.example"
    assert keys.isna().tolist() == [False, False, True, True]


def test_the_ledger_keeps_a_hash_and_no_address():
    keys = email_hash(text(" Ada@X.example", None).set_axis([4, 5]))
    assert keys[4] == hashlib.sha256(b"ada@x.example").hexdigest()
    assert (keys.isna()[5], keys.dtype) == (True, "str")


def test_the_first_person_of_an_address_is_kept_and_named_by_the_others():
    kept, duplicates = deduplicate_slice(
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
    assert kept["person_id"].tolist() == ["3", "1", "4", "5"]
    assert list(kept.index) == [0, 1, 2, 3]
    assert duplicates[["person_id", "matched_id"]].values.tolist() == [["2", "3"], ["6", "3"]]


def test_duplicate_rows_have_the_columns_of_their_table():
    duplicates = deduplicate_slice(as_persons(frame(email=["a@b.de", "a@b.de"]))).duplicates
    assert tuple(duplicates.columns) == DUPLICATE_COLUMNS
    assert duplicates.loc[0].tolist() == ["2", "persons", "1", "email", 1, False, "reported"]


def test_without_an_email_column_nobody_is_a_duplicate():
    kept, duplicates = deduplicate_slice(as_persons(frame(city=["x", "x"])))
    assert (len(kept), len(duplicates)) == (2, 0)


def test_the_email_column_may_have_another_name():
    persons = as_persons(frame(mail=["a@b.de", "a@b.de"]))
    assert len(deduplicate_slice(persons, email_column="mail").kept) == 1


def holders(drawn: str) -> pd.DataFrame:
    frame_ = table(drawn)
    return frame_.assign(is_this_run=frame_["is_this_run"] == "yes")


def in_ledger(holder: str, persons: pd.DataFrame | None = None):
    known = holders(
        f"email_hash | person_id | lead_id | contact_id | is_this_run\n{HELD} | {holder}"
    )
    if persons is None:
        persons = as_persons(frame(person_id=["7", "8"], email=["ADA@x.example", "b@x.example"]))
    return deduplicate_against_ledger(persons, known)


def matched(holder: str) -> tuple[str, str]:
    return tuple(in_ledger(holder).duplicates.loc[0, ["matched_in", "matched_id"]])


def test_an_address_another_person_holds_is_a_duplicate_of_their_lead():
    kept, duplicates, outcomes = in_ledger("1 | 00Q1 | | no")
    assert kept["person_id"].tolist() == ["8"]
    assert tuple(duplicates.columns) == DUPLICATE_COLUMNS
    assert duplicates.loc[0].tolist() == ["7", "ledger", "00Q1", "email", 1, False, "reported"]
    assert outcomes.fillna("").values.tolist() == [["7", "duplicate", "00Q1", "", "ALREADY_SYNCED"]]


def test_the_leads_id_comes_before_the_contacts():
    assert matched("1 | 00Q1 | 0031 | no") == ("ledger", "00Q1")
    assert matched("1 |      | 0031 | no") == ("ledger", "0031")


def test_a_holder_of_this_run_is_a_person_and_not_yet_the_ledger():
    assert matched("1 | 00Q1 | | yes") == ("persons", "1")


def test_a_holder_with_neither_lead_nor_contact_yet_is_a_person():
    assert matched("1 | | | no") == ("persons", "1")
    assert in_ledger("1 | | | no").outcomes["reason_code"].tolist() == ["SAME_EMAIL"]


def test_a_person_who_holds_the_address_themselves_is_kept():
    kept, duplicates, outcomes = in_ledger("7 | 00Q1 | | no")
    assert (len(kept), len(duplicates), len(outcomes)) == (2, 0, 0)


def test_whom_a_slice_kept_may_be_a_duplicate_in_turn_and_so_are_theirs():
    persons = as_persons(frame(person_id=["7", "8", "9"], email=["ada@x.example"] * 3))
    among = deduplicate_slice(persons)
    of_this_run = in_ledger("1 | 00Q1 | | yes", among.kept).duplicates
    assert follow_duplicate_chains(among.duplicates, of_this_run)["matched_id"].tolist() == [
        "1",
        "1",
    ]
    of_another = in_ledger("1 | 00Q1 | | no", among.kept).duplicates
    assert follow_duplicate_chains(among.duplicates, of_another)["matched_id"].tolist() == [
        "7",
        "7",
    ]


def test_a_hash_computed_before_is_used():
    persons = as_persons(frame(email_hash=[HELD, None]))
    assert len(in_ledger("9 | 00Q1 | | no", persons).kept) == 1


def test_an_empty_ledger_keeps_everybody():
    nobody = pd.DataFrame(
        columns=["email_hash", "person_id", "lead_id", "contact_id", "is_this_run"]
    )
    persons = as_persons(frame(email=["a@b.de", None]))
    kept, duplicates, _ = deduplicate_against_ledger(persons, nobody)
    assert (len(kept), tuple(duplicates.columns)) == (2, DUPLICATE_COLUMNS)
