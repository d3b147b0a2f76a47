"""What a run reports: in lines, in Markdown, and by its exit code."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import ConfigurationError, OrgUnavailableError, WarehouseUnavailableError
from pipelines.process import terminal
from pipelines.run.summaries import (
    OUTCOMES,
    TABLES,
    attention,
    duration,
    exit_code,
    failure,
    last_line,
    summarise,
)
from pipelines.run.summary_lines import as_lines, held_parts, person_parts
from tests.steps.scenario import Scenario

PARTS = (*TABLES, "taken_over_batches", "open_batches", "held_persons")


def run_row(**counts: int) -> dict[str, Any]:
    row: dict[str, Any] = {f"{name}_count": counts.get(name, 0) for name in OUTCOMES}
    row |= {"read_count": sum(counts.values()), "run_id": "R1", "run_mode": "live"}
    row |= {"run_state": "finished", "api_call_count": 9, "error_message": None}
    return {**row, "started_at": "2026-01-31T08:00:00", "finished_at": "2026-01-31T08:01:02.5"}


def summary(run: dict[str, Any], **tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {"run": run, **{name: tables.get(name, []) for name in PARTS}}


def owned_by(*names: str | None) -> dict[str, Any]:
    rows = [{"owner_name": name, "created_count": 1, "owner_type": "user"} for name in names]
    return summary(run_row(created=len(names)), owners=rows)


# --- Lines


def test_the_lines_show_the_balance_and_the_calls() -> None:
    run, counts = as_lines(summary(run_row(created=3, duplicate=2, rejected=1)))
    assert run == "run R1 (live) finished, 2026-01-31 08:01:02 UTC"
    sums = "3 created + 0 updated + 2 duplicate + 1 rejected + 0 held + 0 open"
    assert counts == f"6 read = {sums}; 9 API calls"


def test_a_run_still_under_way_shows_when_it_started() -> None:
    run = {**run_row(), "run_state": "running", "finished_at": None}
    assert as_lines(summary(run))[0] == "run R1 (live) running, 2026-01-31 08:00:00 UTC"


def test_a_failed_run_shows_why() -> None:
    run = {**run_row(), "run_state": "failed", "error_message": "Salesforce does not answer"}
    assert as_lines(summary(run))[1] == "  Salesforce does not answer"


def test_without_a_run_the_command_for_one_is_named() -> None:
    assert as_lines({"run": None}) == ["no run yet: person-sync run makes one"]


def test_rows_of_one_name_are_counted_together_and_the_most_come_first() -> None:
    rows = [
        {"rule_name": name, "person_count": count, "description": "No."}
        for name, count in (("a", 1), ("b", 20), ("a", 3))
    ]
    reported = as_lines(summary(run_row(rejected=24), reasons=rows))
    assert reported[2:] == ["", "rejected, per rule", "  b  20  No.", "  a   4  No."]


def test_strategies_show_their_outcomes_and_who_was_undecided() -> None:
    rows = [
        {"owner_strategy": "rules", "outcome": "created", "person_count": 2},
        {"owner_strategy": "rules", "outcome": "duplicate", "person_count": 1},
        {"owner_strategy": "NONE", "outcome": "rejected", "person_count": 1},
    ]
    reported = as_lines(summary(run_row(created=2, duplicate=1, rejected=1), strategies=rows))
    assert reported[3:] == [
        "per owner strategy",
        "  rules        3  2 created, 1 duplicate",
        "  (undecided)  1  1 rejected",
    ]


def test_columns_stand_straight_beside_names_of_double_width() -> None:
    *_, japanese, latin = as_lines(owned_by("森田 健司郎", "Mira"))
    assert japanese == "  森田 健司郎  1  user"
    assert latin == "  Mira         1  user"


def test_an_owner_without_a_name_is_a_question_mark() -> None:
    assert as_lines(owned_by(None))[-1] == "  ?  1  user"


OPEN = {
    "batch_id": "B1",
    "person_count": 5,
    "batch_state": "submitted",
    "lease_until": "2026-01-31T09:00:00.123456",
}


def test_open_batches_are_reported_with_their_state() -> None:
    reported = as_lines(summary(run_row(open=5), open_batches=[OPEN]))
    assert reported[-2] == "open batches"
    assert reported[-1].startswith("  B1  5  submitted, held until 2026-01-31")


HELD = {
    "person_id": "P 1",
    "reason_code": "JOB_GONE",
    "salesforce_job_id": "750A",
    "decided_at": "2026-01-31T08:00:00.000000Z",
}


def test_held_persons_are_reported_with_the_commands_that_release_them() -> None:
    reported = summary(run_row(), held_persons=[HELD]) | {"held_person_count": 3}
    assert terminal.as_lines(held_parts(reported)) == [
        "",
        "3 held, each waiting for a decision",
        "  P 1: JOB_GONE, job 750A, since 2026-01-31 08:00 UTC",
        "    person-sync resolve 'P 1' --as created:LEAD_ID",
        "    person-sync resolve 'P 1' --as resend",
        "    person-sync resolve 'P 1' --as rejected",
        "  ... and 2 more",
    ]


def test_the_command_for_an_id_like_an_option_can_be_typed_as_it_stands() -> None:
    reported = summary(run_row(), held_persons=[HELD | {"person_id": "-7"}]) | {
        "held_person_count": 1
    }
    command = terminal.as_lines(held_parts(reported, Path("my.toml")))[-1]
    assert command == "    person-sync resolve --config my.toml --as rejected -- -7"


def test_what_was_resolved_is_reported_with_who_found_it_out() -> None:
    rows = [
        {"resolved_as": "created", "is_automatic": by_itself, "person_count": count}
        for by_itself, count in ((True, 2), (False, 1))
    ]
    assert as_lines(summary(run_row(created=3), resolutions=rows))[-3:] == [
        "held before, now resolved",
        "  created  2  found by the person-id field",
        "  created  1  decided by a user",
    ]


def completed(**counts: int) -> dict[str, Any]:
    return {"batch_id": "B1", "run_id": "R0"} | {
        f"{name}_count": counts.get(name, 0) for name in OUTCOMES
    }


def test_what_was_completed_for_an_earlier_run_is_reported() -> None:
    reported = as_lines(summary(run_row(), taken_over_batches=[completed(created=3)]))
    assert reported[-2:] == ["completed for earlier runs", "  created of batch B1  3  run R0"]


PERSONS = [
    ("created", "created lead 00Q1, owned by Mira"),
    ("updated", "updated 00Q1"),
    ("duplicate", "duplicate: already known in lead 00Q2"),
    ("rejected", "rejected: company_missing"),
    ("held", "held: LOST; decide on it by person-sync resolve"),
    ("open", "under way in batch B1, submitted"),
    ("new", "not decided: no such person in the persons table"),
]


@pytest.mark.parametrize(("outcome", "words"), PERSONS)
def test_each_outcome_of_a_person_has_its_sentence(outcome: str, words: str) -> None:
    person = {"person_id": "P1", "outcome": outcome, "lead_id": "00Q1", "contact_id": None}
    person |= {"owner_name": "Mira", "matched": "lead 00Q2", "rules": "company_missing"}
    person |= {"reason_code": "LOST", "batch_id": "B1", "batch_state": "submitted"}
    assert terminal.as_lines(person_parts({"persons": [person]})) == [f"P1: {words}"]


# --- Markdown


# --- What a state's message and a log's last line say

REASONS = [
    {"rule_name": name, "person_count": count, "description": "S", "remedy": "R"}
    for name, count in (("a", 1200), ("b", 40), ("c", 3), ("d", 1))
]


def test_the_last_line_shows_the_equation_the_first_three_reasons_and_the_duration() -> None:
    reported = summary(run_row(created=1500, rejected=1244), reasons=REASONS)
    assert last_line(reported, 12.34) == (
        "done in 12.3 s: 2,744 read = 1,500 created + 0 updated + 0 duplicate + 1,244 rejected"
        " + 0 held + 0 open; most rejected for a 1,200, b 40, c 3"
    )


def test_a_run_without_rejections_has_no_reasons_in_its_last_line() -> None:
    assert last_line(summary(run_row(created=1)), 0.5).endswith("+ 0 held + 0 open")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (250.4, "4 min 10 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_transient_failure_names_who_stays_open_and_when_resume_continues() -> None:
    reported = failure(
        OrgUnavailableError("Salesforce did not answer"),
        summary(run_row(created=2110, open=390)),
        resumes_at=datetime(2026, 11, 30, 21, 7),  # noqa: DTZ001 - naive UTC, as the ledger has it
    )
    assert reported == (
        "transient: Salesforce did not answer; 2,500 read = 2,110 created + 0 updated + 0 duplicate"
        " + 0 rejected + 0 held + 390 open; 390 persons stay open; "
        "resume continues with them at 21:07 UTC"
    )


def test_a_permanent_failure_names_the_correction_to_come_first() -> None:
    reported = failure(ConfigurationError("owners.default is wrong"), summary(run_row(open=1)))
    assert reported.startswith("permanent: owners.default is wrong; 1 read = ")
    assert reported.endswith(
        "1 person stays open; once this is corrected, person-sync resume, or the next run, "
        "continues with them"
    )


def test_a_failure_that_left_no_person_open_is_named() -> None:
    reported = failure(OrgUnavailableError("no answer"), summary(run_row()))
    assert reported.endswith("no person stays open; the next run reads those who are still new")


def test_a_failure_without_a_warehouse_shows_what_it_knows() -> None:
    assert failure(WarehouseUnavailableError("it is away"), None) == "transient: it is away"


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({"created": 8, "rejected": 2}, None),
        ({"created": 7, "rejected": 3}, "Rejected"),
        ({"created": 9, "held": 1}, "Held"),
        ({"rejected": 9, "held": 1}, "Held"),
    ],
)
def test_what_asks_for_a_look_is_the_graver_of_the_two(
    counts: dict[str, int], found: str | None
) -> None:
    assert attention(summary(run_row(**counts)), 0.2) == found


# --- The exit code

CODES: list[tuple[dict[str, int], float, int]] = [
    ({"created": 10}, 0.2, 0),
    ({}, 0.2, 0),
    ({"created": 8, "rejected": 2}, 0.2, 0),
    ({"created": 7, "rejected": 3}, 0.2, 1),
    ({"rejected": 10}, 1.0, 0),
    ({"created": 999, "rejected": 1}, 0.0, 1),
    ({"created": 9, "held": 1}, 0.2, 1),
    ({"created": 9, "open": 1}, 0.2, 3),
    ({"held": 1, "open": 1, "rejected": 8}, 0.2, 3),
]


@pytest.mark.parametrize(("counts", "allowed", "code"), CODES)
def test_the_exit_code_is_the_contracts(counts: dict[str, int], allowed: float, code: int) -> None:
    assert exit_code(summary(run_row(**counts)), allowed) == code


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [(["created"], 0), (["created", "new"], 2), (["open"], 3), (["new", "open"], 2), ([], 0)],
)
def test_the_exit_code_minds_the_persons_asked_for(outcomes: list[str], code: int) -> None:
    reported = summary(run_row(created=1)) | {"persons": [{"outcome": one} for one in outcomes]}
    assert exit_code(reported, 0.2) == code


def test_a_person_held_while_carrying_on_for_an_earlier_run_counts() -> None:
    assert exit_code(summary(run_row(), taken_over_batches=[completed(held=1)]), 0.2) == 1


@pytest.mark.parametrize(("mode", "code"), [("resume", 3), ("live", 0)])
def test_resume_is_not_done_while_a_batch_is_open(mode: str, code: int) -> None:
    reported = summary({**run_row(), "run_mode": mode}, open_batches=[OPEN])
    assert exit_code(reported, 0.2) == code


def test_a_person_held_since_an_earlier_run_still_counts() -> None:
    reported = summary(run_row()) | {"persons": [{"outcome": "held"}]}
    assert exit_code(reported, 0.2) == 1


def test_a_plan_of_named_persons_is_done_though_they_are_still_new() -> None:
    plan = {**run_row(), "run_mode": "plan"}
    reported = summary(plan) | {"persons": [{"outcome": "new"}]}
    assert exit_code(reported, 0.2) == 0


# --- From a warehouse


def test_a_summary_is_json_and_shows_every_table(any_scenario: Scenario) -> None:
    any_scenario.put("person_id | last_name | company\nP1 | Lovelace | Engines\nP2 | Babbage |")
    reported = any_scenario.sync(person_ids=("P1", "P2"))
    assert json.loads(json.dumps(reported)) == reported
    assert set(reported) == {"run", "persons", "held_person_count", *PARTS}
    assert [one["outcome"] for one in reported["persons"]] == ["created", "rejected"]
    assert len(as_lines(reported)) > 5


def test_without_a_run_there_is_nothing_to_summarise(any_scenario: Scenario) -> None:
    from pipelines.run.connections import open_store

    with open_store(any_scenario.settings()) as warehouse:
        assert summarise(warehouse) == {"run": None}
