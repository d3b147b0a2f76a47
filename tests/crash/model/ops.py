"""The atomic doings of a run, what it remembers between them, and the world they act on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from tests.crash.model.ledger_side import Batch, Ledger
from tests.crash.model.org import Org, Row


class World(NamedTuple):
    """All that outlives a process, and what the laws have found."""

    org: Org
    ledger: Ledger
    versions: tuple[tuple[str, int], ...]  # of each person's source row
    broken: frozenset[str] = frozenset()
    unknowable: frozenset[str] = frozenset()  # of whom nobody can know what became


class Call(NamedTuple):
    """One request to the org: a function of `org.py` and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()


class Commit(NamedTuple):
    """One transaction of the ledger; `batch_id` is the batch it is about."""

    batch_id: str
    act: Callable[[Ledger], tuple[Ledger, Any]]


class Read(NamedTuple):
    """A look into the warehouse; `of_source` where it reads the persons table."""

    act: Callable[[World], Any]
    of_source: bool = False


class LookAround(NamedTuple):
    """Which open batches nobody carries, and which a living run does: ids and fences."""

    taker: str


class Choose(NamedTuple):
    """What nobody decides: each of the options is tried."""

    question: str
    options: tuple[str, ...]


Op = Call | Commit | Read | LookAround | Choose
Answers = tuple[Row, ...]


class Mind(NamedTuple):
    """What a run is and remembers between two steps; it is gone when the process dies.

    `agenda`: what is to be done before carrying. `answers`: of a collections call whose outcomes
    are not recorded yet, by batch and attempt. `still`: how often a job's count was seen.
    """

    name: str
    persons: tuple[str, ...]
    load_api: str
    agenda: tuple[str, ...]
    operation: str = "insert"
    org_id: str = "the org"
    carried: tuple[Batch, ...] = ()
    turn: int = 0
    payloads: tuple[tuple[str, tuple[str, ...]], ...] = ()
    answers: tuple[tuple[tuple[str, int], Answers], ...] = ()
    still: tuple[tuple[str, int, int], ...] = ()


class Memory:
    """A mind while a step is under way."""

    def __init__(self, mind: Mind) -> None:
        self.mind = mind
        self.payloads = dict(mind.payloads)
        self.answers = dict(mind.answers)
        self.still = {job: (count, times) for job, count, times in mind.still}

    def forget_batch(self, batch_id: str) -> None:
        """The batch is over or another's."""
        self.payloads.pop(batch_id, None)
        self.answers = {key: one for key, one in self.answers.items() if key[0] != batch_id}

    def mind_with(self, **changes: Any) -> Mind:
        """The mind after the step."""
        return self.mind._replace(
            payloads=tuple(sorted(self.payloads.items())),
            answers=tuple(sorted(self.answers.items())),
            still=tuple(sorted((job, *seen) for job, seen in self.still.items())),
            **changes,
        )


class Ended(NamedTuple):
    """How a unit of a run ended: the mind afterwards, and the word for it."""

    mind: Mind
    word: str
    is_waiting: bool = False
    is_alarm: bool = False  # the run stops, and a human must look


Step = Generator[Op, Any, Batch]
Unit = Generator[Op, Any, Ended]
