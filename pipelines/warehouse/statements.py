"""The SQL of `sql/`, found by name and made ready: parameters and result columns are typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, DateTime, String, TextClause, bindparam, text
from sqlalchemy.sql.selectable import TextualSelect
from sqlalchemy.types import TypeEngine

_PACKAGE = Path(__file__).parents[1]
# A wheel carries it inside the package; in the project it stands beside.
SQL_FOLDER = next(f / "sql" for f in (_PACKAGE, _PACKAGE.parent) if (f / "sql").is_dir())

_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
  | (?P<quoted>  '(?:[^']|'')*' | "(?:[^"]|"")*" )
  | (?P<end>     ; )
  | (?P<plain>   [^'";\-/]+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_INSTANT = re.compile(r"\b(?:now|\w+_(?:at|until|from))\b")
_YES_OR_NO = re.compile(r"\b(?:is|has)_\w+\b")
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)")
_LIST = re.compile(r"\bin \((:\w+)\)")
_RETURNS_ROWS = re.compile(r"^\s*(?:select|with)\b|\breturning\b")


def tokens(sql: str) -> Iterator[tuple[str, str]]:
    """The pieces of `sql` as (kind, text): comment, quoted, end (a semicolon) and plain."""
    for match in _TOKEN.finditer(sql):
        yield str(match.lastgroup), match.group()


def statements_in(sql: str) -> list[str]:
    """The statements of a script, comments and all; only a semicolon outside of those ends one."""
    scripts, found, has_words = [""], [], False
    for kind, piece in tokens(sql):
        if kind == "end":
            if has_words:
                found.append(scripts[-1].strip())
            scripts.append("")
            has_words = False
            continue
        scripts[-1] += piece
        has_words = has_words or (kind != "comment" and not piece.isspace())
    return [*found, scripts[-1].strip()] if has_words else found


def without_comments(sql: str) -> str:
    """The same SQL without its comments."""
    return "".join(piece for kind, piece in tokens(sql) if kind != "comment").strip()


@cache
def query_text(name: str, folder: str = "queries") -> str:
    """The file `sql/<folder>/<name>.sql`; FileNotFoundError is a mistake of ours."""
    return (SQL_FOLDER / folder / f"{name}.sql").read_text(encoding="utf-8")


def statement(
    name: str, parameters: Mapping[str, Any], folder: str = "queries"
) -> TextClause | TextualSelect:
    """The query of that name, its parameters bound by type and its result columns typed by name.

    `*_at`, `*_until` and `*_from` come back as naive UTC datetimes, `is_*` and `has_*` as bool.
    A list or tuple of texts as a parameter is spread: `in (:names)`.
    """
    clause = _parsed(name, folder)
    typed = clause.bindparams(*(_parameter(key, parameters[key]) for key in parameters))
    if not _RETURNS_ROWS.search(typed.text):
        return typed
    return typed.columns(**_types_of_columns(name, folder))


@cache
def parameters_of(name: str, folder: str = "queries") -> frozenset[str]:
    """The names of the parameters that a query takes."""
    return frozenset(_PARAMETER.findall(_parsed(name, folder).text))


@cache
def _parsed(name: str, folder: str) -> TextClause:
    # A colon in a string is no parameter; `text` takes it for one unless told.
    pieces = (
        piece.replace(":", r"\:") if kind == "quoted" else piece
        for kind, piece in tokens(query_text(name, folder))
        if kind != "comment"
    )
    # Inside parentheses a list reads as SQL to every tool; SQLAlchemy brings its own.
    return text(_LIST.sub(r"in \1", "".join(pieces).strip().rstrip(";")))


def _parameter(name: str, value: Any) -> Any:
    # A null has no type of its own and PostgreSQL asks for one, so the name decides where it can.
    if isinstance(value, list | tuple):
        # Untyped, an empty list reads as one of integers to PostgreSQL.
        return bindparam(name, value=list(value), expanding=True, type_=String())
    if isinstance(value, datetime) or _INSTANT.fullmatch(name):
        return bindparam(name, value=value, type_=DateTime())
    if isinstance(value, bool) or _YES_OR_NO.fullmatch(name):
        return bindparam(name, value=value, type_=Boolean())
    return bindparam(name, value=value)


@cache
def _types_of_columns(name: str, folder: str) -> dict[str, TypeEngine[Any]]:
    # `select *` names no column, so all names of tables and views are offered; SQLAlchemy takes
    # those it meets.
    words = query_text(name, folder) + _words_of_the_tables()
    instants = dict.fromkeys(_INSTANT.findall(words), DateTime())
    return {**instants, **dict.fromkeys(_YES_OR_NO.findall(words), Boolean())}


@cache
def _words_of_the_tables() -> str:
    files = sorted(SQL_FOLDER.glob("migrations/*.sql")) + sorted(SQL_FOLDER.glob("views/*.sql"))
    return "\n".join(without_comments(file.read_text(encoding="utf-8")) for file in files)
