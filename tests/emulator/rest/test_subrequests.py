"""Several requests in one: composite, batch, tree, and collections beyond the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client


def lead_of(**fields: str) -> dict[str, Any]:
    return {"attributes": {"type": "Lead"}, "LastName": "L", "Company": "C"} | fields


def test_composite_fills_in_earlier_responses(org: Client) -> None:
    data = "/services/data/v68.0"
    requests_ = [
        {
            "method": "POST",
            "url": f"{data}/sobjects/Account",
            "referenceId": "acc",
            "body": {"Name": "Engines"},
        },
        {
            "method": "POST",
            "url": f"{data}/sobjects/Contact",
            "referenceId": "con",
            "body": {"LastName": "L", "AccountId": "@{acc.id}"},
        },
        {
            "method": "GET",
            "url": f"{data}/query?q=SELECT+Account.Name+FROM+Contact",
            "referenceId": "all",
        },
        {"method": "GET", "url": f"{data}/sobjects/Contact/@{{nobody.id}}", "referenceId": "no"},
        {"method": "GET", "url": "/elsewhere", "referenceId": "out"},
    ]
    responses = org.call("POST", "/composite", json={"compositeRequest": requests_}).json()
    given = {a["referenceId"]: a for a in responses["compositeResponse"]}
    assert [a["httpStatusCode"] for a in given.values()] == [201, 201, 200, 400, 404]
    assert given["all"]["body"]["records"][0]["Account"]["Name"] == "Engines"


def test_composite_all_or_none_undoes_everything(org: Client) -> None:
    post = {"method": "POST", "url": "/services/data/v68.0/sobjects/Lead"}
    body = {
        "allOrNone": True,
        "compositeRequest": [
            post | {"referenceId": "a", "body": {"LastName": "L", "Company": "C"}},
            post | {"referenceId": "b", "body": {"LastName": "L"}},
            post | {"referenceId": "c", "body": [{"deep": ["@{a.id}", 1]}]},
        ],
    }
    responses = org.call("POST", "/composite", json=body).json()["compositeResponse"]
    assert [a["body"][0]["errorCode"] for a in responses] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
    ]
    assert org.rows("SELECT Id FROM Lead") == []


@pytest.mark.parametrize(
    "requests_",
    [
        None,
        [{"method": "GET", "url": "/services/data/v68.0/limits"}] * 26,
        [{"method": "GET", "url": "/services/data/v68.0/query"}] * 6,
        [{"httpHeaders": "x"}],
    ],
)
def test_composite_rejects_what_is_too_much(
    org: Client, requests_: list[dict[str, str]] | None
) -> None:
    response = org.call("POST", "/composite", json={"compositeRequest": requests_})
    assert response.status_code == 400


def test_composite_batch_is_a_list_of_independent_requests(org: Client) -> None:
    requests_ = [
        {"method": "POST", "url": "v68.0/sobjects/Lead", "richInput": {"LastName": "L"}},
        {"method": "GET", "url": "v68.0/limits"},
    ]
    body = {"batchRequests": requests_}
    response = org.call("POST", "/composite/batch", json=body).json()
    assert response["hasErrors"] is True
    assert [r["statusCode"] for r in response["results"]] == [400, 200]
    halted = org.call("POST", "/composite/batch", json=body | {"haltOnError": True}).json()
    assert [r["statusCode"] for r in halted["results"]][:1] == [400]
    assert 200 not in [r["statusCode"] for r in halted["results"]]


def test_composite_tree_is_all_or_none(org: Client) -> None:
    def record(name: str, **fields: str) -> dict[str, Any]:
        return {"attributes": {"type": "Lead", "referenceId": name}} | fields

    good = record("a", LastName="L", Company="C")
    made = org.call("POST", "/composite/tree/Lead", json={"records": [good]})
    assert made.status_code == 201
    assert made.json()["results"][0]["referenceId"] == "a"
    bad = {"records": [good, record("b", LastName="L", Company="C", Email="x")]}
    rejected = org.call("POST", "/composite/tree/Lead", json=bad)
    assert rejected.status_code == 400
    assert rejected.json()["results"][0]["errors"][0]["statusCode"] == "INVALID_EMAIL_ADDRESS"
    assert len(org.rows("SELECT Id FROM Lead")) == 1
    for records in ("x", [good] * 201):
        response = org.call("POST", "/composite/tree/Lead", json={"records": records})
        assert response.status_code == 400


def test_what_no_composite_may_hold(org: Client) -> None:
    for url in ("/services/data/v68.0/composite", "/services/data/v68.0/composite/batch/"):
        inner = {"compositeRequest": [{"method": "POST", "url": url, "referenceId": "a"}]}
        assert org.call("POST", "/composite", json=inner).status_code == 400
    broken = {"compositeRequest": [{"method": "GET", "url": "//[", "referenceId": "a"}]}
    response = org.call("POST", "/composite", json=broken).json()["compositeResponse"][0]
    assert response["httpStatusCode"] == 404
    for depth in (200, 300, 400, 450, 490, 2_000):
        body = '{"x":[' * depth + "]}" * depth
        head = '{"compositeRequest":[{"method":"POST","url":"/services/data/v68.0/sobjects/Lead"'
        text = f'{head},"referenceId":"a","body":{body}}}]}}'
        assert org.call("POST", "/composite", data=text).status_code in {200, 400}, depth
    user_tree = {"records": [{"attributes": {"type": "User", "referenceId": "a"}}]}
    assert org.call("POST", "/composite/tree/User", json=user_tree).status_code == 400


def test_collections_update_read_back_and_delete(org: Client) -> None:
    ids = [org.lead(Person_Id__c=f"p{n}") for n in range(3)]
    changes = [{"attributes": {"type": "Lead"}, "Id": i, "City": "Rome"} for i in ids[:2]]
    changes.append({"attributes": {"type": "Lead"}, "City": "Rome"})
    changed = org.call("PATCH", "/composite/sobjects", json={"records": changes}).json()
    assert [row["success"] for row in changed] == [True, True, False]
    asked = {"ids": [ids[1], "00Q5e0000ZZZZZZ", ids[0], "?"], "fields": ["City", "Owner.Name"]}
    back = org.call("POST", "/composite/sobjects/Lead", json=asked).json()
    assert [r and r["City"] for r in back] == ["Rome", None, "Rome", None]
    assert back[0]["Owner"]["Name"] == "Integration User"
    got = org.call("GET", f"/composite/sobjects/Lead?ids={ids[2]}&fields=Id,City").json()
    assert [(r["Id"], r["City"]) for r in got] == [(ids[2], None)]
    wrong = org.call("POST", "/composite/sobjects/Lead", json={"ids": ids, "fields": ["Hat"]})
    assert error_of(wrong)["errorCode"] == "INVALID_FIELD"
    assert org.call("POST", "/composite/sobjects/Lead", json={"ids": 1}).status_code == 400
    path = f"/composite/sobjects?ids={ids[0]},{ids[0]},x&allOrNone="
    undone = org.call("DELETE", path + "true").json()
    assert [r["success"] for r in undone] == [False, False, False]
    assert len(org.rows("SELECT Id FROM Lead")) == 3
    deleted = org.call("DELETE", path + "false").json()
    assert [r["success"] for r in deleted] == [True, False, False]
    assert deleted[1]["errors"][0]["statusCode"] == "ENTITY_IS_DELETED"
    user_id = org.rows("SELECT Id FROM User LIMIT 1")[0]["Id"]
    assert org.call("DELETE", f"/composite/sobjects?ids={user_id}").json()[0]["success"] is False


def test_an_upsert_is_of_one_object_only(org: Client) -> None:
    records = {"records": [lead_of(), {"attributes": {"type": "Contact"}, "LastName": "L"}]}
    mixed = org.call("PATCH", "/composite/sobjects/Lead/Person_Id__c", json=records)
    assert error_of(mixed)["errorCode"] == "INVALID_TYPE"


def test_collections_may_mix_objects_and_upsert_by_id(org: Client) -> None:
    made = org.lead()
    records = [lead_of(), {"attributes": {"type": "Contact"}, "LastName": "L"}, lead_of()]
    rows = org.call("POST", "/composite/sobjects", json={"records": records}).json()
    assert [row["id"][:3] for row in rows] == ["00Q", "003", "00Q"]
    by_id = {"records": [lead_of(Id=made, City="Rome"), lead_of(Id="nonsense")]}
    rows = org.call("PATCH", "/composite/sobjects/Lead/Id", json=by_id).json()
    assert [row["success"] for row in rows] == [True, False]
    assert rows[0]["created"] is False
