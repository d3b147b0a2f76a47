"""SOQL: from text to a tree. Anything outside the grammar is a clear error with its position."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

MAX_QUERY = 100_000
MAX_LITERAL = 4_000

GRAMMAR = r"""
start: "SELECT"i selected "FROM"i NAME [NAME] [where] [order] [limit] [offset] [_read_for] [ALL_ROWS]

?selected: count_all | items
count_all: COUNT "(" ")"
items: item ("," item)*
?item: path -> field_item
     | COUNT "(" path ")" [NAME] -> count_item
     | FUNCTION "(" path ")" [NAME] -> function_item
     | "FIELDS"i "(" NAME ")" -> fields_item
path: NAME ("." NAME)*

where: "WHERE"i condition
?condition: factor
          | factor ("AND"i factor)+ -> all_of
          | factor ("OR"i factor)+ -> any_of
?factor: "NOT"i factor -> negated
       | "(" condition ")"
       | comparison
comparison: path OPERATOR value -> compared
          | path "LIKE"i value -> like
          | path "IN"i "(" value ("," value)* ")" -> within
          | path "NOT"i "IN"i "(" value ("," value)* ")" -> not_within

order: "ORDER"i "BY"i ordering ("," ordering)*
ordering: path [DIRECTION] [NULLS]
limit: "LIMIT"i INTEGER
offset: "OFFSET"i INTEGER
_read_for: "FOR"i ("VIEW"i | "REFERENCE"i | "UPDATE"i)

value: STRING -> string
     | MOMENT -> moment
     | DAY -> day
     | INTEGER -> integer
     | DECIMAL -> decimal
     | "TRUE"i -> true
     | "FALSE"i -> false
     | "NULL"i -> null
     | NAMED_DAYS -> named_days

COUNT.2: /count(?=\s*\()/i
FUNCTION.2: /(count_distinct|min|max|sum|avg)(?=\s*\()/i
ALL_ROWS: /all\s+rows\b/i
DIRECTION: /(asc|desc)\b/i
NULLS: /nulls\s+(first|last)\b/i
OPERATOR: "!=" | "<>" | "<=" | ">=" | "=" | "<" | ">"
STRING: /'(?:[^'\\]|\\.)*'/s
MOMENT.3: /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})/i
DAY.2: /\d{4}-\d{2}-\d{2}/
DECIMAL.1: /[+-]?(\d+\.\d*|\.\d+)/
INTEGER: /[+-]?\d+/
NAMED_DAYS.2: /(today|yesterday|tomorrow|this_week|last_week|this_month|last_month|this_year|last_year|last_n_days:\d{1,4}|next_n_days:\d{1,4}|last_90_days|next_90_days)\b/i
NAME: /[A-Za-z_][A-Za-z0-9_]*/
%ignore /\s+/
"""  # noqa: E501 - the list of named days reads best on one line


class SoqlError(Exception):
    """A query the org refuses."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Path:
    """A field, possibly through relationships; `position` is where it stands in the text."""

    parts: tuple[str, ...]
    position: int

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True)
class Literal:
    """A value written in a query: its kind decides what it may be compared with."""

    kind: str
    value: Any


@dataclass(frozen=True)
class Comparison:
    """`path operator literals`; operators are the symbols, `like`, `in` and `not in`."""

    path: Path
    operator: str
    literals: tuple[Literal, ...]


@dataclass(frozen=True)
class Combined:
    """Conditions joined by `and` or `or`, or one under `not`."""

    operator: str
    parts: tuple[Condition, ...]


Condition = Comparison | Combined


@dataclass(frozen=True)
class Selected:
    """One thing asked for: a field, or a function of one."""

    path: Path
    function: str = ""
    alias: str = ""


