"""What the DDL says about tables, views and columns, read from the comments beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pipelines.warehouse.engines.base import Explanation

_TABLE = re.compile(
    r"(?P<words>(?:^--[^\n]*\n)+)create table (?P<name>\w+) \(\n(?P<body>.*?)^\)", re.M | re.S
)
# A column stands one step in; what stands deeper, or begins so, belongs to the line above.
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
    """Table by name: the comment above `create table`, and the one that ends each column's line.

    A column without a comment has an empty note.
    """
    found: dict[str, Explanation] = {}
    for script in migrations:
        for table in _TABLE.finditer(script):
            columns = {m["name"]: m["note"] or "" for m in _COLUMN.finditer(table["body"])}
            found[table["name"]] = Explanation("table", _sentence(table["words"]), columns)
        for added in _ADDED_COLUMN.finditer(script):
            table_so_far = found[added["table"]]
            notes = {**table_so_far.columns, added["name"]: added["note"]}
            found[added["table"]] = table_so_far._replace(columns=notes)
    return found


def explained_view(
    query: str, columns: Iterable[str], known: Mapping[str, Explanation]
) -> Explanation:
    """The view's first line, and for each of its columns: its own note, else that of its source.

    `known` holds the tables and views it may read; of several that have the column, the first that
    the query names speaks.
    """
    words: dict[str, str] = {}
    for name in reversed(_SOURCE.findall(query)):
        words |= known[name].columns if name in known else {}
    words |= {note["name"]: note["note"] for note in _NOTE.finditer(query)}
    sentence = query.partition("\n")[0].removeprefix("-- ")
    return Explanation("view", sentence, {name: words.get(name, "") for name in columns})


def _sentence(comment: str) -> str:
    return " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
