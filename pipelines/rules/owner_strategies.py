"""How a lead gets its owner: strategies, ordered choices, and which decides for a person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from pipelines.rules.text import OUTER_BLANKS, as_text, trim

Kind = Literal["rules", "rule", "user", "queue"]
Scalar = str | int | float | bool
Condition = Mapping[str, Any]

NAMED_KINDS = ("rule", "user", "queue")
WORDS = "rules, rule:NAME, user:USERNAME or queue:DEVELOPER_NAME"
COMPARISONS = ("ge", "gt", "le", "lt")


class StrategyMalformed(ValueError):
    """The text is no owner strategy. The message says what is and never repeats the text."""


class ChoiceMalformed(ValueError):
    """An entry of owners.choice is wrong; the message names its number, from 1, and the key."""


@dataclass(frozen=True)
class Strategy:
    """How a lead gets its owner; `str` gives the canonical text. `name` is empty for `rules`."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True)
class Choice:
    """`assign_to`, for persons of whom every condition of `when` (column → condition) holds.

    A condition holds operators, all of which must hold: `one_of` (scalars), `ge gt le lt` (a
    number), `contains` (text), `is_blank` (true or false).
    """

    when: Mapping[str, Condition]
    assign_to: Strategy


def parse_strategy(text: str) -> Strategy:
    """The strategy that the text names.

    Outer blanks and the case of the kind do not matter; the case of the name stays. Raises
    StrategyMalformed, with the words allowed.
    """
    kind, colon, name = text.strip(OUTER_BLANKS).partition(":")
    kind, name = kind.rstrip(OUTER_BLANKS).lower(), name.strip(OUTER_BLANKS)
    if kind == "rules" and not colon:
        return Strategy("rules", "")
    if kind in NAMED_KINDS and name:
        return Strategy(cast(Kind, kind), name)
    raise StrategyMalformed(f"An owner strategy is written {WORDS}.")


def parse_choices(entries: Sequence[Mapping[str, Any]]) -> tuple[Choice, ...]:
    """The ordered choices of the settings. Raises ChoiceMalformed."""
    return tuple(_parse_choice(number, entry) for number, entry in enumerate(entries, start=1))


def _parse_choice(number: int, entry: Mapping[str, Any]) -> Choice:
    where = f"owners.choice {number}"
    for key in entry:
        if key not in ("when", "assign_to"):
            raise ChoiceMalformed(f"{where}: {key} means nothing here; use when and assign_to.")
    when = entry.get("when")
    if not isinstance(when, Mapping):
        raise ChoiceMalformed(f"{where}: when must be a table of conditions; {{}} always holds.")
    conditions = {
        column: _parse_condition(f"{where}: when.{column}", wanted)
        for column, wanted in when.items()
    }
    return Choice(conditions, _parse_target(where, entry.get("assign_to")))


def _parse_target(where: str, text: object) -> Strategy:
    if not isinstance(text, str):
        raise ChoiceMalformed(f"{where}: assign_to must be an owner strategy: {WORDS}.")
    try:
        return parse_strategy(text)
    except StrategyMalformed as error:
        raise ChoiceMalformed(f"{where}: assign_to is wrong. {error}") from None


def _parse_condition(where: str, wanted: object) -> Condition:
    if isinstance(wanted, Mapping) and wanted:
        for operator, value in wanted.items():
            _demand_operand(f"{where}.{operator}", operator, value)
        return dict(wanted)
    values = wanted if isinstance(wanted, list) else [wanted]
    if not values or not all(isinstance(value, Scalar) for value in values):
        raise ChoiceMalformed(f"{where} must be a value, a list of values, or a comparison.")
    return {"one_of": tuple(values)}


def _demand_operand(where: str, operator: object, value: object) -> None:
    if operator in COMPARISONS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ChoiceMalformed(f"{where} must be a number.")
    elif operator == "contains":
        if not isinstance(value, str):
            raise ChoiceMalformed(f"{where} must be a text.")
    elif operator == "is_blank":
        if not isinstance(value, bool):
            raise ChoiceMalformed(f"{where} must be true or false.")
    else:
        raise ChoiceMalformed(f"{where} is unknown; use ge, gt, le, lt, contains or is_blank.")


def choose_strategies(
    persons: pd.DataFrame,
    choices: Sequence[Choice],
    default: Strategy,
    columns_known: Collection[str],
) -> pd.Series:
    """The strategy's text for each person, beside the persons' index.

    A person's own owner_strategy comes first (as written, outer blanks gone), then the first choice
    that holds, then the default. `columns_known` are the persons columns there are; one that was
    not read is blank for everybody. Raises ChoiceMalformed for a choice about any other.
    """
    _demand_known(choices, columns_known)
    chosen = trim(persons["owner_strategy"].astype("str"))
    for choice in choices:
        undecided = chosen.isna()
        chosen = chosen.mask(undecided & _holds(persons, choice.when), str(choice.assign_to))
    return chosen.fillna(str(default))


def _demand_known(choices: Sequence[Choice], columns_known: Collection[str]) -> None:
    for number, choice in enumerate(choices, start=1):
        for column in choice.when:
            if column not in columns_known:
                raise ChoiceMalformed(
                    f"owners.choice {number}: when.{column}: the persons have no such column."
                )


def _holds(persons: pd.DataFrame, when: Mapping[str, Condition]) -> pd.Series:
    holds = pd.Series(True, index=persons.index)
    for column, condition in when.items():
        cells = _cells(persons, column)
        for operator, wanted in condition.items():
            holds &= _OPERATORS[operator](cells, wanted)
    return holds


def _cells(persons: pd.DataFrame, column: str) -> pd.Series:
    if column not in persons:
        return as_text(np.full(len(persons), None, dtype=object), persons.index)
    return trim(persons[column].astype("str")).str.lower()


def _lower(text: str) -> str:
    # By the same kernel as the cells: Python's lower() makes two characters of some letters.
    return str(as_text([text.strip(OUTER_BLANKS)]).str.lower().iloc[0])


def _numbers(cells: pd.Series) -> pd.Series:
    return pd.to_numeric(cells, errors="coerce").replace([np.inf, -np.inf], np.nan)


def _one_of(cells: pd.Series, wanted: Sequence[Scalar]) -> pd.Series:
    texts = [_lower(value) for value in wanted if isinstance(value, str)]
    numbers = [v for v in wanted if isinstance(v, int | float) and not isinstance(v, bool)]
    for value in wanted:
        if isinstance(value, bool):
            texts += ["true", "1"] if value else ["false", "0"]
    found = cells.isin(texts)
    # 1000 in the settings equals 1000.0 in the warehouse.
    return found | _numbers(cells).isin(numbers) if numbers else found


def _contains(cells: pd.Series, wanted: str) -> pd.Series:
    return cells.str.contains(_lower(wanted), regex=False)


def _is_blank(cells: pd.Series, wanted: bool) -> pd.Series:
    return cells.isna() == wanted


_OPERATORS: Mapping[str, Callable[[pd.Series, Any], pd.Series]] = {
    "one_of": _one_of,
    "ge": lambda cells, number: _numbers(cells) >= number,
    "gt": lambda cells, number: _numbers(cells) > number,
    "le": lambda cells, number: _numbers(cells) <= number,
    "lt": lambda cells, number: _numbers(cells) < number,
    "contains": _contains,
    "is_blank": _is_blank,
}
