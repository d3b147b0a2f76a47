"""Section 13 of the fact sheet, items 39 to 60: one test for each number."""

from __future__ import annotations

import gzip
import json
import time

import pytest
import requests

from .test_emulator_core import TWIN, duplicate_rule, error_of, id_of, owner_name, user

HEADER = "LastName,Company\n"


def test_39_a_row_of_the_wrong_width_fails_alone_and_comes_back_blank(org):
    loaded = org.load('LastName,Company,City\nL,C\nM,C,R,X\nN,C,R\n"a" ,C,R\nP,"a"b,R\n')
    assert [row["LastName"] for row in loaded.successful] == ["N"]
    assert sorted(loaded.errors) == [
        "INVALID_FIELD:Failed to parse CSV. Found unescaped quote:--",
        "INVALID_FIELD:Failed to parse CSV. Found unescaped quote:--",
        "INVALID_FIELD:Number of fields in header is different from the row. header = 3 row = 2:--",
        "INVALID_FIELD:Number of fields in header is different from the row. header = 3 row = 4:--",
    ]
    assert {row["LastName"] + row["Company"] + row["City"] for row in loaded.failed} == {""}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'\xef\xbb\xbf"LastName",Company\nL,C\n', "Failed to parse CSV. Found unescaped quote"),
        (b"\xef\xbb\xbfLastName,Company\nL,C\n", "Field name not found : \ufeffLastName"),
        (b'Last"Name,Company"\nL,C\n', "Failed to parse CSV. Found unescaped quote"),
        (b"LastName,Company\nL\xff,C\n", "Failed to parse CSV. The data is not UTF-8"),
        (b"LastName,Company,lastname\nL,C,M\n", "Failed to parse CSV. Duplicate field : lastname"),
        (b"x" * 40_000 + b"\n", "Failed to parse CSV. The header is too long"),
        (b"Address,LastName\nx,y\n", "Field name not found : Address"),
    ],
)
def test_40_a_file_that_cannot_be_read_fails_the_job(org, data, message):
    loaded = org.load(data)
    assert loaded.state == "Failed"
    assert loaded.info["errorMessage"] == f"InvalidBatch : {message}"
    assert org.rows("SELECT Id FROM Lead") == []


def test_40_a_quote_never_closed_fails_the_job(org_of):
    loaded = org_of("[behaviour]\nnewline_in_cell = true\n").load('LastName,Company\nL,"C\nM,D\n')
    assert loaded.info["errorMessage"].endswith("Found unescaped quote")


def test_41_empty_cells_say_nothing_and_na_says_null(org):
    loaded = org.load("LastName,Company,Status,Rating,DoNotCall\nL,C,,#N/A,#N/A\n")
    made = loaded.successful[0]["sf__Id"]
    seen = f"SELECT Status, Rating, City, DoNotCall FROM Lead WHERE Id = '{made}'"
    assert org.rows(seen)[0]["Status"] == "Open - Not Contacted"
    org.load(f"Id,City,Rating\n{made},Rome,Hot\n", "update")
    org.load(f"Id,City,Rating\n{made},,#N/A\n", "update")
    assert org.rows(seen) == [
        {"Status": "Open - Not Contacted", "Rating": None, "City": "Rome", "DoNotCall": False}
    ]


def test_42_values_come_back_re_typed_and_the_header_as_typed(org):
    text = (
        "LASTNAME,company,AnnualRevenue,NumberOfEmployees,DoNotCall,EMail,Description\n"
        'L,C,912260031,12,TRUE,Ada@X.example,"say ""hi"""\nM,C,1234.5,,0,,\n'
    )
    loaded = org.load(text)
    assert loaded.texts["successful"].splitlines()[0].endswith(text.splitlines()[0])
    rows = {row["LASTNAME"]: row for row in loaded.successful}
    assert rows["L"]["AnnualRevenue"] == "9.12260031E8"
    assert rows["L"]["DoNotCall"] == "true"
    assert rows["L"]["EMail"] == "ada@x.example"
    assert rows["L"]["Description"] == 'say "hi"'
    assert rows["M"]["AnnualRevenue"] == "1234.5"
    assert rows["M"]["DoNotCall"] == "false"


