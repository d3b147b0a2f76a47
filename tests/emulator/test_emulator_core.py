"""Section 13 of the fact sheet, items 1 to 38: one test for each number."""

from __future__ import annotations

import re
import time

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

OWNERS = """
[[user]]
username = "ada@test.example"
name = "Ada Byron"
[[user]]
username = "gone@test.example"
name = "Gone Away"
is_active = false
[[user]]
username = "free@test.example"
name = "Free Rider"
user_type = "CsnOnly"
[[queue]]
developer_name = "DACH_Inbound"
name = "DACH Inbound"
objects = ["Lead"]
[[queue]]
developer_name = "Cases"
objects = ["Case"]
"""
RULES = (
    OWNERS
    + """
[[assignment_rule]]
name = "Standard routing"
active = true
[[assignment_rule.entry]]
when = { Country = ["DE", "AT", "CH"] }
assign_to = "queue:DACH_Inbound"
[[assignment_rule]]
name = "Sleeping"
[[assignment_rule.entry]]
assign_to = "user:ada@test.example"
"""
)


def duplicate_rule(action):
    return f"""
[[duplicate_rule]]
name = "Leads with duplicate leads"
object = "Lead"
matches = "Lead"
action = "{action}"
[[lead]]
LastName = "Lovelace"
FirstName = "Ada"
Company = "Engines"
Email = "ada@engines.example"
"""


TWIN = {"LastName": "Lovelace", "FirstName": "Ada", "Company": "E", "Email": "ADA@engines.example"}


def id_of(org, name, value, kind="Group"):
    return org.rows(f"SELECT Id FROM {kind} WHERE {name} = '{value}'")[0]["Id"]


def queue(org, name="DACH_Inbound"):
    return id_of(org, "DeveloperName", name)


def user(org, name="ada@test.example"):
    return id_of(org, "Username", name, "User")


def owner_name(org, lead):
    return org.rows(f"SELECT Owner.Name FROM Lead WHERE Id = '{lead}'")[0]["Owner"]["Name"]


def error_of(answer, status=400):
    assert answer.status_code == status, answer.text
    return answer.json()[0]


def test_01_versions_are_listed_without_a_session_and_without_limit_info(org):
    answer = requests.get(f"{org.url}/services/data/", timeout=10)
    listed = [entry["version"] for entry in answer.json()]
    assert listed[-1] == "68.0"
    assert listed == sorted(listed, key=float)
    assert answer.json()[-1]["label"] == "Winter '27"
    assert answer.json()[-2]["label"] == "Summer '26"
    assert "Sforce-Limit-Info" not in answer.headers


def test_02_a_retired_version_is_gone_and_a_future_one_not_there(org):
    assert error_of(org.call("GET", "/query", version="30.0"), 410)["errorCode"] == "GONE"
    assert org.call("GET", "/query", version="99.0").status_code == 404
    assert org.call("GET", "/limits", version="35.0").headers["Warning"].startswith("299")


@pytest.mark.parametrize("how", ["basic", "form"])
def test_03_client_credentials_give_a_session(org, how):
    form = {"grant_type": "client_credentials"}
    auth = ("key", "secret") if how == "basic" else None
    if how == "form":
        form |= {"client_id": "key", "client_secret": "secret"}
    answer = requests.post(f"{org.url}/services/oauth2/token", data=form, auth=auth, timeout=10)
    given = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert given["instance_url"] == org.url
    assert re.fullmatch(rf"{org.url}/id/00D\w{{15}}/005\w{{15}}", given["id"])
    assert given["token_type"] == "Bearer"
    assert isinstance(given["issued_at"], str)
    assert {"access_token", "signature", "scope"} <= set(given)


@pytest.fixture(scope="module")
def key_pair():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key, public.decode()


def assertion(key, **claims):
    basic = {
        "iss": "jwt-key",
        "sub": "ada@test.example",
        "aud": "https://test.salesforce.com",
        "exp": int(time.time()) + 180,
    }
    return jwt.encode(basic | claims, key, algorithm="RS256")


def jwt_org(org_of, public, username="ada@test.example"):
    app = (
        f'[[app]]\nconsumer_key = "jwt-key"\nusername = "{username}"\npublic_key = """{public}"""\n'
    )
    return org_of(OWNERS + app)


def bearer_grant(org, token):
    return org.token(grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion=token)


def test_04_a_signed_assertion_gives_a_session(org_of, key_pair):
    key, public = key_pair
    org = jwt_org(org_of, public)
    for audience in ("https://test.salesforce.com", "https://acme.my.salesforce.com", org.url):
        given = bearer_grant(org, assertion(key, aud=audience))
        assert given.status_code == 200, given.text
        assert given.json()["id"].endswith(user(org))


