"""Numbers 17 to 19 and 42: how the three result files of a job are written."""

from __future__ import annotations

import pytest

from tests.emulator.conftest import OrgOf
from tests.emulator.plain_http import Client

RETYPED = """
AnnualRevenue     | 912260031  | 9.12260031E8
AnnualRevenue     | 1234.5     | 1234.5
NumberOfEmployees | 12         | 12
DoNotCall         | TRUE       | true
DoNotCall         | 0          | false
AnnualRevenue     | 10000000   | 1.0E7
Description       | say ""hi"" | say "hi"
"""
DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}


@pytest.mark.also_real_org
def test_17_successful_results_echo_the_header_as_it_was_typed(org: Client) -> None:
    header = 'lastname,"Company",CITY'
    loaded = org.load(f'{header}\nOne,{org.mark},\n"Other",{org.mark},Rome\n')
    head, *lines = loaded.texts["successful"].splitlines()
    assert head == f'"sf__Id","sf__Created",{header}'
    ids = {row["LastName"]: row["Id"] for row in org.leads("Id", "LastName")}
    assert sorted(lines) == sorted(
        f'"{ids[name]}","true","{name}","{org.mark}","{city}"'
        for name, city in (("One", ""), ("Other", "Rome"))
    )
    assert loaded.texts["successful"].endswith("\n")


def test_17_the_rows_come_shuffled(org: Client) -> None:
    sent = [f"{n:03d}" for n in range(450)]
    loaded = org.load("LastName,Company\n" + "".join(f"{n},C\n" for n in sent))
    given = [row["LastName"] for row in loaded.successful]
    assert sorted(given) == sent
    # Neither the chunks of 200 nor the rows of one keep their order.
    assert [name for name in given if name < "200"] != sent[:200]
    assert given not in (sent, sent[::-1])


@pytest.mark.also_real_org
def test_17_an_update_has_created_nothing(org: Client) -> None:
    made = org.lead()
    loaded = org.load(f"Id,City\n{made},Rome\n", "update")
    assert loaded.successful == [
        {"sf__Id": made, "sf__Created": "false", "Id": made, "City": "Rome"}
    ]


@pytest.mark.also_real_org
def test_18_failed_results_have_code_message_and_fields(org: Client) -> None:
    owner = "00Q000000000000AAA"
    loaded = org.load(f"LastName,Company,OwnerId\n,{org.mark},\nL,{org.mark},{owner}\n")
    assert {row["sf__Id"] for row in loaded.failed} == {""}
    assert sorted(loaded.errors) == [
        f"MALFORMED_ID:Owner ID: id value of incorrect type: {owner}:OwnerId --",
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
    ]
    head = loaded.texts["failed"].splitlines()[0]
    assert head == '"sf__Id","sf__Error",LastName,Company,OwnerId'


@pytest.mark.also_real_org
def test_18_without_a_field_nothing_stands_before_the_dashes(org: Client) -> None:
    loaded = org.load(f"LastName,Company,OwnerId\nL,{org.mark},0055e00000ZZZZZ\n")
    (error,) = loaded.errors
    assert error.startswith("INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:")
    assert error.endswith("--")


def test_18_several_fields_stand_in_one_list(org: Client) -> None:
    (error,) = org.load("LastName,Company,City\n,,Rome\n").errors
    values = "Required fields are missing: [LastName, Company]"
    assert error == f"REQUIRED_FIELD_MISSING:{values}:LastName,Company --"


@pytest.mark.also_real_org
def test_18_before_v53_a_failed_row_has_no_id(org: Client) -> None:
    asked = {"object": "Lead", "operation": "insert"}
    job = org.call("POST", "/jobs/ingest", version="52.0", json=asked).json()["id"]
    org.put(job, f"LastName,Company\n,{org.mark}\n")
    org.patch(job, "UploadComplete")
    org.wait(job)
    head, row = org.result(job, "failedResults").splitlines()
    assert head == '"sf__Error",LastName,Company'
    assert row.startswith('"REQUIRED_FIELD_MISSING:')


@pytest.mark.also_real_org
def test_18_a_failed_update_names_its_record(org: Client) -> None:
    made = org.lead()
    loaded = org.load(f"Id,Email\n{made},nonsense\n", "update")
    assert [row["sf__Id"] for row in loaded.failed] == [made]
    assert loaded.errors == [
        "INVALID_EMAIL_ADDRESS:Email: invalid email address: nonsense:Email --"
    ]