def test_42_every_delimiter_and_line_ending_is_understood(org):
    delimiters = {"BACKQUOTE": "`", "CARET": "^", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
    for name, cut in delimiters.items():
        text = f'LastName{cut}Company\r\nL{cut}"C{cut}D"\r\n'
        loaded = org.load(text, columnDelimiter=name, lineEnding="CRLF")
        assert loaded.info["numberRecordsFailed"] == 0
        assert loaded.texts["successful"].splitlines()[0].endswith(f"LastName{cut}Company")
    assert len(org.rows("SELECT Id FROM Lead")) == len(delimiters)


def test_43_what_may_be_aborted_and_deleted_when(org):
    job = org.open_job()
    assert error_of(org.call("DELETE", f"/jobs/ingest/{job}"))["errorCode"] == "INVALIDJOBSTATE"
    assert org.patch(job, "Aborted").json()["state"] == "Aborted"
    assert error_of(org.patch(job, "Aborted"))["errorCode"] == "INVALIDJOBSTATE"
    loaded = org.load(HEADER + "L,C\n")
    assert error_of(org.patch(loaded.id, "Aborted")) == {
        "errorCode": "INVALIDJOBSTATE",
        "message": "Aborting already Completed Job not allowed",
    }
    assert error_of(org.patch(loaded.id, "Open"))["errorCode"] == "INVALIDJOBSTATE"
    assert org.call("DELETE", f"/jobs/ingest/{loaded.id}").status_code == 204
    gone = error_of(org.call("GET", f"/jobs/ingest/{loaded.id}"), 404)
    assert gone == {"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}
    assert error_of(org.patch(loaded.id, "Aborted"), 404)["errorCode"] == "NOT_FOUND"


def test_43_results_are_there_only_after_the_end(org):
    job = org.open_job()
    answer = org.call("GET", f"/jobs/ingest/{job}/successfulResults")
    assert error_of(answer)["errorCode"] == "INVALIDJOBSTATE"


def test_43_only_the_creator_closes_a_job(org_of):
    app = '[[user]]\nusername = "o@t.example"\n[[app]]\nconsumer_key = "o"\n'
    org = org_of(app + 'consumer_secret = "o"\nusername = "o@t.example"\n')
    job = org.open_job()
    other = org.token(grant_type="client_credentials", client_id="o", client_secret="o").json()
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    path = f"/jobs/ingest/{job}"
    refused = org.call("PATCH", path, json={"state": "UploadComplete"}, headers=headers)
    assert refused.status_code == 403
    aborted = org.call("PATCH", path, json={"state": "Aborted"}, headers=headers)
    assert aborted.status_code == 200


def test_44_the_job_list_pages_without_order_or_counts(org):
    done = org.load(HEADER + "L,C\n").id
    jobs = [done, *(org.open_job() for _ in range(1_004))]
    path, seen = "/jobs/ingest?jobType=V2Ingest&isPkChunkingEnabled=false", []
    while path:
        page = org.call("GET", path).json()
        assert len(page["records"]) <= 1_000
        seen += page["records"]
        more = page["nextRecordsUrl"]
        assert page["done"] is (more is None)
        path = more and more.partition("/v68.0")[2]
    listed = [record["id"] for record in seen]
    assert sorted(listed) == sorted(jobs)
    assert listed != jobs
    assert all("numberRecordsProcessed" not in record for record in seen)
    assert {record["state"] for record in seen} == {"Open", "JobComplete"}
    assert org.call("GET", "/jobs/ingest?jobType=Classic").json()["records"] == []


def test_45_a_job_may_fail_half_way_and_lose_no_row(org):
    org.faults({"job": "nth:1", "fault": "fail_after_chunk:2"})
    sent = [f"n{n}" for n in range(700)]
    rows = "".join(f"{n},{'C' if i % 10 else ''}\n" for i, n in enumerate(sent))
    loaded = org.load(HEADER + rows)
    assert loaded.state == "Failed"
    assert loaded.info["errorMessage"].startswith("InternalServerError")
    parts = [loaded.successful, loaded.failed, loaded.unprocessed]
    assert [len(part) for part in parts] == [360, 40, 300]
    assert sorted(row["LastName"] for part in parts for row in part) == sorted(sent)
    assert len(org.rows("SELECT Id FROM Lead")) == 360
    assert loaded.info["numberRecordsProcessed"] == 400


def test_46_twins_in_one_chunk_pass_and_across_chunks_do_not(org_of):
    org = org_of(duplicate_rule("alert"))
    twin = "Grace,Hopper,Navy,grace@navy.example\n"
    others = "".join(f"Other,Person{n},C,o{n}@x.example\n" for n in range(198))
    loaded = org.load("FirstName,LastName,Company,Email\n" + twin * 2 + others + twin)
    assert len([r for r in loaded.successful if r["LastName"] == "Hopper"]) == 2
    assert loaded.errors == ["DUPLICATES_DETECTED:Use one of these records?:--"]


def test_47_some_rows_may_find_their_record_locked(org):
    org.faults({"job": "nth:2", "fault": "lock_rows:3"})
    assert org.load(HEADER + "L,C\n" * 5).errors == []
    loaded = org.load(HEADER + "L,C\n" * 5)
    assert len(loaded.errors) == 3
    locked = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: 00D"
    assert all(error.startswith(locked) and error.endswith(":--") for error in loaded.errors)
    assert org.load(HEADER + "L,C\n" * 5).errors == []


def multipart(org, job, content):
    body = (
        '--B\r\nContent-Disposition: form-data; name="job"\r\n'
        f"Content-Type: application/json\r\n\r\n{job}\r\n"
        '--B\r\nContent-Disposition: form-data; name="content"; filename="content"\r\n'
        f"Content-Type: text/csv\r\n\r\n{content}\r\n--B--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    return org.call("POST", "/jobs/ingest", data=body.encode(), headers=headers)


def test_48_job_and_data_in_one_request_begin_at_once(org):
    asked = json.dumps({"object": "Lead", "operation": "insert"})
    made = multipart(org, asked, HEADER + "L,C")
    assert made.status_code == 200
    assert made.json()["state"] == "UploadComplete"
    assert org.wait(made.json()["id"])["numberRecordsProcessed"] == 1
    assert multipart(org, asked, "x" * 100_001).status_code == 400
    assert multipart(org, "[]", "x").status_code == 400
    headers = {"Content-Type": "multipart/form-data"}
    assert org.call("POST", "/jobs/ingest", data=b"x", headers=headers).status_code == 400


def test_49_every_request_counts_and_limits_agree(org):
    first = org.call("GET", "/limits")
    used = int(first.headers["Sforce-Limit-Info"].removeprefix("api-usage=").partition("/")[0])
    assert first.json()["DailyApiRequests"] == {"Max": 100_000, "Remaining": 100_000 - used}
    assert org.call("GET", "/jobs/ingest").headers["Sforce-Limit-Info"] == (
        f"api-usage={used + 1}/100000"
    )
    counted = org.call("GET", "/limits/recordCount?sObjects=Lead,Nothing")
    assert counted.json() == {"sObjects": [{"count": 0, "name": "Lead"}]}


def test_50_at_the_cap_every_request_is_refused(org_of):
    org = org_of("[limits]\ndaily_api_requests = 2\n")
    assert [org.call("GET", "/limits").status_code for _ in range(3)] == [200, 200, 403]
    assert error_of(org.create(LastName="L", Company="C"), 403) == {
        "message": "TotalRequests Limit exceeded.",
        "errorCode": "REQUEST_LIMIT_EXCEEDED",
    }
    assert requests.get(f"{org.url}/services/data", timeout=10).status_code == 200


def test_51_a_long_answer_comes_in_pages_that_do_not_move(org):
    org.load("LastName,Company\n" + "".join(f"n{n},C\n" for n in range(450)))
    answer = org.query(
        "SELECT LastName FROM Lead ORDER BY LastName", **{"Sforce-Query-Options": "batchSize=200"}
    ).json()
    assert (answer["totalSize"], answer["done"]) == (450, False)
    org.lead(LastName="aaa")
    seen = [row["LastName"] for row in answer["records"]]
    while not answer["done"]:
        assert len(answer["records"]) <= 200
        answer = org.call("GET", answer["nextRecordsUrl"].partition("/v68.0")[2]).json()
        seen += [row["LastName"] for row in answer["records"]]
    assert seen == sorted(f"n{n}" for n in range(450))
    assert error_of(org.call("GET", "/query/01gxxx-2000"))["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_51_pages_may_be_shorter_than_asked(org_of):
    org = org_of("[behaviour]\nshort_pages = true\n")
    org.load("LastName,Company\n" + "L,C\n" * 2_100)
    answer, sizes = org.query("SELECT Id FROM Lead").json(), []
    while True:
        sizes.append(len(answer["records"]))
        if answer["done"]:
            break
        answer = org.call("GET", answer["nextRecordsUrl"].partition("/v68.0")[2]).json()
    assert sum(sizes) == 2_100
    assert len(sizes) > 2


def test_51_what_is_too_long_for_a_uri(org):
    literals = ",".join(f"'someone.{n}@example.com'" for n in range(1_000))
    assert org.query(f"SELECT Id FROM Lead WHERE Email IN ({literals})").status_code == 414
    long = {"X-Long": "x" * 17_000}
    assert org.call("GET", "/limits", headers=long).status_code == 431


def test_52_escapes_in_soql(org):
    made = org.lead(LastName='O\'Neil \\ "x"', City="100%_", Street="a\nb", Email="a@x.org")
    for where in (
        r"LastName = 'o\'neil \\ \"X\"'",
        r"LastName LIKE 'O\'N%'",
        r"City LIKE '100\%\_'",
        r"Street = 'a\nb'",
        r"LastName = '\u004f\'Neil \\ \"x\"'",
        "Email = 'A@X.ORG'",
    ):
        assert org.rows(f"SELECT Id FROM Lead WHERE {where}") == [{"Id": made}], where
    assert org.rows(r"SELECT Id FROM Lead WHERE City LIKE '1\_%'") == []
    for wrong in (r"'\x'", r"'\u12'", r"'\ud800'"):
        refused = error_of(org.query(f"SELECT Id FROM Lead WHERE City = {wrong}"))
        assert refused["errorCode"] == "MALFORMED_QUERY"
        assert "ERROR at Row:1:Column:34" in refused["message"]


def lead_of(**fields):
    return {"attributes": {"type": "Lead"}, "LastName": "L", "Company": "C"} | fields


def test_53_collections_answer_row_by_row_in_order(org):
    records = [lead_of(), lead_of(Company=None), lead_of(Email="x"), lead_of(Hat__c=1)]
    answer = org.call("POST", "/composite/sobjects", json={"records": records})
    assert answer.status_code == 200
    assert [row["success"] for row in answer.json()] == [True, False, False, False]
    assert answer.json()[1] == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [Company]",
                "fields": ["Company"],
            }
        ],
    }
    assert answer.json()[3]["errors"][0]["statusCode"] == "INVALID_FIELD"


def test_53_all_or_none_undoes_what_was_right(org):
    body = {"allOrNone": True, "records": [lead_of(), lead_of(Company=None)]}
    rows = org.call("POST", "/composite/sobjects", json=body).json()
    codes = [row["errors"][0]["statusCode"] for row in rows]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert rows[0]["errors"][0]["message"].startswith("Record rolled back because not all")
    assert org.rows("SELECT Id FROM Lead") == []
    many = {"records": [lead_of()] * 201}
    assert org.call("POST", "/composite/sobjects", json=many).status_code == 400
    assert org.call("POST", "/composite/sobjects", json={"records": "x"}).status_code == 400
    unknown = {"records": [{"attributes": {"type": "Hat"}}]}
    assert org.call("POST", "/composite/sobjects", json=unknown).status_code == 400


def test_53_collections_update_read_back_and_delete(org):
    ids = [org.lead(Person_Id__c=f"p{n}") for n in range(3)]
    changes = [{"attributes": {"type": "Lead"}, "Id": i, "City": "Rome"} for i in ids[:2]]
    changes.append({"attributes": {"type": "Lead"}, "City": "Rome"})
    changed = org.call("PATCH", "/composite/sobjects", json={"records": changes}).json()
    assert [row["success"] for row in changed] == [True, True, False]
    assert changed[2]["errors"][0]["statusCode"] == "MALFORMED_ID"
    asked = {"ids": [ids[1], "00Q5e0000ZZZZZZ", ids[0], "?"], "fields": ["City", "Owner.Name"]}
    back = org.call("POST", "/composite/sobjects/Lead", json=asked).json()
    assert [r and r["City"] for r in back] == ["Rome", None, "Rome", None]
    assert back[0]["Owner"]["Name"] == "Integration User"
    got = org.call("GET", f"/composite/sobjects/Lead?ids={ids[2]}&fields=Id,City").json()
    assert [(r["Id"], r["City"]) for r in got] == [(ids[2], None)]
    wrong = org.call("POST", "/composite/sobjects/Lead", json={"ids": ids, "fields": ["Hat"]})
    assert error_of(wrong)["errorCode"] == "INVALID_FIELD"
    assert org.call("POST", "/composite/sobjects/Lead", json={"ids": 1}).status_code == 400
    path = f"/composite/sobjects?ids={ids[0]},{ids[0]},x&allOrNone="
    undone = org.call("DELETE", path + "true").json()
    assert [r["success"] for r in undone] == [False, False, False]
    assert len(org.rows("SELECT Id FROM Lead")) == 3
    deleted = org.call("DELETE", path + "false").json()
    assert [r["success"] for r in deleted] == [True, False, False]
    assert deleted[1]["errors"][0]["statusCode"] == "ENTITY_IS_DELETED"
    user_id = org.rows("SELECT Id FROM User LIMIT 1")[0]["Id"]
    assert org.call("DELETE", f"/composite/sobjects?ids={user_id}").json()[0]["success"] is False


CONVERTED = """
[[contact]]
Id = "0035e00000CoN01AAF"
LastName = "Menabrea"
[[lead]]
LastName = "Menabrea"
Company = "Turin"
IsConverted = true
ConvertedContactId = "0035e00000CoN01"
Person_Id__c = "p1"
[[lead]]
LastName = "Deleted"
Company = "C"
IsDeleted = true
"""


def test_54_a_converted_lead_is_read_only(org_of):
    org = org_of(CONVERTED)
    found = org.rows("SELECT Id, ConvertedContactId, ConvertedContact.Name FROM Lead")[0]
    assert found["ConvertedContactId"] == "0035e00000CoN01AAF"
    assert found["ConvertedContact"]["Name"] == "Menabrea"
    refused = error_of(org.call("PATCH", f"/sobjects/Lead/{found['Id']}", json={"City": "R"}))
    assert refused == {
        "errorCode": "CANNOT_UPDATE_CONVERTED_LEAD",
        "message": "cannot reference converted lead",
        "fields": [],
    }
    text = "LastName,Company,Person_Id__c\nL,C,p1\n"
    loaded = org.load(text, "upsert", externalIdFieldName="Person_Id__c")
    assert loaded.errors[0].startswith("CANNOT_UPDATE_CONVERTED_LEAD:")


def test_54_a_deleted_lead_is_seen_only_by_query_all(org_of):
    org = org_of(CONVERTED)
    soql = "SELECT Id, IsDeleted FROM Lead WHERE LastName = 'Deleted'"
    assert org.rows(soql) == []
    found = org.rows(soql, "/queryAll")
    assert found[0]["IsDeleted"] is True
    assert org.rows(soql + " ALL ROWS") == found
    path = f"/sobjects/Lead/{found[0]['Id']}"
    assert org.call("GET", path).status_code == 404
    assert error_of(org.call("PATCH", path, json={}), 404)["errorCode"] == "ENTITY_IS_DELETED"
    loaded = org.load(f"Id,City\n{found[0]['Id']},R\n00Q5e0000ZZZZZZ,R\n", "update")
    assert sorted(loaded.errors) == [
        "ENTITY_IS_DELETED:entity is deleted:--",
        "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
    ]
    assert all(row["sf__Id"].startswith("00Q") for row in loaded.failed)


def test_55_state_and_country_picklists(org_of):
    org = org_of('[[country]]\ncode = "IT"\nlabel = "Italy"\nstates = ["Turin"]\n')
    assert org.create(LastName="L", Company="C", Country="Italy", State="Turin").ok
    assert org.create(LastName="L", Company="C").ok
    refused = error_of(org.create(LastName="L", Company="C", Country="Italy", State="Ohio"))
    assert refused == {
        "errorCode": "FIELD_INTEGRITY_EXCEPTION",
        "message": "There's a problem with this state, even though it may appear correct. "
        "Please select a state from the list of valid states.: State/Province",
        "fields": ["State"],
    }
    wrong = error_of(org.create(LastName="L", Company="C", Country="Oz"))
    assert wrong["message"].endswith("list of valid countries.: Country")


def test_55_rules_of_the_admin_speak_in_the_admins_words(org_of):
    org = org_of(
        "[[validation_rule]]\nwhen = { Rating = 'Cold', DoNotCall = [true, 'true', 1] }\n"
        "message = 'No cold leads, please.'\nfield = 'Rating'\n"
    )
    refused = error_of(org.create(LastName="L", Company="C", Rating="Cold", DoNotCall=True))
    assert refused == {
        "errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "message": "No cold leads, please.",
        "fields": ["Rating"],
    }
    made = org.lead(DoNotCall=True)
    patched = org.call("PATCH", f"/sobjects/Lead/{made}", json={"Rating": "Cold"})
    assert error_of(patched)["fields"] == ["Rating"]


def test_56_fields_that_cannot_be_written(org):
    refused = error_of(org.create(LastName="L", Company="C", CreatedDate="x", Name="N"))
    assert refused["errorCode"] == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert refused["message"].startswith("Unable to create/update fields: CreatedDate, Name.")
    assert refused["fields"] == ["CreatedDate", "Name"]
    unknown = error_of(org.create(LastName="L", Company="C", Hat__c=1, CreatedDate="x"))
    assert unknown["errorCode"] == "INVALID_FIELD"
    assert unknown["message"] == "No such column 'Hat__c' on sobject of type Lead"
    loaded = org.load("LastName,Company,CreatedDate\nL,C,2026-01-01\n")
    assert loaded.errors[0].startswith("INVALID_FIELD_FOR_INSERT_UPDATE:Unable to create/update")
    with_id = org.load("Id,LastName,Company\n,L,C\n")
    assert with_id.errors[0].startswith("INVALID_FIELD_FOR_INSERT_UPDATE:cannot specify Id")
    for method, path in (("POST", ""), ("PATCH", f"/{org.lead()}")):
        body = {"Id": "00Q5e00000AbCd1EAF", "LastName": "L", "Company": "C"}
        answer = error_of(org.call(method, f"/sobjects/Lead{path}", json=body))
        assert answer["message"] == "The Id field should not be specified in the sobject data."
    not_created = error_of(org.create("User", LastName="L"))
    assert not_created["errorCode"] == "INVALID_TYPE_FOR_OPERATION"


def test_57_formats_are_judged_before_what_is_missing(org):
    assert error_of(org.create(Email="nonsense"))["errorCode"] == "INVALID_EMAIL_ADDRESS"
    both = org.create(LastName="x" * 81, Company="C", Email="nonsense").json()
    assert {error["errorCode"] for error in both} == {"STRING_TOO_LONG", "INVALID_EMAIL_ADDRESS"}


def test_57_duplicates_are_judged_after_what_is_missing(org_of):
    org = org_of(duplicate_rule("block"))
    refused = error_of(org.create(**(TWIN | {"Company": None})))
    assert refused["errorCode"] == "REQUIRED_FIELD_MISSING"


@pytest.mark.parametrize(
    ("version", "key"), [("51.0", "duplicateResut"), ("60.0", "duplicateResult")]
)
def test_58_older_versions_misspell_the_duplicate_result(org_of, version, key):
    org = org_of(duplicate_rule("alert"))
    refused = org.call("POST", "/sobjects/Lead", json=TWIN, version=version).json()[0]
    assert key in refused


LOGIN = """<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">
<e:Body><n:login xmlns:n="urn:partner.soap.sforce.com"><n:username>{}</n:username>
<n:password>{}</n:password></n:login></e:Body></e:Envelope>"""
SOAP_USER = """
[[user]]
username = "ada@test.example"
name = "Ada <Byron>"
password = "pass"
security_token = "token"
"""


def soap(org, username, password, version="59.0"):
    url = f"{org.url}/services/Soap/u/{version}"
    body = LOGIN.format(username, password).encode()
    headers = {"Content-Type": "text/xml", "SOAPAction": "login"}
    return requests.post(url, data=body, headers=headers, timeout=10)


def test_59_soap_login_while_it_lasts(org_of):
    org = org_of(SOAP_USER)
    given = soap(org, "ADA@test.example", "passtoken")
    assert given.status_code == 200
    assert "<userFullName>Ada &lt;Byron&gt;</userFullName>" in given.text
    assert f"<serverUrl>{org.url}/services/Soap/u/59.0/00D" in given.text
    token = given.text.partition("<sessionId>")[2].partition("</sessionId>")[0]
    org.http.headers["Authorization"] = f"Bearer {token}"
    assert org.call("GET", "/limits").status_code == 200


def test_59_soap_faults_are_500_with_the_prefix_clients_read(org_of):
    org = org_of(SOAP_USER)
    refused = soap(org, "ada@test.example", "pass")
    assert refused.status_code == 500
    assert "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>" in refused.text
    late = soap(org, "ada@test.example", "passtoken", "65.0")
    assert "SOAP Login operation is not available in the API version specified" in late.text
    assert soap(org, "integration@test.example", "").status_code == 500
    url = f"{org.url}/services/Soap/u/59.0"
    for body in (b"nonsense", b"<!DOCTYPE x><x/>", b"<x/>", b"x" * 11_000):
        answer = requests.post(url, data=body, timeout=10)
        assert (answer.status_code, "Fault" in answer.text) == (500, True)
    off = org_of(SOAP_USER + "[behaviour]\nsoap_login = false\n")
    assert "disabled by default in this org" in soap(off, "ada@test.example", "passtoken").text


def test_59_the_password_grant_while_it_lasts(org_of):
    form = {
        "grant_type": "password",
        "client_id": "key",
        "client_secret": "secret",
        "username": "ada@test.example",
    }
    org = org_of(SOAP_USER)
    assert org.token(**form, password="passtoken").status_code == 200
    assert org.token(**form, password="wrong").json()["error"] == "invalid_grant"
    off = org_of(SOAP_USER + "[behaviour]\npassword_grant = false\n")
    assert off.token(**form, password="passtoken").status_code == 400


def test_60_gzip_both_ways(org):
    answer = org.call("GET", "/sobjects/Lead/describe", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.json()["name"] == "Lead"
    packed = gzip.compress(json.dumps({"LastName": "L", "Company": "C"}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    made = org.call("POST", "/sobjects/Lead", data=packed, headers=headers)
    assert made.status_code == 201
    assert org.call("POST", "/sobjects/Lead", data=b"x", headers=headers).status_code == 400


# -- beyond the numbers: what else clients do ---------------------------------------------------


def test_owners_may_be_named_by_another_key_in_the_header(org_of):
    org = org_of('[[user]]\nusername = "ada@t.example"\nname = "Ada Byron"\n')
    text = "LastName,Company,User:Owner.Username\nL,C,ada@t.example\nM,C,nobody\n"
    loaded = org.load(text)
    assert owner_name(org, loaded.successful[0]["sf__Id"]) == "Ada Byron"
    assert loaded.errors == [
        "INVALID_FIELD:Foreign key external ID: nobody not found for field Username "
        "in entity User:--"
    ]
    untyped = org.load("LastName,Company,Owner.Username\nL,C,x\n")
    assert untyped.info["errorMessage"].startswith("InvalidBatch : type is needed")
    typed = org.load("LastName,User:Owner.Username\nL,x\n", object="Contact")
    assert typed.info["errorMessage"].startswith("InvalidBatch : type is not needed")
    for wrong in ("User:Hat.Username", "User:Owner.Hat", "Hat:Owner.Username"):
        answer = org.load(f"LastName,Company,{wrong}\nL,C,x\n")
        assert answer.info["errorMessage"].endswith(f"Field name not found : {wrong}")


def test_bulk_updates_upserts_and_deletes(org):
    made = org.load("LastName,Company,Person_Id__c\nL,C,p1\nM,C,p2\n").successful
    ids = {row["Person_Id__c"]: row["sf__Id"] for row in made}
    text = "LastName,Company,Person_Id__c\nL2,C,p1\nN,C,p3\nO,C,\n"
    upserted = org.load(text, "upsert", externalIdFieldName="Person_Id__c")
    assert {(r["Person_Id__c"], r["sf__Created"]) for r in upserted.successful} == {
        ("p1", "false"),
        ("p3", "true"),
    }
    assert upserted.errors == ["MISSING_ARGUMENT:Person_Id__c not specified:Person_Id__c --"]
    by_id = org.load(
        f"Id,City\n{ids['p1']},Rome\n00Q5e0000ZZZZZZ,X\n", "upsert", externalIdFieldName="Id"
    )
    assert len(by_id.successful) == 1
    assert len(by_id.errors) == 1
    updated = org.load(f"Id,City\n{ids['p2']},Oslo\n,X\n", "update")
    assert updated.successful[0]["sf__Created"] == "false"
    assert updated.errors == ["MISSING_ARGUMENT:Id not specified in an update call:Id --"]
    deleted = org.load(f"Id\n{ids['p1']}\n00Q5e0000ZZZZZZ\n", "delete")
    assert deleted.info["numberRecordsFailed"] == 1
    assert sorted(r["LastName"] for r in org.rows("SELECT LastName FROM Lead")) == ["M", "N"]
    assert org.load("Id\n", "hardDelete").info["numberRecordsProcessed"] == 0
    assert org.load("").info["state"] == "JobComplete"


def test_a_bulk_query_comes_in_pages_with_locators(org):
    org.load("LastName,Company,AnnualRevenue,DoNotCall\n" + "L,C,912260031,true\n" * 25)
    soql = "SELECT Id, LastName, Owner.Name, AnnualRevenue, DoNotCall, City, CreatedDate FROM Lead"
    made = org.call("POST", "/jobs/query", json={"operation": "query", "query": soql}).json()
    assert made["state"] == "UploadComplete"
    assert org.wait(made["id"], "query")["numberRecordsProcessed"] == 25
    path, locator, lines = f"/jobs/query/{made['id']}/results", "", []
    while locator != "null":
        page = org.call("GET", f"{path}?maxRecords=10&locator={locator}")
        assert page.headers["Content-Type"].startswith("text/csv")
        head, *rows = page.text.splitlines()
        assert int(page.headers["Sforce-NumberOfRecords"]) == len(rows)
        assert head == (
            '"Id","LastName","Owner.Name","AnnualRevenue","DoNotCall","City","CreatedDate"'
        )
        lines += rows
        locator = page.headers["Sforce-Locator"]
    assert len(set(lines)) == 25
    assert '"L","Integration User","9.12260031E8","true","","20' in lines[0]
    assert org.call("GET", path, version="67.0").status_code == 409
    assert org.call("GET", path + "?locator=?").status_code == 400
    assert org.call("GET", path + "?maxRecords=0").status_code == 400
    assert org.call("PATCH", f"/jobs/query/{made['id']}", json={"state": "Open"}).status_code == 400
    assert org.patch(made["id"], "Aborted").status_code == 404
    assert len(org.call("GET", "/jobs/query").json()["records"]) == 1
    assert org.call("DELETE", f"/jobs/query/{made['id']}").status_code == 204


def test_a_bulk_query_may_be_aborted_while_it_waits(org_of):
    org = org_of("[behaviour]\nqueue_seconds = 5\n")
    asked = {"operation": "queryAll", "query": "SELECT Id FROM Lead"}
    job = org.call("POST", "/jobs/query", json=asked).json()["id"]
    assert org.call("GET", f"/jobs/query/{job}/results").status_code == 400
    aborted = org.call("PATCH", f"/jobs/query/{job}", json={"state": "Aborted"})
    assert aborted.json()["state"] == "Aborted"


@pytest.mark.parametrize(
    "asked",
    [
        {"operation": "insert", "query": "SELECT Id FROM Lead"},
        {"operation": "query"},
        {"operation": "query", "query": "SELECT COUNT() FROM Lead"},
        {"operation": "query", "query": "SELECT Address FROM Lead"},
        {"operation": "query", "query": "SELECT Hat FROM Lead"},
    ],
)
def test_a_wrong_bulk_query_is_refused_at_creation(org, asked):
    assert org.call("POST", "/jobs/query", json=asked).status_code == 400


def test_composite_fills_in_earlier_answers(org):
    data = "/services/data/v68.0"
    requests_ = [
        {
            "method": "POST",
            "url": f"{data}/sobjects/Account",
            "referenceId": "acc",
            "body": {"Name": "Engines"},
        },
        {
            "method": "POST",
            "url": f"{data}/sobjects/Contact",
            "referenceId": "con",
            "body": {"LastName": "L", "AccountId": "@{acc.id}"},
        },
        {
            "method": "GET",
            "url": f"{data}/query?q=SELECT+Account.Name+FROM+Contact",
            "referenceId": "all",
        },
        {"method": "GET", "url": f"{data}/sobjects/Contact/@{{nobody.id}}", "referenceId": "no"},
        {"method": "GET", "url": "/elsewhere", "referenceId": "out"},
    ]
    answers = org.call("POST", "/composite", json={"compositeRequest": requests_}).json()
    given = {a["referenceId"]: a for a in answers["compositeResponse"]}
    assert [a["httpStatusCode"] for a in given.values()] == [201, 201, 200, 400, 404]
    assert given["all"]["body"]["records"][0]["Account"]["Name"] == "Engines"


def test_composite_all_or_none_undoes_everything(org):
    post = {"method": "POST", "url": "/services/data/v68.0/sobjects/Lead"}
    body = {
        "allOrNone": True,
        "compositeRequest": [
            post | {"referenceId": "a", "body": {"LastName": "L", "Company": "C"}},
            post | {"referenceId": "b", "body": {"LastName": "L"}},
            post | {"referenceId": "c", "body": [{"deep": ["@{a.id}", 1]}]},
        ],
    }
    answers = org.call("POST", "/composite", json=body).json()["compositeResponse"]
    assert [a["body"][0]["errorCode"] for a in answers] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
        "PROCESSING_HALTED",
    ]
    assert org.rows("SELECT Id FROM Lead") == []


@pytest.mark.parametrize(
    "requests_",
    [
        None,
        [{"method": "GET", "url": "/services/data/v68.0/limits"}] * 26,
        [{"method": "GET", "url": "/services/data/v68.0/query"}] * 6,
        [{"httpHeaders": "x"}],
    ],
)
def test_composite_refuses_what_is_too_much(org, requests_):
    answer = org.call("POST", "/composite", json={"compositeRequest": requests_})
    assert answer.status_code == 400


def test_composite_batch_is_a_list_of_independent_requests(org):
    requests_ = [
        {"method": "POST", "url": "v68.0/sobjects/Lead", "richInput": {"LastName": "L"}},
        {"method": "GET", "url": "v68.0/limits"},
    ]
    body = {"batchRequests": requests_}
    answer = org.call("POST", "/composite/batch", json=body).json()
    assert answer["hasErrors"] is True
    assert [r["statusCode"] for r in answer["results"]] == [400, 200]
    halted = org.call("POST", "/composite/batch", json=body | {"haltOnError": True}).json()
    assert len(halted["results"]) == 1


def test_composite_tree_is_all_or_none(org):
    def record(name, **fields):
        return {"attributes": {"type": "Lead", "referenceId": name}} | fields

    good = record("a", LastName="L", Company="C")
    made = org.call("POST", "/composite/tree/Lead", json={"records": [good]})
    assert made.status_code == 201
    assert made.json()["results"][0]["referenceId"] == "a"
    bad = {"records": [good, record("b", LastName="L", Company="C", Email="x")]}
    refused = org.call("POST", "/composite/tree/Lead", json=bad)
    assert refused.status_code == 400
    assert refused.json()["results"][0]["errors"][0]["statusCode"] == "INVALID_EMAIL_ADDRESS"
    assert len(org.rows("SELECT Id FROM Lead")) == 1
    for records in ("x", [good] * 201):
        answer = org.call("POST", "/composite/tree/Lead", json={"records": records})
        assert answer.status_code == 400


def test_reading_single_records(org):
    made = org.lead(Email="a@x.org", Person_Id__c="p 1")
    path = "/sobjects/Lead/Person_Id__c/p%201?fields=Id,Email,Address"
    read = org.call("GET", path).json()
    assert (read["Id"], read["Email"], read["Address"]["city"]) == (made, "a@x.org", None)
    assert org.call("GET", f"/sobjects/Lead/{made}?fields=Hat").status_code == 400
    assert org.call("GET", "/sobjects/Lead/Person_Id__c/none").status_code == 404
    assert org.call("GET", f"/sobjects/Lead/Id/{made}").json()["Id"] == made
    assert org.call("GET", "/sobjects/Hat/x").status_code == 404
    assert org.call("DELETE", "/sobjects/Lead/Person_Id__c/none").status_code == 404
    assert org.call("DELETE", "/sobjects/Lead/Person_Id__c/p%201").status_code == 204
    assert org.call("PATCH", "/sobjects/Lead/Email/x", json={}).status_code == 400
    assert org.call("PUT", "/sobjects/Lead", json={}).status_code == 405
    assert org.call("GET", "/nowhere").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"nul",
        b'{"LastName": NaN}',
        b'{"LastName": "\\ud800"}',
        b"[" * 100_000,
        b'{"DoNotCall": "maybe"}',
        b'{"NumberOfEmployees": "forty"}',
        b'{"NumberOfEmployees": true}',
        b'{"LastName": {"a": 1}}',
        b'{"DoNotCall": []}',
        b"\xff",
    ],
)
def test_json_that_cannot_be_understood(org, body):
    refused = error_of(org.call("POST", "/sobjects/Lead", data=body))
    assert refused["errorCode"] == "JSON_PARSER_ERROR"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"NumberOfEmployees": 10**8}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"AnnualRevenue": 1e300}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"EmailBouncedDate": "2026"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"OwnerId": 5}, "MALFORMED_ID"),
    ],
)
def test_values_that_do_not_fit(org, fields, code):
    refused = error_of(org.create(LastName="L", Company="C", **fields))
    assert refused["errorCode"] == code


