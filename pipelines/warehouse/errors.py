"""The border where a database's errors become ours.

Decided by SQLSTATE or SQLite's own code, never by the words of a message: those change with the
version and with the server's language.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from pipelines.errors import (
    ConfigurationError,
    SyncError,
    WarehousePermissionError,
    WarehouseUnavailableError,
)

# By the whole SQLSTATE, else by its class, the first two characters; else refused.
_BY_SQLSTATE: dict[str, type[SyncError]] = {
    "08": WarehouseUnavailableError,  # the connection
    "28": ConfigurationError,  # user or password
    "3D000": ConfigurationError,  # no such database
    "25006": WarehousePermissionError,  # read-only
    "25P03": WarehouseUnavailableError,  # idle too long inside a transaction
    "25P04": WarehouseUnavailableError,  # the transaction took too long
    "40": WarehouseUnavailableError,  # serialization, deadlock
    "42501": WarehousePermissionError,  # no right
    "53": WarehouseUnavailableError,  # disk full, too many connections, out of memory
    "55006": WarehouseUnavailableError,  # object in use
    "55P03": WarehouseUnavailableError,  # lock not to be had in time
    "57": WarehouseUnavailableError,  # shut down, cancelled, timed out
    "58030": WarehouseUnavailableError,  # input/output error
}
_BY_SQLITE_CODE: dict[int, type[SyncError]] = {
    sqlite3.SQLITE_BUSY: WarehouseUnavailableError,
    sqlite3.SQLITE_LOCKED: WarehouseUnavailableError,
    sqlite3.SQLITE_PROTOCOL: WarehouseUnavailableError,
    sqlite3.SQLITE_IOERR: WarehouseUnavailableError,
    sqlite3.SQLITE_FULL: WarehouseUnavailableError,
    sqlite3.SQLITE_CANTOPEN: ConfigurationError,
    sqlite3.SQLITE_NOTADB: ConfigurationError,
}
# Somebody else was quicker, and the database says that it has undone everything.
_UNDONE_FOR_ANOTHER = ("SQLSTATE 40001", "SQLSTATE 40P01", "SQLSTATE 55P03", "SQLITE_BUSY")
_SENTENCES: dict[type[SyncError], str] = {
    WarehouseUnavailableError: (
        "the warehouse is away, locked or too slow to answer ({code}); run again later"
    ),
    ConfigurationError: (
        "the warehouse of `warehouse.url` cannot be opened ({code}); "
        "mend the address, the database's name, the user or the password"
    ),
    WarehousePermissionError: (
        "the warehouse refused ({code}); look at the user's rights, a read-only file, "
        "and whether `person-sync migrate` has run"
    ),
}
_DISK_FULL = "the warehouse's disk is full ({code}); nothing is lost: make room and run again"
_DISK_FULL_CODES = ("SQLSTATE 53100", "SQLITE_FULL")


@contextmanager
def translated() -> Iterator[None]:
    """What a driver raises becomes WarehouseUnavailableError, WarehousePermissionError or ConfigurationError.

    The message holds the database's code and none of its words: PostgreSQL quotes whole rows in its
    details, and drivers quote addresses.
    """
    try:
        yield
    except _driver_errors() as error:
        raise as_ours(error) from None
    except exc.TimeoutError:
        raise WarehouseUnavailableError(
            _SENTENCES[WarehouseUnavailableError].format(code="no free connection")
        ) from None


def as_ours(error: Exception) -> SyncError:
    """The one of our errors that says what this one of a driver means."""
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original)
    code = getattr(original, "sqlstate", None)
    if isinstance(original, _psycopg_error("Error")) and code is not None:
        return of_sqlstate(code)
    # Without a code the server never answered, or the connection broke: both pass.
    is_transient = isinstance(original, _psycopg_error("OperationalError")) or (
        isinstance(error, exc.OperationalError | exc.InterfaceError)
    )
    kind = WarehouseUnavailableError if is_transient else WarehousePermissionError
    return kind(_SENTENCES[kind].format(code=type(original).__name__))


def _driver_errors() -> tuple[type[Exception], ...]:
    return (exc.DBAPIError, sqlite3.Error, *_psycopg_error("Error"))


def _psycopg_error(name: str) -> tuple[type[Exception], ...]:
    """Return psycopg's class of that name; none where psycopg is not in use, and not imported."""
    driver = sys.modules.get("psycopg")
    return (getattr(driver, name),) if driver else ()


def of_sqlstate(code: str) -> SyncError:
    """The error for a five-character SQLSTATE."""
    kinds = (_BY_SQLSTATE.get(code[:length]) for length in (5, 2))
    kind = next((kind for kind in kinds if kind), WarehousePermissionError)
    return _said(kind, f"SQLSTATE {code}")


def _of_sqlite(error: sqlite3.Error) -> SyncError:
    # Errors of the Python module itself (a closed connection) carry no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
    kind = _BY_SQLITE_CODE.get(code & 0xFF, WarehousePermissionError)
    name: str = getattr(error, "sqlite_errorname", "SQLITE_MISUSE")
    return _said(kind, name)


def _said(kind: type[SyncError], code: str) -> SyncError:
    sentence = _DISK_FULL if code in _DISK_FULL_CODES else _SENTENCES[kind]
    trouble = kind(sentence.format(code=code))
    trouble.had_no_effect = code in _UNDONE_FOR_ANOTHER
    return trouble
