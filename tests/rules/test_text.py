"""What counts as blank, and what a report shows."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rules.blanks import BLANKS
from pipelines.rules.text import NOT_BLANK, contains, to_observed_values, trim
from tests.rules.tables import text


@pytest.mark.parametrize("blank", list(BLANKS), ids=lambda c: f"U+{ord(c):04X}")
def test_outer_blanks_of_every_kind_go(blank):
    assert trim(text(f"{blank}Ada{blank}{blank}", blank))[0] == "Ada"
    assert trim(text(blank)).isna().all()


def test_every_space_of_unicode_is_an_outer_blank():
    spaces = {chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) in ("Zs", "Zl", "Zp")}
    assert spaces <= set(BLANKS)


def test_blanks_between_words_stay():
    assert trim(text("Ada\u00a0Byron"))[0] == "Ada\u00a0Byron"


def test_an_empty_cell_is_null():
    assert trim(text("", None)).isna().tolist() == [True, True]


@settings(deadline=None)
@given(st.text(st.sampled_from(BLANKS)))
def test_a_cell_of_blanks_alone_has_nothing_to_read(cell):
    assert not contains(text(cell), NOT_BLANK).any()


@pytest.mark.parametrize(
    ("cell", "seen"),
    [
        ("Ada", "Ada"),
        ("a\x00b", "a\\x00b"),
        ("a\tb\r\n", "a\\tb\\r\\n"),
        ("\uffff\ufffe\x9f", "\\uffff\\ufffe\\x9f"),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("\x01" * 99, ("\\x01" * 99)[:254] + "…"),
    ],
)
def test_a_report_shows_control_characters_and_cuts_long_values(cell, seen):
    assert to_observed_values(text(cell, None)).tolist()[0] == seen
    assert to_observed_values(text(cell, None)).isna()[1]
