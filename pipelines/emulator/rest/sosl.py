"""Parse SOSL searches of the form `FIND {…} IN … FIELDS RETURNING … LIMIT …`.

A term is a word or a "phrase" of consecutive words, with the wildcards `*` and `?`. Terms are
joined by AND, OR and AND NOT. Adjacent words must all be found, possibly in different fields of a
record. There is no stemming, and there are no synonyms.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, VisitError

from pipelines.emulator.soql.syntax import SoqlError

SCOPES = {
    "ALL": ("string", "textarea", "email", "phone", "url", "picklist"),
    "NAME": ("name",),
    "EMAIL": ("email",),
    "PHONE": ("phone",),
    "SIDEBAR": ("name", "email", "phone"),
}
MAX_ROWS = 2_000
MIN_TERM = 2
# These characters are operators outside a quoted phrase; SOSL escapes them with a backslash.
SEARCH_GRAMMAR = r"""
start: either
either: both (_OR both)*
both: one (_and one)*
_and: _AND?
one: _NOT one -> without
   | _AND_NOT one -> without
   | "(" either ")" -> group
   | PHRASE -> phrase
   | WORD -> word
_OR.3: /OR\b/i
_AND_NOT.4: /AND\s+NOT\b/i
_AND.3: /AND\b/i
_NOT.3: /NOT\b/i
PHRASE: /"(?:[^"\\]|\\.)*"/
WORD: /(?:[^\s"(){}\\]|\\.)+/
%ignore /\s+/
"""


@functools.cache
def _search_parser() -> Lark:
    """Return the parser of search terms, built on first use: most emulators never search."""
    return Lark(SEARCH_GRAMMAR, parser="lalr")


Matcher = Callable[[Sequence[str]], bool]
CLAUSES = re.compile(
    r"\s*FIND\s*\{(?P<terms>(?:[^{}\\]|\\.)*)\}"
    r"(?:\s*IN\s+(?P<scope>\w+)\s+FIELDS)?"
    r"(?:\s*RETURNING\s+(?P<returning>.*?))?"
    r"(?:\s*LIMIT\s+(?P<limit>\d{1,6}))?\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Returned:
    """One object of RETURNING: its fields, and the SOQL clauses that follow them."""

    object: str
    fields: str
    clauses: str


@dataclass(frozen=True)
class Search:
    """A parsed search; `match` tests the texts of a record."""

    match: Matcher
    scope: str
    returned: tuple[Returned, ...]
    limit: int


def read_search(text: str) -> Search:
    """Parse SOSL; raise SoqlError with MALFORMED_SEARCH where it is wrong."""
    clauses = CLAUSES.fullmatch(text)
    if clauses is None:
        raise malformed(f"unexpected token in {text!r}; a search is FIND {{terms}} …")
    scope = (clauses["scope"] or "ALL").upper()
    if scope not in SCOPES:
        raise malformed(f"IN {clauses['scope']} FIELDS: there are {', '.join(SCOPES)}")
    returned = tuple(_returned(clauses["returning"] or ""))
    limit = int(clauses["limit"] or MAX_ROWS)
    return Search(read_terms(clauses["terms"]), scope, returned, min(limit, MAX_ROWS))


def read_terms(text: str) -> Matcher:
    """Parse the terms that FIND has between its braces."""
    if len(re.sub(r"\W", "", text)) < MIN_TERM:
        raise malformed(f"search term must be longer than one character: {text}")
    try:
        matcher: Matcher = Terms().transform(_search_parser().parse(text))
    except VisitError as error:
        raise malformed(str(error.orig_exc)) from error
    except LarkError as error:
        raise malformed(f"the search terms cannot be read: {text!r}") from error
    return matcher


def malformed(message: str) -> SoqlError:
    """Return the error for a search that cannot be parsed."""
    return SoqlError("MALFORMED_SEARCH", message)


def _returned(text: str) -> Iterator[Returned]:
    for part in _split_objects(text):
        match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", part, re.DOTALL)
        if match is None:
            raise malformed(f"RETURNING {part.strip()!r} is not an object with its fields")
        inside = (match[2] or "Id").strip()
        fields, clauses = _fields_and_rest(inside)
        yield Returned(match[1], fields, clauses)


def _split_objects(text: str) -> Iterator[str]:
    """Split at the commas between objects, but not in brackets or quotes."""
    depth, quoted, start = 0, False, 0
    for position, character in enumerate(text):
        if character == "'" and text[position - 1 : position] != "\\":
            quoted = not quoted
        depth += 0 if quoted else {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not quoted and not depth:
            yield text[start:position]
            start = position + 1
    if text[start:].strip():
        yield text[start:]


def _fields_and_rest(inside: str) -> tuple[str, str]:
    keyword = re.search(r"\b(WHERE|ORDER\s+BY|LIMIT|OFFSET)\b", inside, re.IGNORECASE)
    if keyword is None:
        return inside, ""
    return inside[: keyword.start()].strip() or "Id", inside[keyword.start() :]


class Terms(Transformer[Token, Matcher]):
    """Turns parsed terms into functions that test a record's texts."""

    def start(self, parts: Sequence[Matcher]) -> Matcher:
        """Return the test of the whole search."""
        return parts[0]

    group = start

    def either(self, parts: Sequence[Matcher]) -> Matcher:
        """Match where one part matches at least."""
        return lambda texts: any(part(texts) for part in parts)

    def both(self, parts: Sequence[Matcher]) -> Matcher:
        """Match where every part matches."""
        return lambda texts: all(part(texts) for part in parts)

    def without(self, parts: Sequence[Matcher]) -> Matcher:
        """Match where the part does not match."""
        return lambda texts: not parts[0](texts)

    def word(self, parts: Sequence[Token]) -> Matcher:
        """Match a word. With punctuation inside, it is several consecutive words."""
        return _phrase_matcher(str(parts[0]))

    def phrase(self, parts: Sequence[Token]) -> Matcher:
        """Match consecutive words."""
        return _phrase_matcher(str(parts[0])[1:-1])


def _phrase_matcher(text: str) -> Matcher:
    plain = re.sub(r"\\(.)", r"\1", text)
    pieces = re.findall(r"[\w*?]+", plain)
    if not pieces:
        raise malformed(f"there is no word in {text!r}")
    pattern = r"\W+".join(_piece(piece) for piece in pieces)
    wanted = re.compile(rf"(?<!\w){pattern}(?!\w)", re.IGNORECASE)
    return lambda texts: any(wanted.search(item) for item in texts)


def _piece(piece: str) -> str:
    return "".join({"*": r"\w*", "?": r"\w"}.get(c, re.escape(c)) for c in piece)


def parameterized(parameters: Mapping[str, object]) -> Search:
    """Return the search that `/parameterizedSearch` asks for."""
    terms = parameters.get("q")
    if not isinstance(terms, str):
        raise malformed("q, the terms to search for, is missing")
    scope = str(parameters.get("in", "ALL")).upper()
    if scope not in SCOPES:
        raise malformed(f"in={scope}: there are {', '.join(SCOPES)}")
    common = _field_list(parameters.get("fields")) or "Id"
    objects = parameters.get("sobjects", parameters.get("sobject", []))
    if isinstance(objects, str):
        objects = [{"name": name} for name in objects.split(",")]
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise malformed("sobjects is a list of objects with a name")
    returned = tuple(
        _returned_object(item, common, parameters.get("defaultLimit")) for item in objects
    )
    limit = str(parameters.get("overallLimit", MAX_ROWS))
    if not limit.isdecimal() or len(limit) > 6:
        raise malformed(f"overallLimit={limit} is not a number of records")
    return Search(read_terms(terms), scope, returned, min(int(limit), MAX_ROWS))


def _returned_object(item: Mapping[str, object], common: str, limit: object) -> Returned:
    where, limit = item.get("where"), item.get("limit", limit)
    clauses = f" WHERE {where}" if where else ""
    clauses += f" ORDER BY {item['orderBy']}" if item.get("orderBy") else ""
    clauses += f" LIMIT {limit}" if limit is not None else ""
    return Returned(str(item.get("name", "")), _field_list(item.get("fields")) or common, clauses)


def _field_list(fields: object) -> str:
    return ", ".join(map(str, fields)) if isinstance(fields, list) else str(fields or "")
