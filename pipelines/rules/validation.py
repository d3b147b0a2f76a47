"""Who is a valid person: clean what is harmless, fill defaults, set apart who breaks a rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from pipelines.rules.lead_fields import (
    NAMED_AFTER_LEAD,
    FieldCheck,
    LeadField,
    field_demands,
    is_given,
    is_within,
    length_limit,
    too_long_rule,
)
from pipelines.rules.rejection_rules import description_of, too_long_sentence
from pipelines.rules.rejections import rejections
from pipelines.rules.selection import keep
from pipelines.rules.text import (
    CONTROL,
    OUTER_BLANKS,
    as_text,
    blank_text,
    has,
    join_lines,
    matches,
    trim,
)

if TYPE_CHECKING:
    import pandera.pandas as pandera

__all__ = ["FrameMalformed", "LeadField", "MappingMalformed", "ValidationResult"]
__all__ += ["clean", "fill_defaults", "validate", "without_defaults"]

# Compared with the warehouse later on, so they stay exactly as it spells them.
UNTOUCHED = frozenset({"person_id", "created_at", "source_version"})


class MappingMalformed(ValueError):
    """The mapping of Lead fields to persons columns cannot be followed."""


class FrameMalformed(ValueError):
    """A persons column is of the wrong type: a fault of the reader, not of a person."""


class ValidationResult(NamedTuple):
    """`accepted`: persons without any breach. `rejected`: one row a person and rule broken."""

    accepted: pd.DataFrame
    rejected: pd.DataFrame


def clean(persons: pd.DataFrame) -> pd.DataFrame:
    """The same persons without what is never meant: outer blanks, blank cells, line breaks.

    Outer white space goes, no-break and zero-width spaces and byte-order marks included; what is
    blank becomes null; a line break within a cell becomes one space. Two projects report that a
    newline inside a quoted cell fails the whole Bulk job, though the guide shows one as legal: one
    address must not stop a load. person_id, created_at and source_version stay as they are.
    Repeatable; the order stays.
    """
    texts = [c for c in persons.columns if persons[c].dtype == "str" and c not in UNTOUCHED]
    cleaned = persons.copy(deep=False)
    for column in texts:
        cleaned[column] = trim(join_lines(persons[column]))
    return cleaned


def fill_defaults(
    persons: pd.DataFrame, columns: Mapping[str, str], defaults: Mapping[str, str]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Fill blanks with the agreed defaults (Lead field → value), and say where.

    `columns` maps Lead fields to persons columns. A default for an unmapped Lead field adds a
    column of that name. Returns the persons with the column `defaulted_fields` (Lead fields,
    comma-separated; null for none) and the mapping with the added columns. Expects cleaned persons.
    Raises MappingMalformed for a mapped column that is not there.
    """
    _demand_columns(persons, columns)
    filled = persons.copy(deep=False)
    mapping = dict(columns)
    labels = as_text("", filled.index)
    for field, value in defaults.items():
        column = mapping.setdefault(field, _free_name(field, filled))
        if column not in filled:
            filled[column] = blank_text(len(filled)).set_axis(filled.index)
        blank = filled[column].isna()
        filled[column] = filled[column].fillna(value)
        labels = labels + as_text(np.where(blank, f",{field}", ""), filled.index)
    filled["defaulted_fields"] = labels.str.slice(1).where(labels != "")
    return filled, mapping


