"""What the steps of a run share: the request, the warehouse, the org, and the batches in flight."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import pandas as pd

from pipelines.errors import DeadlineReachedError
from pipelines.progress import Progress
from pipelines.retry import Clock, RetryTimeout
from pipelines.rules import match_decisions, owner_choices, owner_strategies
from pipelines.rules.encoding import Payload
from pipelines.rules.lead_fields import LeadField
from pipelines.salesforce.session import Org
from pipelines.salesforce.sobject_collections import RecordResult
from pipelines.settings import Settings
from pipelines.steps.batch_log import BatchLog, BatchNames
from pipelines.steps.match import Matcher
from pipelines.steps.owners import OwnerLookup
from pipelines.steps.unknown_jobs import UnknownJobs
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse

log = logging.getLogger(__name__)

# For fewer persons a worker's own login and start take longer than the persons do.
MIN_PERSONS_PER_WORKER = 5_000

T = TypeVar("T")

# The persons of a collections call, and the result of each, in one order.
CallResults = tuple["pd.Series[str]", Sequence[RecordResult]]


@dataclass(frozen=True)
class RunRequest:
    """How this run differs from the settings: its mode, its persons, its owner."""

    run_id: str
    run_mode: str = "live"
    owner: str | None = None
    person_ids: tuple[str, ...] | None = None
    limit: int | None = None
    flow_run_id: str | None = None
    accept_unknown_jobs: bool = False
    workers: int | None = None

    @property
    def is_plan(self) -> bool:
        """Whether everything is decided and nothing is sent."""
        return self.run_mode == "plan"


def new_run_request(run_mode: str, **choices: object) -> RunRequest:
    """Return a request with a new run id. `choices`: the other fields of RunRequest."""
    return RunRequest(run_id=uuid.uuid4().hex, run_mode=run_mode, **choices)  # type: ignore[arg-type]


class Passed(Generic[T]):
    """A value that one step passes to the next, which takes it once.

    Once taken it is gone from here. So a slice is in memory once, although the caller of the steps
    still has a name for what the last step returned. Prefect does not look into it either.
    """

    def __init__(self, part: ledger.Slice, value: T, counts: str) -> None:
        self.part = part
        self._values = [value]
        self._counts = counts

    def __str__(self) -> str:
        """Return the counts, as a log line and a task's state show them."""
        return self._counts

    def take(self) -> T:
        """Return the value; keep no reference to it."""
        return self._values.pop()


class CommitOrder(Protocol):
    """The order in which the workers of one run record their slices."""

    def wait(self, part: ledger.Slice) -> None:
        """Wait until all earlier slices are committed."""


