"""Validate an uploaded CSV as the org does: strict about line endings, quotes and the header.

An error of the file fails the job before any row is saved; an error of a row fails that row.
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
    """The upload fails the whole job, with this message."""


@dataclass(frozen=True)
class Layout:
    """How a job declares its file: delimiter, line ending, line breaks in cells."""

    delimiter: str
    line_ending: str
    newline_in_cell: bool


@dataclass(frozen=True)
class BrokenRow:
    """A row that cannot be split into cells."""

    message: str


RowCells = list[str] | BrokenRow


@dataclass(frozen=True)
class HeaderColumn:
    """The field that a column fills; with `through`, found by a key of another object."""

    field: Field
    through: tuple[SObject, Field] | None = None


def checked_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces unchanged; raise JobDataError where they are not UTF-8."""
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
    """Yield the lines without LF; the last line needs no LF."""
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
    """Raise JobDataError where a line ending is not the declared one, inside quotes too."""
    inside = False
    before = b""
    plain = True
    for piece in checked_utf8(pieces()):
        plain = plain and _line_endings_match(before, piece, inside, layout)
        inside ^= bool(piece.count(b'"') & 1)
        before = piece[-1:] or before
    if not plain:
        _check_each_line(pieces(), layout)
    elif inside:
        raise JobDataError(UNESCAPED)


def _line_endings_match(before: bytes, piece: bytes, inside: bool, layout: Layout) -> bool:
    """Return whether the line endings of a piece are right without reading line by line."""
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
        # The last line needs no line ending, so each line is checked when the next one comes.
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
    """Return the cells of a record; nothing is trimmed."""
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
    """Return the column names; a byte-order mark before a quote is an unescaped quote."""
    if len(header) > MAX_HEADER:
        raise JobDataError("InvalidBatch : Failed to parse CSV. The header is too long")
    cells = read_row(header, delimiter)
    if isinstance(cells, BrokenRow):
        raise JobDataError(UNESCAPED)
    return cells


def header_columns(schema: Schema, sobject: SObject, names: Iterable[str]) -> list[HeaderColumn]:
    """Return what each column fills; raise JobDataError at the first unknown or hidden field."""
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
    # Lead.OwnerId is polymorphic, so its header must name the type; Contact's must not.
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
