"""Every rule that a person can break, for the table rejection_rules."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.rules.lead_fields import FIELD_RULES
from pipelines.rules.owner_strategies import OWNER_RULES
from pipelines.rules.rejection_rules import RejectionRule, too_long_rule, validation_rule
from pipelines.rules.salesforce_rules import SALESFORCE_RULES
from pipelines.rules.validation import PERSON_RULES

TEXT_COLUMNS = (
    "first_name",
    "last_name",
    "company",
    "email",
    "phone",
    "mobile_phone",
    "title",
    "website",
    "street",
    "city",
    "state",
    "postal_code",
    "country",
    "lead_source",
    "industry",
    "description",
)

REJECTED_MANUALLY = validation_rule(
    "rejected_manually",
    None,
    "A steward decided that this held person becomes no lead.",
    "See why in the message; the person is read again once their row has changed.",
)

REJECTION_RULES: list[RejectionRule] = [
    *FIELD_RULES,
    *PERSON_RULES,
    REJECTED_MANUALLY,
    *OWNER_RULES,
    *map(too_long_rule, TEXT_COLUMNS),
    *SALESFORCE_RULES,
]


def rejection_rules_for(columns: Iterable[str]) -> list[RejectionRule]:
    """Return all rules; a column beyond TEXT_COLUMNS adds its own `_too_long` rule."""
    more = sorted(set(columns) - {*TEXT_COLUMNS, "person_id"})
    return [*REJECTION_RULES, *map(too_long_rule, more)]


def description_of(rule_name: str) -> str:
    """Return the description of one of REJECTION_RULES."""
    return _DESCRIPTIONS[rule_name]


_DESCRIPTIONS = {rule.rule_name: rule.description for rule in REJECTION_RULES}
