"""Owner strategies: how they are written, and what they mean in an org."""

from __future__ import annotations

import pytest

from pipelines.rules.owner_strategies import (
    STRATEGY_KINDS,
    Owner,
    OwnerDirectory,
    RejectedStrategy,
    ResolvedStrategy,
    Strategy,
    StrategyMalformedError,
    names_to_search,
    parse_strategy,
    resolve,
)
from pipelines.salesforce.lookups import OWNER_LISTS, OWNER_SEARCHES
from tests.rules.tables import table

ADA, EDGAR, CHATTER = "0055e000001XyZ1AAK", "0055e000001XyZ2AAK", "0055e000001XyZ3AAK"
DACH, CASES = "00G5e000002QuE1EAK", "00G5e000002QuE2EAK"
ROUTING, FAIR = "01Q5e000000RuL1EAK", "01Q5e000000RuL2EAK"


def with_booleans(frame_, column):
    return frame_.assign(**{column: frame_[column] == "yes"})


RECORDS = {
    "users": with_booleans(
        table(f"""
            user_id   | username             | name    | is_active | user_type
            {ADA}     | ada@acme.example     | Ada     | yes       | Standard
            {EDGAR}   | edgar@acme.example   | Edgar   | no        | Standard
            {CHATTER} | chatter@acme.example | Chatter | yes       | CsnOnly
        """),
        "is_active",
    ),
    "queues": with_booleans(
        table(f"""
            queue_id | developer_name | name         | serves_leads
            {DACH}   | DACH_Inbound   | DACH Inbound | yes
            {CASES}  | Support        | Support      | no
        """),
        "serves_leads",
    ),
    "assignment_rules": with_booleans(
        table(f"""
            rule_id   | name             | is_active
            {ROUTING} | Standard routing | yes
            {FAIR}    | Trade fair       | no
        """),
        "is_active",
    ),
}
DIRECTORY = OwnerDirectory(RECORDS, without_active_rule="stop")

ADA_OWNS = Owner(ADA, "Ada", "user")
DACH_OWNS = Owner(DACH, "DACH Inbound", "queue")


@pytest.mark.parametrize(
    ("written", "strategy"),
    [
        ("rules", Strategy("rules", "")),
        (" \u00a0rules\ufeff", Strategy("rules", "")),
        ("rule:Trade fair", Strategy("rule", "Trade fair")),
        ("rule:a:b", Strategy("rule", "a:b")),
        ("User: Ada@Acme.example ", Strategy("user", "Ada@Acme.example")),
        ("QUEUE :DACH_Inbound", Strategy("queue", "DACH_Inbound")),
    ],
)
def test_a_strategy_is_a_word_and_a_name(written, strategy):
    assert parse_strategy(written) == strategy
    assert parse_strategy(str(strategy)) == strategy


@pytest.mark.parametrize(
    "written", ["", "rule", "rules:x", "user:", "queue: ", "Ada", "team:X", ":x"]
)
def test_any_other_text_is_malformed_and_the_message_lists_the_forms(written):
    with pytest.raises(StrategyMalformedError, match="rules, rule:NAME, user:USERNAME"):
        parse_strategy(written)


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


def test_a_resolved_strategy_has_its_canonical_text():
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
def test_a_rejected_strategy_says_why_and_holds_no_name(written, rule_name, message):
    rejected = resolve(written, DIRECTORY)
    assert isinstance(rejected, RejectedStrategy)
    assert (rejected.strategy, rejected.rule_name) == (written, rule_name)
    assert message in rejected.message
    assert "acme" not in rejected.message


@pytest.mark.parametrize(
    ("written", "table_name", "message"),
    [
        ("user:ada@acme.example", "users", r"2 records \(user\) have this name"),
        ("queue:DACH_Inbound", "queues", r"2 records \(queue\) have this name"),
        ("rule:Standard routing", "assignment_rules", r"2 records \(lead assignment rule\)"),
        ("rules", "assignment_rules", "Several lead assignment rules are active"),
    ],
)
def test_several_records_of_a_name_are_rejected_as_none_is(written, table_name, message):
    twice = RECORDS[table_name].loc[[0, 0, 1]].reset_index(drop=True)
    directory = OwnerDirectory({**RECORDS, table_name: twice}, "stop")
    rejected = resolve(written, directory)
    assert isinstance(rejected, RejectedStrategy)
    assert rejected.rule_name == "owner_unknown"
    assert rejected.message.startswith(message.replace("\\", ""))


def test_without_an_active_rule_the_default_stops_or_leaves_leads_to_the_running_user():
    inactive = {**RECORDS, "assignment_rules": RECORDS["assignment_rules"].iloc[1:]}
    rejected = resolve("rules", OwnerDirectory(inactive, "stop"))
    assert isinstance(rejected, RejectedStrategy)
    assert (rejected.rule_name, "activate" in rejected.message) == ("owner_unknown", True)
    directory = OwnerDirectory(inactive, "running_user")
    assert resolve("rules", directory) == ResolvedStrategy("rules", None, None)


def test_only_the_names_of_users_are_searched_and_a_malformed_text_needs_nothing():
    texts = ["rules", "user:Ada", "USER:Bo", "queue:DACH", "rule:Fair", "nonsense"]
    assert names_to_search(texts) == {"users": ["Ada", "Bo"]}


def test_salesforce_looks_up_all_records_that_strategies_are_resolved_against():
    assert {*OWNER_LISTS, *OWNER_SEARCHES} == set(RECORDS)
    searches = {kind.search for kind in STRATEGY_KINDS.values()} - {None}
    assert searches == set(OWNER_SEARCHES)
