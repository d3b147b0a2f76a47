"""The jobs and batches of Bulk API 1.0, stored as the infos that clients see.

A batch is processed while its request is handled, so it is complete when a client first asks. Queue
times, speed limits and injected job faults exist only for the ingest jobs of Bulk API 2.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipelines.emulator.bulk_v1.batches import MAX_BYTES, Batches
from pipelines.emulator.bulk_v1.formats import TYPES, BulkV1Error
from pipelines.emulator.org import ids
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Saver
from pipelines.emulator.org.schema import SObject
from pipelines.emulator.org.values import Failure, now

OPERATIONS = ("insert", "update", "upsert", "delete", "hardDelete", "query", "queryAll")
QUERIES = ("query", "queryAll")
MODES = {"0": "Parallel", "1": "Serial"}
TIMES = {"totalProcessingTime": 0, "apiActiveProcessingTime": 0, "apexProcessingTime": 0}

Info = dict[str, Any]


class BulkV1Jobs:
    """Every job and batch of one org."""

    def __init__(self, org: Org, saver: Saver) -> None:
        self._org = org
        self._store = org.store
        self._batches = Batches(org, saver)

    def create(self, properties: Mapping[str, str], user_id: str, version: str) -> Info:
        """Create a job and return its info; raise BulkV1Error where a property is wrong."""
        operation, content_type = (
            properties.get("operation", ""),
            properties.get("contentType", "XML"),
        )
        if operation not in OPERATIONS:
            raise BulkV1Error("InvalidJob", f"Unknown operation: {operation}")
        if content_type not in TYPES:
            raise BulkV1Error("InvalidJob", f"the content type {content_type} is not supported")
        sobject = self._org.schema.find(properties.get("object", ""))
        if sobject is None or not (sobject.writable or operation in QUERIES):
            message = f"Entity '{properties.get('object')}' is not supported by the Bulk API."
            raise BulkV1Error("InvalidEntity", message)
        mode, moment = properties.get("concurrencyMode", "Parallel"), now()
        info: Info = {
            "id": self._store.take_id("750"),
            "operation": operation,
            "object": sobject.name,
            "createdById": user_id,
            "createdDate": moment,
            "systemModstamp": moment,
            "state": "Open",
            "externalIdFieldName": _key(sobject, operation, properties),
            "concurrencyMode": MODES.get(mode, mode),
            "contentType": content_type,
            "apiVersion": version,
            "assignmentRuleId": self._rule(properties.get("assignmentRuleId")),
        }
        self._store.run(
            "insert into emulator_async_jobs values (?, ?)", (info["id"], json.dumps(info))
        )
        return info

    def _rule(self, rule_id: str | None) -> str | None:
        if rule_id is None:
            return None
        try:
            return self._org.owners.rule_named(rule_id).id
        except Failure as failure:
            raise BulkV1Error("InvalidJob", failure.message) from None

    def find(self, job_id: str) -> Info:
        """Return the info of this job; raise BulkV1Error where there is none."""
        found = self._store.row(
            "select info from emulator_async_jobs where id = ?", (ids.normalised(job_id) or "",)
        )
        if found is None:
            raise BulkV1Error("InvalidJob", f"Unable to find object: {job_id}")
        return dict(json.loads(str(found[0])))

    def change(self, job_id: str, state: str) -> Info:
        """Close or abort a job; repeating either is allowed."""
        info = self.find(job_id)
        if state not in {"Closed", "Aborted"} or info["state"] not in {"Open", state}:
            message = f"Transition from state {info['state']} to {state} is not allowed"
            raise BulkV1Error("InvalidJobState", message)
        info |= {"state": state, "systemModstamp": now()}
        self._store.run(
            "update emulator_async_jobs set info = ? where id = ?", (json.dumps(info), info["id"])
        )
        return info

    def shown(self, info: Info) -> Info:
        """Return a job's info with the totals of its batches."""
        batches = self.batches(info)
        counts = {
            "numberBatchesQueued": 0,
            "numberBatchesInProgress": 0,
            "numberBatchesCompleted": sum(b["state"] == "Completed" for b in batches),
            "numberBatchesFailed": sum(b["state"] == "Failed" for b in batches),
            "numberBatchesTotal": len(batches),
            "numberRecordsProcessed": sum(b["numberRecordsProcessed"] for b in batches),
            "numberRetries": 0,
            "numberRecordsFailed": sum(b["numberRecordsFailed"] for b in batches),
        }
        return {name: value for name, value in (info | counts | TIMES).items() if value is not None}

    def add_batch(self, job: Info, body: bytes) -> Info:
        """Process a batch; the returned info says Queued, as a real org's does."""
        if job["state"] != "Open":
            raise BulkV1Error("InvalidJobState", f"the job is {job['state']}: it takes no batch")
        if len(body) > MAX_BYTES:
            raise BulkV1Error("ClientInputError", f"a batch is limited to {MAX_BYTES} bytes")
        moment = now()
        info: Info = {
            "id": self._store.take_id("751"),
            "jobId": job["id"],
            "state": "Queued",
            "createdDate": moment,
            "systemModstamp": moment,
            "numberRecordsProcessed": 0,
            "numberRecordsFailed": 0,
            **TIMES,
        }
        completed, result = self._process(job, info, body)
        self._store.run(
            "insert into emulator_async_batches values (?, ?, ?, ?, ?)",
            (info["id"], job["id"], json.dumps(completed), body, result),
        )
        return info

    def _process(self, job: Info, info: Info, body: bytes) -> tuple[Info, str]:
        try:
            if job["operation"] in QUERIES:
                result, processed = self._batches.query(job, body.decode("utf-8", "replace"))
                failed = 0
            else:
                results = self._batches.save(job, body)
                processed, failed = len(results), sum(not r["success"] for r in results)
                result = json.dumps(results)
        except BulkV1Error as error:
            return info | {"state": "Failed", "stateMessage": f"{error.code} : {error}"}, ""
        counts = {"numberRecordsProcessed": processed, "numberRecordsFailed": failed}
        return info | {"state": "Completed"} | counts, result

    def batches(self, job: Info) -> list[Info]:
        """Return the infos of a job's batches, in the order of creation."""
        rows = self._store.rows(
            "select info from emulator_async_batches where job_id = ? order by rowid", (job["id"],)
        )
        return [json.loads(str(text)) for (text,) in rows]

    def batch(self, job: Info, batch_id: str) -> tuple[Info, str, str]:
        """Return the info, the request and the result of one batch."""
        found = self._store.row(
            "select info, cast(request as text), result from emulator_async_batches"
            " where id = ? and job_id = ?",
            (ids.normalised(batch_id) or "", job["id"]),
        )
        if found is None:
            raise BulkV1Error("InvalidBatch", f"Unable to find object: {batch_id}")
        info, request, result = map(str, found)
        return json.loads(info), request, result

    def result(self, job: Info, batch_id: str) -> tuple[Info, str]:
        """Return the info and the result of a batch; raise BulkV1Error where it is not complete."""
        info, _, result = self.batch(job, batch_id)
        if info["state"] != "Completed":
            raise BulkV1Error("InvalidBatch", f"the batch is {info['state']}: it has no results")
        return info, result


def _key(sobject: SObject, operation: str, properties: Mapping[str, str]) -> str | None:
    if operation != "upsert":
        return None
    name = properties.get("externalIdFieldName", "")
    found = sobject.key_field(name)
    if found is None:
        message = f"Field name provided, {name} does not match an External ID for {sobject.name}"
        raise BulkV1Error("InvalidJob", message)
    return found.name