@pytest.mark.parametrize(
    ("claims", "description"),
    [
        ({"aud": "https://elsewhere.example"}, "Audience validation failed"),
        ({"aud": "https://login.salesforce.com"}, "Audience validation failed"),
        ({"aud": ["x"]}, "Audience validation failed"),
        ({"exp": 1_000_000}, "expired authorization code"),
        ({"sub": "nobody@test.example"}, "user hasn't approved this consumer"),
        ({"sub": "gone@test.example"}, "inactive user"),
        ({"exp": "soon"}, "invalid assertion"),
    ],
)
def test_04_a_wrong_assertion_is_refused(org_of, key_pair, claims, description):
    key, public = key_pair
    org = jwt_org(org_of, public, username="")
    refused = bearer_grant(org, assertion(key, **claims))
    assert refused.status_code == 400
    assert refused.json() == {"error": "invalid_grant", "error_description": description}


def test_04_an_assertion_signed_by_another_key_is_refused(org_of, key_pair):
    org = jwt_org(org_of, key_pair[1])
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert bearer_grant(org, assertion(other)).json()["error_description"] == "invalid assertion"
    assert bearer_grant(org, "no.jwt.atall").json()["error_description"] == "invalid assertion"


def test_05_login_errors_are_an_object_not_an_array(org):
    credentials = {"grant_type": "client_credentials", "client_id": "nobody"}
    assert org.token(**credentials).json()["error"] == "invalid_client_id"
    wrong = credentials | {"client_id": "key", "client_secret": "x"}
    assert org.token(**wrong).json()["error"] == "invalid_client"
    assert org.token(grant_type="magic").json()["error"] == "unsupported_grant_type"
    broken = requests.post(
        f"{org.url}/services/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": "Basic ???"},
        timeout=10,
    )
    assert broken.json()["error"] == "invalid_client"


def test_05_an_app_whose_user_is_inactive_gives_nothing(org_of):
    app = '[[app]]\nconsumer_key = "b"\nconsumer_secret = "b"\nusername = "gone@test.example"\n'
    org = org_of(OWNERS + app)
    refused = org.token(grant_type="client_credentials", client_id="b", client_secret="b")
    assert refused.json()["error_description"] == "no client credentials user enabled"


