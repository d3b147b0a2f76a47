"""The sink responds as an org does, checked with simple-salesforce and by its result files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks import processes
from tests.benchmarks.naive import OrgAdapter, log_in
from tests.benchmarks.sink_files import make_results

LEADS = [
    {"LastName": "Byron", "Company": 'The "Loom"', "Person_Id__c": "1"},
    {"LastName": "Ångström", "Company": "Mill, Sons & Co\nnext door", "Person_Id__c": "2"},
    {"LastName": "Gu", "Company": "Engines", "Person_Id__c": "3"},
]


@pytest.fixture(scope="module")
def sink_url() -> Iterator[str]:
    with processes.org("sink") as url:
        yield url


@pytest.fixture
def salesforce(sink_url: str) -> Any:
    return log_in(OrgAdapter(sink_url))


def rows_of(file: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(bytes(file).decode(), newline="")))


def test_every_uploaded_row_has_an_id_of_its_own_in_the_results(salesforce: Any) -> None:
    (job,) = salesforce.bulk2.Lead.insert(records=LEADS, wait=0.01)
    rows = rows_of(salesforce.bulk2.Lead.get_successful_records(job["job_id"]).encode())
    assert [{name: row[name] for name in LEADS[0]} for row in rows] == LEADS
    assert len({row["sf__Id"] for row in rows}) == 3
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (3, 0)


def test_there_are_no_leads_at_the_start(salesforce: Any) -> None:
    assert salesforce.query_all("SELECT Email FROM Lead WHERE Email != null")["records"] == []


def test_a_bulk_query_returns_the_leads_created_since_and_their_owners(salesforce: Any) -> None:
    records = [lead | {"OwnerId": "00G5e00000sink1AAA"} for lead in LEADS]
    (job,) = salesforce.bulk2.Lead.insert(records=records, wait=0.01)
    since = salesforce.restful(f"jobs/ingest/{job['job_id']}")["createdDate"]
    soql = f"SELECT Id, OwnerId FROM Lead WHERE CreatedDate >= {since}"
    pages = list(salesforce.bulk2.Lead.query(soql, max_records=2))
    rows = [row for page in pages for row in rows_of(page.encode())]
    assert [row["OwnerId"] for row in rows] == ["00G5e00000sink1AAA"] * 3
    assert len(pages) == 2


def test_the_fields_a_load_needs_are_described(salesforce: Any) -> None:
    fields = {field["name"]: field for field in salesforce.Lead.describe()["fields"]}
    assert fields["Person_Id__c"]["unique"]
    assert fields["Person_Id__c"]["externalId"]
    assert not fields["LastName"]["nillable"]


def test_a_second_upload_and_an_unknown_job_are_rejected(sink_url: str) -> None:
    root = f"{sink_url}/services/data/v67.0/jobs/ingest"
    job = requests.post(root, json={"operation": "insert"}, timeout=9).json()["id"]
    statuses = [
        requests.put(f"{root}/{job}/batches", data=b"A\n1\n", timeout=9).status_code
        for _ in range(2)
    ]
    assert statuses == [201, 400]
    assert requests.get(f"{root}/7500000000000zzAAA", timeout=9).status_code == 404


def test_its_statistics_count_rows_and_calls(sink_url: str, salesforce: Any) -> None:
    before = requests.get(f"{sink_url}/sink/statistics", timeout=9).json()
    salesforce.bulk2.Lead.insert(records=LEADS, wait=0.01)
    after = requests.get(f"{sink_url}/sink/statistics", timeout=9).json()
    assert after["row_count"] - before["row_count"] == 3
    assert after["call_count"] > before["call_count"]


cells = st.text(st.sampled_from('ab,"\n é'), max_size=6)


@settings(deadline=None)  # the first use of a kernel takes long
@given(rows=st.lists(st.tuples(cells, cells), max_size=30), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_each_row_is_unchanged_in_one_of_the_two_files(
    rows: list[tuple[str, str]], share: float
) -> None:
    upload = io.StringIO(newline="")
    writer = csv.writer(upload, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("A", "B"), *rows])
    results = make_results(upload.getvalue().encode(), 1, share)
    files = rows_of(bytes(results.successful)), rows_of(bytes(results.failed))
    assert sorted((row["A"], row["B"]) for file in files for row in file) == sorted(rows)
    assert (results.created_count, results.failed_count) == (len(files[0]), len(files[1]))
    assert len({row["sf__Id"] for row in files[0]}) == results.created_count
