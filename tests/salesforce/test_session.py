"""Staying in: sessions that end, answers that fail, redirects, and what is never repeated."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
import requests
from pydantic import SecretStr

from pipelines.errors import (
    ConfigurationError,
    OrgLimitError,
    OrgRejectedError,
    OrgUnavailableError,
    SessionExpiredError,
    SyncError,
    TransientError,
)
from pipelines.salesforce import ingest_jobs
from pipelines.salesforce.session import Credentials, Org, log_in
from pipelines.salesforce.transport import Relogin, Transport
from tests.salesforce.servers import CREDENTIALS, QUERY, TOKEN, VERSION, Emulator, Script, let_in

ROOT = f"/services/data/v{VERSION}"
EXPIRED = [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}]
THINGS = f"POST {ROOT}/things"


def bearers(script: Script) -> list[str | None]:
    """The token of each request, in order."""
    return [one.headers.get("Authorization") for one in script.seen]


# --- Sessions that end


def test_an_upload_during_which_the_session_ends_arrives_whole(
    org: Org, emulator: Emulator
) -> None:
    job = ingest_jobs.create_job(org, operation="insert", sobject="Lead")
    emulator.go_wrong({"match": "PUT /jobs/ingest/*/batches", "fault": "expire_session"})
    data = b"LastName,Company\n" + b"Byron,Acme\n" * 1_000
    ingest_jobs.upload(org, job.job_id, data)
    ingest_jobs.close_job(org, job.job_id)
    assert len(emulator.served("oauth2/token")) == 2
    assert [line[-3:] for line in emulator.served("^PUT")] == ["401", "201"]
    while not (status := ingest_jobs.job_status(org, job.job_id)) or not status.has_ended:
        pass
    assert status.processed_count == 1_000


def test_the_repeated_request_has_the_same_headers_and_body(
    script: Script, scripted_org: Org
) -> None:
    script.say(THINGS, 401, EXPIRED)
    script.say(THINGS, 200, {"done": 1})
    scripted_org.post_json("things", {"a": "é"}, {"Sforce-Auto-Assign": "FALSE"})
    first, _login, second = script.seen
    assert first.body == second.body
    assert second.headers["Sforce-Auto-Assign"] == "FALSE"
    assert second.headers["Content-Type"] == "application/json"


def test_a_new_token_is_used_from_then_on(script: Script) -> None:
    let_in(script, "old", "new")
    with log_in(CREDENTIALS, api_version=VERSION, emulator_url=script.url) as org:
        script.say(f"GET {ROOT}/things", 401, EXPIRED)
        script.say(f"GET {ROOT}/things", 200, {})
        org.get_json("things")
        org.get_json("things")
    assert bearers(script)[2:] == [
        "Bearer old",
        "Basic dGVzdC1rZXk6Y2FuYXJ5LWNvbnN1bWVyLXNlY3JldA==",
        "Bearer new",
        "Bearer new",
    ]


def test_an_org_that_accepts_no_session_gets_two_requests_only(
    script: Script, scripted_org: Org
) -> None:
    script.say(THINGS, 401, EXPIRED)
    with pytest.raises(SessionExpiredError):
        scripted_org.post_json("things", {})
    assert script.paths() == [THINGS, TOKEN, THINGS]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        [{"errorCode": "OTHER", "message": ""}],
        [{"errorCode": "INVALID_SESSION_ID", "message": "Connected app is not attached to Agent"}],
    ],
)
def test_a_401_without_api_access_causes_no_login(
    script: Script, scripted_org: Org, body: object
) -> None:
    script.say(THINGS, 401, body)
    with pytest.raises((SessionExpiredError, OrgRejectedError)):
        scripted_org.post_json("things", {})
    assert script.paths() == [THINGS]


def test_a_secret_changed_meanwhile_is_named(script: Script) -> None:
    let_in(script)
    script.say(TOKEN, 400, {"error": "invalid_client_id", "error_description": "?"})
    with log_in(CREDENTIALS, api_version=VERSION, emulator_url=script.url) as org:
        script.say(THINGS, 401, EXPIRED)
        with pytest.raises(ConfigurationError, match="consumer_key"):
            org.post_json("things", {})


def test_an_access_token_that_ends_is_not_renewed(script: Script) -> None:
    credentials = Credentials(login="access_token", access_token=SecretStr("t"))
    let_in(script)
    with log_in(credentials, api_version=VERSION, emulator_url=script.url) as org:
        script.say(THINGS, 401, EXPIRED)
        with pytest.raises(SessionExpiredError):
            org.post_json("things", {})
    assert TOKEN not in script.paths()


def test_many_threads_share_one_new_login(org: Org, emulator: Emulator) -> None:
    emulator.go_wrong({"match": "GET /limits", "fault": "expire_session"})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: org.get_json("limits"), range(24)))
    assert len(answers) == 24
    assert len(emulator.served("oauth2/token")) == 2


@pytest.fixture
def session(script: Script) -> Iterator[requests.Session]:
    """A bare session whose token is renewed once from old to new."""
    transport = Transport((5, 5), script.url)
    session = transport.new_session()
    session.auth = Relogin(SecretStr("old"), lambda: SecretStr("new"))
    yield session
    transport.close()


def test_a_file_is_rewound_to_where_it_stood(script: Script, session: requests.Session) -> None:
    script.say("PUT /file", 401, EXPIRED)
    script.say("PUT /file", 201)
    file = BytesIO(b"skipped,wanted")
    file.seek(8)
    assert session.put("https://acme.my.salesforce.com/file", data=file).status_code == 201
    assert [one.body for one in script.seen] == [b"wanted", b"wanted"]


def test_a_body_that_cannot_be_rewound_is_not_sent_again(
    script: Script, session: requests.Session
) -> None:
    script.say("PUT /stream", 401, EXPIRED)
    answer = session.put("https://acme.my.salesforce.com/stream", data=iter([b"a", b"b"]))
    assert answer.status_code == 401
    assert len(script.seen) == 1


# --- Answers that fail


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 420])
def test_a_get_is_repeated(script: Script, scripted_org: Org, status: int) -> None:
    script.say(f"GET {ROOT}/things", status)
    script.say(f"GET {ROOT}/things", 200, {"well": True})
    assert scripted_org.get_json("things") == {"well": True}


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "truncate", "status:503"])
def test_a_get_whose_response_was_lost_is_repeated(
    org: Org, emulator: Emulator, fault: str
) -> None:
    emulator.go_wrong({"match": "GET /limits", "fault": fault})
    assert "DailyApiRequests" in org.get_json("limits")


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "truncate", "status:503"])
def test_a_response_that_always_breaks_off_is_a_transient_error(
    org: Org, emulator: Emulator, fault: str
) -> None:
    emulator.go_wrong({"match": "GET /limits", "fault": fault, "count": 99})
    with pytest.raises(TransientError):
        org.get_json("limits")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, OrgUnavailableError), (503, OrgUnavailableError), (429, OrgLimitError)],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_request_that_may_have_had_an_effect_is_never_repeated(
    script: Script, scripted_org: Org, method: str, status: int, kind: type[SyncError]
) -> None:
    script.say(f"{method} {ROOT}/things", status)
    with pytest.raises(kind):
        _send(scripted_org, method)
    assert script.paths() == [f"{method} {ROOT}/things"]


def _send(org: Org, method: str) -> object:
    if method == "PUT":
        return org.put_bytes("things", b"a", "text/csv")
    return (org.post_json if method == "POST" else org.patch_json)("things", {})


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "truncate"])
def test_a_lost_response_to_a_change_is_a_transient_error(
    org: Org, emulator: Emulator, fault: str
) -> None:
    emulator.go_wrong({"match": "POST /jobs/ingest", "fault": fault})
    with pytest.raises(OrgUnavailableError):
        ingest_jobs.create_job(org, operation="insert", sobject="Lead")
    assert len(emulator.served("^POST .*/jobs/ingest")) <= 1


def test_a_response_that_is_too_slow_is_a_transient_error(emulator: Emulator) -> None:
    with log_in(
        CREDENTIALS, api_version=VERSION, emulator_url=emulator.url, timeout=(5, 0.3)
    ) as org:
        emulator.go_wrong({"match": "POST /jobs/ingest", "fault": "slow:2"})
        with pytest.raises(OrgUnavailableError, match="in time"):
            ingest_jobs.create_job(org, operation="insert", sobject="Lead")


def test_a_proxys_error_page_is_not_taken_for_the_orgs(script: Script, scripted_org: Org) -> None:
    script.say(THINGS, 200, b"<html>please log in</html>")
    with pytest.raises(OrgUnavailableError, match="a proxy"):
        scripted_org.post_json("things", {})


# --- Where requests go


def test_no_redirect_is_followed_with_a_token(script: Script, scripted_org: Org) -> None:
    script.say(f"GET {ROOT}/things", 302, Location=f"{script.url}/elsewhere")
    with pytest.raises(ConfigurationError, match="redirect"):
        scripted_org.get_json("things")
    assert script.paths() == [f"GET {ROOT}/things"]


def test_no_redirect_is_followed_with_a_secret(script: Script) -> None:
    script.say(TOKEN, 307, Location="https://elsewhere.my.salesforce.com/token")
    with pytest.raises(ConfigurationError, match="redirect"):
        log_in(CREDENTIALS, api_version=VERSION, emulator_url=script.url)
    assert script.paths() == [TOKEN]


def test_the_machines_proxies_are_not_used_for_the_emulator(script: Script) -> None:
    assert not Transport((1, 1), script.url).new_session().trust_env
    assert Transport((1, 1)).new_session().trust_env


# --- What is counted, and what is not said


def test_every_request_is_counted_as_the_emulator_counts_it(org: Org, emulator: Emulator) -> None:
    emulator.go_wrong({"match": "GET /limits", "fault": "status:503"})
    org.get_json("limits")
    assert org.api_call_count == len(emulator.served())


def test_the_orgs_own_count_is_read_from_its_responses(org: Org) -> None:
    assert org.api_usage is not None
    used, allowed = org.api_usage
    assert 0 < used < allowed
    org.get_json("limits")
    assert org.api_usage[0] > used


def test_an_org_that_does_not_count_is_not_counted(scripted_org: Org) -> None:
    assert scripted_org.api_usage is None


def test_no_secret_and_no_address_is_shown(
    script: Script, scripted_org: Org, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    script.say(QUERY, 500, b"canary")
    with pytest.raises(OrgUnavailableError) as caught:
        scripted_org.get_json("query", {"q": "jane.canary@private.example"})
    everything = [str(caught.value), repr(caught.value), repr(caught.value.__context__)]
    everything += [repr(vars(scripted_org)), repr(vars(scripted_org._sf)), caplog.text]
    assert not [text for text in everything if "canary" in text]


def test_a_broken_connection_is_not_logged_with_its_query(
    org: Org, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    emulator.go_wrong({"match": "GET /query", "fault": "drop_before"})
    org.get_json("query", {"q": "SELECT Id FROM Lead WHERE Email = 'canary@private.example'"})
    assert "canary" not in caplog.text
