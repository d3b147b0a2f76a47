"""`person-sync resume`: open batches are completed, and unknown jobs accepted."""

from __future__ import annotations

from tests.cli.conftest import (
    NOW,
    CommandLine,
)


def test_resume_with_nothing_open_reads_no_person(cli: CommandLine) -> None:
    answer = cli("resume")
    assert "(resume) finished" in answer.stdout
    assert "0 read = 0 created" in answer.stdout
    assert answer.exit_code == 0
    assert cli.untouched()


def test_resume_prints_json(cli: CommandLine) -> None:
    assert cli("resume", "--json").document["run"]["run_mode"] == "resume"


def test_a_restored_ledger_is_reported_and_a_user_may_continue(cli: CommandLine) -> None:
    cli.scenario.set_org(person_id_field=False)
    cli.set(salesforce={"person_id_field": ""})
    cli(*NOW)
    for table in ("salesforce_jobs", "lead_batches", "person_outcomes", "person_emails"):
        cli.scenario.run(f"delete from {table}")
    stopped = cli(*NOW)
    assert (stopped.exit_code, "resume --accept-unknown-jobs" in stopped.stderr) == (4, True)
    assert cli("resume", "--accept-unknown-jobs").exit_code == 0
    assert cli(*NOW).stdout.startswith("P1: duplicate: already known in")
