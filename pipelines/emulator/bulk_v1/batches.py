"""Process one batch of Bulk API 1.0: save its records in order, or run its query."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.emulator.bulk import query_jobs
from pipelines.emulator.bulk.uploads import HeaderColumn, JobDataError, header_columns
from pipelines.emulator.bulk_v1.formats import BulkV1Error, query_text, read_batch
from pipelines.emulator.org.arrow_arrays import strings
from pipelines.emulator.org.chunks import CHUNK_ROWS, Chunk
from pipelines.emulator.org.columns import clean_column
from pipelines.emulator.org.operations import Operations, reject_unwritable
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.records import Results, Saved, SaveOptions, Saver
from pipelines.emulator.org.schema import SObject
from pipelines.emulator.org.values import Cell, Failure
from pipelines.emulator.soql.syntax import SoqlError

MAX_RECORDS = 10_000
MAX_BYTES = 10_000_000

Job = Mapping[str, Any]


class Batches:
    """Processes batches; an error of a whole batch is a BulkV1Error."""

    def __init__(self, org: Org, saver: Saver) -> None:
        self._org = org
        self._operations = Operations(saver)

    def query(self, job: Job, text: str) -> tuple[str, int]:
        """Run a query; return its result file and the number of records in it."""
        try:
            deleted = job["operation"] == "queryAll"
            plan = query_jobs.bulk_plan(self._org, text, deleted, job["createdById"])
        except SoqlError as error:
            message = f"Failed to process query: {error.code}: {error}"
            raise BulkV1Error("InvalidBatch", message) from None
        rows = self._org.store.rows(*plan.select_rows())
        names = [".".join(column.keys) for column in plan.columns]
        records = [plan.record(row, job["apiVersion"]) for row in rows]
        cells = [plan.csv_cells(row) for row in rows]
        return query_text(names, records, cells, job["contentType"]), len(rows)

    def save(self, job: Job, body: bytes) -> list[dict[str, Any]]:
        """Save the records of a batch; return one result for each, in their order."""
        records = read_batch(body, job["contentType"])
        if len(records) > MAX_RECORDS:
            message = f"Records ({len(records)}) exceed the limit of {MAX_RECORDS} in a batch"
            raise BulkV1Error("InvalidBatch", message)
        names = list(dict.fromkeys(itertools.chain.from_iterable(records)))
        sobject = self._org.schema[job["object"]]
        try:
            columns = header_columns(self._org.schema, sobject, names)
        except JobDataError as error:
            raise BulkV1Error("InvalidBatch", str(error).removeprefix("InvalidBatch : ")) from None
        record_results: list[dict[str, Any]] = []
        for start in range(0, len(records), CHUNK_ROWS):
            rows = records[start : start + CHUNK_ROWS]
            texts = [[row.get(name, "") for row in rows] for name in names]
            record_results += self._chunk(job, sobject, columns, texts, len(rows))
        return record_results

    def _chunk(
        self,
        job: Job,
        sobject: SObject,
        columns: Sequence[HeaderColumn],
        texts: Sequence[Sequence[str]],
        size: int,
    ) -> list[dict[str, Any]]:
        chunk = Chunk(sobject, size)
        with self._org.store.transaction():
            for column, cells in zip(columns, texts, strict=True):
                values, failures = self._values(column, cells)
                chunk.columns[column.field.name] = values
                for row, failure in failures.items():
                    chunk.fail(row, failure)
            results = self._run(job, chunk)
        return [
            _record_result(results.get(row), chunk.failures.get(row, [])) for row in range(size)
        ]

    def _values(
        self, column: HeaderColumn, texts: Sequence[str]
    ) -> tuple[list[Cell], dict[int, Failure]]:
        if column.through is None:
            return clean_column(column.field, strings(texts))
        return self._operations.look_up(*column.through, texts)

    def _run(self, job: Job, chunk: Chunk) -> Results:
        rule = self._org.owners.rules.get(job.get("assignmentRuleId") or "")
        options = SaveOptions(job["createdById"], rule)
        key = job.get("externalIdFieldName")
        reject_unwritable(chunk, job["operation"], key)
        results, _ = self._operations.run(chunk, job["operation"], key, options)
        return results


def _record_result(saved: Saved | None, failures: Sequence[Failure]) -> dict[str, Any]:
    errors = [
        {
            "statusCode": failure.code,
            "message": failure.message,
            "fields": list(failure.fields),
            "extendedErrorDetails": None,
        }
        for failure in failures
    ]
    return {
        "success": saved is not None,
        "created": saved is not None and saved.created,
        "id": saved.id if saved is not None else None,
        "errors": errors,
    }
