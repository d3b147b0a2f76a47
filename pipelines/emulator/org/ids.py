"""Record ids: 15 case-sensitive characters, and the three more that make them safe to copy.

An 18-character id carries one bit per capital letter, so altering the case of any character
makes it invalid: that is how a spreadsheet's "helpful" change of case is found out.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHECKS = string.ascii_uppercase + "012345"
VALID = frozenset(DIGITS)

# Every id of this org carries the same instance letters, as one org's ids do.
INSTANCE = "5e0"
FIRST_NUMBER = 10 * 62**4 + 37 * 62**3 + 12 * 62**2 + 39 * 62 + 1  # reads …AbCd1
PAIRS = tuple(a + b for a in DIGITS for b in DIGITS)


def capitals(characters: str, first_bit: int = 0) -> int:
    """One bit for each capital letter, the first character lowest."""
    return sum(1 << bit for bit, c in enumerate(characters, first_bit) if "A" <= c <= "Z")


PAIR_CAPITALS = tuple(capitals(pair, 3) for pair in PAIRS)


def checksum(fifteen: str) -> str:
    """The three characters that make a 15-character id an 18-character one."""
    return "".join(CHECKS[capitals(fifteen[start : start + 5])] for start in (0, 5, 10))


def normalised(value: str) -> str | None:
    """The 18-character form of an id, or None where it is no id (a wrong checksum included)."""
    if not VALID.issuperset(value):
        return None
    if len(value) == 15:
        return value + checksum(value)
    if len(value) == 18 and checksum(value) == value[15:]:
        return value
    return None


def base62(number: int, width: int) -> str:
    """A number as `width` base-62 digits."""
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits


def numbered(prefix: str, number: int) -> str:
    """The 18-character id of one record of the object with this key prefix."""
    fifteen = prefix + INSTANCE + base62(number, 9)
    return fifteen + checksum(fifteen)


def number_of(record_id: str) -> int | None:
    """The number behind an id that this org might give by itself; None for any other."""
    if record_id[3:6] != INSTANCE:
        return None
    number = 0
    for digit in record_id[6:15]:
        number = number * 62 + DIGITS.index(digit)
    return number


def consecutive_ids(prefix: str, first: int, count: int) -> Iterator[str]:
    """Consecutive ids; within 3,844 of them only the end changes, so the rest is made once."""
    stem, check, bits, current = "", "", 0, -1
    for number in range(first, first + count):
        high, low = divmod(number, 3844)
        if high != current:
            current = high
            stem = prefix + INSTANCE + base62(high, 7)
            check = checksum(stem + "00")[:2]
            bits = capitals(stem[10:13])
        yield stem + PAIRS[low] + check + CHECKS[bits | PAIR_CAPITALS[low]]