@pytest.mark.also_real_org
def test_19_result_paths_in_any_case_and_with_a_slash(org: Client) -> None:
    loaded = org.load(f"LastName,Company\nL,{org.mark}\n")
    for path in ("unprocessedrecords", "unprocessedRecords", "UNPROCESSEDRECORDS/"):
        assert org.result(loaded.id, path) == "LastName,Company\n"
    for path in ("failedResults/", "FAILEDresults"):
        assert org.result(loaded.id, path) == '"sf__Id","sf__Error",LastName,Company\n'
    assert org.result(loaded.id, "successfulresults/") == loaded.texts["successful"]
    assert org.call("GET", f"/jobs/ingest/{loaded.id}/otherResults").status_code == 404


@pytest.mark.also_real_org
def test_19_results_are_csv_in_utf_8(org: Client) -> None:
    loaded = org.load(f"LastName,Company\nŻółć,{org.mark}\n")
    assert [row["LastName"] for row in loaded.successful] == ["Żółć"]
    for kind in ("successfulResults", "failedResults", "unprocessedrecords"):
        response = org.call("GET", f"/jobs/ingest/{loaded.id}/{kind}")
        assert response.headers["Content-Type"].lower() == "text/csv; charset=utf-8"


@pytest.mark.also_real_org
def test_19_without_rows_there_is_the_header(org: Client) -> None:
    loaded = org.load(f"LastName,Company\n,{org.mark}\n")
    assert loaded.texts["successful"] == '"sf__Id","sf__Created",LastName,Company\n'
    assert loaded.texts["unprocessed"] == "LastName,Company\n"


def test_19_a_job_without_an_upload_has_no_header_to_show(org: Client) -> None:
    job = org.open_job()
    org.patch(job, "UploadComplete")
    org.wait(job)
    assert org.result(job, "unprocessedrecords") == ""


def test_19_results_are_there_only_after_the_end(org: Client) -> None:
    # What exists before the end of a job is unknown.
    job = org.open_job()
    response = org.call("GET", f"/jobs/ingest/{job}/successfulResults")
    assert response.status_code == 400
    assert response.json()[0]["errorCode"] == "INVALIDJOBSTATE"


@pytest.mark.also_real_org
def test_42_header_names_in_any_case_and_back_as_typed(org: Client) -> None:
    header = "LASTNAME,company,aNNualRevenue"
    loaded = org.load(f"{header}\nL,{org.mark},912260031\n")
    assert loaded.texts["successful"].splitlines()[0].endswith(f",{header}")
    assert loaded.successful[0]["aNNualRevenue"] == "9.12260031E8"
    assert org.leads("AnnualRevenue") == [{"AnnualRevenue": 912260031.0}]


@pytest.mark.parametrize("line", RETYPED.strip().splitlines())
def test_42_values_come_back_re_typed(org: Client, line: str) -> None:
    field, sent, shown = (part.strip() for part in line.split(" | "))
    loaded = org.load(f'LastName,Company,{field}\nL,C,"{sent}"\n')
    assert loaded.successful[0][field] == shown


def test_42_an_email_comes_back_as_saved_or_with_a_switch_as_sent(org_of: OrgOf) -> None:
    text = "LastName,Company,Email\nL,C,Ada@X.example\n"
    for echo, shown in (("true", "ada@x.example"), ("false", "Ada@X.example")):
        loaded = org_of(f"[behaviour]\necho_saved_values = {echo}\n").load(text)
        assert loaded.successful[0]["Email"] == shown


@pytest.mark.parametrize("name", DELIMITERS)
def test_42_every_delimiter_is_understood_and_written(org: Client, name: str) -> None:
    cut = DELIMITERS[name]
    text = f'LastName{cut}Company\r\nL{cut}"C{cut}D"\r\n'
    loaded = org.load(text, columnDelimiter=name, lineEnding="CRLF")
    assert loaded.info["numberRecordsFailed"] == 0
    head = cut.join(['"sf__Id"', '"sf__Created"', "LastName", "Company"])
    assert loaded.texts["successful"].splitlines()[0] == head
    assert org.rows("SELECT Company FROM Lead") == [{"Company": f"C{cut}D"}]