@pytest.mark.parametrize("path", ["/query?q=x", "/sobjects/Lead", "/jobs/ingest", "/nowhere", ""])
def test_06_without_a_session_every_path_is_401(org, path):
    url = f"{org.url}/services/data/v68.0{path}"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eA=="}):
        answer = requests.get(url, headers=headers, timeout=10)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert answer.json() == [
            {"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}
        ]


def test_06_a_session_can_be_made_to_expire(org):
    org.faults({"match": "GET /query", "fault": "expire_session"})
    assert error_of(org.query("SELECT Id FROM Lead"), 401)["errorCode"] == "INVALID_SESSION_ID"
    assert org.call("GET", "/limits").status_code == 401
    assert org.log_in().call("GET", "/limits").status_code == 200


def test_07_created_lead_has_a_valid_18_character_id_and_is_queryable(org):
    answer = org.create(LastName="Lovelace", Company="Engines")
    assert answer.status_code == 201
    assert answer.json()["success"] is True
    assert answer.json()["errors"] == []
    made = answer.json()["id"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    check = "".join(
        alphabet[sum(1 << k for k, c in enumerate(made[i : i + 5]) if c.isupper())]
        for i in (0, 5, 10)
    )
    assert made.startswith("00Q")
    assert made[15:] == check
    assert org.rows(f"SELECT Name, Company FROM Lead WHERE Id = '{made}'") == [
        {"Name": "Lovelace", "Company": "Engines"}
    ]


def test_08_required_fields_are_all_named(org):
    assert error_of(org.create(FirstName="Ada", Company=" ")) == {
        "message": "Required fields are missing: [LastName, Company]",
        "errorCode": "REQUIRED_FIELD_MISSING",
        "fields": ["LastName", "Company"],
    }


def test_09_status_has_a_default_and_unknown_picklist_values_pass(org):
    assert org.rows(f"SELECT Status FROM Lead WHERE Id = '{org.lead()}'") == [
        {"Status": "Open - Not Contacted"}
    ]
    made = org.lead(LeadSource="Rumour", Status="Odd", Industry="Alchemy")
    assert org.rows(f"SELECT LeadSource, Status, Industry FROM Lead WHERE Id = '{made}'") == [
        {"LeadSource": "Rumour", "Status": "Odd", "Industry": "Alchemy"}
    ]
    refused = error_of(org.create(LastName="L", Company="C", CleanStatus="Spotless"))
    assert refused["errorCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


def test_10_a_company_of_256_characters_is_too_long(org):
    long = "x" * 256
    assert error_of(org.create(LastName="L", Company=long)) == {
        "message": f"Company: data value too large: {long} (max length=255)",
        "errorCode": "STRING_TOO_LONG",
        "fields": ["Company"],
    }
    assert org.create(LastName="L", Company="x" * 255).status_code == 201
    # The org counts as Java does: an emoji is two characters.
    assert org.create(LastName="L", Company="😀" * 128).status_code == 400


def test_11_emails_are_stored_in_lower_case(org):
    made = org.lead(Email="A.B@X.COM")
    assert org.rows(f"SELECT Email FROM Lead WHERE Id = '{made}'") == [{"Email": "a.b@x.com"}]


@pytest.mark.parametrize("email", ["a..b@x.jp", "a.@x.jp", "o'neil+tag@sub.x-y.example"])
def test_11_odd_emails_that_the_org_accepts(org, email):
    assert org.create(LastName="L", Company="C", Email=email).status_code == 201


@pytest.mark.parametrize("email", [".a@x.jp", "foo", "x@gmail", "a b@x.jp", "a@-x.jp", "ä@x.jp"])
def test_11_emails_that_the_org_refuses(org, email):
    refused = error_of(org.create(LastName="L", Company="C", Email=email))
    assert refused["errorCode"] == "INVALID_EMAIL_ADDRESS"
    assert refused["message"] == f"Email: invalid email address: {email}"
    assert refused["fields"] == ["Email"]


def test_12_describe_has_the_recorded_keys_and_types(org):
    described = org.call("GET", "/sobjects/Lead/describe/").json()
    fields = {field["name"]: field for field in described["fields"]}
    assert all(len(field) == 57 for field in described["fields"])
    assert len(described) == 45
    assert described["keyPrefix"] == "00Q"
    assert (fields["Company"]["length"], fields["Company"]["byteLength"]) == (255, 765)
    assert fields["Company"]["nillable"] is False
    assert fields["Email"]["idLookup"] is True
    assert fields["OwnerId"]["referenceTo"] == ["Group", "User"]
    assert fields["OwnerId"]["polymorphicForeignKey"] is True
    assert fields["Status"]["defaultedOnCreate"] is True
    assert fields["LeadSource"]["restrictedPicklist"] is False
    assert fields["LeadSource"]["picklistValues"][0]["value"] == "Web"
    assert fields["Person_Id__c"]["unique"] is True
    assert fields["Person_Id__c"]["externalId"] is True
    assert fields["AnnualRevenue"]["type"] == "currency"
    assert fields["NumberOfEmployees"]["digits"] == 8
    names = [o["name"] for o in org.call("GET", "/sobjects/").json()["sobjects"]]
    assert {"Lead", "Contact", "User", "Group"} <= set(names)
    brief = org.call("GET", "/sobjects/lead").json()["objectDescribe"]
    assert brief["name"] == "Lead"
    assert org.call("GET", "/sobjects/Nothing/describe").status_code == 404
    cached = {"If-Modified-Since": "Sun, 22 Nov 2026 00:00:00 GMT"}
    assert org.call("GET", "/sobjects/Lead/describe", headers=cached).status_code == 304


def test_12_a_hidden_field_is_as_if_it_were_not_there(org_of):
    hidden = '[[hidden_field]]\nobject = "Lead"\nname = "HasOptedOutOfEmail"\n'
    lead = '[[lead]]\nLastName = "L"\nCompany = "C"\nHasOptedOutOfEmail = true\n'
    org = org_of(hidden + lead)
    described = org.call("GET", "/sobjects/Lead/describe").json()["fields"]
    assert "HasOptedOutOfEmail" not in {field["name"] for field in described}
    refused = error_of(org.query("SELECT HasOptedOutOfEmail FROM Lead"))
    assert refused["errorCode"] == "INVALID_FIELD"
    assert "No such column 'HasOptedOutOfEmail' on entity 'Lead'" in refused["message"]
    written = error_of(org.create(LastName="L", Company="C", HasOptedOutOfEmail=True))
    assert written["errorCode"] == "INVALID_FIELD"
    loaded = org.load("LastName,Company,HasOptedOutOfEmail\nL,C,true\n")
    assert loaded.info["errorMessage"].endswith("Field name not found : HasOptedOutOfEmail")


def test_13_a_new_job_has_every_default_filled_in(org):
    asked = {"object": "lead", "operation": "insert"}
    job = org.call("POST", "/jobs/ingest", json=asked).json()
    assert job["state"] == "Open"
    assert job["contentUrl"] == f"services/data/v68.0/jobs/ingest/{job['id']}/batches"
    assert job["apiVersion"] == 68.0
    assert isinstance(job["apiVersion"], float)
    assert (job["lineEnding"], job["columnDelimiter"], job["contentType"]) == ("LF", "COMMA", "CSV")
    assert job["object"] == "Lead"
    assert job["id"].startswith("750")
    assert "jobType" not in job


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"object": "Nothing", "operation": "insert"}, "INVALIDENTITY"),
        ({"object": "User", "operation": "insert"}, "INVALIDENTITY"),
        ({"object": "Lead", "operation": "replace"}, "INVALIDJOB"),
        ({"object": "Lead", "operation": "insert", "label": "mine"}, "INVALIDJOB"),
        ({"object": "Lead", "operation": "insert", "lineEnding": "CR"}, "INVALIDJOB"),
        ({"object": "Lead", "operation": "upsert"}, "INVALIDJOB"),
        ({"object": "Lead", "operation": "upsert", "externalIdFieldName": "City"}, "INVALIDJOB"),
        ({"object": "Lead", "operation": "insert", "assignmentRuleId": "x"}, "MALFORMED_ID"),
        ({"object": "Contact", "operation": "insert", "assignmentRuleId": "x"}, "INVALIDJOB"),
    ],
)
def test_13_a_wrong_job_is_refused_at_creation(org, asked, code):
    assert error_of(org.call("POST", "/jobs/ingest", json=asked))["errorCode"] == code


