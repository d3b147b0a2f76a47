"""`person-sync status`: the last run, or the one named, and what is still open."""

from __future__ import annotations

from tests.cli.conftest import (
    NOW,
    CommandLine,
    nothing_done,
)


def test_status_shows_the_last_run(cli: CommandLine) -> None:
    cli(*NOW)
    answer = cli("status")
    assert "1 read = 1 created + 0 updated + 0 duplicate + 0 rejected" in answer.stdout
    assert answer.stderr == ""
    assert answer.exit_code == 0


def test_status_shows_the_run_that_is_named(cli: CommandLine) -> None:
    named = cli(*NOW, "--json").document["run"]["run_id"]
    cli("resume")
    assert cli("status", named, "--json").document["run"]["run_id"] == named
    assert cli("status", "--json").document["run"]["run_mode"] == "resume"


def test_status_before_the_first_run_names_how_to_make_one(cli: CommandLine) -> None:
    answer = cli("status")
    assert answer.stdout == "no run yet: person-sync run makes one\n"
    assert answer.exit_code == 0


def test_an_unknown_run_is_reported(cli: CommandLine) -> None:
    nothing_done(cli, cli("status", "NOPE"), 2, "there is no run NOPE; `person-sync status`")


def test_a_run_that_stopped_before_any_person_was_read_shows_why_in_status(
    cli: CommandLine,
) -> None:
    cli.set(owners={"default": "queue:Nobody"})
    cli(*NOW)
    reported = cli("status").stdout
    assert "(now) failed" in reported
    assert "owners.default = queue:Nobody: There is no queue of this name" in reported
