"""Records of persons, and how they are encoded to be sent."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rules.encoding import encode_csv, row_hashes, to_json_records, upload_ranges
from pipelines.rules.leads import RecordsMalformedError, to_records
from tests.rules.tables import COLUMNS, LEAD_FIELDS, as_persons, frame, mapped, table, text

NO_OWNER = {"owner_id": None, "assignment_rule_id": None, "lead_id": None, "contact_id": None}


def records(drawn, sobject="Lead", operation="insert", person_id_field="Person_Id__c", **given):
    persons = as_persons(drawn)
    for name, value in (NO_OWNER | given).items():
        persons[name] = pd.Series([value] * len(persons), dtype="str")
    return to_records(
        persons,
        mapped(persons),
        LEAD_FIELDS,
        sobject=sobject,
        operation=operation,
        person_id_field=person_id_field,
    )


def formatted(column: str, *cells: str | None) -> list[str | None]:
    sent = records(frame(**{column: list(cells)}))
    field = {value: key for key, value in COLUMNS.items()}[column]
    return sent[field].astype(object).where(sent[field].notna(), None).tolist()


# --- columns


def test_a_new_lead_has_its_fields_in_the_mappings_order_then_owner_then_id():
    sent = records("city | first_name\nTurin | Ada", owner_id="005A")
    assert list(sent) == [
        "FirstName",
        "LastName",
        "Company",
        "City",
        "OwnerId",
        "Person_Id__c",
    ]
    assert sent.loc[0].tolist() == ["Ada", "Byron", "Acme", "Turin", "005A", "1"]


def test_without_a_person_id_field_the_id_is_not_sent():
    assert "1" not in records("city\nTurin", person_id_field="").loc[0].tolist()


def test_a_lead_for_an_assignment_rule_has_no_owner():
    assert "OwnerId" not in records("city\nTurin", assignment_rule_id="01Q1")


def test_an_owner_together_with_an_assignment_rule_is_an_error():
    with pytest.raises(RecordsMalformedError, match="override"):
        records("city\nTurin", assignment_rule_id="01Q1", owner_id="005A")


def test_a_batch_read_again_needs_no_rule_column():
    persons = as_persons("city\nTurin").assign(owner_id=text("005A"), lead_id=text("00Q1"))
    sent = to_records(
        persons, {}, {}, sobject="Lead", operation="insert", person_id_field="Person_Id__c"
    )
    assert sent.loc[0].to_dict() == {"OwnerId": "005A", "Person_Id__c": "1"}


def test_a_column_without_a_value_is_left_out():
    sent = records(frame(city=[None, None], phone=[None, "1"]))
    assert "City" not in sent
    assert "Phone" in sent


def test_a_lead_to_update_has_its_id_and_its_new_owner_but_no_person_id():
    sent = records("city\nTurin", operation="update", lead_id="00Q1", owner_id="00GQ")
    assert list(sent) == ["Id", "LastName", "Company", "City", "OwnerId"]
    assert sent.loc[0, ["Id", "OwnerId"]].tolist() == ["00Q1", "00GQ"]


def test_a_lead_updated_under_a_rule_keeps_its_owner():
    assert "OwnerId" not in records(
        "city\nTurin", operation="update", lead_id="00Q1", assignment_rule_id="01Q1"
    )


def test_a_contact_gets_the_fields_it_has_and_keeps_its_owner():
    drawn = "city | street | email | employee_count | rating\nTurin | Via Po | A@b.de | 7 | Hot"
    sent = records(drawn, "Contact", "update", contact_id="0031", owner_id="005A")
    assert sent.loc[0].to_dict() == {
        "Id": "0031",
        "LastName": "Byron",
        "Email": "a@b.de",
        "MailingStreet": "Via Po",
        "MailingCity": "Turin",
    }


@pytest.mark.parametrize("sobject", ["Lead", "Contact"])
def test_an_update_without_an_id_is_an_error(sobject):
    with pytest.raises(RecordsMalformedError, match=f"A {sobject} to be updated has no id"):
        records("city\nTurin", sobject, "update")


def test_without_persons_only_the_header_remains():
    persons = as_persons("city\nTurin").assign(**{k: text(None) for k in NO_OWNER}).iloc[:0]
    sent = to_records(
        persons,
        mapped(persons),
        LEAD_FIELDS,
        sobject="Lead",
        operation="insert",
        person_id_field="",
    )
    assert len(encode_csv(sent).splitlines()) == 1
    assert row_hashes(sent, LEAD_FIELDS).tolist() == []


# --- cells


def test_numbers_are_plain():
    assert formatted(
        "annual_revenue", "+007.50", "-0", ".5", "1000.00", "-12", "000", None, "1.05"
    ) == [
        "7.5",
        "0",
        "0.5",
        "1000",
        "-12",
        "0",
        None,
        "1.05",
    ]
    assert formatted("employee_count", "12.0", "00012345678") == ["12", "12345678"]


def test_booleans_are_true_or_false():
    assert formatted("opted_out", "TRUE", "0", "1", "False", None) == [
        "true",
        "false",
        "true",
        "false",
        None,
    ]


def test_an_email_is_sent_as_salesforce_stores_it():
    assert formatted("email", "Ada@X.Example") == ["ada@x.example"]


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("2026-01-31 18:30", "2026-01-31T18:30:00.000Z"),
        ("2026-01-31T18:30:15Z", "2026-01-31T18:30:15.000Z"),
        ("2026-01-31 18:30:15.123456", "2026-01-31T18:30:15.123Z"),
        ("2026-01-31 18:30:15.5+00", "2026-01-31T18:30:15.500+00:00"),
        ("2026-01-31T18:30:15-05:30", "2026-01-31T18:30:15.000-05:30"),
        ("2026-01-31T18:30:15+0530", "2026-01-31T18:30:15.000+05:30"),
        (None, None),
    ],
)
def test_instants_are_sent_in_salesforces_form(cell, sent):
    assert formatted("signed_up", cell, "2026-01-01T00:00:00Z")[0] == sent


# --- CSV


def test_every_cell_that_is_not_null_is_quoted_and_rows_end_in_lf():
    assert encode_csv(frame(A=["x", None], B=['q"u,o', "é\r"])) == (
        b'"A","B"\n"x","q""u,o"\n,"\xc3\xa9\r"\n'
    )


def test_text_that_a_spreadsheet_would_run_is_sent_unchanged():
    assert b'"=1+1"' in encode_csv(frame(A=["=1+1"]))


# --- hashes


def test_a_row_of_the_results_file_has_the_same_hash():
    sent = records(
        frame(city=["Turin", None], annual_revenue=["912260031", "1"], opted_out=["1", None])
    )
    sent["SignedUp__c"] = text("2026-01-31T18:30:00.000Z", None)
    echoed = pd.read_csv(io.BytesIO(encode_csv(sent)), dtype="str", keep_default_na=False)
    echoed["AnnualRevenue"] = ["9.12260031E8", "1.0"]
    echoed["SignedUp__c"] = ["2026-01-31T18:30:00.000+0000", ""]
    echoed.insert(0, "sf__Id", ["00Q1", "00Q2"])
    assert row_hashes(echoed, LEAD_FIELDS).tolist() == row_hashes(sent, LEAD_FIELDS).tolist()


def test_a_hash_is_32_hex_digits_and_has_the_index_of_its_row():
    hashes = row_hashes(frame(A=["x"]).set_axis([9]), LEAD_FIELDS)
    assert (hashes.index.tolist(), hashes.str.fullmatch("[0-9a-f]{32}").all()) == ([9], True)


def test_the_order_of_columns_does_not_change_a_hash():
    one, other = frame(A=["x"], B=["y"]), frame(B=["y"], A=["x"])
    assert row_hashes(one, {}).tolist() == row_hashes(other, {}).tolist()


@pytest.mark.parametrize(
    "other", [{"A": ["xy"], "B": [None]}, {"A": [None], "B": ["xy"]}, {"B": ["y"]}]
)
def test_rows_that_differ_have_different_hashes(other):
    assert row_hashes(frame(A=["x"], B=["y"]), {})[0] != row_hashes(frame(**other), {})[0]


def test_a_contacts_numbers_are_left_out_of_its_hash_too():
    one, other = (
        frame(MailingLatitude=["48.2"], A=["x"]),
        frame(MailingLatitude=["4.82E1"], A=["x"]),
    )
    assert row_hashes(one, LEAD_FIELDS).tolist() == row_hashes(other, LEAD_FIELDS).tolist()


def test_rows_of_numbers_alone_are_all_alike():
    assert row_hashes(frame(NumberOfEmployees=["1", "2"]), LEAD_FIELDS).nunique() == 1


# --- JSON


def test_json_records_are_typed_and_leave_nulls_out():
    sent = records(
        frame(
            city=["Turin", None],
            employee_count=["12.0", None],
            annual_revenue=["7.50", None],
            opted_out=["1", "false"],
        )
    )
    assert to_json_records(sent, "Lead", LEAD_FIELDS) == [
        {
            "attributes": {"type": "Lead"},
            "LastName": "Byron",
            "Company": "Acme",
            "City": "Turin",
            "NumberOfEmployees": 12,
            "AnnualRevenue": 7.5,
            "HasOptedOutOfEmail": True,
            "Person_Id__c": "1",
        },
        {
            "attributes": {"type": "Lead"},
            "LastName": "Byron",
            "Company": "Acme",
            "HasOptedOutOfEmail": False,
            "Person_Id__c": "2",
        },
    ]


def test_a_text_of_digits_stays_text_in_json():
    sent = table("Phone | MailingLatitude\n007 | 48.2")
    assert to_json_records(sent, "Contact", LEAD_FIELDS) == [
        {"attributes": {"type": "Contact"}, "Phone": "007", "MailingLatitude": 48.2}
    ]


def test_csv_reads_back_as_it_was_sent():
    sent = records(frame(city=["Turin", None], phone=["+49 007", "x"]))
    header, *lines = csv.reader(io.StringIO(encode_csv(sent).decode(), newline=""))
    assert header == list(sent)
    assert lines == sent.fillna("").values.tolist()


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), max_size=40),
    max_rows=st.integers(1, 12),
    max_bytes=st.integers(1, 400),
)
def test_uploads_hold_every_record_once_and_no_more_than_allowed(
    lengths: list[int], max_rows: int, max_bytes: int
) -> None:
    records = pd.DataFrame({"Company": pd.Series(['"' * n for n in lengths], dtype="str")})
    cuts = list(upload_ranges(records, max_rows=max_rows, max_bytes=max_bytes))
    assert [row for first, last in cuts for row in range(first, last)] == [*range(len(records))]
    header = len(encode_csv(records.iloc[:0]))
    for first, last in cuts:
        size = len(encode_csv(records.iloc[first:last])) - header
        assert last - first <= max_rows
        assert last - first == 1 or size <= max_bytes, f"rows {first} to {last} have {size} bytes"
