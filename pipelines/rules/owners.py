"""Who gets the lead: an owner strategy becomes an owner or an assignment rule of the org."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from pipelines.rules.owner_strategies import (
    Choice,
    ChoiceMalformed,
    Strategy,
    StrategyMalformed,
    choose_strategies,
    parse_choices,
    parse_strategy,
)
from pipelines.rules.partitions import Partition, partition
from pipelines.rules.rejections import rejections
from pipelines.rules.selection import keep
from pipelines.rules.text import OUTER_BLANKS, as_text

__all__ = ["Choice", "ChoiceMalformed", "Strategy", "StrategyMalformed"]
__all__ += ["Assigned", "Owner", "OwnerDirectory", "Partition", "Refusal", "Resolved"]
__all__ += ["StrategyUnresolved", "assign_owners", "choose_strategies", "parse_choices"]
__all__ += ["parse_strategy", "partition", "resolve"]

OwnerType = Literal["user", "queue"]

ID_LENGTHS = (15, 18)


class StrategyUnresolved(ValueError):
    """A person's strategy was never resolved: a fault of the caller."""


@dataclass(frozen=True)
class Owner:
    """A user or queue of the org that may own leads."""

    owner_id: str
    owner_name: str
    owner_type: OwnerType


@dataclass(frozen=True)
class Resolved:
    """A strategy the org can follow: by a rule, by an owner, or by neither (the running user)."""

    strategy: str
    assignment_rule_id: str | None
    owner: Owner | None


@dataclass(frozen=True)
class Refusal:
    """A strategy that the org cannot follow. `message` names nobody: it may end up in a log."""

    strategy: str
    rule_name: str
    message: str


@dataclass(frozen=True, eq=False)
class OwnerDirectory:
    """Whom and what the org offers.

    `users`: user_id, username, name, is_active, user_type. `queues`: queue_id, developer_name,
    name, serves_leads. `assignment_rules` (of Lead): rule_id, name, is_active.
    `without_active_rule` says what the strategy `rules` means where no rule is active.
    """

    users: pd.DataFrame
    queues: pd.DataFrame
    assignment_rules: pd.DataFrame
    without_active_rule: Literal["stop", "running_user"]


class Assigned(NamedTuple):
    """`accepted`: persons with owner columns. `rejected`: rows as of screen, at stage owner."""

    accepted: pd.DataFrame
    rejected: pd.DataFrame


def resolve(strategy_text: str, directory: OwnerDirectory) -> Resolved | Refusal:
    """What the org makes of a strategy.

    Ids of 15 or 18 characters serve as names; usernames and developer names are found in any case,
    as Salesforce lets no two differ by case alone. Repeatable; a strategy that is wrong is a
    Refusal.
    """
    try:
        strategy = parse_strategy(strategy_text)
    except StrategyMalformed as error:
        text = strategy_text.strip(OUTER_BLANKS)
        return Refusal(text, "owner_strategy_malformed", str(error))
    if strategy.kind == "user":
        return _resolve_user(strategy, directory.users)
    if strategy.kind == "queue":
        return _resolve_queue(strategy, directory.queues)
    if strategy.kind == "rule":
        return _resolve_rule(strategy, directory.assignment_rules)
    return _resolve_active_rule(strategy, directory)


def _unknown(strategy: Strategy, message: str) -> Refusal:
    return Refusal(str(strategy), "owner_unknown", message)


def _is_id(name: str, prefix: str) -> bool:
    letters = name.isascii() and name.isalnum()
    return letters and len(name) in ID_LENGTHS and name.startswith(prefix)


def _find(
    records: pd.DataFrame, name: str, id_column: str, prefix: str, names: pd.Series
) -> pd.DataFrame:
    """The records of that id, or else of that name; ids are case-sensitive."""
    if _is_id(name, prefix):
        return records[records[id_column].str.slice(0, len(name)) == name]
    return records[names == name]


def _find_in_any_case(
    records: pd.DataFrame, name: str, id_column: str, prefix: str, name_column: str
) -> pd.DataFrame:
    if not _is_id(name, prefix):
        name = name.lower()
    return _find(records, name, id_column, prefix, records[name_column].str.lower())


def _resolve_user(strategy: Strategy, users: pd.DataFrame) -> Resolved | Refusal:
    found = _find_in_any_case(users, strategy.name, "user_id", "005", "username")
    if len(found) != 1:
        return _unknown(strategy, _how_many(len(found), "user"))
    user = found.iloc[0]
    if not user["is_active"]:
        return Refusal(str(strategy), "owner_inactive", "This user is inactive.")
    if user["user_type"] != "Standard":
        message = "This user has a licence that may not own leads."
        return Refusal(str(strategy), "owner_inactive", message)
    return Resolved(str(strategy), None, Owner(user["user_id"], user["name"], "user"))


