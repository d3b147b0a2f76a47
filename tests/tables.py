"""Read rows that a test draws as a small table.

    person_id | created_at | is_open
    P1        | 2026-01-31 | yes
    "  P2 "   |            | no

A blank cell is null; quotes keep blanks, and `""` is an empty text.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import pandas as pd

_INSTANT = re.compile(r".*_(at|until)")
_YES_OR_NO = re.compile(r"(is|has)_.*")
_NUMBER = re.compile(r".*_(count|bytes|pid)|attempt|fencing_token|position")


def drawn(text: str) -> pd.DataFrame:
    """Return a frame of `str` columns. The first line has their names, each other line is a row."""
    names, *rows = [line.split("|") for line in text.strip().splitlines() if line.strip()]
    cells = [[_cell(cell.strip()) for cell in row] for row in rows]
    return pd.DataFrame(cells, columns=[name.strip() for name in names], dtype="str")


def drawn_rows(text: str) -> pd.DataFrame:
    """Return a frame as `drawn` does. Instants, numbers and booleans have the type that their
    column's name says."""
    frame = drawn(text)
    for name in frame.columns:
        if _INSTANT.fullmatch(name):
            frame[name] = pd.to_datetime(frame[name], format="ISO8601").astype("datetime64[us]")
        elif _NUMBER.fullmatch(name):
            frame[name] = pd.to_numeric(frame[name]).astype("Int64")
        elif _YES_OR_NO.fullmatch(name):
            frame[name] = frame[name].map({"yes": True, "no": False}).astype("boolean")
    return frame


def cell_texts(rows: pd.DataFrame | list[dict[str, Any]]) -> list[list[str | None]]:
    """Return the cells of a frame, or of rows, as text. Compare them with those of a drawn one."""
    if isinstance(rows, list):
        return [[None if one is None else str(one) for one in row.values()] for row in rows]
    texts = rows.astype("str").astype("object")
    return texts.where(rows.notna(), None).to_numpy().tolist()


def _cell(cell: str) -> str | None:
    if cell.startswith('"'):
        return str(ast.literal_eval(cell))
    return cell or None
