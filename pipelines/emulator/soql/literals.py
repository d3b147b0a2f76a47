"""Texts in SOQL: their escapes, and what LIKE makes of them (§7.3)."""

from __future__ import annotations

import functools
import re

from pipelines.emulator.soql.syntax import Literal

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
PART = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)|.", re.DOTALL)
LIKE_PART = re.compile(r"\\.|.", re.DOTALL)


class StringLiteralError(Exception):
    """A text literal with an escape that there is not."""


def text_literal(body: str) -> Literal:
    """What stands between quotes, as `=` reads it and as LIKE reads it."""
    text, pattern, only_like = [], [], False
    for part in PART.finditer(body):
        source = part[0]
        if source in {"\\_", "\\%"}:
            only_like = True
            text.append(source[1])
            pattern.append(source)
            continue
        plain = source if part[1] is None else _unescaped(part[1])
        text.append(plain)
        pattern.append("\\" + plain if plain == "\\" else plain)
    return Literal("string", _whole("".join(text)), _whole("".join(pattern)), only_like)


def _unescaped(sequence: str) -> str:
    if sequence in ESCAPES:
        return ESCAPES[sequence]
    if len(sequence) == 5:
        return chr(int(sequence[1:], 16))
    raise StringLiteralError(f"Illegal escape sequence '\\{sequence}' in string literal")


def _whole(text: str) -> str:
    """Two escaped halves of a character are one; a half alone is none."""
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise StringLiteralError("a lone surrogate is not a character") from error


@functools.lru_cache(maxsize=512)
def _pieces(pattern: str) -> list[re.Pattern[str]]:
    """What stands between the `%` of a pattern, in order; `_` is any one character."""
    pieces = [""]
    for part in LIKE_PART.findall(pattern):
        if part == "%":
            pieces.append("")
        else:
            pieces[-1] += "." if part == "_" else re.escape(part[-1])
    return [re.compile(piece, re.IGNORECASE | re.DOTALL) for piece in pieces]


def is_like(text: str, pattern: str) -> bool:
    """LIKE, in any case.

    Piece by piece, each at the first place it fits: one regular expression of many `%` would try
    for hours to find that a text does not match.
    """
    first, *middle = _pieces(pattern)
    if not middle:
        return first.fullmatch(text) is not None
    *middle, last = middle
    start = first.match(text)
    place = None if start is None else start.end()
    for piece in middle:
        found = None if place is None else piece.search(text, place)
        place = None if found is None else found.end()
    return place is not None and _ends_with(text, place, last)


def _ends_with(text: str, place: int, last: re.Pattern[str]) -> bool:
    # Each part of a piece is one character of the text, so its length is known.
    length = len(re.findall(r"\\.|.", last.pattern, re.DOTALL))
    begin = len(text) - length
    return begin >= place and last.fullmatch(text, begin) is not None
