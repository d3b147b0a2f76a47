"""The command as a user meets it: answers, progress, exit codes, and sentences with a remedy."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.demo.local import DATA, _read_persons
from pipelines.run import checks
from tests.cli.conftest import Answer, Front, clean_environment, run_command
from tests.salesforce.servers import Emulator
from tests.steps.scenario import ORG, PERSON_ID_FIELD, Scenario, make_persons

NOW = ("now", "P1")
# Nothing on the machine names a Prefect server: the same steps, with one line that says so.
WITHOUT = "without Prefect: no server is named (PREFECT_API_URL or a profile)"


def nothing_done(front: Front, answer: Answer, exit_code: int, *words: str) -> None:
    """The sentence is on stderr alone, the exit code is the contract's, and nothing was begun."""
    assert answer.exit_code == exit_code, answer.everything
    assert answer.stdout == ""
    told = answer.stderr.splitlines()[-1]
    assert told.startswith("person-sync: ") or "settings in" in answer.stderr
    for word in words:
        assert word in answer.stderr
    assert front.untouched()


# --- Each command does its work


def test_migrate_tells_what_it_applied_and_then_that_nothing_is_to_do(
    front: Front, tmp_path: Path
) -> None:
    front.set(warehouse={"url": f"sqlite:///{tmp_path}/new.db"})
    first, second = front("migrate"), front("migrate")
    assert "applied 001_ledger.sql" in first.stdout
    assert second.stdout == "already up to date\n"
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_migrate_answers_in_json(front: Front) -> None:
    answer = front("migrate", "--json")
    assert answer.document == {"applied": []} or "rejection_rules" in answer.document["applied"]
    assert answer.exit_code == 0


def test_check_tells_a_line_each_and_that_a_run_could_start(front: Front) -> None:
    answer = front("check")
    subjects = [
        line.removeprefix("ok").split(":")[0].strip() for line in answer.stdout.splitlines()
    ]
    assert subjects == [
        "warehouse",
        *((probe.__doc__ or "").partition(":")[0] for probe in checks.ALL_CHECKS),
    ]
    assert all(line.startswith("ok   ") for line in answer.stdout.splitlines())
    assert answer.exit_code == 0


def test_check_answers_in_json(front: Front) -> None:
    answer = front("check", "--json")
    assert {"subject", "is_good", "words", "exit_code"} == set(answer.document["findings"][0])
    assert answer.exit_code == 0


def test_now_answers_with_each_ones_outcome(front: Front) -> None:
    answer = front("now", "P1", "P2")
    created, rejected = answer.stdout.splitlines()
    assert created.startswith("P1: created lead 00Q")
    assert created.endswith("owned by Unassigned")
    assert rejected == "P2: rejected: company_missing"
    assert answer.exit_code == 1  # half of them rejected is more than the settings allow
    assert [lead["Person_Id__c"] for lead in front.scenario.leads()] == ["P1"]


def test_now_answers_in_json_and_tells_its_progress_on_stderr(front: Front) -> None:
    answer = front(*NOW, "--json")
    (person,) = answer.document["persons"]
    assert (person["person_id"], person["outcome"]) == ("P1", "created")
    assert answer.document["run"]["created_count"] == 1
    assert "Acme (sandbox, 00D" in answer.stderr
    assert answer.exit_code == 0


def test_now_answers_the_same_when_asked_again(front: Front) -> None:
    first, second = front(*NOW), front(*NOW)
    assert first.stdout == second.stdout
    assert len(front.scenario.leads()) == 1


def test_now_starts_no_prefect(front: Front) -> None:
    started = time.monotonic()
    answer = front(*NOW)
    assert "Prefect" not in answer.everything
    assert time.monotonic() - started < 15  # a server alone takes 7 to 12 seconds


def test_status_tells_the_last_run(front: Front) -> None:
    front(*NOW)
    answer = front("status")
    assert "1 read = 1 created + 0 updated + 0 duplicate + 0 rejected" in answer.stdout
    assert answer.stderr == ""
    assert answer.exit_code == 0


def test_status_tells_the_run_that_is_named(front: Front) -> None:
    named = front(*NOW, "--json").document["run"]["run_id"]
    front("resume")
    assert front("status", named, "--json").document["run"]["run_id"] == named
    assert front("status", "--json").document["run"]["run_mode"] == "resume"


def test_status_before_the_first_run_says_how_to_make_one(front: Front) -> None:
    answer = front("status")
    assert answer.stdout == "no run yet: person-sync run makes one\n"
    assert answer.exit_code == 0


