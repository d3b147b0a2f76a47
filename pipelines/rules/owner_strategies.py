"""Owner strategies: how each is written, what it looks up in the org, how it is resolved.

`STRATEGY_KINDS` is the only table of them: messages, the rejection rules and `--help` take their
text from it. A new strategy is one entry there, with its function. If it needs records that no
other strategy looks up, add one function to `pipelines/salesforce/lookups.py` (OWNER_LISTS or
OWNER_SEARCHES).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipelines.rules.blanks import BLANKS
from pipelines.rules.rejection_rules import RejectionRule, owner_rule

if TYPE_CHECKING:
    # Not imported at run time: `person-sync --help` shows FORMS and must not wait for pandas.
    import pandas as pd

OwnerType = Literal["user", "queue"]

ID_LENGTHS = (15, 18)


class StrategyMalformedError(ValueError):
    """The text is not an owner strategy. The message lists the forms and never repeats the text."""


@dataclass(frozen=True)
class Strategy:
    """How a lead gets its owner. `str` returns the canonical text; `name` may be empty."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True)
class Owner:
    """A user or a queue of the org that may own leads."""

    owner_id: str
    owner_name: str
    owner_type: OwnerType


@dataclass(frozen=True)
class ResolvedStrategy:
    """What a strategy means in this org: an assignment rule or an owner.

    With neither, the lead belongs to the running user.
    """

    strategy: str
    assignment_rule_id: str | None
    owner: Owner | None


@dataclass(frozen=True)
class RejectedStrategy:
    """A strategy that this org cannot follow. `message` may be logged: it holds no name."""

    strategy: str
    rule_name: str
    message: str


@dataclass(frozen=True, eq=False)
class OwnerDirectory:
    """The records of the org that strategies are resolved against.

    `records`, by the names that `pipelines/salesforce/lookups.py` uses:
    - users: user_id, username, name, is_active, user_type
    - queues: queue_id, developer_name, name, serves_leads
    - assignment_rules (of Lead): rule_id, name, is_active

    `without_active_rule`: what `rules` means in an org without an active assignment rule.
    """

    records: Mapping[str, pd.DataFrame]
    without_active_rule: Literal["stop", "running_user"]


@dataclass(frozen=True)
class StrategyKind:
    """One row of the table.

    `form` is how users write it; what follows the colon stands for the name. `search` is the key in
    OWNER_SEARCHES of the records to find by name; None where the org's whole list is read.
    """

    form: str
    resolve: Callable[[Strategy, OwnerDirectory], ResolvedStrategy | RejectedStrategy]
    search: str | None = None

    @property
    def word(self) -> str:
        """What stands in front of the colon."""
        return self.form.partition(":")[0]

    @property
    def has_name(self) -> bool:
        """Whether a name follows the word."""
        return ":" in self.form


def parse_strategy(text: str) -> Strategy:
    """Return the strategy that the text names. Raise StrategyMalformedError.

    Outer blanks and the case of the word do not matter; the case of the name is kept.
    """
    word, colon, name = text.strip(BLANKS).partition(":")
    word, name = word.rstrip(BLANKS).lower(), name.strip(BLANKS)
    kind = STRATEGY_KINDS.get(word)
    if kind is None or kind.has_name != bool(colon) or kind.has_name != bool(name):
        raise StrategyMalformedError(f"An owner strategy is written {FORMS}.")
    return Strategy(word, name)


