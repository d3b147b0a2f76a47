"""What can go wrong: one tree of errors, with three questions about each.

Is it transient: does it help to run again later? What is its source: who has to act? What is the
exit code of the command?

    SyncError
    ├── TransientError               run again later: exit code 3
    │   ├── OrgUnavailableError          no response, or a 5xx: Salesforce or the network
    │   ├── OrgLimitError                a limit of the org is reached
    │   ├── SessionExpiredError          the session expired and a new login did not help
    │   ├── WarehouseUnavailableError    the database is away, locked or full
    │   ├── LeaseLostError               another run has taken the batch over
    │   ├── RunEndedError                the worker's run has ended, or another worker of it failed
    │   ├── WorkersLostError             a worker, or the scheduler, went away
    │   ├── PrefectUnavailableError      the Prefect server did not start, or went away
    │   └── DeadlineReachedError         the run's time is over; its batches stay open
    └── PermanentError               a human must change something first
        ├── ConfigurationError           a setting or an argument: exit code 2
        ├── WarehousePermissionError     the database refused (rights, read-only): exit code 2
        ├── OrgRejectedError             the org refused, with its code: exit code 4
        ├── OrgMismatchError             the ledger belongs to another org: exit code 4
        └── LedgerInconsistentError      ledger and org do not add up: exit code 4

    Interrupted                      a signal asked the process to end: exit code 128 + its number

A message is a sentence for the person who has to act, with the remedy in it. It never holds a
secret, a row or an e-mail address: it is written to logs and to Prefect's database.
"""

from __future__ import annotations

from typing import ClassVar, Literal

ErrorSource = Literal["settings", "org", "warehouse", "ledger", "run"]


class SyncError(Exception):
    """The root. `is_transient`: whether it helps to wait. `source`: the party that has to act.

    `had_no_effect`: the request or transaction is known to have changed nothing. The org rejected
    it before doing anything, or the database rolled it back because of another lock.
    """

    is_transient: ClassVar[bool]
    source: ClassVar[ErrorSource]
    exit_code: ClassVar[int]
    had_no_effect: bool = False


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end: Ctrl-C, SIGTERM, or a terminal that was closed.

    Named as KeyboardInterrupt and not as an error: `except Exception` must not catch it. It is a
    KeyboardInterrupt because only then psycopg cancels the query on the server, which would
    otherwise go on and keep its locks.
    """

    def __init__(self, signal_number: int, reason: str) -> None:
        super().__init__(reason)
        self.signal_number = signal_number


class TransientError(SyncError):
    """Run again later. The ledger knows where to go on."""

    is_transient = True
    exit_code = 3


class OrgUnavailableError(TransientError):
    """Salesforce did not respond, or responded with an error of its own."""

    source = "org"


class OrgLimitError(TransientError):
    """A limit of Salesforce is reached, or it is too slow."""

    source = "org"


class SessionExpiredError(TransientError):
    """The session expired, and the org did not accept a new login."""

    source = "org"


class WarehouseUnavailableError(TransientError):
    """The database is away, locked or too slow, or its disk is full."""

    source = "warehouse"


class LeaseLostError(TransientError):
    """Another run has taken over what this run had leased; this run must not write it any more."""

    source = "run"


class RunEndedError(TransientError):
    """The run of this worker has ended. The worker stops, and open batches stay open."""

    source = "run"


class WorkersLostError(TransientError):
    """A worker went away without a result, or there is no scheduler to start one."""

    source = "run"


class PrefectUnavailableError(TransientError):
    """The Prefect server that runs or shows this run does not respond."""

    source = "run"


class DeadlineReachedError(TransientError):
    """The time that this run was given is over."""

    source = "run"


class PermanentError(SyncError):
    """Running again unchanged does not help: a human must change something first."""

    is_transient = False
    exit_code = 4


class ConfigurationError(PermanentError):
    """A setting or an argument is wrong. The message names it and the remedy."""

    source = "settings"
    exit_code = 2


class OrgRejectedError(PermanentError):
    """Salesforce refused the request. `code` is its status code, such as INSUFFICIENT_ACCESS."""

    source = "org"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return ": ".join(map(str, self.args))


class WarehousePermissionError(PermanentError):
    """The database refused: missing rights, or a read-only file."""

    source = "warehouse"
    exit_code = 2


class OrgMismatchError(PermanentError):
    """The ledger was written for another org."""

    source = "ledger"


class LedgerInconsistentError(PermanentError):
    """The ledger and the org do not add up. The run stops: a guess could create duplicates."""

    source = "ledger"
