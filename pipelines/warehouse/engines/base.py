"""Where engines differ, as small questions.

The base answers in words every engine knows; `sqlite` and `postgresql` answer only where they must
say something else, with the reason beside it. An engine that none of them knows gets the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    DateTime,
    Engine,
    Select,
    TableClause,
    Text,
    TextClause,
    cast,
    exc,
    func,
    insert,
    select,
)
from sqlalchemy.sql.selectable import TextualSelect

from pipelines.errors import SyncError
from pipelines.warehouse.errors import as_ours

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 20_000

Query = TextClause | TextualSelect | Select[Any]


class Explanation(NamedTuple):
    """What a table or view is, and what each of its columns is."""

    kind: str  # table or view
    sentence: str
    columns: Mapping[str, str]


class Dialect:
    """Any engine SQLAlchemy knows. Nothing here is quick; everything here is plain SQL."""

    has_schemas: ClassVar[bool] = False
    has_loose_types: ClassVar[bool] = False
    """Whether a column may hold values of other types than it is declared with."""

    def connect_arguments(self) -> dict[str, Any]:
        """What the driver's connect should be told."""
        return {}

    def require_database(self, url: URL, *, create: bool) -> None:
        """Raises ConfigurationError where the engine would make an empty database of a misspelt name."""

    def prepare_engine(self, engine: Engine, results_schema: str) -> None:
        """Hangs what every connection needs on the engine's events."""

    def reading_options(self) -> dict[str, Any]:
        """Execution options for a connection that only reads, and should see one instant."""
        return {}

    def connect_error(self, error: exc.DBAPIError, _url: URL) -> SyncError:
        """Why no connection came about, as one of our errors."""
        return as_ours(error)

    def now(self, connection: Connection) -> datetime:
        """The database's clock, naive UTC."""
        clock = select(func.current_timestamp(type_=DateTime(timezone=True)))
        instant: datetime = connection.execute(clock).scalar_one()
        return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant

    def insert(self, connection: Connection, table: TableClause, rows: pa.Table) -> None:
        """Appends the rows; their columns are the table's, by name."""
        for batch in rows.to_batches(max_chunksize=ROWS_AT_ONCE):
            connection.execute(insert(table), batch.to_pylist())

    def fetch(self, connection: Connection, query: Query) -> pa.Table:
        """The rows of a query, each column in an Arrow type that holds what the driver gave."""
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

    def collate_binary(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """The column compared and sorted by code point, alike on every engine in every locale."""
        return column

    def id_text(self, id_: ColumnElement[Any]) -> ColumnElement[str]:
        """An id as text: what persons are told apart by, in every table of ours."""
        return cast(id_, Text)

    def gather_statistics(self, connection: Connection, name: str) -> None:
        """Tells the planner how many rows one of our own tables has by now."""

    def lock_for_migration(self, connection: Connection) -> None:
        """Waits until no other process migrates; the end of the transaction lets go."""

    def make_schema(self, connection: Connection, schema: str) -> None:
        """Makes the schema of the result tables if it is absent."""

    def make_view(self, connection: Connection, name: str, query: str) -> None:
        """Makes or remakes a view. `name` is one of our own file names."""
        run_script(connection, f"create or replace view {name} as\n{query}")

    def explain(self, connection: Connection, name: str, explanation: Explanation) -> None:
        """Hands the words about a table or view to the catalogue, where there is one."""


def run_script(connection: Connection, statement: str) -> None:
    """Runs one statement of ours as written: a percent sign or a colon in it means itself."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
