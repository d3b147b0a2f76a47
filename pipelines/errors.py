"""What can go wrong, as one small tree with two questions: will it pass, and whose is it?

    SyncError
    ├── Passing                      run again later: exit code 3
    │   ├── OrgUnreachable           no answer, or a 5xx: the org's or the network's
    │   ├── OrgBusy                  a limit is reached or the org asks for patience
    │   ├── SessionExpired           the login ended and a new one was not taken
    │   ├── WarehouseUnavailable     the database is away, locked or full
    │   ├── FencedOff                another run has taken the batch over
    │   ├── RunEnded                 a worker's run was ended, or another worker of it failed
    │   ├── WorkersLost              a worker, or the scheduler it came by, went away
    │   ├── PrefectUnavailable       the Prefect server did not start, or went away
    │   └── DeadlineReached          the time given is over; batches stay open, nothing is lost
    └── Final                        trying again unchanged will not help
        ├── SettingsWrong            a setting or an argument: exit code 2
        ├── WarehouseRefused         the database said no (rights, read-only): exit code 2
        ├── OrgRefused               the org said no, with its code: exit code 4
        ├── WrongOrg                 the ledger belongs to another org: exit code 4
        └── LedgerDisagrees          the answers do not add up: exit code 4

    Interrupted                      a signal asked the process to end: exit code 128 + its number

A message is a sentence for the person who has to act, with the remedy in it. It never holds a
secret, a row or an e-mail address: it ends up in logs and in Prefect's database.
"""

from __future__ import annotations

from typing import ClassVar, Literal

Party = Literal["settings", "org", "warehouse", "ledger", "run"]


class SyncError(Exception):
    """The root: `passes` answers whether waiting helps, `whose` names the party that has to act.

    `made_nothing`: the org has said no to the request before it did anything, or the database has
    undone the transaction because of somebody else's lock.
    """

    passes: ClassVar[bool]
    whose: ClassVar[Party]
    exit_code: ClassVar[int]
    made_nothing: bool = False


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end: Ctrl-C, SIGTERM, or a terminal that was closed.

    A KeyboardInterrupt, because for that alone psycopg cancels the query at the server, which
    would go on and keep its locks.
    """

    def __init__(self, signal_number: int, reason: str) -> None:
        super().__init__(reason)
        self.signal_number = signal_number


class Passing(SyncError):
    """Try again later; the ledger knows where to go on."""

    passes = True
    exit_code = 3


class OrgUnreachable(Passing):
    """Salesforce did not answer, or answered with a fault of its own."""

    whose = "org"


class OrgBusy(Passing):
    """Salesforce asks for patience: a limit is reached."""

    whose = "org"


class SessionExpired(Passing):
    """The session ended and a fresh login was refused once."""

    whose = "org"


class WarehouseUnavailable(Passing):
    """The database is away, locked or too slow to answer, or its disk is full."""

    whose = "warehouse"


class FencedOff(Passing):
    """Another run has taken the batch over; this one must not touch it any more."""

    whose = "run"


class RunEnded(Passing):
    """The run that this worker works for is over: it stops, and what is open stays open."""

    whose = "run"


class WorkersLost(Passing):
    """A worker went away without a word, or there is no scheduler to get one from."""

    whose = "run"


class PrefectUnavailable(Passing):
    """A Prefect server that was to run or show this run does not answer, or not any more."""

    whose = "run"


class DeadlineReached(Passing):
    """The time given to this run is over."""

    whose = "run"


class Final(SyncError):
    """Somebody must change something first."""

    passes = False
    exit_code = 4


class SettingsWrong(Final):
    """A setting or an argument is wrong; the message names it and the way to mend it."""

    whose = "settings"
    exit_code = 2


class OrgRefused(Final):
    """Salesforce said no. `code` is its status code, such as INSUFFICIENT_ACCESS."""

    whose = "org"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return ": ".join(map(str, self.args))


class WarehouseRefused(Final):
    """The database said no: rights, a read-only file."""

    whose = "warehouse"
    exit_code = 2


class WrongOrg(Final):
    """The ledger was written for another org."""

    whose = "ledger"


class LedgerDisagrees(Final):
    """The ledger and the org do not add up; nothing is guessed."""

    whose = "ledger"
