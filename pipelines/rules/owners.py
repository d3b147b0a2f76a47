"""Give each person the owner of their strategy, and reject those whose strategy has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipelines.rules.owner_strategies import RejectedStrategy, ResolvedStrategy
from pipelines.rules.rejections import rejections
from pipelines.rules.selection import filter_rows
from pipelines.rules.text import as_text

OWNER_COLUMNS = ["owner_strategy", "owner_id", "owner_name", "owner_type", "assignment_rule_id"]


class StrategyUnresolvedError(ValueError):
    """A person's strategy was never resolved: a defect of the caller."""


class AssignedOwners(NamedTuple):
    """`accepted`: persons with OWNER_COLUMNS. `rejected`: REJECTED_COLUMNS, at stage owner."""

    accepted: pd.DataFrame
    rejected: pd.DataFrame


def assign_owners(
    persons: pd.DataFrame,
    strategies: pd.Series,
    resolved: Mapping[str, ResolvedStrategy | RejectedStrategy],
) -> AssignedOwners:
    """Give each person the owner of their strategy; reject those whose strategy was rejected.

    `strategies` has one text a person, in the persons' order (see `choose_strategies`); each is a
    key of `resolved`. `accepted` has a fresh index, the persons' columns, and OWNER_COLUMNS: the
    canonical strategy, and null where an owner or rule does not apply.
    Raise StrategyUnresolvedError.
    """
    codes, texts = pd.factorize(strategies)
    results = [_result_for(text, resolved) for text in texts]
    is_resolved = np.array([isinstance(r, ResolvedStrategy) for r in results], dtype=bool)[codes]
    table = pd.DataFrame([_owner_columns(r) for r in results], columns=OWNER_COLUMNS, dtype="str")
    owners = table.iloc[codes[is_resolved]].reset_index(drop=True)
    accepted = filter_rows(persons, is_resolved)
    for column in owners:
        accepted[column] = owners[column]
    rejected_ids = persons.loc[~is_resolved, "person_id"].reset_index(drop=True)
    observed = strategies[~is_resolved].reset_index(drop=True)
    return AssignedOwners(accepted, _rejected(rejected_ids, observed, resolved))


def _result_for(
    text: str, resolved: Mapping[str, ResolvedStrategy | RejectedStrategy]
) -> ResolvedStrategy | RejectedStrategy:
    if text not in resolved:
        raise StrategyUnresolvedError("A person's owner strategy is not among those resolved.")
    return resolved[text]


def _owner_columns(result: ResolvedStrategy | RejectedStrategy) -> tuple[str | None, ...]:
    if isinstance(result, RejectedStrategy):
        return (result.strategy, None, None, None, None)
    owner = result.owner
    given = (owner.owner_id, owner.owner_name, owner.owner_type) if owner else (None, None, None)
    return (result.strategy, *given, result.assignment_rule_id)


def _rejected(
    person_id: pd.Series,
    observed: pd.Series,
    resolved: Mapping[str, ResolvedStrategy | RejectedStrategy],
) -> pd.DataFrame:
    by_text = {text: one for text, one in resolved.items() if isinstance(one, RejectedStrategy)}
    rule_names = {text: one.rule_name for text, one in by_text.items()}
    messages = {text: one.message for text, one in by_text.items()}
    return rejections(
        person_id,
        stage="owner",
        rule_name=observed.map(rule_names).astype("str"),
        field_name=as_text("owner_strategy", observed.index),
        observed=observed,
        message=observed.map(messages).astype("str"),
    )
