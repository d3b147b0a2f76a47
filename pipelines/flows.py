"""What a run does, step by step: extract, validate, match, partition, load, reconcile.

`orchestration/prefect_flows.py` shows the same steps in Prefect. The ledger in the warehouse is the
memory and the lock; the caller of these steps only decides when they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from pipelines.run import worker_pools, workers
from pipelines.run.lifecycle import close_run, open_run
from pipelines.run.summaries import Summary
from pipelines.settings import Settings
from pipelines.steps import extract, load, partition, recover, transform
from pipelines.steps.context import RunContext, RunRequest, new_run_request

P = ParamSpec("P")
T = TypeVar("T")
StartWorkers = Callable[[RunContext], AbstractContextManager[None]]
ReadSettings = Callable[[], Settings]


class RunStep(Protocol):
    """How a step is run: plainly, or as a Prefect task."""

    def __call__(self, step: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T: ...


def sync(
    settings: Settings,
    request: RunRequest,
    run_step: RunStep,
    start_workers: StartWorkers | None = None,
) -> Summary:
    """Turn every new person into a lead, or record why not. `start_workers`: of several workers."""
    with open_run(settings, request) as run:
        run_step(recover.resolve_held_persons, run)
        if request.run_mode == "live":
            run_step(recover.take_over_stale_batches, run)
        run_step(extract.find_new_persons, run)
        if start_workers and run.worker_count > 1:
            with start_workers(run):  # meanwhile, what earlier runs left open
                run_step(load.reconcile_batches, run)
            run_step(workers.recover_lost_workers, run)
        else:
            for part in run.slices:
                rows = run_step(extract.extract_slice, run, part)
                valid = run_step(transform.validate_slice, run, rows)
                matched = run_step(transform.match_slice, run, valid)
                run_step(partition.partition_slice, run, matched)
                run_step(load.load_batches, run)
        run_step(load.reconcile_batches, run)
        return close_run(run)


def complete_open_batches(settings: Settings, request: RunRequest, run_step: RunStep) -> Summary:
    """Complete what earlier runs left open; read no new person."""
    with open_run(settings, request) as run:
        run_step(recover.resolve_held_persons, run)
        run_step(recover.take_over_stale_batches, run)
        run_step(load.reconcile_batches, run)
        return close_run(run)


def call_step(step: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
    """Run a step without Prefect."""
    return step(*arguments, **options)


def sync_without_prefect(
    settings: Settings, request: RunRequest, read_settings: ReadSettings
) -> Summary:
    """Run `sync` in this process. `read_settings` must be importable where workers run."""
    return sync(settings, request, call_step, partial(_start_workers, settings, read_settings))


def sync_now(settings: Settings, person_ids: Sequence[str]) -> Summary:
    """Sync these persons immediately, without Prefect."""
    return sync(settings, new_run_request("now", person_ids=tuple(person_ids)), call_step)


def resume(settings: Settings, *, accept_unknown_jobs: bool = False) -> Summary:
    """Resume without Prefect. `accept_unknown_jobs`: those that the ledger does not know."""
    request = new_run_request("resume", accept_unknown_jobs=accept_unknown_jobs)
    return complete_open_batches(settings, request, call_step)


@contextmanager
def _start_workers(
    settings: Settings, read_settings: ReadSettings, run: RunContext
) -> Iterator[None]:
    """Share the slices among workers of this machine or of a Dask cluster."""
    spec, count = workers.worker_spec(run), run.worker_count
    with worker_pools.open_pool(settings, count) as pool, workers.stop_on_error(run):
        futures = [pool.submit(workers.work, spec, read_settings) for _ in range(count)]
        yield
        workers.collect_results(run, [future.result for future in futures])
