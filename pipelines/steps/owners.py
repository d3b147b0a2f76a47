"""The owner step: the owner strategies of persons are resolved to owners of the org."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import pandas as pd

from pipelines.rules import owner_choices, owner_strategies, owners
from pipelines.rules.owner_strategies import OwnerDirectory, RejectedStrategy, ResolvedStrategy
from pipelines.salesforce import lookups
from pipelines.salesforce.session import Org


class OwnerLookup:
    """Resolves owner strategies against the org, each text once."""

    def __init__(self, org: Org, without_active_rule: Literal["stop", "running_user"]) -> None:
        self._org = org
        self._without_active_rule = without_active_rule
        # Read now: a login that may not see them must fail before the run reads a person.
        self._lists = {name: read(org) for name, read in lookups.OWNER_LISTS.items()}
        self._resolved: dict[str, ResolvedStrategy | RejectedStrategy] = {}

    def resolve(self, texts: Iterable[str]) -> Mapping[str, ResolvedStrategy | RejectedStrategy]:
        """Return every text asked for so far with what it means in the org, or why it is rejected.

        Sends queries only for names that are new.
        """
        wanted = sorted(set(texts) - self._resolved.keys())
        names = owner_strategies.names_to_search(wanted)
        found = {
            name: search(self._org, names.get(name, []))
            for name, search in lookups.OWNER_SEARCHES.items()
        }
        directory = OwnerDirectory({**self._lists, **found}, self._without_active_rule)
        for text in wanted:
            self._resolved[text] = owner_strategies.resolve(text, directory)
        return self._resolved


def assign_owners(
    persons: pd.DataFrame,
    choices: tuple[owner_choices.Choice, ...],
    default: owner_strategies.Strategy,
    owner_lookup: OwnerLookup,
) -> owners.AssignedOwners:
    """Return the persons with their owners, and the rejections of those without one."""
    columns = frozenset(persons.columns)
    strategies = owner_choices.choose_strategies(persons, choices, default, columns)
    return owners.assign_owners(persons, strategies, owner_lookup.resolve(strategies.unique()))
