"""The sink's bulk jobs: ingest jobs that accept everything, and query jobs that find leads."""

from __future__ import annotations

import itertools
import re
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tests.benchmarks import sink_org
from tests.benchmarks.sink_files import ResultFiles, make_results, read_columns
from tests.benchmarks.sink_known import CREATED_AT, KnownLeads, Leads

Job = dict[str, Any]

UNTIL = re.compile(r"\bCreatedDate\s*<=\s*([0-9T:.+\-Z]+)", re.IGNORECASE)


@dataclass
class Upload:
    """An ingest job as the org shows it, and the results of its data."""

    job: Job
    results: Future[ResultFiles] | None = None

    def current(self) -> Job:
        """Return the job as it is now. It is complete as soon as the result files are made."""
        if self.job["state"] == "UploadComplete" and self.results and self.results.done():
            results = self.results.result()
            self.job |= {
                "state": "JobComplete",
                "numberRecordsProcessed": results.created_count + results.failed_count,
                "numberRecordsFailed": results.failed_count,
            }
        return self.job


@dataclass
class Jobs:
    """All jobs since the sink started.

    One thread makes the result files, one job after the other. It starts when the data has
    arrived, so the PUT does not wait for them.
    """

    failed_share: float = 0.0
    uploads: dict[str, Upload] = field(default_factory=dict)
    known: KnownLeads = field(default_factory=KnownLeads)
    queries: dict[str, tuple[Job, Leads]] = field(default_factory=dict)
    row_count: int = 0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def open(self, body: Job) -> Job:
        """Open an ingest job."""
        job = self._new_job(body, "Open") | {"contentType": "CSV", "jobType": "V2Ingest"}
        self.uploads[job["id"]] = Upload(job)
        return job

    def receive(self, upload: Upload, data: bytearray) -> None:
        """Take the data of a job, and start to make its results."""
        upload.results = self._executor.submit(self._make, data)

    def _make(self, data: bytearray) -> ResultFiles:
        results = make_results(data, self.row_count + 1, self.failed_share)
        self.row_count += results.created_count + results.failed_count
        return results

    def change(self, upload: Upload, state: str) -> Job | None:
        """Close or abort a job; return None if it is no longer open."""
        if upload.job["state"] != "Open":
            return None
        upload.job["state"] = state
        if state == "UploadComplete" and upload.results is None:
            self.receive(upload, bytearray())
        return upload.job

    def open_query(self, body: Job) -> Job:
        """Open a bulk query job, which is complete when it is opened."""
        job = self._new_job(body, "JobComplete") | {"jobType": "V2Query"}
        found = self._find(body["query"])
        self.queries[job["id"]] = job | {"numberRecordsProcessed": found.num_rows}, found
        return job

    def _find(self, soql: str) -> Leads:
        fields = sink_org.selected(soql)
        since, is_for_all = sink_org.created_since(soql), sink_org.is_for_all(soql)
        found = [
            _with_constants(read_columns(upload.results.result().successful, fields), upload.job)
            for upload in self._closed_since(since or "1970-01-01T00:00:00Z")
            if upload.results and sink_org.is_of_leads(soql) and (since or is_for_all)
        ]
        nothing = pa.table({name: pa.array([], pa.string()) for name in fields})
        known = self.known if sink_org.is_of_leads(soql) and is_for_all else KnownLeads()
        return Leads(fields, known, pa.concat_tables([nothing, *found]))

    def count(self, soql: str) -> int:
        """Count all leads, or those created since an instant; none is a contact or deleted."""
        if not sink_org.is_of_leads(soql) or "IsDeleted = true" in soql:
            return 0
        since = sink_org.created_since(soql)
        created = sum(
            upload.results.result().created_count
            for upload in self._closed_since(since or "1970-01-01T00:00:00Z")
            if upload.results
        )
        return created if since else created + self.known.num_rows

    def count_created_until(self, soql: str) -> int:
        """Count the leads created up to the instant that a query names."""
        until = UNTIL.search(soql)
        if not sink_org.is_of_leads(soql) or until is None:
            return 0
        last = datetime.fromisoformat(until[1])
        later = sum(
            upload.results.result().created_count
            for upload in self._closed_since("1970-01-01T00:00:00Z")
            if upload.results and datetime.fromisoformat(upload.job["createdDate"]) > last
        )
        known = self.known.num_rows if last >= datetime.fromisoformat(CREATED_AT) else 0
        return self.count("SELECT COUNT() FROM Lead") - self.known.num_rows + known - later

    def _closed_since(self, since: str) -> list[Upload]:
        uploads = list(self.uploads.values())
        return [one for one in uploads if one.results and _is_closed_since(one.job, since)]

    def _new_job(self, body: Job, state: str) -> Job:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {
            "id": f"750{next(self._numbers):012d}AAA",
            "operation": body.get("operation", "query"),
            "object": body.get("object", "Lead"),
            "createdById": sink_org.USER_ID,
            "createdDate": now.replace("+00:00", "+0000"),
            "state": state,
            "apiVersion": 67.0,
        }


def _is_closed_since(job: Job, since: str) -> bool:
    if job["state"] not in ("UploadComplete", "JobComplete"):
        return False
    return datetime.fromisoformat(job["createdDate"]) >= datetime.fromisoformat(since)


def _with_constants(found: pa.Table, job: Job) -> pa.Table:
    """Fill blank fields that are the same for all leads of a job: owner, date, flags."""
    constants = {
        "OwnerId": sink_org.DEFAULT_OWNER,
        "CreatedDate": job["createdDate"].replace("+0000", "Z"),
        "IsDeleted": "false",
        "IsConverted": "false",
    }
    for name in constants.keys() & set(found.column_names):
        sent = found[name]
        filled = pa.compute.if_else(pa.compute.equal(sent, ""), constants[name], sent)
        found = found.set_column(found.column_names.index(name), name, filled)
    return found
