"""Numbers 20, 21, 39 to 41: how an upload is read, and what spoils a row or the whole job."""

from __future__ import annotations

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client, Loaded

HEADER = "LastName,Company\n"
UNESCAPED = "Failed to parse CSV. Found unescaped quote"


def fails_as_a_whole(org: Client, text: bytes | str, message: str, **more: str) -> Loaded:
    """Check that the job is Failed with this message, and has written nothing."""
    loaded = org.load(text, **more)
    assert loaded.state == "Failed"
    assert loaded.info["errorMessage"] == message
    assert loaded.info.get("numberRecordsProcessed", 0) == 0
    assert (loaded.successful, loaded.failed, org.leads()) == ([], [], [])
    return loaded


@pytest.mark.also_real_org
def test_20_an_unknown_column_fails_the_whole_job(org: Client) -> None:
    text = f"LastName,Company,Shoe_Size__c,Hat__c\nL,{org.mark},44,\n"
    message = "InvalidBatch : Field name not found : Shoe_Size__c"
    fails_as_a_whole(org, text, message)


def test_20_the_rows_of_such_a_job_are_unprocessed(org: Client) -> None:
    loaded = org.load("LastName,Company,Hat__c\nL,C,\nM,C,\n")
    assert [row["LastName"] for row in loaded.unprocessed] == ["L", "M"]


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("LF", "LastName,Company\r\nL,{0}\r\n"),
        ("CRLF", "LastName,Company\nL,{0}\n"),
    ],
)
@pytest.mark.also_real_org
def test_21_a_wrong_line_ending_fails_the_whole_job(org: Client, ending: str, text: str) -> None:
    fails_as_a_whole(org, text.format(org.mark), wrong_ending(ending), lineEnding=ending)


def wrong_ending(setting: str) -> str:
    words = "ClientInputError : LineEnding is invalid on user data."
    return f"{words} Current LineEnding setting is {setting}"


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("LF", "LastName,Company\nL,C\r\n"),
        ("LF", "LastName,Company\nL,C\rM,D\n"),
        ("LF", 'LastName,Company\nL,"C\nD"\n'),
        ("LF", 'LastName,Company\nL,"C\rD"\n'),
        ("CRLF", "LastName,Company\r\nL,C\nM,D\r\n"),
        ("CRLF", 'LastName,Company\r\nL,"C\r\nD"\r\n'),
    ],
)
def test_21_one_wrong_line_is_enough_even_inside_quotes(
    org: Client, ending: str, text: str
) -> None:
    fails_as_a_whole(org, text, wrong_ending(ending), lineEnding=ending)
    assert org.rows("SELECT Id FROM Lead") == []


def test_21_newlines_in_cells_pass_with_the_switch(org_of: OrgOf) -> None:
    org = org_of("[behaviour]\nnewline_in_cell = true\n")
    loaded = org.load('LastName,Company\nL,"C\nD"\nM,"C\r\nD"\n')
    assert loaded.state == "JobComplete"
    assert {row["Company"] for row in org.rows("SELECT Company FROM Lead")} == {"C\nD", "C\r\nD"}
    crlf = org.load('LastName,Company\r\nL,"C\nD"\r\nM,E', lineEnding="CRLF")
    assert crlf.info["numberRecordsFailed"] == 0
    assert crlf.info["numberRecordsProcessed"] == 2


@pytest.mark.also_real_org
def test_21_the_last_line_needs_no_ending(org: Client) -> None:
    loaded = org.load(f"LastName,Company\nL,{org.mark}\nM,{org.mark}")
    assert (loaded.state, loaded.info["numberRecordsProcessed"]) == ("JobComplete", 2)


@pytest.mark.parametrize(("row", "width"), [("L,{0}", 2), ("L,{0},R,X", 4), ("L", 1)])
@pytest.mark.also_real_org
def test_39_a_row_of_the_wrong_width_fails_alone_and_comes_back_blank(
    org: Client, row: str, width: int
) -> None:
    text = f"LastName,Company,City\n{row}\nN,{{0}},R\n".format(org.mark)
    loaded = org.load(text)
    assert loaded.state == "JobComplete"
    assert [row["LastName"] for row in loaded.successful] == ["N"]
    assert loaded.errors == [
        "INVALID_FIELD:Number of fields in header is different from the row. "
        f"header = 3 row = {width}:--"
    ]
    (blank,) = loaded.failed
    assert (blank["LastName"], blank["Company"], blank["City"], blank["sf__Id"]) == ("",) * 4