def test_14_one_put_a_job_and_no_more(org):
    job = org.open_job()
    first = org.put(job, "LastName,Company\nL,C\n")
    assert (first.status_code, first.content) == (201, b"")
    second = error_of(org.put(job, "LastName,Company\nM,C\n"))
    assert second["message"].startswith("Found multiple contents for job")
    org.patch(job, "UploadComplete")
    org.wait(job)
    assert org.rows("SELECT LastName FROM Lead") == [{"LastName": "L"}]
    assert error_of(org.put(job, "x"))["errorCode"] == "INVALIDJOBSTATE"


def test_14_the_second_put_may_pass_and_the_close_be_refused_instead(org_of):
    org = org_of('[behaviour]\nsecond_put = "close"\n')
    job = org.open_job()
    for _ in range(2):
        assert org.put(job, "LastName,Company\nL,C\n").status_code == 201
    assert error_of(org.patch(job, "UploadComplete"))["errorCode"] == "INVALIDJOB"
    assert org.call("GET", f"/jobs/ingest/{job}").json()["state"] == "Open"
    assert org.patch(job, "Aborted").status_code == 200


def test_14_an_upload_that_is_not_csv_is_refused(org):
    job = org.open_job()
    answer = org.call("PUT", f"/jobs/ingest/{job}/batches", json={"LastName": "L"})
    assert answer.status_code == 415


def test_15_a_closed_job_passes_through_its_states(org_of):
    org = org_of("[behaviour]\nqueue_seconds = 0.3\nrows_per_second = 2000\n")
    job = org.open_job()
    org.put(job, "LastName,Company\n" + "L,C\n" * 600)
    closed = org.patch(job, "UploadComplete")
    assert closed.status_code == 200
    assert closed.json()["state"] == "UploadComplete"
    assert {"contentUrl", "lineEnding", "columnDelimiter"}.isdisjoint(closed.json())
    seen = ["UploadComplete"]
    while seen[-1] != "JobComplete":
        shown = org.call("GET", f"/jobs/ingest/{job}").json()
        assert shown["jobType"] == "V2Ingest"
        if shown["state"] != seen[-1]:
            seen.append(shown["state"])
    assert seen == ["UploadComplete", "InProgress", "JobComplete"]
    assert error_of(org.patch(job, "UploadComplete"))["errorCode"] == "INVALIDJOBSTATE"


def test_16_a_job_with_failed_rows_is_complete_all_the_same(org):
    loaded = org.load("LastName,Company\nL,C\n,C\n,\n")
    assert loaded.state == "JobComplete"
    assert loaded.info["numberRecordsProcessed"] == 3
    assert loaded.info["numberRecordsFailed"] == 2


