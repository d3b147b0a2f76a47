"""The sink's bulk jobs: ingest jobs that take everything, query jobs that tell what was made."""

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
from tests.benchmarks.sink_known import MADE_AT, KnownLeads, Leads

Job = dict[str, Any]

UNTIL = re.compile(r"\bCreatedDate\s*<=\s*([0-9T:.+\-Z]+)", re.IGNORECASE)


@dataclass
class Upload:
    """An ingest job as the org shows it, and what becomes of its data."""

    shown: Job
    results: Future[ResultFiles] | None = None

    def settled(self) -> Job:
        """The job as it stands: complete as soon as the files are made."""
        if self.shown["state"] == "UploadComplete" and self.results and self.results.done():
            made = self.results.result()
            self.shown |= {
                "state": "JobComplete",
                "numberRecordsProcessed": made.created_count + made.failed_count,
                "numberRecordsFailed": made.failed_count,
            }
        return self.shown


@dataclass
class Jobs:
    """All jobs since the sink began. The files are made by one thread, one job after the other,
    from the moment the data is there: nobody waits for it in the PUT, and a real org's own time
    is not what is measured."""

    failed_share: float = 0.0
    uploads: dict[str, Upload] = field(default_factory=dict)
    known: KnownLeads = field(default_factory=KnownLeads)
    queries: dict[str, tuple[Job, Leads]] = field(default_factory=dict)
    row_count: int = 0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _maker: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def open(self, asked: Job) -> Job:
        """A new ingest job."""
        job = self._begin(asked, "Open") | {"contentType": "CSV", "jobType": "V2Ingest"}
        self.uploads[job["id"]] = Upload(job)
        return job

    def receive(self, upload: Upload, data: bytearray) -> None:
        """The data of a job: stored as received, and read by nobody but for its line feeds."""
        upload.results = self._maker.submit(self._make, data)

    def _make(self, data: bytearray) -> ResultFiles:
        made = make_results(data, self.row_count + 1, self.failed_share)
        self.row_count += made.created_count + made.failed_count
        return made

    def change(self, upload: Upload, state: str) -> Job | None:
        """Close or abort a job; None when it is too late."""
        if upload.shown["state"] != "Open":
            return None
        upload.shown["state"] = state
        if state == "UploadComplete" and upload.results is None:
            self.receive(upload, bytearray())
        return upload.shown

    def ask(self, asked: Job) -> Job:
        """A bulk query job, answered at once."""
        job = self._begin(asked, "JobComplete") | {"jobType": "V2Query"}
        found = self._find(asked["query"])
        self.queries[job["id"]] = job | {"numberRecordsProcessed": found.num_rows}, found
        return job

    def _find(self, soql: str) -> Leads:
        fields = sink_org.selected(soql)
        since, is_for_all = sink_org.made_since(soql), sink_org.is_for_all(soql)
        found = [
            _with_constants(read_columns(upload.results.result().successful, fields), upload.shown)
            for upload in self._made(since or "1970-01-01T00:00:00Z")
            if upload.results and sink_org.is_of_leads(soql) and (since or is_for_all)
        ]
        nothing = pa.table({name: pa.array([], pa.string()) for name in fields})
        known = self.known if sink_org.is_of_leads(soql) and is_for_all else KnownLeads()
        return Leads(fields, known, pa.concat_tables([nothing, *found]))

    def count(self, soql: str) -> int:
        """How many leads there are, all or made since; never a contact or a deleted one."""
        if not sink_org.is_of_leads(soql) or "IsDeleted = true" in soql:
            return 0
        since = sink_org.made_since(soql)
        made = sum(
            upload.results.result().created_count
            for upload in self._made(since or "1970-01-01T00:00:00Z")
            if upload.results
        )
        return made if since else made + self.known.num_rows

    def count_made_until(self, soql: str) -> int:
        """How many leads were made until the instant that a query names."""
        until = UNTIL.search(soql)
        if not sink_org.is_of_leads(soql) or until is None:
            return 0
        last = datetime.fromisoformat(until[1])
        later = sum(
            upload.results.result().created_count
            for upload in self._made("1970-01-01T00:00:00Z")
            if upload.results and datetime.fromisoformat(upload.shown["createdDate"]) > last
        )
        known = self.known.num_rows if last >= datetime.fromisoformat(MADE_AT) else 0
        return self.count("SELECT COUNT() FROM Lead") - self.known.num_rows + known - later

    def _made(self, since: str) -> list[Upload]:
        uploads = list(self.uploads.values())
        return [one for one in uploads if one.results and _is_made_since(one.shown, since)]

    def _begin(self, asked: Job, state: str) -> Job:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {
            "id": f"750{next(self._numbers):012d}AAA",
            "operation": asked.get("operation", "query"),
            "object": asked.get("object", "Lead"),
            "createdById": sink_org.USER_ID,
            "createdDate": now.replace("+00:00", "+0000"),
            "state": state,
            "apiVersion": 67.0,
        }


def _is_made_since(job: Job, since: str) -> bool:
    if job["state"] not in ("UploadComplete", "JobComplete"):
        return False
    asked = datetime.fromisoformat(since)
    made: bool = datetime.fromisoformat(job["createdDate"]) >= asked
    return made


def _with_constants(found: pa.Table, job: Job) -> pa.Table:
    """What every lead of a job has: the owner that was sent, else the default one (the sink routes
    nobody), and the job's own date."""
    same = {
        "OwnerId": sink_org.DEFAULT_OWNER,
        "CreatedDate": job["createdDate"].replace("+0000", "Z"),
        "IsDeleted": "false",
        "IsConverted": "false",
    }
    for name in same.keys() & set(found.column_names):
        sent = found[name]
        filled = pa.compute.if_else(pa.compute.equal(sent, ""), same[name], sent)
        found = found.set_column(found.column_names.index(name), name, filled)
    return found
