"""Jobs of our login that the ledger does not know: what they mean, and what is done about them.

A ledger restored from yesterday has forgotten the jobs of today: their persons look new, and
without the person-id field nothing but their e-mail would keep them from being made again. So a
job that has made leads and that nobody knows stops the run. One that was opened and never given
data is only left over from a run that was cut off: it can do nothing.

Only inserts of Leads count: repeating an update does no harm, and no Contact is ever made. A job
is known before it is given data, so what is asked of the ledger after the org never misses one of
a run beside this.
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

# Of 1,000 jobs each; the org keeps them for seven days and tells them in no order.
MOST_PAGES = 20
# A job is recorded within seconds of being opened; whatever is older was left behind.
ORPHANED_AFTER = timedelta(hours=2)
NAMED = 5


@dataclass
class UnknownJobs:
    """`open`: may still be given data, by whoever opened them. `effective`: have made leads, or are
    about to. `harmless`: ended without making any."""

    open: list[ingest_jobs.JobInfo] = field(default_factory=list)
    effective: list[ingest_jobs.JobInfo] = field(default_factory=list)
    harmless: list[ingest_jobs.JobInfo] = field(default_factory=list)


def find(org: Org, warehouse: Warehouse) -> UnknownJobs:
    """The jobs of our login that insert Leads and that the ledger does not know. Writes nothing.

    One call per 1,000 jobs of the org, at most 20, and one for each stray job that is not open.
    """
    every = list(ingest_jobs.list_jobs(org, MOST_PAGES))
    if len(every) >= MOST_PAGES * 1000:
        log.warning("jobs: the org lists more than %d; the others were not looked at", len(every))
    listed = [job for job in every if _makes_leads(job)]
    mine = [job for job in listed if job.created_by_id[:15] == org.user_id[:15]] if listed else []
    known = ledger.known_job_ids(warehouse) if migrations.has_ledger(warehouse) else frozenset()
    stray = UnknownJobs()
    for job in mine:
        if job.job_id not in known:
            _sort_in(stray, org, job)
    return stray


def _makes_leads(job: ingest_jobs.JobInfo) -> bool:
    return job.object == "Lead" and job.operation in ("insert", "upsert")


def _sort_in(stray: UnknownJobs, org: Org, job: ingest_jobs.JobInfo) -> None:
    if job.state == "Open":
        stray.open.append(job)
        return
    told = ingest_jobs.job_status(org, job.job_id)  # lists tell no counts
    if told is None:
        return
    made = (told.processed_count or 0) - (told.failed_count or 0)
    is_over = told.has_ended and not made
    (stray.harmless if is_over else stray.effective).append(told)


def require_none(stray: UnknownJobs) -> None:
    """Raise LedgerInconsistentError, naming the jobs and the ways out, when one has made leads."""
    if stray.effective:
        raise LedgerInconsistentError(
            f"{len(stray.effective)} jobs of this login make leads that this ledger knows nothing "
            f"of ({_named(stray.effective)}). Was the warehouse restored from a backup? Then bring "
            "back a newer one, or go on with person-sync resume --accept-unknown-jobs: of the persons in "
            "those jobs, whoever has an e-mail is found in Salesforce as a duplicate, and whoever "
            "has none is made a second time. If other tools load leads by this login, set "
            "salesforce.dedicated_user = false"
        )


def _named(jobs: Sequence[ingest_jobs.JobInfo]) -> str:
    names = ", ".join(sorted(job.job_id for job in jobs)[:NAMED])
    return names if len(jobs) <= NAMED else f"{names}, ..."


def accept(warehouse: Warehouse, stray: UnknownJobs) -> int:
    """Count every stray job that is not open as known from now on; answers how many."""
    jobs = [*stray.effective, *stray.harmless]
    for job in jobs:
        _remember(warehouse, job, job.state)
    return len(jobs)


def abort_orphans(org: Org, warehouse: Warehouse, stray: UnknownJobs, *, now: datetime) -> int:
    """Abort the open ones that were left behind, and remember them; answers how many.

    Only for a login that nobody else uses: another tool's job looks the same. `now` is naive UTC.
    """
    orphans = [job for job in stray.open if now - job.created_date > ORPHANED_AFTER]
    aborted = 0
    for job in orphans:
        answer = ingest_jobs.abort_job(org, job.job_id)
        if isinstance(answer, ingest_jobs.JobInfo):
            _remember(warehouse, answer, "Aborted")
            log.info("jobs: aborted %s, which an earlier run had left open", job.job_id)
            aborted += 1
    return aborted


def _remember(warehouse: Warehouse, job: ingest_jobs.JobInfo, end_state: str) -> None:
    ledger.record_unknown_job(
        warehouse,
        job.job_id,
        opened_at=job.created_date,
        end_state=end_state,
        processed_count=job.processed_count,
        failed_count=job.failed_count,
    )
