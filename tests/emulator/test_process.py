"""The process: its one line of output, its control API, its org file, its store, and its end."""

from __future__ import annotations

import concurrent.futures
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.emulator.conftest import OrgOf, Start
from tests.emulator.orgs import error_of
from tests.emulator.plain_http import Client


def run_once(*arguments: str) -> tuple[int, str]:
    """A start that must fail: exit code and what it stderr."""
    command = [sys.executable, "-m", "pipelines.emulator.server", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_it_prints_one_line_and_stops_on_a_signal(start: Start, client: type[Client]) -> None:
    for how in (signal.SIGTERM, signal.SIGINT):
        process = start("--port", "0")
        assert process.line.startswith("org emulator on http://127.0.0.1:")
        assert client(process.url).control("GET", "requests").json() == []
        started = time.monotonic()
        assert process.stop(how) == 0
        assert time.monotonic() - started < 5


def test_it_stops_within_a_second_even_during_a_request(
    start: Start, client: type[Client], basic_org: str
) -> None:
    process = start("--port", "0")
    org = client(process.url).reset(basic_org + "[behaviour]\nrows_per_second = 100\n")
    job = org.open_job()
    org.put(job, "LastName,Company\n" + "L,C\n" * 1_000)
    org.patch(job, "UploadComplete")
    org.faults({"match": "GET /limits", "fault": "slow:30"})
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pending = pool.submit(lambda: org.call("GET", "/limits"))
        time.sleep(0.3)
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 5
        assert pending.exception() is not None or pending.result().status_code == 500


def test_it_stops_by_itself_without_requests(start: Start) -> None:
    process = start("--port", "0", "--idle-stop", "0.2")
    assert process.popen.wait(5) == 0


def test_without_an_org_file_it_serves_a_small_demo_org(start: Start, client: type[Client]) -> None:
    org = client(start("--port", "0").url)
    form = {"client_id": "demo-key", "client_secret": "demo-secret"}
    token = org.token(grant_type="client_credentials", **form).json()["access_token"]
    org.http.headers["Authorization"] = f"Bearer {token}"
    assert org.lead(Person_Id__c="p1").startswith("00Q")


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, stderr = run_once("--port", str(taken.getsockname()[1]))
    assert code == 2
    assert "cannot be used" in stderr
    assert "--port" in stderr


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[org", "is not TOML"),
        ("[orgs]\n", "orgs is not a key"),
        ("[org]\nnam = 'x'\n", "org.nam is not a key"),
        ("[org]\nname = 3\n", "org.name must be a text"),
        ("[org]\nid = 'x'\n", "org.id 'x'"),
        ("[org]\nis_sandbox = 'yes'\n", "org.is_sandbox must be true or false"),
        ("[org]\ndefault_lead_owner = 'user:nobody'\n", "org.default_lead_owner names"),
        ("app = 3\n", "app must be a list of tables"),
        ("app = [3]\n", "app[0] must be a table"),
        ("[[app]]\n", "app[0].consumer_key is missing"),
        ("[[app]]\nconsumer_key = 'k'\npublic_key_file = 'none.pem'\n", "app[0].public_key_file"),
        ("[[user]]\nusername = 'a'\nage = 3\n", "user[0].age is not a key"),
        ("[[user]]\nusername = 'a'\n[[user]]\nusername = 'A'\n", "share a username"),
        ("[[queue]]\ndeveloper_name = 'a'\nobjects = 'Lead'\n", "queue[0].objects must be"),
        ("[[queue]]\ndeveloper_name = 'a'\nobjects = [1]\n", "queue[0].objects must be"),
        ("[[queue]]\ndeveloper_name = 'a'\nmembers = ['x']\n", "the member 'x'"),
        ("[[queue]]\ndeveloper_name = 'a'\n[[queue]]\ndeveloper_name = 'a'\n", "share a dev"),
        ("[[queue]]\ndeveloper_name = 'a'\nid = '005'\n", "is not the id of a Group"),
        ("[[assignment_rule]]\nname = 'r'\n[[assignment_rule.entry]]\n", "entry[0].assign_to"),
        (
            "[[assignment_rule]]\nname = 'r'\n[[assignment_rule.entry]]\nassign_to = 'queue:x'\n",
            "entry.assign_to names 'queue:x'",
        ),
        (
            "[[assignment_rule]]\nname = 'r'\n[[assignment_rule.entry]]\nwhen = {Hat = 'x'}\n"
            "assign_to = 'user:integration@demo.example'\n",
            "tests Hat",
        ),
        ("[[duplicate_rule]]\nname = 'r'\naction = 'shout'\n", "duplicate_rule[0].action must be"),
        ("[[validation_rule]]\nwhen = 3\nmessage = 'm'\n", "validation_rule[0].when must be"),
        ("[[field]]\nobject = 'Lead'\nname = 'Hat'\n", "field[0].name must end in __c"),
        ("[[field]]\nobject = 'Hat'\nname = 'Hat__c'\n", "field[0].object must be one of"),
        ("[[field]]\nobject = 'Lead'\nname = 'H__c'\nlength = -1\n", "must not be negative"),
        ("[[hidden_field]]\nname = 'Hat'\n", "hidden_field names 'hat'"),
        ("[[country]]\ncode = 'DE'\n", "country[0].label is missing"),
        ("[[lead]]\nLastName = 'L'\n", "lead[0].Company is missing"),
        ("[[lead]]\nLastName = 'L'\nCompany = 'C'\nHat = 1\n", "lead[0].Hat is not a field"),
        ("[[lead]]\nLastName = 'L'\nCompany = 'C'\nEmail = 'x'\n", "lead[0].Email: Email: inv"),
        ("[[lead]]\nLastName = []\nCompany = 'C'\n", "lead[0].LastName: Cannot"),
        ("[[lead]]\nLastName = 'L'\nCompany = 'C'\nowner = 'x'\n", "lead[0].owner names 'x'"),
        ("[behaviour]\nrows_per_second = -1\n", "behaviour.rows_per_second must not be neg"),
        ("[behaviour]\nqueue_secs = 1\n", "behaviour.queue_secs is not a key"),
        ("[limits]\ndaily = 1\n", "limits.daily is not a key"),
    ],
)
def test_a_wrong_org_file_is_named_with_its_place_and_changes_nothing(
    org: Client, text: str, place: str
) -> None:
    made = org.lead()
    response = org.control("POST", "reset", data=text.encode())
    assert response.status_code == 400
    assert place in response.json()["error"]
    assert org.rows("SELECT Id FROM Lead") == [{"Id": made}]


