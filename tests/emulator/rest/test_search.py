"""Searching by words: SOSL, and the same asked by parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.emulator.rest.sosl import read_search, read_terms
from pipelines.emulator.soql.syntax import SoqlError
from tests.emulator.plain_http import Client


@pytest.fixture
def people(org: Client) -> Client:
    for first, last, company, email in [
        ("Ada", "Byron", "Analytical Engines", "ada@engines.example"),
        ("Ada", "Lovelace", "Byron & Co", "lovelace@example.org"),
        ("Charles", "Babbage", "Engines Ltd", "cb@engines.example"),
    ]:
        org.lead(FirstName=first, LastName=last, Company=company, Email=email)
    return org


def found(org: Client, sosl: str) -> set[str]:
    response = org.call("GET", "/search", params={"q": sosl})
    assert response.status_code == 200, response.text
    return {record.get("LastName") for record in response.json()["searchRecords"]}


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ("ada", {"Byron", "Lovelace"}),
        ("Byron", {"Byron", "Lovelace"}),
        ("ada engines", {"Byron"}),
        ("ada AND engines", {"Byron"}),
        ("lovelace OR babbage", {"Lovelace", "Babbage"}),
        ("engines AND NOT ada", {"Babbage"}),
        ("(lovelace OR babbage) AND charles", {"Babbage"}),
        ('"analytical engines"', {"Byron"}),
        ('"engines analytical"', set()),
        ("analy*", {"Byron"}),
        ("bab?age", {"Babbage"}),
        ("engine", set()),
        ("cb@engines.example", {"Babbage"}),
        ("ada@engines.example OR nothing", {"Byron"}),
    ],
)
def test_terms_find_the_records_that_hold_them(people: Client, terms: str, names: set[str]) -> None:
    assert found(people, f"FIND {{{terms}}} IN ALL FIELDS RETURNING Lead(Id, LastName)") == names


@pytest.mark.parametrize(
    ("scope", "names"),
    [("NAME", {"Byron", "Babbage"}), ("EMAIL", {"Byron", "Babbage"}), ("PHONE", set())],
)
def test_a_scope_narrows_the_fields(people: Client, scope: str, names: set[str]) -> None:
    assert found(people, f"FIND {{engines}} IN {scope} FIELDS RETURNING Lead(LastName)") == names


def test_returning_filters_sorts_and_limits(people: Client) -> None:
    where = "LastName WHERE LastName > 'C' ORDER BY LastName DESC LIMIT 1"
    assert found(people, f"FIND {{ada OR charles}} RETURNING Lead({where}), Contact(Id)") == {
        "Lovelace"
    }


def test_a_search_without_returning_gives_ids_and_types(people: Client) -> None:
    response = people.call("GET", "/search", params={"q": "FIND {babbage}"}).json()
    assert [r["attributes"]["type"] for r in response["searchRecords"]] == ["Lead"]
    assert set(response["searchRecords"][0]) == {"attributes", "Id"}


def test_a_search_may_be_asked_by_parameters(people: Client) -> None:
    by_url = {"q": "ada", "sobject": "Lead", "fields": "LastName", "in": "name"}
    response = people.call("GET", "/parameterizedSearch", params=by_url).json()
    assert {r["LastName"] for r in response["searchRecords"]} == {"Byron", "Lovelace"}
    lead = {"name": "Lead", "fields": ["LastName"], "where": "LastName LIKE 'L%'", "limit": 5}
    body = {"q": "ada", "sobjects": [lead], "overallLimit": 10}
    response = people.call("POST", "/parameterizedSearch", json=body).json()
    assert [r["LastName"] for r in response["searchRecords"]] == ["Lovelace"]


@pytest.mark.parametrize(
    ("sosl", "code"),
    [
        ("", "MALFORMED_SEARCH"),
        ("FIND ada", "MALFORMED_SEARCH"),
        ("FIND {a}", "MALFORMED_SEARCH"),
        ("FIND {(ada}", "MALFORMED_SEARCH"),
        ("FIND {ada} IN NO FIELDS", "MALFORMED_SEARCH"),
        ("FIND {ada} RETURNING Nothing(Id)", "INVALID_TYPE"),
        ("FIND {ada} RETURNING Lead(Nope)", "INVALID_FIELD"),
    ],
)
def test_a_search_that_cannot_be_read_is_rejected(org: Client, sosl: str, code: str) -> None:
    rejected = org.call("GET", "/search", params={"q": sosl})
    assert (rejected.status_code, rejected.json()[0]["errorCode"]) == (400, code)


def search_error(read: Callable[..., Any], text: str) -> str | None:
    try:
        read(text)
    except SoqlError as rejected:
        return rejected.code
    return None


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=40))
def test_any_text_is_read_or_rejected(text: str) -> None:
    for read in (read_terms, read_search, lambda t: read_search(f"FIND {{ada}} RETURNING {t}")):
        assert search_error(read, text) in {None, "MALFORMED_SEARCH"}


@settings(deadline=None, max_examples=100)
@given(st.lists(st.from_regex(r"[a-z]{2,6}", fullmatch=True), min_size=1, max_size=5))
def test_a_text_is_found_by_each_of_its_words_and_by_all(words: list[str]) -> None:
    text = " ".join(words)
    quoted = [word for word in words if word not in {"and", "or", "not"}]
    assert all(read_terms(word)([text]) for word in quoted)
    assert read_terms(f'"{text}"')([text])
