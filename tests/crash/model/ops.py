"""The operations of a run, what it remembers between them, and the world that they change."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from tests.crash.model.ledger_model import Batch, Ledger
from tests.crash.model.org import Org, Row


class World(NamedTuple):
    """Everything that outlives a process, and the invariants broken so far."""

    org: Org
    ledger: Ledger
    versions: tuple[tuple[str, int], ...]  # of each person's source row
    broken: frozenset[str] = frozenset()
    unknowable: frozenset[str] = frozenset()  # persons whose outcome cannot be known


class Call(NamedTuple):
    """One request to the org: a function of `org.py` and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()


class Commit(NamedTuple):
    """One transaction of the ledger about the batch `batch_id`."""

    batch_id: str
    act: Callable[[Ledger], tuple[Ledger, Any]]


class Read(NamedTuple):
    """Read from the warehouse; `of_source`: from the persons table."""

    act: Callable[[World], Any]
    of_source: bool = False


class ListOpenBatches(NamedTuple):
    """List ids and fencing tokens of open batches: those no run works on, and the others."""

    taker: str


class Choose(NamedTuple):
    """A choice that is left open: each of the options is tried."""

    question: str
    options: tuple[str, ...]


Op = Call | Commit | Read | ListOpenBatches | Choose
Rows = tuple[Row, ...]


class Run(NamedTuple):
    """A run, and what it remembers between two steps. It is lost when the process dies.

    `units_left`: what the run does before it advances its batches. `call_results`: results of
    collections calls that are not recorded yet, by batch and attempt. `job_counts`: the processed
    rows of each aborted job, and how many polls in a row have returned this number.
    """

    name: str
    persons: tuple[str, ...]
    load_api: str
    units_left: tuple[str, ...]
    operation: str = "insert"
    org_id: str = "the org"
    batches: tuple[Batch, ...] = ()
    batch_index: int = 0
    payloads: tuple[tuple[str, tuple[str, ...]], ...] = ()
    call_results: tuple[tuple[tuple[str, int], Rows], ...] = ()
    job_counts: tuple[tuple[str, int, int], ...] = ()


class Memory:
    """What a run remembers, changeable during a step."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.payloads = dict(run.payloads)
        self.call_results = dict(run.call_results)
        self.job_counts = {job: (count, times) for job, count, times in run.job_counts}

    def forget_batch(self, batch_id: str) -> None:
        """Forget a batch that is completed, or that another run has."""
        self.payloads.pop(batch_id, None)
        self.call_results = {
            key: rows for key, rows in self.call_results.items() if key[0] != batch_id
        }

    def run_with(self, **changes: Any) -> Run:
        """Return the run after the step."""
        return self.run._replace(
            payloads=tuple(sorted(self.payloads.items())),
            call_results=tuple(sorted(self.call_results.items())),
            job_counts=tuple(sorted((job, *counts) for job, counts in self.job_counts.items())),
            **changes,
        )


class Ended(NamedTuple):
    """The end of a unit: the run after it, and its result in one word."""

    run: Run
    result: str
    is_waiting: bool = False
    is_permanent_error: bool = False  # the run stops, and a human has to act


Step = Generator[Op, Any, Batch]
Unit = Generator[Op, Any, Ended]
