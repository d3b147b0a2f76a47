"""What a run does, step by step. `prefect_flows` shows the same steps in Prefect.

A step gets the run and positions, and returns a count. The ledger in the warehouse is the memory
and the lock; whoever runs these steps only decides when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from pipelines.run import lifecycle, worker_pools
from pipelines.run import workers as crew
from pipelines.run.summaries import Summary
from pipelines.settings import Settings
from pipelines.steps.transform import Request

RunStep = Callable[..., int]
StartWorkers = Callable[[lifecycle.Run], AbstractContextManager[None]]
ReadSettings = Callable[[], Settings]


def sync(
    settings: Settings,
    request: Request,
    run_step: RunStep,
    start_workers: StartWorkers | None = None,
) -> Summary:
    """Make every new person a lead, or record why not. `start_workers` starts several workers."""
    with lifecycle.open_run(settings, request) as run:
        run_step(lifecycle.resolve_held_persons, run)
        if request.run_mode == "live":
            run_step(lifecycle.take_over_stale_batches, run)
        run_step(lifecycle.find_new_persons, run)
        if start_workers and run.worker_count > 1:
            with start_workers(run):  # meanwhile, what earlier runs left open
                run_step(lifecycle.settle, run)
            run_step(crew.recover_lost_workers, run)
        else:
            for first, last in run.slices:
                run_step(lifecycle.judge, run, first, last)
                run_step(lifecycle.send, run)
        run_step(lifecycle.settle, run)
        return lifecycle.close_run(run)


def carry_on(settings: Settings, request: Request, run_step: RunStep) -> Summary:
    """Carry what earlier runs left open to its end; read nobody new."""
    with lifecycle.open_run(settings, request) as run:
        run_step(lifecycle.resolve_held_persons, run)
        run_step(lifecycle.take_over_stale_batches, run)
        run_step(lifecycle.settle, run)
        return lifecycle.close_run(run)


def plainly(step: RunStep, *arguments: Any) -> int:
    """Run a step without Prefect."""
    return step(*arguments)


def sync_without_prefect(
    settings: Settings, request: Request, read_settings: ReadSettings
) -> Summary:
    """Run `sync` in this process. `read_settings` must be importable where workers run."""
    return sync(settings, request, plainly, partial(_start_workers, settings, read_settings))


def sync_now(settings: Settings, person_ids: Sequence[str]) -> Summary:
    """Sync these persons immediately, without Prefect."""
    return sync(settings, lifecycle.new_run_request("now", person_ids=tuple(person_ids)), plainly)


def resume(settings: Settings, *, accept_unknown_jobs: bool = False) -> Summary:
    """Resume without Prefect; `accept_unknown_jobs`: accept jobs that the ledger does not know."""
    return carry_on(
        settings,
        lifecycle.new_run_request("resume", accept_unknown_jobs=accept_unknown_jobs),
        plainly,
    )


@contextmanager
def _start_workers(
    settings: Settings, read_settings: ReadSettings, run: lifecycle.Run
) -> Iterator[None]:
    """Share the slices among workers of this machine or of a Dask cluster."""
    share = crew.worker_spec(run)
    with worker_pools.open_pool(settings, run.worker_count) as pool, crew.stop_on_error(run):
        futures = [pool.submit(crew.work, share, read_settings) for _ in range(run.worker_count)]
        yield
        crew.collect_results(run, [future.result for future in futures])
