"""What is unknown about a real org: each is a switch, and both behaviours are tested."""

from __future__ import annotations

import pytest
import requests

from tests.emulator.conftest import OrgOf, Process
from tests.emulator.plain_http import Client

QUEUE = '[[queue]]\ndeveloper_name = "Inbound"\nobjects = ["Lead"]\nid = "00G5e000002QuE1"\n'
RULE = """
[[assignment_rule]]
name = "Main"
active = true
id = "01Q5e000000RuL1"
[[assignment_rule.entry]]
when = { City = "Rome" }
assign_to = "queue:Inbound"
"""
SECOND_USER = '[[user]]\nusername = "ada@t.example"\nid = "0055e000001XyZ2"\n'
DUPLICATES = '[[duplicate_rule]]\nname = "Twins"\naction = "alert"\n'


def behaving(**switches: bool | int) -> str:
    lines = [f"{name} = {str(value).lower()}" for name, value in switches.items()]
    return "[behaviour]\n" + "\n".join(lines) + "\n"


def errors(response: requests.Response, status: int = 400) -> tuple[str, str]:
    assert response.status_code == status, response.text
    return response.json()[0]["errorCode"], response.json()[0]["message"]


@pytest.mark.parametrize(
    ("switch", "code"),
    [
        ("", "MALFORMED_ID"),
        ('contact_queue_owner = "INVALID_CROSS_REFERENCE_KEY"', "INVALID_CROSS_REFERENCE_KEY"),
        ('contact_queue_owner = "INVALID_OPERATION"', "INVALID_OPERATION"),
    ],
)
def test_how_a_contact_rejects_a_queue(org_of: OrgOf, switch: str, code: str) -> None:
    org = org_of(f"{QUEUE}[behaviour]\n{switch}\n")
    rejected = org.create("Contact", LastName="L", OwnerId="00G5e000002QuE1")
    assert errors(rejected)[0] == code
    wrong = org.create("Contact", LastName="L", OwnerId="00Q5e0000ZZZZZZ")
    assert errors(wrong)[0] == "MALFORMED_ID"


@pytest.mark.parametrize(
    ("switches", "status", "code"),
    [
        ("", 400, "INVALIDJOB"),
        ('second_put_status = 409\nsecond_put_code = "INVALIDJOBSTATE"', 409, "INVALIDJOBSTATE"),
    ],
)
def test_how_a_second_upload_is_rejected(
    org_of: OrgOf, switches: str, status: int, code: str
) -> None:
    org = org_of(f"[behaviour]\n{switches}\n")
    job = org.open_job()
    assert org.put(job, "LastName,Company\n").status_code == 201
    assert errors(org.put(job, "LastName,Company\n"), status)[0] == code


EMAIL_ERROR = "INVALID_EMAIL_ADDRESS:Email: invalid email address: x:Email --"


@pytest.mark.parametrize(
    ("style", "joint", "count"), [("joined", "", 2), ("semicolons", "; ", 2), ("first", "", 1)]
)
def test_how_several_errors_of_a_row_are_joined(
    org_of: OrgOf, style: str, joint: str, count: int
) -> None:
    org = org_of(f'[behaviour]\nrow_errors = "{style}"\n')
    long = "x" * 129
    loaded = org.load(f"LastName,Company,Email,Title\nL,C,x,{long}\n")
    too_long = f"STRING_TOO_LONG:Title: data value too large: {long} (max length=128):Title --"
    assert loaded.errors == [joint.join([EMAIL_ERROR, too_long][:count])]


@pytest.mark.parametrize(
    ("status", "code"), [(401, "INVALID_SESSION_ID"), (403, "API_DISABLED_FOR_ORG")]
)
def test_how_a_user_without_the_api_is_rejected(
    running: Process, client: type[Client], basic_org: str, status: int, code: str
) -> None:
    user = '[[user]]\nusername = "integration@test.example"\napi_enabled = false\n'
    org = client(running.url).reset(basic_org + user + behaving(api_disabled_status=status))
    found, message = errors(org.call("GET", "/limits"), status)
    assert found == code
    assert message != "Session expired or invalid"


