"""Who gets the lead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.rules.owners import (
    Owner,
    OwnerDirectory,
    RejectedStrategy,
    ResolvedStrategy,
    StrategyUnresolvedError,
    assign_owners,
    resolve,
)
from pipelines.rules.rejections import REJECTED_COLUMNS
from tests.rules.tables import as_persons, frame, table, text

ADA, EDGAR, CHATTER = "0055e000001XyZ1AAK", "0055e000001XyZ2AAK", "0055e000001XyZ3AAK"
DACH, CASES = "00G5e000002QuE1EAK", "00G5e000002QuE2EAK"
ROUTING, FAIR = "01Q5e000000RuL1EAK", "01Q5e000000RuL2EAK"


def truths(frame_, column):
    return frame_.assign(**{column: frame_[column] == "yes"})


DIRECTORY = OwnerDirectory(
    users=truths(
        table(f"""
            user_id   | username             | name    | is_active | user_type
            {ADA}     | ada@acme.example     | Ada     | yes       | Standard
            {EDGAR}   | edgar@acme.example   | Edgar   | no        | Standard
            {CHATTER} | chatter@acme.example | Chatter | yes       | CsnOnly
        """),
        "is_active",
    ),
    queues=truths(
        table(f"""
            queue_id | developer_name | name         | serves_leads
            {DACH}   | DACH_Inbound   | DACH Inbound | yes
            {CASES}  | Support        | Support      | no
        """),
        "serves_leads",
    ),
    assignment_rules=truths(
        table(f"""
            rule_id   | name             | is_active
            {ROUTING} | Standard routing | yes
            {FAIR}    | Trade fair       | no
        """),
        "is_active",
    ),
    without_active_rule="stop",
)

ADA_OWNS = Owner(ADA, "Ada", "user")
DACH_OWNS = Owner(DACH, "DACH Inbound", "queue")


@pytest.mark.parametrize(
    ("written", "rule_id", "owner"),
    [
        ("rules", ROUTING, None),
        ("rule:Standard routing", ROUTING, None),
        ("rule:Trade fair", FAIR, None),
        (f"rule:{FAIR}", FAIR, None),
        (f"rule:{FAIR[:15]}", FAIR, None),
        ("user:ada@acme.example", None, ADA_OWNS),
        ("user:ADA@acme.Example", None, ADA_OWNS),
        (f"user:{ADA}", None, ADA_OWNS),
        (f"user:{ADA[:15]}", None, ADA_OWNS),
        ("queue:DACH_Inbound", None, DACH_OWNS),
        ("queue:dach_inbound", None, DACH_OWNS),
        (f"queue:{DACH}", None, DACH_OWNS),
        (f"queue:{DACH[:15]}", None, DACH_OWNS),
    ],
)
def test_a_strategy_finds_its_owner_or_rule(written, rule_id, owner):
    assert resolve(written, DIRECTORY) == ResolvedStrategy(written, rule_id, owner)


def test_the_answer_bears_the_canonical_text():
    assert resolve(" Queue: DACH_Inbound", DIRECTORY).strategy == "queue:DACH_Inbound"


@pytest.mark.parametrize(
    ("written", "rule_name", "message"),
    [
        ("user:nobody@acme.example", "owner_unknown", "no user of this name"),
        ("user:0055e000001XyZ9AAK", "owner_unknown", "no user"),
        (f"user:{ADA.lower()}", "owner_unknown", "no user"),
        ("user:Ada", "owner_unknown", "no user"),
        ("queue:Nowhere", "owner_unknown", "no queue of this name"),
        ("queue:DACH Inbound", "owner_unknown", "no queue"),
        ("rule:standard routing", "owner_unknown", "no lead assignment rule of this name"),
        ("user:edgar@acme.example", "owner_inactive", "inactive"),
        ("user:chatter@acme.example", "owner_inactive", "licence"),
        ("queue:Support", "queue_not_for_leads", "does not serve leads"),
        ("Queue DACH", "owner_strategy_malformed", "written rules, rule:NAME"),
    ],
)
def test_a_strategy_that_cannot_be_followed_says_why_and_names_nobody(written, rule_name, message):
    refusal = resolve(written, DIRECTORY)
    assert isinstance(refusal, RejectedStrategy)
    assert (refusal.strategy, refusal.rule_name) == (written, rule_name)
    assert message in refusal.message
    assert "acme" not in refusal.message


@pytest.mark.parametrize(
    ("written", "table_name", "message"),
    [
        ("user:ada@acme.example", "users", r"2 records \(user\) have this name"),
        ("queue:DACH_Inbound", "queues", r"2 records \(queue\) have this name"),
        ("rule:Standard routing", "assignment_rules", r"2 records \(lead assignment rule\)"),
        ("rules", "assignment_rules", "Several lead assignment rules are active"),
    ],
)
def test_two_of_a_name_are_as_bad_as_none(written, table_name, message):
    records = getattr(DIRECTORY, table_name)
    twice = records.loc[[0, 0, 1]].reset_index(drop=True)
    refusal = resolve(written, replace(DIRECTORY, **{table_name: twice}))
    assert isinstance(refusal, RejectedStrategy)
    assert refusal.rule_name == "owner_unknown"
    assert refusal.message.startswith(message.replace("\\", ""))


def test_without_an_active_rule_the_default_stops_or_leaves_leads_to_the_running_user():
    idle = replace(DIRECTORY, assignment_rules=DIRECTORY.assignment_rules.iloc[1:])
    refusal = resolve("rules", idle)
    assert isinstance(refusal, RejectedStrategy)
    assert (refusal.rule_name, "activate" in refusal.message) == ("owner_unknown", True)
    lenient = replace(idle, without_active_rule="running_user")
    assert resolve("rules", lenient) == ResolvedStrategy("rules", None, None)


def assigned(*written: str):
    persons = as_persons(frame(city=["x"] * len(written)))
    strategies = text(*written)
    resolved = {one: resolve(one, DIRECTORY) for one in written}
    return assign_owners(persons, strategies, resolved)


def test_each_person_gets_the_owner_of_their_strategy():
    accepted = assigned("rules", "USER:ada@acme.example", "queue:DACH_Inbound").accepted
    columns = ["owner_strategy", "owner_id", "owner_name", "owner_type", "assignment_rule_id"]
    assert accepted[columns].astype(object).where(
        accepted[columns].notna(), None
    ).values.tolist() == [
        ["rules", None, None, None, ROUTING],
        ["user:ada@acme.example", ADA, "Ada", "user", None],
        ["queue:DACH_Inbound", DACH, "DACH Inbound", "queue", None],
    ]
    assert (accepted[columns].dtypes == "str").all()


def test_a_persons_bad_strategy_rejects_that_person_alone():
    accepted, rejected = assigned("rules", "user:Nobody", "Queue DACH", "rules")
    assert accepted["person_id"].tolist() == ["1", "4"]
    assert tuple(rejected.columns) == REJECTED_COLUMNS
    shown = rejected[["person_id", "rule_name", "stage", "field_name", "observed_value"]]
    assert shown.values.tolist() == [
        ["2", "owner_unknown", "owner", "owner_strategy", "user:Nobody"],
        ["3", "owner_strategy_malformed", "owner", "owner_strategy", "Queue DACH"],
    ]
    assert not rejected["is_retryable"].any()


def test_nobody_is_assigned_to_nobody():
    persons = as_persons(frame(city=["x"])).iloc[:0]
    accepted, rejected = assign_owners(persons, text(), {})
    assert (len(accepted), len(rejected)) == (0, 0)
    assert accepted["owner_id"].dtype == "str"


def test_a_strategy_nobody_resolved_is_the_callers_fault():
    with pytest.raises(StrategyUnresolvedError):
        assign_owners(as_persons(frame(city=["x"])), text("rules"), {})
