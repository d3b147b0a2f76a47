"""Cleaning persons, and rejecting those who break a rule."""

from __future__ import annotations

import pandas as pd
import pytest

from pipelines.rules.cleaning import (
    MappingMalformedError,
    clean,
    fill_defaults,
    without_defaults,
)
from pipelines.rules.lead_fields import length_limit, number_pattern
from pipelines.rules.rejections import REJECTED_COLUMNS
from pipelines.rules.validation import (
    FrameMalformedError,
    validate,
)
from tests.rules.tables import (
    LEAD_FIELDS,
    as_persons,
    drawn_rules_hold,
    field,
    frame,
    mapped,
    rules_broken,
    text,
    validated,
)

ID = "0" * 64


# --- cleaning


def test_outer_blanks_go_and_blank_cells_become_null():
    persons = clean(as_persons(frame(first_name=["\ufeff Ada\u200b", "\u00a0"], email=["", None])))
    assert persons["first_name"].tolist()[0] == "Ada"
    assert persons[["first_name", "email"]].isna().sum().tolist() == [1, 2]


@pytest.mark.parametrize("line_break", ["\r\n", "\r", "\n"])
def test_a_line_break_within_an_address_becomes_one_space(line_break):
    persons = clean(as_persons(frame(street=[f"Main St 1{line_break}2nd floor"])))
    assert persons["street"][0] == "Main St 1 2nd floor"


def test_what_the_warehouse_compares_with_stays_as_it_spells_it():
    persons = as_persons(frame(person_id=[" 1"], created_at=["2026 "], source_version=[" v"]))
    cleaned = clean(persons)
    assert cleaned["person_id"][0] == " 1"
    assert (cleaned["created_at"][0], cleaned["source_version"][0]) == ("2026 ", " v")


def test_cleaning_leaves_the_frame_it_was_given_alone():
    persons = as_persons(frame(city=[" Turin "]))
    clean(persons)
    assert persons["city"][0] == " Turin "


# --- defaults


def test_a_default_fills_only_the_blank_and_says_so():
    persons = as_persons(frame(company=["Acme", None], city=[None, None]))
    defaults = {"Company": "[not provided]", "City": "Turin"}
    filled, _ = fill_defaults(persons, mapped(persons), defaults)
    assert filled["company"].tolist() == ["Acme", "[not provided]"]
    assert filled["defaulted_fields"].tolist() == ["City", "Company,City"]


def test_for_an_update_what_was_filled_is_blank_again():
    persons = as_persons(frame(company=["Acme", None], city=[None, None], title=["a", None]))
    defaults = {"Company": "[not provided]", "City": "Turin", "Status": "New"}
    filled, columns = fill_defaults(persons, mapped(persons), defaults)
    bare = without_defaults(filled, columns)
    assert (bare["company"][0], bare["title"][0]) == ("Acme", "a")
    assert bare[["company", "title"]].isna().all(axis=1).tolist() == [False, True]
    assert bare[["city", "Status", "defaulted_fields"]].isna().all(axis=None)
    assert bare.dtypes["defaulted_fields"] == "str"
    pd.testing.assert_frame_equal(without_defaults(bare, columns), bare)
    assert filled["defaulted_fields"].tolist() == ["City,Status", "Company,City,Status"]


def test_a_default_that_equals_what_the_row_says_stays_the_rows():
    persons = as_persons(frame(company=["[not provided]"]))
    filled, columns = fill_defaults(persons, mapped(persons), {"Company": "[not provided]"})
    assert without_defaults(filled, columns)["company"].tolist() == ["[not provided]"]


def test_without_a_filled_cell_defaulted_fields_is_null():
    filled, columns = fill_defaults(as_persons(frame(city=["Turin"])), {"City": "city"}, {})
    assert filled["defaulted_fields"].isna().all()
    assert filled["defaulted_fields"].dtype == "str"
    assert columns == {"City": "city"}


def test_a_default_for_an_unmapped_field_adds_a_column():
    filled, columns = fill_defaults(as_persons(frame(city=["Turin"])), {}, {"Status": "New"})
    assert (filled["Status"].tolist(), columns) == (["New"], {"Status": "Status"})


