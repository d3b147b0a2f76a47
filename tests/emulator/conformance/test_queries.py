"""Numbers 51 and 52: long results in pages, and texts that need escapes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client


def pages(org: Client, soql: str, size: int) -> tuple[list[int], list[dict[str, Any]]]:
    """The sizes of the pages and the records, page after page."""
    response = org.query(soql, **{"Sforce-Query-Options": f"batchSize={size}"}).json()
    sizes, seen, total = [], [], response["totalSize"]
    while True:
        sizes.append(len(response["records"]))
        seen += response["records"]
        assert response["totalSize"] == total
        assert ("nextRecordsUrl" in response) is not response["done"]
        if response["done"]:
            assert len(seen) == total
            return sizes, seen
        response = org.following(response["nextRecordsUrl"]).json()


@pytest.mark.also_real_org
def test_51_a_long_response_comes_in_pages(org: Client) -> None:
    names = [f"n{n:03d}" for n in range(450)]
    org.load("LastName,Company\n" + "".join(f"{n},{org.mark}\n" for n in names))
    soql = f"SELECT LastName FROM Lead WHERE Company = '{org.mark}' ORDER BY LastName"
    sizes, seen = pages(org, soql, 200)
    assert max(sizes) <= 200
    assert len(sizes) >= 3
    assert [row["LastName"] for row in seen] == names


@pytest.mark.parametrize(
    ("asked", "first"), [("1", 200), ("200", 200), ("2000", 2_000), ("9999", 2_000), ("x", 2_000)]
)
def test_51_a_page_holds_200_to_2000_records(org: Client, asked: str, first: int) -> None:
    org.load("LastName,Company\n" + "L,C\n" * 2_100)
    response = org.query("SELECT Id FROM Lead", **{"Sforce-Query-Options": f"batchSize={asked}"})
    assert len(response.json()["records"]) == first
    assert response.json()["nextRecordsUrl"].endswith(f"-{first}")


def test_51_pages_do_not_move_under_the_reader(org: Client) -> None:
    org.load("LastName,Company\n" + "".join(f"n{n:03d},C\n" for n in range(300)))
    header = {"Sforce-Query-Options": "batchSize=200"}
    first = org.query("SELECT LastName FROM Lead ORDER BY LastName", **header).json()
    org.lead(LastName="aaa")
    second = org.following(first["nextRecordsUrl"]).json()
    seen = [row["LastName"] for row in first["records"] + second["records"]]
    assert seen == [f"n{n:03d}" for n in range(300)]
    assert error_of(org.call("GET", "/query/01gxxx-2000"))["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_51_pages_may_be_shorter_than_asked(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nshort_pages = true\n")
    org.load("LastName,Company\n" + "L,C\n" * 2_100)
    sizes, seen = pages(org, "SELECT Id FROM Lead", 2_000)
    assert len({row["Id"] for row in seen}) == 2_100
    assert len(sizes) > 2


@pytest.mark.also_real_org
def test_51_what_is_too_long_for_a_uri(org: Client) -> None:
    literals = ",".join(f"'someone.{n}@example.com'" for n in range(1_000))
    long = org.query(f"SELECT Id FROM Lead WHERE Email IN ({literals})")
    assert long.status_code in {414, 431}
    headers = {"X-Long": "x" * 17_000}
    assert org.call("GET", "/sobjects", headers=headers).status_code in {414, 431}


def test_51_the_limit_is_16384_bytes_of_both(org: Client) -> None:
    literals = ",".join(f"'someone.{n}@example.com'" for n in range(1_000))
    assert org.query(f"SELECT Id FROM Lead WHERE Email IN ({literals})").status_code == 414
    assert org.call("GET", "/limits", headers={"X-Long": "x" * 16_384}).status_code == 431
    assert org.call("GET", "/limits", headers={"X-Long": "x" * 15_000}).status_code == 200


WRITTEN = {"LastName": 'O\'Neil \\ "x"', "City": "100%_", "Street": "a\nb", "Title": "x\t\b\f\r!"}


@pytest.mark.parametrize(
    "where",
    [
        r"LastName = 'o\'neil \\ \"X\"'",
        r"LastName LIKE 'O\'N%'",
        r"LastName = '\u004f\'Neil \\ \"x\"'",
        r"City LIKE '100\%\_'",
        r"Street = 'a\nb'",
        r"Title = 'x\t\b\f\r!'",
        "City = '100%_'",
    ],
)
def test_52_escapes_in_soql(org: Client, where: str) -> None:
    made = org.lead(**WRITTEN)
    assert org.rows(f"SELECT Id FROM Lead WHERE {where}") == [{"Id": made}]
    assert org.rows(r"SELECT Id FROM Lead WHERE City LIKE '1\_%'") == []


@pytest.mark.also_real_org
def test_52_quotes_and_backslashes_are_found_again(org: Client) -> None:
    made = org.lead(LastName='O\'Neil \\ "x"', City="100%_")
    for where in (r"LastName = 'O\'Neil \\ \"x\"'", r"City LIKE '100\%\_'"):
        assert org.leads(more=f" AND {where}") == [{"Id": made}]
    assert org.leads(more=r" AND City LIKE '1\_%'") == []


@pytest.mark.also_real_org
def test_52_emails_are_equal_in_any_case(org: Client) -> None:
    made = org.lead(Email=f"{org.mark}@example.com")
    for email in (f"{org.mark}@EXAMPLE.com", f"{org.mark.lower()}@example.com"):
        assert org.rows(f"SELECT Id FROM Lead WHERE Email = '{email}'") == [{"Id": made}]


@pytest.mark.parametrize("wrong", [r"'\x'", r"'\u12'", r"'\ud800'", r"'\0'"])
def test_52_another_backslash_is_malformed_and_its_position_is_shown(
    org: Client, wrong: str
) -> None:
    rejected = error_of(org.query(f"SELECT Id FROM Lead WHERE City = {wrong}"))
    assert rejected["errorCode"] == "MALFORMED_QUERY"
    assert "ERROR at Row:1:Column:34" in rejected["message"]


@pytest.mark.also_real_org
def test_52_an_unknown_escape_is_malformed(org: Client) -> None:
    rejected = error_of(org.query(r"SELECT Id FROM Lead WHERE City = '\x'"))
    assert rejected["errorCode"] == "MALFORMED_QUERY"