@pytest.mark.parametrize(
    ("switch", "owner"),
    [("default_owner", "Integration User"), ("keep_owner", "ada@t.example")],
)
def test_whether_a_rule_without_a_match_takes_the_owner_away(
    org_of: OrgOf, switch: str, owner: str
) -> None:
    org = org_of(f'{QUEUE}{RULE}{SECOND_USER}[behaviour]\nrule_without_match = "{switch}"\n')

    def owner_of(**fields: str) -> str:
        made = org.lead(**fields)
        row = org.rows(f"SELECT Owner.Name FROM Lead WHERE Id = '{made}'")[0]
        return str(row["Owner"]["Name"])

    assert owner_of(City="Oslo", OwnerId="0055e000001XyZ2") == owner
    assert owner_of(City="Oslo") == "Integration User"
    assert owner_of(City="Rome", OwnerId="0055e000001XyZ2") == "Inbound"
    loaded = org.load(
        "LastName,Company,City,OwnerId\nL,C,Oslo,0055e000001XyZ2\n",
        assignmentRuleId="01Q5e000000RuL1",
    )
    found = org.rows(f"SELECT Owner.Name FROM Lead WHERE Id = '{loaded.successful[0]['sf__Id']}'")
    assert found == [{"Owner": {"Name": owner}}] or found[0]["Owner"]["Name"] == owner


@pytest.mark.parametrize("address", ["a@x.y", "a@-x.example", "a@x-.example", "a@localhost"])
def test_how_strict_the_domain_of_an_address_is(org_of: OrgOf, address: str) -> None:
    strict, lenient = (behaving(lenient_email_domains=value) for value in (False, True))
    assert errors(org_of(strict).create(LastName="L", Company="C", Email=address))[0] == (
        "INVALID_EMAIL_ADDRESS"
    )
    org = org_of(lenient)
    assert org.create(LastName="L", Company="C", Email=address).status_code == 201
    for wrong in (".a@x.example", "a@x..example", "a b@x.example", "a@", "a"):
        assert org.create(LastName="L", Company="C", Email=wrong).status_code == 400


def test_what_the_results_show_before_the_end(org_of: OrgOf) -> None:
    for switch, status in [("refused", 400), ("partial", 200)]:
        org = org_of(f'[behaviour]\nearly_results = "{switch}"\nqueue_seconds = 30\n')
        job = org.open_job()
        org.put(job, "LastName,Company\nL,C\n")
        org.patch(job, "UploadComplete")
        for kind in ("successfulResults", "failedResults", "unprocessedrecords"):
            assert org.call("GET", f"/jobs/ingest/{job}/{kind}").status_code == status
        org.patch(job, "Aborted")


def test_how_many_jobs_a_day_takes(org_of: OrgOf) -> None:
    org = org_of("[limits]\ndaily_ingest_jobs = 2\n")
    org.open_job()
    org.open_job()
    asked = {"object": "Lead", "operation": "insert"}
    assert errors(org.call("POST", "/jobs/ingest", json=asked))[0] == "EXCEEDEDQUOTA"


@pytest.mark.parametrize(("trims", "kept"), [(True, "Engines"), (False, "  Engines ")])
def test_whether_text_is_trimmed(org_of: OrgOf, trims: bool, kept: str) -> None:
    org = org_of(behaving(trims_text=trims))
    org.lead(Company="  Engines ")
    org.load("LastName,Company\nL,  Engines \n")
    assert {row["Company"] for row in org.rows("SELECT Company FROM Lead")} == {kept}
    blank = org.create(LastName="L", Company="   ")
    assert blank.status_code == (400 if trims else 201)


@pytest.mark.parametrize(("is_null", "status"), [(True, 201), (False, 400)])
@pytest.mark.parametrize("name", ["AnnualRevenue", "NumberOfEmployees", "DoNotCall"])
def test_what_an_empty_json_text_is_to_a_number(
    org_of: OrgOf, name: str, is_null: bool, status: int
) -> None:
    org = org_of(behaving(empty_json_is_null=is_null))
    if name == "DoNotCall":
        status = 400
    response = org.create(LastName="L", Company="C", City="", **{name: ""})
    assert response.status_code == status
    assert status == 201 or errors(response)[0] == "JSON_PARSER_ERROR"


