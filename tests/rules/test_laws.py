"""Laws that hold for any persons, and for data that others have collected."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.rules.cleaning import clean
from pipelines.rules.encoding import encode_csv, row_hashes
from pipelines.rules.leads import to_records
from pipelines.rules.validation import ValidationResult, validate
from tests.rules.tables import LEAD_FIELDS, as_persons, frame, mapped, text, validated

# Surrogates cannot be in a frame of Arrow text; the reader writes U+FFFF for what it cannot decode.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SIGNIFICANT = st.sampled_from(
    ["", " ", "a@b.de", ".a@b.de", "A;B.1", "Hot", "7", "7.5", "true", "#N/A"]
)
DATES = st.sampled_from(["2026-01-31", "2026-02-30", "2026-01-31T00:00:00Z", "x" * 41])
CELL = st.none() | ANY_TEXT | SIGNIFICANT | DATES
TEXT_COLUMNS = ["first_name", "last_name", "company", "email", "street", "interests", "rating"]
OTHER_COLUMNS = ["employee_count", "annual_revenue", "opted_out", "birthday", "signed_up"]
ROW = st.fixed_dictionaries(dict.fromkeys([*TEXT_COLUMNS, *OTHER_COLUMNS], CELL))
PERSONS = st.lists(ROW, max_size=25)
# Few frames of many persons: each call of pandera costs as much as a hundred persons.
slowly = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)


def drawn_persons(rows: list[dict[str, str | None]]) -> pd.DataFrame:
    names = [*TEXT_COLUMNS, *OTHER_COLUMNS]
    return as_persons(frame(**{name: [row[name] for row in rows] for name in names}))


def validated_again(persons: pd.DataFrame) -> ValidationResult:
    return validate(persons, mapped(persons), LEAD_FIELDS, 64)


@slowly
@given(PERSONS)
def test_each_person_is_either_accepted_or_rejected(rows):
    accepted, rejected = validated(drawn_persons(rows))
    yes, no = set(accepted["person_id"]), set(rejected["person_id"])
    assert not yes & no
    assert yes | no == {str(n + 1) for n in range(len(rows))}


@slowly
@given(PERSONS)
def test_validating_the_accepted_again_changes_nothing(rows):
    accepted = validated(clean(drawn_persons(rows))).accepted
    again = validated_again(clean(accepted))
    assert again.rejected.empty
    pd.testing.assert_frame_equal(again.accepted, accepted)


@slowly
@given(PERSONS, st.randoms())
def test_a_persons_rejections_do_not_depend_on_the_other_persons(rows, random):
    persons = drawn_persons(rows)
    shuffled = persons.iloc[random.sample(range(len(rows)), len(rows))]
    order = ["person_id", "rule_name"]
    one, other = (validated_again(p).rejected.sort_values(order) for p in (persons, shuffled))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


def read_back(records: pd.DataFrame) -> list[list[str]]:
    lines = csv.reader(io.StringIO(encode_csv(records).decode("utf-8"), newline=""))
    return list(lines)


def all_of_unicode() -> pd.DataFrame:
    cells = [f"a{chr(code)}b" for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    return as_persons(frame(first_name=cells))


def test_any_accepted_character_comes_back_unchanged_from_the_csv():
    csv.field_size_limit(1_000_000)
    accepted, rejected = validated(all_of_unicode())
    records = pd.DataFrame({"FirstName": accepted["first_name"]})
    header, *lines = read_back(records)
    assert header == ["FirstName"]
    assert [line[0] for line in lines] == records["FirstName"].tolist()
    controls = 65 - 3  # 0 to 31, 127 to 159, without tab and the line breaks
    assert len(rejected) == controls + 2


@slowly
@given(PERSONS)
def test_the_csv_of_the_accepted_has_their_rows_their_cells_and_their_hashes(rows):
    persons = validated(clean(drawn_persons(rows))).accepted
    no_owner = dict.fromkeys(["owner_id", "assignment_rule_id"], text(*[None] * len(persons)))
    records = to_records(
        persons.assign(**no_owner),
        mapped(persons),
        LEAD_FIELDS,
        sobject="Lead",
        operation="insert",
        person_id_field="Person_Id__c",
    )
    header, *lines = read_back(records)
    assert lines == records.fillna("").values.tolist()
    echoed = pd.DataFrame(lines, columns=header, dtype="str")
    assert row_hashes(echoed, LEAD_FIELDS).tolist() == row_hashes(records, LEAD_FIELDS).tolist()


# --- data that others have collected


@pytest.fixture(scope="module")
def naughty_strings(shared_data: Path) -> list[str]:
    texts: list[str] = json.loads((shared_data / "naughty-strings/blns.json").read_text("utf-8"))
    return texts


@pytest.mark.parametrize("column", [*TEXT_COLUMNS, *OTHER_COLUMNS])
def test_naughty_strings_are_accepted_or_rejected_with_a_reason(column, naughty_strings):
    persons = clean(as_persons(frame(**{column: naughty_strings})))
    accepted, rejected = validated(persons)
    assert len(accepted) + rejected["person_id"].nunique() == len(persons)
    assert rejected["message"].str.endswith(".").all()
    _, *lines = read_back(accepted[["person_id", column]])
    assert [line[1] for line in lines] == accepted[column].fillna("").tolist()


def test_every_address_of_isemail_is_accepted_or_rejected(shared_data):
    cases = json.loads((shared_data / "email-isemail/cases.json").read_text("utf-8"))
    persons = clean(as_persons(frame(email=[case["address"] for case in cases])))
    accepted, rejected = validated(persons)
    assert len(accepted) + rejected["person_id"].nunique() == len(persons) == 164
    assert {"email_malformed", "email_too_long"} <= set(rejected["rule_name"])


def test_a_hundred_thousand_persons_are_validated_quickly():
    count = 100_000
    names = ["first_name", "phone", "street", "city", "country", "lead_source"]
    columns = {name: [f"{name} {n}" for n in range(count)] for name in names}
    columns["email"] = [f"person{n}@example.org" if n % 20 else "person" for n in range(count)]
    columns["employee_count"] = [str(n) for n in range(count)]
    persons = as_persons(frame(**columns))
    start = time.perf_counter()
    rejected = validated_again(persons).rejected
    assert len(rejected) == count / 20
    assert time.perf_counter() - start < 3  # measured 0.15; a loop over rows takes tens of seconds
