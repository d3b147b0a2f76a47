"""What can go wrong, as one small tree with two questions: will it pass, and whose is it?

    SyncError
    ├── Passing                      run again later: exit code 3
    │   ├── OrgUnavailableError           no answer, or a 5xx: the org's or the network's
    │   ├── OrgLimitError                  a limit is reached or the org asks for patience
    │   ├── SessionExpiredError           the login ended and a new one was not taken
    │   ├── WarehouseUnavailableError     the database is away, locked or full
    │   ├── LeaseLostError                another run has taken the batch over
    │   ├── RunEndedError                 a worker's run was ended, or another worker of it failed
    │   ├── WorkersLostError              a worker, or the scheduler it came by, went away
    │   ├── PrefectUnavailableError       the Prefect server did not start, or went away
    │   └── DeadlineReachedError          the time given is over; batches stay open, nothing is lost
    └── PermanentError                        trying again unchanged will not help
        ├── ConfigurationError            a setting or an argument: exit code 2
        ├── WarehousePermissionError         the database said no (rights, read-only): exit code 2
        ├── OrgRejectedError               the org said no, with its code: exit code 4
        ├── OrgMismatchError                 the ledger belongs to another org: exit code 4
        └── LedgerInconsistentError          the answers do not add up: exit code 4

    Interrupted                      a signal asked the process to end: exit code 128 + its number

A message is a sentence for the person who has to act, with the remedy in it. It never holds a
secret, a row or an e-mail address: it ends up in logs and in Prefect's database.
"""

from __future__ import annotations

from typing import ClassVar, Literal

ErrorSource = Literal["settings", "org", "warehouse", "ledger", "run"]


class SyncError(Exception):
    """The root: `is_transient` answers whether waiting helps, `source` names the party that has to act.

    `had_no_effect`: the org has said no to the request before it did anything, or the database has
    undone the transaction because of somebody else's lock.
    """

    is_transient: ClassVar[bool]
    source: ClassVar[ErrorSource]
    exit_code: ClassVar[int]
    had_no_effect: bool = False


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end: Ctrl-C, SIGTERM, or a terminal that was closed.

    A KeyboardInterrupt, because for that alone psycopg cancels the query at the server, which
    would go on and keep its locks.
    """

    def __init__(self, signal_number: int, reason: str) -> None:
        super().__init__(reason)
        self.signal_number = signal_number


class TransientError(SyncError):
    """Try again later; the ledger knows where to go on."""

    is_transient = True
    exit_code = 3


class OrgUnavailableError(TransientError):
    """Salesforce did not answer, or answered with a fault of its own."""

    source = "org"


class OrgLimitError(TransientError):
    """Salesforce asks for patience: a limit is reached."""

    source = "org"


class SessionExpiredError(TransientError):
    """The session ended and a fresh login was refused once."""

    source = "org"


class WarehouseUnavailableError(TransientError):
    """The database is away, locked or too slow to answer, or its disk is full."""

    source = "warehouse"


class LeaseLostError(TransientError):
    """Another run has taken the batch over; this one must not touch it any more."""

    source = "run"


class RunEndedError(TransientError):
    """The run that this worker works for is over: it stops, and what is open stays open."""

    source = "run"


class WorkersLostError(TransientError):
    """A worker went away without a word, or there is no scheduler to get one from."""

    source = "run"


class PrefectUnavailableError(TransientError):
    """A Prefect server that was to run or show this run does not answer, or not any more."""

    source = "run"


class DeadlineReachedError(TransientError):
    """The time given to this run is over."""

    source = "run"


class PermanentError(SyncError):
    """Somebody must change something first."""

    is_transient = False
    exit_code = 4


class ConfigurationError(PermanentError):
    """A setting or an argument is wrong; the message names it and the way to mend it."""

    source = "settings"
    exit_code = 2


class OrgRejectedError(PermanentError):
    """Salesforce said no. `code` is its status code, such as INSUFFICIENT_ACCESS."""

    source = "org"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return ": ".join(map(str, self.args))


class WarehousePermissionError(PermanentError):
    """The database said no: rights, a read-only file."""

    source = "warehouse"
    exit_code = 2


class OrgMismatchError(PermanentError):
    """The ledger was written for another org."""

    source = "ledger"


class LedgerInconsistentError(PermanentError):
    """The ledger and the org do not add up; nothing is guessed."""

    source = "ledger"
