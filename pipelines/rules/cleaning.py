"""Clean persons before they are validated: remove blanks and line breaks, fill in defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipelines.rules.text import as_text, blank_text, contains, join_lines, trim

# Compared with the warehouse later on, so they stay exactly as the warehouse has them.
UNTOUCHED = frozenset({"person_id", "created_at", "source_version"})


class MappingMalformedError(ValueError):
    """The mapping of Lead fields to persons columns cannot be used; the message names the fault."""


def clean(persons: pd.DataFrame) -> pd.DataFrame:
    """Return the persons without outer blanks, blank cells and line breaks. Order kept.

    Outer white space is removed, with no-break and zero-width spaces and byte-order marks. A blank
    cell becomes null, a line break inside a cell one space. Two projects report that a newline
    inside a quoted cell fails the whole Bulk job, though Salesforce's guide shows one as legal. One
    address must not stop a load. person_id, created_at and source_version are not changed.
    """
    texts = [c for c in persons.columns if persons[c].dtype == "str" and c not in UNTOUCHED]
    cleaned = persons.copy(deep=False)
    for column in texts:
        cleaned[column] = trim(join_lines(persons[column]))
    return cleaned


def fill_defaults(
    persons: pd.DataFrame, columns: Mapping[str, str], defaults: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Fill blank cells with the agreed defaults (Lead field → value) and record which.

    `columns` maps Lead fields to persons columns. A default for an unmapped Lead field adds a
    column with that field's name. Return the persons and the mapping with the added columns. The
    persons gain the column `defaulted_fields`: Lead fields, comma-separated, or null. Expects
    cleaned persons. Raise MappingMalformedError for a mapped column that is not there.
    """
    require_columns(persons, columns)
    filled = persons.copy(deep=False)
    mapping = dict(columns)
    labels = as_text("", filled.index)
    for field, value in defaults.items():
        column = mapping.setdefault(field, _free_name(field, filled))
        if column not in filled:
            filled[column] = blank_text(len(filled)).set_axis(filled.index)
        blank = filled[column].isna()
        filled[column] = filled[column].fillna(value)
        labels = labels + as_text(np.where(blank, f",{field}", ""), filled.index)
    filled["defaulted_fields"] = labels.str.slice(1).where(labels != "")
    return filled, mapping


def without_defaults(persons: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the persons with every filled cell blank again, and `defaulted_fields` null.

    For updates: a default stands for an unknown value, and the org may know the real one. Expects
    what `fill_defaults` returned.
    """
    filled = persons["defaulted_fields"]
    bare = persons.copy(deep=False)
    for field in sorted({name for names in filled.dropna().unique() for name in names.split(",")}):
        is_filled = contains(filled, rf"(?:^|,){re.escape(field)}(?:,|$)")
        bare[columns[field]] = persons[columns[field]].mask(is_filled)
    return bare.assign(defaulted_fields=blank_text(len(bare)).set_axis(bare.index))


def require_columns(persons: pd.DataFrame, columns: Mapping[str, str]) -> None:
    """Raise MappingMalformedError for mapped columns that the persons do not have."""
    absent = sorted({column for column in columns.values() if column not in persons})
    if absent:
        raise MappingMalformedError(
            f"The persons have no column {', '.join(absent)}; leave it unmapped."
        )


def _free_name(field: str, persons: pd.DataFrame) -> str:
    # Only for an unmapped field: a persons column of the same name means something else.
    return field if field not in persons else _free_name(f"{field}_default", persons)
