"""Numbers 13 to 16, 43, 44, 48: the life of an ingest job, from its creation to its deletion."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client

HEADER = "LastName,Company\n"
NOT_FOUND = {"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
LIVES = ["UploadComplete", "InProgress", "JobComplete"]


@pytest.mark.also_real_org
def test_13_a_new_job_has_every_default_filled_in(org: Client) -> None:
    asked = {"object": "Lead", "operation": "insert"}
    response = org.call("POST", "/jobs/ingest", json=asked)
    job = response.json()
    assert response.status_code == 200
    assert job.pop("contentUrl") == f"services/data/v{org.version}/jobs/ingest/{job['id']}/batches"
    assert (job.pop("id")[:3], job.pop("createdById")[:3]) == ("750", "005")
    assert job.pop("createdDate") <= job.pop("systemModstamp")
    assert type(job["apiVersion"]) is float
    assert job == asked | {
        "state": "Open",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(org.version),
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }


@pytest.mark.also_real_org
def test_13_an_object_that_bulk_does_not_know(org: Client) -> None:
    asked = {"object": "Nothing__c", "operation": "insert"}
    assert error_of(org.call("POST", "/jobs/ingest", json=asked)) == {
        "errorCode": "INVALIDENTITY",
        "message": "Entity 'Nothing__c' is not supported by the Bulk API.",
    }


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"object": "User"}, "INVALIDENTITY"),
        ({"operation": "replace"}, "INVALIDJOB"),
        ({"label": "mine"}, "INVALIDJOB"),
        ({"lineEnding": "CR"}, "INVALIDJOB"),
        ({"columnDelimiter": ","}, "INVALIDJOB"),
        ({"contentType": "JSON"}, "INVALIDJOB"),
        ({"operation": "upsert"}, "INVALIDJOB"),
        ({"operation": "upsert", "externalIdFieldName": "City"}, "INVALIDJOB"),
        ({"assignmentRuleId": "x"}, "MALFORMED_ID"),
        ({"assignmentRuleId": "01Q5e0000ZZZZZZ"}, "INVALID_ASSIGNMENT_RULE"),
        ({"object": "Contact", "assignmentRuleId": "x"}, "INVALIDJOB"),
    ],
)
def test_13_a_wrong_job_is_rejected_at_creation(
    org: Client, asked: dict[str, str], code: str
) -> None:
    body = {"object": "Lead", "operation": "insert"} | asked
    assert error_of(org.call("POST", "/jobs/ingest", json=body))["errorCode"] == code
    assert org.call("GET", "/jobs/ingest").json()["records"] == []


@pytest.mark.also_real_org
def test_14_one_put_a_job_and_no_more(org: Client) -> None:
    job = org.open_job()
    first = org.put(job, f"{HEADER}L,{org.mark}\n")
    assert (first.status_code, first.content) == (201, b"")
    second = org.put(job, f"{HEADER}M,{org.mark}\n")
    assert 400 <= second.status_code < 500
    assert second.json()[0]["message"].startswith("Found multiple contents for job")


def test_14_a_rejected_second_put_harms_nothing(org: Client) -> None:
    job = org.open_job()
    org.put(job, HEADER + "L,C\n")
    assert error_of(org.put(job, HEADER + "M,C\n"))["errorCode"] == "INVALIDJOB"
    assert org.patch(job, "UploadComplete").status_code == 200
    org.wait(job)
    assert org.rows("SELECT LastName FROM Lead") == [{"LastName": "L"}]


def test_14_the_second_put_may_pass_and_the_close_fail_instead(org_of: OrgOf) -> None:
    org = org_of('[behaviour]\nsecond_put = "close"\n')
    job = org.open_job()
    for _ in range(2):
        assert org.put(job, "LastName,Company\nL,C\n").status_code == 201
    assert error_of(org.patch(job, "UploadComplete"))["errorCode"] == "INVALIDJOB"
    assert org.call("GET", f"/jobs/ingest/{job}").json()["state"] == "Open"
    assert org.patch(job, "Aborted").status_code == 200


@pytest.mark.also_real_org
def test_14_nothing_is_uploaded_to_a_job_that_is_closed(org: Client) -> None:
    loaded = org.load(f"{HEADER}L,{org.mark}\n")
    assert error_of(org.put(loaded.id, "x"))["errorCode"] == "INVALIDJOBSTATE"


def test_14_an_upload_that_is_not_csv_is_rejected(org: Client) -> None:
    job = org.open_job()
    response = org.call("PUT", f"/jobs/ingest/{job}/batches", json={"LastName": "L"})
    assert response.status_code == 415


@pytest.mark.also_real_org
def test_15_closing_returns_the_job_which_then_runs(org: Client) -> None:
    job = org.open_job()
    org.put(job, f"{HEADER}L,{org.mark}\n")
    closed = org.patch(job, "UploadComplete")
    assert (closed.status_code, closed.json()["state"]) == (200, "UploadComplete")
    assert {"contentUrl", "lineEnding", "columnDelimiter"}.isdisjoint(closed.json())
    ended = org.wait(job)
    assert (ended["state"], ended["jobType"], ended["retries"]) == ("JobComplete", "V2Ingest", 0)
    times = {"totalProcessingTime", "apiActiveProcessingTime", "apexProcessingTime"}
    assert times <= set(ended)
    assert "errorMessage" not in ended
    assert error_of(org.patch(job, "UploadComplete"))["errorCode"] == "INVALIDJOBSTATE"


def test_15_a_closed_job_passes_through_its_states_at_its_own_pace(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nqueue_seconds = 0.1\nrows_per_second = 4000\n")
    job = org.open_job()
    org.put(job, HEADER + "L,C\n" * 600)
    seen = [org.patch(job, "UploadComplete").json()["state"]]
    while seen[-1] != "JobComplete":
        shown = org.call("GET", f"/jobs/ingest/{job}").json()
        if shown["state"] != seen[-1]:
            seen.append(shown["state"])
    assert seen == LIVES


@pytest.mark.also_real_org
def test_16_a_job_with_failed_rows_is_complete_all_the_same(org: Client) -> None:
    loaded = org.load(f"{HEADER}L,{org.mark}\n,{org.mark}\n,\n")
    assert loaded.state == "JobComplete"
    assert loaded.info["numberRecordsProcessed"] == 3
    assert loaded.info["numberRecordsFailed"] == 2


@pytest.mark.also_real_org
def test_16_a_job_whose_every_row_failed_is_complete_too(org: Client) -> None:
    loaded = org.load(f"{HEADER},{org.mark}\n")
    assert (loaded.state, loaded.info["numberRecordsFailed"]) == ("JobComplete", 1)


@pytest.mark.also_real_org
def test_43_a_job_that_is_complete_cannot_be_aborted(org: Client) -> None:
    loaded = org.load(f"{HEADER}L,{org.mark}\n")
    assert error_of(org.patch(loaded.id, "Aborted")) == {
        "errorCode": "INVALIDJOBSTATE",
        "message": "Aborting already Completed Job not allowed",
    }
    assert error_of(org.patch(loaded.id, "Open"))["errorCode"] == "INVALIDJOBSTATE"
    assert org.call("GET", f"/jobs/ingest/{loaded.id}").json()["state"] == "JobComplete"


@pytest.mark.also_real_org
def test_43_an_open_job_is_aborted_before_it_is_deleted(org: Client) -> None:
    job = org.open_job()
    assert error_of(org.call("DELETE", f"/jobs/ingest/{job}"))["errorCode"] == "INVALIDJOBSTATE"
    assert org.patch(job, "Aborted").json()["state"] == "Aborted"
    assert org.call("DELETE", f"/jobs/ingest/{job}").status_code == 204


@pytest.mark.also_real_org
def test_43_a_deleted_job_is_not_found(org: Client) -> None:
    loaded = org.load(f"{HEADER}L,{org.mark}\n")
    assert org.call("DELETE", f"/jobs/ingest/{loaded.id}").status_code == 204
    for path in ("", "/successfulResults", "/failedResults", "/unprocessedrecords"):
        assert error_of(org.call("GET", f"/jobs/ingest/{loaded.id}{path}"), 404) == NOT_FOUND
    assert error_of(org.patch(loaded.id, "Aborted"), 404) == NOT_FOUND
    assert len(org.leads()) == 1


def test_43_only_the_creator_closes_a_job_and_anyone_aborts_it(org_of: OrgOf) -> None:
    app = '[[user]]\nusername = "o@t.example"\n[[app]]\nconsumer_key = "o"\n'
    org = org_of(app + 'consumer_secret = "o"\nusername = "o@t.example"\n')
    path = f"/jobs/ingest/{org.open_job()}"
    other = org.token(grant_type="client_credentials", client_id="o", client_secret="o").json()
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    for state, status in (("UploadComplete", 403), ("Aborted", 200)):
        response = org.call("PATCH", path, json={"state": state}, headers=headers)
        assert response.status_code == status


def listed_jobs(org: Client) -> list[dict[str, Any]]:
    """Every job of the org, page by page."""
    response = org.call("GET", "/jobs/ingest?jobType=V2Ingest&isPkChunkingEnabled=false").json()
    records = []
    while True:
        assert len(response["records"]) <= 1_000
        records += response["records"]
        assert response["done"] is (not response.get("nextRecordsUrl"))
        if response["done"]:
            return records
        response = org.following(response["nextRecordsUrl"]).json()


@pytest.mark.also_real_org
def test_44_the_job_list_holds_open_orphans_and_no_counts(org: Client) -> None:
    orphan, done = org.open_job(), org.load(f"{HEADER}L,{org.mark}\n").id
    listed = {record["id"]: record for record in listed_jobs(org)}
    assert (listed[orphan]["state"], listed[done]["state"]) == ("Open", "JobComplete")
    left_out = {"numberRecordsProcessed", "numberRecordsFailed", "errorMessage"}
    left_out |= {"assignmentRuleId", "externalIdFieldName"}
    assert all(left_out.isdisjoint(record) for record in listed.values())


def test_44_the_job_list_pages_without_order(org: Client) -> None:
    jobs = [org.open_job() for _ in range(1_005)]
    listed = [record["id"] for record in listed_jobs(org)]
    assert sorted(listed) == sorted(jobs)
    assert listed not in (jobs, jobs[::-1])
    assert org.call("GET", "/jobs/ingest?jobType=Classic").json()["records"] == []


def multipart(org: Client, job: str, content: str) -> requests.Response:
    body = (
        '--B\r\nContent-Disposition: form-data; name="job"\r\n'
        f"Content-Type: application/json\r\n\r\n{job}\r\n"
        '--B\r\nContent-Disposition: form-data; name="content"; filename="content"\r\n'
        f"Content-Type: text/csv\r\n\r\n{content}\r\n--B--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    return org.call("POST", "/jobs/ingest", data=body.encode(), headers=headers)


INSERT = json.dumps({"object": "Lead", "operation": "insert"})


@pytest.mark.also_real_org
def test_48_job_and_data_in_one_request_begin_immediately(org: Client) -> None:
    made = multipart(org, INSERT, f"{HEADER}L,{org.mark}")
    assert made.status_code == 200
    assert made.json()["state"] == "UploadComplete"
    assert org.wait(made.json()["id"])["numberRecordsProcessed"] == 1
    assert len(org.leads()) == 1


def test_48_up_to_100_000_characters_and_no_more(org: Client) -> None:
    most = HEADER + "L,C\n"
    most += "\n" * (100_000 - len(most))
    assert multipart(org, INSERT, most).status_code == 200
    assert multipart(org, INSERT, most + "\n").status_code == 400
    assert multipart(org, "[]", "x").status_code == 400
    headers = {"Content-Type": "multipart/form-data"}
    assert org.call("POST", "/jobs/ingest", data=b"x", headers=headers).status_code == 400