def _resolve_queue(strategy: Strategy, queues: pd.DataFrame) -> Resolved | Refusal:
    found = _find_in_any_case(queues, strategy.name, "queue_id", "00G", "developer_name")
    if len(found) != 1:
        return _unknown(strategy, _how_many(len(found), "queue"))
    queue = found.iloc[0]
    if not queue["serves_leads"]:
        return Refusal(str(strategy), "queue_not_for_leads", "This queue does not serve leads.")
    return Resolved(str(strategy), None, Owner(queue["queue_id"], queue["name"], "queue"))


def _resolve_rule(strategy: Strategy, rules: pd.DataFrame) -> Resolved | Refusal:
    found = _find(rules, strategy.name, "rule_id", "01Q", rules["name"])
    if len(found) != 1:
        return _unknown(strategy, _how_many(len(found), "lead assignment rule"))
    return Resolved(str(strategy), found.iloc[0]["rule_id"], None)


def _resolve_active_rule(strategy: Strategy, directory: OwnerDirectory) -> Resolved | Refusal:
    rules = directory.assignment_rules
    active = rules[rules["is_active"].astype(bool)]
    if len(active) == 1:
        return Resolved(str(strategy), active.iloc[0]["rule_id"], None)
    if active.empty and directory.without_active_rule == "running_user":
        return Resolved(str(strategy), None, None)
    if active.empty:
        return _unknown(strategy, "No lead assignment rule is active; activate one or name one.")
    return _unknown(strategy, "Several lead assignment rules are active; name the one you mean.")


def _how_many(count: int, what: str) -> str:
    if count == 0:
        return f"There is no {what} of this name."
    return f"{count} records ({what}) have this name; use the id of the one you mean."


def assign_owners(
    persons: pd.DataFrame, strategies: pd.Series, resolved: Mapping[str, Resolved | Refusal]
) -> Assigned:
    """Give every person the owner of their strategy, and set apart whose strategy was refused.

    `strategies` stands beside the persons (see choose_strategies) and every text in it is a key of
    `resolved`. `accepted` has a fresh index and, beyond the persons' columns, owner_strategy
    (canonical), owner_id, owner_name, owner_type and assignment_rule_id, null where they do not
    apply. Raises StrategyUnresolved.
    """
    codes, texts = pd.factorize(strategies)
    verdicts = [_verdict(text, resolved) for text in texts]
    good = np.array([isinstance(v, Resolved) for v in verdicts], dtype=bool)[codes]
    table = pd.DataFrame([_owner_columns(v) for v in verdicts], columns=_OWNER_COLUMNS, dtype="str")
    owners = table.iloc[codes[good]].reset_index(drop=True)
    accepted = keep(persons, good)
    for column in owners:
        accepted[column] = owners[column]
    refused = persons.loc[~good, "person_id"].reset_index(drop=True)
    observed = strategies[~good].reset_index(drop=True)
    return Assigned(accepted, _refused(refused, observed, resolved))


def _verdict(text: str, resolved: Mapping[str, Resolved | Refusal]) -> Resolved | Refusal:
    if text not in resolved:
        raise StrategyUnresolved("A person's owner strategy is not among those resolved.")
    return resolved[text]


_OWNER_COLUMNS = ["owner_strategy", "owner_id", "owner_name", "owner_type", "assignment_rule_id"]


def _owner_columns(verdict: Resolved | Refusal) -> tuple[str | None, ...]:
    if isinstance(verdict, Refusal):
        return (verdict.strategy, None, None, None, None)
    owner = verdict.owner
    given = (owner.owner_id, owner.owner_name, owner.owner_type) if owner else (None, None, None)
    return (verdict.strategy, *given, verdict.assignment_rule_id)


def _refused(
    person_id: pd.Series, observed: pd.Series, resolved: Mapping[str, Resolved | Refusal]
) -> pd.DataFrame:
    refusals = {text: v for text, v in resolved.items() if isinstance(v, Refusal)}
    return rejections(
        person_id,
        stage="owner",
        rule_name=_looked_up(observed, {text: v.rule_name for text, v in refusals.items()}),
        field_name=as_text("owner_strategy", observed.index),
        observed=observed,
        message=_looked_up(observed, {text: v.message for text, v in refusals.items()}),
    )


def _looked_up(texts: pd.Series, words: Mapping[str, str]) -> pd.Series:
    return texts.map(words).astype("str")
