"""What a run under observation tells of itself: each COMMIT before and after, and what wrote it.

Only SQLAlchemy's own events and subclasses of the drivers' connections are used: of the product
nothing is changed. Its HTTP is observed from outside, by `relay`.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import Engine, event

_WRITES = re.compile(r"\s*(insert into|update|delete from|create table|drop view)\s+([\w.]+)", re.I)
_STATE = re.compile(r"batch_state = '(\w+)'")


class Line:
    """The line to whoever directs the run: say a thing, or ask and wait for the word."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(address)
        self._words = self._socket.makefile("r", encoding="utf-8")

    def say(self, **words: Any) -> None:
        """Tell something; nothing comes back."""
        self._socket.sendall(json.dumps(words).encode() + b"\n")

    def ask(self, side: str, name: str) -> str:
        """Stand at a boundary until the word comes; gone is who gives no word any more."""
        self.say(side=side, name=name)
        word = self._words.readline().strip()
        if not word:
            raise SystemExit("nobody directs this run any more")
        return word


class Commits:
    """Stands at both sides of every COMMIT that there is anything to commit in."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def around(self, connection: ObservedSQLite | ObservedPostgres, commit: Callable[[], None]):
        """Commit, asking before and after; the word `lose` takes the connection away."""
        written = list(dict.fromkeys(connection.written)) or ["nothing"]
        name = f"COMMIT {', '.join(written[:3])}{' …' if len(written) > 3 else ''}"
        connection.written = []
        self._obey(connection, self._line.ask("before", name))
        commit()
        self._obey(connection, self._line.ask("after", name))

    def _obey(self, connection: ObservedSQLite | ObservedPostgres, word: str) -> None:
        if word == "lose" and isinstance(connection, ObservedPostgres):
            connection.pgconn.finish()
            raise psycopg.OperationalError("server closed the connection unexpectedly")


class ObservedSQLite(sqlite3.Connection):
    """A connection that says when it commits."""

    commits: Commits
    most_pages = 0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.written: list[str] = []
        if self.most_pages:  # as a disk that is full
            self.execute(f"pragma max_page_count = {self.most_pages}")

    def commit(self) -> None:
        """Commit between two boundaries."""
        self.commits.around(self, super().commit)


class ObservedPostgres(psycopg.Connection[Any]):
    """A connection that says when it commits."""

    commits: Commits

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.written: list[str] = []

    def commit(self) -> None:
        """Commit between two boundaries."""
        self.commits.around(self, super().commit)


def observe_commits(line: Line, most_pages: int = 0) -> None:
    """From now on every engine of this process connects observed."""
    ObservedSQLite.commits = ObservedPostgres.commits = Commits(line)
    ObservedSQLite.most_pages = most_pages
    event.listen(Engine, "do_connect", _connect_observed)
    event.listen(Engine, "before_cursor_execute", _note_write)


def _connect_observed(
    dialect: Any, _record: object, given: list[Any], named: dict[str, Any]
) -> Any:
    if dialect.name == "sqlite":
        named["factory"] = ObservedSQLite
        return None
    return ObservedPostgres.connect(*given, **named)


def _note_write(_connection: object, cursor: Any, statement: str, *_more: object) -> None:
    found = _WRITES.match(statement)
    written = getattr(cursor.connection, "written", None)
    if found and written is not None:
        state = _STATE.search(statement)
        words = [found[1].split()[0].lower(), found[2], *(state.groups() if state else ())]
        written.append(" ".join(words))
