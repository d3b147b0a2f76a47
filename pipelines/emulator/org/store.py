"""The storage of an org: one SQLite database, in memory or in a file that survives kill -9."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.emulator.org import ids
from pipelines.emulator.org.formatting import java_double
from pipelines.emulator.org.like import is_like
from pipelines.emulator.org.match_keys import email_match_key, phone_match_key
from pipelines.emulator.org.schema import NUMBER_TYPES, Schema, SObject

# With SQLite's own 2 MB, every new row of a large file waits for pages of its indexes.
CACHE_KIB = 65_536
Row = tuple[str | int | float | bytes | None, ...]
Parameter = str | int | float | bytes | None
Parameters = Sequence[Parameter] | Mapping[str, Parameter]

SYSTEM_TABLES = """
create table if not exists emulator_meta (key text primary key, value text);
create table if not exists emulator_sequences (prefix text primary key, next integer not null);
create table if not exists emulator_given_ids (
    prefix text not null, number integer not null, primary key (prefix, number)) without rowid;
create table if not exists emulator_logins (
    token text primary key, user_id text not null, consumer_key text not null,
    opened_at real not null, used_at real not null);
create table if not exists emulator_cursors (
    locator text primary key, query text not null, include_deleted integer not null,
    total integer not null, page_size integer not null);
create table if not exists emulator_cursor_rows (
    locator text not null, position integer not null, record_row integer not null,
    primary key (locator, position)) without rowid;
create table if not exists emulator_jobs (
    id text primary key, kind text not null, object text not null, operation text not null,
    state text not null, created_by_id text not null, created_date text not null,
    system_modstamp text not null, api_version text not null, line_ending text not null,
    column_delimiter text not null, external_id_field text, assignment_rule_id text,
    query text, locator text, error_message text, spoiled integer not null default 0,
    rows_done integer not null default 0, chunks_done integer not null default 0,
    failed integer not null default 0, milliseconds integer not null default 0,
    faults text not null default '[]',
    forgotten integer not null default 0);
create table if not exists emulator_job_data (
    job_id text not null, piece integer not null, data blob not null,
    primary key (job_id, piece));
create table if not exists emulator_async_jobs (id text primary key, info text not null);
create table if not exists emulator_async_batches (
    id text primary key, job_id text not null, info text not null, request blob not null,
    result text not null);
create table if not exists emulator_job_results (
    job_id text not null, kind text not null, chunk integer not null, body blob not null,
    primary key (job_id, kind, chunk));