def test_17_successful_results_echo_the_header_and_shuffle_the_rows(org):
    sent = [f"{n:03d}" for n in range(150)]
    header = 'lastname,"Company"'
    loaded = org.load(header + "\n" + "".join(f"{n},C\n" for n in sent))
    head, *lines = loaded.texts["successful"].splitlines()
    assert head == f'"sf__Id","sf__Created",{header}'
    assert all(line.count('"') == 8 for line in lines)
    given = [row["lastname"] for row in loaded.successful]
    assert sorted(given) == sent
    assert given != sent
    assert {row["sf__Created"] for row in loaded.successful} == {"true"}


def test_18_failed_results_say_code_message_and_fields(org):
    loaded = org.load("LastName,Company,OwnerId\n,C,\nL,C,00Q000000000000AAA\n")
    assert {row["sf__Id"] for row in loaded.failed} == {""}
    assert (
        "REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --"
        in loaded.errors
    )
    assert (
        "MALFORMED_ID:Owner ID: id value of incorrect type: 00Q000000000000AAA:OwnerId --"
        in loaded.errors
    )


def test_19_result_paths_in_any_case_and_with_a_slash(org):
    loaded = org.load("LastName,Company\nL,C\n")
    for path in ("unprocessedrecords", "unprocessedRecords", "UNPROCESSEDRECORDS/"):
        assert org.result(loaded.id, path) == "LastName,Company\n"
    assert org.result(loaded.id, "failedResults/") == '"sf__Id","sf__Error",LastName,Company\n'
    assert org.call("GET", f"/jobs/ingest/{loaded.id}/otherResults").status_code == 404
    assert loaded.texts["failed"] == org.result(loaded.id, "FAILEDresults")


def test_20_an_unknown_column_fails_the_whole_job(org):
    loaded = org.load("LastName,Company,Shoe_Size__c,Hat__c\nL,C,44,\n")
    assert loaded.state == "Failed"
    assert loaded.info["errorMessage"] == "InvalidBatch : Field name not found : Shoe_Size__c"
    assert loaded.info["numberRecordsProcessed"] == 0
    assert org.rows("SELECT Id FROM Lead") == []
    assert len(loaded.unprocessed) == 1


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        ("LF", "LastName,Company\r\nL,C\r\n"),
        ("LF", "LastName,Company\nL,C\r\n"),
        ("LF", "LastName,Company\nL,C\rM,D\n"),
        ("LF", 'LastName,Company\nL,"C\nD"\n'),
        ("LF", 'LastName,Company\nL,"C\rD"\n'),
        ("CRLF", "LastName,Company\nL,C\n"),
        ("CRLF", "LastName,Company\r\nL,C\nM,D\r\n"),
        ("CRLF", 'LastName,Company\r\nL,"C\r\nD"\r\n'),
    ],
)
def test_21_a_wrong_line_ending_fails_the_whole_job(org, ending, text):
    loaded = org.load(text, lineEnding=ending)
    assert loaded.state == "Failed"
    assert loaded.info["errorMessage"] == (
        "ClientInputError : LineEnding is invalid on user data. "
        f"Current LineEnding setting is {ending}"
    )
    assert org.rows("SELECT Id FROM Lead") == []


def test_21_newlines_in_cells_pass_where_the_org_is_told_so(org_of):
    org = org_of("[behaviour]\nnewline_in_cell = true\n")
    loaded = org.load('LastName,Company\nL,"C\nD"\nM,"C\r\nD"\n')
    assert loaded.state == "JobComplete"
    assert {row["Company"] for row in org.rows("SELECT Company FROM Lead")} == {"C\nD", "C\r\nD"}
    crlf = org.load('LastName,Company\r\nL,"C\nD"\r\nM,E', lineEnding="CRLF")
    assert crlf.info["numberRecordsFailed"] == 0
    assert crlf.info["numberRecordsProcessed"] == 2


def test_22_rest_runs_the_active_rule_unless_told_not_to(org_of):
    org = org_of(RULES)
    german = {"LastName": "L", "Company": "C", "Country": "de", "OwnerId": user(org)}
    for header, owner in (
        ({}, "DACH Inbound"),
        ({"Sforce-Auto-Assign": "true"}, "DACH Inbound"),
        ({"Sforce-Auto-Assign": "False"}, "Ada Byron"),
    ):
        made = org.create(_headers=header, **german).json()["id"]
        assert owner_name(org, made) == owner
    sleeping = id_of(org, "Name", "Sleeping", "AssignmentRule")
    named = {"Sforce-Auto-Assign": sleeping}
    made = org.create(_headers=named, LastName="L", Company="C").json()["id"]
    assert owner_name(org, made) == "Ada Byron"