TYPED = """
[[field]]
object = "Lead"
name = "Day__c"
type = "date"
[[field]]
object = "Lead"
name = "Moment__c"
type = "datetime"
[[field]]
object = "Lead"
name = "Account__c"
type = "reference"
reference_to = ["Account"]
[[field]]
object = "Lead"
name = "Number__c"
type = "double"
external_id = true
[[field]]
object = "Lead"
name = "Code__c"
type = "string"
unique = true
case_sensitive = true
"""


def test_dates_references_and_numbers(org_of):
    org = org_of(TYPED)
    account = org.create("Account", Name="Engines").json()["id"]
    text = (
        "LastName,Company,Day__c,Moment__c,Account__c,NumberOfEmployees\n"
        f"A,C,2026-11-22,2026-11-22T14:00:00+02:00,{account},7.0\n"
        "B,C,2026-13-01,,,\nC,C,,2026-11-22T25:00:00Z,,\nD,C,x,,,\nE,C,,x,,\n"
        f"F,C,,,{org.lead()},\nG,C,,,0015e0000ZZZZZZ,\nH,C,,,,x\nI,C,,2026-11-22,,\n"
    )
    loaded = org.load(text)
    assert len(loaded.successful) == 2
    shown = next(row for row in loaded.successful if row["LastName"] == "A")
    assert shown["Moment__c"] == "2026-11-22T12:00:00.000Z"
    codes = {row["sf__Error"].partition(":")[0] for row in loaded.failed}
    assert codes == {
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        "MALFORMED_ID",
        "INVALID_CROSS_REFERENCE_KEY",
    }
    seen = org.rows("SELECT Day__c, Moment__c, Account__r.Name FROM Lead WHERE LastName = 'A'")[0]
    assert seen["Moment__c"] == "2026-11-22T12:00:00.000+0000"
    assert seen["Account__r"]["Name"] == "Engines"
    empty = org.create(LastName="L", Company="C", Day__c="", Moment__c="", NumberOfEmployees="")
    assert empty.status_code == 201