@dataclass(frozen=True)
class Ordering:
    """One term of ORDER BY; nulls come first unless said."""

    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A query as it was written, names not yet looked up."""

    text: str
    object: Path
    alias: str
    items: tuple[Selected, ...]
    count_all: bool
    fields_of: str
    where: Condition | None
    order: tuple[Ordering, ...]
    limit: int | None
    offset: int
    all_rows: bool


def parse(text: str) -> Query:
    """The tree of a query, or SoqlError with the position of what is wrong."""
    if len(text) > MAX_QUERY:
        raise SoqlError(
            "MALFORMED_QUERY", "SOQL statements cannot be longer than 100000 characters."
        )
    try:
        tree = PARSER.parse(text)
        query: Query = _Builder(text).transform(tree)
    except UnexpectedToken as error:
        raise _malformed(text, error, str(error.token)) from error
    except UnexpectedCharacters as error:
        raise _malformed(text, error, text[error.pos_in_stream or 0]) from error
    except VisitError as error:
        if isinstance(error.orig_exc, SoqlError):
            raise error.orig_exc from error
        raise
    except RecursionError as error:
        raise SoqlError("MALFORMED_QUERY", "the query is nested too deeply") from error
    return query


def _malformed(text: str, error: UnexpectedInput, found: str) -> SoqlError:
    position = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    what = f"unexpected token: '{found}'" if found else "unexpected token: <EOF>"
    return SoqlError("MALFORMED_QUERY", at(text, min(position, len(text)), what))


def at(text: str, position: int, what: str) -> str:
    """A message as the org writes it: the text, a caret under the place, row and column."""
    row = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    line = text.splitlines()[row - 1] if text.splitlines() else ""
    shown = line[max(0, column - 41) : column + 39]
    caret = " " * (column - 1 - max(0, column - 41)) + "^"
    return f"\n{shown}\n{caret}\nERROR at Row:{row}:Column:{column}\n{what}"


ESCAPES = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    '"': '"',
    "'": "'",
    "\\": "\\",
}
ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


def unescaped(body: str) -> str:
    """The text between quotes; `\\_` and `\\%` stay escaped, they mean something to LIKE (§7.3)."""
    return _without_surrogates(ESCAPE.sub(_one_escape, body))


def _one_escape(match: re.Match[str]) -> str:
    sequence = match[1]
    if sequence in ESCAPES:
        return ESCAPES[sequence]
    if sequence in "_%":
        return match[0]
    if len(sequence) == 5:
        return chr(int(sequence[1:], 16))
    raise SoqlError("MALFORMED_QUERY", f"Illegal escape sequence '{match[0]}' in string literal")


def _without_surrogates(text: str) -> str:
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise SoqlError("MALFORMED_QUERY", "a lone surrogate is not a character") from error


def like_pattern(body: str) -> str:
    """A LIKE text as a regular expression: `%` any run, `_` any character, both escapable."""
    out = []
    for part in re.findall(r"\\[_%]|.", body, re.DOTALL):
        wild = {"%": ".*", "_": "."}.get(part)
        out.append(wild or re.escape(part[1:] if len(part) == 2 else part))
    return "".join(out)


class _Builder(Transformer[Token, Query]):
    """Turns lark's tree into ours, leaf by leaf."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def start(self, children: list[Any]) -> Query:
        selected, name, alias, where, order, limit, offset, all_rows = children
        return Query(
            text=self._text,
            object=Path((str(name),), name.start_pos or 0),
            alias=str(alias or ""),
            items=tuple(i for i in selected if isinstance(i, Selected)),
            count_all=selected == ["count()"],
            fields_of=next((i for i in selected if i in {"all", "standard", "custom"}), ""),
            where=where,
            order=order or (),
            limit=limit,
            offset=offset or 0,
            all_rows=all_rows is not None,
        )

    def count_all(self, _children: list[Any]) -> list[str]:
        return ["count()"]

    def items(self, children: list[Any]) -> list[Any]:
        return children

    def field_item(self, children: list[Any]) -> Selected:
        return Selected(children[0])

    def count_item(self, children: list[Any]) -> Selected:
        return Selected(children[1], "count", str(children[2] or ""))

    def function_item(self, children: list[Any]) -> Selected:
        return Selected(children[1], str(children[0]).lower(), str(children[2] or ""))

    def fields_item(self, children: list[Any]) -> str:
        which = str(children[0]).lower()
        if which not in {"all", "standard", "custom"}:
            what = f"unexpected token: '{children[0]}'"
            raise SoqlError("MALFORMED_QUERY", at(self._text, children[0].start_pos, what))
        return which

    def path(self, children: list[Any]) -> Path:
        return Path(tuple(map(str, children)), children[0].start_pos)

    def where(self, children: list[Any]) -> Condition:
        return children[0]  # type: ignore[no-any-return]  # lark's children have no type

    def all_of(self, children: list[Any]) -> Combined:
        return Combined("and", tuple(children))

    def any_of(self, children: list[Any]) -> Combined:
        return Combined("or", tuple(children))

    def negated(self, children: list[Any]) -> Combined:
        return Combined("not", tuple(children))

    def compared(self, children: list[Any]) -> Comparison:
        path, operator, literal = children
        return Comparison(path, str(operator).replace("<>", "!="), (literal,))

    def like(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "like", (children[1],))

    def within(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "in", tuple(children[1:]))

    def not_within(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "not in", tuple(children[1:]))

    def order(self, children: list[Any]) -> tuple[Ordering, ...]:
        return tuple(children)

    def ordering(self, children: list[Any]) -> Ordering:
        path, direction, nulls = children
        descending = direction is not None and direction.lower() == "desc"
        return Ordering(path, descending, nulls is not None and nulls.lower().endswith("last"))

    def limit(self, children: list[Any]) -> int:
        return self._count(children[0])

    def offset(self, children: list[Any]) -> int:
        return self._count(children[0])

    def _count(self, token: Token) -> int:
        if not token.isdecimal() or len(token) > 9:
            what = f"unexpected token: '{token}'"
            raise SoqlError("MALFORMED_QUERY", at(self._text, token.start_pos or 0, what))
        return int(token)

    def string(self, children: list[Any]) -> Literal:
        body = str(children[0])[1:-1]
        if len(body) > MAX_LITERAL:
            message = "a string literal cannot be longer than 4000 characters"
            raise SoqlError("MALFORMED_QUERY", at(self._text, children[0].start_pos, message))
        try:
            return Literal("string", unescaped(body))
        except SoqlError as error:
            message = at(self._text, children[0].start_pos, str(error))
            raise SoqlError(error.code, message) from error

    def moment(self, children: list[Any]) -> Literal:
        return Literal("datetime", str(children[0]).upper())

    def day(self, children: list[Any]) -> Literal:
        return Literal("date", str(children[0]))

    def integer(self, children: list[Any]) -> Literal:
        return Literal("number", float(children[0]))

    def decimal(self, children: list[Any]) -> Literal:
        return Literal("number", float(children[0]))

    def true(self, _children: list[Any]) -> Literal:
        return Literal("boolean", 1)

    def false(self, _children: list[Any]) -> Literal:
        return Literal("boolean", 0)

    def null(self, _children: list[Any]) -> Literal:
        return Literal("null", None)

    def named_days(self, children: list[Any]) -> Literal:
        return Literal("days", str(children[0]).lower())


PARSER = Lark(GRAMMAR, parser="lalr", maybe_placeholders=True)
