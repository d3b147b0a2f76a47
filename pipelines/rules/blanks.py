"""Which characters count as blank. Apart from `text`, so that it is imported without pandas."""

from __future__ import annotations

# Every character of Unicode's White_Space, and the invisible ones that paste leaves behind: the
# Mongolian vowel separator, zero-width space, non-joiner and joiner, word joiner, and the
# byte-order mark.
BLANKS = "".join(
    chr(code)
    for code in (
        *range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
        0x202F, 0x205F, 0x3000, 0x180E, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF,
    )
)  # fmt: skip