def test_22_without_a_rule_the_running_user_owns(org):
    assert owner_name(org, org.lead()) == "Integration User"


@pytest.mark.parametrize(
    ("header", "code"),
    [("nonsense", "MALFORMED_ID"), ("01Q5e0000ZZZZZZ", "INVALID_ASSIGNMENT_RULE")],
)
def test_22_a_wrong_rule_id_in_the_header_is_refused(org, header, code):
    answer = org.create(_headers={"Sforce-Auto-Assign": header}, LastName="L", Company="C")
    assert error_of(answer)["errorCode"] == code


def test_23_a_patch_runs_the_rule_again(org_of):
    org = org_of(RULES)
    made = org.lead(Country="FR")
    assert owner_name(org, made) == "Integration User"
    assert org.call("PATCH", f"/sobjects/Lead/{made}", json={"Country": "AT"}).status_code == 204
    assert owner_name(org, made) == "DACH Inbound"
    quiet = {"Sforce-Auto-Assign": "FALSE"}
    body = {"OwnerId": user(org)}
    org.call("PATCH", f"/sobjects/Lead/{made}", json=body, headers=quiet)
    assert owner_name(org, made) == "Ada Byron"


def test_24_a_bulk_job_runs_only_the_rule_it_names(org_of):
    org = org_of(RULES)
    text = f"LastName,Company,Country,OwnerId\nA,C,DE,{user(org)}\nB,C,DE,\n"
    org.load(text)
    owned = "SELECT LastName, Owner.Name FROM Lead ORDER BY LastName"
    assert [row["Owner"]["Name"] for row in org.rows(owned)] == ["Ada Byron", "Integration User"]
    rule = id_of(org, "Name", "Standard routing", "AssignmentRule")
    loaded = org.load(text.replace("A,C", "C,C"), assignmentRuleId=rule)
    assert loaded.info["assignmentRuleId"] == rule
    sql = "SELECT Owner.Name, Owner.Type FROM Lead WHERE LastName = 'C'"
    assert org.rows(sql)[0]["Owner"]["Name"] == "DACH Inbound"


def test_24_a_switch_lets_bulk_run_the_active_rule(org_of):
    org = org_of(RULES + "[behaviour]\nbulk_default_assignment = true\n")
    made = org.load("LastName,Company,Country\nL,C,CH\n").successful[0]["sf__Id"]
    assert owner_name(org, made) == "DACH Inbound"


def test_25_an_alert_refuses_a_duplicate_until_it_is_allowed(org_of):
    org = org_of(duplicate_rule("alert"))
    refused = error_of(org.create(**TWIN))
    assert refused["errorCode"] == "DUPLICATES_DETECTED"
    assert refused["message"] == "Use one of these records?"
    assert "fields" not in refused
    known = org.rows("SELECT Id FROM Lead")[0]["Id"]
    result = refused["duplicateResult"]
    assert result["allowSave"] is True
    record = result["matchResults"][0]["matchRecords"][0]["record"]
    assert record["Id"] == known
    assert record["attributes"]["url"] == f"/services/data/v68.0/sobjects/Lead/{known}"
    allow = {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=false"}
    assert org.create(_headers=allow, **TWIN).status_code == 201


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"FirstName": "A."}, True),
        ({"FirstName": None}, True),
        ({"FirstName": "Bob"}, False),
        ({"LastName": "Byron"}, False),
        ({"Email": "other@engines.example"}, False),
    ],
)
def test_25_how_alike_two_persons_must_be(org_of, other, found):
    answer = org_of(duplicate_rule("alert")).create(**(TWIN | other))
    assert answer.status_code == (400 if found else 201)


def test_25_the_same_name_and_phone_is_a_duplicate_too(org_of):
    org = org_of(duplicate_rule("alert"))
    allow = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
    caller = {"LastName": "Ring", "FirstName": "Robert", "Company": "C", "Phone": "(0151) 123-4"}
    assert org.create(_headers=allow, **caller).status_code == 201
    assert org.create(**(caller | {"Phone": "01511234", "FirstName": "Bob"})).status_code == 400