@pytest.mark.parametrize(("numeric", "failed"), [(True, 0), (False, 2)])
def test_whether_a_checkbox_takes_1_and_0(org_of: OrgOf, numeric: bool, failed: int) -> None:
    org = org_of(behaving(numeric_booleans=numeric))
    loaded = org.load("LastName,Company,DoNotCall\nL,C,1\nM,C,0\nN,C,TRUE\nO,C,false\n")
    assert loaded.info["numberRecordsFailed"] == failed


@pytest.mark.parametrize(
    ("counts", "fits", "too_long"),
    [
        ("utf16", "😀" * 20, "😀" * 21),
        ("characters", "😀" * 40, "😀" * 41),
        ("bytes", "é" * 20, "é" * 21),
    ],
)
def test_what_a_length_counts(org_of: OrgOf, counts: str, fits: str, too_long: str) -> None:
    org = org_of(f'[behaviour]\ntext_length = "{counts}"\n')
    assert org.create(LastName="L", Company="C", FirstName=fits).status_code == 201
    rejected = org.create(LastName="L", Company="C", FirstName=too_long)
    assert errors(rejected)[0] == "STRING_TOO_LONG"


@pytest.mark.parametrize(
    ("dialect", "saved"),
    [
        ("delimiter", '"sf__Id"|"sf__Created"|LastName|Company\n"ID"|"true"|"L"|"C"\n'),
        ("job", '"sf__Id"|"sf__Created"|LastName|Company\r\n"ID"|"true"|"L"|"C"\r\n'),
        ("plain", '"sf__Id","sf__Created",LastName,Company\n"ID","true","L","C"\n'),
    ],
)
def test_how_far_results_follow_the_dialect_of_the_job(
    org_of: OrgOf, dialect: str, saved: str
) -> None:
    org = org_of(f'[behaviour]\nresult_dialect = "{dialect}"\n')
    loaded = org.load("LastName|Company\r\nL|C\r\n", columnDelimiter="PIPE", lineEnding="CRLF")
    (made,) = org.rows("SELECT Id FROM Lead")
    assert loaded.texts["successful"] == saved.replace("ID", made["Id"])
    head = saved.partition("LastName")[2].replace("LastName", "")
    end = "\r\n" if dialect == "job" else "\n"
    cut = "," if dialect == "plain" else "|"
    assert loaded.texts["unprocessed"] == f"LastName{cut}Company{end}"
    assert head


@pytest.mark.parametrize(
    ("operations", "status"), [("", 204), ('operations = ["insert", "update"]\n', 400)]
)
def test_whether_a_duplicate_rule_checks_updates(
    org_of: OrgOf, operations: str, status: int
) -> None:
    org = org_of(DUPLICATES + operations)
    org.lead(LastName="Byron", FirstName="Ada", Email="ada@x.example")
    other = org.lead(LastName="Lovelace", FirstName="Ada")
    path = f"/sobjects/Lead/{other}"
    duplicate = {"LastName": "Byron", "Email": "ada@x.example"}
    response = org.call("PATCH", path, json=duplicate)
    assert response.status_code == status
    if status == 400:
        assert errors(response)[0] == "DUPLICATES_DETECTED"
        allowed = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
        assert org.call("PATCH", path, json=duplicate, headers=allowed).status_code == 204
    assert org.create(**duplicate, FirstName="Ada", Company="C").status_code == 400
    alone = org.lead(LastName="Only", Email="only@x.example")
    same = {"Email": "only@x.example"}
    assert org.call("PATCH", f"/sobjects/Lead/{alone}", json=same).status_code == 204


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('row_errors = "lines"', "behaviour.row_errors"),
        ("second_put_status = 200", "behaviour.second_put_status"),
        ("trims_text = 1", "behaviour.trims_text"),
        ("text_lengths = 1", "behaviour.text_lengths"),
    ],
)
def test_a_switch_that_there_is_not_is_named(
    org: Client, basic_org: str, line: str, place: str
) -> None:
    response = org.control("POST", "reset", data=f"{basic_org}[behaviour]\n{line}\n".encode())
    assert response.status_code == 400
    assert place in response.json()["error"]
