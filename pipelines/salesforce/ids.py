"""Ids of records: 15 characters where case matters, or 18 whose last three say what the case is."""

from __future__ import annotations

import re
from typing import Final

LEAD: Final = "00Q"

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def whole_id(text: str, prefix: str) -> str | None:
    """The id in its 18 characters; None for what cannot be the id of that kind of record.

    The last three characters catch a changed or mistyped letter's case, nothing else.
    """
    if not _ID.fullmatch(text) or not text.startswith(prefix):
        return None
    whole = text[:15] + "".join(_letter(text[start : start + 5]) for start in (0, 5, 10))
    return whole if text in (whole, text[:15]) else None


def _letter(five: str) -> str:
    return _LETTERS[sum(1 << place for place, one in enumerate(five) if one.isupper())]
