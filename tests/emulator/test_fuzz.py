"""Whatever is sent, the org responds: never with an internal error, and never too late."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulator.conftest import Process
from tests.emulator.plain_http import Client, Loaded

MANY = os.environ.get("EMULATOR_FUZZ_EXAMPLES")
SHARED = settings(
    deadline=None,
    max_examples=int(MANY or 25),
    derandomize=MANY is None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# A request that takes longer has hung.
HANG = 20

MORE = """
[[user]]
username = "ada@t.example"
id = "0055e000001XyZ2"
[[queue]]
developer_name = "Inbound"
objects = ["Lead"]
id = "00G5e000002QuE1"
[[assignment_rule]]
name = "Main"
active = true
id = "01Q5e000000RuL1"
[[assignment_rule.entry]]
when = { City = "Rome" }
assign_to = "queue:Inbound"
[[duplicate_rule]]
name = "Twins"
operations = ["insert", "update"]
[[validation_rule]]
when = { Rating = "Cold" }
message = "no"
[[field]]
object = "Lead"
name = "Day__c"
type = "date"
[[field]]
object = "Lead"
name = "Size__c"
type = "picklist"
picklist = ["S", "L"]
restricted = true
[[lead]]
LastName = "Known"
Company = "C"
Id = "00Q5e00000AbCd1"
Person_Id__c = "p1"
Email = "a@x.example"
"""


@pytest.fixture
def org(running: Process, client: type[Client], basic_org: str) -> Client:
    return client(running.url).reset(basic_org + MORE)


def send(org: Client, method: str, path: str, **more: Any) -> requests.Response:
    """Send a request; check that the status is below 500 and that the org still works."""
    response = org.call(method, path, timeout=HANG, **more)
    assert response.status_code < 500, (method, path, response.text)
    return response


def words(text: str, cut: str | None = None) -> list[str]:
    """Return the items of a long list, written as one text."""
    return text.split(cut)


# -- texts that are nearly right ------------------------------------------------------------------

ODD = words(
    '|x|#N/A|#n/a| |  x |a,b|a;b|"|""|a"b|\'|\\|a\nb|a\r\nb|\t|\x00|\ufeff|😀|ß|É|é|%|_|0|1|-1|1.5|'
    "1e400|9999999999999999999|NaN|true|FALSE|yes|2026-01-02|2026-13-45|0000-00-00|9999-12-31|"
    "2026-01-02T03:04:05Z|2026-01-02T03:04:05.123+1400|0001-01-01T00:00:00+14:00|a@x.example|"
    "A@X.EXAMPLE|@|a@|.a@x.y|00Q5e00000AbCd1|00Q5e00000AbCd1EAF|0055e000001XyZ2|00G5e000002QuE1|"
    "005|01Q5e000000RuL1|p1|P1|Rome|Cold|S|M|null|None|{}|[]",
    cut="|",
)
FIELDS = words(
    "LastName Company FirstName Email Phone City Rating OwnerId AnnualRevenue NumberOfEmployees "
    "DoNotCall Person_Id__c Day__c Size__c Description Id id CreatedDate Name Address Status "
    "IsConverted ConvertedContactId MasterRecordId Owner.Name User:Owner.Username Group:Owner.Name "
    "Lead.LastName Owner Nothing__c attributes"
)
TEXTS = st.sampled_from(ODD) | st.text(max_size=12)
NAMES = st.sampled_from(FIELDS) | TEXTS


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, str, str]:
    """Draw a CSV file that is nearly valid, and how the job declares it."""
    cut = draw(st.sampled_from(",;|\t^`"))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    names = draw(st.lists(NAMES, min_size=1, max_size=5))
    if draw(st.booleans()):
        names = ["LastName", "Company", *draw(st.lists(st.sampled_from(FIELDS[2:]), max_size=3))]
    rows = draw(st.lists(st.lists(TEXTS, min_size=1, max_size=len(names) + 1), max_size=6))

    def cell(text: str) -> str:
        quoted = draw(st.sampled_from(["always", "always", "where needed", "never"]))
        needed = any(sign in text for sign in (cut, '"', "\n", "\r"))
        if quoted == "never" or (quoted == "where needed" and not needed):
            return text
        return '"' + text.replace('"', '""') + '"'

    lines = [cut.join(map(cell, line)) for line in [names, *rows]]
    text = end.join(lines) + draw(st.sampled_from([end, ""]))
    return text.encode("utf-8", "replace"), cut, end


DELIMITERS = {
    ",": "COMMA",
    ";": "SEMICOLON",
    "|": "PIPE",
    "\t": "TAB",
    "^": "CARET",
    "`": "BACKQUOTE",
}
OPERATIONS = st.sampled_from(
    [
        {"operation": "insert"},
        {"operation": "insert", "assignmentRuleId": "01Q5e000000RuL1"},
        {"operation": "update"},
        {"operation": "delete"},
        {"operation": "upsert", "externalIdFieldName": "Person_Id__c"},
        {"operation": "upsert", "externalIdFieldName": "Email"},
        {"operation": "upsert", "externalIdFieldName": "Id"},
    ]
)


def check_account(loaded: Loaded) -> None:
    """Check that every row has exactly one result, and that the counts agree with the files."""
    assert loaded.state in {"JobComplete", "Failed"}
    saved, failed, left = len(loaded.successful), len(loaded.failed), len(loaded.unprocessed)
    assert loaded.info["numberRecordsProcessed"] == saved + failed
    assert loaded.info["numberRecordsFailed"] == failed
    assert left == 0 or loaded.state == "Failed"


@settings(SHARED, max_examples=2 * int(MANY or 25))
@given(file=files(), operation=OPERATIONS)
def test_a_file_that_is_nearly_csv_is_accounted_for(
    org: Client, file: tuple[bytes, str, str], operation: dict[str, str]
) -> None:
    data, cut, end = file
    dialect = {"columnDelimiter": DELIMITERS[cut], "lineEnding": "CRLF" if end == "\r\n" else "LF"}
    job = send(org, "POST", "/jobs/ingest", json={"object": "Lead"} | operation | dialect)
    headers = {"Content-Type": "text/csv"}
    path = f"/jobs/ingest/{job.json()['id']}"
    send(org, "PUT", f"{path}/batches", data=data, headers=headers)
    send(org, "PATCH", path, json={"state": "UploadComplete"})
    info = org.wait(job.json()["id"])
    results = [
        send(org, "GET", f"{path}/{kind}").content.count(b"\n")
        for kind in ("successfulResults", "failedResults", "unprocessedrecords")
    ]
    assert info["state"] in {"JobComplete", "Failed"}
    assert info["numberRecordsProcessed"] <= sum(results)
    assert org.rows("SELECT COUNT(Id) n FROM Lead WHERE LastName = 'Known'", "/queryAll")[0]["n"]


@SHARED
@given(data=st.binary(max_size=200))
def test_bytes_as_csv_are_accounted_for(org: Client, data: bytes) -> None:
    for text in (data, b"LastName,Company,AnnualRevenue,OwnerId\n" + data):
        info = org.load(text).info
        assert info["state"] in {"JobComplete", "Failed"}
        assert info["numberRecordsProcessed"] >= info["numberRecordsFailed"]


@SHARED
@given(cells=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=8))
def test_each_valid_csv_row_has_one_result(org: Client, cells: list[tuple[str, str, str]]) -> None:
    wanted = [tuple(c.replace("\r", " ").replace("\n", " ") for c in row) for row in cells]
    lines = [",".join('"' + c.replace('"', '""') + '"' for c in row) for row in wanted]
    text = "LastName,Company,Email\n" + "".join(f"{line}\n" for line in lines)
    loaded = org.load(text.encode("utf-8", "replace"))
    check_account(loaded)
    assert loaded.info["numberRecordsProcessed"] == len(cells)


# -- JSON -----------------------------------------------------------------------------------------

KEYS = [
    *FIELDS,
    *words(
        "records attributes type referenceId allOrNone ids fields compositeRequest batchRequests "
        "method url body richInput httpHeaders haltOnError object operation query contentType "
        "lineEnding columnDelimiter externalIdFieldName assignmentRuleId state Contacts"
    ),
]
WORDS = st.sampled_from(
    [
        *ODD,
        *words(
            "Lead Contact Account User insert upsert query queryAll POST GET PATCH DELETE CSV LF "
            "UploadComplete Aborted @{a.id} @{a[0]} @{a.records[0].Id} @{ @{} v68.0/limits"
        ),
        "/services/data/v68.0/sobjects/Lead",
        "/services/data/v68.0/sobjects/Lead/00Q5e00000AbCd1",
        "/services/data/v68.0/query?q=SELECT+Id+FROM+Lead",
        "/services/data/v68.0/composite/sobjects",
        "SELECT Id FROM Lead",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | WORDS
    | st.text(max_size=12)
)
JSONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=20,
)
RECORDS = st.dictionaries(st.sampled_from(FIELDS), LEAVES, max_size=5).map(
    lambda drawn: {"attributes": {"type": "Lead", "referenceId": "r"}, "LastName": "L"} | drawn
)
SUBREQUESTS = st.fixed_dictionaries(
    {"method": WORDS, "url": WORDS, "referenceId": st.sampled_from(["a", "b", "c"])},
    optional={"body": JSONS, "richInput": JSONS, "httpHeaders": JSONS},
)
NEARLY = st.one_of(
    RECORDS,
    st.fixed_dictionaries(
        {"records": st.lists(RECORDS, max_size=4)}, optional={"allOrNone": st.booleans()}
    ),
    st.fixed_dictionaries(
        {"compositeRequest": st.lists(SUBREQUESTS, max_size=3)},
        optional={"allOrNone": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"batchRequests": st.lists(SUBREQUESTS, max_size=3)},
        optional={"haltOnError": st.booleans()},
    ),
    st.fixed_dictionaries(
        {"object": WORDS, "operation": WORDS},
        optional={"externalIdFieldName": WORDS, "assignmentRuleId": WORDS, "lineEnding": WORDS},
    ),
    st.fixed_dictionaries({"operation": st.just("query"), "query": WORDS}),
    st.fixed_dictionaries({"ids": st.lists(WORDS, max_size=3), "fields": st.lists(NAMES)}),
)
PLACES = [
    ("POST", "/sobjects/Lead"),
    ("POST", "/sobjects/User"),
    ("PATCH", "/sobjects/Lead/00Q5e00000AbCd1"),
    ("PATCH", "/sobjects/Lead/Person_Id__c/p1"),
    ("PATCH", "/sobjects/Lead/Email/a@x.example"),
    ("POST", "/composite"),
    ("POST", "/composite/batch"),
    ("POST", "/composite/tree/Lead"),
    ("POST", "/composite/tree/Account"),
    ("POST", "/composite/sobjects"),
    ("PATCH", "/composite/sobjects"),
    ("PATCH", "/composite/sobjects/Lead/Person_Id__c"),
    ("PATCH", "/composite/sobjects/Lead/Id"),
    ("POST", "/composite/sobjects/Lead"),
    ("POST", "/jobs/ingest"),
    ("POST", "/jobs/query"),
]


@settings(SHARED, max_examples=2 * int(MANY or 25))
@given(value=JSONS | NEARLY)
def test_any_json_at_any_place(org: Client, value: dict[str, str] | None) -> None:
    data = json.dumps(value).encode()
    for method, path in PLACES:
        send(org, method, path, data=data)


@SHARED
@given(value=NEARLY, cut=st.integers(0, 400), more=st.binary(max_size=5))
def test_json_cut_short_or_spoiled(
    org: Client, value: dict[str, str], cut: int, more: bytes
) -> None:
    data = json.dumps(value).encode()
    for method, path in PLACES[::3]:
        send(org, method, path, data=data[:cut] + more + data[cut + len(more) :])


# -- addresses ------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    words(
        "sobjects Lead lead User Group query queryAll jobs ingest composite batch tree limits "
        "recordCount describe Email Id Person_Id__c x p1 batches results resultPages "
        "successfulResults 01g5e00000AbCd1AAF-9 7505e00000AbCd1AAF 00Q5e00000AbCd1 %00 %C3%28 .. + "
        "%2F %25 a@x.example ٣"
    )
)
HEADERS = st.dictionaries(
    st.sampled_from(
        words(
            "Sforce-Auto-Assign Sforce-Duplicate-Rule-Header Sforce-Query-Options Cookie "
            "Sforce-Call-Options If-Modified-Since Content-Type Content-Encoding Accept-Encoding "
            "Accept X-Anything"
        )
    ),
    st.sampled_from(
        words(
            "true|FALSE|01Q5e000000RuL1|nonsense|allowSave=true|batchSize=0|batchSize=-1|text/csv|"
            "batchSize=²|multipart/form-data; boundary=x|multipart/form-data|gzip|deflate|*/*||=|"
            "Sun, 22 Nov 2026 00:00:00 GMT",
            cut="|",
        )
    ).map(lambda text: text.encode()),
    max_size=3,
)


@settings(SHARED, max_examples=4 * int(MANY or 25))
@given(
    method=st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE"]),
    parts=st.lists(PARTS, max_size=5),
    query=st.text("qaids=&locator%+1,{}'", max_size=30),
    headers=HEADERS,
    version=st.sampled_from(["68.0", "31.0", "30.0", "99.0", "0.0", "68.5"]),
)
def test_any_address_and_any_header(
    org: Client, method: str, parts: list[str], query: str, headers: dict[str, bytes], version: str
) -> None:
    path = f"/{'/'.join(parts)}?{query}"
    send(org, method, path, data=b"{}", headers=headers, version=version)


@SHARED
@given(path=st.text("/services/data/v68.0oauth2tokenid:%{}?#é", max_size=40))
def test_any_path_at_all(org: Client, path: str) -> None:
    for method in ("GET", "POST"):
        response = org.http.request(method, f"{org.url}/{path}", timeout=HANG)
        assert response.status_code < 500
    assert org.call("GET", "/limits").status_code == 200


# -- SOQL -----------------------------------------------------------------------------------------

OPERANDS = st.sampled_from(
    words(
        "Id LastName City OwnerId AnnualRevenue DoNotCall Day__c CreatedDate Description Address "
        "Owner.Name Lead.City l.City Owner.Profile.Name ConvertedContact.Account.Name Nope "
        "COUNT(Id) COUNT() MAX(City) SUM(AnnualRevenue) AVG(City) CALENDAR_YEAR(CreatedDate) "
        "DAY_ONLY(CreatedDate) HOUR_IN_DAY(Day__c) toLabel(Rating) FORMAT(City) FIELDS(ALL)"
    )
)
LITERALS = st.sampled_from(
    words(
        "null|true|FALSE|1|-1.5|.5|1.|+3|99999999999999999999|'a'|''|'%_'|'\\%'|'\\_'|'\\\\'|'\\'|'é'|"
        "'\\u0041'|'\\ud83d\\ude00'|'\\ud83d'|'\\x'|2026-01-01|2026-13-01|2026-01-01T00:00:00Z|"
        "0000-01-01T00:00:00Z|9999-12-31T23:59:59-14:00|TODAY|LAST_N_DAYS:3|LAST_N_DAYS:9999|"
        "N_YEARS_AGO:9999|NEXT_N_MONTHS:0|THIS_FISCAL_QUARTER|SOMEDAY|USD5|'00Q5e00000AbCd1'|"
        "(SELECT Id FROM User)|('a','b')|:bind",
        cut="|",
    )
)
COMPARISONS = st.one_of(
    st.tuples(OPERANDS, st.sampled_from(words("= != <> < <= > >= LIKE IN")), LITERALS).map(
        " ".join
    ),
    st.tuples(OPERANDS, st.sampled_from(["IN", "NOT IN"]), st.lists(LITERALS, max_size=3)).map(
        lambda drawn: f"{drawn[0]} {drawn[1]} ({', '.join(drawn[2])})"
    ),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" AND ", " OR "]), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"NOT {text}"),
    ),
    max_leaves=6,
)
CLAUSES = st.tuples(
    st.sampled_from(["", " l", " USING SCOPE mine", " USING SCOPE x"]),
    st.none() | CONDITIONS.map(" WHERE {}".format),
    st.none() | OPERANDS.map(" GROUP BY {}".format),
    st.none() | CONDITIONS.map(" HAVING {}".format),
    st.none() | OPERANDS.map(" ORDER BY {} DESC NULLS LAST".format),
    st.sampled_from(["", " LIMIT 1", " LIMIT 0", " LIMIT 200", " LIMIT -1", " LIMIT 9999999999"]),
    st.sampled_from(["", " OFFSET 1", " OFFSET 2001", " FOR VIEW", " ALL ROWS"]),
)
QUERIES = st.builds(
    lambda selected, name, clauses: (
        f"SELECT {', '.join(selected)} FROM {name}{''.join(filter(None, clauses))}"
    ),
    st.lists(OPERANDS, min_size=1, max_size=3),
    st.sampled_from(["Lead", "lead", "Contact", "User", "Group", "QueueSobject", "Nope", "Name"]),
    CLAUSES,
)


@settings(SHARED, max_examples=5 * int(MANY or 25))
@given(soql=QUERIES, place=st.integers(0, 200), more=st.none() | TEXTS)
def test_a_query_that_is_nearly_valid_is_run_or_rejected(
    org: Client, soql: str, place: int, more: str | None
) -> None:
    text = soql if more is None else soql[:place] + more + soql[place + 1 :]
    response = send(org, "GET", "/query", params={"q": text})
    assert response.status_code in {200, 400}
    if response.status_code == 200 and "COUNT()" not in text:
        assert response.json()["totalSize"] == len(response.json()["records"])
    send(org, "GET", "/query", params={"q": text, "columns": "true"})
    send(org, "POST", "/jobs/query", json={"operation": "query", "query": text})


@SHARED
@given(text=st.text(max_size=60))
def test_any_text_as_a_query(org: Client, text: str) -> None:
    for soql in (text, f"SELECT Id FROM Lead WHERE City = '{text}'", f"SELECT {text} FROM Lead"):
        response = send(org, "POST", "/jobs/query", json={"operation": "query", "query": soql})
        assert response.status_code in {200, 400}


SECTIONS = st.sampled_from(
    words(
        "org app user queue assignment_rule assignment_rule.entry duplicate_rule validation_rule "
        "field hidden_field country lead contact account limits behaviour nothing"
    )
)
ORG_KEYS = st.sampled_from(
    words(
        "name id is_sandbox running_user default_lead_owner consumer_key consumer_secret username "
        "email is_active user_type api_enabled developer_name objects members active when "
        "assign_to object matches action operations message field label type length precision "
        "scale unique external_id required read_only restricted picklist reference_to code states "
        "owner LastName Company Id OwnerId CreatedDate AnnualRevenue daily_api_requests seed "
        "daily_ingest_jobs queue_seconds rows_per_second second_put row_errors text_length "
        "trims_text short_pages"
    )
)
TOML_VALUES = st.one_of(
    st.booleans().map(lambda flag: str(flag).lower()),
    st.integers(-3, 10**9).map(str),
    st.sampled_from(["1.5", "nan", "inf", "-inf", "1e400", "{}", "[]", "[1]", '["Lead"]']),
    st.sampled_from(["2026-01-02", "2026-01-02T03:04:05Z", "03:04:05", "{ City = 'Rome' }"]),
    st.sampled_from(
        words(
            "Lead Contact string picklist reference X__c queue:Inbound user:a@b.c block insert "
            "a@b.c 00Q5e00000AbCd1 00D5e00000AbCd1 Person_Id__c LastName put first utf16 CsnOnly"
        )
    ).map(json.dumps),
    TEXTS.map(json.dumps),
)


@st.composite
def org_files(draw: st.DrawFn) -> str:
    """An org file that is nearly one."""
    lines = []
    for name in draw(st.lists(SECTIONS, max_size=4)):
        single = name in {"org", "limits", "behaviour"} and draw(st.integers(0, 9)) > 0
        lines.append(f"[{name}]" if single else f"[[{name}]]")
        values = draw(st.dictionaries(ORG_KEYS, TOML_VALUES, max_size=6))
        lines += [f"{key} = {value}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


@settings(SHARED, max_examples=2 * int(MANY or 25))
@given(text=org_files() | st.text(max_size=40))
def test_an_org_file_is_taken_whole_or_not_at_all(org: Client, text: str) -> None:
    before = org.control("GET", "org").json()
    response = org.control("POST", "reset", data=text.encode("utf-8", "replace"))
    assert response.status_code in {200, 400}, response.text
    if response.status_code == 400:
        assert response.json()["error"]
        assert org.control("GET", "org").json() == before
        return
    assert org.control("GET", "org").status_code == 200
    token = org.token(grant_type="client_credentials", client_id="x", client_secret="y")
    assert token.status_code in {200, 400}


FAULTS = st.lists(
    st.dictionaries(
        st.sampled_from(["match", "job", "nth", "count", "fault", "more"]),
        st.sampled_from(
            words(
                "GET /limits|* *|PUT /jobs/*/[|nth:1|nth:0|drop_before|status:503|status:999|"
                "slow:0|truncate|fail_after_chunk:1|lock_rows:x|expire_session|forget",
                cut="|",
            )
        )
        | LEAVES,
        max_size=4,
    )
    | LEAVES,
    max_size=4,
)


@settings(SHARED, max_examples=2 * int(MANY or 25))
@given(faults=FAULTS | JSONS)
def test_any_list_of_faults_is_taken_or_rejected(
    org: Client, faults: dict[str, Any] | list[Any] | None
) -> None:
    response = org.control("PUT", "faults", data=json.dumps(faults).encode())
    assert response.status_code in {200, 400}, response.text
    org.faults()
    assert org.log_in().call("GET", "/limits").status_code == 200
