"""Choose the engine that a database address names. A new engine is entered here."""

from __future__ import annotations

from sqlalchemy import URL, exc

from pipelines.errors import ConfigurationError
from pipelines.warehouse.engines.base import Dialect


def dialect_of(address: URL) -> Dialect:
    """Return the dialect for an address. Raises ConfigurationError without a usable driver.

    An engine that is not known here gets the base class, which uses plain SQL only.
    """
    try:
        driver = address.get_dialect()
        driver.import_dbapi()
    except (exc.ArgumentError, ImportError):
        raise ConfigurationError(
            f"`warehouse.url` needs the driver {address.drivername}, which is not installed; "
            "install it, or use sqlite or postgresql"
        ) from None
    if driver.is_async:
        raise ConfigurationError(f"{address.drivername} is an asynchronous driver; use another one")
    # Imported here: a process needs one engine, and psycopg takes a while to import.
    if driver.name == "postgresql" and driver.driver == "psycopg":
        from pipelines.warehouse.engines.postgresql import PostgreSQL

        return PostgreSQL()
    if driver.name == "sqlite":
        from pipelines.warehouse.engines.sqlite import SQLite

        return SQLite()
    return Dialect()