@dataclass(eq=False)
class BatchesInFlight:
    """The open batches that this run or worker carries, and what it knows beyond the ledger.

    All of it only saves time. A payload that is not here is built again from the source rows.
    Results that are not here are requested, and stable counts are counted again.
    """

    log: BatchLog
    retry: RetryTimeout
    batches: list[ledger.Batch] = field(default_factory=list)
    payloads: dict[str, Payload] = field(default_factory=dict)
    results: dict[tuple[str, int], CallResults] = field(default_factory=dict)
    stable_counts: dict[str, tuple[int | None, int]] = field(default_factory=dict)

    def add(self, batch: ledger.Batch, payload: Payload | None = None) -> None:
        """Carry this batch from now on; it replaces an earlier copy of itself."""
        self.batches[:] = [one for one in self.batches if one.batch_id != batch.batch_id]
        self.batches.append(batch)
        self.log.names.add(batch.batch_id)
        if payload is not None:
            self.payloads[batch.batch_id] = payload

    def replace(self, batch: ledger.Batch, after: ledger.Batch | None) -> None:
        """Put the batch as it is now in its place; drop it when completed or another run's."""
        place = self.batches.index(batch)
        is_ours = after is not None and after.fencing_token == batch.fencing_token
        if after is not None and is_ours and after.batch_state != "completed":
            self.batches[place] = after
            return
        self.log.ended(batch, after)
        del self.batches[place]
        self.payloads.pop(batch.batch_id, None)

    def waiting(self) -> str:
        """Return what is waited for, as a log line says it."""
        return self.log.waiting(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


@dataclass(eq=False, kw_only=True)
class RunContext:
    """One run as its steps see it. Built once, complete, by `run.preflight`.

    `columns`: Lead field → column of the persons table. `person_id_field`: the unique external id
    on Lead, "" for an org without one. `commit_order`: of a run with several workers.
    """

    settings: Settings
    request: RunRequest
    warehouse: Warehouse
    org: Org
    columns: dict[str, str]
    lead_fields: dict[str, LeadField]
    person_id_field: str
    person_id_length: int | None
    owner_lookup: OwnerLookup
    default_strategy: owner_strategies.Strategy
    choices: tuple[owner_choices.Choice, ...]
    default_lead_owner_id: str | None
    unknown_jobs: UnknownJobs
    matcher: Matcher
    progress: Progress
    in_flight: BatchesInFlight
    clock: Clock = time
    give_up_at: float | None = None
    commit_order: CommitOrder | None = None
    started_at: float = field(default_factory=time.monotonic)
    person_count: int = 0
    slice_size: int = 1
    worker_api_call_count: int = 0

    @property
    def run_id(self) -> str:
        """The run's id in the ledger."""
        return self.request.run_id

    @property
    def matching(self) -> match_decisions.MatchingOptions:
        """The options of the decision table."""
        chosen = self.settings.matching.model_dump(exclude={"lookup", "refresh_minutes"})
        return match_decisions.MatchingOptions(**chosen)

    @property
    def api_call_count(self) -> int:
        """API calls of this process and of the workers that have ended."""
        return self.worker_api_call_count + self.org.api_call_count

    @property
    def slices(self) -> Iterator[ledger.Slice]:
        """The slices of the persons that this run reads, in order."""
        for first in range(1, self.person_count + 1, self.slice_size):
            yield self.slice_from(first)

    def slice_from(self, first: int) -> ledger.Slice:
        """Return the slice that begins at this position."""
        last = min(first + self.slice_size - 1, self.person_count)
        return ledger.Slice(self.run_id, first, last)

    def slice_name(self, part: ledger.Slice) -> str:
        """Return the slice's positions among the run's persons, for logs and task names."""
        return f"{part.first:,}–{part.last:,} of {self.person_count:,}"

    def plan_slices(self, person_count: int) -> None:
        """Set how many persons are read, in slices small enough for every worker to get one."""
        self.person_count = person_count
        self.slice_size = slice_size_for(
            person_count, self._asked_workers, self.settings.run.slice_size
        )

    @property
    def worker_count(self) -> int:
        """How many workers share the slices: no more than there are slices."""
        slice_count = -(-self.person_count // self.slice_size)
        return max(1, min(self._asked_workers, slice_count))

    @property
    def _asked_workers(self) -> int:
        asked = self.request.workers or self.settings.run.workers
        return asked if self.request.run_mode == "live" else 1

    def new_retry(self, log: logging.Logger) -> RetryTimeout:
        """Return a retry that lasts as long as the settings allow."""
        options = self.settings.run
        return RetryTimeout(
            options.retry_timeout_seconds, self.clock, log, line_seconds=options.progress_seconds
        )

    def require_time_left(self) -> None:
        """Raise DeadlineReachedError when the run's time is over."""
        if self.give_up_at is not None and self.clock.monotonic() >= self.give_up_at:
            raise DeadlineReachedError(
                f"the run's deadline is over with {len(self.in_flight)} batches open "
                f"({self.in_flight.waiting()}): person-sync resume completes them"
            )


def slice_size_for(person_count: int, worker_count: int, max_slice_size: int) -> int:
    """Return how many persons a slice has, so that every worker gets one where it is worth it."""
    share = -(-person_count // worker_count)
    return min(max_slice_size, max(share, MIN_PERSONS_PER_WORKER))


def new_batches_in_flight(settings: Settings, clock: Clock = time) -> BatchesInFlight:
    """Return the batches in flight of a run that has none yet."""
    options = settings.run
    retry = RetryTimeout(
        options.retry_timeout_seconds, clock, log, line_seconds=options.progress_seconds
    )
    return BatchesInFlight(BatchLog(BatchNames(), clock), retry)
