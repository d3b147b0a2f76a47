"""The pages: links lead somewhere, names exist, sentences are short, words are plain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipelines.rules.owner_strategies import STRATEGY_KINDS
from tests.docs import prose

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted(ROOT.rglob("*.md"))
    if not {"build", "node_modules"} & set(path.parts)
    and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
}
# Pages about other things than this project's own words and files.
OWN_PAGES = [
    name for name in PAGES if name not in ("data/README.md", "pipelines/emulator/README.md")
]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):[^=\n]*##", MAKEFILE, re.MULTILINE))
FOLDERS = ("pipelines/", "sql/", "tests/", "data/", ".ci/")

# Words that only this project once used, and words that leave open who is meant.
PRIVATE_WORDS = re.compile(
    r"\b(anew|at once|beside|carrier|everybody|judg(?:e|es|ed|ing|ement)|mend(?:s|ed)?|mirrors?|"
    r"nobody|patience|settl(?:e|es|ed|ing)|somebody|spelt|told|twins?|whoever)\b",
    re.IGNORECASE,
)


def test_every_form_of_an_owner_strategy_stands_wherever_they_are_listed() -> None:
    # The page of the deployment in Prefect shows the docstring of its flow.
    flow = ROOT / "pipelines" / "orchestration" / "prefect_flows.py"
    for place in (ROOT / "README.md", ROOT / "pipelines" / "README.md", flow):
        text = place.read_text(encoding="utf-8")
        missing = [kind.form for kind in STRATEGY_KINDS.values() if kind.form not in text]
        assert missing == [], f"{place.name} does not name {missing}"


def test_the_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pipelines/README.md"} <= set(PAGES)


# --- Links and names


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    def is_there(target: str) -> bool:
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.exists():
            return False
        return not anchor or anchor in prose.anchors(path.read_text(encoding="utf-8"))

    assert [one for one in prose.links(PAGES[name]) if not is_there(one)] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_is_named_exists(name: str) -> None:
    spans = [one for one in prose.code_spans(PAGES[name]) if one.startswith(FOLDERS)]
    named = [one for one in spans if re.fullmatch(r"[\w./*-]+", one)]
    assert [one for one in named if not list(ROOT.glob(one.rstrip("/")))] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_module_that_is_named_exists(name: str) -> None:
    named = [
        one
        for one in prose.code_spans(PAGES[name])
        if re.fullmatch(r"(pipelines|tests)(\.[a-z_]+)+", one)
    ]
    assert [one for one in named if find_spec(one) is None] == []


PLACES = [
    (page, name, file)
    for page, text in PAGES.items()
    for name, file in re.findall(r"`(\w+)`\s+(?:in|of)\s+`([\w/.-]+\.(?:py|sql))`", text)
]


@pytest.mark.parametrize(("page", "name", "file"), PLACES)
def test_what_a_page_finds_in_a_file_is_in_it(page: str, name: str, file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    defined = rf"^\s*(?:def|class) {name}\b|^\s*{name}\b.*[=:]|^create table {name}\b|name: {name}$"
    assert re.search(defined, text, re.MULTILINE), f"{page}: {file} has no {name}"


# --- make


def make_targets(markdown: str) -> set[str]:
    """Return the targets of all `make` commands of a page."""
    commands = [*prose.code_spans(markdown), *prose.code_blocks(markdown, "sh")]
    return {
        target
        for command in commands
        for target in re.findall(r"^make ([a-z][a-z-]*)", command, re.MULTILINE)
    }


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    assert make_targets(PAGES[name]) - TARGETS == set()


def test_contributing_names_every_make_target() -> None:
    assert TARGETS - make_targets(PAGES["CONTRIBUTING.md"]) == set()


# --- Words


@pytest.mark.parametrize("name", OWN_PAGES)
def test_no_sentence_is_long(name: str) -> None:
    assert prose.long_sentences(PAGES[name]) == []


@pytest.mark.parametrize("name", OWN_PAGES)
def test_the_words_are_plain(name: str) -> None:
    assert PRIVATE_WORDS.findall(prose.without_code_blocks(PAGES[name])) == []


def public_docstrings() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each docstring of `pipelines` that is not private."""
    for path in sorted((ROOT / "pipelines").rglob("*.py")):
        place = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                name = getattr(node, "name", "")
                text = ast.get_docstring(node)
                if text and not name.startswith("_"):
                    yield f"{place} {name}".strip(), text


def without_drawings(docstring: str) -> str:
    """Return a docstring without its indented blocks: tables, trees and examples."""
    return re.sub(r"^ {4,}\S.*$", "", docstring, flags=re.MULTILINE)


def test_no_sentence_of_a_public_docstring_is_long() -> None:
    found = [
        f"{place}: {one}"
        for place, text in public_docstrings()
        for one in prose.long_sentences(without_drawings(text))
    ]
    assert found == []


# --- The helpers themselves


def test_sentences_are_split_where_they_end() -> None:
    page = (
        "# A title\n\nOne `a b. C` two.\nThree (four). Five e.g. six!\n\n- seven\n  eight\n- nine\n"
    )
    assert prose.sentences(page) == [
        *("A title", "One `code` two.", "Three (four).", "Five e.g. six!"),
        *("seven eight", "nine"),
    ]


def test_a_cell_is_a_text_and_code_is_none() -> None:
    page = "| a | b |\n|---|--:|\n| one. Two | [three](four.md) |\n\n```sh\nfive\n```\n"
    assert prose.sentences(page) == ["a", "b", "one.", "Two", "three"]


def test_a_long_sentence_is_found_with_its_number_of_words() -> None:
    assert prose.long_sentences("word " * 25) == []
    (found,) = prose.long_sentences("word " * 26 + "`more words here`.")
    assert found.startswith("27 words: ")


def test_anchors_are_those_of_github() -> None:
    page = "## Exit codes of `person-sync`\n## What's new?\n## A\n## A\n```\n# none\n```\n"
    assert prose.anchors(page) == {"exit-codes-of-person-sync", "whats-new", "a", "a-1"}
