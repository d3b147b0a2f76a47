"""SOQL beyond conditions: groups, functions, semi-joins, scopes, date literals, and errors."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests

from pipelines.emulator.org.like import is_like
from pipelines.emulator.soql.dates import DateLiteralError, named_days
from tests.emulator.conftest import Process
from tests.emulator.plain_http import Client

LEADS = """
[[user]]
username = "ada@t.example"
name = "Ada Byron"
[[queue]]
developer_name = "Inbound"
objects = ["Lead"]
[[account]]
Name = "Engines"
Id = "0015e00000AcC01"
[[contact]]
LastName = "Con"
Id = "0035e00000CoN01"
AccountId = "0015e00000AcC01"
[[lead]]
LastName = "Alpha"
Company = "C"
Rating = "Hot"
AnnualRevenue = 10
NumberOfEmployees = 3
owner = "user:ada@t.example"
CreatedDate = 2026-01-01T10:00:00Z
ConvertedContactId = "0035e00000CoN01"
[[lead]]
LastName = "Beta"
Company = "C"
Rating = "Hot"
AnnualRevenue = 20
CreatedDate = 2026-02-14T23:30:00Z
owner = "queue:Inbound"
[[lead]]
LastName = "Gamma"
Company = "D"
CreatedDate = 2025-12-31T00:00:00Z
"""


@pytest.fixture
def org(running: Process, client: type[Client], basic_org: str) -> Client:
    return client(running.url).reset(basic_org + LEADS)


def soql_error(response: requests.Response) -> tuple[str, str]:
    assert response.status_code == 400, response.text
    (error,) = response.json()
    return error["errorCode"], error["message"]


@pytest.mark.parametrize(
    ("soql", "rows"),
    [
        (
            "SELECT Rating, COUNT(Id) FROM Lead GROUP BY Rating ORDER BY Rating",
            [{"Rating": None, "expr0": 1}, {"Rating": "Hot", "expr0": 2}],
        ),
        (
            "SELECT Rating r, SUM(AnnualRevenue), AVG(AnnualRevenue) mean, MAX(LastName) FROM Lead"
            " WHERE Company = 'C' GROUP BY Rating",
            [{"r": "Hot", "expr0": 30.0, "mean": 15.0, "expr1": "Beta"}],
        ),
        (
            "select Company from Lead group by Company having count(Id) > 1 and company != 'X'",
            [{"Company": "C"}],
        ),
        (
            "SELECT Owner.Name, COUNT(Id) n FROM Lead GROUP BY Owner.Name"
            " ORDER BY COUNT(Id) DESC, Owner.Name LIMIT 2",
            [{"Name": "Ada Byron", "n": 1}, {"Name": "Inbound", "n": 1}],
        ),
        (
            "SELECT CALENDAR_YEAR(CreatedDate) y, COUNT_DISTINCT(Company) FROM Lead"
            " GROUP BY CALENDAR_YEAR(CreatedDate) ORDER BY CALENDAR_YEAR(CreatedDate) DESC",
            [{"y": 2026, "expr0": 1}, {"y": 2025, "expr0": 1}],
        ),
        ("SELECT COUNT(AnnualRevenue), COUNT(Id) n FROM Lead", [{"expr0": 2, "n": 3}]),
        ("SELECT MIN(CreatedDate) FROM Lead", [{"expr0": "2025-12-31T00:00:00.000+0000"}]),
        ("SELECT SUM(AnnualRevenue) FROM Lead WHERE Company = 'none'", [{"expr0": None}]),
    ],
)
def test_groups_and_aggregates(org: Client, soql: str, rows: list[Any]) -> None:
    assert org.rows(soql) == rows


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("DAY_ONLY(CreatedDate) = 2026-02-14", "Beta"),
        ("CALENDAR_MONTH(CreatedDate) = 12 AND CALENDAR_QUARTER(CreatedDate) = 4", "Gamma"),
        ("DAY_IN_WEEK(CreatedDate) = 7", "Beta"),
        ("DAY_IN_YEAR(CreatedDate) IN (1, 365)", "Alpha Gamma"),
        ("HOUR_IN_DAY(CreatedDate) >= 10 AND DAY_IN_MONTH(CreatedDate) < 14", "Alpha"),
        ("WEEK_IN_MONTH(CreatedDate) = 2 AND WEEK_IN_YEAR(CreatedDate) = 7", "Beta"),
        ("toLabel(Rating) = 'hot'", "Alpha Beta"),
        ("Id IN (SELECT ConvertedContactId FROM Lead)", "refused"),
        ("ConvertedContactId IN (SELECT Id FROM Contact WHERE Account.Name = 'Engines')", "Alpha"),
        ("ConvertedContactId NOT IN (SELECT Id FROM Contact)", "Beta Gamma"),
        ("OwnerId IN (SELECT QueueId FROM QueueSobject WHERE SobjectType = 'Lead')", "Beta"),
        ("DoNotCall = null AND IsConverted != true", "Alpha Beta Gamma"),
        ("ConvertedContact.HasOptedOutOfEmail = false", "Alpha Beta Gamma"),
        ("ConvertedContact.Account.Owner.Profile.Name = 'Standard User'", "Alpha"),
        ("(NOT ConvertedContact.LastName = 'con')", "Beta Gamma"),
        ("CreatedDate IN (2026-01-01T12:00:00+02:00, LAST_N_YEARS:1)", "Alpha Gamma"),
        ("Lead.LastName LIKE '%a' AND l.Owner.Type = 'Queue'", "Beta"),
    ],
)
def test_conditions_with_functions_and_other_objects(org: Client, where: str, names: str) -> None:
    response = org.query(f"SELECT LastName FROM Lead l WHERE {where} ORDER BY LastName")
    if names == "refused":
        assert "same object type" in soql_error(response)[1]
        return
    assert " ".join(row["LastName"] for row in response.json()["records"]) == names


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("everything", "Alpha Beta Gamma"),
        ("mine", "Gamma"),
        ("Queue_Owned", "Beta"),
        ("user_owned", "Alpha Gamma"),
        ("team", "Gamma"),
        ("scopingRule", "Alpha Beta Gamma"),
    ],
)
def test_a_scope_narrows_who_owns(org: Client, scope: str, names: str) -> None:
    soql = f"SELECT LastName FROM Lead USING SCOPE {scope} WHERE Company != '' ORDER BY LastName"
    assert " ".join(row["LastName"] for row in org.rows(soql)) == names
    counted = org.query(f"SELECT COUNT() FROM Lead USING SCOPE {scope}").json()
    assert counted["totalSize"] == len(names.split())


def test_fields_of_a_kind_may_stand_next_to_others(org: Client) -> None:
    row = org.rows("SELECT Owner.Name, FIELDS(CUSTOM), toLabel(Rating) label FROM Lead LIMIT 1")[0]
    assert set(row) == {"Owner", "Person_Id__c", "label"}
    standard = org.rows("SELECT FIELDS(STANDARD) FROM Lead")
    assert "LastName" in standard[0]
    assert "Person_Id__c" not in standard[0]


@pytest.mark.parametrize(
    ("soql", "column", "words"),
    [
        ("SELECT Id FROM Lead WHERE City = 'a' AND NOT (City = 'b')", 42, "'NOT'"),
        ("SELECT Id FROM Lead WHERE NOT NOT City = 'a'", 31, "'NOT'"),
        ("SELECT Id FROM Lead WHERE NOT City = 'a' OR City = 'b'", 42, "'OR'"),
        ("SELECT TYPEOF Owner WHEN User THEN Id END FROM Lead", 8, "TYPEOF is not served"),
        ("SELECT FORMAT(AnnualRevenue) FROM Lead", 8, "FORMAT is not served"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", 12, "child queries"),
        ("SELECT City FROM Lead GROUP BY ROLLUP(City)", 32, "ROLLUP is not served"),
        ("SELECT Id FROM Lead WITH SECURITY_ENFORCED", 21, "WITH is not served"),
        ("SELECT Id FROM Lead WHERE Rating INCLUDES ('Hot')", 34, "INCLUDES is not served"),
        ("SELECT Id FROM Lead WHERE AnnualRevenue > USD10", 43, "'USD10'"),
        ("SELECT Id FROM Lead WHERE CreatedDate = THIS_FISCAL_YEAR", 41, "no fiscal calendar"),
        ("SELECT Id FROM Lead WHERE CreatedDate = LAST_N_DAYS", 41, "'LAST_N_DAYS'"),
        ("SELECT Id FROM Lead WHERE CreatedDate = 2026-01-01", 27, "must be of type dateTime"),
        ("SELECT Id FROM Lead WHERE DoNotCall > true", 27, "invalid operator on boolean"),
        ('SELECT Id FROM Lead WHERE City = "x"', 34, "'\"'"),
        ("SELECT Id FROM Lead WHERE City = 'a\\_b'", 27, "only known to LIKE"),
        ("SELECT Id FROM Lead WHERE City = :city", 34, "':'"),
        ("SELECT City c FROM Lead", 8, "only aggregate expressions use field aliasing"),
        ("SELECT Id, COUNT() FROM Lead", 1, "only element"),
        ("SELECT COUNT() FROM Lead ORDER BY City", 1, "COUNT() cannot be used"),
        ("SELECT COUNT(Id) FROM Lead LIMIT 1", 14, "cannot also use LIMIT"),
        ("SELECT City FROM Lead GROUP BY City HAVING Rating = 'Hot'", 44, "grouped or aggregated"),
        ("SELECT City FROM Lead GROUP BY City ORDER BY Rating", 46, "grouped or aggregated"),
        ("SELECT Id FROM Lead WHERE COUNT(Id) > 1", 33, "for HAVING"),
        ("SELECT Description FROM Lead GROUP BY Description", 39, "can not be grouped"),
        ("SELECT COUNT(Id) FROM Lead GROUP BY COUNT(Id)", 43, "can not be grouped"),
        ("SELECT SUM(City) FROM Lead", 12, "does not support aggregate operator SUM"),
        ("SELECT COUNT(Id) n, MAX(City) n FROM Lead", 25, "duplicate alias: n"),
        ("SELECT CALENDAR_YEAR(City) FROM Lead", 22, "cannot be applied"),
        ("SELECT CALENDAR_YEAR(CreatedDate) FROM Lead", 22, "must be grouped"),
        ("SELECT Id FROM Lead WHERE City IN (SELECT Id FROM Contact)", 27, "same object type"),
        ("SELECT Id FROM Lead WHERE Id IN (SELECT City FROM Account)", 27, "No such column"),
        (
            "SELECT Id FROM Lead WHERE OwnerId IN (SELECT Name FROM User)",
            27,
            "only query id fields",
        ),
        (
            "SELECT Id FROM Lead WHERE City = 'x' OR OwnerId IN (SELECT Id FROM User)",
            41,
            "not allowed with the 'OR'",
        ),
        (
            "SELECT Id FROM Lead WHERE OwnerId IN (SELECT Id FROM User LIMIT 1)",
            27,
            "no clause but WHERE",
        ),
        ("SELECT Id FROM Lead USING SCOPE delegated", 16, "invalid scope"),
        ("SELECT a.b.c.d.e.f.g FROM Lead", 8, "more than 5 levels"),
        ("SELECT FIELDS(CUSTOM) FROM Lead LIMIT 201", 15, "LIMIT of at most 200"),
        ("SELECT SUMMING(City) FROM Lead", 8, "'SUMMING'"),
    ],
)
def test_the_error_for_what_is_unsupported_or_wrong_has_its_position(
    org: Client, soql: str, column: int, words: str
) -> None:
    code, message = soql_error(org.query(soql))
    assert words in message
    if words != "No such column":
        assert f"ERROR at Row:1:Column:{column}\n" in message
    assert code in {
        "MALFORMED_QUERY",
        "INVALID_FIELD",
        "INVALID_QUERY_FILTER_OPERATOR",
        "INVALID_QUERY_SCOPE",
    }


def test_too_many_groups_want_a_limit(org: Client) -> None:
    rows = "".join(f"L,C{n}\n" for n in range(2_001))
    org.load("LastName,Company\n" + rows)
    soql = "SELECT Company, COUNT(Id) FROM Lead GROUP BY Company"
    assert soql_error(org.query(soql))[0] == "EXCEEDED_ID_LIMIT"
    assert org.query(f"{soql} LIMIT 5").json()["totalSize"] == 5


def test_a_chain_of_a_thousand_conditions_works(org: Client) -> None:
    chain = " OR ".join(f"LastName = 'x{n}'" for n in range(1_500))
    text = f"SELECT Id FROM Lead WHERE {chain} OR LastName = 'beta'"
    job = org.call("POST", "/jobs/query", json={"operation": "query", "query": text}).json()
    assert org.wait(job["id"], "query")["numberRecordsProcessed"] == 1


# Wednesday; the week began on Sunday the 11th.
TODAY = date(2026, 1, 14)


@pytest.mark.parametrize(
    ("literal", "first", "last"),
    [
        ("TODAY", "2026-01-14", "2026-01-14"),
        ("yesterday", "2026-01-13", "2026-01-13"),
        ("TOMORROW", "2026-01-15", "2026-01-15"),
        ("THIS_WEEK", "2026-01-11", "2026-01-17"),
        ("LAST_WEEK", "2026-01-04", "2026-01-10"),
        ("NEXT_WEEK", "2026-01-18", "2026-01-24"),
        ("LAST_MONTH", "2025-12-01", "2025-12-31"),
        ("NEXT_MONTH", "2026-02-01", "2026-02-28"),
        ("THIS_QUARTER", "2026-01-01", "2026-03-31"),
        ("LAST_QUARTER", "2025-10-01", "2025-12-31"),
        ("NEXT_QUARTER", "2026-04-01", "2026-06-30"),
        ("LAST_YEAR", "2025-01-01", "2025-12-31"),
        ("NEXT_YEAR", "2027-01-01", "2027-12-31"),
        ("LAST_90_DAYS", "2025-10-16", "2026-01-14"),
        ("NEXT_90_DAYS", "2026-01-15", "2026-04-14"),
        ("LAST_N_DAYS:1", "2026-01-13", "2026-01-14"),
        ("NEXT_N_DAYS:2", "2026-01-15", "2026-01-16"),
        ("N_DAYS_AGO:14", "2025-12-31", "2025-12-31"),
        ("LAST_N_WEEKS:2", "2025-12-28", "2026-01-10"),
        ("NEXT_N_WEEKS:1", "2026-01-18", "2026-01-24"),
        ("N_WEEKS_AGO:1", "2026-01-04", "2026-01-10"),
        ("LAST_N_MONTHS:2", "2025-11-01", "2025-12-31"),
        ("NEXT_N_MONTHS:13", "2026-02-01", "2027-02-28"),
        ("N_MONTHS_AGO:13", "2024-12-01", "2024-12-31"),
        ("LAST_N_QUARTERS:4", "2025-01-01", "2025-12-31"),
        ("NEXT_N_QUARTERS:1", "2026-04-01", "2026-06-30"),
        ("N_QUARTERS_AGO:5", "2024-10-01", "2024-12-31"),
        ("LAST_N_YEARS:2", "2024-01-01", "2025-12-31"),
        ("NEXT_N_YEARS:1", "2027-01-01", "2027-12-31"),
        ("N_YEARS_AGO:3", "2023-01-01", "2023-12-31"),
    ],
)
def test_a_date_literal_is_a_range_of_days(literal: str, first: str, last: str) -> None:
    start, end = named_days(literal, TODAY)
    assert (start.isoformat(), (end - timedelta(days=1)).isoformat()) == (first, last)


@pytest.mark.parametrize(
    "literal",
    ["LAST_N_FISCAL_YEARS:1", "LAST_N_YEARS:9999", "N_DAYS_AGO:9999999", "SOMEDAY", "TODAY:1"],
)
def test_a_date_literal_outside_the_calendar_is_rejected(literal: str) -> None:
    with pytest.raises(DateLiteralError):
        named_days(literal, TODAY)


def test_the_date_literals_are_reckoned_from_now(org: Client) -> None:
    org.lead(LastName="New")
    today = datetime.now(UTC).date()
    for where in ("CreatedDate = TODAY", f"DAY_ONLY(CreatedDate) = {today}"):
        assert org.rows(f"SELECT LastName FROM Lead WHERE {where}") == [{"LastName": "New"}]


def test_like_does_not_lose_itself_in_wildcards() -> None:
    assert not is_like("a" * 255, "%a" * 120 + "%b")
    assert is_like("a" * 255 + "b", "%a" * 120 + "%b")
    assert is_like("a.b", "a.b")
    assert not is_like("axb", "a.b")
    assert not is_like("ab", "ab_")
    assert is_like("aXXa", "a%a")
    assert not is_like("a", "a%a")
