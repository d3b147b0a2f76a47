"""SQLite as a warehouse: one file, many readers, one writer."""

from __future__ import annotations

import codecs
import sqlite3
from datetime import datetime
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    String,
    TableClause,
    Text,
    and_,
    case,
    cast,
    collate,
    event,
    func,
    insert,
)

from pipelines.errors import (
    ConfigurationError,
    SyncError,
    WarehousePermissionError,
    WarehouseUnavailableError,
)
from pipelines.warehouse.engines.base import Dialect, Query, run_script
from pipelines.warehouse.errors import Problem

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 10_000


class SQLite(Dialect):
    """Write-ahead log, full durability, and transactions that begin explicitly."""

    has_loose_types = True

    # By SQLite's primary result code; any other one is a WarehousePermissionError.
    _CODES: ClassVar[dict[int, type[SyncError]]] = {
        sqlite3.SQLITE_BUSY: WarehouseUnavailableError,
        sqlite3.SQLITE_LOCKED: WarehouseUnavailableError,
        sqlite3.SQLITE_PROTOCOL: WarehouseUnavailableError,
        sqlite3.SQLITE_IOERR: WarehouseUnavailableError,
        sqlite3.SQLITE_FULL: WarehouseUnavailableError,
        sqlite3.SQLITE_CANTOPEN: ConfigurationError,
        sqlite3.SQLITE_NOTADB: ConfigurationError,
    }

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        """Those of the module too: our insert and fetch call it without SQLAlchemy."""
        return (*super().driver_errors, sqlite3.Error)

    def problem_of(self, error: Exception) -> Problem | None:
        """SQLite has result codes and no SQLSTATE; errors of the Python module have neither."""
        if not isinstance(error, sqlite3.Error):
            return None
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE)
        name: str = getattr(error, "sqlite_errorname", "SQLITE_MISUSE")
        return Problem(
            self._CODES.get(code & 0xFF, WarehousePermissionError),
            name,
            is_disk_full=name == "SQLITE_FULL",
            had_no_effect=name == "SQLITE_BUSY",
        )

    def connect_arguments(self) -> dict[str, Any]:
        """Wait for a lock longer than any transaction of ours takes, in seconds."""
        return {"timeout": 10}

    def require_database(self, url: URL, *, create: bool) -> None:
        """SQLite would create an empty file for a mistyped name, without persons and ledger."""
        name = url.database or ""
        if name in ("", ":memory:"):
            raise ConfigurationError("`warehouse.url` names no file; write sqlite:///warehouse.db")
        if create or name.startswith("file:"):
            return
        # SQLite accepts an empty file as a database, whatever its purpose was.
        if not Path(name).is_file() or Path(name).stat().st_size == 0:
            raise ConfigurationError(
                f"`warehouse.url` names {name}, which is no database; correct it"
            )

    def prepare_engine(self, engine: Engine, _results_schema: str) -> None:
        """Set journal, transactions and decoding of every connection."""
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)

    def reading_options(self) -> dict[str, Any]:
        """A deferred transaction sees one snapshot and blocks no writer."""
        return {"only_reads": True}

    def now(self, connection: Connection) -> datetime:
        """Use strftime: SQLite's current_timestamp has no fractions of a second."""
        clock = "select strftime('%Y-%m-%d %H:%M:%f', 'now')"
        return datetime.fromisoformat(connection.exec_driver_sql(clock).scalar_one())

    def gather_statistics(self, connection: Connection, name: str) -> None:
        """Without statistics SQLite expects a handful of rows.

        It then scans a persons table without an index once for each of them. 10,000 persons took
        10 s, and 0.1 s with statistics.
        """
        run_script(connection, f"analyze {name}")

    def insert(self, connection: Connection, table: TableClause, rows: pa.Table) -> None:
        """Use executemany of tuples: four times as fast as to_sql. In portions, because rows take
        ten times the memory as Python objects."""
        statement = str(insert(table).compile(dialect=connection.dialect))
        for first in range(0, rows.num_rows, _ROWS_AT_ONCE):
            some = rows.slice(first, _ROWS_AT_ONCE).columns
            cells = [_format(column).to_pylist() for column in some]
            connection.exec_driver_sql(statement, list(zip(*cells, strict=True)))

    def fetch(self, connection: Connection, query: Query) -> pa.Table:
        """Read text as bytes and decode by column: a decoder called for each cell doubled the time
        of a read."""
        driver: Any = connection.connection.driver_connection
        factory, driver.text_factory = driver.text_factory, bytes
        try:
            return super().fetch(connection, query)
        finally:
            driver.text_factory = factory

    def collate_binary(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column of a foreign table may be declared nocase."""
        return collate(column, "BINARY")

    def id_text(self, id_: ColumnElement[Any]) -> ColumnElement[str]:
        """Write bytes as SQLite's literal, X'4D59', which the rule person_id_malformed rejects.

        Cast to text they could equal the id of another person.
        """
        return case((func.typeof(id_) == "blob", func.quote(id_)), else_=cast(id_, Text))

    def equals_id(
        self, id_: ColumnElement[Any], wanted_id: ColumnElement[str]
    ) -> ColumnElement[bool]:
        """Rows whose id is not of the declared type may be missed; the callers then compare again
        by text."""
        # A comparison gives the text the column's affinity, where cast('x' as integer) would be 0.
        # Binary, because a foreign column may be nocase.
        is_same = self.collate_binary(wanted_id) == id_
        if isinstance(id_.type, String):
            return is_same
        # An integer that is too large is kept rounded, so several of them equal one text. The
        # concat hides the bare column: with it, the planner scanned all persons by this condition.
        exact = case((func.typeof(id_) != "real", cast(id_, Text)))
        return and_(is_same, exact == wanted_id.concat(""))

    def make_view(self, connection: Connection, name: str, query: str) -> None:
        """SQLite has no `or replace`, and no grants that a drop would delete."""
        run_script(connection, f"drop view if exists {name}")
        run_script(connection, f"create view {name} as\n{query}")


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # The sqlite3 module begins with the first write, too late for what was read before it:
    # SELECT-then-UPDATE by four processes claimed 1,350 of 2,000 persons twice.
    connection.isolation_level = None
    connection.text_factory = methodcaller("decode", "utf-8", "show_undecodable")
    if connection.execute("pragma journal_mode").fetchone() != ("wal",):
        connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")


def _begin(connection: Connection) -> None:
    only_reads = connection.get_execution_options().get("only_reads", False)
    connection.exec_driver_sql("begin" if only_reads else "begin immediate")


def _format(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    # In SQLAlchemy's format for SQLite: always six decimals, so that text order is time order.
    if pa.types.is_timestamp(cells.type):
        return cells.cast(pa.timestamp("us")).cast(pa.string())
    return cells


def _show_undecodable(error: UnicodeError) -> tuple[str, int]:
    # U+FFFF is not a character: the rule text_not_encodable rejects it.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\uffff", error.end


codecs.register_error("show_undecodable", _show_undecodable)