def without_defaults(persons: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the same persons with every filled cell blank again, and `defaulted_fields` null.

    For updates: a default stands for what nobody knows, and the org may know better. Expects what
    `fill_defaults` returned; repeatable.
    """
    filled = persons["defaulted_fields"]
    bare = persons.copy(deep=False)
    for field in sorted({name for names in filled.dropna().unique() for name in names.split(",")}):
        is_filled = has(filled, rf"(?:^|,){re.escape(field)}(?:,|$)")
        bare[columns[field]] = persons[columns[field]].mask(is_filled)
    return bare.assign(defaulted_fields=blank_text(len(bare)).set_axis(bare.index))


def _free_name(field: str, persons: pd.DataFrame) -> str:
    # Only an unmapped field asks; a persons column that happens to bear its name means something
    # else.
    return field if field not in persons else _free_name(f"{field}_default", persons)


def validate(
    persons: pd.DataFrame,
    columns: Mapping[str, str],
    lead_fields: Mapping[str, LeadField],
    person_id_length: int | None,
) -> ValidationResult:
    """Set apart who breaks a rule, with every rule broken and not only the first.

    `columns` maps Lead fields to persons columns, `lead_fields` holds what describe says of them,
    and `person_id_length` how many characters the org's person-id field holds (null: ids are not
    sent). `accepted` keeps all columns and the order, with a fresh index. `rejected` has one row a
    person and rule; `field_name` names every column that breaks it, comma-separated, and
    `observed_value` is the first's. Expects cleaned persons; screening the accepted again changes
    nothing. Raises MappingMalformed for a Lead field or column that is not there, FrameMalformed
    for a column that is not text.
    """
    _demand_columns(persons, columns)
    _demand_fields(columns, lead_fields)
    persons = persons.reset_index(drop=True)
    violations = _breaches(persons, _demands(columns, lead_fields, person_id_length))
    good = np.ones(len(persons), dtype=bool)
    good[violations["row"]] = False
    accepted = keep(persons, good)
    lengths = _limits(columns, lead_fields) | {"person_id_too_long": person_id_length or 0}
    return ValidationResult(accepted, _rejected(persons, violations, lengths))


def _demand_columns(persons: pd.DataFrame, columns: Mapping[str, str]) -> None:
    absent = sorted({column for column in columns.values() if column not in persons})
    if absent:
        raise MappingMalformed(
            f"The persons have no column {', '.join(absent)}; leave it unmapped."
        )


def _demand_fields(columns: Mapping[str, str], lead_fields: Mapping[str, LeadField]) -> None:
    unknown = sorted(set(columns) - set(lead_fields))
    if unknown:
        raise MappingMalformed(f"Lead has no field {', '.join(unknown)} that this login may see.")
    needed = sorted(set(NAMED_AFTER_LEAD) - set(columns))
    if needed:
        raise MappingMalformed(f"Map a persons column to {', '.join(needed)}, or give a default.")


def _demands(
    columns: Mapping[str, str], lead_fields: Mapping[str, LeadField], person_id_length: int | None
) -> dict[str, list[FieldCheck]]:
    demands = {
        "person_id": [
            FieldCheck(is_given, "person_id_missing", also_null=True),
            FieldCheck(_is_plain_id, "text_not_encodable"),
            FieldCheck(_is_no_literal, "person_id_malformed"),
        ],
        "row_count": [FieldCheck(lambda counts: counts <= 1, "person_id_repeated")],
    }
    if person_id_length is not None:
        demands["person_id"].append(FieldCheck(is_within(person_id_length), "person_id_too_long"))
    for field, column in columns.items():
        demands.setdefault(column, []).extend(field_demands(lead_fields[field], column))
    return demands


def _is_plain_id(ids: pd.Series) -> pd.Series:
    # An id must come back as it went: Salesforce is said to trim text, and a line break fails a
    # whole job.
    plain = ~has(ids, CONTROL) & (ids != "#N/A")
    return plain & (ids.str.strip(OUTER_BLANKS) == ids)


def _is_no_literal(ids: pd.Series) -> pd.Series:
    # How the warehouse spells an id of bytes, so that it passes for nobody's text.
    return ~matches(ids, "X'(?:[0-9A-F]{2})*'")


def _breaches(persons: pd.DataFrame, demands: Mapping[str, list[FieldCheck]]) -> pd.DataFrame:
    """Every breach, as row (number in `persons`), rule_name and column; sorted by row.

    Masks find the rows and the demands first, and pandera reports on these alone: of one good
    person it would spend ten milliseconds to say nothing, a fifth of what an immediate sync may
    take.
    """
    frame = persons.reindex(columns=list(demands))
    # Rows without an id are missing theirs, not repeating somebody's.
    frame["row_count"] = persons["row_count"].where(persons["person_id"] != "", 1)
    _demand_types(frame)
    suspect = np.zeros(len(frame), dtype=bool)
    broken: dict[str, list[FieldCheck]] = {}
    for column, wanted in demands.items():
        for demand in wanted:
            breaks = demand.broken(frame[column]).to_numpy(bool)
            if breaks.any():
                suspect |= breaks
                broken.setdefault(column, []).append(demand)
    rows = np.flatnonzero(suspect)
    return _reported(frame[[*broken]].take(rows).reset_index(drop=True), rows, broken)


def _demand_types(frame: pd.DataFrame) -> None:
    types = {str(column): "str" for column in frame} | {"row_count": "int64"}
    wrong = [column for column, wanted in types.items() if frame[column].dtype != wanted]
    if wrong:
        raise FrameMalformed(f"These persons columns are of the wrong type: {', '.join(wrong)}.")


def _reported(
    suspects: pd.DataFrame, rows: np.ndarray, demands: Mapping[str, list[FieldCheck]]
) -> pd.DataFrame:
    import pandera.pandas as pandera

    cases = pd.DataFrame({"index": np.array([], dtype="int64"), "check": "", "column": ""})
    if len(suspects):
        try:
            _schema(demands).validate(suspects, lazy=True)
        except pandera.errors.SchemaErrors as error:
            cases = error.failure_cases
    return _as_breaches(cases.assign(index=rows[cases["index"].to_numpy("int64")]))


def _schema(demands: Mapping[str, list[FieldCheck]]) -> pandera.DataFrameSchema:
    import pandera.pandas as pandera

    return pandera.DataFrameSchema(
        {
            name: pandera.Column(
                checks=[demand.as_check() for demand in wanted], nullable=True, required=True
            )
            for name, wanted in demands.items()
        }
    )


def _as_breaches(cases: pd.DataFrame) -> pd.DataFrame:
    violations = pd.DataFrame(
        {
            "row": cases["index"].to_numpy("int64"),
            "rule_name": cases["check"].to_numpy(dtype=object),
            "column": cases["column"].replace("row_count", "person_id").to_numpy(dtype=object),
        }
    )
    # Two Lead fields fed by one column may find the same fault in it.
    return violations.drop_duplicates().sort_values(["row", "rule_name"], kind="stable")


def _limits(columns: Mapping[str, str], lead_fields: Mapping[str, LeadField]) -> dict[str, int]:
    limits: dict[str, int] = {}
    for field, column in columns.items():
        limit, rule_name = length_limit(lead_fields[field]), too_long_rule(field, column)
        if limit is not None:
            limits[rule_name] = min(limit, limits.get(rule_name, limit))
    return limits


def _rejected(
    persons: pd.DataFrame, violations: pd.DataFrame, limits: Mapping[str, int]
) -> pd.DataFrame:
    rows, rules = violations["row"].to_numpy(), violations["rule_name"].to_numpy(dtype=object)
    columns = violations["column"].to_numpy(dtype=object)
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (rules[1:] != rules[:-1])
    rule_name = as_text(rules[first])
    sentences = {name: _sentence(name, limits) for name in rule_name.unique()}
    return rejections(
        persons["person_id"].take(rows[first]).reset_index(drop=True),
        stage="validation",
        rule_name=rule_name,
        field_name=as_text(_joined(columns, first)),
        observed=_observed(persons, rows[first], columns[first]),
        message=rule_name.map(sentences).astype("str"),
    )


def _sentence(rule_name: str, limits: Mapping[str, int]) -> str:
    if rule_name in limits:
        return too_long_sentence(rule_name, limits[rule_name])
    return description_of(rule_name)


def _joined(columns: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The columns of each group, comma-separated; a group begins where `first` is true."""
    starts = np.flatnonzero(first)
    group = np.cumsum(first) - 1
    rank = np.arange(len(columns)) - starts[group]
    joined: np.ndarray = columns[first]
    for nth in range(1, int(rank.max(initial=0)) + 1):
        others = rank == nth
        joined[group[others]] += "," + columns[others]
    return joined


def _observed(persons: pd.DataFrame, rows: np.ndarray, columns: np.ndarray) -> pd.Series:
    observed = np.full(len(rows), None, dtype=object)
    for column in set(columns):
        here = columns == column
        observed[here] = persons[column].take(rows[here]).to_numpy(dtype=object)
    return as_text(observed)