def test_a_persons_column_that_bears_the_fields_name_is_not_overwritten():
    persons = as_persons(frame(Status=["VIP"]))
    filled, columns = fill_defaults(persons, {"City": "Status"}, {"Status": "New"})
    assert columns == {"City": "Status", "Status": "Status_default"}
    assert filled.loc[0, ["Status", "Status_default"]].tolist() == ["VIP", "New"]


# --- each rule


def test_a_person_without_company_or_last_name_is_rejected():
    persons = frame(
        company=["Acme", None, "", "\u200b\u00a0", "Acme"],
        last_name=["Byron", "Byron", None, " ", "\u3000"],
    )
    assert rules_broken(persons) == [
        None,
        "company_missing",
        "company_missing, last_name_missing",
        "company_missing, last_name_missing",
        "last_name_missing",
    ]


def test_required_rules_bear_salesforces_names_whatever_the_column_is_called():
    persons = as_persons(frame(firm=[None, "x" * 256]))
    columns = {"Company": "firm", "LastName": "last_name"}
    rejected = validate(persons, columns, LEAD_FIELDS, 64).rejected
    assert rejected["rule_name"].tolist() == ["company_missing", "company_too_long"]
    assert rejected["field_name"].tolist() == ["firm", "firm"]


@pytest.mark.parametrize(
    ("column", "length"),
    [("first_name", 40), ("last_name", 80), ("company", 255), ("street", 255), ("phone", 40)],
)
def test_a_value_too_long_for_its_field_is_rejected(column, length):
    persons = frame(**{column: ["x" * length, "😀" * length, "x" * (length + 1)]})
    assert rules_broken(persons) == [None, None, f"{column}_too_long"]
    assert f"{length} characters" in validated(persons).rejected["message"][0]


@pytest.mark.parametrize(
    "email",
    [
        "ada@engines.example",
        "a..b@x.jp",
        "a.@x.jp",
        "A.B@X.COM",
        "!#$%&'*+-/=?^_`{|}~@x.example",
        "a@b-c.d3.example",
        "a@1.2",
        "x" * 68 + "@abc.example",
    ],
)
def test_an_address_that_salesforce_takes_is_accepted(email):
    assert rules_broken(frame(email=[email])) == [None]


@pytest.mark.parametrize(
    "email",
    [
        ".a@x.jp",
        "ada",
        "@x.jp",
        "a@",
        "a@gmail",
        "a@b@c.de",
        "a b@c.de",
        "a@-b.de",
        "a@b-.de",
        "a@b..de",
        "a@.de",
        "a@b.de.",
        "ä@b.de",
        "a@bücher.de",
        '"a"@b.de',
        "a@[127.0.0.1]",
        "a@b_c.de",
        "a@b.de\n",
        "a,b@c.de",
    ],
)
def test_an_address_that_salesforce_rejects_is_malformed(email):
    assert rules_broken(frame(email=[email])) == ["email_malformed"]


def test_an_address_of_81_characters_is_too_long():
    assert rules_broken(frame(email=["x" * 69 + "@abc.example"])) == ["email_too_long"]
    assert length_limit(field("Other__c", "email")) == 80


def test_only_restricted_picklists_are_strict():
    assert drawn_rules_hold("""
        lead_source | rating | rule broken
        Carrier pigeon | Hot |
        Web         |        |
                    | hot    | picklist_value_unknown
                    | Warm   | picklist_value_unknown
    """)


def test_each_part_of_a_multipicklist_must_be_known():
    assert drawn_rules_hold("""
        interests | rule broken
        A         |
        B.1;C d   |
        A;;B.1;   |
        A;X;B.1   | picklist_value_unknown
        Bx1       | picklist_value_unknown
                  |
    """)


def test_a_checkbox_takes_true_false_1_and_0():
    assert drawn_rules_hold("""
        opted_out | rule broken
        true      |
        FALSE     |
        1         |
        0         |
        yes       | picklist_value_unknown
        t         | picklist_value_unknown
    """)


