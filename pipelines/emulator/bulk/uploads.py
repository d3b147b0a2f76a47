"""Reading an uploaded CSV as the org reads it: strict about line endings, quotes and the header.

What is wrong with the file as a whole fails the job before any row is saved; what is wrong with
one row fails that row (§6.3, §6.4).
"""

from __future__ import annotations

import codecs
import csv
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.emulator.org.schema import Field, Schema, SObject

DELIMITERS = {
    "COMMA": ",",
    "TAB": "\t",
    "SEMICOLON": ";",
    "PIPE": "|",
    "CARET": "^",
    "BACKQUOTE": "`",
}
MAX_HEADER = 32_000
UNESCAPED = "InvalidBatch : Failed to parse CSV. Found unescaped quote"


class JobDataError(Exception):
    """The whole job fails with this message."""


@dataclass(frozen=True)
class Layout:
    """How a job says its file is written."""

    delimiter: str
    line_ending: str
    newline_in_cell: bool


@dataclass(frozen=True)
class BrokenRow:
    """A row that cannot be cut into cells."""

    message: str


RowCells = list[str] | BrokenRow


@dataclass(frozen=True)
class HeaderColumn:
    """What a column of the file fills; with `through`, a look-up by another object's key."""

    field: Field
    through: tuple[SObject, Field] | None = None


def checked_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces as they are; JobRefused where they are not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        for piece in pieces:
            decoder.decode(piece)
            yield piece
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        message = "InvalidBatch : Failed to parse CSV. The data is not UTF-8"
        raise JobDataError(message) from error


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The file line by line without its LF; a last line needs no LF."""
    begun: list[bytes] = []
    for piece in pieces:
        first, *others = piece.split(b"\n")
        begun.append(first)
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun = others[-1:]
    if last := b"".join(begun):
        yield last


def check_lines(pieces: Callable[[], Iterable[bytes]], layout: Layout) -> None:
    """Raises JobRefused where a line ends otherwise than the job says, inside quotes too."""
    inside = False
    before = b""
    plain = True
    for piece in checked_utf8(pieces()):
        plain = plain and _ends_plainly(before, piece, inside, layout)
        inside ^= bool(piece.count(b'"') & 1)
        before = piece[-1:] or before
    if not plain:
        _check_each_line(pieces(), layout)
    elif inside:
        raise JobDataError(UNESCAPED)


def _ends_plainly(before: bytes, piece: bytes, inside: bool, layout: Layout) -> bool:
    """True where the lines of a piece can be passed at a glance; `inside` quotes it may begin."""
    if not layout.newline_in_cell:
        text = np.frombuffer(piece, np.uint8)
        quoted = np.bitwise_xor.accumulate(text == ord('"')) ^ inside
        if (quoted & (text == ord("\n"))).any():
            return False
    if layout.line_ending == "LF":
        return b"\r" not in piece
    returns = piece.count(b"\r") - piece.endswith(b"\r") + (before == b"\r")
    pairs = piece.count(b"\r\n") + (before == b"\r" and piece.startswith(b"\n"))
    return returns == pairs == piece.count(b"\n")


def _check_each_line(pieces: Iterable[bytes], layout: Layout) -> None:
    line_ending = layout.line_ending
    wrong = (
        "ClientInputError : LineEnding is invalid on user data. "
        f"Current LineEnding setting is {line_ending}"
    )
    inside = False
    ended = True
    for line in _lines(pieces):
        # A last line without its line ending is no fault, so each line is judged by the next.
        if not ended:
            raise JobDataError(wrong)
        inside ^= bool(line.count(b'"') & 1)
        if inside:
            if not layout.newline_in_cell:
                raise JobDataError(wrong)
            continue
        line_text = line.removesuffix(b"\r") if line_ending == "CRLF" else line
        ended = line_ending == "LF" or line.endswith(b"\r")
        if b"\r" in line_text and not (layout.newline_in_cell and b'"' in line_text):
            raise JobDataError(wrong)
    if inside:
        raise JobDataError(UNESCAPED)


def read_row(record: str, delimiter: str) -> RowCells:
    """A record cut into cells; nothing is trimmed."""
    if '"' not in record:
        return record.split(delimiter)
    if _strict_record(delimiter).fullmatch(record) is None:
        return BrokenRow("Failed to parse CSV. Found unescaped quote")
    try:
        return next(csv.reader((record,), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return BrokenRow(f"Failed to parse CSV. {error}")


@functools.cache
def _strict_record(delimiter: str) -> re.Pattern[str]:
    separator = re.escape(delimiter)
    cell = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{separator}]*+)'
    return re.compile(rf"{cell}(?:{separator}{cell})*+", re.DOTALL)


def header_names(header: str, delimiter: str) -> list[str]:
    """The column names; a byte-order mark before a quote is an unescaped quote (§6.4)."""
    if len(header) > MAX_HEADER:
        raise JobDataError("InvalidBatch : Failed to parse CSV. The header is too long")
    cells = read_row(header, delimiter)
    if isinstance(cells, BrokenRow):
        raise JobDataError(UNESCAPED)
    return cells


def header_columns(schema: Schema, sobject: SObject, names: Iterable[str]) -> list[HeaderColumn]:
    """What each column fills; the first one unknown, or hidden, fails the job (§6.4)."""
    columns: list[HeaderColumn] = []
    for name in names:
        column = _header_column(schema, sobject, name)
        if column is None:
            raise JobDataError(f"InvalidBatch : Field name not found : {name}")
        if any(column.field.name == known.field.name for known in columns):
            raise JobDataError(f"InvalidBatch : Failed to parse CSV. Duplicate field : {name}")
        columns.append(column)
    return columns


def _header_column(schema: Schema, sobject: SObject, name: str) -> HeaderColumn | None:
    if "." not in name:
        found = sobject.find(name)
        return HeaderColumn(found) if found is not None and found.stored else None
    type_name, colon, path = name.rpartition(":")
    relation_name, _, key_name = path.partition(".")
    relation = sobject.relationships.get(relation_name.lower())
    if relation is None:
        return None
    # Lead.OwnerId is polymorphic, so its header must carry the type; Contact's must not (§5.3).
    polymorphic = len(relation.reference_to) > 1
    if polymorphic and not colon:
        message = f"InvalidBatch : type is needed for polymorphic foreign key ref : {name}"
        raise JobDataError(message)
    if colon and not polymorphic:
        message = f"InvalidBatch : type is not needed for non polymorphic foreign key ref : {name}"
        raise JobDataError(message)
    target = schema.find(type_name if colon else relation.reference_to[0])
    key = target.find(key_name) if target is not None else None
    if target is None or key is None or not (key.is_key or key.name == "Name"):
        return None
    return HeaderColumn(relation, (target, key))
