"""One word for one thing: names that the glossary of pipelines/README.md has replaced are gone."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Context, Group

from pipelines.cli import main

ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / "pipelines").rglob("*.py"))
SQL = sorted((ROOT / "sql").rglob("*.sql"))
# Benchmarks, reference and model: tests that are programs too.
PROGRAMS = sorted(
    path
    for folder in ("benchmarks", "oracle", "crash/model")
    for path in (ROOT / "tests" / folder).rglob("*.py")
)
PAGES = ("README.md", "CONTRIBUTING.md", "pipelines/README.md", "pipelines/on-call.md")

# A name that has one of these as a part: `judge_slice`, `StrayJobs`.
OLD_PARTS = frozenset(
    [
        "adopt",
        "adopts",
        "anew",
        "beside",
        "breach",
        "breaches",
        "carrier",
        "census",
        "crew",
        "door",
        "elders",
        "everybody",
        "fate",
        "fates",
        "freshen",
        "front",
        "habits",
        "hears",
        "house",
        "judge",
        "judged",
        "judgement",
        "judges",
        "judging",
        "knock",
        "mend",
        "mends",
        "mirror",
        "nobody",
        "parcel",
        "patience",
        "patiently",
        "plainly",
        "probe",
        "probes",
        "refusal",
        "room",
        "saying",
        "settle",
        "settled",
        "settlement",
        "settling",
        "somebody",
        "spelt",
        "story",
        "stray",
        "tidy",
        "told",
        "twins",
        "verdict",
        "weigh",
    ]
)
# A name that is exactly this.
OLD_NAMES = frozenset(
    [
        "at_once",
        "change_count",
        "checked_count",
        "closing_at",
        "email_key",
        "fence",
        "filled_fields",
        "Ground",
        "holder_host",
        "holder_id",
        "holder_pid",
        "holder_run_id",
        "is_duplicate_wanted",
        "judged_position",
        "known_records",
        "known_record_fills",
        "known_record_keys",
        "made_nothing",
        "matching_way",
        "passes",
        "Passing",
        "take_abandoned",
        "taken_position",
        "until_at",
        "whose",
    ]
)
# In what a user reads. Not "settle" as in "settled down": the pages have no such sentence.
OLD_WORDS = re.compile(
    r"\b(anew|elders|everybody|judge[ds]?|judging|judgements?|mends?|mirrors?|nobody|patience"
    r"|settled?|settles|settling|somebody|spelt|stray|twins|verdicts?|fates?|carrier|at once)\b",
    re.IGNORECASE,
)
OLD_VALUES = re.compile(
    r"\b(KNOWN_TO_LEDGER|AMBIGUOUS|UNACCOUNTED|ANSWER_LOST|DELETED_EXISTS|\w+_BY_HAND"
    r"|bulk_query|patience_seconds|start_patience_seconds|--adopt-jobs|matching\.way)\b"
)


def parts_of(name: str) -> set[str]:
    """Return the words that a name is made of, in lower case."""
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))


def names_in(path: Path) -> Iterator[str]:
    if path.suffix == ".py":
        text = io.StringIO(path.read_text(encoding="utf-8"))
        for token in tokenize.generate_tokens(text.readline):
            if token.type == tokenize.NAME:
                yield token.string
    else:
        code = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
        yield from re.findall(r"\w+", code)


def old_names_in(path: Path) -> set[str]:
    found = set(names_in(path))
    return {one for one in found if one in OLD_NAMES or parts_of(one) & OLD_PARTS}


def texts_in(path: Path) -> Iterator[str]:
    """Yield the string literals of a module, without docstrings: messages, mostly."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in docstrings:
            yield node.value


def old_words_in(text: str) -> set[str]:
    found = {match[0] for match in OLD_WORDS.finditer(text)}
    return found | {match[0] for match in OLD_VALUES.finditer(text)}


def helps_of(command: Command, name: str) -> Iterator[tuple[str, str]]:
    context = Context(command, info_name=name)
    yield name, command.get_help(context)
    if isinstance(command, Group):
        for one in command.commands.values():
            yield from helps_of(one, f"{name} {one.name}")


@pytest.mark.parametrize(
    "path", [*CODE, *SQL, *PROGRAMS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_name_is_an_old_one(path: Path) -> None:
    assert old_names_in(path) == set()
    assert not parts_of(path.stem) & OLD_PARTS


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_has_an_old_word(path: Path) -> None:
    found = {text: words for text in texts_in(path) if (words := old_words_in(text))}
    assert found == {}


@pytest.mark.parametrize("path", SQL, ids=lambda path: path.name)
def test_no_sql_explains_itself_by_an_old_word(path: Path) -> None:
    assert old_words_in(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_an_old_word(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert {line: words for line in lines if (words := old_words_in(line))} == {}


def test_no_help_has_an_old_word() -> None:
    found = {name: old_words_in(text) for name, text in helps_of(main, "person-sync")}
    assert len(found) > 9
    assert {name: words for name, words in found.items() if words} == {}


def test_a_name_is_split_into_its_words() -> None:
    assert parts_of("_StrayJobs_of") == {"stray", "jobs", "of"}
    assert old_words_in("Nobody judges it at once") == {"Nobody", "judges", "at once"}
