"""The dictionary of rules."""

from __future__ import annotations

import pytest

from pipelines.rules.rejection_rules import RULES, rejection_rules_for, rule_for_column

OURS = [
    "company_missing",
    "last_name_missing",
    "email_malformed",
    "picklist_value_unknown",
    "number_malformed",
    "date_malformed",
    "text_not_encodable",
    "person_id_malformed",
    "person_id_missing",
    "person_id_repeated",
    "person_id_too_long",
    "owner_unknown",
    "owner_inactive",
    "queue_not_for_leads",
    "owner_strategy_malformed",
]

SALESFORCES = [
    "REQUIRED_FIELD_MISSING",
    "STRING_TOO_LONG",
    "INVALID_EMAIL_ADDRESS",
    "DUPLICATE_VALUE",
    "INACTIVE_OWNER_OR_USER",
    "OP_WITH_INVALID_USER_TYPE_EXCEPTION",
    "INVALID_CROSS_REFERENCE_KEY",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION",
    "FIELD_INTEGRITY_EXCEPTION",
    "UNABLE_TO_LOCK_ROW",
    "INVALID_FIELD",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
]


@pytest.mark.parametrize("name", [*OURS, *SALESFORCES])
def test_every_rule_has_a_sentence_and_a_remedy(name):
    rule = {rule.rule_name: rule for rule in RULES}[name]
    assert rule.description.endswith(".")
    assert rule.remedy.endswith(".")
    assert rule.stage == ("salesforce" if name.isupper() else rule.stage)


def test_rule_names_are_unique():
    names = [rule.rule_name for rule in RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "rule", [r for r in RULES if r.stage == "owner"], ids=lambda r: r.rule_name
)
def test_owner_rules_look_at_the_owner_strategy(rule):
    assert rule.field_name == "owner_strategy"


def test_a_mapped_column_of_any_name_gets_its_row():
    rule = rule_for_column("shoe_size")
    assert (rule.rule_name, rule.stage, rule.field_name) == (
        "shoe_size_too_long",
        "validation",
        "shoe_size",
    )
    assert "shoe size" in rule.description


def test_a_column_mapped_beyond_the_contracts_has_a_rule_too():
    more = rejection_rules_for(["nickname", "email", "nickname"])[len(RULES) :]
    assert more == [rule_for_column("nickname")]
