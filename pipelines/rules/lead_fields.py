"""What a Lead field accepts: the checks on a persons column that feeds it, and their rules.

A new rule is two things here: a RejectionRule in FIELD_RULES, and a FieldCheck that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rules.rejection_rules import RejectionRule, too_long_rule, validation_rule
from pipelines.rules.text import NOT_BLANK, contains, is_sendable, matches, to_arrow

if TYPE_CHECKING:
    import pandera.pandas as pandera

Predicate = Callable[[pd.Series], pd.Series]

NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})
DATE_TYPES = frozenset({"date", "datetime"})
UNMEASURED_TYPES = NUMBER_TYPES | DATE_TYPES | {"boolean"}

EMAIL_LENGTH = 80
# The rules about these Lead fields have one name, whatever persons column feeds the field.
NAMED_AFTER_LEAD = {"Company": "company", "LastName": "last_name"}

COMPANY_MISSING = validation_rule(
    "company_missing",
    "company",
    "The company is blank, and Salesforce takes no lead without one.",
    "Fill in the company in the persons table, or agree on a default for Company.",
)
LAST_NAME_MISSING = validation_rule(
    "last_name_missing",
    "last_name",
    "The last name is blank, and Salesforce takes no lead without one.",
    "Fill in the last name in the persons table, or agree on a default for LastName.",
)
EMAIL_MALFORMED = validation_rule(
    "email_malformed",
    "email",
    "The e-mail address is not one that Salesforce accepts.",
    "Correct the address: one @, no blanks, no dot in front, a domain such as example.org.",
)
PICKLIST_VALUE_UNKNOWN = validation_rule(
    "picklist_value_unknown",
    None,
    "The value is not among those that the Salesforce field allows.",
    "Use one of the picklist's values (true or false for a checkbox), or have the value added.",
)
NUMBER_MALFORMED = validation_rule(
    "number_malformed",
    None,
    "The value is not a plain number that the Salesforce field can hold.",
    "Write digits with at most one decimal point: no thousands separators, units or exponents.",
)
DATE_MALFORMED = validation_rule(
    "date_malformed",
    None,
    "The value is not a date of the calendar in ISO form.",
    "Write 2026-01-31 for a date and 2026-01-31T18:30:00Z for an instant.",
)
TEXT_NOT_ENCODABLE = validation_rule(
    "text_not_encodable",
    None,
    "The value holds characters that cannot reach Salesforce unchanged.",
    "Remove control characters, undecodable bytes, blanks around an id, or the text #N/A.",
)
FIELD_RULES = (
    *(COMPANY_MISSING, LAST_NAME_MISSING, EMAIL_MALFORMED, PICKLIST_VALUE_UNKNOWN),
    *(NUMBER_MALFORMED, DATE_MALFORMED, TEXT_NOT_ENCODABLE),
)
_MISSING = {"Company": COMPANY_MISSING, "LastName": LAST_NAME_MISSING}

# What Salesforce accepts (help KB 000384328), not what an RFC allows. The local part may hold two
# dots in a row or end in one, but not begin with one. Salesforce rejects quoted local parts,
# comments and address literals.
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
    """A field of Lead, as Salesforce's describe call returns it.

    `length` counts characters, `digits` bounds an int, `precision` and `scale` the other numbers;
    None or 0 means no bound. `restricted_values` is None unless the picklist is restricted.
    """

    name: str
    label: str
    type: str
    length: int | None
    digits: int | None
    precision: int | None
    scale: int | None
    restricted_values: frozenset[str] | None


def length_limit(field: LeadField) -> int | None:
    """Return how many characters the field holds; None where length means nothing."""
    if field.type in UNMEASURED_TYPES:
        return None
    return field.length or (EMAIL_LENGTH if field.type == "email" else None)


class FieldCheck(NamedTuple):
    """A condition on the cells of a column, and the rule that a cell breaks without it.

    `predicate` returns True for good cells. Null is good unless `checks_null`. `max_length` is the
    limit that the rule's message names.
    """

    predicate: Predicate
    rule: RejectionRule
    checks_null: bool = False
    max_length: int | None = None

    def violations(self, cells: pd.Series) -> pd.Series:
        """Return True where the cell breaks the rule."""
        broken = ~self.predicate(cells)
        return broken if self.checks_null else broken & cells.notna()

    def as_check(self) -> pandera.Check:
        """Return the same for pandera, which reports it by our rule name."""
        # Imported only when persons are checked: pandera takes a quarter of a second.
        import pandera.pandas as pandera

        name = self.rule.rule_name
        return pandera.Check(self.predicate, error=name, ignore_na=not self.checks_null)


def length_check(rule: RejectionRule, max_length: int) -> FieldCheck:
    """Return the check that a cell has at most `max_length` characters."""
    # Characters, as Python and SQL count them. Salesforce does not document whether it counts
    # UTF-16 units, of which an emoji has two. If it does, it returns STRING_TOO_LONG for such a
    # row, and the person is rejected then.
    return FieldCheck(lambda cells: cells.str.len() <= max_length, rule, max_length=max_length)


def field_checks(field: LeadField, column: str) -> list[FieldCheck]:
    """Return the checks of the Lead field on the persons column that feeds it."""
    checks = [FieldCheck(_is_sendable, TEXT_NOT_ENCODABLE)]
    if field.name in _MISSING:
        checks.append(FieldCheck(is_present, _MISSING[field.name], checks_null=True))
    limit = length_limit(field)
    if limit is not None:
        rule = too_long_rule(NAMED_AFTER_LEAD.get(field.name, column))
        checks.append(length_check(rule, limit))
    return checks + _type_checks(field)


def _type_checks(field: LeadField) -> list[FieldCheck]:
    if field.type in NUMBER_TYPES:
        return [FieldCheck(_fits(number_pattern(field)), NUMBER_MALFORMED)]
    if field.type in DATE_TYPES:
        return [FieldCheck(_is_instant if field.type == "datetime" else _is_day, DATE_MALFORMED)]
    if field.type == "email":
        return [FieldCheck(_fits(EMAIL), EMAIL_MALFORMED)]
    if field.type == "boolean":
        return [FieldCheck(_fits("(?i:true|false)|0|1"), PICKLIST_VALUE_UNKNOWN)]
    if field.restricted_values is not None:
        is_known = _has_known_parts if field.type == "multipicklist" else _is_known
        return [FieldCheck(is_known(field.restricted_values), PICKLIST_VALUE_UNKNOWN)]
    return []


def number_pattern(field: LeadField) -> str:
    """Return the pattern of plain decimals that the field holds.

    More decimals than its scale pass: Salesforce rounds them.
    """
    if field.type == "int":
        # A warehouse that keeps counts as floats writes 12.0.
        return f"[+\\-]?0*[0-9]{_times(1, field.digits)}(?:\\.0+)?"
    whole = (field.precision or 0) - (field.scale or 0) if field.precision else None
    if whole == 0:
        return "[+\\-]?0*(?:0|\\.[0-9]+)"
    return f"[+\\-]?0*(?:[0-9]{_times(1, whole)}|[0-9]{_times(0, whole)}\\.[0-9]+)"


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{most}}}" if most else f"{{{least},}}"


def _fits(pattern: str) -> Predicate:
    return lambda cells: matches(cells, pattern)


def is_present(cells: pd.Series) -> pd.Series:
    """Return True where the cell is not blank."""
    return contains(cells, NOT_BLANK)


def _is_sendable(cells: pd.Series) -> pd.Series:
    # Bulk API reads a cell of exactly #N/A as "set to null".
    return is_sendable(cells) & (cells != "#N/A")


def _is_known(values: frozenset[str]) -> Predicate:
    return lambda cells: cells.isin(values)


def _has_known_parts(values: frozenset[str]) -> Predicate:
    allowed = pa.array([*values, ""], pa.large_string())

    def has_known_parts(cells: pd.Series) -> pd.Series:
        parts = pc.split_pattern(to_arrow(cells), ";")
        unknown = pc.invert(pc.is_in(pc.list_flatten(parts), allowed))
        rows = pc.filter(pc.list_parent_indices(parts), unknown).to_numpy()
        known = np.ones(len(cells), dtype=bool)
        known[rows] = False
        return pd.Series(known, index=cells.index)

    return has_known_parts


def _is_day(cells: pd.Series) -> pd.Series:
    return matches(cells, DAY) & _is_in_calendar(cells)


def _is_instant(cells: pd.Series) -> pd.Series:
    return matches(cells, INSTANT) & _is_in_calendar(cells)


def _is_in_calendar(cells: pd.Series) -> pd.Series:
    # With a format: without one pandas guesses, and took 52 seconds for 100,000 cells of which 5 %
    # were wrong.
    days = pd.to_datetime(cells.str.slice(0, 10), format="%Y-%m-%d", errors="coerce")
    return days.notna()
