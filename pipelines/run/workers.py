"""The workers of one run: each claims slices, processes and loads them, and reconciles its batches.

A worker is a thread of the run's process, or a process on any machine, and works alike in both. It
gets a WorkerSpec, which holds ids and numbers. It reads its own settings, and opens its own
warehouse and its own session with the org. No row, secret or address is passed to it.

A worker may crash at any point. A worker that waits for its slice processes that slice. The run
takes over its open batches; if the run has ended too, the next run does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from pipelines import memory
from pipelines.errors import (
    ConfigurationError,
    DeadlineReachedError,
    LeaseLostError,
    RunEndedError,
    SyncError,
    TransientError,
    WorkersLostError,
)
from pipelines.progress import Progress
from pipelines.run import checks, connections
from pipelines.run.commit_order import SliceCommitOrder, SliceStalledError, StoppableClock
from pipelines.run.preflight import Preflight
from pipelines.settings import Settings
from pipelines.steps import extract, load, partition, transform
from pipelines.steps.context import RunContext, RunRequest
from pipelines.warehouse import ledger

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker gets to know about its run. `decisions`: see `Settings.decisions`."""

    run_id: str
    owner: str | None
    person_count: int
    slice_size: int
    decisions: str
    seconds_left: float | None


def worker_spec(run: RunContext) -> WorkerSpec:
    """Return what a worker of this run has to know."""
    return WorkerSpec(
        run_id=run.run_id,
        owner=run.request.owner,
        person_count=run.person_count,
        slice_size=run.slice_size,
        decisions=run.settings.decisions(),
        seconds_left=None if run.give_up_at is None else run.give_up_at - time.monotonic(),
    )


def work(spec: WorkerSpec, read_settings: Callable[[], Settings]) -> int:
    """Process slices until none is left, then reconcile; return the API calls that it took.

    Raise RunEndedError when the run is over or another worker has failed.
    """
    with _join(read_settings(), spec) as run:
        try:
            while (part := _retried(run, _claim_slice, run)) is not None:
                _process_slice(run, part)
                load.load_batches(run)
            load.reconcile_batches(run)
        except RunEndedError:
            raise
        except BaseException:
            stop_workers(run)
            raise
        return run.org.api_call_count


def stop_workers(run: RunContext) -> None:
    """Make every worker of the run stop within a second or two, wherever it is."""
    with suppress(SyncError):
        ledger.stop_workers(run.warehouse, run.run_id)


@contextmanager
def stop_on_error(run: RunContext) -> Iterator[None]:
    """Run a block while workers are at work; stop them when anything ends the block early.

    Raise WorkersLostError when the cluster does not answer.
    """
    try:
        yield
    except OSError:
        stop_workers(run)
        raise WorkersLostError("no Dask scheduler answers at run.dask_address: start it") from None
    except BaseException:
        stop_workers(run)
        raise


def collect_results(run: RunContext, results: Iterable[Callable[[], int]]) -> None:
    """Wait for every worker, then raise the first failure.

    A worker that stopped because another one failed only repeats that failure: the other comes
    first. A worker that was lost is no failure: `recover_lost_workers` does what it has not done.
    """
    failures: list[Exception] = []
    for result in results:
        try:
            run.worker_api_call_count += result()
        except Exception as error:  # noqa: BLE001 - all are collected, and the first raised below
            if type(error).__module__.partition(".")[0] == "distributed":
                kind = type(error).__name__
                log.warning("workers: one was lost (%s); the run does its work", kind)
            else:
                failures.append(error)
    if failures:
        raise min(failures, key=lambda one: isinstance(one, RunEndedError))


def recover_lost_workers(run: RunContext) -> int:
    """Process the slices and take over the batches of lost workers; return how many batches.

    Call it only when all workers have ended. May be repeated.
    """
    here = _as_worker(run)
    while (position := ledger.committed_position(run.warehouse, run.run_id)) < run.person_count:
        _process_slice(here, run.slice_from(position + 1))
    # Each under a higher fencing token, those of the slices just processed too.
    batches = ledger.claim_remaining_batches(
        run.warehouse, run.run_id, lease_seconds=run.settings.run.lease_seconds
    )
    for batch in batches:
        run.in_flight.add(batch)
    return len(batches)


def _claim_slice(run: RunContext) -> ledger.Slice | None:
    return ledger.claim_slice(
        run.warehouse, run.run_id, size=run.slice_size, count=run.person_count
    )


def _process_slice(run: RunContext, part: ledger.Slice) -> None:
    """Process a slice, and before it each one that has stalled.

    Safe even when the worker of a stalled slice is only slow: one of the two records the slice, and
    the other's transaction is rolled back.
    """
    while True:
        try:
            _retried(run, _extract_to_partition, run, part)
        except SliceStalledError as stalled:
            log.warning(
                "slice from position %s made no progress: taking it over", f"{stalled.first:,}"
            )
            _process_slice(run, run.slice_from(stalled.first))
        except LeaseLostError:
            return
        else:
            return


def _extract_to_partition(run: RunContext, part: ledger.Slice) -> None:
    rows = extract.extract_slice(run, part)
    matched = transform.match_slice(run, transform.validate_slice(run, rows))
    partition.partition_slice(run, matched)


def _retried(run: RunContext, step: Callable[..., T], *arguments: object) -> T:
    """Run the step; repeat it after a transient error, such as another worker's lock."""
    retry = run.new_retry(log)
    while True:
        try:
            return step(*arguments)
        except (RunEndedError, DeadlineReachedError, LeaseLostError):
            raise
        except TransientError as error:
            retry.failed(error)
            run.clock.sleep(run.settings.run.poll_seconds)


def _as_worker(run: RunContext) -> RunContext:
    """Return the same run with the clock and the commit order of a worker."""
    timeout_seconds = run.settings.run.retry_timeout_seconds
    return replace(
        run,
        clock=StoppableClock(run.warehouse, run.run_id),
        commit_order=SliceCommitOrder(run.warehouse, time, timeout_seconds),
    )


@contextmanager
def _join(settings: Settings, spec: WorkerSpec) -> Iterator[RunContext]:
    """Yield the run as this worker sees it, with a warehouse and a session of its own."""
    if settings.decisions() != spec.decisions:
        raise ConfigurationError(
            "this worker has other fields, defaults, owners or matching than its run: give every "
            "machine the same settings file"
        )
    memory.limit_heap_growth()
    with connections.open_store(settings) as warehouse:
        # First, because another warehouse than the run's does not know it.
        ledger.committed_position(warehouse, spec.run_id)
        preflight = Preflight(settings, warehouse, spec.owner)
        try:
            for one in checks.WORKER_CHECKS:
                one.run(preflight)
            with Progress(settings.run.progress_seconds) as progress:
                request = RunRequest(spec.run_id, owner=spec.owner)
                run = preflight.context(request, progress, seconds_left=spec.seconds_left)
                run.person_count, run.slice_size = spec.person_count, spec.slice_size
                run.matcher.use_chosen_method()
                yield _as_worker(run)
            run.matcher.flush_stats()
        finally:
            preflight.close()
