"""Text as persons bring it: what counts as blank, what cannot be sent, how a report shows it.

Patterns are RE2's and go to Arrow directly: pandas hands a pattern with `$` to Python's `re` as
soon as one cell holds a newline, and there `$` lets a trailing newline pass, at five times the
cost.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

# Every character of Unicode's White_Space, and the invisible ones that paste leaves behind: the
# Mongolian vowel separator, zero-width space, non-joiner and joiner, word joiner, and the
# byte-order mark.
OUTER_BLANKS = "".join(
    chr(code)
    for code in (
        *range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
        0x202F, 0x205F, 0x3000, 0x180E, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF,
    )
)  # fmt: skip
NOT_BLANK = f"[^{OUTER_BLANKS}]"

# Tab and line breaks are text; every other control character, and the two non-characters, are
# refused by one of XML, PostgreSQL or Salesforce. U+FFFF is also what the reader writes for bytes
# it could not decode.
UNSENDABLE = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\x9f\ufffe\uffff]"
CONTROL = "[\\x00-\\x1f\\x7f-\x9f\ufffe\uffff]"

_NO_LINE_BREAK = bytes(set(range(256)) - set(b"\r\n"))
# What is unsendable has one of the other bytes in it: a control character, or the first byte of
# U+0080 to U+00BF, or that of U+F000 to U+FFFF.
_SURELY_SENDABLE = bytes({*b"\t\n\r", *range(0x20, 0x7F), *range(0x80, 0x100)} - {0xC2, 0xEF})

SHOWN_LENGTH = 255  # of rejected_persons.observed_value: to recognise a value by, not to keep it

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_ESCAPES = str.maketrans(
    {chr(code): f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
    | {"\ufffe": "\\ufffe", "\uffff": "\\uffff"}
    | _SHORT
)


def trim(cells: pd.Series) -> pd.Series:
    """The same text without outer blanks; a cell of nothing else becomes null."""
    stripped = cells.str.strip(OUTER_BLANKS)
    return stripped.where(stripped != "")


def join_lines(cells: pd.Series) -> pd.Series:
    """The same text with every line break (CRLF, CR or LF) made one space."""
    if not _has_other_bytes(cells, _NO_LINE_BREAK):
        return cells
    return cells.str.replace("\r\n|\r|\n", " ", regex=True)


def is_sendable(cells: pd.Series) -> pd.Series:
    """True where nothing in the cell is UNSENDABLE; null is sendable."""
    if not _has_other_bytes(cells, _SURELY_SENDABLE):
        return pd.Series(True, index=cells.index)
    return ~has(cells, UNSENDABLE)


def _has_other_bytes(cells: pd.Series, harmless: bytes) -> bool:
    """Whether the UTF-8 of a column has any byte beside the harmless ones: a look at the memory
    behind the cells, a tenth of what a pattern takes to find that there is nothing to find."""
    column = to_arrow(cells)
    content = column.buffers()[2] if len(column) else None
    return content is not None and bool(content.to_pybytes().translate(None, harmless))


def matches(cells: pd.Series, pattern: str) -> pd.Series:
    """True where the whole cell fits `pattern`, null never fits."""
    return has(cells, f"^(?:{pattern})$")


def has(cells: pd.Series, pattern: str) -> pd.Series:
    """True where `pattern` occurs in the cell; null never has it."""
    found = pc.match_substring_regex(to_arrow(cells), pattern)
    return pd.Series(found.fill_null(False).to_numpy(zero_copy_only=False), index=cells.index)


def shown(cells: pd.Series) -> pd.Series:
    """The cells as a report shows them: control characters escaped, at most 255 characters."""
    odd = has(cells, CONTROL)
    if odd.any():
        escaped = cells[odd].map(lambda cell: cell.translate(_ESCAPES)).astype("str")
        cells = cells.mask(odd, escaped)
    cut = cells.str.slice(0, SHOWN_LENGTH - 1) + "…"
    return cells.where(~(cells.str.len() > SHOWN_LENGTH), cut)


def positions(cells: pd.Series, known: pd.Series) -> np.ndarray:
    """Where in `known` each cell stands first, -1 for those that do not, null never does.

    Both `str`. A hundred times as quick as `isin`, which makes a Python object of every known cell.
    """
    found = pc.index_in(to_arrow(cells), value_set=to_arrow(known), skip_nulls=True)
    places: np.ndarray = found.fill_null(-1).to_numpy()
    return places


def as_text(values: object, index: pd.Index | None = None) -> pd.Series:
    """A `str` series of the values; null for None."""
    return pd.Series(values, index=index, dtype="str")


def blank_text(length: int) -> pd.Series:
    """A `str` series of nulls."""
    return as_text(np.full(length, None, dtype=object))


def to_arrow(cells: pd.Series) -> pa.Array:
    """The Arrow array behind a `str` series."""
    return cells.array.__arrow_array__().combine_chunks()


def from_arrow(column: pa.Array, index: pd.Index) -> pd.Series:
    """A `str` series of an Arrow array of text."""
    return as_text(column.to_pandas().array, index)
