"""The workers of one run: each takes slices, judges them, sends, and settles what it has sent.

A worker is a thread of the run's process or a process on whatever machine, and works alike in both:
it is told a Share, ids and numbers, reads its own settings, and opens its own warehouse and its own
session with the org. No row, no secret and no address travels. What keeps them apart is the ledger
(`turns`), so a worker may die at any line: its slice is judged by whoever waits for it, its batches
are carried on by the run itself, and at the worst by the next one.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from pipelines import memory
from pipelines.errors import (
    ConfigurationError,
    DeadlineReachedError,
    LeaseLostError,
    RunEndedError,
    SyncError,
    TransientError,
    WarehouseUnavailableError,
    WorkersLostError,
)
from pipelines.retry import Clock, RetryTimeout
from pipelines.run import connections, lifecycle, preflight
from pipelines.run.lifecycle import Run
from pipelines.settings import Settings
from pipelines.steps.load import Carrier
from pipelines.steps.transform import Request
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

LOOK_SECONDS = 1.0  # how often a worker who sleeps looks whether its run still goes on
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5  # between two looks whether it is a slice's turn


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker is told of its run. `decisions`: see `Settings.decisions`."""

    run_id: str
    owner: str | None
    person_count: int
    slice_size: int
    decisions: str
    seconds_left: float | None


class SliceStalledError(Exception):
    """The slice from `first` on has not been judged for longer than we are patient."""

    def __init__(self, first: int) -> None:
        super().__init__(first)
        self.first = first


