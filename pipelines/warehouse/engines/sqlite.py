"""SQLite as a warehouse: one file, many readers, one writer."""

from __future__ import annotations

import codecs
import sqlite3
from datetime import datetime
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    TableClause,
    Text,
    case,
    cast,
    collate,
    event,
    func,
    insert,
)

from pipelines.errors import ConfigurationError
from pipelines.warehouse.engines.base import Dialect, Query, run_script

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 10_000


class SQLite(Dialect):
    """Write-ahead log, full durability, and transactions that begin when we say so."""

    has_loose_types = True

    def connect_arguments(self) -> dict[str, Any]:
        """Seconds to wait for a lock: more than any transaction of ours takes."""
        return {"timeout": 10}

    def require_database(self, url: URL, *, create: bool) -> None:
        """SQLite makes an empty file of any misspelt name, and every person would be gone."""
        name = url.database or ""
        if name in ("", ":memory:"):
            raise ConfigurationError("`warehouse.url` names no file; write sqlite:///warehouse.db")
        if create or name.startswith("file:"):
            return
        # An empty file would do for SQLite, and it would write into it whatever it was for.
        if not Path(name).is_file() or Path(name).stat().st_size == 0:
            raise ConfigurationError(f"`warehouse.url` names {name}, which is no database; mend it")

    def prepare_engine(self, engine: Engine, _results_schema: str) -> None:
        """Every connection is told how to keep, to begin and to decode."""
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)

    def reading_options(self) -> dict[str, Any]:
        """A deferred transaction: it sees one instant and takes no lock from the writer."""
        return {"only_reads": True}

    def now(self, connection: Connection) -> datetime:
        """By strftime: SQLite's current_timestamp knows no fractions."""
        clock = "select strftime('%Y-%m-%d %H:%M:%f', 'now')"
        return datetime.fromisoformat(connection.exec_driver_sql(clock).scalar_one())

    def gather_statistics(self, connection: Connection, name: str) -> None:
        """Without, SQLite takes a slice for a handful of persons and scans a persons table that
        has no index once for each of them: 10 s for 10,000, with it 0.1 s."""
        run_script(connection, f"analyze {name}")

    def insert(self, connection: Connection, table: TableClause, rows: pa.Table) -> None:
        """By executemany of tuples: four times as quick as to_sql. A stretch at a time, because as
        Python objects the rows take ten times the memory."""
        statement = str(insert(table).compile(dialect=connection.dialect))
        for first in range(0, rows.num_rows, _ROWS_AT_ONCE):
            some = rows.slice(first, _ROWS_AT_ONCE).columns
            cells = [_spelt(column).to_pylist() for column in some]
            connection.exec_driver_sql(statement, list(zip(*cells, strict=True)))

    def fetch(self, connection: Connection, query: Query) -> pa.Table:
        """Texts as bytes, decoded by column: a decoder of ours called for every cell doubled the
        time that reading takes."""
        driver: Any = connection.connection.driver_connection
        factory, driver.text_factory = driver.text_factory, bytes
        try:
            return super().fetch(connection, query)
        finally:
            driver.text_factory = factory

    def collate_binary(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """A foreign table may be declared nocase."""
        return collate(column, "BINARY")

    def id_text(self, id_: ColumnElement[Any]) -> ColumnElement[str]:
        """Bytes as SQLite's own literal, X'4D59', which the rule person_id_malformed finds: cast to
        text they would pass for the id of somebody else."""
        return case((func.typeof(id_) == "blob", func.quote(id_)), else_=cast(id_, Text))

    def make_view(self, connection: Connection, name: str, query: str) -> None:
        """SQLite has no `or replace`, and no grants that a drop could lose."""
        run_script(connection, f"drop view if exists {name}")
        run_script(connection, f"create view {name} as\n{query}")


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    # Python's own BEGIN comes with the first write, too late for what was read before it:
    # SELECT-then-UPDATE by four processes claimed 1,350 of 2,000 persons twice.
    connection.isolation_level = None
    connection.text_factory = methodcaller("decode", "utf-8", "show_undecodable")
    if connection.execute("pragma journal_mode").fetchone() != ("wal",):
        connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")


def _begin(connection: Connection) -> None:
    only_reads = connection.get_execution_options().get("only_reads", False)
    connection.exec_driver_sql("begin" if only_reads else "begin immediate")


def _spelt(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    # As SQLAlchemy spells a DateTime for SQLite: six decimals always, so text order is time order.
    if pa.types.is_timestamp(cells.type):
        return cells.cast(pa.timestamp("us")).cast(pa.string())
    return cells


def _show_undecodable(error: UnicodeError) -> tuple[str, int]:
    # U+FFFF is no character, so in no name: the rule text_not_encodable finds it and says so.
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\uffff", error.end


codecs.register_error("show_undecodable", _show_undecodable)
