"""Numbers 8, 10, 55, 56, 57: what is rejected, with which message, and what is checked first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import DUPLICATE, duplicate_rule, error_of
from tests.emulator.plain_http import Client


@pytest.mark.also_real_org
def test_08_required_fields_are_all_named(org: Client) -> None:
    assert error_of(org.create(FirstName="Ada")) == {
        "message": "Required fields are missing: [LastName, Company]",
        "errorCode": "REQUIRED_FIELD_MISSING",
        "fields": ["LastName", "Company"],
    }


@pytest.mark.parametrize("nothing", [None, "", " "])
@pytest.mark.also_real_org
def test_08_null_empty_and_blank_are_missing_too(org: Client, nothing: str | None) -> None:
    rejected = error_of(org.create(LastName=nothing, Company=org.mark))
    assert rejected["message"] == "Required fields are missing: [LastName]"
    assert rejected["fields"] == ["LastName"]


@pytest.mark.also_real_org
def test_10_a_company_of_256_characters_is_too_long(org: Client) -> None:
    long = org.mark.ljust(256, "x")
    assert error_of(org.create(LastName="L", Company=long)) == {
        "message": f"Company: data value too large: {long} (max length=255)",
        "errorCode": "STRING_TOO_LONG",
        "fields": ["Company"],
    }
    assert org.create(LastName="L", Company=long[:255]).status_code == 201


def test_10_the_org_counts_as_java_does(org: Client) -> None:
    # An emoji is two characters.
    assert org.create(LastName="L", Company="😀" * 128).status_code == 400
    assert org.create(LastName="L", Company="😀" * 127).status_code == 201


COUNTRIES = '[[country]]\ncode = "IT"\nlabel = "Italy"\nstates = ["Turin"]\n'


@pytest.mark.parametrize(
    ("country", "state", "field", "message"),
    [
        ("Italy", "Ohio", "State", "this state|state|states|State/Province"),
        ("Oz", None, "Country", "this country|country|countries|Country"),
        ("Oz", "Turin", "Country", "this country|country|countries|Country"),
        (None, "Turin", "State", "this state|state|states|State/Province"),
    ],
)
def test_55_state_and_country_picklists_reject_what_is_not_listed(
    org_of: OrgOf, country: str | None, state: str | None, field: str, message: str
) -> None:
    org = org_of(COUNTRIES)
    what, one, many, label = message.split("|")
    rejected = error_of(org.create(LastName="L", Company="C", Country=country, State=state))
    assert rejected == {
        "errorCode": "FIELD_INTEGRITY_EXCEPTION",
        "message": f"There's a problem with {what}, even though it may appear correct. "
        f"Please select a {one} from the list of valid {many}.: {label}",
        "fields": [field],
    }


def test_55_state_and_country_picklists_accept_what_is_listed(org_of: OrgOf) -> None:
    org = org_of(COUNTRIES)
    assert org.create(LastName="L", Company="C", Country="Italy", State="Turin").ok
    assert org.create(LastName="L", Company="C").ok
    text = "LastName,Company,Country,State\nL,C,Italy,Turin\nM,C,Italy,Ohio\n"
    (error,) = org.load(text).errors
    assert error.startswith("FIELD_INTEGRITY_EXCEPTION:There's a problem with this state,")
    assert error.endswith(".: State/Province:State --")


def test_55_rules_of_the_admin_have_the_admins_message(org_of: OrgOf) -> None:
    org = org_of(
        "[[validation_rule]]\nwhen = { Rating = 'Cold', DoNotCall = [true, 'true', 1] }\n"
        "message = 'No cold leads, please.'\nfield = 'Rating'\n"
    )
    rejected = error_of(org.create(LastName="L", Company="C", Rating="Cold", DoNotCall=True))
    assert rejected == {
        "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "message": "No cold leads, please.",
        "fields": ["Rating"],
    }
    made = org.lead(DoNotCall=True)
    patched = org.call("PATCH", f"/sobjects/Lead/{made}", json={"Rating": "Cold"})
    assert error_of(patched)["fields"] == ["Rating"]


@pytest.mark.also_real_org
def test_56_fields_that_cannot_be_written_are_all_named(org: Client) -> None:
    body = {"LastName": "L", "Company": org.mark, "PhotoUrl": "x", "Name": "N"}
    assert error_of(org.create(**body)) == {
        "errorCode": "INVALID_FIELD_FOR_INSERT_UPDATE",
        "message": "Unable to create/update fields: PhotoUrl, Name. Please check the security "
        "settings of this field and verify that it is read/write for your profile or permission "
        "set.",
        "fields": ["PhotoUrl", "Name"],
    }
    made = org.lead()
    changed = org.call("PATCH", f"/sobjects/Lead/{made}", json={"Name": "N"})
    assert error_of(changed)["fields"] == ["Name"]


def test_56_a_field_that_security_lets_only_be_read(org_of: OrgOf) -> None:
    field = '[[field]]\nobject = "Lead"\nname = "Score__c"\ntype = "double"\nread_only = true\n'
    rejected = error_of(org_of(field).create(LastName="L", Company="C", Score__c=1))
    assert rejected["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert rejected["fields"] == ["Score__c"]


@pytest.mark.also_real_org
def test_56_an_unknown_field_is_no_column(org: Client) -> None:
    rejected = error_of(org.create(LastName="L", Company=org.mark, Hat__c=1, Name="N"))
    assert rejected["errorCode"] == "INVALID_FIELD"
    assert rejected["message"] == "No such column 'Hat__c' on sobject of type Lead"


def test_56_in_bulk_the_rows_are_rejected(org: Client) -> None:
    loaded = org.load("LastName,Company,CreatedDate\nL,C,2026-01-01T00:00:00Z\n")
    assert loaded.errors[0].startswith("INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update")
    assert loaded.errors[0].endswith(":CreatedDate --")
    with_id = org.load(f"Id,LastName,Company\n{org.lead()},L,C\n")
    assert with_id.errors[0].startswith("INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id")


@pytest.mark.also_real_org
def test_56_an_id_is_no_part_of_the_data(org: Client) -> None:
    made = org.lead()
    body = {"Id": made, "LastName": "L", "Company": org.mark}
    for method, path in (("POST", ""), ("PATCH", f"/{made}")):
        rejected = error_of(org.call(method, f"/sobjects/Lead{path}", json=body))
        assert rejected["errorCode"] == "INVALID_FIELD"
        assert rejected["message"] == "The Id field should not be specified in the sobject data."


def test_56_an_object_that_cannot_be_created(org: Client) -> None:
    not_created = error_of(org.create("User", LastName="L"))
    assert not_created["errorCode"] == "INVALID_TYPE_FOR_OPERATION"


@pytest.mark.also_real_org
def test_57_formats_are_checked_before_what_is_missing(org: Client) -> None:
    rejected = org.create(Company=org.mark, Email="nonsense")
    assert [error["errorCode"] for error in rejected.json()] == ["INVALID_EMAIL_ADDRESS"]


def test_57_all_errors_of_one_step_are_returned_together(org: Client) -> None:
    both = org.create(LastName="x" * 81, Company="C", Email="nonsense").json()
    assert {error["errorCode"] for error in both} == {"STRING_TOO_LONG", "INVALID_EMAIL_ADDRESS"}


def test_57_duplicates_are_checked_after_what_is_missing(org_of: OrgOf) -> None:
    org = org_of(duplicate_rule("block"))
    rejected = error_of(org.create(**dict[str, Any](DUPLICATE) | {"Company": None}))
    assert rejected["errorCode"] == "REQUIRED_FIELD_MISSING"