def test_number_keys_and_keys_that_tell_the_case(org_of):
    org = org_of(TYPED)
    for code in ("a", "A"):
        assert org.create(LastName="L", Company="C", Code__c=code).status_code == 201
    assert org.create(LastName="L", Company="C", Code__c="a").status_code == 400
    body = {"LastName": "L", "Company": "C"}
    first = org.call("PATCH", "/sobjects/Lead/Number__c/7", json=body)
    again = org.call("PATCH", "/sobjects/Lead/Number__c/7.0", json=body)
    assert (first.status_code, again.status_code) == (201, 200)


def test_who_the_session_belongs_to(org):
    info = requests.get(
        f"{org.url}/services/oauth2/userinfo", headers=dict(org.http.headers), timeout=10
    ).json()
    assert info["preferred_username"] == "integration@test.example"
    again = org.http.get(info["sub"], timeout=10).json()
    assert again["user_id"] == info["user_id"]
    resources = org.call("GET", "").json()
    assert resources["sobjects"] == "/services/data/v68.0/sobjects"
    assert id_of(org, "Name", "Test Org", "Organization") == info["organization_id"]
    assert user(org, "integration@test.example") == info["user_id"]


def test_a_late_chunk_may_land_after_an_abort(org_of):
    pace = "[behaviour]\nrows_per_second = 500\nlate_chunk_after_abort = "
    counts = {}
    for late in ("true", "false"):
        org = org_of(pace + late + "\n")
        job = org.open_job()
        org.put(job, HEADER + "L,C\n" * 1_000)
        org.patch(job, "UploadComplete")
        while org.call("GET", f"/jobs/ingest/{job}").json().get("numberRecordsProcessed", 0) < 200:
            time.sleep(0.02)
        org.patch(job, "Aborted")
        before = org.call("GET", f"/jobs/ingest/{job}").json()["numberRecordsProcessed"]
        time.sleep(1.2)
        after = org.call("GET", f"/jobs/ingest/{job}").json()["numberRecordsProcessed"]
        assert len(org.rows("SELECT Id FROM Lead")) == after
        counts[late] = after - before
    assert counts == {"true": 200, "false": 0}


