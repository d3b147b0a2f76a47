"""Jobs: opened, filled once, closed, watched and read, whatever the wire does."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import OrgRejectedError, OrgUnavailableError, TransientError
from pipelines.salesforce import csv_files, ingest_jobs
from pipelines.salesforce.ingest_jobs import JobGone, JobInfo, JobRequestRejected
from pipelines.salesforce.session import Org
from tests.salesforce.servers import MARKETING_ORG, VERSION, Emulator, Script

INGEST = f"/services/data/v{VERSION}/jobs/ingest"
JOB = "7505e00000JoB01AAF"
NOBODY = "7505e00000JoB99AAF"


def open_job(org: Org, rule: str | None = None) -> str:
    return ingest_jobs.create_job(
        org, operation="insert", sobject="Lead", assignment_rule_id=rule
    ).job_id


def load(org: Org, data: str, rule: str | None = None) -> str:
    """Carry a CSV to its end; answers the job's id."""
    job_id = open_job(org, rule)
    ingest_jobs.upload(org, job_id, data.encode())
    assert isinstance(ingest_jobs.close_job(org, job_id), JobInfo)
    wait_until_complete(org, job_id)
    return job_id


def wait_until_complete(org: Org, job_id: str) -> JobInfo:
    for _ in range(500):
        job = ingest_jobs.job_status(org, job_id)
        assert job is not None
        if job.has_ended:
            return job
        time.sleep(0.02)
    raise AssertionError("the job does not end")


# --- A job's life


def test_a_job_opens_with_nothing_in_it(org: Org) -> None:
    job = ingest_jobs.create_job(org, operation="insert", sobject="Lead", assignment_rule_id=None)
    assert (job.state, job.operation, job.object) == ("Open", "insert", "Lead")
    assert (job.processed_count or 0, job.failed_count or 0) == (0, 0)
    assert job.created_by_id == org.user_id
    assert job.created_date.tzinfo is None
    assert not job.has_ended


def test_a_job_ends_with_a_result_for_each_row(org: Org, emulator: Emulator) -> None:
    job_id = load(org, "LastName,Company,Email\nByron,Acme,a@b.example\nLovelace,,c@d.example\n")
    job = wait_until_complete(org, job_id)
    assert (job.state, job.processed_count, job.failed_count) == ("JobComplete", 2, 1)
    results = ingest_jobs.fetch_results(org, job_id)
    assert results.successful["LastName"].tolist() == ["Byron"]
    assert results.failed["sf__Error"].str.startswith("REQUIRED_FIELD_MISSING:").all()
    assert results.unprocessed.empty
    [lead] = emulator.held("leads")
    assert results.successful["sf__Id"].tolist() == [lead["Id"]]


def test_the_rule_named_at_opening_chooses_the_owner(org: Org, emulator: Emulator) -> None:
    answer = org.get_json("query", {"q": "SELECT Id FROM AssignmentRule WHERE Active = true"})
    load(org, "LastName,Company,Country\nByron,Acme,DE\n", answer["records"][0]["Id"])
    [lead] = emulator.held("leads")
    bo = org.get_json("query", {"q": "SELECT Id FROM User WHERE Alias != null AND Name = 'Bo'"})
    assert lead["OwnerId"] in [one["Id"] for one in bo["records"]]


def test_a_job_with_an_unknown_column_fails_without_an_exception(org: Org) -> None:
    job = wait_until_complete(org, load(org, "LastName,Company,Nonsense\nByron,Acme,x\n"))
    assert job.state == "Failed"
    assert "Nonsense" in (job.error_message or "")


def test_the_rows_of_a_job_that_failed_half_way_are_all_accounted_for(
    org: Org, emulator: Emulator
) -> None:
    emulator.go_wrong({"job": "nth:1", "fault": "fail_after_chunk:1"})
    rows = "".join(f"Byron{n},Acme\n" for n in range(500))
    job_id = load(org, "LastName,Company\n" + rows)
    results = ingest_jobs.fetch_results(org, job_id)
    counts = [len(results.successful), len(results.failed), len(results.unprocessed)]
    assert wait_until_complete(org, job_id).state == "Failed"
    assert (counts[0], sum(counts)) == (200, 500)


