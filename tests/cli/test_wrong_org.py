"""An org that is wrong, or settings that do not fit it: one sentence, and nothing done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import (
    NOW,
    CommandLine,
    closed_port,
    nothing_done,
)
from tests.org import ORG, PERSON_ID_FIELD
from tests.steps.scenario import Scenario


def test_a_wrong_secret_is_reported(cli: CommandLine) -> None:
    cli.set(salesforce={"consumer_secret": "wrong"})
    nothing_done(cli, cli(*NOW), 2, "the org refused the login", "salesforce.consumer_secret")


def test_a_secret_that_is_not_set_is_reported(cli: CommandLine) -> None:
    cli.set(salesforce={"consumer_secret": ""})
    nothing_done(cli, cli(*NOW), 2, "salesforce.consumer_secret is needed")


def test_a_key_file_others_can_read_is_reported(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("-", encoding="ascii")
    (tmp_path / "key.pem").chmod(0o644)
    jwt = {"login": "jwt", "username": "loader@acme.example", "private_key_file": "key.pem"}
    cli.set(salesforce=jwt)
    nothing_done(cli, cli(*NOW), 2, "key.pem can be read by others: chmod 600 it")


def test_an_unreachable_org_passes(cli: CommandLine) -> None:
    cli.set(salesforce={"emulator_url": f"http://127.0.0.1:{closed_port()}"})
    nothing_done(cli, cli(*NOW), 3, "Salesforce does not answer: check the network")


def test_an_org_that_only_faults_passes(cli: CommandLine) -> None:
    cli.scenario.emulator.go_wrong({"match": "GET /query*", "count": 99, "fault": "status:503"})
    nothing_done(cli, cli(*NOW), 3, "the org")


def test_another_org_than_the_ledgers_stops_the_run(cli: CommandLine) -> None:
    cli.scenario.run(
        "insert into sync_orgs values ('00D000000000001AAA', 'Other', true, '2026-01-01 08:00:00')"
    )
    nothing_done(cli, cli(*NOW), 4, "belongs to org 00D000000000001AAA (Other)", "results_schema")


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
def test_an_owner_who_cannot_be_is_reported(
    cli: CommandLine, owners: dict[str, Any], words: str
) -> None:
    cli.set(owners=owners)
    nothing_done(cli, cli(*NOW), 2, words)


def test_an_unknown_queue_of_the_option_is_reported(cli: CommandLine) -> None:
    answer = cli("run", "--owner", "queue:Nobody")
    nothing_done(cli, answer, 2, "--owner = queue:Nobody: There is no queue of this name")


def without_active_rule(scenario: Scenario) -> None:
    scenario.emulator.reset(
        ORG.replace("active = true\n[[", "active = false\n[[") + PERSON_ID_FIELD
    )


def test_an_org_without_an_active_rule_is_reported(cli: CommandLine) -> None:
    without_active_rule(cli.scenario)
    words = "No lead assignment rule is active; activate one or name one"
    nothing_done(cli, cli(*NOW), 2, "owners.default = rules", words)


def test_without_an_active_rule_the_running_user_may_own_all(cli: CommandLine) -> None:
    without_active_rule(cli.scenario)
    cli.set(owners={"without_active_rule": "running_user"})
    assert cli(*NOW).stdout.endswith("owned by Loader\n")


FIELD = """
[[field]]
object = "Lead"
name = "Person_Id__c"
type = "string"
length = 64
"""


def hidden(name: str) -> str:
    return f'[[hidden_field]]\nobject = "Lead"\nname = "{name}"\n'


def test_an_org_without_the_person_id_field_is_reported(cli: CommandLine) -> None:
    cli.scenario.set_org(person_id_field=False)
    words = ("Person_Id__c is not there for this login", "Text(64), External ID, Unique")
    nothing_done(cli, cli(*NOW), 2, *words, 'salesforce.person_id_field = ""')


def test_without_the_field_the_ledger_alone_will_do(cli: CommandLine) -> None:
    cli.scenario.set_org(person_id_field=False)
    cli.set(salesforce={"person_id_field": ""})
    assert cli(*NOW).stdout.startswith("P1: created lead 00Q")
    assert len(cli.scenario.leads()) == 1


@pytest.mark.parametrize("kind", ["unique = true", "external_id = true", ""])
def test_a_person_id_field_of_the_wrong_kind_is_reported(cli: CommandLine, kind: str) -> None:
    cli.scenario.set_org(FIELD + kind, person_id_field=False)
    words = "Lead field Person_Id__c is not a unique external id: create it as Text(64)"
    nothing_done(cli, cli(*NOW), 2, words)


def test_a_hidden_person_id_field_is_reported(cli: CommandLine) -> None:
    cli.scenario.set_org(hidden("Person_Id__c"))
    words = ("Person_Id__c is not there for this login", "let this login edit it")
    nothing_done(cli, cli(*NOW), 2, *words)


def test_a_field_hidden_from_the_login_is_reported(cli: CommandLine) -> None:
    cli.scenario.set_org(hidden("Title"))
    words = ("Lead field Title cannot be written by this login", 'fields.Title = ""')
    nothing_done(cli, cli(*NOW), 2, *words)


def test_a_hidden_field_left_out_does_no_harm(cli: CommandLine) -> None:
    cli.scenario.set_org(hidden("Title"))
    cli.set(fields={"Title": ""})
    assert cli(*NOW).exit_code == 0