def test_26_a_block_cannot_be_overridden_and_bulk_cannot_override_at_all(org_of):
    org = org_of(duplicate_rule("block"))
    allow = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
    refused = error_of(org.create(_headers=allow, **TWIN))
    assert refused["duplicateResult"]["allowSave"] is False
    text = "FirstName,LastName,Company,Email\nAda,Lovelace,E,ada@engines.example\n"
    for action in ("block", "alert"):
        loaded = org_of(duplicate_rule(action)).load(text)
        assert loaded.errors == ["DUPLICATES_DETECTED:Use one of these records?:--"]
    assert org_of(duplicate_rule("allow")).load(text).errors == []


def test_27_upsert_by_the_unique_key_never_makes_a_second_record(org):
    path = "/sobjects/Lead/Person_Id__c/p%2F1"
    body = {"LastName": "L", "Company": "C"}
    first = org.call("PATCH", path, json=body)
    assert (first.status_code, first.json()["created"]) == (201, True)
    again = org.call("PATCH", path, json=body | {"Company": "D"})
    assert (again.status_code, again.json()["created"]) == (200, False)
    assert again.json()["id"] == first.json()["id"]
    assert org.rows("SELECT Person_Id__c, Company FROM Lead") == [
        {"Person_Id__c": "p/1", "Company": "D"}
    ]
    assert org.call("PATCH", path, json=body, version="45.0").status_code == 204
    only = org.call("PATCH", "/sobjects/Lead/Person_Id__c/p2?updateOnly=true", json=body)
    assert only.status_code == 404
    unknown = error_of(org.call("PATCH", "/sobjects/Lead/City/Rome", json=body), 404)
    assert unknown["message"] == (
        "Provided external ID field does not exist or is not accessible: City"
    )
    twice = org.call("PATCH", path, json=body | {"Person_Id__c": "p/1"})
    assert error_of(twice)["errorCode"] == "INVALID_FIELD"


def test_28_a_repeated_unique_value_names_the_record_in_15_characters(org):
    made = org.lead(Person_Id__c="p1")
    refused = error_of(org.create(LastName="L", Company="C", Person_Id__c="P1"))
    assert refused["errorCode"] == "DUPLICATE_VALUE"
    assert refused["message"] == (
        f"duplicate value found: Person_Id__c duplicates value on record with id: {made[:15]}"
    )
    assert refused["fields"] == []
    loaded = org.load("LastName,Company,Person_Id__c\nL,C,p1\nM,C,p2\nN,C,p2\n")
    assert len(loaded.successful) == 1
    assert all(error.startswith("DUPLICATE_VALUE:") for error in loaded.errors)
    org.call("DELETE", f"/sobjects/Lead/{made}")
    assert org.create(LastName="L", Company="C", Person_Id__c="p1").status_code == 201


def test_29_an_ambiguous_key_is_300_and_in_bulk_a_failed_row(org):
    ids = {org.lead(Email="twin@x.example") for _ in range(2)}
    path = "/sobjects/Lead/Email/twin@x.example"
    for method, body in (("PATCH", {"City": "R"}), ("GET", None), ("DELETE", None)):
        answer = org.call(method, path, json=body)
        assert answer.status_code == 300
        assert {url.rpartition("/")[2] for url in answer.json()} == ids
    text = "LastName,Company,Email\nL,C,twin@x.example\n"
    loaded = org.load(text, "upsert", externalIdFieldName="Email")
    assert loaded.errors[0].startswith("DUPLICATE_EXTERNAL_ID:")


def test_30_two_rows_of_one_chunk_with_one_key_both_fail(org):
    text = "LastName,Company,Person_Id__c\nL,C,p1\nM,C,P1\nN,C,p2\n"
    loaded = org.load(text, "upsert", externalIdFieldName="person_id__C")
    assert len(loaded.errors) == 2
    assert all("Duplicate external id specified: " in error for error in loaded.errors)
    records = [
        {"attributes": {"type": "Lead"}, "LastName": "L", "Company": "C", "Person_Id__c": key}
        for key in ("q1", "q1", "q2")
    ]
    answer = org.call("PATCH", "/composite/sobjects/Lead/Person_Id__c", json={"records": records})
    assert [row["success"] for row in answer.json()] == [False, False, True]
    assert answer.json()[2]["created"] is True
    assert answer.json()[0]["errors"][0]["statusCode"] == "DUPLICATE_VALUE"


def test_31_a_lead_queue_may_own_a_lead(org_of):
    org = org_of(OWNERS)
    made = org.lead(OwnerId=queue(org))
    assert org.rows(f"SELECT Owner.Type, Owner.Name FROM Lead WHERE Id = '{made}'") == [
        {
            "Owner": {
                "attributes": {
                    "type": "Name",
                    "url": f"/services/data/v68.0/sobjects/Group/{queue(org)}",
                },
                "Type": "Queue",
                "Name": "DACH Inbound",
            }
        }
    ]
    served = "SELECT Queue.DeveloperName FROM QueueSobject WHERE SobjectType = 'Lead'"
    assert [row["Queue"]["DeveloperName"] for row in org.rows(served)] == ["DACH_Inbound"]