def test_numbers_are_plain_decimals_that_the_field_holds():
    assert drawn_rules_hold("""
        employee_count | annual_revenue      | latitude | share | rule broken
        12             | 1000000             | 48.2     | .5    |
        +12.0          | -0.5                | -179     | 0.25  |
        00000000000012 | 999999999999999999.99 | 999.1  | 0     |
        123456789      |                     |          |       | number_malformed
        12.5           |                     |          |       | number_malformed
                       | 1,000               |          |       | number_malformed
                       | 1e5                 |          |       | number_malformed
                       | 12 €                |          |       | number_malformed
                       | 1000000000000000000 |          |       | number_malformed
                       |                     | 1000     |       | number_malformed
                       |                     | 48.      |       | number_malformed
                       |                     | .        |       | number_malformed
                       |                     |          | 5     | number_malformed
                       |                     | ١٢       |       | number_malformed
                       | NaN                 |          |       | number_malformed
                       | +                   |          |       | number_malformed
    """)


def test_a_number_field_without_limits_takes_any_plain_number():
    assert number_pattern(field("Any__c", "double")).count(",}") == 2
    assert "{1,}" in number_pattern(field("Any__c", "int"))


def test_dates_are_iso_and_of_the_calendar():
    assert drawn_rules_hold("""
        birthday   | signed_up                     | rule broken
        2024-02-29 | 2024-02-29T23:59:59Z          |
        0001-01-01 | 2026-01-31 18:30              |
                   | 2026-01-31 18:30:00.123456+00 |
                   | 2026-01-31T18:30:00.1-05:30   |
                   | 2026-01-31T18:30:00+0530      |
        2023-02-29 |                               | date_malformed
        0000-01-01 |                               | date_malformed
        31.01.2026 |                               | date_malformed
        2026-1-31  |                               | date_malformed
        2026-01-31T00:00:00Z |                     | date_malformed
                   | 2026-01-31                    | date_malformed
                   | 2026-02-30T00:00:00Z          | date_malformed
                   | 2026-01-31T24:00:00Z          | date_malformed
                   | 2026-01-31T10:00:00 CET       | date_malformed
    """)


@pytest.mark.parametrize(
    "cell", ["a\x00b", "a\x1fb", "a\x7fb", "a\x85b", "a\ufffeb", "\uffff", "#N/A"]
)
def test_text_that_cannot_reach_salesforce_unchanged_is_rejected(cell):
    assert rules_broken(frame(city=[cell])) == ["text_not_encodable"]


@pytest.mark.parametrize(
    "cell", ["a\tb", "a\nb", "#N/A!", "\ufffd", "\u2028x", "😀", "N/A", "None"]
)
def test_odd_text_that_can_be_sent_is_accepted(cell):
    assert rules_broken(frame(city=[cell])) == [None]


def test_a_row_without_an_id_is_missing_it_and_not_repeating_it():
    rejected = validated(as_persons("row_count\n3").assign(person_id=text(""))).rejected
    assert rejected["rule_name"].tolist() == ["person_id_missing"]
    assert rejected["person_id"].tolist() == [""]


def test_several_rows_without_an_id_are_reported_once():
    rejected = validated(frame(person_id=["", ""])).rejected
    assert rejected["rule_name"].tolist() == ["person_id_missing"]


def test_an_id_borne_by_several_rows_is_rejected_under_the_ids_name():
    rejected = validated("person_id | row_count\n7 | 2\n8 | 1").rejected
    assert rejected[
        ["person_id", "rule_name", "field_name", "observed_value"]
    ].to_numpy().tolist() == [["7", "person_id_repeated", "person_id", "7"]]


def test_an_id_must_fit_the_orgs_field_where_it_is_sent():
    persons = frame(person_id=[ID, ID + "0"])
    assert rules_broken(persons) == [None, "person_id_too_long"]
    assert "64 characters" in validated(persons).rejected["message"][0]
    assert validated(persons, person_id_length=None).rejected.empty


