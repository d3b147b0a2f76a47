"""Bulk API 2.0 jobs: create, upload once, close, abort, delete and list.

Nothing is processed before a job is closed; then `processing.py` runs it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import IO, Any

from pipelines.emulator.bulk import query_jobs
from pipelines.emulator.bulk.job_info import COLUMNS, ENDED, Job, job_of_row, listed
from pipelines.emulator.bulk.uploads import DELIMITERS
from pipelines.emulator.messages import ApiError
from pipelines.emulator.org import ids
from pipelines.emulator.org.assignment_rules import ResolvedRule
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.values import Failure, now
from pipelines.emulator.soql.cursors import forget_cursor

INGEST_PROPERTIES = frozenset(
    [
        "object",
        "operation",
        "contentType",
        "lineEnding",
        "columnDelimiter",
        "externalIdFieldName",
        "assignmentRuleId",
    ]
)
INGEST_OPERATIONS = ("insert", "delete", "hardDelete", "update", "upsert")
QUERY_PROPERTIES = frozenset(["operation", "query", "contentType", "lineEnding", "columnDelimiter"])
MAX_UPLOAD = 150_000_000
PIECE = 1 << 20
LIST_PAGE = 1_000
MULTIPART_LIMIT = 100_000
MULTIPLE = (
    "Found multiple contents for job: {}, please 'Close' / 'Abort' / 'Delete' the current Job "
    "then create a new Job and make sure you only do 'PUT' once on a given Job."
)
JOB_FAULTS = frozenset({"fail_after_chunk", "abort_after_chunk", "lock_rows", "forget", "stall"})


class Jobs:
    """The jobs of one org. `start` is called with the id of each job that may begin."""

    def __init__(self, org: Org, start: Callable[[str], None]) -> None:
        self._org = org
        self._store = org.store
        self._start = start

    def create_ingest(
        self, properties: Mapping[str, Any], user_id: str, version: str, faults: Iterable[str]
    ) -> Job:
        """Create an ingest job in state Open; raise ApiError where a property is wrong."""
        self._check_properties(properties, INGEST_PROPERTIES)
        operation = properties.get("operation")
        if operation not in INGEST_OPERATIONS:
            raise ApiError(400, "INVALIDJOB", f"Invalid operation: {operation}")
        sobject = self._org.schema.find(str(properties.get("object")))
        if sobject is None or not sobject.writable:
            message = f"Entity '{properties.get('object')}' is not supported by the Bulk API."
            raise ApiError(400, "INVALIDENTITY", message)
        external = properties.get("externalIdFieldName")
        if operation == "upsert" and not external:
            raise ApiError(400, "INVALIDJOB", "externalIdFieldName is required for upsert")
        if external and sobject.key_field(str(external)) is None:
            message = (
                f"InvalidJob : Field name provided, {external} does not match an External ID, "
                f"Salesforce Id, or indexed field for {sobject.name}"
            )
            raise ApiError(400, "INVALIDJOB", message)
        rule = self._rule(properties.get("assignmentRuleId"), sobject.name)
        self._count_job()
        return self._add(
            kind="V2Ingest",
            object=sobject.name,
            operation=str(operation),
            external_id_field=sobject.key_field(str(external)).name if external else None,  # type: ignore[union-attr]  # checked above
            assignment_rule_id=rule.id if rule else None,
            faults=list(faults),
            properties=properties,
            user_id=user_id,
            version=version,
            state="Open",
        )

    def _count_job(self) -> None:
        with self._store.transaction():
            if self._store.count_up("ingest_jobs") > self._org.file.daily_ingest_jobs:
                message = "LimitExceeded : the number of ingest jobs of the last 24 hours"
                raise ApiError(400, "EXCEEDEDQUOTA", message)

    def create_query(self, properties: Mapping[str, Any], user_id: str, version: str) -> Job:
        """Create a query job, which starts immediately; raise ApiError or SoqlError."""
        self._check_properties(properties, QUERY_PROPERTIES)
        operation = properties.get("operation")
        if operation not in ("query", "queryAll"):
            raise ApiError(400, "INVALIDJOB", f"Invalid operation: {operation}")
        text = properties.get("query")
        if not isinstance(text, str):
            raise ApiError(400, "INVALIDJOB", "query is required")
        plan = query_jobs.bulk_plan(self._org, text, operation == "queryAll", user_id)
        job = self._add(
            kind="V2Query",
            object=plan.sobject.name,
            operation=str(operation),
            query=text,
            properties=properties,
            user_id=user_id,
            version=version,
            state="UploadComplete",
        )
        self._start(job.id)
        return job

    def upload(self, job_id: str, data: IO[bytes]) -> None:
        """Store the one upload of an open job, completely or not at all."""
        with self._store.transaction():
            job = self.find(job_id, "V2Ingest")
            if job.state != "Open":
                message = f"Uploading data is not allowed, the job is in state {job.state}"
                raise ApiError(400, "INVALIDJOBSTATE", message)
            if data.seek(0, io.SEEK_END) > MAX_UPLOAD:
                raise ApiError(413, "INVALIDJOB", "the upload is larger than 150 MB")
            if self._has_data(job.id):
                if self._org.behaviour.second_put == "put":
                    behaviour = self._org.behaviour
                    status, code = behaviour.second_put_status, behaviour.second_put_code
                    raise ApiError(status, code, MULTIPLE.format(job.id))
                # Other users report that the second PUT passes and then closing the job fails.
                self.change(job.id, spoiled=1)
                return
            data.seek(0)
            # An empty upload counts as one, with one empty piece.
            pieces = chain([data.read(PIECE)], iter(lambda: data.read(PIECE), b""))
            self._store.run_many(
                "insert into emulator_job_data values (?, ?, ?)",
                ((job.id, number, piece) for number, piece in enumerate(pieces)),
            )

    def close(self, job_id: str, user_id: str) -> Job:
        """Close an open job, so that it starts."""
        with self._store.transaction():
            job = self.find(job_id, "V2Ingest")
            if job.state != "Open":
                state_name = "Completed" if job.state in ENDED else "Closed"
                message = f"Closing already {state_name} Job not allowed"
                raise ApiError(400, "INVALIDJOBSTATE", message)
            if job.created_by_id != user_id:
                message = "only the user who created a job can close it"
                raise ApiError(403, "INSUFFICIENT_ACCESS", message)
            if job.spoiled:
                raise ApiError(400, "INVALIDJOB", MULTIPLE.format(job.id))
            job = self.change(job.id, state="UploadComplete")
        self._start(job.id)
        return job

    def abort(self, job_id: str, kind: str) -> Job:
        """Abort a job; rows already saved stay saved."""
        with self._store.transaction():
            job = self.find(job_id, kind)
            if job.state in ENDED:
                state_name = "Completed" if job.state == "JobComplete" else job.state
                message = f"Aborting already {state_name} Job not allowed"
                raise ApiError(400, "INVALIDJOBSTATE", message)
            return self.change(job.id, state="Aborted")

    def delete(self, job_id: str, kind: str) -> None:
        """Delete a job that is not running, with its data and results."""
        with self._store.transaction():
            job = self.find(job_id, kind)
            if job.state not in ENDED | {"UploadComplete"}:
                message = f"Deleting a job in state {job.state} is not allowed"
                raise ApiError(400, "INVALIDJOBSTATE", message)
            for table in ("emulator_job_data", "emulator_job_results"):
                self._store.run(f"delete from {table} where job_id = ?", (job.id,))  # noqa: S608
            self._store.run("delete from emulator_jobs where id = ?", (job.id,))
            forget_cursor(self._org, str(job.locator))

    def find(self, job_id: str, kind: str | None = None) -> Job:
        """Return the job with this id; raise ApiError (404) where there is none."""
        job = self.peek(job_id)
        if job is None or job.forgotten or (kind is not None and job.kind != kind):
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        return job

    def peek(self, job_id: str) -> Job | None:
        """Return the job with this id, or None."""
        found = self._store.row(
            f"select {', '.join(COLUMNS)} from emulator_jobs where id = ?",  # noqa: S608
            (ids.normalised(job_id) or "",),
        )
        return None if found is None else job_of_row(found)

    def all(self, kind: str) -> list[Job]:
        """Return every job of one kind, in the order of creation."""
        select = f"select {', '.join(COLUMNS)} from emulator_jobs"  # noqa: S608
        where = " where kind = ? and not forgotten order by rowid"
        return [job_of_row(row) for row in self._store.rows(select + where, (kind,))]

    def open_work(self) -> list[str]:
        """Return the ids of jobs that are closed but not ended, to resume after a restart."""
        sql = "select id from emulator_jobs where state in ('UploadComplete', 'InProgress')"
        return [str(id_) for (id_,) in self._store.rows(f"{sql} order by rowid")]

    def change(self, job_id: str, **values: str | int) -> Job:
        """Update some columns of a job and return it."""
        assignments = ", ".join(f"{name} = ?" for name in ("system_modstamp", *values))
        self._store.run(
            f"update emulator_jobs set {assignments} where id = ?",  # noqa: S608
            (now(), *values.values(), job_id),
        )
        job = self.peek(job_id)
        if job is None:
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        return job

    def pieces(self, job_id: str) -> Iterator[bytes]:
        """Yield the upload in the pieces in which it was stored."""
        piece = 0
        while True:
            sql = "select data from emulator_job_data where job_id = ? and piece = ?"
            found = self._store.row(sql, (job_id, piece))
            if found is None:
                return
            yield bytes(found[0])  # type: ignore[arg-type]  # a blob column
            piece += 1

    def page(self, kind: str, locator: str, data: str) -> dict[str, object]:
        """Return one page of the job list, which has no counts and no order."""
        seed = self._org.behaviour.seed
        jobs = sorted(
            self.all(kind), key=lambda j: hashlib.sha256(f"{seed}{j.id}".encode()).digest()
        )
        start = int(locator) if locator.isdecimal() and len(locator) < 10 else 0
        end = start + LIST_PAGE
        path = "ingest" if kind == "V2Ingest" else "query"
        more = f"{data}/jobs/{path}?queryLocator={end}" if end < len(jobs) else None
        records = [listed(job) for job in jobs[start:end]]
        return {"done": more is None, "records": records, "nextRecordsUrl": more}

    def query_results(
        self, job: Job, locator: str, max_records: int | None
    ) -> tuple[Iterator[bytes], int, str]:
        """Return one page of a query's lines, its row count, and the next locator or `null`."""
        return query_jobs.page(self._org, job, locator, max_records)

    def _check_properties(self, properties: Mapping[str, Any], known: frozenset[str]) -> None:
        for name in properties:
            if name not in known:
                message = f'Unrecognized field "{name}" in the job'
                raise ApiError(400, "INVALIDJOB", message)
        choices = {
            "contentType": ("CSV",),
            "lineEnding": ("LF", "CRLF"),
            "columnDelimiter": tuple(DELIMITERS),
        }
        for name, allowed in choices.items():
            if properties.get(name, allowed[0]) not in allowed:
                raise ApiError(400, "INVALIDJOB", f"Invalid {name}: {properties[name]}")

    def _rule(self, rule_id: object, object_name: str) -> ResolvedRule | None:
        if not rule_id:
            return None
        if object_name != "Lead":
            message = f"assignmentRuleId is not supported for {object_name}"
            raise ApiError(400, "INVALIDJOB", message)
        try:
            return self._org.owners.rule_named(str(rule_id))
        except Failure as failure:
            raise ApiError(400, failure.code, failure.message) from failure

    def _add(
        self,
        *,
        properties: Mapping[str, Any],
        user_id: str,
        version: str,
        state: str,
        kind: str,
        object: str,
        operation: str,
        external_id_field: str | None = None,
        assignment_rule_id: str | None = None,
        query: str | None = None,
        faults: list[str] | None = None,
    ) -> Job:
        moment = now()
        with self._store.transaction():
            values: dict[str, str | int | None] = {
                "id": self._store.take_id("750"),
                "kind": kind,
                "object": object,
                "operation": operation,
                "state": state,
                "created_by_id": user_id,
                "created_date": moment,
                "system_modstamp": moment,
                "api_version": version,
                "line_ending": str(properties.get("lineEnding", "LF")),
                "column_delimiter": str(properties.get("columnDelimiter", "COMMA")),
                "external_id_field": external_id_field,
                "assignment_rule_id": assignment_rule_id,
                "query": query,
                "faults": json.dumps(faults or []),
            }
            marks = ", ".join("?" * len(values))
            self._store.run(
                f"insert into emulator_jobs ({', '.join(values)}) values ({marks})",  # noqa: S608
                list(values.values()),
            )
        return self.find(str(values["id"]))

    def _has_data(self, job_id: str) -> bool:
        sql = "select 1 from emulator_job_data where job_id = ? limit 1"
        return self._store.row(sql, (job_id,)) is not None
