"""`person-sync resolve`: a decision on a held person."""

from __future__ import annotations

import pytest

from tests.cli.conftest import (
    NOW,
    CommandLine,
    nothing_done,
)

GONE = {"job": "nth:1", "fault": "forget"}


def hold(cli: CommandLine) -> None:
    """P1 is held: the org has forgotten the job, and there is no field to ask by."""
    cli.scenario.set_org(person_id_field=False)
    cli.set(salesforce={"person_id_field": ""})
    cli.scenario.emulator.go_wrong(GONE)
    assert cli(*NOW).stdout.startswith("P1: held: JOB_GONE")


def test_status_gives_the_command_that_releases_a_held_person(cli: CommandLine) -> None:
    hold(cli)
    reported = cli("status").stdout
    command = next(line for line in reported.splitlines() if "created:LEAD_ID" in line)
    lead_id = cli.scenario.leads()[0]["Id"]
    words = command.replace("LEAD_ID", lead_id).split()[1:]
    answer = cli(*words, LOGNAME="ada")
    assert (answer.exit_code, "by ada" in answer.stdout) == (0, True)
    assert cli(*NOW).stdout.startswith(f"P1: created lead {lead_id}")
    assert "waiting for a decision" not in cli("status").stdout


def test_resolve_prints_json(cli: CommandLine) -> None:
    hold(cli)
    words = ("resolve", "P1", "--as", "resend", "--by", "bo", "--note", "no lead there", "--json")
    first, second = cli(*words).document, cli(*words).document
    reported = [
        first[name] for name in ("person_id", "resolved_as", "resolved_by", "note", "is_new")
    ]
    assert reported == ["P1", "resend", "bo", "no lead there", True]
    assert second == {**first, "is_new": False}


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (("P1", "--as", "gone"), "--as takes created:LEAD_ID, resend or rejected"),
        (("P1", "--as", "created:003"), "is not the id of a lead"),
        (("P9", "--as", "resend"), "no run has ever decided about person 'P9'"),
    ],
)
def test_a_decision_that_cannot_be_is_reported(
    cli: CommandLine, words: tuple[str, ...], reported: str
) -> None:
    nothing_done(cli, cli("resolve", *words), 2, reported)
