"""The errors that a step can meet, named as in `pipelines/errors.py`."""

from __future__ import annotations


class StepError(Exception):
    """The base of all errors that a step can meet."""


class OrgUnavailableError(StepError):
    """There is no response; the request may have had its effect."""


class WarehouseUnavailableError(StepError):
    """There is no response; the transaction may be committed."""


class LeaseLostError(StepError):
    """Another run has the batch."""


class OrgRejectedError(StepError):
    """The org rejected the request, which had no effect."""


class LedgerInconsistentError(StepError):
    """The org has results for persons who are not in the batch."""


class OrgMismatchError(StepError):
    """The ledger belongs to another org."""
