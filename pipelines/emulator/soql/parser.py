"""Parse SOQL into a tree. Anything outside the grammar is a SoqlError with its position."""

from __future__ import annotations

import functools
import re
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError

from pipelines.emulator.soql.grammar import FIELD_SETS, FUNCTIONS, GRAMMAR, NOT_SERVED
from pipelines.emulator.soql.literals import StringLiteralError, text_literal
from pipelines.emulator.soql.syntax import (
    Combined,
    Comparison,
    Condition,
    Literal,
    Operand,
    Ordering,
    Path,
    Query,
    Selected,
    SoqlError,
    malformed,
)

MAX_QUERY = 100_000
MAX_LITERAL = 4_000
WORD_OR_SYMBOL = re.compile(r"\w+|.", re.DOTALL)

CONSTANTS = {"true": ("boolean", 1), "false": ("boolean", 0), "null": ("null", None)}


@functools.cache
def _parser() -> Lark:
    """Return the parser, built on first use: building it was 40 % of the emulator's start."""
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=True)


def parse(text: str) -> Query:
    """Return the tree of a query; raise SoqlError with the position of an error."""
    if len(text) > MAX_QUERY:
        message = "SOQL statements cannot be longer than 100000 characters."
        raise SoqlError("MALFORMED_QUERY", message)
    try:
        query: Query = _Builder(text).transform(_parser().parse(text))
    except UnexpectedToken as error:
        raise _unexpected(text, error.pos_in_stream, str(error.token)) from error
    except UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        found = WORD_OR_SYMBOL.match(text, position)
        raise _unexpected(text, position, found[0] if found else "") from error
    except VisitError as error:
        if isinstance(error.orig_exc, SoqlError):
            raise error.orig_exc from error
        raise
    except RecursionError as error:
        raise SoqlError("MALFORMED_QUERY", "the query is nested too deeply") from error
    return query


def _unexpected(text: str, position: int | None, found: str) -> SoqlError:
    what = f"unexpected token: '{found}'" if found else "unexpected token: <EOF>"
    if found.lower() in NOT_SERVED:
        what += f" ({found.upper()} is not served by this org emulator)"
    return malformed(text, len(text) if position is None else position, what)


class _Builder(Transformer[Token, Query]):
    """Converts lark's tree into ours, from the leaves up."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def start(self, children: list[Any]) -> Query:
        query: Query = children[0]
        return query

    def query(self, children: list[Any]) -> Query:
        items, name, alias, scope, where, group, order, limit, offset, all_rows = children
        operands, having = group or ((), None)
        return Query(
            text=self._text,
            object=Path((str(name),), name.start_pos or 0),
            alias=str(alias or ""),
            selected=tuple(item for item in items if item is not None),
            count_all=items == [None],
            scope=str(scope or ""),
            where=where,
            group=operands,
            having=having,
            order=order or (),
            limit=limit,
            offset=offset or 0,
            all_rows=all_rows is not None,
        )

    def items(self, children: list[Any]) -> list[Selected | None]:
        if len(children) > 1 and None in children:
            raise malformed(self._text, 0, "COUNT() must be the only element in the SELECT list")
        return children

    def count_all(self, children: list[Any]) -> None:
        """Represent `COUNT()` by None, because it is not a field."""
        if children[0].lower() != "count":
            raise _unexpected(self._text, children[0].start_pos, str(children[0]))

    def child(self, children: list[Any]) -> Selected:
        what = "unexpected token: '(' (child queries are not served by this org emulator)"
        raise malformed(self._text, children[0].start_pos, what)

    def selected(self, children: list[Any]) -> Selected:
        operand, alias = children
        if operand.function == "fields":
            return Selected(operand, fields=str(operand.path).lower())
        return Selected(operand, str(alias or ""))

    def operand(self, children: list[Any]) -> Operand:
        if len(children) == 1:
            return Operand(children[0])
        function, path = children
        name = function.lower()
        if name == "fields" and str(path).lower() not in FIELD_SETS:
            raise _unexpected(self._text, path.position, str(path))
        if name not in FUNCTIONS | {"fields"}:
            raise _unexpected(self._text, function.start_pos, str(function))
        return Operand(path, name)

    def path(self, children: list[Any]) -> Path:
        return Path(tuple(map(str, children)), children[0].start_pos)

    def scope(self, children: list[Any]) -> Token:
        token: Token = children[0]
        return token

    def where(self, children: list[Any]) -> Condition:
        return children[0]  # type: ignore[no-any-return]  # lark's children have no type

    def having(self, children: list[Any]) -> Condition:
        return children[0]  # type: ignore[no-any-return]  # as above

    def group(self, children: list[Any]) -> tuple[tuple[Operand, ...], Condition | None]:
        *operands, having = children
        return tuple(operands), having

    def all_of(self, children: list[Any]) -> Combined:
        return Combined("and", tuple(children))

    def any_of(self, children: list[Any]) -> Combined:
        return Combined("or", tuple(children))

    def negated(self, children: list[Any]) -> Combined:
        return Combined("not", tuple(children[1:]))

    def misplaced(self, children: list[Any]) -> None:
        """Raise SoqlError for a keyword in a place where no org, or not this one, allows it."""
        raise _unexpected(self._text, children[0].start_pos, str(children[0]))

    def compared(self, children: list[Any]) -> Comparison:
        left, operator, literal = children
        return Comparison(left, str(operator).replace("<>", "!="), (literal,))

    def like(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "like", (children[1],))

    def within(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "in", tuple(children[1:]))

    def not_within(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "not in", tuple(children[2:]))

    def semi_join(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "in", (), children[1])

    def anti_join(self, children: list[Any]) -> Comparison:
        return Comparison(children[0], "not in", (), children[2])

    def order(self, children: list[Any]) -> tuple[Ordering, ...]:
        return tuple(children)

    def ordering(self, children: list[Any]) -> Ordering:
        operand, direction, nulls = children
        descending = direction is not None and direction.lower() == "desc"
        return Ordering(operand, descending, nulls is not None and nulls.lower() == "last")

    def all_rows(self, _children: list[Any]) -> bool:
        return True

    def limit(self, children: list[Any]) -> int:
        return self._count(children[0])

    def offset(self, children: list[Any]) -> int:
        return self._count(children[0])

    def _count(self, token: Token) -> int:
        if not token.isdecimal() or len(token) > 9:
            raise _unexpected(self._text, token.start_pos, str(token))
        return int(token)

    def string(self, children: list[Any]) -> Literal:
        body = str(children[0])[1:-1]
        position = children[0].start_pos
        if len(body) > MAX_LITERAL:
            what = "a string literal cannot be longer than 4000 characters"
            raise malformed(self._text, position, what)
        try:
            return text_literal(body)
        except StringLiteralError as error:
            raise malformed(self._text, position, str(error)) from error

    def moment(self, children: list[Any]) -> Literal:
        return Literal("datetime", str(children[0]).upper())

    def day(self, children: list[Any]) -> Literal:
        return Literal("date", str(children[0]))

    def number(self, children: list[Any]) -> Literal:
        return Literal("number", float(children[0]))

    def constant(self, children: list[Any]) -> Literal:
        """Return true, false, null, or a date literal, which is checked where it is compared."""
        known = CONSTANTS.get(children[0].lower())
        if known is not None:
            return Literal(*known)
        return Literal("days", children[0])
