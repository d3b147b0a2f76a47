"""The SQL files: every statement is used, has a comment, and means the same on every engine."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pipelines.warehouse.statements import (
    SQL_FOLDER,
    named_statements,
    queries,
    statements_in,
    without_comments,
)

ROOT = SQL_FOLDER.parent
FILES = sorted(SQL_FOLDER.glob("*/*.sql"))
QUERY_FILES = [file for file in FILES if file.parent.name == "queries"]
QUERIES = queries()
SOURCES = [ast.parse(file.read_text()) for file in (ROOT / "pipelines").rglob("*.py")]

# What an engine does silently otherwise, or not at all, with what to write instead.
FOREIGN = {
    r"\bcast\s*\([^()]* as date\)": "date(x): SQLite casts to the number 2026",
    r"::": "cast(x as text)",
    r"\bcurrent_(timestamp|date|time)\b|\bnow\(\)": ":now from Python, in UTC",
    r"(?<!1\.0 \* )\b\w+\s*/\s*\w": "1.0 * a / nullif(b, 0): integers divide to 0",
    r"\bconcat\(|\bilike\b|\bdate_trunc\(|\bextract\(|\bregexp_\w+\(": "plain SQL: SQLite has none",
    r"\bmerge into\b|\bfor update\b|\btruncate\b|\bqualify\b|\bgroup by all\b": "plain SQL",
    r"\bgenerated always\b|\bserial\b|\bautoincrement\b": "keys minted in Python",
    r"\breferences\b": "a query that checks: DuckDB never updates a row that is referenced",
    r"\badd column if not exists\b|\badd constraint\b": "a numbered migration",
    r"\bmain\.|\bpublic\.|\bperson_sync\.": "the search path decides",
    r"\(values[^()]*\([^()]*\)[^()]*\) as \w+ \(": "with r (a, b) as (values …)",
    r"\bgroup_concat\(|\bstring_agg\(": "join in Python",
}


def strings_in_code() -> set[object]:
    nodes = (node for source in SOURCES for node in ast.walk(source))
    return {node.value for node in nodes if isinstance(node, ast.Constant)}


def names_run() -> set[str]:
    """The name given to a call of run(…, "name"), read_frame(…, "name") or temporary_table."""
    calls = (n for source in SOURCES for n in ast.walk(source) if isinstance(n, ast.Call))
    prefixes = {"run": "", "read_frame": "", "read_rows": "", "temporary_table": "create_"}
    return {
        prefixes[call.func.attr] + str(argument.value)
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in prefixes
        for argument in call.args[1:2]
        if isinstance(argument, ast.Constant) and "warehouse" in ast.unparse(call.func)
    }


def test_every_statement_is_used() -> None:
    names = strings_in_code() | {f"create_{name}" for name in strings_in_code()}
    assert [name for name in QUERIES if name not in names] == []


def test_every_statement_that_is_run_exists() -> None:
    assert [name for name in names_run() if name not in QUERIES] == []


@pytest.mark.parametrize("file", QUERY_FILES, ids=lambda file: file.stem)
def test_every_statement_has_a_comment_and_ends_with_a_semicolon(file: Path) -> None:
    script = file.read_text()
    for name, body in named_statements(script).items():
        assert body.partition("\n")[0].startswith("-- "), f"{name} has no comment"
        assert body.endswith(";"), f"{name} has no semicolon at its end"
        assert len(statements_in(body)) == 1, f"{name} is several statements"
    assert len(statements_in(script)) == len(named_statements(script))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_begins_with_a_sentence(file: Path) -> None:
    assert re.match(r"-- \S+ .*[.:;]\n", file.read_text())


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.parent.name in ("views", "checks")], ids=lambda file: file.stem
)
def test_a_view_and_a_check_are_one_statement(file: Path) -> None:
    assert len(statements_in(file.read_text())) == 1
    assert ";" not in without_comments(file.read_text())


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.parent.name in ("views", "checks")], ids=lambda file: file.stem
)
def test_a_view_and_a_check_only_read(file: Path) -> None:
    assert re.match(r"(with|select)\b", without_comments(file.read_text()))


# An engine's own file, and the common one that it replaces.
OF_ONE_ENGINE = {
    part for file in FILES if "." in file.stem for part in (file.stem, file.stem.partition(".")[0])
}


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.stem not in OF_ONE_ENGINE], ids=lambda file: file.stem
)
def test_no_engine_would_understand_it_otherwise(file: Path) -> None:
    words = re.sub(r"'(?:[^']|'')*'", "''", without_comments(file.read_text()))
    found = {reason for form, reason in FOREIGN.items() if re.search(form, words)}
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        "select cast(started_at as date) from t",
        "select x::text from t",
        "select a / b from t",
        "where at < current_timestamp",
        "select * from (values (1, 2)) as r (a, b)",
    ],
)
def test_the_lint_itself_finds_what_it_is_for(line: str) -> None:
    assert any(re.search(form, line) for form in FOREIGN)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_views_are_read_only_by_views(file: Path) -> None:
    read = set(re.findall(r"\b(?:from|join) ((?:dim|fct|rpt)_\w+)", file.read_text()))
    may_read = file.stem.startswith("rpt_") and all(not name.startswith("rpt_") for name in read)
    assert not read or may_read