@pytest.mark.parametrize("row", ['"a" ,C', 'P,"a"b', ' "a",C'])
def test_39_a_row_with_a_misplaced_quote_fails_alone_too(org: Client, row: str) -> None:
    loaded = org.load(f"LastName,Company\n{row}\nN,C\n")
    assert [row["LastName"] for row in loaded.successful] == ["N"]
    assert loaded.errors == [f"INVALID_FIELD:{UNESCAPED}:--"]
    assert {row["LastName"] + row["Company"] for row in loaded.failed} == {""}


@pytest.mark.also_real_org
def test_40_a_byte_order_mark_before_a_quoted_header_fails_the_job(org: Client) -> None:
    data = f'\ufeff"LastName","Company"\n"L","{org.mark}"\n'.encode()
    fails_as_a_whole(org, data, f"InvalidBatch : {UNESCAPED}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xef\xbb\xbfLastName,Company\nL,C\n", "Field name not found : \ufeffLastName"),
        (b'Last"Name,Company"\nL,C\n', UNESCAPED),
        (b"LastName,Company\nL\xff,C\n", "Failed to parse CSV. The data is not UTF-8"),
        (b"LastName,Company,lastname\nL,C,M\n", "Failed to parse CSV. Duplicate field : lastname"),
        (b"x" * 40_000 + b"\n", "Failed to parse CSV. The header is too long"),
        (b"Address,LastName\nx,y\n", "Field name not found : Address"),
    ],
)
def test_40_a_file_that_cannot_be_read_fails_the_job(
    org: Client, data: bytes, message: str
) -> None:
    fails_as_a_whole(org, data, f"InvalidBatch : {message}")


def test_40_a_quote_never_closed_fails_the_job(org_of: OrgOf) -> None:
    loaded = org_of("[behaviour]\nnewline_in_cell = true\n").load('LastName,Company\nL,"C\nM,D\n')
    assert loaded.info["errorMessage"] == f"InvalidBatch : {UNESCAPED}"


@pytest.mark.also_real_org
def test_40_a_file_without_rows_is_no_error(org: Client) -> None:
    loaded = org.load(HEADER)
    assert (loaded.state, loaded.info["numberRecordsProcessed"]) == ("JobComplete", 0)


@pytest.mark.also_real_org
def test_41_an_empty_cell_leaves_the_default_and_na_is_null(org: Client) -> None:
    org.load(f"LastName,Company,Status,Rating,City\nL,{org.mark},,#N/A,#N/A\n")
    default = org.rows("SELECT ApiName FROM LeadStatus WHERE IsDefault = true")[0]["ApiName"]
    expected = {"Status": default, "Rating": None, "City": None}
    assert org.leads("Status", "Rating", "City") == [expected]


@pytest.mark.also_real_org
def test_41_on_update_an_empty_cell_is_ignored_and_na_clears(org: Client) -> None:
    made = org.lead(City="Rome", Rating="Hot")
    org.load(f"Id,City,Rating\n{made},,#N/A\n", "update")
    assert org.leads("City", "Rating") == [{"City": "Rome", "Rating": None}]


def test_41_a_checkbox_is_never_null(org: Client) -> None:
    org.load("LastName,Company,DoNotCall\nL,C,#N/A\n")
    assert org.rows("SELECT DoNotCall FROM Lead") == [{"DoNotCall": False}]


@pytest.mark.also_real_org
def test_41_nothing_is_trimmed_from_the_cells_of_a_result(org: Client) -> None:
    loaded = org.load(f'LastName,Company,City\n" L ",{org.mark}, Rome \n')
    assert (loaded.successful[0]["LastName"], loaded.successful[0]["City"]) == (" L ", " Rome ")
