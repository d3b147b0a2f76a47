"""Prose in Markdown and docstrings: its sentences, headings, links and code spans."""

from __future__ import annotations

import re

MAX_WORDS = 25

_FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
# A new line that begins one of these begins a new text: list items, headings, quotes, fields.
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.|#+|>)\s+")
_END = re.compile(r"(?<=[.!?])[)\"'*_]*\s+(?=[\"'(*_]*[A-Z0-9`\[])")
_TABLE_RULE = re.compile(r"^\s*\|?[\s:|-]+\|?$")


def without_code_blocks(markdown: str) -> str:
    """Return the text without fenced code and comments."""
    return _COMMENT.sub("", _FENCE.sub("", markdown))


def code_blocks(markdown: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL)


def code_spans(markdown: str) -> list[str]:
    """Return what stands in backticks, outside fenced code."""
    return [span.strip() for _, span in _CODE.findall(without_code_blocks(markdown))]


def links(markdown: str) -> list[str]:
    """Return the targets of all links that lead into the repository."""
    targets = [target for _, target in _LINK.findall(without_code_blocks(markdown))]
    return [one for one in targets if not re.match(r"[a-z]+:", one)]


def anchors(markdown: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", without_code_blocks(markdown), re.MULTILINE)
    found: list[str] = []
    for heading in headings:
        plain = _LINK.sub(r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        again = found.count(anchor)
        found.append(f"{anchor}-{again}" if again else anchor)
    return set(found)


def sentences(markdown: str) -> list[str]:
    """Return the sentences of the prose; each cell of a table and each list item is a text.

    What stands in backticks is one word.
    """
    plain = _CODE.sub("`code`", without_code_blocks(markdown))
    plain = _LINK.sub(r"\1", plain)
    return [
        sentence for text in _texts(plain.splitlines()) for sentence in _END.split(text) if sentence
    ]


def word_count(sentence: str) -> int:
    """Return how many words a sentence has."""
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


def long_sentences(markdown: str) -> list[str]:
    """Return the sentences with more than MAX_WORDS words, each with its number of words."""
    return [
        f"{count} words: {one}"
        for one in sentences(markdown)
        if (count := word_count(one)) > MAX_WORDS
    ]


def _texts(lines: list[str]) -> list[str]:
    """Join the lines of a paragraph; keep headings, list items and table cells apart."""
    texts: list[str] = [""]
    for line in lines:
        if line.lstrip().startswith("|"):
            cells = [] if _TABLE_RULE.match(line) else line.strip().strip("|").split("|")
            texts += [*(cell.strip() for cell in cells), ""]
        elif not line.strip():
            texts.append("")
        elif _ITEM.match(line):
            texts.append(_ITEM.sub("", line).strip())
            if line.startswith("#"):
                texts.append("")
        else:
            texts[-1] = f"{texts[-1]} {line.strip()}".strip()
    return texts
