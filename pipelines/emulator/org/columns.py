"""Parse uploaded cells column by column, and re-format them for the result files.

A cell that clearly is valid is taken unchanged. Every other one is parsed by `values.py`, each
distinct text once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.emulator.org.arrow_arrays import (
    Bytes,
    Flags,
    Ints,
    as_flags,
    strings,
    take_rows,
    text_bytes,
)
from pipelines.emulator.org.formatting import echoed
from pipelines.emulator.org.schema import TEXT_TYPES, Field
from pipelines.emulator.org.values import ABSENT, Cell, Failure, cell_value, email_pattern

Parsed = TypeVar("Parsed")


def clean_column(field: Field, texts: pa.StringArray) -> tuple[list[Cell], dict[int, Failure]]:
    """Return the value of each cell, ABSENT where parsing failed, and the failures by row."""
    email = field.type == "email"
    cells: list[Cell] = (pc.ascii_lower(texts) if email else texts).to_pylist()
    odd = np.flatnonzero(~_plain(field, texts))
    failures: dict[int, Failure] = {}
    for row, (cell, failure) in _each_distinct(texts, odd, lambda text: _parse(field, text)):
        cells[row] = cell
        if failure is not None:
            failures[row] = failure
    return cells, failures


def echoed_column(field: Field, texts: pa.StringArray) -> pa.StringArray:
    """Return a column re-formatted by its type, as the result files show it."""
    if field.type in TEXT_TYPES:
        return texts
    every = np.arange(len(texts))
    shown = [text for _, text in _each_distinct(texts, every, lambda text: echoed(field, text))]
    return strings(shown)


def _parse(field: Field, text: str) -> tuple[Cell, Failure | None]:
    try:
        return cell_value(field, text), None
    except Failure as failure:
        return ABSENT, failure


def _each_distinct(
    texts: pa.StringArray, rows: Ints, parse: Callable[[str], Parsed]
) -> list[tuple[int, Parsed]]:
    """Return the parsed value of each of these rows; equal texts are parsed once."""
    known: dict[str, Parsed] = {}
    parsed: list[tuple[int, Parsed]] = []
    for row, text in zip(rows.tolist(), take_rows(texts, rows).to_pylist(), strict=True):
        if text not in known:
            known[text] = parse(text)
        parsed.append((row, known[text]))
    return parsed


def _plain(field: Field, texts: pa.StringArray) -> Flags:
    """Return which cells equal their value (e-mails after lower-casing): nothing to trim or
    convert.

    The length in bytes is compared, because it is never below the length that the org counts.
    """
    if field.type not in TEXT_TYPES or field.restricted:
        return np.zeros(len(texts), np.bool_)
    lengths, first, last = _edges(texts)
    fits = (lengths > 0) & (lengths <= (field.length or np.iinfo(np.int32).max))
    if field.type == "email":
        whole = rf"\A(?:{email_pattern(field).pattern})\z"
        return fits & as_flags(pc.match_substring_regex(texts, whole))
    return np.asarray(fits & (first > ord(" ")) & (first != ord("#")) & (last > ord(" ")))


def _edges(texts: pa.StringArray) -> tuple[Ints, Bytes, Bytes]:
    """Return the length of each text in bytes, and its first and last byte (any, if empty)."""
    ends, text = text_bytes(texts)
    if not len(text):
        none = np.zeros(len(texts), np.uint8)
        return np.diff(ends), none, none
    return np.diff(ends), text.take(ends[:-1], mode="clip"), text[ends[1:] - 1]
