"""SOQL: what is supported, and what is rejected with its position."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulator.conftest import Process
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client

LEADS = """
[[user]]
username = "ada@t.example"
name = "Ada Byron"
[[lead]]
LastName = "Alpha"
Company = "C"
Email = "a@x.example"
AnnualRevenue = 10
NumberOfEmployees = 3
DoNotCall = true
owner = "user:ada@t.example"
CreatedDate = 2026-01-01T10:00:00Z
ConvertedDate = 2026-01-02
[[lead]]
LastName = "Émile"
Company = "C"
City = "Zürich"
AnnualRevenue = 20
CreatedDate = 2026-02-01T10:00:00Z
[[lead]]
LastName = "gamma"
Company = "D"
City = "Rome"
"""


@pytest.fixture
def org(running: Process, client: type[Client], basic_org: str) -> Client:
    return client(running.url).reset(basic_org + LEADS)


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Email = 'A@X.example'", "Alpha"),
        ("Email = null", "Émile gamma"),
        ("Email = ''", "Émile gamma"),
        ("Email != null", "Alpha"),
        ("Email != 'a@x.example'", "Émile gamma"),
        ("Email <> 'other@x.example'", "Alpha Émile gamma"),
        ("NOT Email = 'a@x.example'", "Émile gamma"),
        ("LastName IN ('ALPHA', 'GAMMA', 'none')", "Alpha gamma"),
        ("LastName IN ('alpha', 'ÉMILE')", "Alpha Émile"),
        ("LastName NOT IN ('alpha', 'éMILE')", "gamma"),
        ("City IN (null, 'rome')", "Alpha gamma"),
        ("LastName LIKE '%A'", "Alpha gamma"),
        ("LastName LIKE 'ém_le'", "Émile"),
        ("NOT LastName LIKE '%A'", "Émile"),
        ("City = 'ZÜRICH'", "Émile"),
        ("AnnualRevenue > 10", "Émile"),
        ("AnnualRevenue >= 10.0", "Alpha Émile"),
        ("NumberOfEmployees < 4", "Alpha"),
        ("DoNotCall = true", "Alpha"),
        ("DoNotCall = false", "Émile gamma"),
        ("LastName > 'b' AND LastName <= 'GAMMA'", "gamma"),
        ("CreatedDate < 2026-02-01T00:00:00Z", "Alpha"),
        ("CreatedDate <= 2026-02-01T12:00:00+02:00", "Alpha Émile"),
        ("CreatedDate = TODAY", "gamma"),
        ("CreatedDate != LAST_N_DAYS:3", "Alpha Émile"),
        ("CreatedDate >= YESTERDAY AND CreatedDate < TOMORROW", "gamma"),
        ("CreatedDate > LAST_WEEK AND CreatedDate <= THIS_MONTH", "gamma"),
        ("ConvertedDate = 2026-01-02", "Alpha"),
        ("ConvertedDate = THIS_YEAR", "Alpha"),
        ("ConvertedDate < LAST_YEAR", ""),
        ("Owner.Name = 'ada byron'", "Alpha"),
        ("Owner.Type = 'User' AND CreatedBy.Username LIKE 'INTEGRATION%'", "Alpha Émile gamma"),
        ("(City = 'Rome' OR City = null) AND (NOT DoNotCall = true)", "gamma"),
        ("Lead.Company = 'd'", "gamma"),
    ],
)
def test_conditions(org: Client, where: str, names: str) -> None:
    rows = org.rows(f"SELECT LastName FROM Lead WHERE {where} ORDER BY CreatedDate")
    assert [row["LastName"] for row in rows] == names.split()


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("City", "Alpha gamma Émile"),
        ("City ASC NULLS LAST", "gamma Émile Alpha"),
        ("City DESC", "Alpha Émile gamma"),
        ("City desc nulls last", "Émile gamma Alpha"),
        ("Company DESC, LastName", "gamma Alpha Émile"),
        ("LastName LIMIT 2", "Alpha gamma"),
        ("LastName LIMIT 1 OFFSET 1", "gamma"),
        ("LastName OFFSET 2", "Émile"),
        ("Owner.Name, LastName FOR VIEW", "Alpha gamma Émile"),
    ],
)
def test_order_limit_and_offset(org: Client, order: str, names: str) -> None:
    rows = org.rows(f"SELECT LastName FROM Lead ORDER BY {order}")
    assert [row["LastName"] for row in rows] == names.split()


def test_names_are_any_case_in_and_canonical_out(org: Client) -> None:
    row = org.rows("select lastname, OWNER.name from LEAD l where l.company = 'd'")[0]
    assert row["LastName"] == "gamma"
    assert row["Owner"]["Name"] == "Integration User"


def test_counts_and_other_aggregates(org: Client) -> None:
    counted = org.query("SELECT COUNT() FROM Lead WHERE Company = 'C'").json()
    assert counted == {"totalSize": 2, "done": True, "records": []}
    assert org.rows(
        "SELECT COUNT(Id) n, MAX(AnnualRevenue), count_distinct(Company) FROM Lead"
    ) == [{"n": 3, "expr0": 20.0, "expr1": 2}]


def test_a_relationship_without_a_record_is_null(org: Client) -> None:
    row = org.rows("SELECT ConvertedContact.Account.Name FROM Lead LIMIT 1")[0]
    assert row == {"ConvertedContact": None}


def test_fields_of_every_kind(org: Client) -> None:
    for kind in ("ALL", "standard", "Custom"):
        assert org.rows(f"SELECT FIELDS({kind}) FROM Lead LIMIT 1")
    assert error_of(org.query("SELECT FIELDS(ALL) FROM Lead"))["errorCode"] == "MALFORMED_QUERY"


def test_columns_true_describes_the_response(org: Client) -> None:
    params = {"q": "SELECT Id, Owner.Name, AnnualRevenue FROM Lead", "columns": "true"}
    shown = org.call("GET", "/query/", params=params).json()
    assert shown["entityName"] == "Lead"
    assert [c["columnName"] for c in shown["columnMetadata"]] == [
        "Id",
        "Owner.Name",
        "AnnualRevenue",
    ]


@pytest.mark.parametrize(
    ("soql", "code", "place", "words"),
    [
        ("SELECT Foo FROM Lead", "INVALID_FIELD", "1:Column:8", "No such column 'Foo' on entity"),
        ("SELECT Id FROM Foo", "INVALID_TYPE", "1:Column:16", "sObject type 'Foo'"),
        ("SELECT Id FRM Lead", "MALFORMED_QUERY", "1:Column:15", "unexpected token: 'Lead'"),
        ("SELECT Id\nFROM Lead\nWHERE", "MALFORMED_QUERY", "3:Column:1", "unexpected token"),
        ("SELECT Id, FROM Lead", "MALFORMED_QUERY", "1:Column:12", "'FROM'"),
        ("SELECT Id FROM Lead WHERE City = 'x", "MALFORMED_QUERY", "1:Column:34", "unexpected"),
        ("SELECT (SELECT Id FROM Contacts) FROM Lead", "MALFORMED_QUERY", "1:Column:8", "'('"),
        (
            "SELECT Id FROM Lead WHERE City='a' AND City='b' OR City='c'",
            "MALFORMED_QUERY",
            "1:Column:49",
            "'OR'",
        ),
        ("SELECT Id FROM Lead GROUP BY City", "MALFORMED_QUERY", "1:Column:8", "grouped"),
        ("SELECT Id, id FROM Lead", "MALFORMED_QUERY", "1:Column:12", "duplicate field selected"),
        ("SELECT Id, COUNT(Id) FROM Lead", "MALFORMED_QUERY", "1:Column:8", "grouped"),
        ("SELECT Boss.Name FROM Lead", "INVALID_FIELD", "1:Column:8", "relationship 'Boss'"),
        ("SELECT ConvertedOpportunity.Name FROM Lead", "INVALID_FIELD", "1:Column:8", "relation"),
        ("SELECT FIELDS(SOME) FROM Lead", "MALFORMED_QUERY", "1:Column:15", "'SOME'"),
        ("SELECT Id FROM Lead LIMIT -1", "MALFORMED_QUERY", "1:Column:27", "'-1'"),
        (
            "SELECT Id FROM Lead WHERE Description = 'x'",
            "INVALID_FIELD",
            "1:Column:27",
            "can not be filtered",
        ),
        ("SELECT Id FROM Lead ORDER BY Description", "INVALID_FIELD", "1:Column:30", "sorted"),
        ("SELECT Id FROM Lead WHERE City = 3", "INVALID_FIELD", "1:Column:27", "of type string"),
        ("SELECT Id FROM Lead WHERE DoNotCall = 'x'", "INVALID_FIELD", "1:Column:27", "boolean"),
        ("SELECT Id FROM Lead WHERE City = TODAY", "INVALID_FIELD", "1:Column:27", "of type"),
        ("SELECT Id FROM Lead WHERE City > null", "MALFORMED_QUERY", "1:Column:27", "null"),
        ("SELECT Id FROM Lead WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR", "27", "ID field"),
        (
            "SELECT Id FROM Lead WHERE AnnualRevenue LIKE 'x'",
            "INVALID_QUERY_FILTER_OPERATOR",
            "1:Column:27",
            "invalid operator",
        ),
        (
            "SELECT Id FROM Lead WHERE CreatedDate > 2026-13-01T00:00:00Z",
            "MALFORMED_QUERY",
            "1:Column:27",
            "not a valid datetime",
        ),
    ],
)
def test_an_error_has_its_position(
    org: Client, soql: str, code: str, place: str, words: str
) -> None:
    rejected = error_of(org.query(soql))
    assert rejected["errorCode"] == code
    assert (
        f"ERROR at Row:{place}" in rejected["message"] or f"Column:{place}" in rejected["message"]
    )
    assert words.lower() in rejected["message"].lower()


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Id FROM Lead OFFSET 2001",
        "SELECT Id FROM Lead WHERE City = '" + "x" * 4_001 + "'",
        "",
    ],
)
def test_other_limits(org: Client, soql: str) -> None:
    assert org.query(soql).status_code == 400
    assert org.call("GET", "/query").status_code == 400


def test_a_query_in_a_body_may_be_longer_but_not_without_end(org: Client) -> None:
    for text in ("x" * 100_001, "SELECT Id FROM Lead WHERE " + "(" * 40_000):
        response = org.call("POST", "/jobs/query", json={"operation": "query", "query": text})
        assert error_of(response)["errorCode"] == "MALFORMED_QUERY"
    nested = "NOT " * 20_000 + "City = 'x'"
    text = f"SELECT Id FROM Lead WHERE {nested}"
    response = org.call("POST", "/jobs/query", json={"operation": "query", "query": text})
    assert error_of(response)["errorCode"] == "MALFORMED_QUERY"


def quoted(text: str) -> str:
    """Return a text as a SOQL literal, with its escapes."""
    names = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    out = "".join("\\" + c if c in "\\'\"" else names.get(c, c) for c in text)
    return f"'{out}'"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
SHARED = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)


@SHARED
@given(text=TEXTS)
def test_any_text_escaped_is_found_again_and_alone(org: Client, text: str) -> None:
    company = f"x{text}x"
    made = org.lead(Company=company)
    rows = org.rows(f"SELECT Id, Company FROM Lead WHERE Company = {quoted(company)}")
    assert {"Id": made, "Company": company} in rows
    assert all(row["Company"].casefold() == company.casefold() for row in rows)


def test_an_in_list_over_many_leads_is_quick(org: Client) -> None:
    rows = "".join(f"L,C,u{n}@x.example\n" for n in range(20_000))
    org.load("LastName,Company,Email\n" + rows)
    literals = ",".join(f"'U{n * 7}@x.example'" for n in range(300))
    soql = f"SELECT Id, Email FROM Lead WHERE Email IN ({literals})"
    started = time.monotonic()
    assert len(org.rows(soql)) == 300
    assert time.monotonic() - started < 0.5
