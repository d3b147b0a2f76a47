"""The catalogue of rejection rules."""

from __future__ import annotations

import pytest

from pipelines.rules.lead_fields import LeadField, field_checks
from pipelines.rules.rejection_catalog import REJECTION_RULES, rejection_rules_for
from pipelines.rules.rejection_rules import RejectionRule, too_long_rule
from tests.rules.tables import LEAD_FIELDS


@pytest.mark.parametrize("rule", REJECTION_RULES, ids=lambda rule: rule.rule_name)
def test_every_rule_has_a_description_and_a_remedy(rule: RejectionRule) -> None:
    assert rule.description.endswith(".")
    assert rule.remedy.endswith(".")
    assert rule.rule_name.isupper() == (rule.stage == "salesforce")


def test_rule_names_are_unique():
    names = [rule.rule_name for rule in REJECTION_RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "rule", [r for r in REJECTION_RULES if r.stage == "owner"], ids=lambda r: r.rule_name
)
def test_owner_rules_look_at_the_owner_strategy(rule):
    assert rule.field_name == "owner_strategy"


def test_a_mapped_column_of_any_name_gets_its_row():
    rule = too_long_rule("shoe_size")
    assert (rule.rule_name, rule.stage, rule.field_name) == (
        "shoe_size_too_long",
        "validation",
        "shoe_size",
    )
    assert "shoe size" in rule.description


def test_a_column_mapped_beyond_the_contracts_has_a_rule_too():
    more = rejection_rules_for(["nickname", "email", "nickname"])[len(REJECTION_RULES) :]
    assert more == [too_long_rule("nickname")]


@pytest.mark.parametrize("lead_field", LEAD_FIELDS.values(), ids=lambda one: one.name)
def test_every_rule_that_is_checked_is_in_the_catalogue(lead_field: LeadField):
    rules = {check.rule for check in field_checks(lead_field, "nickname")}
    assert rules <= set(rejection_rules_for(["nickname"]))
