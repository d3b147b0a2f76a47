"""Number 53: many records in one request, with a result for each row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.plain_http import Client

ROLLED_BACK = (
    "Record rolled back because not all records were valid and the request was using AllOrNone "
    "header"
)


def lead_of(org: Client, **fields: int | str | None) -> dict[str, Any]:
    return {"attributes": {"type": "Lead"}, "LastName": "L", "Company": org.mark} | fields


@pytest.mark.also_real_org
def test_53_collections_return_a_result_for_each_row_in_order(org: Client) -> None:
    records = [lead_of(org), lead_of(org, LastName=None), lead_of(org, Email="x")]
    response = org.call("POST", "/composite/sobjects", json={"records": records})
    assert response.status_code == 200
    (made,) = org.leads()
    assert response.json()[0] == {"id": made["Id"], "success": True, "errors": []}
    assert response.json()[1] == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [LastName]",
                "fields": ["LastName"],
            }
        ],
    }
    assert response.json()[2]["errors"][0]["statusCode"] == "INVALID_EMAIL_ADDRESS"


def test_53_an_unknown_field_spoils_its_row_only(org: Client) -> None:
    body = {"records": [lead_of(org, Hat__c=1), lead_of(org)]}
    rows = org.call("POST", "/composite/sobjects", json=body).json()
    assert rows[0]["errors"][0]["statusCode"] == "INVALID_FIELD"
    assert rows[1]["success"] is True


@pytest.mark.also_real_org
def test_53_all_or_none_undoes_what_was_right(org: Client) -> None:
    body = {"allOrNone": True, "records": [lead_of(org), lead_of(org, LastName=None)]}
    rows = org.call("POST", "/composite/sobjects", json=body).json()
    codes = [row["errors"][0]["statusCode"] for row in rows]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert rows[0]["errors"][0]["message"] == ROLLED_BACK
    assert [row["success"] for row in rows] == [False, False]
    assert org.leads() == []


@pytest.mark.also_real_org
def test_53_the_201st_record_is_rejected_with_all_others(org: Client) -> None:
    body = {"records": [lead_of(org)] * 201}
    assert org.call("POST", "/composite/sobjects", json=body).status_code == 400
    assert org.leads() == []


def test_53_200_records_are_taken(org: Client) -> None:
    body = {"records": [lead_of(org)] * 200}
    rows = org.call("POST", "/composite/sobjects", json=body).json()
    assert [row["success"] for row in rows] == [True] * 200


@pytest.mark.parametrize("records", ["x", [1], [{"attributes": {"type": "Hat"}}], [{}]])
def test_53_a_malformed_body_is_rejected_as_a_whole(org: Client, records: list[int] | str) -> None:
    response = org.call("POST", "/composite/sobjects", json={"records": records})
    assert response.status_code == 400
    assert isinstance(response.json()[0]["errorCode"], str)


@pytest.mark.also_real_org
def test_53_collections_read_back_with_null_for_the_unknown(org: Client) -> None:
    ids = [org.lead(City="Rome"), org.lead()]
    asked = {"ids": [ids[1], "00Q000000000001", ids[0]], "fields": ["Id", "City"]}
    back = org.call("POST", "/composite/sobjects/Lead", json=asked).json()
    assert [row and (row["Id"], row["City"]) for row in back] == [
        (ids[1], None),
        None,
        (ids[0], "Rome"),
    ]
