"""One run from its first row in `sync_runs` to its counts, whatever happens in between."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pipelines import memory
from pipelines.errors import (
    DeadlineReachedError,
    Interrupted,
    LedgerInconsistentError,
    SyncError,
    TransientError,
)
from pipelines.process import error_details
from pipelines.progress import Progress
from pipelines.retry import RetryTimeout
from pipelines.rules.rejection_catalog import rejection_rules_for
from pipelines.run import checks, connections, summaries
from pipelines.run.preflight import Preflight
from pipelines.settings import Settings
from pipelines.steps import unknown_jobs
from pipelines.steps.context import RunContext, RunRequest
from pipelines.steps.recover import is_alive
from pipelines.warehouse import ledger, migrations, reports
from pipelines.warehouse.database import Warehouse

log = logging.getLogger(__name__)


@contextmanager
def open_run(settings: Settings, request: RunRequest) -> Iterator[RunContext]:
    """Record a run, check that it can start, and yield its context.

    Whatever ends the block, the run's row says how: failed with the kind of error, or deadline.
    Raise ConfigurationError, TransientError or OrgMismatchError before any person is read.
    """
    memory.limit_heap_growth()
    with connections.open_store(settings) as warehouse:
        migrate(settings, warehouse)
        ledger.fail_dead_runs(warehouse, is_alive)
        _begin(settings, request, warehouse)
        preflight = Preflight(settings, warehouse, request.owner, request.accept_unknown_jobs)
        run: RunContext | None = None
        try:
            with Progress(settings.run.progress_seconds) as progress:
                run = _prepare(preflight, request, progress)
                yield run
        except BaseException as error:
            _record_failure(preflight, request.run_id, run, error)
            raise
        finally:
            preflight.close()


def migrate(settings: Settings, warehouse: Warehouse) -> list[str]:
    """Create or upgrade the result tables and views; return what was applied. May be repeated."""
    # A default for a field without a column is checked as a column of the field's name.
    rules = rejection_rules_for([*filter(None, settings.fields.values()), *settings.defaults])
    return migrations.migrate(warehouse, rules=[rule._asdict() for rule in rules])


def _begin(settings: Settings, request: RunRequest, warehouse: Warehouse) -> None:
    ledger.begin_run(
        warehouse,
        run_id=request.run_id,
        run_mode=request.run_mode,
        owner_default=request.owner or settings.owners.default,
        flow_run_id=request.flow_run_id,
        code_version=version("person-sync"),
        settings_hash=settings.fingerprint(),
        process_host=socket.gethostname(),
        process_id=os.getpid(),
    )


def _prepare(preflight: Preflight, request: RunRequest, progress: Progress) -> RunContext:
    """Run the checks, bind the ledger to the org, and return the complete context."""
    for one in checks.RUN_CHECKS:
        with progress.during(f"{one.subject}: waiting for a response"):
            log.info("%s: %s", one.subject, _check_with_retry(one, preflight))
    org = preflight.org
    ledger.bind_org(preflight.warehouse, request.run_id, org.org_id, org.org_name, org.is_sandbox)
    minutes = preflight.settings.run.deadline_minutes
    run = preflight.context(request, progress, seconds_left=60 * minutes if minutes else None)
    _handle_unknown_jobs(run)
    return run


def _check_with_retry(one: checks.PreflightCheck, preflight: Preflight) -> str:
    """Run a check; repeat it while the trouble is transient and the start timeout lasts.

    The timeout is for scheduled runs, whose org may be away. It is short by default: a person at a
    terminal should see the problem immediately.
    """
    options = preflight.settings.run
    retry = RetryTimeout(
        options.start_timeout_seconds, time, log, line_seconds=options.progress_seconds
    )
    while True:
        try:
            return one.run(preflight)
        except TransientError as error:
            retry.failed(error)
            time.sleep(options.poll_seconds)


def _handle_unknown_jobs(run: RunContext) -> None:
    """Accept the jobs that the ledger does not know when a human says so; abort orphaned ones."""
    if run.request.accept_unknown_jobs:
        count = unknown_jobs.accept(run.warehouse, run.unknown_jobs)
        log.info("jobs: %d are known to the ledger from now on", count)
    # Only a login of our own: another tool's open job looks the same.
    if run.settings.salesforce.dedicated_user and not run.request.is_plan:
        now = datetime.now(UTC).replace(tzinfo=None)
        unknown_jobs.abort_orphans(run.org, run.warehouse, run.unknown_jobs, now=now)


def _record_failure(
    preflight: Preflight, run_id: str, run: RunContext | None, error: BaseException
) -> None:
    run_state = "deadline" if isinstance(error, DeadlineReachedError) else "failed"
    is_ours = isinstance(error, SyncError | Interrupted)
    error_details.name_run(error, run_id)
    # When the warehouse itself is away this cannot be written; the next run finds our process gone.
    with suppress(SyncError):
        if run is not None:
            run.matcher.flush_stats()
        ledger.end_run(
            preflight.warehouse,
            run_id,
            run_state,
            api_call_count=run.api_call_count if run else preflight.api_call_count,
            error_code=type(error).__name__,
            error_message=str(error) if is_ours else "interrupted or broken off",
        )


def close_run(run: RunContext) -> dict[str, Any]:
    """Count, check that everything adds up, and return the summary.

    Raise LedgerInconsistentError when it does not.
    """
    with run.progress.during("checks: checking that everything adds up"):
        if unread_count := ledger.count_listed_persons(run.warehouse, run.run_id):
            log.warning("persons: %s", summaries.unread_sentence(unread_count))
        require_checks_pass(run.warehouse, run.run_id)
        run.matcher.flush_stats()
        ledger.end_run(run.warehouse, run.run_id, "finished", api_call_count=run.api_call_count)
        summary = summaries.summarise(run.warehouse, run.run_id, run.request.person_ids)
    log.info("%s", summaries.last_line(summary, time.monotonic() - run.started_at))
    return summary


def require_checks_pass(warehouse: Warehouse, run_id: str) -> None:
    """Raise LedgerInconsistentError when a check of `sql/checks` finds rows that do not add up.

    Log a warning for a check that only warns.
    """
    found = reports.run_checks(warehouse, run_id)
    for one in found:
        log.warning("check %s: %d rows or more (sql/checks)", one.name, len(one.rows))
    failures = [one for one in found if one.is_failure]
    if failures:
        names = ", ".join(one.name for one in failures)
        raise LedgerInconsistentError(
            f"after run {run_id} the ledger does not add up ({names}): sql/checks"
        )
