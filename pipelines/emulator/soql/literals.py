"""String literals of SOQL and their escapes."""

from __future__ import annotations

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


class StringLiteralError(Exception):
    """A string literal with an unknown escape."""


def text_literal(body: str) -> Literal:
    """Return the text between the quotes, as `=` reads it and as LIKE reads it."""
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
    """Join escaped surrogate pairs into characters; raise StringLiteralError for a lone
    surrogate.
    """
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise StringLiteralError("a lone surrogate is not a character") from error