def names_to_search(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that these strategies need to be found in the org, by OWNER_SEARCHES key.

    Texts that are not a strategy need nothing: `resolve` rejects them.
    """
    names: dict[str, list[str]] = {}
    for text in texts:
        try:
            strategy = parse_strategy(text)
        except StrategyMalformedError:
            continue
        search = STRATEGY_KINDS[strategy.kind].search
        if search is not None:
            names.setdefault(search, []).append(strategy.name)
    return names


def resolve(strategy_text: str, directory: OwnerDirectory) -> ResolvedStrategy | RejectedStrategy:
    """Return what the strategy means in the org, or why the org cannot follow it.

    An id of 15 or 18 characters may take the place of a name. Usernames and developer names are
    found in any case: Salesforce lets no two differ by case alone.
    """
    try:
        strategy = parse_strategy(strategy_text)
    except StrategyMalformedError as error:
        text = strategy_text.strip(BLANKS)
        return RejectedStrategy(text, OWNER_STRATEGY_MALFORMED.rule_name, str(error))
    return STRATEGY_KINDS[strategy.kind].resolve(strategy, directory)


# --- One function a strategy


def _resolve_active_rule(
    strategy: Strategy, directory: OwnerDirectory
) -> ResolvedStrategy | RejectedStrategy:
    rules = directory.records["assignment_rules"]
    active = rules[rules["is_active"].astype(bool)]
    if len(active) == 1:
        return ResolvedStrategy(str(strategy), active.iloc[0]["rule_id"], None)
    if len(active) > 1:
        message = "Several lead assignment rules are active; name the one you mean."
        return _rejected(strategy, OWNER_UNKNOWN, message)
    if directory.without_active_rule == "running_user":
        return ResolvedStrategy(str(strategy), None, None)
    message = "No lead assignment rule is active; activate one or name one."
    return _rejected(strategy, OWNER_UNKNOWN, message)


def _resolve_rule(
    strategy: Strategy, directory: OwnerDirectory
) -> ResolvedStrategy | RejectedStrategy:
    rules = directory.records["assignment_rules"]
    # Two assignment rules may have names that differ by case alone.
    found = _find(rules, strategy.name, "rule_id", "01Q", rules["name"])
    if len(found) != 1:
        return _not_one(strategy, len(found), "lead assignment rule")
    return ResolvedStrategy(str(strategy), found.iloc[0]["rule_id"], None)


def _resolve_user(
    strategy: Strategy, directory: OwnerDirectory
) -> ResolvedStrategy | RejectedStrategy:
    found = _find_in_any_case(
        directory.records["users"], strategy.name, "user_id", "005", "username"
    )
    if len(found) != 1:
        return _not_one(strategy, len(found), "user")
    user = found.iloc[0]
    if not user["is_active"]:
        return _rejected(strategy, OWNER_INACTIVE, "This user is inactive.")
    if user["user_type"] != "Standard":
        message = "This user has a licence that may not own leads."
        return _rejected(strategy, OWNER_INACTIVE, message)
    return ResolvedStrategy(str(strategy), None, Owner(user["user_id"], user["name"], "user"))


def _resolve_queue(
    strategy: Strategy, directory: OwnerDirectory
) -> ResolvedStrategy | RejectedStrategy:
    found = _find_in_any_case(
        directory.records["queues"], strategy.name, "queue_id", "00G", "developer_name"
    )
    if len(found) != 1:
        return _not_one(strategy, len(found), "queue")
    queue = found.iloc[0]
    if not queue["serves_leads"]:
        return _rejected(strategy, QUEUE_NOT_FOR_LEADS, "This queue does not serve leads.")
    return ResolvedStrategy(str(strategy), None, Owner(queue["queue_id"], queue["name"], "queue"))


STRATEGY_KINDS: Mapping[str, StrategyKind] = {
    kind.word: kind
    for kind in (
        StrategyKind("rules", _resolve_active_rule),
        StrategyKind("rule:NAME", _resolve_rule),
        StrategyKind("user:USERNAME", _resolve_user, search="users"),
        StrategyKind("queue:DEVELOPER_NAME", _resolve_queue),
    )
}


def _listed(forms: list[str]) -> str:
    return f"{', '.join(forms[:-1])} or {forms[-1]}"


FORMS = _listed([kind.form for kind in STRATEGY_KINDS.values()])

OWNER_UNKNOWN = owner_rule(
    "owner_unknown",
    "The owner strategy names no owner that Salesforce has, or several.",
    "Correct the name, use the record's id instead, or create the user, queue or rule.",
)
OWNER_INACTIVE = owner_rule(
    "owner_inactive",
    "The user of the owner strategy is inactive, or has a licence that may not own leads.",
    "Name another user, or have the user activated or given a full licence.",
)
QUEUE_NOT_FOR_LEADS = owner_rule(
    "queue_not_for_leads",
    "The queue of the owner strategy does not serve leads.",
    "Name another queue, or add Lead to the queue's supported objects.",
)
OWNER_STRATEGY_MALFORMED = owner_rule(
    "owner_strategy_malformed",
    "The owner strategy is not written in a form that we know.",
    f"Write {FORMS}.",
)
OWNER_RULES = (OWNER_UNKNOWN, OWNER_INACTIVE, QUEUE_NOT_FOR_LEADS, OWNER_STRATEGY_MALFORMED)


# --- Finding records


def _find(
    records: pd.DataFrame, name: str, id_column: str, prefix: str, names: pd.Series
) -> pd.DataFrame:
    """Return the records with that id, or else with that name. Ids are case-sensitive."""
    if _is_id(name, prefix):
        return records[records[id_column].str.slice(0, len(name)) == name]
    return records[names == name]


def _find_in_any_case(
    records: pd.DataFrame, name: str, id_column: str, prefix: str, name_column: str
) -> pd.DataFrame:
    if not _is_id(name, prefix):
        name = name.lower()
    return _find(records, name, id_column, prefix, records[name_column].str.lower())


def _is_id(name: str, prefix: str) -> bool:
    is_plain = name.isascii() and name.isalnum()
    return is_plain and len(name) in ID_LENGTHS and name.startswith(prefix)


def _rejected(strategy: Strategy, rule: RejectionRule, message: str) -> RejectedStrategy:
    return RejectedStrategy(str(strategy), rule.rule_name, message)


def _not_one(strategy: Strategy, count: int, what: str) -> RejectedStrategy:
    if count == 0:
        return _rejected(strategy, OWNER_UNKNOWN, f"There is no {what} of this name.")
    message = f"{count} records ({what}) have this name; use the id of the one you mean."
    return _rejected(strategy, OWNER_UNKNOWN, message)
