"""The org of the model: jobs that do nothing until they are closed, and leads.

A value that never changes: each function answers the org as it is afterwards. Two rows are a
chunk. Which behaviours are known and which only believed is said in the design (B1 of delivery).
"""

from __future__ import annotations

from typing import NamedTuple

from tests.crash.model.faults import OrgRejectedError

CHUNK = 2
ENDED = ("JobComplete", "Failed", "Aborted")
RUNNING = ("UploadComplete", "InProgress")
LOCKED = "UNABLE_TO_LOCK_ROW"
KNOWN_BY_RULE = "DUPLICATES_DETECTED"
KNOWN_BY_FIELD = "DUPLICATE_VALUE"

Row = tuple[str, str]


class Job(NamedTuple):
    """A Bulk API 2.0 job; `made` and `refused` name each person with a lead or a code."""

    job_id: str
    operation: str
    state: str = "Open"
    rows: tuple[str, ...] | None = None
    done_count: int = 0
    made: tuple[Row, ...] = ()
    refused: tuple[Row, ...] = ()
    is_spoiled: bool = False
    is_late: bool = False  # a chunk was under way when it was aborted
    is_gone: bool = False

    @property
    def left(self) -> tuple[str, ...]:
        """Whom the job did not come to."""
        return (self.rows or ())[self.done_count :]


class Status(NamedTuple):
    """What a poll is told."""

    state: str
    processed_count: int
    failed_count: int


class Org(NamedTuple):
    """What the org holds; `strangers` are persons whom its duplicate rule does not let in."""

    has_field: bool
    strangers: frozenset[str] = frozenset()
    jobs: tuple[Job, ...] = ()
    leads: tuple[Row, ...] = ()
    is_edit_lost: bool = False


def find(org: Org, job_id: str) -> Job:
    """The job, or the org's 404."""
    job = next((one for one in org.jobs if one.job_id == job_id), None)
    if job is None or job.is_gone:
        raise OrgRejectedError("NOT_FOUND")
    return job


def put_back(org: Org, job: Job) -> Org:
    """The org with this job in the place of the one of its id."""
    return org._replace(jobs=tuple(job if one.job_id == job.job_id else one for one in org.jobs))


def create_job(org: Org, operation: str) -> tuple[Org, str]:
    """POST jobs/ingest."""
    job = Job(f"J{len(org.jobs) + 1}", operation)
    return org._replace(jobs=(*org.jobs, job)), job.job_id


def upload(org: Org, job_id: str, rows: tuple[str, ...]) -> tuple[Org, None]:
    """PUT batches. A second one is taken and spoils the job: it can never be closed."""
    job = find(org, job_id)
    if job.state != "Open":
        raise OrgRejectedError("INVALIDJOBSTATE")
    if job.rows is not None:
        return put_back(org, job._replace(is_spoiled=True)), None
    return put_back(org, job._replace(rows=rows)), None


def close_job(org: Org, job_id: str) -> tuple[Org, str]:
    """PATCH UploadComplete; a refusal is an answer, since the code takes it for one."""
    try:
        job = find(org, job_id)
    except OrgRejectedError:
        return org, "refused"
    if job.state != "Open" or job.is_spoiled:
        return org, "refused"
    return put_back(org, job._replace(state="UploadComplete", rows=job.rows or ())), "ok"


def abort_job(org: Org, job_id: str, is_late: bool = False) -> tuple[Org, str]:
    """PATCH Aborted; with `is_late` the chunk under way will still land."""
    try:
        job = find(org, job_id)
    except OrgRejectedError:
        return org, "refused"
    if job.state in ENDED:
        return org, "refused"
    late = is_late and job.state == "InProgress" and bool(job.left)
    return put_back(org, job._replace(state="Aborted", is_late=late)), "ok"


def ask_job(org: Org, job_id: str) -> tuple[Org, Status | None]:
    """GET the job; None when it is gone."""
    try:
        job = find(org, job_id)
    except OrgRejectedError:
        return org, None
    failed = len(job.refused)
    return org, Status(job.state, failed + len(job.made), failed)


def read_made(org: Org, job_id: str, cut: int = 0) -> tuple[Org, tuple[Row, ...]]:
    """GET successfulResults, perhaps cut short at its end."""
    rows = find(org, job_id).made
    return org, rows[: len(rows) - cut]


def read_refused(org: Org, job_id: str) -> tuple[Org, tuple[Row, ...]]:
    """GET failedResults."""
    return org, find(org, job_id).refused


def read_left(org: Org, job_id: str, cut: int = 0) -> tuple[Org, tuple[str, ...]]:
    """GET unprocessedrecords, which only jobs that did not complete have."""
    job = find(org, job_id)
    rows = job.left if job.state in ("Failed", "Aborted") else ()
    return org, rows[: len(rows) - cut]


def ask_persons(org: Org, persons: tuple[str, ...]) -> tuple[Org, tuple[Row, ...]]:
    """SOQL by the person-id field."""
    return org, tuple(lead for lead in org.leads if lead[0] in persons)


def read_owners(org: Org, _leads: tuple[str, ...]) -> tuple[Org, None]:
    """The owners that Salesforce gave: read back, of no weight for the protocol."""
    return org, None


def send_records(org: Org, operation: str, rows: tuple[str, ...]) -> tuple[Org, tuple[Row, ...]]:
    """POST or PATCH composite/sobjects: each record by itself, answers in the order sent; a code
    stands in the place of a lead."""
    answers: list[Row] = []
    for person in rows:
        org, is_made, word = save(org, operation, person)
        answers.append((person, word if is_made else f"!{word}"))
    return org, tuple(answers)


def save(org: Org, operation: str, person: str) -> tuple[Org, bool, str]:
    """One record: the org afterwards, whether it is in, and the lead or the code."""
    known = next((lead for who, lead in org.leads if who == person), None)
    if operation != "insert" and known is not None:
        # The worst case: somebody edits every lead as soon as it is there.
        return org._replace(is_edit_lost=org.is_edit_lost or operation == "upsert"), True, known
    if person in org.strangers:
        return org, False, KNOWN_BY_RULE
    if org.has_field and known is not None:
        return org, False, KNOWN_BY_FIELD
    lead = f"L{len(org.leads) + 1}"
    return org._replace(leads=(*org.leads, (person, lead))), True, lead


def work(org: Org, job_id: str, is_locked: bool = False) -> Org:
    """The org takes the next chunk of a closed job; with `is_locked` its first row meets a lock."""
    job = find(org, job_id)
    made, refused = list(job.made), list(job.refused)
    chunk = job.left[:CHUNK]
    for place, person in enumerate(chunk):
        if is_locked and place == 0:
            refused.append((person, LOCKED))
            continue
        org, is_made, word = save(org, job.operation, person)
        (made if is_made else refused).append((person, word))
    done = job.done_count + len(chunk)
    state = "JobComplete" if done == len(job.rows or ()) else "InProgress"
    return put_back(
        org,
        job._replace(
            state=state if job.state in RUNNING else job.state,
            done_count=done,
            made=tuple(made),
            refused=tuple(refused),
            is_late=False,
        ),
    )
