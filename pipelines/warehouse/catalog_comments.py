"""Read the comments of tables, views and columns from the SQL files, for the catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pipelines.warehouse.engines.base import Explanation

_TABLE = re.compile(
    r"(?P<comment>(?:^--[^\n]*\n)+)create table (?P<name>\w+) \(\n(?P<body>.*?)^\)", re.M | re.S
)
# A column is indented by four spaces. Deeper lines and constraints belong to the line above.
_COLUMN = re.compile(
    r"^ {4}(?!(?:primary|unique|check|constraint|foreign)\b)(?P<name>\w+) "
    r"[^\n]*?(?:-- (?P<note>.+))?$",
    re.M,
)
_ADDED_COLUMN = re.compile(
    r"^alter table (?P<table>\w+)\s+add column (?P<name>\w+) [^\n]*?-- (?P<note>.+)$", re.M
)
_NOTE = re.compile(r"^-- (?P<name>[a-z_]+): (?P<note>.+)$", re.M)
_SOURCE = re.compile(r"\b(?:from|join) (\w+)")


def explained_tables(migrations: Iterable[str]) -> dict[str, Explanation]:
    """Return by table name the comment above `create table`, and those that end the columns' lines.

    A column without a comment has an empty note.
    """
    found: dict[str, Explanation] = {}
    for script in migrations:
        for table in _TABLE.finditer(script):
            columns = {m["name"]: m["note"] or "" for m in _COLUMN.finditer(table["body"])}
            found[table["name"]] = Explanation("table", _joined(table["comment"]), columns)
        for added in _ADDED_COLUMN.finditer(script):
            table_so_far = found[added["table"]]
            notes = {**table_so_far.columns, added["name"]: added["note"]}
            found[added["table"]] = table_so_far._replace(columns=notes)
    return found


def explained_view(
    query: str, columns: Iterable[str], known: Mapping[str, Explanation]
) -> Explanation:
    """Return the view's first line, and a note for each column: its own, else that of its source.

    `known` contains the tables and views that it may read. If several have the column, the one that
    the query names first is used.
    """
    notes: dict[str, str] = {}
    for name in reversed(_SOURCE.findall(query)):
        notes |= known[name].columns if name in known else {}
    notes |= {note["name"]: note["note"] for note in _NOTE.finditer(query)}
    description = query.partition("\n")[0].removeprefix("-- ")
    return Explanation("view", description, {name: notes.get(name, "") for name in columns})


def _joined(comment: str) -> str:
    return " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
