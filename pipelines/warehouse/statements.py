"""Find the SQL of `sql/` by name, and give its parameters and result columns their types.

A file of `sql/queries` contains several statements. Each begins with a line `-- name: claim_slice`,
then comment lines that say what it does, and ends with a semicolon. Names are unique over all
files.
"""

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
# A wheel contains it inside the package; in the project it is a folder at the top.
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
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INSTANT = re.compile(r"\b(?:now|\w+_(?:at|until|from|watermark))\b")
_YES_OR_NO = re.compile(r"\b(?:is|has|allow)_\w+\b")
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)")
_LIST = re.compile(r"\bin \((:\w+)\)")
_RETURNS_ROWS = re.compile(r"^\s*(?:select|with)\b|\breturning\b")


def tokens(sql: str) -> Iterator[tuple[str, str]]:
    """Yield the pieces of `sql` as (kind, text): comment, quoted, end (a semicolon) and plain."""
    for match in _TOKEN.finditer(sql):
        yield str(match.lastgroup), match.group()


def statements_in(sql: str) -> list[str]:
    """Return the statements of a script with their comments.

    A semicolon inside a comment or a quoted text does not end a statement.
    """
    scripts, found, has_code = [""], [], False
    for kind, piece in tokens(sql):
        if kind == "end":
            if has_code:
                found.append(scripts[-1].strip())
            scripts.append("")
            has_code = False
            continue
        scripts[-1] += piece
        has_code = has_code or (kind != "comment" and not piece.isspace())
    return [*found, scripts[-1].strip()] if has_code else found


def without_comments(sql: str) -> str:
    """Return the same SQL without its comments."""
    return "".join(piece for kind, piece in tokens(sql) if kind != "comment").strip()


def named_statements(script: str) -> dict[str, str]:
    """Return the statements of a file by name, comments included.

    Raises LookupError for a name that the file uses twice.
    """
    _, *parts = _NAME.split(script)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise LookupError(f"a statement's name is used twice: {names}")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}


@cache
def queries() -> Mapping[str, str]:
    """Return the statements of all files of `sql/queries` by name.

    Raises LookupError for a name that two files use.
    """
    found: dict[str, str] = {}
    for file in sorted(SQL_FOLDER.glob("queries/*.sql")):
        statements = named_statements(file.read_text(encoding="utf-8"))
        if repeated := found.keys() & statements.keys():
            raise LookupError(f"{file.name} repeats the statements {sorted(repeated)}")
        found |= statements
    return found


@cache
def query_text(name: str, folder: str = "queries") -> str:
    """Return a statement of `sql/queries`, or the only one of `sql/checks/<name>.sql`.

    KeyError or FileNotFoundError is a mistake of ours.
    """
    if folder == "queries":
        return queries()[name]
    return (SQL_FOLDER / folder / f"{name}.sql").read_text(encoding="utf-8")


def statement(
    name: str, parameters: Mapping[str, Any], folder: str = "queries"
) -> TextClause | TextualSelect:
    """Return the statement, its parameters bound by type and its columns typed by name.

    `*_at`, `*_until`, `*_from` and `*_watermark` are returned as naive UTC datetimes, `is_*`,
    `has_*` and `allow_*` as bool. A list of texts as a parameter is expanded: `in (:names)`.
    """
    clause = _parsed(name, folder)
    typed = clause.bindparams(*(_parameter(key, parameters[key]) for key in parameters))
    if not _RETURNS_ROWS.search(typed.text):
        return typed
    return typed.columns(**_types_of_columns(name, folder))


@cache
def parameters_of(name: str, folder: str = "queries") -> frozenset[str]:
    """Return the names of the parameters of a statement."""
    return frozenset(_PARAMETER.findall(_parsed(name, folder).text))


@cache
def _parsed(name: str, folder: str) -> TextClause:
    # A colon in a quoted text is not a parameter, but `text` takes it for one unless it is escaped.
    pieces = (
        piece.replace(":", r"\:") if kind == "quoted" else piece
        for kind, piece in tokens(query_text(name, folder))
        if kind != "comment"
    )
    # Inside parentheses a list is SQL for every tool; SQLAlchemy adds its own.
    return text(_LIST.sub(r"in \1", "".join(pieces).strip().rstrip(";")))


def _parameter(name: str, value: Any) -> Any:
    # Null has no type of its own and PostgreSQL needs one: the name decides where it can.
    if isinstance(value, list | tuple):
        # An untyped empty list is one of integers for PostgreSQL.
        return bindparam(name, value=list(value), expanding=True, type_=String())
    if isinstance(value, datetime) or _INSTANT.fullmatch(name):
        return bindparam(name, value=value, type_=DateTime())
    if isinstance(value, bool) or _YES_OR_NO.fullmatch(name):
        return bindparam(name, value=value, type_=Boolean())
    return bindparam(name, value=value)


@cache
def _types_of_columns(name: str, folder: str) -> dict[str, TypeEngine[Any]]:
    # `select *` names no column, so the names of all tables and views are given as well; SQLAlchemy
    # uses those that occur.
    words = query_text(name, folder) + _words_of_the_tables()
    instants = dict.fromkeys(_INSTANT.findall(words), DateTime())
    return {**instants, **dict.fromkeys(_YES_OR_NO.findall(words), Boolean())}


@cache
def _words_of_the_tables() -> str:
    files = sorted(SQL_FOLDER.glob("migrations/*.sql")) + sorted(SQL_FOLDER.glob("views/*.sql"))
    return "\n".join(without_comments(file.read_text(encoding="utf-8")) for file in files)
