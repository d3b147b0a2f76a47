"""Translate the errors of a database driver into ours.

Each engine knows what its error codes mean (`Dialect.problem_of`). The decision is made by code,
never by the text of a message: texts change with the version and with the server's language.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from sqlalchemy import exc

from pipelines.errors import (
    ConfigurationError,
    SyncError,
    WarehousePermissionError,
    WarehouseUnavailableError,
)

_MESSAGES: dict[type[SyncError], str] = {
    WarehouseUnavailableError: (
        "the warehouse is away, locked or too slow to answer ({code}); run again later"
    ),
    ConfigurationError: (
        "the warehouse of `warehouse.url` cannot be opened ({code}); "
        "correct the address, the database's name, the user or the password"
    ),
    WarehousePermissionError: (
        "the warehouse refused ({code}); look at the user's rights, a read-only file, "
        "and whether `person-sync migrate` has run"
    ),
}
_DISK_FULL = "the warehouse's disk is full ({code}); nothing is lost: make room and run again"


class Problem(NamedTuple):
    """What an error of a driver means.

    `had_no_effect`: the database confirms that it has rolled the transaction back, because another
    transaction was faster. The transaction may be repeated.
    """

    error_class: type[SyncError]
    code: str
    is_disk_full: bool = False
    had_no_effect: bool = False

    def as_error(self) -> SyncError:
        """Return the error to raise. Its message contains the code and nothing the driver wrote:
        PostgreSQL quotes whole rows in its details, and drivers quote addresses."""
        message = _DISK_FULL if self.is_disk_full else _MESSAGES[self.error_class]
        error = self.error_class(message.format(code=self.code))
        error.had_no_effect = self.had_no_effect
        return error


class Translator(Protocol):
    """The part of an engine's dialect that knows its errors."""

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        """The exceptions to translate."""

    def problem_of(self, error: Exception) -> Problem | None:
        """Return what an exception of the driver means; None for one without a code."""


@contextmanager
def translated(dialect: Translator) -> Iterator[None]:
    """Raise WarehouseUnavailableError, WarehousePermissionError or ConfigurationError in place of
    what the driver or SQLAlchemy's pool raises."""
    try:
        yield
    except dialect.driver_errors as error:
        raise as_sync_error(error, dialect) from None
    except exc.TimeoutError:
        raise Problem(WarehouseUnavailableError, "no free connection").as_error() from None


def as_sync_error(error: Exception, dialect: Translator) -> SyncError:
    """Return the error of ours for an error of the driver, as the engine explains it."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(original, Exception) and (problem := dialect.problem_of(original)):
        return problem.as_error()
    # Without a code the server never answered or the connection broke: both are transient.
    is_transient = isinstance(error, (exc.OperationalError, exc.InterfaceError))
    error_class = WarehouseUnavailableError if is_transient else WarehousePermissionError
    return Problem(error_class, type(original).__name__).as_error()
