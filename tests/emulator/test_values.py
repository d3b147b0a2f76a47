"""Values and addresses as clients write them: JSON, numbers, dates, keys, single records."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import error_of, id_of, user
from tests.emulator.plain_http import Client


def test_reading_single_records(org: Client) -> None:
    made = org.lead(Email="a@x.org", Person_Id__c="p 1")
    path = "/sobjects/Lead/Person_Id__c/p%201?fields=Id,Email,Address"
    read = org.call("GET", path).json()
    assert (read["Id"], read["Email"], read["Address"]["city"]) == (made, "a@x.org", None)
    assert org.call("GET", f"/sobjects/Lead/{made}?fields=Hat").status_code == 400
    assert org.call("GET", "/sobjects/Lead/Person_Id__c/none").status_code == 404
    assert org.call("GET", f"/sobjects/Lead/Id/{made}").json()["Id"] == made
    assert org.call("GET", "/sobjects/Hat/x").status_code == 404
    assert org.call("DELETE", "/sobjects/Lead/Person_Id__c/none").status_code == 404
    assert org.call("DELETE", "/sobjects/Lead/Person_Id__c/p%201").status_code == 204
    assert org.call("PATCH", "/sobjects/Lead/Email/x", json={}).status_code == 400
    assert org.call("PUT", "/sobjects/Lead", json={}).status_code == 405
    assert org.call("GET", "/nowhere").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"nul",
        b'{"LastName": NaN}',
        b'{"LastName": "\\ud800"}',
        b"[" * 100_000,
        b'{"DoNotCall": "maybe"}',
        b'{"NumberOfEmployees": "forty"}',
        b'{"NumberOfEmployees": true}',
        b'{"LastName": {"a": 1}}',
        b'{"DoNotCall": []}',
        b"\xff",
    ],
)
def test_json_that_cannot_be_understood(org: Client, body: bytes) -> None:
    rejected = error_of(org.call("POST", "/sobjects/Lead", data=body))
    assert rejected["errorCode"] == "JSON_PARSER_ERROR"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"NumberOfEmployees": 10**8}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"AnnualRevenue": 1e300}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"EmailBouncedDate": "2026"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"OwnerId": 5}, "MALFORMED_ID"),
    ],
)
def test_values_that_do_not_fit(org: Client, fields: dict[str, Any], code: str) -> None:
    rejected = error_of(org.create(LastName="L", Company="C", **fields))
    assert rejected["errorCode"] == code


def test_numbers_beyond_all_bounds_are_rejected_and_break_nothing(org: Client) -> None:
    for number in (10**400, -(10**400), "9" * 400):
        rejected = error_of(org.create(LastName="L", Company="C", NumberOfEmployees=number))
        assert rejected["errorCode"] == "NUMBER_OUTSIDE_VALID_RANGE"
    text = f"LastName,Company,NumberOfEmployees,AnnualRevenue\nL,C,{'9' * 6_000},\nM,C,,1e999\n"
    codes = {error.partition(":")[0] for error in org.load(text).errors}
    assert codes == {"NUMBER_OUTSIDE_VALID_RANGE"}


TYPED = """
[[field]]
object = "Lead"
name = "Day__c"
type = "date"
[[field]]
object = "Lead"
name = "Moment__c"
type = "datetime"
[[field]]
object = "Lead"
name = "Account__c"
type = "reference"
reference_to = ["Account"]
[[field]]
object = "Lead"
name = "Number__c"
type = "double"
external_id = true
[[field]]
object = "Lead"
name = "Code__c"
type = "string"
unique = true
case_sensitive = true
"""


def test_dates_references_and_numbers(org_of: OrgOf) -> None:
    org = org_of(TYPED)
    account = org.create("Account", Name="Engines").json()["id"]
    text = (
        "LastName,Company,Day__c,Moment__c,Account__c,NumberOfEmployees\n"
        f"A,C,2026-11-22,2026-11-22T14:00:00+02:00,{account},7.0\n"
        "B,C,2026-13-01,,,\nC,C,,2026-11-22T25:00:00Z,,\nD,C,x,,,\nE,C,,x,,\n"
        f"F,C,,,{org.lead()},\nG,C,,,0015e0000ZZZZZZ,\nH,C,,,,x\nI,C,,2026-11-22,,\n"
    )
    loaded = org.load(text)
    assert len(loaded.successful) == 2
    shown = next(row for row in loaded.successful if row["LastName"] == "A")
    assert shown["Moment__c"] == "2026-11-22T12:00:00.000Z"
    codes = {row["sf__Error"].partition(":")[0] for row in loaded.failed}
    assert codes == {
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        "MALFORMED_ID",
        "INVALID_CROSS_REFERENCE_KEY",
    }
    seen = org.rows("SELECT Day__c, Moment__c, Account__r.Name FROM Lead WHERE LastName = 'A'")[0]
    assert seen["Moment__c"] == "2026-11-22T12:00:00.000+0000"
    assert seen["Account__r"]["Name"] == "Engines"
    empty = org.create(LastName="L", Company="C", Day__c="", Moment__c="", NumberOfEmployees="")
    assert empty.status_code == 201


def test_number_keys_and_case_sensitive_keys(org_of: OrgOf) -> None:
    org = org_of(TYPED)
    for code in ("a", "A"):
        assert org.create(LastName="L", Company="C", Code__c=code).status_code == 201
    assert org.create(LastName="L", Company="C", Code__c="a").status_code == 400
    body = {"LastName": "L", "Company": "C"}
    first = org.call("PATCH", "/sobjects/Lead/Number__c/7", json=body)
    again = org.call("PATCH", "/sobjects/Lead/Number__c/7.0", json=body)
    assert (first.status_code, again.status_code) == (201, 200)


def test_who_the_session_belongs_to(org: Client) -> None:
    info = requests.get(
        f"{org.url}/services/oauth2/userinfo", headers=dict(org.http.headers), timeout=10
    ).json()
    assert info["preferred_username"] == "integration@test.example"
    again = org.http.get(info["sub"], timeout=10).json()
    assert again["user_id"] == info["user_id"]
    resources = org.call("GET", "").json()
    assert resources["sobjects"] == "/services/data/v68.0/sobjects"
    assert id_of(org, "Name", "Test Org", "Organization") == info["organization_id"]
    assert user(org, "integration@test.example") == info["user_id"]
