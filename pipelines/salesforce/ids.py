"""Record ids: 15 case-sensitive characters, or 18 of which the last three encode the case."""

from __future__ import annotations

import re
from typing import Final

LEAD: Final = "00Q"

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def whole_id(text: str, prefix: str) -> str | None:
    """Return the id with 18 characters; None if the text is no id of that kind of record.

    The last three characters detect a letter of the wrong case, and nothing else.
    """
    if not _ID.fullmatch(text) or not text.startswith(prefix):
        return None
    whole = text[:15] + "".join(_letter(text[start : start + 5]) for start in (0, 5, 10))
    return whole if text in (whole, text[:15]) else None


def _letter(five: str) -> str:
    """Return the letter that says which of five characters are capitals."""
    return _LETTERS[sum(1 << place for place, one in enumerate(five) if one.isupper())]
