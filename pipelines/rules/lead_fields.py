"""What a Lead field takes: what is demanded of a persons column that is sent there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rules.text import NOT_BLANK, has, is_sendable, matches, to_arrow

if TYPE_CHECKING:
    import pandera.pandas as pandera

Judge = Callable[[pd.Series], pd.Series]

NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})
DATE_TYPES = frozenset({"date", "datetime"})
UNMEASURED_TYPES = NUMBER_TYPES | DATE_TYPES | {"boolean"}

EMAIL_LENGTH = 80
# Salesforce names these rules after its own fields, whatever the persons column is called.
NAMED_AFTER_LEAD = {"Company": "company", "LastName": "last_name"}

# Salesforce's own acceptance (help KB 000384328), not an RFC's: the local part may hold two dots in
# a row or end in one but not begin with one; quoted local parts, comments and address literals are
# refused.
_ATOM = "A-Za-z0-9!#$%&'*+\\-/=?^_`{|}~"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9\\-]*[A-Za-z0-9])?"
EMAIL = f"[{_ATOM}][{_ATOM}.]*@(?:{_LABEL}\\.)+{_LABEL}"

# The calendar has no year 0, though pandas would read one.
_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
DAY = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE = "Z|[+\\-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?"
INSTANT = f"{DAY}[T ]{_MINUTE}(?::[0-5][0-9](?:\\.[0-9]+)?)?(?:{_ZONE})?"


@dataclass(frozen=True)
class LeadField:
    """A field of Lead as describe tells it.

    `length` counts characters, `digits` bounds an int, `precision` and `scale` the other numbers;
    null or 0 bounds nothing. `restricted_values` is null unless the picklist is restricted.
    """

    name: str
    label: str
    type: str
    length: int | None
    digits: int | None
    precision: int | None
    scale: int | None
    restricted_values: frozenset[str] | None


def too_long_rule(field: str, column: str) -> str:
    """The rule name for a value that is too long for the Lead field."""
    return f"{NAMED_AFTER_LEAD.get(field, column)}_too_long"


def length_limit(field: LeadField) -> int | None:
    """How many characters the field holds; null where length means nothing."""
    if field.type in UNMEASURED_TYPES:
        return None
    return field.length or (EMAIL_LENGTH if field.type == "email" else None)


class FieldCheck(NamedTuple):
    """What a rule demands of the cells of a column; a null passes unless `also_null`."""

    judge: Judge
    rule_name: str
    also_null: bool = False

    def broken(self, cells: pd.Series) -> pd.Series:
        """True where the cell breaks the rule."""
        broken = ~self.judge(cells)
        return broken if self.also_null else broken & cells.notna()

    def as_check(self) -> pandera.Check:
        """The same for pandera, reported by our rule name instead of by its own label."""
        # Imported when persons are checked: it takes a quarter of a second.
        import pandera.pandas as pandera

        return pandera.Check(self.judge, error=self.rule_name, ignore_na=not self.also_null)


def field_demands(field: LeadField, column: str) -> list[FieldCheck]:
    """Every demand of the Lead field on the persons column that feeds it."""
    demands = [FieldCheck(_is_sendable, "text_not_encodable")]
    if field.name in NAMED_AFTER_LEAD:
        missing = f"{NAMED_AFTER_LEAD[field.name]}_missing"
        demands.append(FieldCheck(is_given, missing, also_null=True))
    limit = length_limit(field)
    if limit is not None:
        demands.append(FieldCheck(is_within(limit), too_long_rule(field.name, column)))
    return demands + _type_demands(field)


def _type_demands(field: LeadField) -> list[FieldCheck]:
    if field.type in NUMBER_TYPES:
        return [FieldCheck(_fits(number_pattern(field)), "number_malformed")]
    if field.type in DATE_TYPES:
        return [FieldCheck(_is_instant if field.type == "datetime" else _is_day, "date_malformed")]
    if field.type == "email":
        return [FieldCheck(_fits(EMAIL), "email_malformed")]
    if field.type == "boolean":
        return [FieldCheck(_fits("(?i:true|false)|0|1"), "picklist_value_unknown")]
    if field.restricted_values is not None:
        judge = _has_known_parts if field.type == "multipicklist" else _is_known
        return [FieldCheck(judge(field.restricted_values), "picklist_value_unknown")]
    return []


def number_pattern(field: LeadField) -> str:
    """Plain decimals that the field holds; Salesforce rounds to its scale, so more of them pass."""
    if field.type == "int":
        # A warehouse that keeps counts as floats writes 12.0.
        return f"[+\\-]?0*[0-9]{_times(1, field.digits)}(?:\\.0+)?"
    whole = (field.precision or 0) - (field.scale or 0) if field.precision else None
    if whole == 0:
        return "[+\\-]?0*(?:0|\\.[0-9]+)"
    return f"[+\\-]?0*(?:[0-9]{_times(1, whole)}|[0-9]{_times(0, whole)}\\.[0-9]+)"


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{most}}}" if most else f"{{{least},}}"


def _fits(pattern: str) -> Judge:
    return lambda cells: matches(cells, pattern)


def is_within(limit: int) -> Judge:
    # Characters, as Python and SQL count them: Salesforce nowhere says whether it counts UTF-16
    # units, by which an emoji is two. Should it, such a row comes back as STRING_TOO_LONG and is
    # rejected then.
    return lambda cells: cells.str.len() <= limit


def is_given(cells: pd.Series) -> pd.Series:
    return has(cells, NOT_BLANK)


def _is_sendable(cells: pd.Series) -> pd.Series:
    # Bulk API reads a cell of exactly #N/A as "set to null".
    return is_sendable(cells) & (cells != "#N/A")


def _is_known(values: frozenset[str]) -> Judge:
    return lambda cells: cells.isin(values)


def _has_known_parts(values: frozenset[str]) -> Judge:
    allowed = pa.array([*values, ""], pa.large_string())

    def judge(cells: pd.Series) -> pd.Series:
        parts = pc.split_pattern(to_arrow(cells), ";")
        strange = pc.invert(pc.is_in(pc.list_flatten(parts), allowed))
        rows = pc.filter(pc.list_parent_indices(parts), strange).to_numpy()
        known = np.ones(len(cells), dtype=bool)
        known[rows] = False
        return pd.Series(known, index=cells.index)

    return judge


def _is_day(cells: pd.Series) -> pd.Series:
    return matches(cells, DAY) & _is_in_calendar(cells)


def _is_instant(cells: pd.Series) -> pd.Series:
    return matches(cells, INSTANT) & _is_in_calendar(cells)


def _is_in_calendar(cells: pd.Series) -> pd.Series:
    # The format must be said: left to guess, pandas took 52 seconds for 100,000 cells with 5 % bad
    # ones.
    days = pd.to_datetime(cells.str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    return days.notna()
