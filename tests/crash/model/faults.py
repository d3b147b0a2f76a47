"""What an answer may be instead of an answer; named as `pipelines/errors.py` names them."""

from __future__ import annotations


class Trouble(Exception):
    """The root of what a step may meet."""


class OrgUnavailableError(Trouble):
    """Nobody knows what the org did."""


class WarehouseUnavailableError(Trouble):
    """Nobody knows whether it was committed."""


class LeaseLostError(Trouble):
    """Another run has the batch."""


class OrgRejectedError(Trouble):
    """The org said no, and did nothing."""


class LedgerInconsistentError(Trouble):
    """The org answers for persons whom the batch does not hold."""


class OrgMismatchError(Trouble):
    """The ledger belongs to another org."""
