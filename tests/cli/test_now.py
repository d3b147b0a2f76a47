"""`person-sync now`: the persons asked for by id, immediately."""

from __future__ import annotations

import time

from tests.cli.conftest import (
    NOW,
    CommandLine,
)


def test_now_prints_the_outcome_of_each_person(cli: CommandLine) -> None:
    answer = cli("now", "P1", "P2")
    created, rejected = answer.stdout.splitlines()
    assert created.startswith("P1: created lead 00Q")
    assert created.endswith("owned by Unassigned")
    assert rejected == "P2: rejected: company_missing"
    assert answer.exit_code == 1  # half of them rejected is more than the settings allow
    assert [lead["Person_Id__c"] for lead in cli.scenario.leads()] == ["P1"]


def test_now_prints_json_and_its_progress_on_stderr(cli: CommandLine) -> None:
    answer = cli(*NOW, "--json")
    (person,) = answer.document["persons"]
    assert (person["person_id"], person["outcome"]) == ("P1", "created")
    assert answer.document["run"]["created_count"] == 1
    assert "Acme (sandbox, 00D" in answer.stderr
    assert answer.exit_code == 0


def test_now_prints_the_same_when_asked_again(cli: CommandLine) -> None:
    first, second = cli(*NOW), cli(*NOW)
    assert first.stdout == second.stdout
    assert len(cli.scenario.leads()) == 1


def test_now_starts_no_prefect(cli: CommandLine) -> None:
    started = time.monotonic()
    answer = cli(*NOW)
    assert "Prefect" not in answer.output
    assert time.monotonic() - started < 15  # a server alone takes 7 to 12 seconds


def test_unknown_persons_are_reported_and_the_others_synced(cli: CommandLine) -> None:
    answer = cli("now", "P1", "NOPE")
    created, unknown = answer.stdout.splitlines()
    assert created.startswith("P1: created lead 00Q")
    assert unknown == "NOPE: not decided: no such person in the persons table"
    assert answer.exit_code == 2
