"""The org of the model: leads, and jobs that have no effect until they are closed.

It is a value that never changes: each function returns the org after it. A chunk has two rows.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.crash.model.errors import OrgRejectedError

CHUNK = 2
ENDED = ("JobComplete", "Failed", "Aborted")
RUNNING = ("UploadComplete", "InProgress")
LOCKED = "UNABLE_TO_LOCK_ROW"
KNOWN_BY_RULE = "DUPLICATES_DETECTED"
KNOWN_BY_FIELD = "DUPLICATE_VALUE"

Row = tuple[str, str]


class Job(NamedTuple):
    """A Bulk API 2.0 job. `successful` has each person with a lead, `failed` with a code."""

    job_id: str
    operation: str
    state: str = "Open"
    rows: tuple[str, ...] | None = None
    done_count: int = 0
    successful: tuple[Row, ...] = ()
    failed: tuple[Row, ...] = ()
    is_spoiled: bool = False
    has_late_chunk: bool = False  # not committed yet when the job was aborted
    is_gone: bool = False

    @property
    def unprocessed(self) -> tuple[str, ...]:
        """The persons that the job has not reached."""
        return (self.rows or ())[self.done_count :]


class Status(NamedTuple):
    """What a poll returns."""

    state: str
    processed_count: int
    failed_count: int


class Org(NamedTuple):
    """Jobs and leads. The org's duplicate rule blocks the `blocked_persons`."""

    has_field: bool
    blocked_persons: frozenset[str] = frozenset()
    jobs: tuple[Job, ...] = ()
    leads: tuple[Row, ...] = ()
    is_edit_lost: bool = False


def find(org: Org, job_id: str) -> Job:
    """Return the job. Raise OrgRejectedError if it is gone."""
    job = next((one for one in org.jobs if one.job_id == job_id), None)
    if job is None or job.is_gone:
        raise OrgRejectedError("NOT_FOUND")
    return job


def replace_job(org: Org, job: Job) -> Org:
    """Return the org with this job in place of the one with its id."""
    return org._replace(jobs=tuple(job if one.job_id == job.job_id else one for one in org.jobs))


def create_job(org: Org, operation: str) -> tuple[Org, str]:
    """POST jobs/ingest."""
    job = Job(f"J{len(org.jobs) + 1}", operation)
    return org._replace(jobs=(*org.jobs, job)), job.job_id


def upload(org: Org, job_id: str, rows: tuple[str, ...]) -> tuple[Org, None]:
    """PUT batches. A second upload is accepted, but spoils the job: it can never be closed."""
    job = find(org, job_id)
    if job.state != "Open":
        raise OrgRejectedError("INVALIDJOBSTATE")
    if job.rows is not None:
        return replace_job(org, job._replace(is_spoiled=True)), None
    return replace_job(org, job._replace(rows=rows)), None


def close_job(org: Org, job_id: str) -> tuple[Org, str]:
    """PATCH UploadComplete. Return a rejection as a value, as the code does."""
    try:
        job = find(org, job_id)
    except OrgRejectedError:
        return org, "rejected"
    if job.state != "Open" or job.is_spoiled:
        return org, "rejected"
    return replace_job(org, job._replace(state="UploadComplete", rows=job.rows or ())), "ok"


def abort_job(org: Org, job_id: str, is_late: bool = False) -> tuple[Org, str]:
    """PATCH Aborted; with `is_late` the current chunk is still to be committed."""
    try:
        job = find(org, job_id)
    except OrgRejectedError:
        return org, "rejected"
    if job.state in ENDED:
        return org, "rejected"
    has_late_chunk = is_late and job.state == "InProgress" and bool(job.unprocessed)
    return replace_job(org, job._replace(state="Aborted", has_late_chunk=has_late_chunk)), "ok"


def job_status(org: Org, job_id: str) -> tuple[Org, Status | None]:
    """GET the job; None when it is gone."""
    try:
        job = find(org, job_id)
    except OrgRejectedError:
        return org, None
    failed = len(job.failed)
    return org, Status(job.state, failed + len(job.successful), failed)


def read_successful(org: Org, job_id: str) -> tuple[Org, tuple[Row, ...]]:
    """GET successfulResults."""
    return org, find(org, job_id).successful


def read_failed(org: Org, job_id: str) -> tuple[Org, tuple[Row, ...]]:
    """GET failedResults."""
    return org, find(org, job_id).failed


def read_unprocessed(org: Org, job_id: str) -> tuple[Org, tuple[str, ...]]:
    """GET unprocessedrecords; only a job that failed or was aborted has any."""
    job = find(org, job_id)
    return org, job.unprocessed if job.state in ("Failed", "Aborted") else ()


def find_leads(org: Org, persons: tuple[str, ...]) -> tuple[Org, tuple[Row, ...]]:
    """Find leads by the person-id field, with SOQL."""
    return org, tuple(lead for lead in org.leads if lead[0] in persons)


def read_owners(org: Org, _leads: tuple[str, ...]) -> tuple[Org, None]:
    """Read the owners of leads back. They do not matter for the protocol."""
    return org, None


def send_records(org: Org, operation: str, rows: tuple[str, ...]) -> tuple[Org, tuple[Row, ...]]:
    """POST or PATCH composite/sobjects. Return each person with a lead, or with `!` and a code."""
    results: list[Row] = []
    for person in rows:
        org, is_saved, lead_or_code = save(org, operation, person)
        results.append((person, lead_or_code if is_saved else f"!{lead_or_code}"))
    return org, tuple(results)


def save(org: Org, operation: str, person: str) -> tuple[Org, bool, str]:
    """Save one record. Return the org after it, whether it is saved, and the lead or the code."""
    known = next((lead for who, lead in org.leads if who == person), None)
    if operation != "insert" and known is not None:
        # The worst case: every lead is edited by a user as soon as it exists.
        return org._replace(is_edit_lost=org.is_edit_lost or operation == "upsert"), True, known
    if person in org.blocked_persons:
        return org, False, KNOWN_BY_RULE
    if org.has_field and known is not None:
        return org, False, KNOWN_BY_FIELD
    lead = f"L{len(org.leads) + 1}"
    return org._replace(leads=(*org.leads, (person, lead))), True, lead


def work(org: Org, job_id: str, is_locked: bool = False) -> Org:
    """Process the next chunk of a closed job; with `is_locked` its first row is locked."""
    job = find(org, job_id)
    successful, failed = list(job.successful), list(job.failed)
    chunk = job.unprocessed[:CHUNK]
    for index, person in enumerate(chunk):
        if is_locked and index == 0:
            failed.append((person, LOCKED))
            continue
        org, is_saved, lead_or_code = save(org, job.operation, person)
        (successful if is_saved else failed).append((person, lead_or_code))
    done = job.done_count + len(chunk)
    state = "JobComplete" if done == len(job.rows or ()) else "InProgress"
    return replace_job(
        org,
        job._replace(
            state=state if job.state in RUNNING else job.state,
            done_count=done,
            successful=tuple(successful),
            failed=tuple(failed),
            has_late_chunk=False,
        ),
    )