@pytest.mark.parametrize(
    ("number", "find", "code", "message"),
    [
        (32, ("Cases", queue), "INVALID_OPERATION", "Queue not associated with this SObject type"),
        (
            33,
            ("gone@test.example", user),
            "INACTIVE_OWNER_OR_USER",
            "operation performed with inactive user [{}] as owner of lead",
        ),
        (
            34,
            ("free@test.example", user),
            "OP_WITH_INVALID_USER_TYPE_EXCEPTION",
            "Operation not valid for this user type",
        ),
    ],
)
def test_32_33_34_owners_who_may_not_own(org_of, number, find, code, message):
    org = org_of(OWNERS)
    name, look_up = find
    owner = look_up(org, name)
    refused = error_of(org.create(LastName="L", Company="C", OwnerId=owner))
    assert (refused["errorCode"], refused["message"]) == (code, message.format(owner))
    loaded = org.load(f"LastName,Company,OwnerId\nL,C,{owner}\n")
    assert loaded.errors == [f"{code}:{message.format(owner)}:--"]


def test_34_every_org_ships_a_chatter_user(org):
    chatter = org.rows("SELECT Id FROM User WHERE UserType = 'CsnOnly' AND IsActive = true")
    refused = error_of(org.create(LastName="L", Company="C", OwnerId=chatter[0]["Id"]))
    assert refused["errorCode"] == "OP_WITH_INVALID_USER_TYPE_EXCEPTION"


@pytest.mark.parametrize(
    ("owner", "code"),
    [
        ("00Q5e0000AbCd1", "MALFORMED_ID"),
        ("0015e00000AbCd1AAF", "MALFORMED_ID"),
        ("me", "MALFORMED_ID"),
        ("0055e00000ZZZZZ", "INVALID_CROSS_REFERENCE_KEY"),
        ("00G5e00000ZZZZZ", "INVALID_CROSS_REFERENCE_KEY"),
    ],
)
def test_35_owners_who_are_not_there(org, owner, code):
    refused = error_of(org.create(LastName="L", Company="C", OwnerId=owner))
    assert refused["errorCode"] == code
    assert refused["fields"] == ["OwnerId"]


def test_35_an_owner_cannot_be_blank(org):
    refused = error_of(org.create(LastName="L", Company="C", OwnerId=None))
    assert refused["message"] == "owner cannot be blank"


def test_36_no_contact_is_ever_owned_by_a_queue(org_of):
    org = org_of(OWNERS)
    refused = error_of(org.create("Contact", LastName="L", OwnerId=queue(org)))
    assert refused["errorCode"] == "MALFORMED_ID"
    assert refused["fields"] == ["OwnerId"]
    fields = org.call("GET", "/sobjects/Contact/describe").json()["fields"]
    owner = next(field for field in fields if field["name"] == "OwnerId")
    assert owner["referenceTo"] == ["User"]


@pytest.mark.parametrize("words", ["queue:Unassigned_Leads", "user:ada@test.example"])
def test_37_the_default_lead_owner_takes_what_no_entry_matches(org_of, basic_org, client, words):
    url = org_of("").url
    text = basic_org.replace("[[app]]", f'default_lead_owner = "{words}"\n[[app]]', 1) + RULES
    org = client(url).reset(text)
    expected = "Ada Byron" if words.startswith("user") else "Unassigned Leads"
    assert owner_name(org, org.lead(Country="FR")) == expected


def test_38_ids_of_15_and_18_characters_and_no_altered_case(org):
    made = org.lead()
    assert org.call("GET", f"/sobjects/Lead/{made[:15]}").json()["Id"] == made
    assert org.call("GET", f"/sobjects/Lead/{made}").status_code == 200
    assert org.call("GET", f"/sobjects/Lead/{made.lower()}").status_code == 404
    assert org.rows(f"SELECT Id FROM Lead WHERE Id = '{made[:15]}'") == [{"Id": made}]
    assert org.query(f"SELECT Id FROM Lead WHERE Id = '{made.upper()}'").status_code == 400
    for altered in (made.swapcase(), made[:-1], "x"):
        answer = org.load(f"Id,City\n{altered},Rome\n", "update")
        assert answer.errors[0].startswith("MALFORMED_ID:")