def test_resume_with_nothing_open_reads_nobody(front: Front) -> None:
    answer = front("resume")
    assert "(resume) finished" in answer.stdout
    assert "0 read = 0 created" in answer.stdout
    assert answer.exit_code == 0
    assert front.untouched()


def test_resume_answers_in_json(front: Front) -> None:
    assert front("resume", "--json").document["run"]["run_mode"] == "resume"


def test_run_syncs_everybody_new(front: Front) -> None:
    front.set(run={"poll_seconds": 0.05, "allowed_reject_share": 0.5})
    answer = front("run", "--json")
    run = answer.document["run"]
    assert (run["read_count"], run["created_count"], run["rejected_count"]) == (2, 1, 1)
    assert answer.stderr.splitlines().count(WITHOUT) == 1
    assert run["flow_run_id"] is None
    assert answer.exit_code == 0


def test_run_imports_no_prefect_and_leaves_nothing_in_its_home(
    front: Front, tmp_path: Path
) -> None:
    home = tmp_path / "prefect"
    front("run", PREFECT_HOME=str(home))
    assert not home.exists()


def test_run_by_a_server_is_a_flow_run_there(front_by_server: Front) -> None:
    answer = front_by_server("run", "--json")
    assert answer.document["run"]["flow_run_id"]
    assert "without Prefect" not in answer.stderr


def test_run_goes_without_prefect_where_nobody_answers(front: Front) -> None:
    answer = front("run", "--json", PREFECT_API_URL="http://127.0.0.1:1/api")
    assert "without Prefect: no server answers at http://127.0.0.1:1" in answer.stderr
    assert answer.document["run"]["created_count"] == 1
    assert answer.document["run"]["flow_run_id"] is None


def test_a_profile_may_name_the_server(front_by_server: Front, tmp_path: Path) -> None:
    front = front_by_server
    url = front.environment["PREFECT_API_URL"]
    home = tmp_path / "home"
    home.mkdir()
    words = f'active = "ours"\n[profiles.ours]\nPREFECT_API_URL = "{url}"\n'
    (home / "profiles.toml").write_text(words, encoding="utf-8")
    del front.environment["PREFECT_API_URL"]
    answer = front("run", "--json", PREFECT_HOME=str(home))
    assert answer.document["run"]["flow_run_id"], answer.stderr


