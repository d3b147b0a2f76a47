"""A rejection rule: its name, and what a steward reads about it.

Each rule is defined next to the code that checks it: `lead_fields`, `validation` and
`owner_strategies`. Those of Salesforce are in `salesforce_rules`; `rejection_catalog` collects all.
"""

from __future__ import annotations

from typing import NamedTuple


class RejectionRule(NamedTuple):
    """A row of the table rejection_rules.

    `stage` is validation, owner or salesforce. `field_name` is the persons column; it is null where
    the rule may concern several columns. `description` says what is wrong, `remedy` what to do.
    """

    rule_name: str
    stage: str
    field_name: str | None
    description: str
    remedy: str


def validation_rule(
    name: str, field_name: str | None, description: str, remedy: str
) -> RejectionRule:
    """Return a rule about a value of the persons table."""
    return RejectionRule(name, "validation", field_name, description, remedy)


def owner_rule(name: str, description: str, remedy: str) -> RejectionRule:
    """Return a rule about an owner strategy."""
    return RejectionRule(name, "owner", "owner_strategy", description, remedy)


def too_long_rule(column: str) -> RejectionRule:
    """Return the rule for values of a persons column that are too long for their Lead field."""
    words = column.replace("_", " ")
    return validation_rule(
        f"{column}_too_long",
        column,
        f"The {words} is longer than the Salesforce field holds.",
        f"Shorten the {words} in the persons table, or let an administrator lengthen the field.",
    )


def too_long_message(rule: RejectionRule, max_length: int) -> str:
    """Return the description of a `_too_long` rule with the length that is allowed."""
    words = rule.rule_name.removesuffix("_too_long").replace("_", " ")
    return (
        f"The {words} is longer than the {max_length} characters that the Salesforce field holds."
    )