def test_closing_a_job_twice_is_reported(org: Org) -> None:
    job_id = load(org, "LastName,Company\nByron,Acme\n")
    assert ingest_jobs.close_job(org, job_id) == JobRequestRejected(ingest_jobs.ALREADY_CLOSED)


def test_a_job_whose_upload_came_twice_says_why_it_cannot_start(org: Org) -> None:
    job_id = open_job(org)
    ingest_jobs.upload(org, job_id, b"LastName,Company\nByron,Acme\n")
    with pytest.raises(OrgRejectedError):
        ingest_jobs.upload(org, job_id, b"LastName,Company\nByron,Acme\n")


def test_a_job_can_be_stopped_before_it_starts(org: Org, emulator: Emulator) -> None:
    job_id = open_job(org)
    ingest_jobs.upload(org, job_id, b"LastName,Company\nByron,Acme\n")
    answer = ingest_jobs.abort_job(org, job_id)
    assert isinstance(answer, JobInfo)
    assert answer.state == "Aborted"
    assert emulator.held("leads") == []


def test_a_job_that_is_over_cannot_be_stopped(org: Org) -> None:
    assert isinstance(
        ingest_jobs.abort_job(org, load(org, "LastName,Company\nByron,Acme\n")), JobRequestRejected
    )


def test_a_job_that_is_gone_is_a_value(org: Org) -> None:
    assert ingest_jobs.job_status(org, NOBODY) is None
    assert ingest_jobs.close_job(org, NOBODY) == JobGone()
    assert ingest_jobs.abort_job(org, NOBODY) == JobGone()


def test_a_job_forgotten_by_the_org_is_gone(org: Org, emulator: Emulator) -> None:
    emulator.go_wrong({"job": "nth:1", "fault": "forget"})
    job_id = open_job(org)
    ingest_jobs.upload(org, job_id, b"LastName,Company\nByron,Acme\n")
    ingest_jobs.close_job(org, job_id)
    while ingest_jobs.job_status(org, job_id) is not None:
        time.sleep(0.02)
    assert ingest_jobs.close_job(org, job_id) == JobGone()


def test_a_job_hidden_by_a_right_is_not_gone(script: Script, scripted_org: Org) -> None:
    script.say(f"GET {INGEST}/{JOB}", 403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": ""}])
    with pytest.raises(OrgRejectedError):
        ingest_jobs.job_status(scripted_org, JOB)


def test_a_close_refused_carries_its_code(script: Script, scripted_org: Org) -> None:
    script.say(f"PATCH {INGEST}/{JOB}", 400, [{"errorCode": "INVALIDJOB", "message": "canary"}])
    assert ingest_jobs.close_job(scripted_org, JOB) == JobRequestRejected("INVALIDJOB")


def test_every_job_is_listed_page_by_page(script: Script, scripted_org: Org) -> None:
    more = f"{INGEST}?queryLocator=x"
    script.say(f"GET {INGEST}", 200, {"done": False, "records": [raw(JOB)], "nextRecordsUrl": more})
    script.say(f"GET {INGEST}", 200, {"done": True, "records": [raw(NOBODY)]})
    assert [job.job_id for job in ingest_jobs.list_jobs(scripted_org)] == [JOB, NOBODY]
    assert [one.path for one in script.seen] == [f"{INGEST}?jobType=V2Ingest", more]


def test_no_more_pages_of_jobs_are_read_than_allowed(script: Script, scripted_org: Org) -> None:
    more = f"{INGEST}?queryLocator=x"
    page = {"done": False, "records": [raw(JOB)], "nextRecordsUrl": more}
    script.say(f"GET {INGEST}", 200, page)
    assert len(list(ingest_jobs.list_jobs(scripted_org, 3))) == len(script.seen) == 3


def raw(job_id: str) -> dict[str, object]:
    return {
        "id": job_id,
        "state": "Open",
        "operation": "insert",
        "object": "Lead",
        "createdById": "0055e000001XyZ1AAK",
        "createdDate": "2026-11-22T15:00:00.000+0100",
    }


def test_an_orphan_is_in_the_list(org: Org) -> None:
    job_id = open_job(org)
    assert job_id in [job.job_id for job in ingest_jobs.list_jobs(org) if job.state == "Open"]


def test_the_orgs_clock_is_read_as_utc(script: Script, scripted_org: Org) -> None:
    script.say(f"GET {INGEST}/{JOB}", 200, raw(JOB))
    job = ingest_jobs.job_status(scripted_org, JOB)
    assert job is not None
    assert job.created_date == datetime(2026, 11, 22, 14)  # noqa: DTZ001 - naive UTC is the house's


# --- Uploads


def test_an_upload_without_confirmation_is_a_transient_error(
    script: Script, scripted_org: Org
) -> None:
    script.say(f"PUT {INGEST}/{JOB}/batches", 200)
    with pytest.raises(OrgUnavailableError, match="confirm"):
        ingest_jobs.upload(scripted_org, JOB, b"a")


def test_an_upload_arrives_as_the_bytes_it_was(script: Script, scripted_org: Org) -> None:
    script.say(f"PUT {INGEST}/{JOB}/batches", 201)
    ingest_jobs.upload(scripted_org, JOB, b'"LastName"\n"\xc3\xa9\r\n"\n')
    assert script.seen[0].body == b'"LastName"\n"\xc3\xa9\r\n"\n'
    assert script.seen[0].headers["Content-Type"] == "text/csv; charset=UTF-8"


def test_too_large_an_upload_is_not_even_begun(script: Script, scripted_org: Org) -> None:
    with pytest.raises(ValueError, match="100000001"):
        ingest_jobs.upload(scripted_org, JOB, bytes(ingest_jobs.MAX_UPLOAD_BYTES + 1))
    assert script.seen == []


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "status:500_after", "status:503"])
def test_an_upload_whose_response_was_lost_is_not_repeated(
    org: Org, emulator: Emulator, fault: str
) -> None:
    job_id = open_job(org)
    emulator.go_wrong({"match": "PUT /jobs/ingest/*/batches", "fault": fault})
    with pytest.raises(TransientError):
        ingest_jobs.upload(org, job_id, b"LastName,Company\nByron,Acme\n")
    assert len(emulator.served("^PUT .*batches")) <= 1