def test_numbers_beyond_all_bounds_are_refused_and_break_nothing(org):
    for number in (10**400, -(10**400), "9" * 400):
        refused = error_of(org.create(LastName="L", Company="C", NumberOfEmployees=number))
        assert refused["errorCode"] == "NUMBER_OUTSIDE_VALID_RANGE"
    text = f"LastName,Company,NumberOfEmployees,AnnualRevenue\nL,C,{'9' * 6_000},\nM,C,,1e999\n"
    codes = {error.partition(":")[0] for error in org.load(text).errors}
    assert codes == {"NUMBER_OUTSIDE_VALID_RANGE"}


def test_an_id_beside_another_key_is_no_second_target(org):
    other = org.lead()
    text = f"Id,LastName,Company,Person_Id__c\n{other},L,C,p1\n"
    loaded = org.load(text, "upsert", externalIdFieldName="Person_Id__c")
    assert loaded.errors[0].startswith("INVALID_FIELD_FOR_INSERT_UPDATE:")
    records = {"records": [lead_of(), {"attributes": {"type": "Contact"}, "LastName": "L"}]}
    mixed = org.call("PATCH", "/composite/sobjects/Lead/Person_Id__c", json=records)
    assert error_of(mixed)["errorCode"] == "INVALID_TYPE"