def test_an_org_file_that_is_not_utf8_is_rejected(org: Client) -> None:
    assert org.control("POST", "reset", data=b"\xff").status_code == 400


@pytest.mark.parametrize("text", ["[orgs]\n", "[[lead]]\nLastName = 'L'\n", None])
def test_a_wrong_org_file_keeps_it_from_starting(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "org.toml"
    if text is not None:
        path.write_text(text)
    code, stderr = run_once("--port", "0", "--org", str(path))
    assert code == 2
    assert str(path) in stderr
    assert stderr.count("\n") == 1


def test_a_store_that_is_none_keeps_it_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "store"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 20)
    code, stderr = run_once("--port", "0", "--store", str(path))
    assert (code, str(path) in stderr) == (2, True)


def test_two_emulators_never_share_a_store(start: Start, tmp_path: Path) -> None:
    arguments = ("--port", "0", "--store", str(tmp_path / "org.db"))
    start(*arguments)
    code, stderr = run_once(*arguments)
    assert (code, "locked" in stderr) == (2, True)


def test_an_org_file_with_a_key_file_next_to_it(
    start: Start, tmp_path: Path, basic_org: str, client: type[Client]
) -> None:
    (tmp_path / "key.pem").write_text("a public key")
    path = tmp_path / "org.toml"
    path.write_text(basic_org + "[[app]]\nconsumer_key = 'j'\npublic_key_file = 'key.pem'\n")
    org = client(start("--port", "0", "--org", str(path)).url).log_in()
    assert org.call("GET", "/limits").status_code == 200
    assert org.control("POST", "reset").status_code == 200
    assert org.call("GET", "/limits").status_code == 401
    jwt = org.token(grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion="a.b.c")
    assert jwt.status_code == 400