@pytest.mark.parametrize("person_id", [" 1", "1\u00a0", "1\n2", "1\t2", "\uffff", "#N/A"])
def test_an_id_that_would_not_come_back_as_it_went_is_rejected(person_id):
    assert rules_broken(frame(person_id=[person_id])) == ["text_not_encodable"]


# --- the result


def test_every_broken_rule_of_a_person_is_reported():
    persons = frame(company=[None], email=["x"], employee_count=["many"], city=["\x00" * 41])
    assert rules_broken(persons) == [
        "city_too_long, company_missing, email_malformed, number_malformed, text_not_encodable"
    ]


def test_a_rule_broken_in_several_columns_is_one_row_that_names_them():
    rejected = validated(
        frame(city=["\x01b", "x", "#N/A"], phone=["\x01", "x", "1"], first_name=["#N/A", "y", "z"])
    ).rejected
    assert rejected["field_name"].tolist() == ["first_name,phone,city", "city"]
    assert rejected["observed_value"].tolist() == ["#N/A", "#N/A"]


def test_rejected_rows_have_the_columns_of_their_table():
    rejected = validated(frame(city=["a\x01" + "x" * 300])).rejected
    assert tuple(rejected.columns) == REJECTED_COLUMNS
    row = rejected.iloc[1]
    assert (row["stage"], row["is_retryable"]) == ("validation", False)
    assert row["observed_value"].startswith("a\\x01xxx")
    assert len(row["observed_value"]) == 255


def test_accepted_persons_keep_their_columns_and_order_with_a_fresh_index():
    persons = as_persons(frame(company=["Acme", None, "Engines"])).set_axis([7, 8, 9])
    accepted = validate(persons, mapped(persons), LEAD_FIELDS, 64).accepted
    assert accepted["person_id"].tolist() == ["1", "3"]
    assert list(accepted.columns) == list(persons.columns)
    assert list(accepted.index) == [0, 1]


@pytest.mark.parametrize("count", [0, 1])
def test_without_rejections_the_frame_is_empty_and_of_the_same_columns(count):
    rejected = validated(frame(city=["Turin"] * count)).rejected
    assert (len(rejected), tuple(rejected.columns)) == (0, REJECTED_COLUMNS)
    assert rejected["person_id"].dtype == "str"


def test_one_column_may_feed_two_lead_fields_and_must_fit_both():
    persons = as_persons(frame(place=["x" * 41, "\x00", "x" * 81]))
    columns = {"City": "place", "Country": "place", "Company": "company", "LastName": "last_name"}
    rejected = validate(persons, columns, LEAD_FIELDS, 64).rejected
    assert rejected["rule_name"].tolist() == [
        "place_too_long",
        "text_not_encodable",
        "place_too_long",
    ]
    assert rejected["field_name"].tolist() == ["place"] * 3
    assert "40 characters" in rejected["message"][0]


# --- configurations that cannot be followed


def test_a_mapped_column_that_is_not_there_is_named():
    columns = {"PostalCode": "zip", "City": "city"}
    with pytest.raises(MappingMalformedError, match="no column city, zip"):
        validate(as_persons(frame(phone=["1"])), columns, LEAD_FIELDS, 64)
    with pytest.raises(MappingMalformedError, match="no column town"):
        fill_defaults(as_persons(frame(phone=["1"])), {"City": "town"}, {})


def test_a_lead_field_that_is_not_there_is_named():
    columns = {"Shoe__c": "city", "LastName": "last_name", "Company": "company"}
    with pytest.raises(MappingMalformedError, match="no field Shoe__c"):
        validate(as_persons(frame(city=["42"])), columns, LEAD_FIELDS, 64)


def test_a_mapping_without_company_is_no_mapping():
    with pytest.raises(MappingMalformedError, match="Map a persons column to Company"):
        validate(as_persons(frame(city=["x"])), {"LastName": "last_name"}, LEAD_FIELDS, 64)


def test_a_column_that_is_not_text_is_the_readers_fault_and_rejects_nobody():
    persons = as_persons(frame(city=["x"])).assign(city=pd.Series([1]))
    with pytest.raises(FrameMalformedError, match="city"):
        validate(persons, mapped(persons), LEAD_FIELDS, 64)
