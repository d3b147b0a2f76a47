"""Random SOQL conditions, compared with a plain evaluation over a small table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulator.conftest import Process
from tests.emulator.plain_http import Client

TABLE = """
LastName | City   | AnnualRevenue | NumberOfEmployees | DoNotCall | ConvertedDate
Alpha    | Rome   | 10            | 3                 | true      | 2026-01-02
alpine   |        | 20.5          |                   | false     | 2025-12-31
Émile    | Zürich |               | 0                 | false     |
gamma    | rome   | 0             | 100               | true      | 2026-01-03
100%_x   | O'Hara | 1000000       | 7                 | false     | 2026-02-28
b\\c     | a_c    | 10            |                   | true      |
"""
TYPES: dict[str, Callable[[str], Any]] = {
    "AnnualRevenue": float,
    "NumberOfEmployees": int,
    "DoNotCall": lambda text: text == "true",
    "ConvertedDate": date.fromisoformat,
}
HEAD, *LINES = [[cell.strip() for cell in x.split("|")] for x in TABLE.strip().splitlines()]
ROWS = [
    {n: TYPES.get(n, str)(cell) if cell else None for n, cell in zip(HEAD, line, strict=True)}
    for line in LINES
]
SYMBOLS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def written(value: Any) -> str:
    """A value as SOQL writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


VALUES = {
    name: st.sampled_from([row[name] for row in ROWS if row[name] is not None])
    | {"LastName": st.just("none"), "City": st.just("ROME")}.get(name, st.nothing())
    for name in HEAD
}
PATTERNS = st.lists(st.sampled_from([*"aAlr%_", "\\%", "\\_", "\\\\", "é", "\\'"]), max_size=5)


@st.composite
def equalities(draw: st.DrawFn) -> tuple[str, Callable[..., Any]]:
    name = draw(st.sampled_from(HEAD))
    value = draw(VALUES[name] | st.none())
    wanted = bool(value) if name == "DoNotCall" else folded(value)
    symbol = draw(st.sampled_from(["=", "!=", "<>"]))
    return (
        f"{name} {symbol} {written(value)}",
        lambda row: (folded(row[name]) == wanted) == (symbol == "="),
    )


@st.composite
def orders(draw: st.DrawFn) -> tuple[str, Callable[..., Any]]:
    name = draw(st.sampled_from(["AnnualRevenue", "NumberOfEmployees", "ConvertedDate"]))
    value = draw(VALUES[name])
    symbol = draw(st.sampled_from(sorted(SYMBOLS)))
    return (
        f"{name} {symbol} {written(value)}",
        lambda row: row[name] is not None and SYMBOLS[symbol](row[name], value),
    )


@st.composite
def lists(draw: st.DrawFn) -> tuple[str, Callable[..., Any]]:
    name = draw(st.sampled_from(["LastName", "City", "AnnualRevenue", "ConvertedDate"]))
    values = draw(st.lists(VALUES[name] | st.none(), min_size=1, max_size=3))
    word = draw(st.sampled_from(["IN", "NOT IN", "not in"]))
    among = {folded(value) for value in values}
    return (
        f"{name} {word} ({', '.join(map(written, values))})",
        lambda row: (folded(row[name]) in among) == (word == "IN"),
    )


@st.composite
def likes(draw: st.DrawFn) -> tuple[str, Callable[..., Any]]:
    name = draw(st.sampled_from(["LastName", "City"]))
    parts = draw(PATTERNS)
    wild = {"%": ".*", "_": "."}
    pattern = re.compile("".join(wild.get(p, re.escape(p[-1])) for p in parts), re.I | re.S)
    return (
        f"{name} LIKE '{''.join(parts)}'",
        lambda row: row[name] is not None and pattern.fullmatch(row[name]) is not None,
    )


def joined(
    word: str, parts: list[tuple[str, Callable[..., Any]]]
) -> tuple[str, Callable[..., Any]]:
    text = f" {word} ".join(f"({text})" for text, _ in parts)
    every = all if word == "AND" else any
    return text, lambda row: every(holds(row) for _, holds in parts)


def negated(part: tuple[str, Callable[..., Any]]) -> tuple[str, Callable[..., Any]]:
    return f"NOT ({part[0]})", lambda row: not part[1](row)


CONDITIONS = st.recursive(
    equalities() | orders() | lists() | likes(),
    lambda inner: (
        st.tuples(st.sampled_from(["AND", "OR"]), st.lists(inner, min_size=2, max_size=3)).map(
            lambda drawn: joined(*drawn)
        )
        | inner.map(negated)
    ),
    max_leaves=5,
)


@pytest.fixture
def org(running: Process, client: type[Client], basic_org: str) -> Client:
    """An org that holds the table."""
    leads = []
    for line in LINES:
        cells = [(n, cell) for n, cell in zip(HEAD, line, strict=True) if cell]
        leads += ["[[lead]]", 'Company = "C"']
        leads += [f"{n} = {cell if n in TYPES else json.dumps(cell)}" for n, cell in cells]
    return client(running.url).reset(basic_org + "\n".join(leads))


@settings(
    deadline=None,
    max_examples=120,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(condition=CONDITIONS)
def test_a_condition_finds_what_it_describes(
    org: Client, condition: tuple[str, Callable[..., Any]]
) -> None:
    text, holds = condition
    found = {row["LastName"] for row in org.rows(f"SELECT LastName FROM Lead WHERE {text}")}
    assert found == {row["LastName"] for row in ROWS if holds(row)}, text
