"""PostgreSQL as a warehouse, by psycopg 3: COPY both ways, and a limit on every wait."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from select import select as wait_for
from typing import TYPE_CHECKING, Any, ClassVar, LiteralString

import psycopg
import psycopg.conninfo
import psycopg.errors
from psycopg import sql
from psycopg.pq import ConnStatus, PGconn, PollingStatus
from psycopg.pq.abc import PGconn as AnyPGconn
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    TableClause,
    collate,
    event,
    exc,
    func,
    select,
    text,
)

from pipelines.errors import ConfigurationError, SyncError
from pipelines.warehouse.engines.base import ROWS_AT_ONCE, Dialect, Explanation, Query, run_script
from pipelines.warehouse.errors import as_ours, of_sqlstate

if TYPE_CHECKING:
    import pyarrow as pa


class PostgreSQL(Dialect):
    """The engine for production."""

    has_schemas = True

    # Advisory locks share one space of numbers per database; this one is ours.
    _MIGRATION_LOCK: ClassVar[int] = 7_260_511_283_190_004

    _SESSION: ClassVar[dict[str, str]] = {
        "timezone": "UTC",
        # Somebody else's settings must not decide how instants and numbers are spelt as text:
        # another spelling is another version, and every rejected person would be new again.
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "extra_float_digits": "1",
        # The defaults wait for ever: a process frozen inside a transaction blocked another run
        # for 31 minutes.
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "20s",
        # A COPY of a million rows is one statement, and over a slow line a minute is not enough.
        # A process frozen inside COPY is not idle to the server: this is also what frees its locks.
        "statement_timeout": "300s",
    }

    def connect_arguments(self) -> dict[str, Any]:
        """A server gone without a word is noticed within a minute, not the system's two hours."""
        return {
            "application_name": "person-sync",
            "connect_timeout": 5,
            "keepalives_idle": 20,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 50_000,
        }

    def prepare_engine(self, engine: Engine, results_schema: str) -> None:
        """Search path, UTC, limits: set after connecting, poolers refuse start-up options."""
        settings = {"search_path": f'"{results_schema}", public', **self._SESSION}
        one_by_one = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        values = [word for setting in settings.items() for word in setting]

        def prepare(connection: psycopg.Connection[Any], _record: object) -> None:
            connection.autocommit = True
            connection.execute(f"select {one_by_one}".encode(), values)
            connection.autocommit = False

        # Before SQLAlchemy's own listener, which asks for the default schema.
        event.listen(engine, "connect", prepare, insert=True)

    def reading_options(self) -> dict[str, Any]:
        """SQLite's readers see one instant; with read committed every query would see another."""
        return {"isolation_level": "REPEATABLE READ"}

    def connect_error(self, error: exc.DBAPIError, url: URL) -> SyncError:
        """libpq gives a refused connection no SQLSTATE, so the server is asked once more for it."""
        if isinstance(error.orig, psycopg.ProgrammingError):
            return ConfigurationError(
                "`warehouse.url` holds an option that PostgreSQL does not know"
            )
        if isinstance(error.orig, psycopg.errors.ConnectionTimeout):
            return as_ours(error)
        code = _sqlstate_of_connecting(url, self.connect_arguments())
        return of_sqlstate(code) if code else as_ours(error)

    def now(self, connection: Connection) -> datetime:
        """A transaction's own time stands still while it waits for a lock; the clock does not."""
        clock = "select clock_timestamp() at time zone 'UTC'"
        instant: datetime = connection.exec_driver_sql(clock).scalar_one()
        return instant

    def gather_statistics(self, connection: Connection, name: str) -> None:
        """Autovacuum comes a minute late: until then a filled table counts as empty."""
        run_script(connection, f"analyze {name}")

    def insert(self, connection: Connection, table: TableClause, rows: pa.Table) -> None:
        """By COPY on the transaction's own connection: a million rows in 3 s instead of 26."""
        from pipelines.warehouse.frames import to_csv

        names = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
        copy_in = sql.SQL("copy {} ({}) from stdin (format csv)")
        command = copy_in.format(sql.Identifier(table.name), names)
        with _cursor(connection) as cursor, cursor.copy(command) as copy:
            for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
                copy.write(to_csv(batch))

    def fetch(self, connection: Connection, query: Query) -> pa.Table:
        """By COPY to Arrow's CSV reader, all as text: a million rows in 4 s instead of 10."""
        import pyarrow as pa

        from pipelines.warehouse.frames import from_csv

        spread = {"render_postcompile": True}
        compiled = query.compile(dialect=connection.dialect, compile_kwargs=spread)
        command = b"copy (%b) to stdout (format csv, header)" % str(compiled).encode()
        with _cursor(connection) as cursor, cursor.copy(command, compiled.params) as copy:
            buffer = pa.BufferOutputStream()
            for block in copy:
                buffer.write(block)
        return from_csv(buffer.getvalue())

    def collate_binary(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """A database's own locale sorts `a-1` among `a1`."""
        return collate(column, "C")

    def lock_for_migration(self, connection: Connection) -> None:
        """`create … if not exists` fails for the slower of two at once, so they take turns."""
        connection.execute(select(func.pg_advisory_xact_lock(self._MIGRATION_LOCK)))

    def make_schema(self, connection: Connection, schema: str) -> None:
        """Asked first: `if not exists` wants the right to create even where nothing is to do."""
        known = text("select 1 from pg_catalog.pg_namespace where nspname = :schema")
        if connection.scalar(known, {"schema": schema}) is None:
            _compose(connection, "create schema {}", sql.Identifier(schema))

    def explain(self, connection: Connection, name: str, explanation: Explanation) -> None:
        """`comment on` takes no parameters, so the driver quotes."""
        kind = sql.SQL("view" if explanation.kind == "view" else "table")
        words = sql.Literal(explanation.sentence)
        _compose(connection, "comment on {} {} is {}", kind, sql.Identifier(name), words)
        for column, note in explanation.columns.items():
            place = sql.Identifier(name, column)
            _compose(connection, "comment on column {} is {}", place, sql.Literal(note))


def _cursor(connection: Connection) -> psycopg.Cursor[Any]:
    driver: Any = connection.connection.driver_connection
    cursor: psycopg.Cursor[Any] = driver.cursor()
    return cursor


def _compose(connection: Connection, template: LiteralString, *parts: sql.Composable) -> None:
    with _cursor(connection) as cursor:
        cursor.execute(sql.SQL(template).format(*parts))


# Severity comes before the code, and nothing a user could have written.
_REFUSAL = re.compile(r'\tErrorResponse\t S "\w+" V "\w+" C "(?P<code>\w{5})"')


def _sqlstate_of_connecting(url: URL, arguments: Mapping[str, Any]) -> str | None:
    """The code with which the server refuses; None when it did not answer, or now says yes.

    libpq keeps only the words of a refused connection, in the server's language; its trace of the
    protocol has the code. Where libpq cannot trace (anything but Linux) the answer is None.
    """
    if not hasattr(os, "memfd_create"):  # pragma: no cover
        return None
    _, address = url.get_dialect()().create_connect_args(url)
    known = {**arguments, **address}
    conninfo = psycopg.conninfo.make_conninfo(**known)
    # In memory: the trace holds what was said, and that may be the password.
    with os.fdopen(os.memfd_create("libpq"), "w+", errors="replace") as trace:
        connection = PGconn.connect_start(conninfo.encode())
        connection.trace(trace.fileno())
        _knock(connection, seconds=float(known["connect_timeout"]))
        connection.untrace()
        connection.finish()
        trace.seek(0)
        refusal = _REFUSAL.search(trace.read())
    return refusal["code"] if refusal else None


def _knock(connection: AnyPGconn, seconds: float) -> None:
    reading, writing = PollingStatus.READING, PollingStatus.WRITING
    status = PollingStatus.FAILED if connection.status == ConnStatus.BAD else writing
    while status in (reading, writing) and _is_ready(connection.socket, status, seconds):
        status = PollingStatus(connection.connect_poll())


def _is_ready(socket: int, status: PollingStatus, seconds: float) -> bool:
    reads, writes = ([socket], []) if status == PollingStatus.READING else ([], [socket])
    return any(wait_for(reads, writes, [], seconds))
