"""The floor: the cheapest steps that move the same bytes, without any decision.

- Read: on SQLite one statement that reads every cell in C and returns one number, which is cheaper
  than any driver in Python. On PostgreSQL COPY, with the data thrown away.
- Upload: the file that a load would send, by `sendfile`.
- Download: the three result files into one buffer.
- Write: a claim and an outcome for every person sent, one transaction per 100,000 persons. The two
  tables have a primary key and nothing else. SQLite by `executemany`, PostgreSQL by COPY.

Preparing the rows, the files and the job is not measured. The ratio to the floor shows what a load
does besides: validate, match, encode, parse, record.
"""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import requests

from tests.benchmarks import population
from tests.benchmarks.stopwatch import Stopwatch
from tests.benchmarks.stores import as_csv
from tests.benchmarks.task import Task, task_of_this_process

_ROOT = "/services/data/v67.0/jobs/ingest"
_FILES = ("successfulResults", "failedResults", "unprocessedrecords")
_TABLES = {
    "floor_claims": "batch_id run_id claimed_at owner_strategy owner_id row_hash defaulted_fields "
    "attempt_count source_changed_at source_version email_hash",
    "floor_outcomes": "outcome run_id batch_id lead_id owner_strategy owner_id owner_name "
    "owner_type attempt_count source_changed_at source_version decided_at",
}

# Values as wide as those of a real row. All other columns hold instants.
_TYPICAL_VALUES = {
    "row_hash": "f" * 32,
    "batch_id": "b" * 32,
    "run_id": "r" * 32,
    "email_hash": "e" * 64,
    "attempt_count": "1",
    "defaulted_fields": None,
    "outcome": "created",
    "lead_id": "00Q000000000000EAA",
    "owner_id": "0055e00000sink1AAA",
    "owner_name": "Loader",
    "owner_type": "user",
    "owner_strategy": "rules",
}


def main() -> None:
    """Measure each step alone."""
    task, watch = task_of_this_process(), Stopwatch()
    read, write = (_read_sqlite, _write_sqlite) if task.is_sqlite else (_copy_out, _copy_in)
    with watch.measure("read"):
        read(task)
    for file in task.lead_files:
        _upload_and_download(watch, task, Path(file))
    write(task, watch)
    watch.print_report(api_call_count=0)


def _read_sqlite(task: Task) -> None:
    cells = " + ".join(f"coalesce(length(cast({name} as blob)), 0)" for name in population.COLUMNS)
    with closing(sqlite3.connect(task.warehouse_url.removeprefix("sqlite:///"))) as connection:
        connection.execute(f"select sum({cells}) from persons").fetchone()


def _copy_out(task: Task) -> None:
    with (
        psycopg.connect(task.warehouse_url) as connection,
        connection.cursor() as cursor,
        cursor.copy("copy persons to stdout") as copy,
    ):
        for _ in copy:
            pass


def _upload_and_download(watch: Stopwatch, task: Task, file: Path) -> None:
    job = _job(task, "POST", "", operation="insert", object="Lead")
    with _connect(task) as connection:
        with watch.measure("upload"):
            _put(connection, f"{_ROOT}/{job['id']}/batches", file)
        _job(task, "PATCH", f"/{job['id']}", state="UploadComplete")
        while _job(task, "GET", f"/{job['id']}")["state"] != "JobComplete":
            pass
        with watch.measure("download"):
            for name in _FILES:
                _get(connection, f"{_ROOT}/{job['id']}/{name}")


def _job(task: Task, method: str, path: str, **body: str) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False
        url = f"{task.org_url}{_ROOT}{path}"
        job: dict[str, Any] = session.request(method, url, json=body, timeout=60).json()
        return job


def _connect(task: Task) -> socket.socket:
    url = urlsplit(task.org_url)
    connection = socket.create_connection((str(url.hostname), int(url.port or 80)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _put(connection: socket.socket, path: str, file: Path) -> None:
    head = f"PUT {path} HTTP/1.1\r\nContent-Length: {file.stat().st_size}\r\n\r\n"
    with file.open("rb") as stream:
        connection.sendall(head.encode())
        connection.sendfile(stream)
    _receive(connection)


def _get(connection: socket.socket, path: str) -> None:
    connection.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    _receive(connection)


def _receive(connection: socket.socket) -> None:
    """Receive one response without keeping it."""
    buffer = bytearray(1 << 20)
    count = connection.recv_into(buffer)
    head, _, body = bytes(buffer[:count]).partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    left = int(lengths[0].split()[1]) - len(body)
    while left > 0:
        left -= connection.recv_into(buffer)


def _rows(task: Task) -> Iterator[dict[str, pa.Table]]:
    """Yield a claim and an outcome for every person sent, 100,000 persons at a time."""
    for persons in population.slices(task.person_count):
        ids = population.accepted(persons)["person_id"]
        yield {name: _filled(ids, columns.split()) for name, columns in _TABLES.items()}


def _filled(ids: pa.ChunkedArray, columns: list[str]) -> pa.Table:
    """Return a row per person id. The other cells are the same in every row."""
    values = dict.fromkeys(columns, "2026-01-01 00:00:00.000000") | _TYPICAL_VALUES
    cells = [pa.repeat(pa.scalar(values[name], pa.string()), len(ids)) for name in columns]
    return pa.table([ids, *cells], names=["person_id", *columns])


def _write_sqlite(task: Task, watch: Stopwatch) -> None:
    database = task.warehouse_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        for command in _creates():
            connection.execute(command)
        for tables in _rows(task):
            rows = {name: list(zip(*_cells(table), strict=True)) for name, table in tables.items()}
            for name, values in rows.items():
                parameters = ", ".join("?" * len(values[0]))
                with watch.measure(_stage_of(name)):
                    connection.execute("begin")
                    connection.executemany(f"insert into {name} values ({parameters})", values)
                    connection.execute("commit")


def _copy_in(task: Task, watch: Stopwatch) -> None:
    with psycopg.connect(task.warehouse_url, autocommit=True) as connection:
        for create in _creates():
            connection.execute(create.encode())
        for tables in _rows(task):
            for name, table in tables.items():
                data = as_csv(table, include_header=False)
                with watch.measure(_stage_of(name)), _copying(connection, name) as copy:
                    copy.write(data)


@contextmanager
def _copying(connection: psycopg.Connection[Any], name: str) -> Iterator[psycopg.Copy]:
    command = f"copy {name} from stdin (format csv)".encode()
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        yield copy


def _stage_of(table: str) -> str:
    return f"write {table.removeprefix('floor_')}"


def _creates() -> Iterator[str]:
    for name, columns in _TABLES.items():
        texts = ", ".join(f"{column} text" for column in columns.split())
        yield f"create table {name} (person_id text not null primary key, {texts})"


def _cells(table: pa.Table) -> list[list[Any]]:
    return [column.to_pylist() for column in table.columns]


if __name__ == "__main__":
    main()
