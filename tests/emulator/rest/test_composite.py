"""Composite, batch, tree and collections: what the documents promise, to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import requests

from tests.emulator.plain_http import Client

DATA = "/services/data/v68.0"


def sub(
    name: str, method: str = "POST", path: str = "/sobjects/Lead", **more: object
) -> dict[str, Any]:
    return {"method": method, "url": f"{DATA}{path}", "referenceId": name} | more


def composed(org: Client, *requests: dict[str, Any], **more: bool) -> Any:
    body = {"compositeRequest": list(requests)} | more
    response = org.call("POST", "/composite", json=body)
    assert response.status_code == 200, response.text
    return response.json()["compositeResponse"]


def lead(**fields: str) -> dict[str, str]:
    return {"LastName": "L", "Company": "C"} | fields


def test_a_composite_response_has_four_parts_each(org: Client) -> None:
    made, read = composed(
        org,
        sub("made", body=lead()),
        sub("read", "GET", "/sobjects/Lead/@{made.id}?fields=Company"),
    )
    where = f"{DATA}/sobjects/Lead/{made['body']['id']}"
    assert made == {
        "body": {"id": made["body"]["id"], "success": True, "errors": []},
        "httpHeaders": {"Location": where},
        "httpStatusCode": 201,
        "referenceId": "made",
    }
    assert read["body"]["Company"] == "C"
    patched = composed(org, sub("p", "PATCH", f"/sobjects/Lead/{made['body']['id']}", body={}))
    assert (patched[0]["httpStatusCode"], patched[0]["body"]) == (204, None)


def test_references_reach_into_lists_and_keep_numbers_and_flags(org: Client) -> None:
    org.lead(AnnualRevenue=12.5, DoNotCall=True, Email="a@x.example")
    *_, made = composed(
        org,
        sub("q", "GET", "/query?q=SELECT+AnnualRevenue,DoNotCall,Email,Owner.Id+FROM+Lead"),
        sub(
            "made",
            body=lead(
                AnnualRevenue="@{q.records[0].AnnualRevenue}",
                DoNotCall="@{q.records[0].DoNotCall}",
                OwnerId="@{q.records[0].Owner.Id}",
                City="@{q.records[0].Email} @{q.records[0].DoNotCall} @{q.totalSize}",
            ),
        ),
    )
    assert made["httpStatusCode"] == 201
    soql = "SELECT AnnualRevenue, DoNotCall FROM Lead WHERE City = 'a@x.example true 1'"
    assert org.rows(soql) == [{"AnnualRevenue": 12.5, "DoNotCall": True}]


@pytest.mark.parametrize(
    "reference",
    ["nobody.id", "bad.id", "bad[0].message", "q.records[7].Id", "q.records", "q.more.x"],
)
def test_a_reference_to_nothing_stops_only_its_own_request(org: Client, reference: str) -> None:
    *_, broken, after = composed(
        org,
        sub("bad", body={}),
        sub("q", "GET", "/query?q=SELECT+Id+FROM+Lead"),
        sub("broken", body=lead(City="@{" + reference + "}")),
        sub("after", body=lead()),
    )
    name = reference.partition(".")[0].partition("[")[0]
    assert broken["httpStatusCode"] == 400
    assert broken["body"] == [
        {
            "errorCode": "PROCESSING_HALTED",
            "message": f"Invalid reference specified. No value for {reference} found in {name}. "
            "Provided reference: @{" + reference + "}",
        }
    ]
    assert after["httpStatusCode"] == 201


def test_all_or_none_undoes_updates_and_deletes_too(org: Client) -> None:
    first, second = org.lead(City="Rome"), org.lead()
    responses = composed(
        org,
        sub("u", "PATCH", f"/sobjects/Lead/{first}", body={"City": "Oslo"}),
        sub("d", "DELETE", f"/sobjects/Lead/{second}"),
        sub("x", "GET", "/sobjects/Lead/@{nobody.id}"),
        sub("later", body=lead()),
        allOrNone=True,
    )
    assert [a["httpStatusCode"] for a in responses] == [400] * 4
    assert "Invalid reference" in responses[2]["body"][0]["message"]
    assert responses[3]["body"][0]["message"].startswith("The transaction was rolled back")
    assert org.rows("SELECT City FROM Lead ORDER BY City NULLS LAST") == [
        {"City": "Rome"},
        {"City": None},
    ]


@pytest.mark.parametrize(
    ("requests_", "words"),
    [
        ([{"method": "GET", "url": f"{DATA}/limits"}], "referenceId"),
        ([sub("a-b")], "letters, numbers and underscores"),
        ([sub("a"), sub("a")], "used by another"),
        ([{"url": f"{DATA}/limits", "referenceId": "a"}], "method"),
        ([{"method": "GET", "referenceId": "a"}], "url"),
        ([sub("a", "GET", "/jobs/ingest")], "inside a composite"),
        ([sub(f"q{n}", "GET", "/query?q=x") for n in range(6)], "limited to 5"),
        ([sub(f"q{n}", "GET", "/composite/sobjects/Lead?ids=x") for n in range(6)], "limited to 5"),
        ([sub(f"q{n}", "GET", "/limits") for n in range(26)], "limited to 25"),
    ],
)
def test_a_composite_is_checked_before_any_of_it_is_done(
    org: Client, requests_: list[dict[str, str]], words: str
) -> None:
    body = {"compositeRequest": [sub("first", body=lead()), *requests_][-26:]}
    response = org.call("POST", "/composite", json=body)
    assert response.status_code == 400
    assert words in response.json()[0]["message"]
    assert org.rows("SELECT Id FROM Lead") == []


def test_an_id_that_reads_like_a_query_is_no_query(org: Client) -> None:
    path = "/sobjects/Lead/Person_Id__c/query"
    responses = composed(org, *(sub(f"r{n}", "GET", path) for n in range(6)))
    assert [a["httpStatusCode"] for a in responses] == [404] * 6


def batch(org: Client, *subrequests: dict[str, Any], **more: bool) -> requests.Response:
    return org.call("POST", "/composite/batch", json={"batchRequests": list(subrequests)} | more)


def test_a_halted_batch_has_an_error_for_each_that_is_left(org: Client) -> None:
    wrong: dict[str, Any] = {"method": "POST", "url": "v68.0/sobjects/Lead", "richInput": {}}
    right = wrong | {"url": "/services/data/v60.0/sobjects/Lead", "richInput": lead()}
    response = batch(org, right, wrong, right, right, haltOnError=True).json()
    assert response["hasErrors"] is True
    assert [r["statusCode"] for r in response["results"]] == [201, 400, 412, 412]
    assert response["results"][3]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert len(org.rows("SELECT Id FROM Lead")) == 1
    assert len(batch(org, wrong, right).json()["results"]) == 2


def test_a_batch_may_hold_many_queries_but_no_newer_version(org: Client) -> None:
    asked = {"method": "GET", "url": "v68.0/query?q=SELECT+Id+FROM+Lead"}
    assert batch(org, *[asked] * 25).json()["hasErrors"] is False
    assert batch(org, *[asked] * 26).status_code == 400
    for version in ("33.0", "69.0"):
        assert batch(org, asked | {"url": f"v{version}/limits"}).status_code == 400


def account(name: str, contacts: Sequence[dict[str, Any]] = (), **fields: Any) -> dict[str, Any]:
    attributes = {"type": "Account", "referenceId": name}
    record = {"attributes": attributes, "Name": name} | fields
    return record | {"Contacts": {"records": list(contacts)}} if contacts else record


def contact(name: str, **fields: str) -> dict[str, Any]:
    return {"attributes": {"type": "Contact", "referenceId": name}, "LastName": name} | fields


def test_a_tree_plants_what_stands_under_its_records(org: Client) -> None:
    records = [account("a", [contact("c1"), contact("c2")]), account("b", [contact("c3")])]
    response = org.call("POST", "/composite/tree/account", json={"records": records})
    assert response.status_code == 201, response.text
    assert [r["referenceId"] for r in response.json()["results"]] == ["a", "b", "c1", "c2", "c3"]
    soql = "SELECT LastName, Account.Name FROM Contact ORDER BY LastName"
    owners = [(row["LastName"], row["Account"]["Name"]) for row in org.rows(soql)]
    assert owners == [("c1", "a"), ("c2", "a"), ("c3", "b")]


def test_one_wrong_leaf_fells_the_tree(org: Client) -> None:
    records = [account("a", [contact("c1"), contact("c2", Email="x")])]
    response = org.call("POST", "/composite/tree/Account", json={"records": records})
    assert response.status_code == 400
    assert response.json() == {
        "hasErrors": True,
        "results": [
            {
                "referenceId": "c2",
                "errors": [
                    {
                        "statusCode": "INVALID_EMAIL_ADDRESS",
                        "message": "Email: invalid email address: x",
                        "fields": ["Email"],
                    }
                ],
            }
        ],
    }
    assert org.rows("SELECT Id FROM Account") == []


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([account("a"), account("b", [contact("a")])], "Duplicate ReferenceId"),
        ([{"attributes": {"type": "Account"}, "Name": "N"}], "Include a ReferenceId"),
        ([contact("a")], "cannot stand among"),
        ([account("a") | {"Contacts": []}], "must be an object"),
        ([account(f"a{n}", [contact(f"c{n}")]) for n in range(101)], "limited to 200 records"),
        ([account("a") | {"Leads": {"records": []}}], "No such column 'Leads'"),
    ],
)
def test_a_tree_that_cannot_be_planted(
    org: Client, records: list[dict[str, Any]], words: str
) -> None:
    response = org.call("POST", "/composite/tree/Account", json={"records": records})
    assert response.status_code == 400
    assert words in response.text


def test_collections_take_ten_runs_of_objects(org: Client) -> None:
    def records(runs: int) -> list[dict[str, Any]]:
        kinds = [("Lead", lead()), ("Contact", {"LastName": "L"})]
        return [
            {"attributes": {"type": kind}} | fields
            for n in range(runs)
            for kind, fields in [kinds[n % 2]] * 2
        ]

    response = org.call("POST", "/composite/sobjects", json={"records": records(10)})
    assert all(row["success"] for row in response.json())
    rejected = org.call("POST", "/composite/sobjects", json={"records": records(11)})
    assert rejected.json()[0]["errorCode"] == "LIMIT_EXCEEDED"


def test_reading_many_needs_ids_and_fields(org: Client) -> None:
    ids = [org.lead(Company=name) for name in ("A", "B")]
    path = f"/composite/sobjects/Lead?ids={ids[1]},00Q5e0000ZZZZZZ,{ids[0]}"
    rows = org.call("GET", f"{path}&fields=company,Owner.Name").json()
    assert [row and row["Company"] for row in rows] == ["B", None, "A"]
    assert rows[0]["Owner"]["Name"] == "Integration User"
    for wrong in (path, "/composite/sobjects/Lead?fields=Id", f"{path}&fields=Id FROM Lead"):
        assert org.call("GET", wrong).status_code == 400
    for method in ("DELETE", "GET"):
        assert org.call(method, "/composite/sobjects/Lead?ids=").status_code in {400, 405}


def test_what_collections_reject(org: Client) -> None:
    many = ",".join([org.lead()] * 201)
    assert org.call("DELETE", f"/composite/sobjects?ids={many}").status_code == 400
    assert org.call("DELETE", "/composite/sobjects").status_code == 400
    record = {"attributes": {"type": "Lead"}, "City": "Rome"}
    (row,) = org.call("PATCH", "/composite/sobjects", json={"records": [record]}).json()
    assert row["errors"][0]["statusCode"] == "MISSING_ARGUMENT"
    twins = [{"attributes": {"type": "Lead"}} | lead(Person_Id__c=key) for key in ("p", "P", "q")]
    rows = org.call(
        "PATCH", "/composite/sobjects/Lead/Person_Id__c", json={"records": twins}
    ).json()
    assert [row["success"] for row in rows] == [False, False, True]
    assert rows[0]["errors"][0]["message"] == "Duplicate external id specified: p"
