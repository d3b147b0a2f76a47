"""Bulk query jobs: results that do not move, whatever happens to the records meanwhile."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client

ASKED = "SELECT Id, LastName, Company FROM Lead ORDER BY LastName DESC"


def begin(org: Client, soql: str = ASKED, operation: str = "query", **more: str) -> str:
    asked = {"operation": operation, "query": soql} | more
    response = org.call("POST", "/jobs/query", json=asked)
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


def finished(org: Client, soql: str = ASKED, operation: str = "query", **more: str) -> str:
    job = begin(org, soql, operation, **more)
    assert org.wait(job, "query")["state"] == "JobComplete"
    return job


def pages(org: Client, job: str, size: int) -> Iterator[tuple[str, int]]:
    """Yield every page of a job: its lines, and the values of its headers."""
    locator = ""
    while locator != "null":
        path = f"/jobs/query/{job}/results?maxRecords={size}&locator={locator}"
        page = org.call("GET", path)
        assert page.status_code == 200, page.text
        locator = page.headers["Sforce-Locator"]
        yield page.text, int(page.headers["Sforce-NumberOfRecords"])


def fill(org: Client, count: int = 12_000) -> None:
    org.load("LastName,Company\n" + "".join(f"L{n:06},C\n" for n in range(count)))


def test_pages_do_not_move_while_leads_come_and_go(org: Client) -> None:
    fill(org)
    job = finished(org)
    whole = org.call("GET", f"/jobs/query/{job}/results").text
    first, *_ = pages(org, job, 5_001)
    names = [row["LastName"] for row in csv.DictReader(io.StringIO(whole))]
    assert names == [f"L{n:06}" for n in reversed(range(12_000))]
    doomed = org.rows("SELECT Id FROM Lead WHERE LastName < 'L000100'")
    org.load("Id\n" + "".join(f"{row['Id']}\n" for row in doomed), "delete")
    org.lead(LastName="A", Company="New")
    again = list(pages(org, job, 5_001))
    assert again[0] == first
    assert [count for _, count in again] == [5_001, 5_001, 1_998]
    head = whole.partition("\n")[0] + "\n"
    assert head + "".join(text.removeprefix(head) for text, _ in again) == whole


def test_pages_may_be_read_in_parallel(org: Client) -> None:
    fill(org, 450)
    job = finished(org)
    shown = org.call("GET", f"/jobs/query/{job}/resultPages").json()
    assert shown["done"] is True
    assert shown["nextRecordsUrl"] is None
    (page,) = shown["resultPages"]
    response = org.http.get(org.url + page["resultUrl"], timeout=30)
    assert response.headers["Sforce-NumberOfRecords"] == "450"
    assert response.headers["Sforce-Locator"] == "null"
    path = f"/jobs/query/{job}/resultPages"
    assert org.call("GET", path, version="57.0").status_code == 404
    assert org.call("GET", path, version="67.0").status_code == 409


def test_the_dialect_of_the_job_is_that_of_its_results(org: Client) -> None:
    org.lead(LastName='a"b|c', Company="d\ne", Description="")
    soql = "SELECT LastName, Company, Description, DoNotCall, Owner.Name FROM Lead"
    job = finished(org, soql, columnDelimiter="PIPE", lineEnding="CRLF")
    assert org.call("GET", f"/jobs/query/{job}/results").content == (
        b'"LastName"|"Company"|"Description"|"DoNotCall"|"Owner.Name"\r\n'
        b'"a""b|c"|"d\ne"|""|"false"|"Integration User"\r\n'
    )
    shown = org.call("GET", f"/jobs/query/{job}").json()
    assert (shown["columnDelimiter"], shown["lineEnding"]) == ("PIPE", "CRLF")


def test_values_are_written_as_bulk_writes_them(org: Client) -> None:
    org.lead(AnnualRevenue=912260031, NumberOfEmployees=7, Latitude=1.5, DoNotCall=True)
    soql = (
        "SELECT AnnualRevenue, NumberOfEmployees, Latitude, DoNotCall, CreatedDate, City FROM Lead"
    )
    text = org.call("GET", f"/jobs/query/{finished(org, soql)}/results").text
    (row,) = csv.DictReader(io.StringIO(text))
    assert row.pop("CreatedDate").endswith("Z")
    assert list(row.values()) == ["9.12260031E8", "7", "1.5", "true", ""]


def test_an_empty_response_is_a_header(org: Client) -> None:
    job = finished(org)
    response = org.call("GET", f"/jobs/query/{job}/results")
    assert response.text == '"Id","LastName","Company"\n'
    assert response.headers["Sforce-NumberOfRecords"] == "0"
    assert response.headers["Sforce-Locator"] == "null"
    (page,) = org.call("GET", f"/jobs/query/{job}/resultPages").json()["resultPages"]
    assert org.http.get(org.url + page["resultUrl"], timeout=30).text == response.text


def test_query_all_shows_the_deleted_too(org: Client) -> None:
    org.call("DELETE", f"/sobjects/Lead/{org.lead()}")
    soql = "SELECT Id, IsDeleted FROM Lead"
    assert org.wait(begin(org, soql), "query")["numberRecordsProcessed"] == 0
    text = org.call("GET", f"/jobs/query/{finished(org, soql, 'queryAll')}/results").text
    assert text.endswith(',"true"\n')


def test_short_pages_give_every_row_once(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nshort_pages = true\n")
    fill(org, 300)
    rows = [text.splitlines()[1:] for text, _ in pages(org, finished(org), 100)]
    assert len(rows) > 3
    assert len({line for lines in rows for line in lines}) == 300


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT COUNT(Id) FROM Lead",
        "SELECT Rating FROM Lead GROUP BY Rating",
        "SELECT Id FROM Lead LIMIT 3 OFFSET 1",
        "SELECT FIELDS(ALL) FROM Lead LIMIT 3",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT TYPEOF Owner WHEN User THEN Id END FROM Lead",
    ],
)
def test_what_a_bulk_query_cannot_ask(org: Client, soql: str) -> None:
    response = org.call("POST", "/jobs/query", json={"operation": "query", "query": soql})
    assert response.status_code == 400
    assert response.json()[0]["errorCode"] in {"FUNCTIONALITY_NOT_ENABLED", "MALFORMED_QUERY"}


@pytest.mark.parametrize("locator", ["x", "OTktMTAw", "MS0w", "%00", "LTE", "null-"])
def test_a_locator_of_another_response_is_rejected(org: Client, locator: str) -> None:
    fill(org, 3)
    job = finished(org)
    response = org.call("GET", f"/jobs/query/{job}/results?locator={locator}")
    assert response.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_a_deleted_query_job_is_gone(org: Client) -> None:
    job = finished(org)
    aborted = org.call("PATCH", f"/jobs/query/{job}", json={"state": "Aborted"})
    assert aborted.json()[0]["message"] == "Aborting already Completed Job not allowed"
    assert org.call("DELETE", f"/jobs/query/{job}").status_code == 204
    for path in ("", "/results", "/resultPages"):
        assert org.call("GET", f"/jobs/query/{job}{path}").status_code == 404
