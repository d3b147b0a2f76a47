"""The syntax tree of a SOQL query, before names are looked up, and the org's error messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class SoqlError(Exception):
    """A query that the org rejects, with the org's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Path:
    """A field, possibly through relationships; `position` is its offset in the text."""

    parts: tuple[str, ...]
    position: int

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Operand:
    """A field, or a function of one; the function's name is in lower case."""

    path: Path
    function: str = ""

    def __str__(self) -> str:
        return f"{self.function}({self.path})" if self.function else str(self.path)


@dataclass(frozen=True)
class Literal:
    r"""A value in a query; its kind decides what it may be compared with.

    `pattern` is a text as LIKE reads it. A text with `\_` or `\%` can be used only with LIKE.
    """

    kind: str
    value: Any
    pattern: str = ""
    only_like: bool = False


@dataclass(frozen=True)
class Comparison:
    """`left operator literals`; operators are the symbols, `like`, `in` and `not in`.

    With `inner`, a semi-join: the values are what that query selects.
    """

    left: Operand
    operator: str
    literals: tuple[Literal, ...]
    inner: Query | None = None


@dataclass(frozen=True)
class Combined:
    """Conditions joined by `and` or `or`, or one condition under `not`."""

    operator: str
    parts: tuple[Condition, ...]


Condition = Comparison | Combined


@dataclass(frozen=True)
class Selected:
    """One item of the SELECT list; `fields` is the argument of FIELDS()."""

    operand: Operand
    alias: str = ""
    fields: str = ""


@dataclass(frozen=True)
class Ordering:
    """One term of ORDER BY; nulls come first by default."""

    operand: Operand
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A parsed query."""

    text: str
    object: Path
    alias: str
    selected: tuple[Selected, ...]
    count_all: bool
    scope: str
    where: Condition | None
    group: tuple[Operand, ...]
    having: Condition | None
    order: tuple[Ordering, ...]
    limit: int | None
    offset: int
    all_rows: bool


def at(text: str, position: int, what: str) -> str:
    """Return a message as the org writes it: text, a caret under the position, row and column."""
    start = text.rfind("\n", 0, position) + 1
    line = text[start:].partition("\n")[0]
    row, column = text.count("\n", 0, position) + 1, position - start + 1
    cut = max(0, column - 41)
    shown = line[cut : column + 39]
    caret = " " * (column - 1 - cut) + "^"
    return f"\n{shown}\n{caret}\nERROR at Row:{row}:Column:{column}\n{what}"


def malformed(text: str, position: int, what: str) -> SoqlError:
    """Return a MALFORMED_QUERY error with its position."""
    return SoqlError("MALFORMED_QUERY", at(text, min(position, len(text)), what))
