"""The warehouse: opening it, its transactions, its clock, and frames in and out."""

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
from pipelines.warehouse.engines.base import Dialect, Query
from pipelines.warehouse.errors import translated
from pipelines.warehouse.statements import statement

if TYPE_CHECKING:
    import pandas as pd

# Commands that only read a few rows, such as status, need no frames: pandas and Arrow take 0.4 s to
# import, so the methods below import them.

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")

Rows = list[dict[str, Any]]

# What the name of a column of ours promises about its content; everything else is text.
_TYPES_BY_NAME: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r".*_(at|until|from)"), "datetime64[us]"),
    (re.compile(r"(is|has)_.*"), "boolean"),
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
    """The warehouse at that SQLAlchemy URL, connected once to see that it answers.

    `postgresql://` and `postgres://` go by psycopg. A SQLite file must be there, unless `create`.
    Raises ConfigurationError (driver, address, database, user, password, names), WarehouseUnavailableError
    or WarehousePermissionError.
    """
    _require_table_name(persons)
    require_name(results_schema)
    address = _address(url)
    dialect = _dialect(address)
    dialect.require_database(address, create=create)
    place = pool.place_of(address, results_schema)
    engine = pool.kept(place) or _new_engine(address, dialect, results_schema)
    _connect_once(engine, dialect)
    return Warehouse(engine, dialect, persons, results_schema)


def require_name(name: str) -> str:
    """The name itself, if it can be that of a table, a column or a schema; ConfigurationError if not."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a name in the warehouse; use letters, digits, _ and $, at most 63"
        )
    return name


class Warehouse:
    """An open warehouse. Close it, or use it in a `with`.

    Every method that speaks to the database raises WarehouseUnavailableError, WarehousePermissionError or
    ConfigurationError in place of SQLAlchemy's and the driver's errors.
    """

    def __init__(self, engine: Engine, dialect: Dialect, persons: str, results_schema: str) -> None:
        self.engine = engine
        self.dialect = dialect
        self.results_schema = results_schema
        self._persons = persons
        self._place = pool.place_of(engine.url, results_schema)
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
        """Gives all connections back. Repeatable; nothing else may follow."""
        if not self._is_closed:
            self._is_closed = True
            pool.close(self._place, self.engine)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in one transaction: committed at the end, rolled back by an error.

        On SQLite it holds the one write lock from the start, so no HTTP call belongs inside.
        """
        with translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one instant and blocks no writer. What it writes is undone."""
        options = self.dialect.reading_options()
        with translated(), self.engine.connect().execution_options(**options) as connection:
            yield connection

    def now(self, connection: Connection) -> datetime:
        """The database's clock, naive UTC: the only one all processes share."""
        with translated():
            return self.dialect.now(connection)

    def run(self, connection: Connection, name: str, **parameters: Any) -> CursorResult[Any]:
        """Executes `sql/queries/<name>.sql`; `*_at` are datetimes, `is_*` bools on any engine."""
        with translated():
            return connection.execute(statement(name, parameters))

    def insert_frame(self, connection: Connection, table_name: str, frame: pd.DataFrame) -> int:
        """Appends the frame to a table of ours: columns by name, missing values as null.

        Answers how many rows. Not repeatable: a second call breaks the primary key.
        """
        from pipelines.warehouse import frames

        target = table(require_name(table_name), *(column(require_name(c)) for c in frame.columns))
        with translated():
            self.dialect.insert(connection, target, frames.from_frame(frame))
        return len(frame)

    def read_frame(
        self,
        connection: Connection,
        query: str | Query,
        types: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> pd.DataFrame:
        """The rows of a query of ours by its name, or of any select, alike on every engine.

        Of a query of ours `*_at` becomes datetime64[us], `is_*` boolean, `*_count` Int64 and
        `*_share` float64; every other column, and all of a select, is `str`: a number becomes its
        text. `types` names one of these five by column; an unreadable instant becomes NaT.
        """
        from pipelines.warehouse import frames

        names_promise = isinstance(query, str)
        if isinstance(query, str):
            query = statement(query, parameters)
        with translated():
            rows = self.dialect.fetch(connection, query)
        by_name = {name: _type_of(name) for name in rows.column_names if names_promise}
        return frames.to_frame(rows, by_name | dict(types or {}))

    def read_rows(self, connection: Connection, name: str, **parameters: Any) -> Rows:
        """Return the rows of `sql/queries/<name>.sql` as dictionaries, in the query's order.

        Types go by a column's name, alike on every engine: `*_at` naive UTC datetimes, `is_*`
        bools, `*_count` ints, `*_share` floats. For many rows `read_frame` is quicker.
        """
        found = self.run(connection, name, **parameters).mappings()
        return [{key: _number(key, value) for key, value in row.items()} for row in found]

    @cached_property
    def persons_table(self) -> Table:
        """The persons table or view as it is, columns and types. ConfigurationError if absent."""
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


def _dialect(address: URL) -> Dialect:
    try:
        driver = address.get_dialect()
        driver.import_dbapi()
    except (exc.ArgumentError, ImportError):
        raise ConfigurationError(
            f"`warehouse.url` needs the driver {address.drivername}, which is not installed; "
            "install it, or use sqlite or postgresql"
        ) from None
    if driver.is_async:
        raise ConfigurationError(
            f"{address.drivername} is an asynchronous driver; take another one"
        )
    if driver.name == "postgresql" and driver.driver == "psycopg":
        from pipelines.warehouse.engines.postgresql import PostgreSQL

        return PostgreSQL()
    if driver.name == "sqlite":
        from pipelines.warehouse.engines.sqlite import SQLite

        return SQLite()
    return Dialect()


def _new_engine(address: URL, dialect: Dialect, results_schema: str) -> Engine:
    engine = create_engine(
        address,
        connect_args=_unless_said(dialect.connect_arguments(), address),
        hide_parameters=True,
        pool_pre_ping=True,  # a connection that died while Salesforce worked is no reason to stop
    )
    dialect.prepare_engine(engine, results_schema)
    return engine


def _unless_said(arguments: Mapping[str, Any], address: URL) -> dict[str, Any]:
    # SQLAlchemy lets these win over the address; what the address says is somebody's decision.
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
    return next((type_ for form, type_ in _TYPES_BY_NAME if form.fullmatch(name)), "str")
