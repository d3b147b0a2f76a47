"""Whatever fails: no secret and nothing personal on stdout, on stderr or in an exception."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import SyncError
from tests.cli.conftest import CommandLine, CommandResult
from tests.steps.scenario import Scenario

NAME, MAIL = "Canaryname", "canary.mail"
PHONE, FIRM = "+49 30 00 7654321", "Canary Works"
PERSONAL = (NAME, MAIL, PHONE, FIRM, "7654321", "Canary")
SECRET = "canary-secret"


def persons(**changes: str) -> str:
    """A table of one person made of canaries."""
    cells = {
        "person_id": "C1",
        "first_name": NAME,
        "last_name": NAME,
        "company": FIRM,
        "email": f"{MAIL}@x.example",
        "phone": PHONE,
    } | changes
    return "\n".join([" | ".join(cells), " | ".join(cells.values())])


def silent(answer: CommandResult) -> None:
    reported = answer.output
    assert reported
    for canary in (*PERSONAL, SECRET):
        assert canary.lower() not in reported.lower(), reported


# --- Persons refused by our own rules, by an owner, and by Salesforce

REFUSED = [
    {"company": ""},
    {"last_name": ""},
    {"last_name": f"{NAME * 9}"},
    {"company": f"{FIRM * 30}"},
    {"phone": PHONE * 3},
    {"email": f"{MAIL}@@x.example"},
    {"email": f"{MAIL} one@x.example"},
    {"city": FIRM * 9},
    {"title": "#N/A"},
    {"owner_strategy": f"user:{MAIL}@x.example"},
    {"owner_strategy": f"queue:{NAME}"},
    {"owner_strategy": NAME},
]


def test_nothing_personal_of_a_rejected_person_is_reported(cli: CommandLine) -> None:
    for number, changes in enumerate(REFUSED):
        cli.scenario.put(persons(**{"person_id": f"C{number}", **changes}))
    ids = [f"C{number}" for number in range(len(REFUSED))]
    plain, as_json = cli("now", *ids), cli("now", *ids, "--json")
    outcomes = [person["outcome"] for person in as_json.document["persons"]]
    assert outcomes == ["rejected"] * len(ids)
    for answer in (plain, as_json, cli("status"), cli("status", "--json")):
        silent(answer)


@pytest.mark.parametrize("words", [("now", "C1"), ("now", "C1", "--json")], ids=["plain", "json"])
def test_nothing_personal_of_a_created_person_is_reported(
    cli: CommandLine, words: tuple[str, ...]
) -> None:
    cli.scenario.put(persons())
    answer = cli(*words)
    assert answer.exit_code == 0
    silent(answer)


def test_nothing_personal_of_a_duplicate_is_reported(cli: CommandLine) -> None:
    lead = f'[[lead]]\nLastName = "{NAME}"\nCompany = "{FIRM}"\nEmail = "{MAIL}@x.example"\n'
    cli.scenario.set_org(lead + f'Phone = "{PHONE}"\n')
    cli.scenario.put(persons())
    answer = cli("now", "C1", "--json")
    assert answer.document["persons"][0]["outcome"] == "duplicate"
    silent(answer)


def test_nothing_personal_of_a_row_salesforce_refused_is_reported(cli: CommandLine) -> None:
    cli.scenario.set_org(
        '[[duplicate_rule]]\nname = "Leads"\nobject = "Lead"\nmatches = "Lead"\naction = "block"\n'
        f'[[lead]]\nFirstName = "{NAME}"\nLastName = "{NAME}"\nCompany = "{FIRM}"\n'
        f'Email = "{MAIL}.other@x.example"\nPhone = "{PHONE}"\n'
    )
    cli.scenario.put(persons())
    answer = cli("now", "C1", "--json")
    assert answer.document["persons"][0]["outcome"] in ("duplicate", "rejected")
    silent(answer)


# --- Runs that end badly, on the command

ORG_FAULTS = [
    {"match": "GET /query*", "count": 9, "fault": "status:503"},
    {"match": "GET /query*", "count": 9, "fault": "status:400"},
    {"match": "GET /query*", "count": 9, "fault": "truncate"},
    {"match": "POST /composite/sobjects*", "count": 9, "fault": "status:400"},
    {"match": "POST /composite/sobjects*", "count": 9, "fault": "drop_before"},
]
QUICK = {"poll_seconds": 0.05, "retry_timeout_seconds": 0}


@pytest.mark.parametrize(
    "fault", ORG_FAULTS, ids=[f"{f['match']} {f['fault']}" for f in ORG_FAULTS]
)
def test_nothing_personal_is_reported_when_the_org_fails(
    cli: CommandLine, fault: dict[str, Any]
) -> None:
    cli.scenario.put(persons())
    # The first queries are those of the login and the owners.
    cli.scenario.emulator.go_wrong({"nth": 5 if "query" in fault["match"] else 1, **fault})
    cli.set(run=QUICK)
    silent(cli("now", "C1", "--json"))
    silent(cli("status"))


def wrong_settings(tmp_path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    key = tmp_path / "key.pem"
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n", encoding="ascii")
    key.chmod(0o600)
    away = "http://127.0.0.1:1"
    jwt = {"login": "jwt", "username": "x", "private_key_file": str(key)}
    old = {"login": "password", "username": "x", "api_version": "64.0", "password": SECRET}
    return {
        "wrong secret": {"salesforce": {"consumer_secret": SECRET}},
        "unreachable": {"salesforce": {"consumer_secret": SECRET, "emulator_url": away}},
        "broken key": {"salesforce": jwt},
        "wrong password": {"salesforce": {**old, "security_token": SECRET}},
        "stale token": {"salesforce": {"login": "access_token", "access_token": SECRET}},
        "token of two lines": {
            "salesforce": {"login": "access_token", "access_token": f"{SECRET}\nx"}
        },
        "warehouse away": {"warehouse": {"url": f"postgresql://u:{SECRET}@127.0.0.1:1/x"}},
        "no such driver": {"warehouse": {"url": f"oracle://u:{SECRET}@127.0.0.1/x"}},
        "no address": {"warehouse": {"url": f"u:{SECRET}@127.0.0.1"}},
        "no SQLite file": {"warehouse": {"url": f"sqlite://u:{SECRET}@/x.db"}},
        "broken settings": {"salesforce": {"password": SECRET, "login": SECRET}},
        "misspelt secret": {"salesforce": {"consumer_secrt": SECRET}},
        "a list for a secret": {"salesforce": {"consumer_secret": [SECRET]}},
        "secret in the emulator's address": {
            "salesforce": {"emulator_url": f"http://u:{SECRET}@127.0.0.1:1"}
        },
    }


CASES = [
    "wrong secret",
    "unreachable",
    "broken key",
    "wrong password",
    "stale token",
    "token of two lines",
    "warehouse away",
    "no such driver",
    "no address",
    "no SQLite file",
    "broken settings",
    "misspelt secret",
    "a list for a secret",
    "secret in the emulator's address",
]


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_reported_when_the_settings_are_wrong(
    cli: CommandLine, tmp_path: Path, case: str
) -> None:
    cli.set(**wrong_settings(tmp_path)[case])
    answer = cli("check", "--json")
    assert answer.exit_code in (2, 3)
    silent(answer)


# --- Exceptions, with all that rides along in them


def raised_by(scenario: Scenario, **groups: Any) -> str:
    with pytest.raises(SyncError) as reported:
        scenario.sync(**groups)
    return "".join(traceback.format_exception(reported.value, chain=True)) + repr(reported.value)


def no_canary(text: str) -> None:
    for canary in (*PERSONAL, SECRET):
        assert canary.lower() not in text.lower()


@pytest.mark.parametrize("nth", [3, 4, 5, 6])
def test_no_exception_of_a_refused_query_holds_a_person(scenario: Scenario, nth: int) -> None:
    scenario.put(persons())
    scenario.emulator.go_wrong(
        {"match": "GET /query*", "nth": nth, "count": 9, "fault": "status:400"}
    )
    no_canary(raised_by(scenario))


@pytest.mark.parametrize("path", ["POST /jobs/ingest", "PUT /jobs/ingest/*/batches"])
def test_no_exception_of_a_refused_job_holds_a_person(scenario: Scenario, path: str) -> None:
    scenario.put(persons())
    scenario.emulator.go_wrong({"match": path, "count": 9, "fault": "status:400"})
    no_canary(raised_by(scenario, run={"retry_timeout_seconds": 0, "poll_seconds": 0.05}))


def test_no_exception_of_a_login_holds_a_secret(scenario: Scenario) -> None:
    no_canary(raised_by(scenario, salesforce={"consumer_secret": SECRET}))


def test_no_exception_of_a_warehouse_holds_a_person(any_scenario: Scenario) -> None:
    any_scenario.put(persons())
    any_scenario.run("alter table person_claims rename to elsewhere")
    no_canary(raised_by(any_scenario))


def test_no_error_of_a_run_is_kept_with_a_person_in_it(scenario: Scenario) -> None:
    scenario.put(persons())
    scenario.emulator.go_wrong({"match": "POST /jobs/ingest", "count": 9, "fault": "status:400"})
    raised_by(scenario, run={"retry_timeout_seconds": 0, "poll_seconds": 0.05})
    (kept,) = scenario.rows("select error_code, error_message from sync_runs")
    assert kept["error_code"]
    no_canary(str(kept))