class StoppableClock:
    """The clock of a worker: while it sleeps it looks whether its run still goes on."""

    def __init__(self, warehouse: Warehouse, run_id: str, clock: Clock = time) -> None:
        self._warehouse, self._run_id, self._clock = warehouse, run_id, clock

    def monotonic(self) -> float:
        """As of the clock underneath."""
        return self._clock.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """So long, or until the run is over. Raises RunEndedError."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            self._clock.sleep(min(left, LOOK_SECONDS))
            # A warehouse that is away is for the next step to find, with its own patience.
            with suppress(WarehouseUnavailableError):
                ledger.committed_position(self._warehouse, self._run_id)


class CommitOrder:
    """The order in which slices are recorded; a slice that is not, for too long, is overdue."""

    def __init__(self, warehouse: Warehouse, clock: Clock, retry_timeout_seconds: float) -> None:
        self._warehouse, self._clock, self._patience = warehouse, clock, retry_timeout_seconds

    def wait(self, turn: ledger.Slice) -> None:
        """Until all slices before this one are recorded. Raises RunEndedError, Overdue, and LeaseLostError
        when another worker has judged the slice meanwhile."""
        seen, since, pause = -1, 0.0, FIRST_PAUSE
        while (judged := ledger.committed_position(self._warehouse, turn.run_id)) != turn.first - 1:
            if judged >= turn.first:
                raise LeaseLostError(f"another worker has judged positions from {turn.first} on")
            now = self._clock.monotonic()
            if judged != seen:
                seen, since = judged, now
            elif now - since >= self._patience:
                raise SliceStalledError(judged + 1)
            self._clock.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)


def worker_spec(run: Run) -> WorkerSpec:
    """What a worker has to be told of the run."""
    give_up_at = run.carrier.give_up_at
    return WorkerSpec(
        run_id=run.request.run_id,
        owner=run.request.owner,
        person_count=run.person_count,
        slice_size=run.slice_size,
        decisions=run.settings.decisions(),
        seconds_left=None if give_up_at is None else give_up_at - time.monotonic(),
    )


def work(share: WorkerSpec, read_settings: Callable[[], Settings]) -> int:
    """Judge and send slices until none is left, then settle what is in flight; answers the API
    calls it took. Raises RunEndedError when the run is over or another worker has failed."""
    with _join(read_settings(), share) as run:
        try:
            while (turn := _patiently(run, _take_slice, run)) is not None:
                _judge(run, turn.first, turn.last)
                lifecycle.send(run)
            lifecycle.settle(run)
        except RunEndedError:
            raise
        except BaseException:
            stop(run)
            raise
        return run.ground.org.api_call_count


def stop(run: Run) -> None:
    """Have every worker of the run stop within a second or two, wherever it is."""
    with suppress(SyncError):
        ledger.stop_workers(run.ground.warehouse, run.request.run_id)


@contextmanager
def stop_on_error(run: Run) -> Iterator[None]:
    """A block with workers under way: whatever ends it has them stop too. Raises WorkersLostError when
    the place where they should work does not answer."""
    try:
        yield
    except OSError:
        stop(run)
        raise WorkersLostError("no Dask scheduler answers at run.dask_address: start it") from None
    except BaseException:
        stop(run)
        raise


def collect_results(run: Run, answers: Iterable[Callable[[], int]]) -> None:
    """Wait for every worker, then raise the first failure.

    A worker who stopped because another failed is only the echo of that one. One that was lost
    without a word is no failure: `recover_lost_workers` does what it has not done.
    """
    failures: list[Exception] = []
    for answer in answers:
        try:
            run.api_calls_elsewhere += answer()
        except Exception as error:  # noqa: BLE001 - each is heard, and the first raised below
            if type(error).__module__.partition(".")[0] == "distributed":
                kind = type(error).__name__
                log.warning("workers: one was lost (%s); the run does its work", kind)
            else:
                failures.append(error)
    if failures:
        raise min(failures, key=lambda one: isinstance(one, RunEndedError))


def recover_lost_workers(run: Run) -> int:
    """Judge the slices and take over the batches that workers who died have left; answers how many
    batches. Only when all workers have ended."""
    here = _among_workers(run)
    warehouse, run_id = run.ground.warehouse, run.request.run_id
    while (judged := ledger.committed_position(warehouse, run_id)) < run.person_count:
        _judge_left(here, judged + 1)
    seconds = run.settings.run.lease_seconds
    batches = ledger.claim_left_batches(warehouse, run_id, lease_seconds=seconds)
    for batch in batches:
        run.carrier.take(batch)
    return len(batches)


def _take_slice(run: Run) -> ledger.Slice | None:
    return ledger.claim_slice(
        run.ground.warehouse, run.request.run_id, size=run.slice_size, count=run.person_count
    )


def _judge(run: Run, first: int, last: int) -> None:
    """Judge a slice, and before it whatever is overdue: safe even if its worker is only slow."""
    while True:
        try:
            _patiently(run, lifecycle.judge, run, first, last)
        except SliceStalledError as overdue:
            log.warning("slice from position %s made no progress: taking it over", overdue.first)
            _judge_left(run, overdue.first)
        except LeaseLostError:
            return
        else:
            return


def _judge_left(run: Run, first: int) -> None:
    _judge(run, first, min(first + run.slice_size - 1, run.person_count))


def _patiently(run: Run, step: Callable[..., Answer], *arguments: object) -> Answer:
    """The step, again when trouble passes: with several at work a lock is waited for more often."""
    options, clock = run.settings.run, run.carrier.clock
    timeout = RetryTimeout(
        options.retry_timeout_seconds, clock, log, line_seconds=options.progress_seconds
    )
    while True:
        try:
            return step(*arguments)
        except (RunEndedError, DeadlineReachedError, LeaseLostError):
            raise
        except TransientError as trouble:
            timeout.failed(trouble)
            clock.sleep(options.poll_seconds)


def _among_workers(run: Run) -> Run:
    """The same run as one of several workers sees it, with what it carries by itself."""
    one = copy.copy(run)
    warehouse, run_id = run.ground.warehouse, run.request.run_id
    watch = StoppableClock(warehouse, run_id)
    one.carrier = Carrier(
        run.ground,
        run_id,
        clock=watch,
        progress=run.progress,
        give_up_at=run.carrier.give_up_at,
        names=run.carrier.names,
    )
    one.order = CommitOrder(warehouse, time, run.settings.run.retry_timeout_seconds)
    return one


@contextmanager
def _join(settings: Settings, share: WorkerSpec) -> Iterator[Run]:
    """The run seen from another process, which finds the ground by itself."""
    if settings.decisions() != share.decisions:
        raise ConfigurationError(
            "this worker has other fields, defaults, owners or matching than its run: give every "
            "machine the same settings file"
        )
    memory.limit_heap_growth()
    with connections.open_store(settings) as warehouse:
        run = Run(settings, Request(share.run_id, owner=share.owner), warehouse)
        run.person_count, run.slice_size = share.person_count, share.slice_size
        if share.seconds_left is not None:
            run.carrier.give_up_at = time.monotonic() + share.seconds_left
        # Asked first: another warehouse than the run's does not know it.
        ledger.committed_position(warehouse, share.run_id)
        try:
            for probe in preflight.WORKER_CHECKS:
                probe(run.ground)
            run.ground.matcher = lifecycle.new_matcher(run)
            run.ground.matcher.use_chosen_method()
            with run.progress:
                yield _among_workers(run)
            run.ground.matcher.flush_stats()
        finally:
            if hasattr(run.ground, "org"):
                run.ground.org.close()
