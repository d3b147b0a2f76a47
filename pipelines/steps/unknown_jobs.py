"""Jobs of our login that the ledger does not know: what they mean, and what is done about them.

A ledger restored from yesterday's backup does not know today's jobs. Their persons look new, and
without the person-id field only their e-mail would prevent second leads. So a job that has created
leads and that the ledger does not know stops the run. A job that was opened and never got data is
only left over from a run that was killed: it can do nothing.

Only inserts of leads matter: repeating an update does no harm, and no contact is ever created.

The ledger records a job before data is uploaded. List the org's jobs first and read the ledger
second: jobs of a parallel run are then always known.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipelines.errors import LedgerInconsistentError
from pipelines.salesforce import ingest_jobs
from pipelines.salesforce.session import Org
from pipelines.warehouse import ledger, migrations
from pipelines.warehouse.database import Warehouse

log = logging.getLogger(__name__)

# Of 1,000 jobs each. The org keeps jobs for seven days and lists them in no order.
MAX_PAGES = 20
# A job is recorded within seconds of being opened; an older one was left by a killed run.
ORPHANED_AFTER = timedelta(hours=2)
MAX_NAMED = 5


@dataclass
class UnknownJobs:
    """The jobs that the ledger does not know.

    `open`: may still be given data by the process that opened them. `effective`: have created
    leads, or are about to. `harmless`: ended without creating any.
    """

    open: list[ingest_jobs.JobInfo] = field(default_factory=list)
    effective: list[ingest_jobs.JobInfo] = field(default_factory=list)
    harmless: list[ingest_jobs.JobInfo] = field(default_factory=list)


def find(org: Org, warehouse: Warehouse) -> UnknownJobs:
    """Return the jobs of our login that insert leads and that the ledger does not know.

    Write nothing. One call per 1,000 jobs of the org, at most 20, and one for each unknown job that
    is not open.
    """
    jobs = list(ingest_jobs.list_jobs(org, MAX_PAGES))
    if len(jobs) >= MAX_PAGES * 1000:
        log.warning("jobs: the org lists more than %d; the others were not checked", len(jobs))
    inserts = [job for job in jobs if _inserts_leads(job)]
    # The login's user id costs a call: it is asked for only when there is a job to compare.
    ours = [job for job in inserts if job.created_by_id[:15] == org.user_id[:15]] if inserts else []
    known = ledger.known_job_ids(warehouse) if migrations.has_ledger(warehouse) else frozenset()
    unknown = UnknownJobs()
    for job in ours:
        if job.job_id not in known:
            _classify(unknown, org, job)
    return unknown


def _inserts_leads(job: ingest_jobs.JobInfo) -> bool:
    return job.object == "Lead" and job.operation in ("insert", "upsert")


def _classify(unknown: UnknownJobs, org: Org, job: ingest_jobs.JobInfo) -> None:
    if job.state == "Open":
        unknown.open.append(job)
        return
    current = ingest_jobs.job_status(org, job.job_id)  # the list of jobs has no counts
    if current is None:
        return
    created = (current.processed_count or 0) - (current.failed_count or 0)
    is_harmless = current.has_ended and not created
    (unknown.harmless if is_harmless else unknown.effective).append(current)


def require_none(unknown: UnknownJobs) -> None:
    """Raise LedgerInconsistentError, with the jobs and the remedies, when one has created leads."""
    if unknown.effective:
        raise LedgerInconsistentError(
            f"{len(unknown.effective)} jobs of this login create leads, and this ledger does not "
            f"know them ({_named(unknown.effective)}). Was the warehouse restored from a backup? "
            "Then restore a newer one, or accept them with person-sync resume "
            "--accept-unknown-jobs: a person of those jobs who has an e-mail is then found in "
            "Salesforce as a duplicate; one without an e-mail gets a second lead. If other tools "
            "load leads by this login, set salesforce.dedicated_user = false"
        )


def _named(jobs: Sequence[ingest_jobs.JobInfo]) -> str:
    names = ", ".join(sorted(job.job_id for job in jobs)[:MAX_NAMED])
    return names if len(jobs) <= MAX_NAMED else f"{names}, ..."


def accept(warehouse: Warehouse, unknown: UnknownJobs) -> int:
    """Record every unknown job that is not open as known; return how many."""
    jobs = [*unknown.effective, *unknown.harmless]
    for job in jobs:
        _record(warehouse, job, job.state)
    return len(jobs)


def abort_orphans(org: Org, warehouse: Warehouse, unknown: UnknownJobs, *, now: datetime) -> int:
    """Abort the open jobs that a killed run has left, and record them; return how many.

    Only for a login that no other tool uses: another tool's job looks the same. `now`: naive UTC.
    """
    orphans = [job for job in unknown.open if now - job.created_date > ORPHANED_AFTER]
    aborted_count = 0
    for job in orphans:
        aborted = ingest_jobs.abort_job(org, job.job_id)
        if isinstance(aborted, ingest_jobs.JobInfo):
            _record(warehouse, aborted, "Aborted")
            log.info("jobs: aborted %s, which an earlier run had left open", job.job_id)
            aborted_count += 1
    return aborted_count


def _record(warehouse: Warehouse, job: ingest_jobs.JobInfo, end_state: str) -> None:
    ledger.record_unknown_job(
        warehouse,
        job.job_id,
        opened_at=job.created_date,
        end_state=end_state,
        processed_count=job.processed_count,
        failed_count=job.failed_count,
    )
