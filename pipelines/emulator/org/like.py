"""The LIKE operator of SOQL: match a text against a pattern, without regard to case."""

from __future__ import annotations

import functools
import re

LIKE_PART = re.compile(r"\\.|.", re.DOTALL)


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

    Piece by piece, each at the first place it fits. One regular expression of many `%` would try
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