"""


class StoreError(Exception):
    """The store file cannot be used."""


class Store:
    """One connection behind one lock, so that a thread always sees a consistent org."""

    def __init__(self, path: Path | None) -> None:
        self.lock = threading.RLock()
        self._depth = 0
        try:
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=1.0, isolation_level=None, check_same_thread=False
            )
            # Two emulators on one file would give the same ids, so the second one is rejected.
            self._connection.execute("pragma locking_mode = exclusive")
            # A process that is killed loses nothing committed; only a power failure could.
            self._connection.execute("pragma journal_mode = wal")
            self._connection.execute("pragma synchronous = normal")
            self._connection.execute(f"pragma cache_size = -{CACHE_KIB}")
            self._connection.create_function(
                "email_match_key", 2, email_match_key, deterministic=True
            )
            self._connection.create_function(
                "phone_match_key", 3, phone_match_key, deterministic=True
            )
            self._connection.create_function("fold", 1, _fold, deterministic=True)
            self._connection.create_function("sf_like", 2, _like, deterministic=True)
            self._connection.create_function("java_double", 1, _java_double, deterministic=True)
            self._connection.executescript(SYSTEM_TABLES)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{path}: cannot keep the org there ({error}); name another file with --store, "
                "or move this one away"
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything in the block or nothing; an inner transaction joins the outer one."""
        with self.lock:
            if self._depth:
                yield
                return
            self._connection.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:  # an interrupt must not leave half a transaction either
                self._connection.execute("rollback")
                raise
            else:
                self._connection.execute("commit")
            finally:
                self._depth -= 1

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo the block's changes on an error, but keep those before it in the transaction."""
        with self.transaction():
            self._connection.execute("savepoint inner_step")
            try:
                yield
            except BaseException:  # as above
                self._connection.execute("rollback to inner_step")
                raise
            finally:
                self._connection.execute("release inner_step")

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Return every row of a query."""
        with self.lock:
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Parameter] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        with self.lock:
            found: Row | None = self._connection.execute(sql, parameters).fetchone()
            return found

    def run(self, sql: str, parameters: Sequence[Parameter] = ()) -> int:
        """Run one statement; return how many rows it changed."""
        with self.lock:
            return self._connection.execute(sql, parameters).rowcount

    def run_many(self, sql: str, rows: Iterable[Sequence[Parameter]]) -> None:
        """Run one statement for many rows."""
        with self.lock:
            self._connection.executemany(sql, rows)

    def add_rows(
        self,
        table: str,
        columns: Mapping[str, Sequence[Parameter]],
        constant_values: Mapping[str, Parameter],
    ) -> None:
        """Insert rows given by column; `constant_values` are equal in every row."""
        constants = {name: value for name, value in constant_values.items() if name not in columns}
        names = ", ".join(f'"{name}"' for name in (*columns, *constants))
        # As part of the statement, constant values cost nothing for each row.
        values = ", ".join([*("?" * len(columns)), *map(_literal, constants.values())])
        self.run_many(
            f'insert into "{table}" ({names}) values ({values})',  # noqa: S608
            zip(*columns.values(), strict=True),
        )

    def take_ids(self, prefix: str, count: int) -> list[str]:
        """Return the next ids of one object; an id is never given twice."""
        with self.transaction():
            found = self.row("select next from emulator_sequences where prefix = ?", (prefix,))
            first = int(found[0] or 0) if found else ids.FIRST_NUMBER
            while (last := self._last_reserved(prefix, first, first + count)) is not None:
                first = last + 1
            self.run(
                "insert into emulator_sequences values (?, ?)"
                " on conflict (prefix) do update set next = excluded.next",
                (prefix, first + count),
            )
        return list(ids.consecutive_ids(prefix, first, count))

    def _last_reserved(self, prefix: str, first: int, end: int) -> int | None:
        found = self.row(
            "select max(number) from emulator_given_ids"
            " where prefix = ? and number >= ? and number < ?",
            (prefix, first, end),
        )
        return None if found is None or found[0] is None else int(found[0])

    def reserve_id(self, record_id: str) -> None:
        """Reserve an id from the org file, so that it is never given again."""
        number = ids.number_of(record_id)
        if number is not None:
            self.run(
                "insert or ignore into emulator_given_ids values (?, ?)", (record_id[:3], number)
            )

    def take_id(self, prefix: str) -> str:
        """Return the next id of one object."""
        return self.take_ids(prefix, 1)[0]

    def get(self, key: str) -> str | None:
        """Return a stored text, or None."""
        found = self.row("select value from emulator_meta where key = ?", (key,))
        return None if found is None else str(found[0])

    def put(self, key: str, value: str) -> None:
        """Store a text under a key."""
        self.run("insert or replace into emulator_meta values (?, ?)", (key, value))

    def count_up(self, key: str) -> int:
        """Increase a counter and return it."""
        found = self.row(
            "insert into emulator_meta values (?, '1') on conflict (key)"
            " do update set value = cast(value as integer) + 1 returning value",
            (key,),
        )
        return int(found[0] or 0) if found else 0

    def empty(self, schema: Schema) -> None:
        """Drop every table and create those of this schema."""
        self.run('drop view if exists "Name"')
        tables = "select name from sqlite_master where type = 'table'"
        for (name,) in self.rows(tables):
            self.run(f'drop table "{name!s}"')
        for statement in SYSTEM_TABLES.split(";"):
            self.run(statement)
        for sobject in schema.objects:
            self._create(sobject)
        self.run(OWNER_VIEW)

    def _create(self, sobject: SObject) -> None:
        columns = ", ".join(
            f'"{f.name}" {_column_type(f.type, f.case_sensitive)}' for f in sobject.stored_fields
        )
        self.run(f'create table "{sobject.name}" ({columns}, primary key ("Id"))')
        for field in sobject.stored_fields:
            if field.is_key and field.type != "id":
                index = f"{sobject.name}_{field.name}"
                self.run(f'create index "{index}" on "{sobject.name}" ("{field.name}")')

    def close(self) -> None:
        """Close the database."""
        with self.lock:
            self._connection.close()


# A Lead is owned by a User or a Group; one view lets a query join both (Owner.Name, Owner.Type).
OWNER_VIEW = """
create view "Name" as
select Id, Name, 'User' as Type, Username, Email, Alias, FirstName, LastName, IsActive,
       ProfileId, UserRoleId, Title, Phone, null as DeveloperName from "User"
union all
select Id, Name, case Type when 'Queue' then 'Queue' else 'Group' end, null, Email, null, null,
       null, null, null, null, null, null, DeveloperName from "Group"
"""


def _column_type(type_: str, case_sensitive: bool) -> str:
    if type_ in {"id", "reference", "date", "datetime"} or case_sensitive:
        return "text"
    if type_ == "boolean" or type_ == "int":
        return "integer"
    if type_ in NUMBER_TYPES:
        return "real"
    return "text collate nocase"


def _literal(value: Parameter) -> str:
    if isinstance(value, str):
        doubled = value.replace("'", "''")
        return f"'{doubled}'"
    return "null" if value is None else repr(value)


def _fold(text: str | None) -> str | None:
    return text.casefold() if isinstance(text, str) else text


def _like(text: object, pattern: str) -> int:
    return int(isinstance(text, str) and is_like(text, pattern))


def _java_double(number: float | None) -> str | None:
    return None if number is None else java_double(number)
