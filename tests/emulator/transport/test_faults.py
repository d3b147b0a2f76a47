"""Faults of requests and jobs, before or after the effect, and the log of requests."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
import requests

from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client

CREATE = "POST /sobjects/Lead"
TEXT = "LastName,Company\nL,C\n"


def count(org: Client) -> int:
    return len(org.rows("SELECT Id FROM Lead"))


@pytest.mark.parametrize(("fault", "effect"), [("drop_before", 0), ("drop_after", 1)])
def test_a_dropped_connection_before_or_after_the_effect(
    org: Client, fault: str, effect: int
) -> None:
    org.faults({"match": CREATE, "fault": fault})
    with pytest.raises(requests.ConnectionError):
        org.create(LastName="L", Company="C")
    assert count(org) == effect
    assert org.create(LastName="L", Company="C").status_code == 201


@pytest.mark.parametrize(
    ("fault", "status", "effect"),
    [("status:503", 503, 0), ("status:500_after", 500, 1), ("status:502", 502, 0)],
)
def test_an_error_before_or_after_the_effect(
    org: Client, fault: str, status: int, effect: int
) -> None:
    org.faults({"match": CREATE, "fault": fault})
    response = org.create(LastName="L", Company="C")
    assert response.status_code == status
    assert count(org) == effect


def test_503_has_the_code_of_an_overloaded_org(org: Client) -> None:
    org.faults({"match": "* /limits", "fault": "status:503"})
    assert error_of(org.call("GET", "/limits"), 503)["errorCode"] == "SERVER_UNAVAILABLE"


def test_each_step_of_a_job_can_lose_its_response(org: Client) -> None:
    org.faults(
        {"match": "POST /jobs/ingest", "fault": "drop_after"},
        {"match": "PUT /jobs/ingest/*/batches", "nth": 2, "fault": "drop_after"},
        {"match": "PATCH /jobs/ingest/*", "fault": "drop_after"},
    )
    with pytest.raises(requests.ConnectionError):
        org.open_job()
    orphan = org.call("GET", "/jobs/ingest").json()["records"]
    assert [job["state"] for job in orphan] == ["Open"]
    job, lost = org.open_job(), org.open_job()
    assert org.put(job, TEXT).status_code == 201
    with pytest.raises(requests.ConnectionError):
        org.put(lost, TEXT)
    assert error_of(org.put(lost, TEXT))["message"].startswith("Found multiple contents")
    with pytest.raises(requests.ConnectionError):
        org.patch(job, "UploadComplete")
    assert org.wait(job)["state"] == "JobComplete"


def test_a_dropped_put_before_the_effect_leaves_the_job_empty(org: Client) -> None:
    org.faults({"match": "PUT /jobs/ingest/*/batches", "fault": "drop_before"})
    job = org.open_job()
    with pytest.raises(requests.ConnectionError):
        org.put(job, TEXT)
    assert org.put(job, TEXT).status_code == 201


def test_a_truncated_response_is_noticed_by_the_client(org: Client) -> None:
    loaded = org.load("LastName,Company\n" + "L,C\n" * 500)
    org.faults({"match": "GET /jobs/ingest/*/successfulResults", "fault": "truncate"})
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        org.result(loaded.id, "successfulResults")
    assert org.result(loaded.id, "successfulResults") == loaded.texts["successful"]


def test_an_response_without_a_body_can_be_cut_too(org: Client) -> None:
    made = org.lead()
    org.faults({"match": "DELETE /sobjects/*", "fault": "truncate"})
    with pytest.raises(requests.ConnectionError):
        org.call("DELETE", f"/sobjects/Lead/{made}")
    assert count(org) == 0


def test_a_slow_response_has_had_its_effect(org: Client) -> None:
    org.faults({"match": CREATE, "fault": "slow:0.5"})
    with pytest.raises(requests.Timeout):
        org.call("POST", "/sobjects/Lead", json={"LastName": "L", "Company": "C"}, timeout=0.2)
    assert count(org) == 1


def test_a_fault_hits_the_nth_request_and_count_in_a_row(org: Client) -> None:
    org.faults({"match": "GET /limits", "nth": 2, "count": 2, "fault": "status:503"})
    seen = [org.call("GET", "/limits").status_code for _ in range(4)]
    assert seen == [200, 503, 503, 200]


def test_faults_outside_the_versioned_paths_and_faults_taken_back(org: Client) -> None:
    org.faults({"match": "POST /services/oauth2/token", "count": 9, "fault": "status:503"})
    assert org.token(grant_type="x").status_code == 503
    org.faults()
    assert org.token(grant_type="x").status_code == 400


def test_an_expired_session_stays_expired_mid_way(org: Client) -> None:
    job = org.open_job()
    org.faults({"match": "PUT /jobs/ingest/*/batches", "fault": "expire_session"})
    assert org.put(job, TEXT).status_code == 401
    assert org.put(job, TEXT).status_code == 401
    assert org.log_in().put(job, TEXT).status_code == 201
    anonymous = requests.get(f"{org.url}/services/data/v68.0/limits", timeout=10)
    assert anonymous.status_code == 401


@pytest.mark.parametrize("chunks", [0, 1])
def test_a_job_aborted_half_way_by_an_admin(org: Client, chunks: int) -> None:
    org.faults({"job": "nth:1", "fault": f"abort_after_chunk:{chunks}"})
    loaded = org.load("LastName,Company\n" + "".join(f"n{n},C\n" for n in range(300)))
    assert loaded.state == "Aborted"
    assert len(loaded.successful) == 200 * chunks
    assert len(loaded.unprocessed) == 300 - 200 * chunks


def test_a_forgotten_job_is_404_once_it_is_done(org: Client) -> None:
    org.faults({"job": "nth:1", "fault": "forget"})
    job = org.open_job()
    assert org.call("GET", f"/jobs/ingest/{job}").status_code == 200
    org.put(job, TEXT)
    org.patch(job, "UploadComplete")
    assert org.wait(job)[0]["errorCode"] == "NOT_FOUND"
    assert org.call("GET", "/jobs/ingest").json()["records"] == []
    assert count(org) == 1


def test_a_stalled_job_waits_in_the_queue(org: Client) -> None:
    org.faults({"job": "nth:1", "fault": "stall:0.3"})
    job = org.open_job()
    org.put(job, TEXT)
    org.patch(job, "UploadComplete")
    time.sleep(0.1)
    assert org.call("GET", f"/jobs/ingest/{job}").json()["state"] == "UploadComplete"
    assert org.call("DELETE", f"/jobs/ingest/{job}").status_code == 204
    time.sleep(0.3)
    assert count(org) == 0


@pytest.mark.parametrize(
    "faults",
    [
        {"fault": "drop_before"},
        ["drop_before"],
        [{"match": "GET /limits"}],
        [{"match": "GET /limits", "fault": "explode"}],
        [{"match": "GET", "fault": "drop_before"}],
        [{"match": "GET /limits", "fault": "drop_before", "nth": 0}],
        [{"match": "GET /limits", "fault": "drop_before", "count": True}],
        [{"match": "GET /limits", "fault": "drop_before", "often": 3}],
        [{"job": "first", "fault": "forget"}],
        [{"job": "nth:1", "fault": "drop_before"}],
    ],
)
def test_an_unknown_fault_is_rejected_with_a_sentence(
    org: Client, faults: dict[str, str] | list[Any]
) -> None:
    response = org.control("PUT", "faults", json=faults)
    assert response.status_code == 400
    assert len(response.json()["error"]) > 20


def test_faults_that_are_not_json_are_rejected(org: Client) -> None:
    assert org.control("PUT", "faults", data=b"{").status_code == 400


def test_the_log_has_every_request_in_order(org: Client) -> None:
    org.faults({"match": "GET /query", "fault": "drop_after"})
    with pytest.raises(requests.ConnectionError):
        org.query("SELECT Id FROM Lead")
    org.call("GET", "/limits")
    org.create(LastName="L")
    log = org.control("GET", "requests").json()
    assert [(e["method"], e["path"].partition("?")[0], e["status"]) for e in log] == [
        ("POST", "/services/oauth2/token", 200),
        ("GET", "/services/data/v68.0/query", 0),
        ("GET", "/services/data/v68.0/limits", 200),
        ("POST", "/services/data/v68.0/sobjects/Lead", 400),
    ]
    assert "q=SELECT" in log[1]["path"]


def test_a_client_that_leaves_in_mid_upload_leaves_no_trace(org: Client) -> None:
    job = org.open_job()
    host, port = org.url.removeprefix("http://").split(":")
    token = org.authorization
    head = (
        f"PUT /services/data/v68.0/jobs/ingest/{job}/batches HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {token}\r\nContent-Type: text/csv\r\nContent-Length: 1000\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(head.encode() + TEXT.encode())
        time.sleep(0.1)
    time.sleep(0.2)
    assert org.put(job, TEXT).status_code == 201


def test_a_body_in_chunks_is_a_body(org: Client) -> None:
    job = org.open_job()
    data = (piece for piece in (b"LastName,", b"Company\nL", b",C\n"))
    headers = {"Content-Type": "text/csv"}
    put = org.call("PUT", f"/jobs/ingest/{job}/batches", data=data, headers=headers)
    assert put.status_code == 201
    org.patch(job, "UploadComplete")
    assert org.wait(job)["numberRecordsProcessed"] == 1