def test_a_profile_without_a_server_is_no_server(front: Front, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    words = 'active = "plain"\n[profiles.plain]\n[profiles.other]\nPREFECT_API_URL = "http://x"\n'
    (home / "profiles.toml").write_text(words, encoding="utf-8")
    assert WITHOUT in front("run", PREFECT_HOME=str(home)).stderr


@pytest.mark.parametrize("workers", ["threads", "dask"])
def test_run_shares_the_work_without_prefect_too(front: Front, workers: str) -> None:
    front.scenario.put_frame(make_persons(30))
    front.set(
        run={"slice_size": 10, "workers": 2, "task_runner": workers, "allowed_reject_share": 0.9}
    )
    answer = front("run", "--json")
    assert answer.exit_code == 0, answer.everything
    assert answer.document["run"]["read_count"] == 32
    assert front.scenario.unaccounted() == []


def test_run_plan_for_one_person_by_an_owner_of_its_own_sends_nothing(
    front_by_server: Front,
) -> None:
    front = front_by_server
    answer = front("run", "--plan", "--person-id", "P1", "--owner", "user:ada@acme.example")
    assert "would be\n  create  1  Ada\n" in answer.stdout
    assert answer.exit_code == 0
    assert front.written() == {"planned_persons": 1}
    assert front.scenario.leads() == []


def test_help_names_every_command_and_version_tells_the_version(front: Front) -> None:
    told = front("--help")
    for name in ("demo", "migrate", "check", "run", "now", "resume", "status", "emulator"):
        assert f"\n  {name} " in told.stdout
    assert "0.1.0" in front("--version").stdout


def test_the_emulator_says_where_it_listens_and_stops_when_told(front: Front) -> None:
    with front.start("emulator", "--port", "0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("org emulator on http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130


def test_the_emulator_names_the_port_it_cannot_have(front: Front) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = front("emulator", "--port", str(taken.getsockname()[1]))
    assert answer.exit_code == 2
    assert "name another with --port" in answer.stderr


# --- The warehouse is wrong

WAREHOUSES = [
    ("oracle://scott@db.example.com/x", 2, "needs the driver oracle"),
    ("magic://x", 2, "needs the driver magic"),
    ("warehouse.db", 2, "`warehouse.url` is no database address; write sqlite:///"),
    ("sqlite:///nowhere.db", 2, "nowhere.db, which is no database; mend it"),
    ("sqlite:///", 2, "`warehouse.url` names no file"),
    ("sqlite:///person-sync.toml", 2, "cannot be opened (SQLITE_NOTADB)"),
    ("postgresql://loader@127.0.0.1:1/x", 3, "the warehouse is away"),
]


@pytest.mark.parametrize(("url", "exit_code", "words"), WAREHOUSES)
def test_a_wrong_warehouse_url_is_told(front: Front, url: str, exit_code: int, words: str) -> None:
    front.set(warehouse={"url": url})
    nothing_done(front, front(*NOW), exit_code, words)


@pytest.mark.parametrize("command", ["migrate", "resume", "status", "run"])
def test_every_command_tells_of_a_warehouse_that_is_not_there(
    front_by_server: Front, command: str
) -> None:
    front = front_by_server
    front.set(warehouse={"url": "oracle://scott@db.example.com/x"})
    nothing_done(front, front(command), 2, "needs the driver oracle")


def test_a_postgresql_database_that_is_not_there_is_told(front: Front, postgres_url: str) -> None:
    # A wrong password cannot be tried here: the server of the tests trusts everybody.
    front.set(warehouse={"url": postgres_url.replace("/test_", "/none_")})
    nothing_done(front, front(*NOW), 2, "SQLSTATE 3D000", "the database's name, the user or")


def test_a_postgresql_user_that_is_not_there_is_told(front: Front, postgres_url: str) -> None:
    front.set(warehouse={"url": postgres_url.replace("postgres:@", "nobody:@")})
    nothing_done(front, front(*NOW), 2, "SQLSTATE 28", "the user or the password")


def test_a_missing_persons_table_is_told(front: Front) -> None:
    front.set(warehouse={"persons": "people"})
    nothing_done(front, front(*NOW), 2, "`warehouse.persons` names people, and there is no such")


def test_a_missing_column_of_the_settings_is_told_with_those_there_are(front: Front) -> None:
    front.set(fields={"Title": "job_title"})
    words = (
        "persons has no column job_title, which fields.Title needs",
        "which has annual_revenue",
    )
    nothing_done(front, front(*NOW), 2, *words, "mend [fields] or the table")


@pytest.mark.parametrize("column", ["company", "last_name"])
def test_a_missing_column_that_salesforce_needs_is_told(front: Front, column: str) -> None:
    front.scenario.run(f"alter table persons rename column {column} to other")
    nothing_done(front, front(*NOW), 2, f"persons has no column {column}, which fields.")


def test_a_required_field_switched_off_is_told(front: Front) -> None:
    front.set(fields={"Company": ""})
    nothing_done(front, front(*NOW), 2, "fields.Company is switched off, but Salesforce requires")


READ_ONLY = ["mode=ro&uri=true", "immutable=1&uri=true"]


@pytest.mark.parametrize("how", READ_ONLY)
@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+pysqlite"])
def test_a_read_only_sqlite_file_is_told(
    front: Front, tmp_path: Path, scheme: str, how: str
) -> None:
    front.set(warehouse={"url": f"{scheme}:///file:{tmp_path}/warehouse.db?{how}"})
    nothing_done(
        front, front(*NOW), 2, "the warehouse refused (SQLITE_READONLY", "a read-only file"
    )


@pytest.mark.parametrize("command", [NOW, ("migrate",)], ids=["now", "migrate"])
def test_a_postgresql_user_who_may_not_create_is_told(
    front: Front, postgres_url: str, postgres_server: Any, command: tuple[str, ...]
) -> None:
    postgres_server.run("create role {} login", f"reader_{command[0]}")
    front.set(warehouse={"url": postgres_url.replace("postgres:@", f"reader_{command[0]}:@")})
    nothing_done(front, front(*command), 2, "the warehouse refused (SQLSTATE 42501)", "rights")
    postgres_server.run("drop role {}", f"reader_{command[0]}")


def test_a_read_only_postgresql_is_told(
    postgres_warehouse_url: str,
    postgres_server: Any,
    emulator_process: Emulator,
    tmp_path: Path,
    prefect_home: Path,
) -> None:
    scenario = Scenario(postgres_warehouse_url, emulator_process)
    command = "alter database {} set default_transaction_read_only = on"
    postgres_server.run(command, str(scenario.engine.url.database))
    front = Front(scenario, tmp_path, clean_environment(PREFECT_HOME=str(prefect_home)))
    front.set()
    answer = front(*NOW)
    scenario.engine.dispose()
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "the warehouse refused (SQLSTATE 25006)" in answer.stderr


def test_a_locked_warehouse_passes(front: Front, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "warehouse.db", isolation_level=None) as other:
        other.execute("begin immediate")
        answer = front(*NOW)
        other.execute("rollback")
    other.close()
    nothing_done(front, answer, 3, "(SQLITE_BUSY); run again later")


# --- The org is wrong, or the settings do not fit it


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_wrong_secret_is_told(front: Front) -> None:
    front.set(salesforce={"consumer_secret": "wrong"})
    nothing_done(front, front(*NOW), 2, "the org refused the login", "salesforce.consumer_secret")


def test_a_secret_that_is_not_set_is_told(front: Front) -> None:
    front.set(salesforce={"consumer_secret": ""})
    nothing_done(front, front(*NOW), 2, "salesforce.consumer_secret is needed")


def test_a_key_file_others_can_read_is_told(front: Front, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-", encoding="ascii")
    (tmp_path / "key.pem").chmod(0o644)
    jwt = {"login": "jwt", "username": "loader@acme.example", "private_key_file": "key.pem"}
    front.set(salesforce=jwt)
    nothing_done(front, front(*NOW), 2, "key.pem can be read by others: chmod 600 it")


def test_an_unreachable_org_passes(front: Front) -> None:
    front.set(salesforce={"emulator_url": f"http://127.0.0.1:{closed_port()}"})
    nothing_done(front, front(*NOW), 3, "Salesforce does not answer: check the network")


def test_an_org_that_only_faults_passes(front: Front) -> None:
    front.scenario.emulator.go_wrong({"match": "GET /query*", "count": 99, "fault": "status:503"})
    nothing_done(front, front(*NOW), 3, "the org")


def test_another_org_than_the_ledgers_stops_the_run(front: Front) -> None:
    front.scenario.run(
        "insert into sync_orgs values ('00D000000000001AAA', 'Other', true, '2026-01-01 08:00:00')"
    )
    nothing_done(
        front, front(*NOW), 4, "belongs to org 00D000000000001AAA (Other)", "results_schema"
    )


OWNERS = [
    ({"default": "queue:Nobody"}, "owners.default = queue:Nobody: There is no queue"),
    (
        {"default": "user:no@acme.example"},
        "owners.default = user:no@acme.example: There is no user",
    ),
    ({"default": "rule:None"}, "owners.default = rule:None: There is no lead assignment rule"),
    ({"default": "user:gone@acme.example"}, "This user is inactive"),
    ({"default": "queue:Cases"}, "owners.default = queue:Cases: This queue does not serve leads"),
    ({"default": "boss"}, "owners.default: "),
    ({"default_lead_owner": "queue:Nobody"}, "owners.default_lead_owner = queue:Nobody: "),
    ({"default_lead_owner": "rules"}, "owners.default_lead_owner must be a user: or a queue:"),
    (
        {"choice": [{"when": {"country": ["DE"]}, "assign_to": "queue:Nobody"}]},
        "owners.choice 1 = queue:Nobody: There is no queue",
    ),
    (
        {"choice": [{"when": {"planet": ["Mars"]}, "assign_to": "queue:Inbound"}]},
        "owners.choice 1 asks for column planet, which persons does not have",
    ),
    ({"choice": [{"when": {"country": ["DE"]}}]}, "owners.choice"),
]


@pytest.mark.parametrize(("owners", "words"), OWNERS, ids=[words for _, words in OWNERS])
def test_an_owner_who_cannot_be_is_told(front: Front, owners: dict[str, Any], words: str) -> None:
    front.set(owners=owners)
    nothing_done(front, front(*NOW), 2, words)


def test_an_unknown_queue_of_the_option_is_told(front_by_server: Front) -> None:
    front = front_by_server
    answer = front("run", "--owner", "queue:Nobody")
    nothing_done(front, answer, 2, "--owner = queue:Nobody: There is no queue of this name")


def without_active_rule(scenario: Scenario) -> None:
    scenario.emulator.reset(
        ORG.replace("active = true\n[[", "active = false\n[[") + PERSON_ID_FIELD
    )


def test_an_org_without_an_active_rule_is_told(front: Front) -> None:
    without_active_rule(front.scenario)
    words = "No lead assignment rule is active; activate one or name one"
    nothing_done(front, front(*NOW), 2, "owners.default = rules", words)


def test_without_an_active_rule_the_running_user_may_own_all(front: Front) -> None:
    without_active_rule(front.scenario)
    front.set(owners={"without_active_rule": "running_user"})
    assert front(*NOW).stdout.endswith("owned by Loader\n")


FIELD = """
[[field]]
object = "Lead"
name = "Person_Id__c"
type = "string"
length = 64
"""


def hidden(name: str) -> str:
    return f'[[hidden_field]]\nobject = "Lead"\nname = "{name}"\n'


def test_an_org_without_the_person_id_field_is_told(front: Front) -> None:
    front.scenario.set_org(person_id_field=False)
    words = ("Person_Id__c is not there for this login", "Text(64), External ID, Unique")
    nothing_done(front, front(*NOW), 2, *words, 'salesforce.person_id_field = ""')


def test_without_the_field_the_ledger_alone_will_do(front: Front) -> None:
    front.scenario.set_org(person_id_field=False)
    front.set(salesforce={"person_id_field": ""})
    assert front(*NOW).stdout.startswith("P1: created lead 00Q")
    assert len(front.scenario.leads()) == 1


@pytest.mark.parametrize("kind", ["unique = true", "external_id = true", ""])
def test_a_person_id_field_of_the_wrong_kind_is_told(front: Front, kind: str) -> None:
    front.scenario.set_org(FIELD + kind, person_id_field=False)
    words = "Lead field Person_Id__c is not a unique external id: create it as Text(64)"
    nothing_done(front, front(*NOW), 2, words)


def test_a_hidden_person_id_field_is_told(front: Front) -> None:
    front.scenario.set_org(hidden("Person_Id__c"))
    words = ("Person_Id__c is not there for this login", "let this login edit it")
    nothing_done(front, front(*NOW), 2, *words)


def test_a_field_hidden_from_the_login_is_told(front: Front) -> None:
    front.scenario.set_org(hidden("Title"))
    words = ("Lead field Title cannot be written by this login", 'fields.Title = ""')
    nothing_done(front, front(*NOW), 2, *words)


def test_a_hidden_field_left_out_does_no_harm(front: Front) -> None:
    front.scenario.set_org(hidden("Title"))
    front.set(fields={"Title": ""})
    assert front(*NOW).exit_code == 0


# --- The arguments are wrong


def test_unknown_persons_are_told_and_the_others_synced(front: Front) -> None:
    answer = front("now", "P1", "NOPE")
    created, unknown = answer.stdout.splitlines()
    assert created.startswith("P1: created lead 00Q")
    assert unknown == "NOPE: not decided: no such person in the persons table"
    assert answer.exit_code == 2


def test_an_unknown_run_is_told(front: Front) -> None:
    nothing_done(front, front("status", "NOPE"), 2, "there is no run NOPE; `person-sync status`")


ARGUMENTS = [
    (("frob",), "No such command 'frob'"),
    (("now",), "Missing argument 'ID...'"),
    (("run", "--limit", "0"), "Invalid value for '--limit'"),
    (("run", "--limit", "many"), "Invalid value for '--limit'"),
    (("run", "--frob"), "No such option '--frob'"),
    (("status", "a", "b"), "unexpected extra argument (b)"),
    (("emulator", "--port", "70000"), "Invalid value for '--port'"),
    (("demo", "--persons", "0"), "Invalid value for '--persons'"),
    (("check", "--config"), "Option '--config' requires an argument"),
]


@pytest.mark.parametrize(("words", "told"), ARGUMENTS, ids=[" ".join(w) for w, _ in ARGUMENTS])
def test_a_wrong_argument_is_told(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    answer = run_command(*words, folder=tmp_path, environment=clean_environment())
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert told in answer.stderr


def test_without_settings_the_ways_to_give_them_are_told(tmp_path: Path) -> None:
    answer = run_command("check", folder=tmp_path, environment=clean_environment())
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "name a settings file with --config or PERSON_SYNC_CONFIG" in answer.stderr


def test_wrong_settings_are_all_told(front: Front) -> None:
    front.set(run={"slice_size": 0}, matching={"deletd": "x"})
    nothing_done(front, front(*NOW), 2, "run.slice_size", "perhaps deleted is meant")


def test_a_failure_is_one_json_document_too(front: Front) -> None:
    front.set(salesforce={"emulator_url": f"http://127.0.0.1:{closed_port()}"})
    answer = front("resume", "--json")
    assert answer.document["error"] == "OrgUnavailableError"
    assert answer.document["is_transient"] is True
    assert answer.document["message"] in answer.stderr
    assert answer.exit_code == 3


def test_a_run_that_stopped_before_anybody_was_read_says_why_in_status(front: Front) -> None:
    front.set(owners={"default": "queue:Nobody"})
    front(*NOW)
    told = front("status").stdout
    assert "(now) failed" in told
    assert "owners.default = queue:Nobody: There is no queue of this name" in told


# --- Ctrl-C

SLOW = "[behaviour]\nqueue_seconds = 6.0\n"


def wait_for(is_there: Callable[[], Any], seconds: float = 60) -> None:
    give_up_at = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def interrupt_under_way(front: Front, *words: str) -> Answer:
    """Start the command, and press Ctrl-C once its job is closed and the org at work."""
    with front.start(*words) as process:
        closing = "select 1 from lead_batches where batch_state = 'submitted'"
        wait_for(lambda: front.scenario.rows(closing))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stdout + stderr, stderr
    return Answer(process.returncode, stdout, stderr)


@pytest.mark.parametrize("words", [("run",), ("now", "P1", "P2")], ids=["run", "now"])
def test_ctrl_c_loses_nobody_and_resume_goes_on(
    front_by_server: Front, words: tuple[str, ...]
) -> None:
    front = front_by_server
    front.scenario.set_org(SLOW, person_id_field=False)
    front.set(salesforce={"person_id_field": ""})
    answer = interrupt_under_way(front, *words)
    assert answer.exit_code == 130
    assert (
        "interrupted: nothing is lost; `person-sync run` or `person-sync resume`" in answer.stderr
    )
    assert list(front.scenario.outcomes_by_id()) == ["P2"]
    assert front.written()["person_claims"] == 1
    assert front("resume").exit_code == 0
    assert front.scenario.outcomes_by_id()["P1"]["outcome"] == "created"
    assert len(front.scenario.leads()) == 1


def test_status_of_an_interrupted_run_tells_what_is_open(front: Front) -> None:
    front.scenario.set_org(SLOW, person_id_field=False)
    front.set(salesforce={"person_id_field": ""})
    interrupt_under_way(front, *NOW)
    told = front("status")
    assert "(now) failed" in told.stdout
    assert "interrupted" in told.stdout
    assert "1 open" in told.stdout
    assert "submitted, held until" in told.stdout


# --- Check: everything at once, and nothing written


def tables(scenario: Scenario) -> list[dict[str, Any]]:
    return scenario.rows("select type, name, sql from sqlite_master order by name")


def held(scenario: Scenario) -> list[Any]:
    return [scenario.emulator.held(kind) for kind in ("leads", "contacts", "jobs")]


@pytest.mark.parametrize("is_good", [True, False])
def test_check_writes_nothing(front: Front, tmp_path: Path, is_good: bool) -> None:
    bare = tmp_path / "bare.db"
    with sqlite3.connect(bare) as connection:
        connection.execute("create table persons (person_id text, last_name text, company text)")
    connection.close()
    scenario = Scenario(f"sqlite:///{bare}", front.scenario.emulator)
    front.set(warehouse={"url": scenario.warehouse_url}, owners={} if is_good else {"default": "x"})
    before = tables(scenario), held(scenario)
    assert front("check").exit_code == (0 if is_good else 2)
    assert (tables(scenario), held(scenario)) == before
    scenario.engine.dispose()


def wrong_lines(answer: Answer) -> dict[str, str]:
    lines = [line.removeprefix("WRONG ") for line in answer.stdout.splitlines() if "WRONG" in line]
    return dict(line.split(": ", 1) for line in lines)


def test_check_tells_wrong_columns_and_a_wrong_secret_at_once(front: Front) -> None:
    front.set(fields={"Title": "job_title"}, salesforce={"consumer_secret": "wrong"})
    answer = front("check")
    assert list(wrong_lines(answer)) == ["persons table", "login"]
    assert answer.exit_code == 2


def test_check_tells_wrong_columns_and_owners_at_once(front: Front) -> None:
    front.set(fields={"Title": "job_title"}, owners={"default": "queue:Nobody"})
    assert list(wrong_lines(front("check"))) == ["persons table", "owners"]


def test_check_tells_a_wrong_field_and_owners_at_once(front: Front) -> None:
    front.scenario.set_org(person_id_field=False)
    front.set(owners={"default": "user:gone@acme.example"})
    assert list(wrong_lines(front("check"))) == ["person-id field", "owners"]


def test_check_tells_every_column_that_is_missing(front: Front) -> None:
    front.set(fields={"Title": "job_title", "City": "town"})
    told = wrong_lines(front("check"))["persons table"]
    assert "job_title" in told
    assert "town" in told


def test_check_tells_every_owner_that_cannot_be(front: Front) -> None:
    choice = {"when": {"country": ["DE"]}, "assign_to": "queue:Cases"}
    front.set(owners={"default": "queue:Nobody", "choice": [choice]})
    told = front("check").stdout
    assert "queue:Nobody" in told
    assert "queue:Cases" in told


def test_check_tells_a_wrong_warehouse_and_a_wrong_secret_at_once(front: Front) -> None:
    front.set(warehouse={"url": "sqlite:///no.db"}, salesforce={"consumer_secret": "wrong"})
    assert {"warehouse", "login"} <= set(wrong_lines(front("check")))


def test_check_passes_where_the_org_is_away(front: Front) -> None:
    front.set(salesforce={"emulator_url": f"http://127.0.0.1:{closed_port()}"})
    answer = front("check")
    assert list(wrong_lines(answer)) == ["login"]
    assert answer.exit_code == 3


def test_check_finds_a_warehouse_no_run_could_write(front: Front, tmp_path: Path) -> None:
    url = f"sqlite+pysqlite:///file:{tmp_path}/warehouse.db?mode=ro&uri=true"
    front.set(warehouse={"url": url})
    answer = front("check")
    assert "the warehouse refused" in answer.stdout
    assert answer.exit_code == 2


def test_check_finds_that_the_ledger_is_another_orgs(front: Front) -> None:
    front.scenario.run(
        "insert into sync_orgs values ('00D000000000001AAA', 'Other', true, '2026-01-01 08:00:00')"
    )
    answer = front("check")
    assert answer.exit_code == 4
    assert "belongs to org 00D000000000001AAA" in answer.stdout


def test_check_finds_that_few_calls_are_left(front: Front) -> None:
    front.scenario.set_org("[limits]\ndaily_api_requests = 100\n")
    assert "API calls are left today: run tomorrow" in wrong_lines(front("check"))["limits"]


# --- A human's word on a held person

GONE = {"job": "nth:1", "fault": "forget"}


def hold(front: Front) -> None:
    """P1 is held: the org has forgotten the job, and there is no field to ask by."""
    front.scenario.set_org(person_id_field=False)
    front.set(salesforce={"person_id_field": ""})
    front.scenario.emulator.go_wrong(GONE)
    assert front(*NOW).stdout.startswith("P1: held: JOB_GONE")


def test_status_gives_the_command_that_releases_a_held_person(front: Front) -> None:
    hold(front)
    told = front("status").stdout
    command = next(line for line in told.splitlines() if "created:LEAD_ID" in line)
    lead_id = front.scenario.leads()[0]["Id"]
    words = command.replace("LEAD_ID", lead_id).split()[1:]
    answer = front(*words, LOGNAME="ada")
    assert (answer.exit_code, "said by ada" in answer.stdout) == (0, True)
    assert front(*NOW).stdout.startswith(f"P1: created lead {lead_id}")
    assert "waiting for a human" not in front("status").stdout


def test_resolve_answers_in_json(front: Front) -> None:
    hold(front)
    words = ("resolve", "P1", "--as", "resend", "--by", "bo", "--note", "no lead there", "--json")
    first, second = front(*words).document, front(*words).document
    told = [first[name] for name in ("person_id", "resolved_as", "resolved_by", "note", "is_new")]
    assert told == ["P1", "resend", "bo", "no lead there", True]
    assert second == {**first, "is_new": False}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("P1", "--as", "gone"), "--as takes created:LEAD_ID, resend or rejected"),
        (("P1", "--as", "created:003"), "is not the id of a lead"),
        (("P9", "--as", "resend"), "no run has ever decided on person 'P9'"),
    ],
)
def test_a_word_that_cannot_be_is_told(front: Front, words: tuple[str, ...], told: str) -> None:
    nothing_done(front, front("resolve", *words), 2, told)


def test_a_restored_ledger_is_told_and_a_human_may_go_on(front: Front) -> None:
    front.scenario.set_org(person_id_field=False)
    front.set(salesforce={"person_id_field": ""})
    front(*NOW)
    for table in ("salesforce_jobs", "lead_batches", "person_outcomes", "person_emails"):
        front.scenario.run(f"delete from {table}")
    stopped = front(*NOW)
    assert (stopped.exit_code, "resume --accept-unknown-jobs" in stopped.stderr) == (4, True)
    assert front("resume", "--accept-unknown-jobs").exit_code == 0
    assert front(*NOW).stdout.startswith("P1: duplicate: already known in")


# --- A plan, and the run that follows it; without Prefect, on each engine

DECIDED = {
    "create": "created",
    "update": "updated",
    "duplicate": "duplicate",
    "reject": "rejected",
}
# Only Salesforce's own duplicate rules, asked at the insert itself, can tell of these.
FOUND_BY_SALESFORCE = {"P0166", "P0167", "P0168"}
PLANNED = "select person_id, decision, owner_strategy, matched_id, reason_code from planned_persons"


@pytest.fixture
def demo_scenario(any_scenario: Scenario) -> Scenario:
    """The demo's persons, org and owner choices, on each engine in turn."""
    persons = _read_persons(DATA / "persons.csv")
    persons.to_sql("demo_persons", any_scenario.engine, index=False)
    any_scenario.emulator.reset((DATA / "org.toml").read_text(encoding="utf-8"))
    choices = tomllib.loads((DATA / "owner-choices.toml").read_text(encoding="utf-8"))
    any_scenario.choices = {
        "warehouse": {"persons": "demo_persons"},
        "salesforce": {"consumer_key": "demo-key", "consumer_secret": "demo-secret"},
        "owners": choices["owners"],
    }
    return any_scenario


@pytest.mark.parametrize("slice_size", [20, 10_000])
def test_a_live_run_does_what_was_planned_person_by_person(
    demo_scenario: Scenario, slice_size: int
) -> None:
    before = held(demo_scenario)
    plan = demo_scenario.sync("plan", run={"slice_size": slice_size})
    assert held(demo_scenario) == before
    assert demo_scenario.outcomes_by_id() == {}
    planned = {row["person_id"]: row for row in demo_scenario.rows(PLANNED)}
    demo_scenario.sync(run={"slice_size": slice_size})
    outcomes = demo_scenario.outcomes_by_id()
    assert planned.keys() == outcomes.keys()
    changed = {
        one for one in planned if DECIDED[planned[one]["decision"]] != outcomes[one]["outcome"]
    }
    assert changed == FOUND_BY_SALESFORCE
    for one, row in planned.items():
        assert row["owner_strategy"] == outcomes[one]["owner_strategy"], one
    assert sum(row["person_count"] for row in plan["planned"]) == len(planned)


def test_a_plan_counts_whom_it_would_create_and_reject(front: Front) -> None:
    told = front.scenario.sync("plan")
    counts = {row["decision"]: row["person_count"] for row in told["planned"]}
    assert counts == {"create": 1, "reject": 1}
    assert front.written() == {"planned_persons": 2}


def test_a_second_plan_finds_the_same(front: Front) -> None:
    first, second = front.scenario.sync("plan"), front.scenario.sync("plan")
    assert first["planned"] == second["planned"]


@pytest.mark.parametrize("mode", ["plan", "live"])
def test_one_person_in_several_slices_is_found_twice_and_made_once(
    any_scenario: Scenario, mode: str
) -> None:
    lines = [f"P{n} | Lovelace{n} | Engines | ada@x.example | 2026-01-0{n}" for n in range(1, 9)]
    any_scenario.put("\n".join(["person_id | last_name | company | email | created_at", *lines]))
    any_scenario.sync(mode, run={"slice_size": 3})
    table, column = (
        ("planned_persons", "decision") if mode == "plan" else ("person_outcomes", "outcome")
    )
    found = any_scenario.rows(f"select person_id, {column} as what from {table} order by person_id")
    assert [row["what"].removesuffix("d") for row in found] == ["create", *["duplicate"] * 7]
    assert len(any_scenario.leads()) == (0 if mode == "plan" else 1)


# --- A rejected person, mended


def test_a_rejected_person_is_read_again_only_once_updated_at_has_moved(front: Front) -> None:
    scenario = front.scenario
    assert scenario.sync()["run"]["read_count"] == 2
    scenario.run("update persons set company = 'Engines' where person_id = 'P2'")
    assert scenario.sync()["run"]["read_count"] == 0
    scenario.run("update persons set updated_at = '2026-02-02 08:00:00' where person_id = 'P2'")
    mended = scenario.sync()["run"]
    assert (mended["read_count"], mended["created_count"]) == (1, 1)
    assert scenario.outcomes_by_id()["P2"]["attempt_count"] == 2