def test_the_store_survives_kill_9_and_jobs_go_on(
    start: Start, client: type[Client], basic_org: str, tmp_path: Path
) -> None:
    store, path = tmp_path / "org.db", tmp_path / "org.toml"
    path.write_text(basic_org + "[behaviour]\nrows_per_second = 2000\n")
    arguments = ("--port", "0", "--org", str(path), "--store", str(store))
    process = start(*arguments)
    org = client(process.url).log_in()
    first = org.lead(Person_Id__c="before")
    sent = [f"n{n:04d}" for n in range(2_000)]
    job = org.open_job()
    org.put(job, "LastName,Company,Person_Id__c\n" + "".join(f"{n},C,{n}\n" for n in sent))
    org.patch(job, "UploadComplete")
    while org.call("GET", f"/jobs/ingest/{job}").json().get("numberRecordsProcessed", 0) < 400:
        time.sleep(0.02)
    process.stop(signal.SIGKILL)
    path.write_text("[org")  # only an empty store reads the org file
    again = client(start(*arguments).url)
    again.http.headers.update(org.http.headers)
    assert again.wait(job)["numberRecordsProcessed"] == len(sent)
    rows = again.rows("SELECT COUNT(Id) n, COUNT_DISTINCT(Person_Id__c) d FROM Lead")
    assert rows == [{"n": len(sent) + 1, "d": len(sent) + 1}]
    assert again.result(job, "successfulResults").count("\n") == len(sent) + 1
    assert again.lead() > first
    assert again.control("POST", "reset").status_code == 200


def test_a_store_whose_org_no_longer_reads_keeps_it_from_starting(
    start: Start, client: type[Client], tmp_path: Path
) -> None:
    store, key = tmp_path / "org.db", tmp_path / "key.pem"
    key.write_text("key")
    path = tmp_path / "org.toml"
    path.write_text("[[app]]\nconsumer_key = 'j'\npublic_key_file = 'key.pem'\n")
    start("--port", "0", "--org", str(path), "--store", str(store)).stop()
    key.unlink()
    code, stderr = run_once("--port", "0", "--store", str(store))
    assert (code, "public_key_file" in stderr) == (2, True)


def test_a_reset_drops_unfinished_jobs(org: Client, basic_org: str) -> None:
    org.reset(basic_org + "[behaviour]\nrows_per_second = 1000\n")
    job = org.open_job()
    org.put(job, "LastName,Company\n" + "L,C\n" * 5_000)
    org.patch(job, "UploadComplete")
    time.sleep(0.1)
    org.reset()
    time.sleep(0.3)
    assert org.rows("SELECT Id FROM Lead") == []
    assert org.call("GET", f"/jobs/ingest/{job}").status_code == 404


def test_the_control_api_shows_the_whole_org(org_of: OrgOf) -> None:
    org = org_of(
        "[[queue]]\ndeveloper_name = 'Q'\nobjects = ['Lead']\nmembers = ['a@t.example']\n"
        "[[user]]\nusername = 'a@t.example'\n"
        "[[lead]]\nLastName = 'L'\nCompany = 'C'\nowner = 'queue:Q'\nIsConverted = true\n"
        "[[contact]]\nLastName = 'M'\n"
    )
    org.load("LastName,Company\nN,C\n")
    shown = org.control("GET", "org").json()
    lead = shown["leads"][0]
    assert lead["Owner"] == {"Name": "Q", "Type": "Queue"}
    assert (lead["IsConverted"], lead["IsDeleted"]) == (True, False)
    assert [contact["LastName"] for contact in shown["contacts"]] == ["M"]
    assert [job["state"] for job in shown["jobs"]] == ["JobComplete"]
    members = org.rows("SELECT Group.Name, UserOrGroup.Name FROM GroupMember")
    assert members[0]["UserOrGroup"]["Name"] == "a@t.example"
    before = org.call("GET", "/limits").headers["Sforce-Limit-Info"]
    org.control("GET", "org")
    after = org.call("GET", "/limits").headers["Sforce-Limit-Info"]
    assert int(after.split("=")[1].split("/")[0]) == int(before.split("=")[1].split("/")[0]) + 1


def test_an_unknown_control_path(org: Client) -> None:
    response = org.control("GET", "cellar")
    assert response.status_code == 404
    assert "POST /emulator/reset" in response.json()["error"]


def test_many_in_parallel(org: Client) -> None:
    def load(number: int) -> int:
        loaded = org.load(f"LastName,Company,Person_Id__c\nL,C,p{number}\nM,C,same\n")
        return len(loaded.successful)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        saved = sum(pool.map(load, range(48)))
    assert saved == 48 + 1
    assert len(org.rows("SELECT Id FROM Lead WHERE Person_Id__c = 'same'")) == 1


def test_a_request_that_is_no_http_is_400(org: Client) -> None:
    host, port = org.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in raw.recv(1_000)
    assert error_of(org.call("GET", "/%ff/%zz"), 404)["errorCode"] == "NOT_FOUND"
