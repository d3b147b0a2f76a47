"""Open the warehouse; its transactions, its clock, and frames in and out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import (
    URL,
    Connection,
    CursorResult,
    Engine,
    MetaData,
    Table,
    column,
    create_engine,
    exc,
    make_url,
    table,
)

from pipelines.errors import ConfigurationError
from pipelines.warehouse.engines import pool
from pipelines.warehouse.engines.base import Dialect, Query, run_script
from pipelines.warehouse.engines.selection import dialect_of
from pipelines.warehouse.errors import translated
from pipelines.warehouse.statements import statement

if TYPE_CHECKING:
    import pandas as pd

# Commands that read only a few rows, such as status, need no frames. pandas and Arrow take 0.4 s to
# import, so only the methods that use them do.

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")

Rows = list[dict[str, Any]]

# The name of a column of ours determines its type; every other column is text.
_TYPES_BY_NAME: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r".*_(at|until|from|watermark)"), "datetime64[us]"),
    (re.compile(r"(is|has|allow)_.*"), "boolean"),
    (re.compile(r".*_(count|bytes|seconds)|attempt|fencing_token|position"), "Int64"),
    (re.compile(r".*_share"), "float64"),
)


def open_warehouse(
    url: str,
    *,
    persons: str = "persons",
    results_schema: str = "person_sync",
    create: bool = False,
) -> Warehouse:
    """Open the warehouse at a SQLAlchemy URL, and connect once to test it.

    `postgresql://` and `postgres://` use psycopg. A SQLite file must exist, unless `create`. Raises
    ConfigurationError (driver, address, database, user, password, names),
    WarehouseUnavailableError or WarehousePermissionError.
    """
    _require_table_name(persons)
    require_name(results_schema)
    address = _address(url)
    dialect = dialect_of(address)
    dialect.require_database(address, create=create)
    key = pool.engine_key(address, results_schema)
    engine = pool.take(key) or _new_engine(address, dialect, results_schema)
    _connect_once(engine, dialect)
    return Warehouse(engine, dialect, persons, results_schema)


def require_name(name: str) -> str:
    """Return the name, if a table, a column or a schema may have it. Raises ConfigurationError."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a name in the warehouse; use letters, digits, _ and $, at most 63"
        )
    return name


