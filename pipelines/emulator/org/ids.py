"""Record ids: 15 case-sensitive characters, plus a checksum of three.

An 18-character id encodes which letters are capitals, so changing the case of a letter makes it
invalid. That reveals a change of case by a spreadsheet.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHECKS = string.ascii_uppercase + "012345"
VALID = frozenset(DIGITS)

# Every id of this org has the same instance letters, as the ids of a real org have.
INSTANCE = "5e0"
FIRST_NUMBER = 10 * 62**4 + 37 * 62**3 + 12 * 62**2 + 39 * 62 + 1  # reads …AbCd1
PAIRS = tuple(a + b for a in DIGITS for b in DIGITS)


def capitals(characters: str, first_bit: int = 0) -> int:
    """Return one bit for each capital letter; the first character has the lowest bit."""
    return sum(1 << bit for bit, c in enumerate(characters, first_bit) if "A" <= c <= "Z")


PAIR_CAPITALS = tuple(capitals(pair, 3) for pair in PAIRS)


def checksum(fifteen: str) -> str:
    """Return the three characters that turn a 15-character id into an 18-character one."""
    return "".join(CHECKS[capitals(fifteen[start : start + 5])] for start in (0, 5, 10))


def normalised(value: str) -> str | None:
    """Return the 18-character form of an id, or None where it is malformed or its checksum is
    wrong.
    """
    if not VALID.issuperset(value):
        return None
    if len(value) == 15:
        return value + checksum(value)
    if len(value) == 18 and checksum(value) == value[15:]:
        return value
    return None


def base62(number: int, width: int) -> str:
    """Return a number as `width` base-62 digits."""
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = DIGITS[digit] + digits
    return digits


def numbered(prefix: str, number: int) -> str:
    """Return the 18-character id with this key prefix and number."""
    fifteen = prefix + INSTANCE + base62(number, 9)
    return fifteen + checksum(fifteen)


def number_of(record_id: str) -> int | None:
    """Return the number in an id that this org could generate; None for any other id."""
    if record_id[3:6] != INSTANCE:
        return None
    number = 0
    for digit in record_id[6:15]:
        number = number * 62 + DIGITS.index(digit)
    return number


def consecutive_ids(prefix: str, first: int, count: int) -> Iterator[str]:
    """Yield consecutive ids. Within 3,844 of them only the last two digits change."""
    stem, check, bits, current = "", "", 0, -1
    for number in range(first, first + count):
        high, low = divmod(number, 3844)
        if high != current:
            current = high
            stem = prefix + INSTANCE + base62(high, 7)
            check = checksum(stem + "00")[:2]
            bits = capitals(stem[10:13])
        yield stem + PAIRS[low] + check + CHECKS[bits | PAIR_CAPITALS[low]]
