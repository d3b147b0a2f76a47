"""One bulk job as it stands, and how the several answers show it (§6.1)."""

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
    """One job as it stands."""

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
        """How the job says its file is written."""
        return Layout(DELIMITERS[self.column_delimiter], self.line_ending, newline_in_cell)

    def result_format(self, dialect: str) -> tuple[str, str]:
        """Delimiter and line ending of the result files: how far they follow the job's own
        dialect nobody knows (§6.3)."""
        if dialect == "plain":
            return ",", "\n"
        with_crlf = dialect == "job" and self.line_ending == "CRLF"
        return DELIMITERS[self.column_delimiter], "\r\n" if with_crlf else "\n"

    @property
    def names_failed_records(self) -> bool:
        """Whether failed rows come with an sf__Id: since v53 (§6.3)."""
        return float(self.api_version) >= 53

    def fault(self, name: str) -> float | None:
        """The number of an injected fault, or None where the job has none of that name."""
        for fault in json.loads(self.faults):
            fault_name, _, number = fault.partition(":")
            if fault_name == name:
                return float(number or 1)
        return None


COLUMNS = tuple(column.name for column in fields(Job))


def job_of_row(row: Row) -> Job:
    """A job out of the store."""
    return Job(*row)  # type: ignore[arg-type]  # the columns in the order of the fields


def error_cell(failures: Sequence[Failure], style: str) -> str:
    """What is wrong with a row, in one cell; how several errors are joined nobody knows (§12)."""
    errors = [f"{f.code}:{f.message}:{_field_list(f)}--" for f in failures]
    if style == "first":
        return errors[0]
    return ("; " if style == "semicolons" else "").join(errors)


def _field_list(failure: Failure) -> str:
    return f"{','.join(failure.fields)} " if failure.fields else ""


def listed(job: Job) -> dict[str, object]:
    """A job as the list shows it."""
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
        # Relative, without a leading slash, and only while the job is open (§6.1).
        shown["contentUrl"] = f"services/data/v{job.api_version}/jobs/ingest/{job.id}/batches"
    return shown


def created(job: Job) -> dict[str, object]:
    """A job as its creation answers: every default filled in, no jobType yet."""
    return {k: v for k, v in listed(job).items() if k != "jobType"} | _options(job)


def changed(job: Job) -> dict[str, object]:
    """A job as closing and aborting answer."""
    left_out = {"jobType", "contentUrl", "lineEnding", "columnDelimiter"}
    return {k: v for k, v in listed(job).items() if k not in left_out} | _options(job)


def described(job: Job) -> dict[str, object]:
    """A job as polling shows it; the processed count includes the failed rows (§6.1)."""
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
