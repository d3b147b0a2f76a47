"""The owner step: the owner strategies that persons ask for become owners of the org."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from pipelines.rules import owners
from pipelines.salesforce import lookups
from pipelines.salesforce.session import Org


class OwnerLookup:
    """The org's users, queues and assignment rules, looked up once and only as far as asked."""

    def __init__(self, org: Org, without_active_rule: str) -> None:
        self._org = org
        self._without_active_rule = without_active_rule
        self._queues = lookups.find_queues(org)
        self._assignment_rules = lookups.find_assignment_rules(org)
        self._known: dict[str, owners.Resolved | owners.Refusal] = {}

    def resolve(self, texts: Iterable[str]) -> Mapping[str, owners.Resolved | owners.Refusal]:
        """Return every strategy text with its owner, or the rule it breaks. One query at most."""
        asked = sorted(set(texts) - self._known.keys())
        names = [strategy.name for text in asked if (strategy := _user_strategy(text))]
        directory = owners.OwnerDirectory(
            users=lookups.find_users(self._org, names),
            queues=self._queues,
            assignment_rules=self._assignment_rules,
            without_active_rule="running_user"
            if self._without_active_rule == "running_user"
            else "stop",
        )
        for text in asked:
            self._known[text] = owners.resolve(text, directory)
        return self._known


def assign_owners(
    persons: pd.DataFrame,
    choices: tuple[owners.Choice, ...],
    default: owners.Strategy,
    owner_lookup: OwnerLookup,
) -> owners.Assigned:
    """Return the persons with their owners, and apart those whose strategy leads to no owner."""
    strategies = owners.choose_strategies(persons, choices, default, frozenset(persons.columns))
    return owners.assign_owners(persons, strategies, owner_lookup.resolve(strategies.unique()))


def _user_strategy(text: str) -> owners.Strategy | None:
    try:
        strategy = owners.parse_strategy(text)
    except owners.StrategyMalformed:
        return None
    return strategy if strategy.kind == "user" else None
