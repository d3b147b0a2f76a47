"""One execution: opened on firm ground, closed with its counts, whatever happens in between."""

from __future__ import annotations

import logging
import os
import platform
import socket
import time
import uuid
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
from pipelines.run import connections, preflight, resolve, summaries
from pipelines.settings import Settings
from pipelines.steps import match, snapshot, transform, unknown_jobs
from pipelines.steps.load import Carrier
from pipelines.steps.transform import Request
from pipelines.warehouse import ledger, migrations, new_persons, reports
from pipelines.warehouse.database import Warehouse

log = logging.getLogger(__name__)

LEAST_SHARE = 5_000  # persons: for fewer, a worker's own login and start take longer than they do


class Run:
    """What the steps of the story share. A plain class: Prefect looks into dataclasses."""

    def __init__(self, settings: Settings, request: Request, warehouse: Warehouse) -> None:
        self.settings = settings
        self.request = request
        self.ground = preflight.new_ground(
            settings, warehouse, request.owner, accept_unknown_jobs=request.accept_unknown_jobs
        )
        self.progress = Progress(settings.run.progress_seconds)
        self.carrier = Carrier(
            self.ground, request.run_id, progress=self.progress, give_up_at=_give_up_at(settings)
        )
        self.began_at = time.monotonic()
        self.person_count = 0
        self.slice_size = settings.run.slice_size
        self.order: transform.Order | None = None  # of a run with several workers
        self.api_calls_elsewhere = 0

    @property
    def slices(self) -> Iterator[tuple[int, int]]:
        """Positions first..last of each slice of the persons this run has set out to read."""
        for first in range(1, self.person_count + 1, self.slice_size):
            yield first, min(first + self.slice_size - 1, self.person_count)

    def share_out(self, person_count: int) -> None:
        """Set out to read so many persons, in slices small enough for every worker to get one."""
        self.person_count = person_count
        share = max(-(-person_count // self._asked_workers), LEAST_SHARE)
        self.slice_size = min(self.settings.run.slice_size, share)

    @property
    def worker_count(self) -> int:
        """How many workers share the slices between them: no more than there are slices."""
        slices = -(-self.person_count // self.slice_size)
        return max(1, min(self._asked_workers, slices))

    @property
    def _asked_workers(self) -> int:
        asked = self.request.workers or self.settings.run.workers
        return asked if self.request.run_mode == "live" else 1


def new_run_request(run_mode: str, **choices: object) -> Request:
    """A request with an id of its own."""
    return Request(run_id=uuid.uuid4().hex, run_mode=run_mode, **choices)  # type: ignore[arg-type]


@contextmanager
def open_run(settings: Settings, request: Request) -> Iterator[Run]:
    """A run on firm ground, recorded from its first moment.

    Whatever ends it, its row says how: failed with the kind of error, or deadline. Raises
    ConfigurationError, Passing, OrgMismatchError before anyone is read.
    """
    memory.limit_heap_growth()
    with connections.open_store(settings) as warehouse:
        migrate(settings, warehouse)
        run = Run(settings, request, warehouse)
        ledger.fail_dead_runs(warehouse, is_alive)
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
        try:
            with run.progress:
                _find_firm_ground(run)
                yield run
        except BaseException as error:
            _record_failure(run, error)
            raise
        finally:
            if hasattr(run.ground, "org"):
                run.ground.org.close()


def migrate(settings: Settings, warehouse: Warehouse) -> list[str]:
    """Create or upgrade the result tables and views; answers what was applied. May be repeated."""
    # A default for a field that no column feeds is judged as a column of the field's name.
    rules = rejection_rules_for([*filter(None, settings.fields.values()), *settings.defaults])
    return migrations.migrate(warehouse, rules=[rule._asdict() for rule in rules])


def _find_firm_ground(run: Run) -> None:
    for probe in preflight.RUN_CHECKS:
        subject = preflight.subject_of(probe)
        with run.progress.during(f"{subject}: waiting for an answer"):
            log.info("%s: %s", subject, _patiently(run, probe))
    org = run.ground.org
    ledger.bind_org(
        run.ground.warehouse, run.request.run_id, org.org_id, org.org_name, org.is_sandbox
    )
    run.ground.matcher = new_matcher(run)
    _tidy_jobs(run)


def new_matcher(run: Run) -> match.Matcher:
    """Who looks up for this run whom Salesforce knows: by lists, until a way is chosen."""
    ground, settings = run.ground, run.settings
    return match.Matcher(
        ground.warehouse,
        ground.org,
        run.request.run_id,
        person_id_field=ground.person_id_field,
        lookup=settings.matching.lookup,
        refresh_minutes=settings.matching.refresh_minutes,
        options=snapshot.SnapshotOptions(poll_seconds=settings.run.poll_seconds),
    )


def _tidy_jobs(run: Run) -> None:
    """What was found of jobs that the ledger does not know: taken as known if a human says so, and
    aborted if they were left open by a login that is ours alone."""
    ground = run.ground
    if run.request.accept_unknown_jobs:
        count = unknown_jobs.accept(ground.warehouse, ground.unknown_jobs)
        log.info("jobs: %d are known to the ledger from now on", count)
    if run.settings.salesforce.dedicated_user and run.request.run_mode != "plan":
        now = datetime.now(UTC).replace(tzinfo=None)
        unknown_jobs.abort_orphans(ground.org, ground.warehouse, ground.unknown_jobs, now=now)


def _patiently(run: Run, probe: preflight.PreflightCheck) -> str:
    """A scheduled run may wait for an org that is away; a person waiting is told at once."""
    options = run.settings.run
    timeout = RetryTimeout(
        options.start_timeout_seconds, time, log, line_seconds=options.progress_seconds
    )
    while True:
        try:
            return probe(run.ground)
        except TransientError as trouble:
            timeout.failed(trouble)
            time.sleep(options.poll_seconds)


def _record_failure(run: Run, error: BaseException) -> None:
    state = "deadline" if isinstance(error, DeadlineReachedError) else "failed"
    is_told = isinstance(error, SyncError | Interrupted)
    words = str(error) if is_told else "interrupted or broken off"
    error_details.name_run(error, run.request.run_id)
    # When the warehouse itself is away this cannot be written; the next run finds our process gone.
    with suppress(SyncError):
        if hasattr(run.ground, "matcher"):
            run.ground.matcher.flush_stats()
        ledger.end_run(
            run.ground.warehouse,
            run.request.run_id,
            state,
            api_call_count=_api_calls(run),
            error_code=type(error).__name__,
            error_message=words,
        )


def resolve_held_persons(run: Run) -> int:
    """Settle the held persons whose lead the person-id field finds; answers how many."""
    if run.request.run_mode == "plan":
        return 0
    count = resolve.settle_found(run.ground, run.request.run_id, run.request.person_ids)
    if count:
        log.info("held persons: %d have a lead after all", count)
    return count


def take_over_stale_batches(run: Run) -> int:
    """Take over the open batches that nobody carries any more; answers how many."""
    batches = ledger.take_over_stale_batches(
        run.ground.warehouse,
        run.request.run_id,
        lease_seconds=run.settings.run.lease_seconds,
        is_alive=is_alive,
    )
    for batch in batches:
        run.carrier.take(batch)
    if batches:
        persons = sum(batch.person_count for batch in batches)
        log.info("ledger: %d open batches taken over, %s persons", len(batches), f"{persons:,}")
    return len(batches)


def find_new_persons(run: Run) -> int:
    """Set down who is to be read, earliest first; answers how many."""
    with run.progress.during("persons: looking for new ones"):
        count = new_persons.list_new_persons(
            run.ground.warehouse,
            run.request.run_id,
            only=run.request.person_ids,
            limit=run.request.limit,
        )
    run.share_out(count)
    log.info("persons: %s new", f"{count:,}")
    with run.progress.during("matching: choosing how to look persons up"):
        run.ground.matcher.choose_method(run.person_count)
    return run.person_count


def judge(run: Run, first: int, last: int) -> int:
    """Judge one slice, record it, hand its batches to the carrier; answers how many batches."""
    run.carrier.mind_the_deadline()
    with run.progress.during(f"{slice_name(run, first, last)}: reading, checking, matching"):
        run.ground.matcher.refresh_if_stale()
        if first > 1:  # whoever waits for one person has no slice behind them
            memory.trim_heap()
        if run.request.run_mode == "plan":
            decided = transform.plan_slice(run.ground, run.request, first, last)
            log.info("%s: %s", slice_name(run, first, last), decided)
            return 0
        decided = transform.transform_slice(run.ground, run.request, first, last, run.order)
    for batch, payload in decided.batches:
        run.carrier.take(batch, payload)
    log.info("%s: %s", slice_name(run, first, last), decided)
    return len(decided.batches)


def slice_name(run: Run, first: int, last: int) -> str:
    """Return the name of a slice in logs: its positions among the run's persons."""
    return f"slice {first:,}–{last:,} of {run.person_count:,}"


def send(run: Run) -> int:
    """Carry what is in flight one step on; waits only when too much is under way."""
    run.carrier.carry(until_at_most=run.settings.run.open_batches)
    return len(run.carrier.in_flight)


def settle(run: Run) -> int:
    """Wait until every batch in flight is settled."""
    run.carrier.carry(until_at_most=0)
    return len(run.carrier.in_flight)


def close_run(run: Run) -> dict[str, Any]:
    """Count, check that everything adds up, and tell. Raises LedgerInconsistentError when it does not."""
    run_id, warehouse = run.request.run_id, run.ground.warehouse
    with run.progress.during("checks: looking whether everything adds up"):
        if unread_count := ledger.count_listed(warehouse, run_id):
            log.warning("persons: %s", summaries.unread_sentence(unread_count))
        require_checks_pass(warehouse, run_id)
        run.ground.matcher.flush_stats()
        ledger.end_run(warehouse, run_id, "finished", api_call_count=_api_calls(run))
        summary = summaries.summarise(warehouse, run_id, run.request.person_ids)
    log.info("%s", summaries.last_line(summary, time.monotonic() - run.began_at))
    return summary


def say(settings: Settings, saying: resolve.ResolutionRequest) -> dict[str, Any]:
    """Record a human's word on a held person; answers what was recorded.

    Raises ConfigurationError when it cannot be, with nothing written; may be repeated.
    """
    with connections.open_store(settings) as warehouse:
        migrate(settings, warehouse)
        ground = preflight.new_ground(settings, warehouse)
        try:
            for probe in preflight.RESOLVE_CHECKS:
                probe(ground)
            told = resolve.resolve(ground, saying)
        finally:
            if hasattr(ground, "org"):
                ground.org.close()
        if told["is_new"]:
            require_checks_pass(warehouse, told["run_id"])
        return told


def require_checks_pass(warehouse: Warehouse, run_id: str) -> None:
    """Raise LedgerInconsistentError when a check of `sql/checks` finds that something does not add up; one
    that only warns is heard."""
    found = reports.run_checks(warehouse, run_id)
    for one in found:
        log.warning("check %s: %d rows or more (sql/checks)", one.name, len(one.rows))
    failures = [one for one in found if one.is_failure]
    if failures:
        names = ", ".join(one.name for one in failures)
        raise LedgerInconsistentError(
            f"after run {run_id} the ledger does not add up ({names}): sql/checks"
        )


def is_alive(host: str, pid: int) -> bool:
    """Whether the process may still be running. On another machine nobody can tell: it may."""
    if host != socket.gethostname() or platform.system() == "Windows":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _api_calls(run: Run) -> int:
    org = getattr(run.ground, "org", None)
    return run.api_calls_elsewhere + (org.api_call_count if org else 0)


def _give_up_at(settings: Settings) -> float | None:
    minutes = settings.run.deadline_minutes
    return time.monotonic() + 60 * minutes if minutes else None