@pytest.mark.parametrize("job_id", ["", "../x", "750/5e00000JoB01", "7505e00000JoB01AAF?x=1"])
def test_only_an_id_becomes_part_of_an_address(
    script: Script, scripted_org: Org, job_id: str
) -> None:
    with pytest.raises(ValueError, match="not the id"):
        ingest_jobs.job_status(scripted_org, job_id)
    assert script.seen == []


# --- Results


def test_results_keep_quotes_newlines_and_letters_of_all_scripts(
    org: Org, emulator: Emulator
) -> None:
    emulator.reset(MARKETING_ORG + "[behaviour]\nnewline_in_cell = true\n")
    name = '森田 "健", O\'Neill\nŁódź 🙂'
    quoted = name.replace('"', '""')
    job_id = load(org, f'LastName,Company,FirstName\n"{quoted}",Acme,\n')
    successful = ingest_jobs.fetch_results(org, job_id).successful
    assert successful["LastName"].tolist() == [name]
    assert successful["FirstName"].isna().all()
    assert {str(kind) for kind in successful.dtypes} == {"str"}


def test_of_the_uploaded_columns_only_the_key_is_read_in_any_case(
    org: Org, emulator: Emulator
) -> None:
    job_id = load(org, "LASTNAME,Company\nByron,Acme\n,Mill\n")
    results = ingest_jobs.fetch_results(org, job_id, "LastName")
    assert results.successful[["sf__Created", "LASTNAME"]].values.tolist() == [["true", "Byron"]]
    assert sorted(results.failed.columns) == ["LASTNAME", "sf__Error", "sf__Id"]
    whole = ingest_jobs.fetch_results(org, job_id, "Person_Id__c").successful
    assert whole["Company"].tolist() == ["Acme"], "without the key everything tells whose a row is"


def test_result_files_that_break_off_are_read_again(org: Org, emulator: Emulator) -> None:
    job_id = load(org, "LastName,Company\nByron,Acme\n")
    emulator.go_wrong({"match": "GET /jobs/ingest/*/successfulResults/", "fault": "truncate"})
    assert len(ingest_jobs.fetch_results(org, job_id).successful) == 1


