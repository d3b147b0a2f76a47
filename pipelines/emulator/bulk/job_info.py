"""The state of one bulk job, and how each response shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

from pipelines.emulator.bulk.uploads import DELIMITERS, Layout
from pipelines.emulator.org.store import Row
from pipelines.emulator.org.values import Failure

ENDED = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass(frozen=True)
class Job:
    """One row of the jobs table."""

    id: str
    kind: str
    object: str
    operation: str
    state: str
    created_by_id: str
    created_date: str
    system_modstamp: str
    api_version: str
    line_ending: str
    column_delimiter: str
    external_id_field: str | None
    assignment_rule_id: str | None
    query: str | None
    locator: str | None
    error_message: str | None
    spoiled: int
    rows_done: int
    chunks_done: int
    failed: int
    milliseconds: int
    faults: str
    forgotten: int

    def layout(self, newline_in_cell: bool) -> Layout:
        """Return how the job's file is written, as the job declares it."""
        return Layout(DELIMITERS[self.column_delimiter], self.line_ending, newline_in_cell)

    def result_format(self, dialect: str) -> tuple[str, str]:
        """Return delimiter and line ending of the result files.

        How far they follow the job's own format is unknown, so `dialect` decides.
        """
        if dialect == "plain":
            return ",", "\n"
        with_crlf = dialect == "job" and self.line_ending == "CRLF"
        return DELIMITERS[self.column_delimiter], "\r\n" if with_crlf else "\n"

    @property
    def names_failed_records(self) -> bool:
        """Return whether failed rows have an sf__Id; they do since v53."""
        return float(self.api_version) >= 53

    def fault(self, name: str) -> float | None:
        """Return the number of an injected fault, or None where the job has no such fault."""
        for fault in json.loads(self.faults):
            fault_name, _, number = fault.partition(":")
            if fault_name == name:
                return float(number or 1)
        return None


COLUMNS = tuple(column.name for column in fields(Job))


def job_of_row(row: Row) -> Job:
    """Return the job of one row of the store."""
    return Job(*row)  # type: ignore[arg-type]  # the columns in the order of the fields


def error_cell(failures: Sequence[Failure], style: str) -> str:
    """Return a row's errors as one cell. How a real org joins several errors is unknown."""
    errors = [f"{f.code}:{f.message}:{_field_list(f)}--" for f in failures]
    if style == "first":
        return errors[0]
    return ("; " if style == "semicolons" else "").join(errors)


def _field_list(failure: Failure) -> str:
    return f"{','.join(failure.fields)} " if failure.fields else ""


def listed(job: Job) -> dict[str, object]:
    """Return a job as the job list shows it."""
    shown: dict[str, object] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by_id,
        "createdDate": job.created_date,
        "systemModstamp": job.system_modstamp,
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.api_version),
        "jobType": job.kind,
        "lineEnding": job.line_ending,
        "columnDelimiter": job.column_delimiter,
    }
    if job.kind == "V2Ingest" and job.state == "Open":
        # Relative, without a leading slash, and only while the job is open.
        shown["contentUrl"] = f"services/data/v{job.api_version}/jobs/ingest/{job.id}/batches"
    return shown


def created(job: Job) -> dict[str, object]:
    """Return a job as its creation shows it: with every default, but without jobType."""
    return {k: v for k, v in listed(job).items() if k != "jobType"} | _options(job)


def changed(job: Job) -> dict[str, object]:
    """Return a job as closing and aborting show it."""
    left_out = {"jobType", "contentUrl", "lineEnding", "columnDelimiter"}
    return {k: v for k, v in listed(job).items() if k not in left_out} | _options(job)


def described(job: Job) -> dict[str, object]:
    """Return a job as polling shows it; the processed count includes failed rows."""
    shown = listed(job) | _options(job)
    shown |= {"retries": 0, "totalProcessingTime": job.milliseconds}
    if job.kind == "V2Ingest":
        shown |= {"apiActiveProcessingTime": job.milliseconds, "apexProcessingTime": 0}
    if job.state not in {"Open", "UploadComplete"}:
        shown["numberRecordsProcessed"] = job.rows_done
        if job.kind == "V2Ingest":
            shown["numberRecordsFailed"] = job.failed
    if job.state == "Failed":
        shown["errorMessage"] = job.error_message
    return shown


def _options(job: Job) -> dict[str, object]:
    options = {
        "externalIdFieldName": job.external_id_field,
        "assignmentRuleId": job.assignment_rule_id,
    }
    return {name: value for name, value in options.items() if value}