def test_collections_may_mix_objects_and_upsert_by_id(org):
    made = org.lead()
    records = [lead_of(), {"attributes": {"type": "Contact"}, "LastName": "L"}, lead_of()]
    rows = org.call("POST", "/composite/sobjects", json={"records": records}).json()
    assert [row["id"][:3] for row in rows] == ["00Q", "003", "00Q"]
    by_id = {"records": [lead_of(Id=made, City="Rome"), lead_of(Id="nonsense")]}
    rows = org.call("PATCH", "/composite/sobjects/Lead/Id", json=by_id).json()
    assert [row["success"] for row in rows] == [True, False]
    assert rows[0]["created"] is False


def test_what_no_composite_may_hold(org):
    for url in ("/services/data/v68.0/composite", "/services/data/v68.0/composite/batch/"):
        inner = {"compositeRequest": [{"method": "POST", "url": url, "referenceId": "a"}]}
        assert org.call("POST", "/composite", json=inner).status_code == 400
    broken = {"compositeRequest": [{"method": "GET", "url": "//[", "referenceId": "a"}]}
    answer = org.call("POST", "/composite", json=broken).json()["compositeResponse"][0]
    assert answer["httpStatusCode"] == 404
    for depth in (200, 300, 400, 450, 490, 2_000):
        body = '{"x":[' * depth + "]}" * depth
        head = '{"compositeRequest":[{"method":"POST","url":"/services/data/v68.0/sobjects/Lead"'
        text = f'{head},"referenceId":"a","body":{body}}}]}}'
        assert org.call("POST", "/composite", data=text).status_code in {200, 400}, depth
    user_tree = {"records": [{"attributes": {"type": "User", "referenceId": "a"}}]}
    assert org.call("POST", "/composite/tree/User", json=user_tree).status_code == 400
