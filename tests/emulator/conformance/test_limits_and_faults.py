"""Numbers 49, 50, 60: what is counted, what happens at the limit, and injected faults."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import requests

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client

LEAD = {"LastName": "L", "Company": "C"}
UNAVAILABLE = "SERVER_UNAVAILABLE"


def usage(response: requests.Response) -> tuple[int, int]:
    """Return requests used and allowed, from the header of any response."""
    values = response.headers["Sforce-Limit-Info"].partition(";")[0]
    used, allowed = values.removeprefix("api-usage=").split("/")
    return int(used), int(allowed)


@pytest.mark.also_real_org
def test_49_every_request_counts_job_polling_too(org: Client) -> None:
    before, allowed = usage(org.call("GET", "/sobjects"))
    job = org.open_job()
    asked = [
        org.call("GET", f"/jobs/ingest/{job}"),
        org.query("SELECT Id FROM Lead LIMIT 1"),
        org.create(Company=org.mark),
    ]
    assert [response.status_code for response in asked] == [200, 200, 400]
    assert usage(asked[-1])[0] >= before + 4
    assert usage(asked[-1])[1] == allowed


def test_49_each_by_one_and_the_limits_agree(org: Client) -> None:
    used, allowed = usage(org.call("GET", "/jobs/ingest"))
    assert usage(org.call("GET", "/nowhere"))[0] == used + 1
    limits = org.call("GET", "/limits")
    assert usage(limits) == (used + 2, allowed)
    assert limits.json()["DailyApiRequests"] == {"Max": allowed, "Remaining": allowed - used - 2}


@pytest.mark.also_real_org
def test_49_limits_and_counts_of_records(org: Client) -> None:
    org.lead()
    limits = org.call("GET", "/limits").json()
    expected = {"DailyApiRequests", "DailyBulkApiBatches", "DailyBulkV2QueryJobs", "DataStorageMB"}
    assert expected <= set(limits)
    assert all({"Max", "Remaining"} <= set(limits[name]) for name in expected)
    unknown = org.call("GET", "/limits/recordCount?sObjects=Nothing__c")
    assert unknown.json() == {"sObjects": []}


def test_49_the_count_of_records_is_exact(org: Client) -> None:
    org.lead()
    counted = org.call("GET", "/limits/recordCount?sObjects=Lead,Nothing")
    assert counted.json() == {"sObjects": [{"count": 1, "name": "Lead"}]}


def test_50_at_the_cap_every_request_is_rejected(org_of: OrgOf) -> None:
    org = org_of("[limits]\ndaily_api_requests = 2\n")
    assert [org.call("GET", "/limits").status_code for _ in range(3)] == [200, 200, 403]
    for rejected in (org.create(**LEAD), org.call("GET", "/jobs/ingest"), org.query("x")):
        assert error_of(rejected, 403) == {
            "message": "TotalRequests Limit exceeded.",
            "errorCode": "REQUEST_LIMIT_EXCEEDED",
        }
    assert requests.get(f"{org.url}/services/data", timeout=10).status_code == 200


@pytest.mark.parametrize("status", [503, 502, 420])
def test_50_an_injected_status_comes_before_any_effect(org: Client, status: int) -> None:
    org.faults({"match": "POST /sobjects/Lead", "fault": f"status:{status}"})
    assert org.create(**LEAD).status_code == status
    assert org.rows("SELECT Id FROM Lead") == []
    assert org.create(**LEAD).status_code == 201


def test_50_an_overloaded_org_sends_json_and_a_proxy_sends_a_page(org: Client) -> None:
    org.faults(
        *(
            {"match": "GET /limits", "nth": nth, "fault": f"status:{status}"}
            for nth, status in ((1, 503), (2, 502), (3, 420))
        )
    )
    assert error_of(org.call("GET", "/limits"), 503)["errorCode"] == UNAVAILABLE
    for _ in range(2):
        assert org.call("GET", "/limits").headers["Content-Type"].startswith("text/html")


def changes(org: Client) -> dict[str, tuple[Any, ...]]:
    """One request of each kind, what it does to the org, and how to see that it was done."""
    made, job = org.lead(), org.open_job()
    return {
        "POST": (lambda: org.create(**LEAD), lambda: len(org.rows("SELECT Id FROM Lead")) == 2),
        "PUT": (
            lambda: org.put(job, "LastName,Company\nM,D\n"),
            lambda: "multiple contents" in org.put(job, "x").text,
        ),
        "PATCH": (
            lambda: org.call("PATCH", f"/sobjects/Lead/{made}", json={"City": "Rome"}),
            lambda: org.leads("City") == [{"City": "Rome"}],
        ),
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_50_an_response_may_be_lost_after_its_effect(org: Client, method: str) -> None:
    act, is_done = changes(org)[method]
    org.faults({"match": f"{method} *", "fault": "drop_after"})
    with pytest.raises(requests.ConnectionError):
        act()
    assert is_done()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_50_or_the_request_before_it(org: Client, method: str) -> None:
    act, is_done = changes(org)[method]
    org.faults({"match": f"{method} *", "fault": "drop_before"})
    with pytest.raises(requests.ConnectionError):
        act()
    assert not is_done()


def test_50_the_close_of_a_job_may_be_lost_after_it_began(org: Client) -> None:
    org.faults({"match": "PATCH /jobs/ingest/*", "fault": "drop_after"})
    job = org.open_job()
    org.put(job, f"LastName,Company\nL,{org.mark}\n")
    with pytest.raises(requests.ConnectionError):
        org.patch(job, "UploadComplete")
    assert org.wait(job)["state"] == "JobComplete"
    assert len(org.leads()) == 1


@pytest.mark.also_real_org
def test_60_responses_are_gzipped_when_asked_for(org: Client) -> None:
    packed = org.call("GET", "/sobjects/Lead/describe", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json()["name"] == "Lead"
    plain = org.call("GET", "/sobjects/Lead/describe", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers


@pytest.mark.also_real_org
def test_60_requests_may_be_gzipped(org: Client) -> None:
    body = gzip.compress(json.dumps({"LastName": "L", "Company": org.mark}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert org.call("POST", "/sobjects/Lead", data=body, headers=headers).status_code == 201
    assert len(org.leads()) == 1


def test_60_what_is_no_gzip_is_rejected(org: Client) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert org.call("POST", "/sobjects/Lead", data=b"x", headers=headers).status_code == 400


def test_60_results_of_bulk_are_gzipped_too(org: Client) -> None:
    loaded = org.load("LastName,Company\n" + "L,C\n" * 100)
    path = f"/jobs/ingest/{loaded.id}/successfulResults"
    packed = org.call("GET", path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.text == loaded.texts["successful"]
