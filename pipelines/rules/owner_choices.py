"""Which owner strategy applies to a person: their own, else the first choice that holds, else the
default of the run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipelines.rules.blanks import BLANKS
from pipelines.rules.owner_strategies import (
    FORMS,
    Strategy,
    StrategyMalformedError,
    parse_strategy,
)
from pipelines.rules.text import as_text, trim

Scalar = str | int | float | bool
Condition = Mapping[str, Any]

COMPARISONS = ("ge", "gt", "le", "lt")


class ChoiceMalformedError(ValueError):
    """An entry of owners.choice is wrong. The message names its number, from 1, and the key."""


@dataclass(frozen=True)
class Choice:
    """One entry of owners.choice: `assign_to` applies where every condition of `when` holds.

    `when` maps a persons column to a condition. A condition holds operators, all of which must
    hold: `one_of` (scalars), `ge gt le lt` (a number), `contains` (text), `is_blank` (true or
    false).
    """

    when: Mapping[str, Condition]
    assign_to: Strategy


def parse_choices(entries: Sequence[Mapping[str, Any]]) -> tuple[Choice, ...]:
    """Return the ordered choices of the settings. Raise ChoiceMalformedError."""
    return tuple(_parse_choice(number, entry) for number, entry in enumerate(entries, start=1))


def _parse_choice(number: int, entry: Mapping[str, Any]) -> Choice:
    path = f"owners.choice {number}"
    for key in entry:
        if key not in ("when", "assign_to"):
            raise ChoiceMalformedError(f"{path}: {key} means nothing here; use when and assign_to.")
    when = entry.get("when")
    if not isinstance(when, Mapping):
        message = f"{path}: when must be a table of conditions; {{}} always holds."
        raise ChoiceMalformedError(message)
    conditions = {
        column: _parse_condition(f"{path}: when.{column}", wanted)
        for column, wanted in when.items()
    }
    return Choice(conditions, _parse_target(path, entry.get("assign_to")))


def _parse_target(path: str, text: object) -> Strategy:
    if not isinstance(text, str):
        raise ChoiceMalformedError(f"{path}: assign_to must be an owner strategy: {FORMS}.")
    try:
        return parse_strategy(text)
    except StrategyMalformedError as error:
        raise ChoiceMalformedError(f"{path}: assign_to is wrong. {error}") from None


def _parse_condition(path: str, wanted: object) -> Condition:
    if isinstance(wanted, Mapping) and wanted:
        for operator, value in wanted.items():
            _require_operand(f"{path}.{operator}", operator, value)
        return dict(wanted)
    values = wanted if isinstance(wanted, list) else [wanted]
    if not values or not all(isinstance(value, Scalar) for value in values):
        raise ChoiceMalformedError(f"{path} must be a value, a list of values, or a comparison.")
    return {"one_of": tuple(values)}


def _require_operand(path: str, operator: object, value: object) -> None:
    if operator in COMPARISONS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ChoiceMalformedError(f"{path} must be a number.")
    elif operator == "contains":
        if not isinstance(value, str):
            raise ChoiceMalformedError(f"{path} must be a text.")
    elif operator == "is_blank":
        if not isinstance(value, bool):
            raise ChoiceMalformedError(f"{path} must be true or false.")
    else:
        message = f"{path} is unknown; use ge, gt, le, lt, contains or is_blank."
        raise ChoiceMalformedError(message)


def choose_strategies(
    persons: pd.DataFrame,
    choices: Sequence[Choice],
    default: Strategy,
    columns_known: Collection[str],
) -> pd.Series:
    """Return the text of each person's strategy, with the persons' index.

    A person's own owner_strategy comes first (as written, without outer blanks), then the first
    choice that holds, then the default. `columns_known` are the columns of the persons table. Those
    that were not read count as blank. Raise ChoiceMalformedError for a choice about any other
    column.
    """
    _require_known_columns(choices, columns_known)
    chosen = trim(persons["owner_strategy"].astype("str"))
    for choice in choices:
        undecided = chosen.isna()
        chosen = chosen.mask(undecided & _holds(persons, choice.when), str(choice.assign_to))
    return chosen.fillna(str(default))


def _require_known_columns(choices: Sequence[Choice], columns_known: Collection[str]) -> None:
    for number, choice in enumerate(choices, start=1):
        for column in choice.when:
            if column not in columns_known:
                raise ChoiceMalformedError(
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
    return str(as_text([text.strip(BLANKS)]).str.lower().iloc[0])


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
