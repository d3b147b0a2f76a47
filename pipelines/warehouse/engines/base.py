"""Where database engines differ, as small methods.

The base uses SQL that every engine knows. `sqlite` and `postgresql` override a method only where
they must, with the reason in its docstring. Any other engine uses the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sqlalchemy import (
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Enum,
    Integer,
    Select,
    String,
    TableClause,
    Text,
    TextClause,
    case,
    cast,
    exc,
    func,
    insert,
    select,
)
from sqlalchemy.sql.selectable import TextualSelect

from pipelines.errors import (
    ConfigurationError,
    SyncError,
    WarehousePermissionError,
    WarehouseUnavailableError,
)
from pipelines.warehouse.errors import Problem, as_sync_error

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 20_000

SQLState = dict[str, type[SyncError]]
# Standard SQL: by the whole SQLSTATE, else by its class, the first two characters.
_STANDARD_CODES: SQLState = {
    "08": WarehouseUnavailableError,  # the connection
    "28": ConfigurationError,  # user or password
    "3D000": ConfigurationError,  # no such database
    "25006": WarehousePermissionError,  # read-only
    "40": WarehouseUnavailableError,  # rolled back: serialization, deadlock
}

Query = TextClause | TextualSelect | Select[Any]


class Explanation(NamedTuple):
    """The comments of a table or view and of its columns."""

    kind: str  # table or view
    description: str
    columns: Mapping[str, str]


class Dialect:
    """Any engine that SQLAlchemy knows, in plain SQL. No method here is fast."""

    has_schemas: ClassVar[bool] = False
    has_loose_types: ClassVar[bool] = False
    """Whether a column may hold values of other types than it is declared with."""

    sqlstates: ClassVar[SQLState] = _STANDARD_CODES
    """What an SQLSTATE means; any other one is a WarehousePermissionError."""

    # --- Errors

    @property
    def driver_errors(self) -> tuple[type[Exception], ...]:
        """The exceptions to translate."""
        return (exc.DBAPIError,)

    def problem_of(self, error: Exception) -> Problem | None:
        """Return what an exception of the driver means; None for one without a code."""
        code = getattr(error, "sqlstate", None)
        return self.problem_of_sqlstate(code) if code else None

    def problem_of_sqlstate(self, code: str) -> Problem:
        """Return what a five-character SQLSTATE means."""
        found = (self.sqlstates.get(code[:length]) for length in (5, 2))
        error_class = next((one for one in found if one), WarehousePermissionError)
        return Problem(error_class, f"SQLSTATE {code}", had_no_effect=code == "40001")

    def connect_error(self, error: exc.DBAPIError, _url: URL) -> SyncError:
        """Return the error of ours for a connection that could not be made."""
        return as_sync_error(error, self)

    # --- Connections and transactions

    def connect_arguments(self) -> dict[str, Any]:
        """Return the arguments for the driver's connect."""
        return {}

    def require_database(self, url: URL, *, create: bool) -> None:
        """Raise ConfigurationError where the engine would create an empty database for a mistyped
        name."""

    def prepare_engine(self, engine: Engine, results_schema: str) -> None:
        """Register on the engine's events what every connection needs."""

    def reading_options(self) -> dict[str, Any]:
        """Return the execution options of a connection that only reads, from one snapshot."""
        return {}

    def now(self, connection: Connection) -> datetime:
        """Return the time of the database's clock, naive UTC."""
        clock = select(func.current_timestamp(type_=DateTime(timezone=True)))
        instant: datetime = connection.execute(clock).scalar_one()
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant

    # --- Frames in and out

    def insert(self, connection: Connection, table: TableClause, rows: pa.Table) -> None:
        """Insert the rows; their columns are those of the table, by name."""
        for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
            connection.execute(insert(table), batch.to_pylist())

    def fetch(self, connection: Connection, query: Query) -> pa.Table:
        """Return the rows of a query, each column in an Arrow type that fits its values."""
        import pyarrow as pa

        from pipelines.warehouse.frames import from_rows

        result = connection.execute(query)
        names = list(result.keys())
        # The cursor's own rows: SQLAlchemy converts cell by cell, Arrow by column.
        cursor: Any = result.cursor
        chunks = [
            from_rows(rows, names) for rows in iter(lambda: cursor.fetchmany(ROWS_AT_ONCE), [])
        ]
        result.close()
        return pa.concat_tables(chunks or [from_rows([], names)], promote_options="permissive")

    # --- Comparing text and ids

    def collate_binary(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the column compared and sorted by code point, the same in every locale."""
        return column

    def id_text(self, id_: ColumnElement[Any]) -> ColumnElement[str]:
        """Return an id as text, the form in which all tables of ours compare persons."""
        return cast(id_, Text)

    def can_use_id_index(self, id_: ColumnElement[Any]) -> bool:
        """Return whether `equals_id` may be used for this column of the persons table."""
        return (isinstance(id_.type, (String, Integer)) and not isinstance(id_.type, Enum)) or (
            not self.has_loose_types
        )

    def equals_id(
        self, id_: ColumnElement[Any], wanted_id: ColumnElement[str]
    ) -> ColumnElement[bool]:
        """Return the condition that a row has the id wanted as text, by the column's own index.

        With numbers for ids the text wanted must be a number, or empty.
        """
        if isinstance(id_.type, String) and not isinstance(id_.type, Enum):
            # Not binary here: PostgreSQL would ignore an index in the column's own collation.
            return wanted_id == id_
        if isinstance(id_.type, Integer):
            return case((wanted_id != "", cast(wanted_id, BigInteger))) == id_
        return wanted_id == cast(id_, Text)

    # --- Tables and views

    def gather_statistics(self, connection: Connection, name: str) -> None:
        """Update the planner's statistics of a table of ours."""

    def lock_for_migration(self, connection: Connection) -> None:
        """Wait until no other process migrates; the end of the transaction releases the lock."""

    def make_schema(self, connection: Connection, schema: str) -> None:
        """Create the schema of the result tables if it is absent."""

    def make_view(self, connection: Connection, name: str, query: str) -> None:
        """Create or replace a view. `name` is one of our own file names."""
        run_script(connection, f"create or replace view {name} as\n{query}")

    def explain(self, connection: Connection, name: str, explanation: Explanation) -> None:
        """Write the comments of a table or view to the catalogue, where there is one."""


def run_script(connection: Connection, statement: str) -> None:
    """Execute one statement of ours as written: a percent sign or a colon has no other meaning."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