def test_result_files_that_always_break_off_are_a_transient_error(
    org: Org, emulator: Emulator
) -> None:
    job_id = load(org, "LastName,Company\nByron,Acme\n")
    fault = {"match": "GET /jobs/ingest/*/failedResults/", "fault": "truncate", "count": 99}
    emulator.go_wrong(fault)
    with pytest.raises(OrgUnavailableError):
        ingest_jobs.fetch_results(org, job_id)


def test_an_empty_body_is_no_rows(script: Script, scripted_org: Org) -> None:
    for file in ("successfulResults", "failedResults", "unprocessedrecords"):
        script.say(f"GET {INGEST}/{JOB}/{file}/", 200)
    results = ingest_jobs.fetch_results(scripted_org, JOB)
    assert list(results.successful.columns) == ["sf__Id", "sf__Created"]
    assert list(results.failed.columns) == ["sf__Id", "sf__Error"]
    assert {str(kind) for kind in results.failed.dtypes} == {"str"}
    assert results.unprocessed.empty


@pytest.mark.parametrize(
    "data",
    [
        b'"sf__Id","LastName"\n"1","canary"\n"2"',
        b'"sf__Id"\n"canary\xff"\n',
        b"\n",
        b'"' + b"x" * 200_000,
    ],
)
def test_a_file_that_is_no_csv_is_a_transient_error_and_quotes_no_row(data: bytes) -> None:
    with pytest.raises(OrgUnavailableError) as caught:
        csv_files.read_csv(data)
    assert "canary" not in f"{caught.value!r} {caught.value.__context__!r}"


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1))
def test_every_text_comes_back_as_it_was(rows: list[tuple[str, str]]) -> None:
    lines = ["a,b"] + [
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows
    ]
    frame = csv_files.read_csv(("\n".join(lines) + "\n").encode())
    assert list(zip(frame["a"], frame["b"], strict=True)) == rows


# --- Errors of rows


@pytest.mark.parametrize(
    ("text", "code", "message", "fields"),
    [
        (
            "STRING_TOO_LONG:Company: data (max length=255):Company --",
            "STRING_TOO_LONG",
            "Company: data (max length=255)",
            "Company",
        ),
        (
            "DUPLICATES_DETECTED:Use one of these records?:--",
            "DUPLICATES_DETECTED",
            "Use one of these records?",
            None,
        ),
        (
            "REQUIRED_FIELD_MISSING:Missing: [A, B]:A,B --",
            "REQUIRED_FIELD_MISSING",
            "Missing: [A, B]",
            "A,B",
        ),
        (
            "UNABLE_TO_LOCK_ROW:two\nlines: and a colon:--",
            "UNABLE_TO_LOCK_ROW",
            "two\nlines: and a colon",
            None,
        ),
        ("INVALID_FIELD:no end", "INVALID_FIELD", "no end", None),
        ("no code at all", "UNKNOWN_EXCEPTION", "no code at all", None),
        (None, None, None, None),
    ],
)
def test_an_error_cell_is_split(
    text: str | None, code: str | None, message: str | None, fields: str | None
) -> None:
    parts = ingest_jobs.split_error(pd.Series([text], dtype="str", index=[7]))
    found = parts.astype(object).where(parts.notna(), None).loc[7]
    assert list(found) == [code, message, fields]


def test_no_errors_are_no_rows() -> None:
    parts = ingest_jobs.split_error(pd.Series([], dtype="str"))
    assert list(parts.columns) == ["code", "message", "fields"]
    assert {str(kind) for kind in parts.dtypes} == {"str"}


@settings(deadline=None)
@given(st.lists(st.text()))
def test_every_error_has_a_code(texts: list[str]) -> None:
    assert ingest_jobs.split_error(pd.Series(texts, dtype="str"))["code"].notna().all()


@pytest.mark.parametrize("ask", [ingest_jobs.job_status, ingest_jobs.fetch_results])
def test_reading_a_job_survives_an_org_with_errors(
    org: Org, emulator: Emulator, ask: Callable[[Org, str], object]
) -> None:
    job_id = load(org, "LastName,Company\nByron,Acme\n")
    emulator.go_wrong({"match": "GET /jobs/ingest/*", "fault": "status:503"})
    assert ask(org, job_id) is not None