class Warehouse:
    """An open warehouse. Close it, or use it in a `with`.

    Every method that uses the database raises WarehouseUnavailableError, WarehousePermissionError
    or ConfigurationError in place of SQLAlchemy's and the driver's errors.
    """

    def __init__(self, engine: Engine, dialect: Dialect, persons: str, results_schema: str) -> None:
        self.engine = engine
        self.dialect = dialect
        self.results_schema = results_schema
        self._persons = persons
        self._key = pool.engine_key(engine.url, results_schema)
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. May be repeated; no other method may follow."""
        if not self._is_closed:
            self._is_closed = True
            pool.close(self._key, self.engine)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection in one transaction: committed at the end, rolled back by an error.

        On SQLite it has the only write lock from the start: make no HTTP request inside.
        """
        with translated(self.dialect), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that reads one snapshot and blocks no writer; its writes are rolled
        back."""
        options = self.dialect.reading_options()
        with (
            translated(self.dialect),
            self.engine.connect().execution_options(**options) as connection,
        ):
            yield connection

    def now(self, connection: Connection) -> datetime:
        """Return the time of the database's clock, naive UTC: all processes share it."""
        with translated(self.dialect):
            return self.dialect.now(connection)

    def run(self, connection: Connection, name: str, **parameters: Any) -> CursorResult[Any]:
        """Execute the statement of that name in `sql/queries`.

        `*_at` are datetimes and `is_*` bools on every engine.
        """
        with translated(self.dialect):
            return connection.execute(statement(name, parameters))

    def insert_frame(self, connection: Connection, table_name: str, frame: pd.DataFrame) -> int:
        """Insert the frame into a table of ours: columns by name, missing values as null.

        Return the number of rows. May not be repeated: a second call violates the primary key.
        """
        from pipelines.warehouse import frames

        target = table(require_name(table_name), *(column(require_name(c)) for c in frame.columns))
        with translated(self.dialect):
            self.dialect.insert(connection, target, frames.from_frame(frame))
        return len(frame)

    @contextmanager
    def temporary_table(
        self, connection: Connection, name: str, frame: pd.DataFrame
    ) -> Iterator[None]:
        """Fill a temporary table from the frame, and drop it at the end of the block.

        The statement `create_<name>` creates it. Rows that statements need in bulk go through such
        a table: COPY cannot say `on conflict`, and a million bound values are slow.
        """
        self.run(connection, f"create_{name}")
        self.insert_frame(connection, name, frame)
        yield
        # Not after an error: that rolls the transaction back, and the table with it.
        run_script(connection, f"drop table {require_name(name)}")

    def read_frame(
        self,
        connection: Connection,
        query: str | Query,
        types: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> pd.DataFrame:
        """Return the rows of a statement by its name, or of any select, the same on every engine.

        In a statement of ours `*_at` becomes datetime64[us], `is_*` boolean, `*_count` Int64 and
        `*_share` float64. Every other column, and each column of a select, becomes `str`, numbers
        included. `types` sets one of these five by column; an unreadable instant becomes NaT.
        """
        from pipelines.warehouse import frames

        names_promise = isinstance(query, str)
        if isinstance(query, str):
            query = statement(query, parameters)
        with translated(self.dialect):
            rows = self.dialect.fetch(connection, query)
        by_name = {name: _type_of(name) for name in rows.column_names if names_promise}
        return frames.to_frame(rows, by_name | dict(types or {}))

    def read_rows(self, connection: Connection, name: str, **parameters: Any) -> Rows:
        """Return the rows of a statement as dictionaries, in its order.

        The column's name determines the type, on every engine: `*_at` naive UTC datetimes, `is_*`
        bools, `*_count` ints, `*_share` floats. For many rows `read_frame` is faster.
        """
        found = self.run(connection, name, **parameters).mappings()
        return [{key: _number(key, value) for key, value in row.items()} for row in found]

    @cached_property
    def persons_table(self) -> Table:
        """Read the columns and types of the persons table or view. Raises ConfigurationError."""
        *schema, name = self._persons.split(".")
        metadata = MetaData(schema=".".join(schema) or None)
        try:
            with self.reading() as connection:
                return Table(name, metadata, autoload_with=connection, resolve_fks=False)
        except exc.NoSuchTableError:
            raise ConfigurationError(
                f"`warehouse.persons` names {self._persons}, and there is no such table or view"
            ) from None


def _require_table_name(name: str) -> None:
    parts = name.split(".")
    if len(parts) > 2:
        raise ConfigurationError(f"{name!r} has too many dots; write table or schema.table")
    for part in parts:
        require_name(part)


def _address(url: str) -> URL:
    try:
        address = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise ConfigurationError(
            "`warehouse.url` is no database address; write sqlite:///warehouse.db or "
            "postgresql://user@host/name"
        ) from None
    if address.drivername in ("postgres", "postgresql"):
        return address.set(drivername="postgresql+psycopg")
    return address


def _new_engine(address: URL, dialect: Dialect, results_schema: str) -> Engine:
    engine = create_engine(
        address,
        connect_args=_not_in_address(dialect.connect_arguments(), address),
        hide_parameters=True,
        pool_pre_ping=True,  # a connection may break while Salesforce processes a job
    )
    dialect.prepare_engine(engine, results_schema)
    return engine


def _not_in_address(arguments: Mapping[str, Any], address: URL) -> dict[str, Any]:
    # SQLAlchemy prefers arguments to the address; but the address is the user's decision.
    return {name: value for name, value in arguments.items() if name not in address.query}


def _connect_once(engine: Engine, dialect: Dialect) -> None:
    try:
        engine.connect().close()
    except exc.DBAPIError as error:
        engine.dispose()
        raise dialect.connect_error(error, engine.url) from None


def _number(name: str, value: Any) -> Any:
    # PostgreSQL sums integers as numeric, which arrives as a Decimal.
    kind = {"Int64": int, "float64": float}.get(_type_of(name))
    return value if kind is None or value is None else kind(value)


def _type_of(name: str) -> str:
    return next((type_ for pattern, type_ in _TYPES_BY_NAME if pattern.fullmatch(name)), "str")
