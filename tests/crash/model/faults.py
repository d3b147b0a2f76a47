"""What an answer may be instead of an answer; named as `pipelines/errors.py` names them."""

from __future__ import annotations


class Trouble(Exception):
    """The root of what a step may meet."""


class OrgUnreachable(Trouble):
    """Nobody knows what the org did."""


class WarehouseUnavailable(Trouble):
    """Nobody knows whether it was committed."""


class FencedOff(Trouble):
    """Another run has the batch."""


class OrgRefused(Trouble):
    """The org said no, and did nothing."""


class LedgerDisagrees(Trouble):
    """The org answers for persons whom the batch does not hold."""


class WrongOrg(Trouble):
    """The ledger belongs to another org."""
