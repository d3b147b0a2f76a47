"""Validate persons: reject those who break a rule, with every rule that they break."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from pipelines.rules.blanks import BLANKS
from pipelines.rules.cleaning import MappingMalformedError, require_columns
from pipelines.rules.lead_fields import (
    NAMED_AFTER_LEAD,
    TEXT_NOT_ENCODABLE,
    FieldCheck,
    LeadField,
    field_checks,
    is_present,
    length_check,
)
from pipelines.rules.rejection_rules import too_long_message, too_long_rule, validation_rule
from pipelines.rules.rejections import rejections
from pipelines.rules.selection import filter_rows
from pipelines.rules.text import CONTROL, as_text, contains, matches

if TYPE_CHECKING:
    import pandera.pandas as pandera

PERSON_ID_MISSING = validation_rule(
    "person_id_missing",
    "person_id",
    "The person has no id.",
    "Give every row of the persons table an id that is not blank.",
)
PERSON_ID_MALFORMED = validation_rule(
    "person_id_malformed",
    "person_id",
    "The person's id is bytes, and an id must be text or a number.",
    "Store the id as text or as a number, or read the persons through a view that casts it.",
)
PERSON_ID_REPEATED = validation_rule(
    "person_id_repeated",
    "person_id",
    "Several rows of the persons table have this id, so it is unclear which one is meant.",
    "Keep one row for each id, or read the persons through a view that does.",
)
PERSON_ID_TOO_LONG = too_long_rule("person_id")
PERSON_RULES = (PERSON_ID_MISSING, PERSON_ID_MALFORMED, PERSON_ID_REPEATED, PERSON_ID_TOO_LONG)


class FrameMalformedError(ValueError):
    """A persons column is of the wrong type: a defect of the reader, not of a person."""


class ValidationResult(NamedTuple):
    """`accepted`: persons who break no rule. `rejected`: REJECTED_COLUMNS, one row a person and
    rule."""

    accepted: pd.DataFrame
    rejected: pd.DataFrame


def validate(
    persons: pd.DataFrame,
    columns: Mapping[str, str],
    lead_fields: Mapping[str, LeadField],
    person_id_length: int | None,
) -> ValidationResult:
    """Reject the persons who break a rule, with every rule broken and not only the first.

    `columns` maps Lead fields to persons columns, `lead_fields` holds what describe returns about
    them. `person_id_length` is how many characters the org's person-id field holds; None if ids are
    not sent.

    `accepted` has all columns and the order, with a fresh index. `rejected` has one row a person
    and rule: `field_name` names every column that breaks it, comma-separated, and `observed_value`
    is the first one's. Expects cleaned persons; the accepted ones pass again unchanged.

    Raise MappingMalformedError for a Lead field or column that is not there, FrameMalformedError
    for a column that is not text.
    """
    require_columns(persons, columns)
    _require_fields(columns, lead_fields)
    persons = persons.reset_index(drop=True)
    checks = _checks(columns, lead_fields, person_id_length)
    violations = _violations(persons, checks)
    is_accepted = np.ones(len(persons), dtype=bool)
    is_accepted[violations["row"]] = False
    accepted = filter_rows(persons, is_accepted)
    return ValidationResult(accepted, _rejected(persons, violations, _messages(checks)))


def _require_fields(columns: Mapping[str, str], lead_fields: Mapping[str, LeadField]) -> None:
    unknown = sorted(set(columns) - set(lead_fields))
    if unknown:
        raise MappingMalformedError(
            f"Lead has no field {', '.join(unknown)} that this login may see."
        )
    needed = sorted(set(NAMED_AFTER_LEAD) - set(columns))
    if needed:
        raise MappingMalformedError(
            f"Map a persons column to {', '.join(needed)}, or give a default."
        )


def _checks(
    columns: Mapping[str, str], lead_fields: Mapping[str, LeadField], person_id_length: int | None
) -> dict[str, list[FieldCheck]]:
    """Return the checks of each persons column. `row_count`: how many rows have this person_id."""
    checks = {
        "person_id": [
            FieldCheck(is_present, PERSON_ID_MISSING, checks_null=True),
            FieldCheck(_is_unchanged_by_salesforce, TEXT_NOT_ENCODABLE),
            FieldCheck(_is_no_bytes_literal, PERSON_ID_MALFORMED),
        ],
        "row_count": [FieldCheck(lambda counts: counts <= 1, PERSON_ID_REPEATED)],
    }
    if person_id_length is not None:
        checks["person_id"].append(length_check(PERSON_ID_TOO_LONG, person_id_length))
    for field, column in columns.items():
        checks.setdefault(column, []).extend(field_checks(lead_fields[field], column))
    return checks


def _is_unchanged_by_salesforce(ids: pd.Series) -> pd.Series:
    # An id must come back as it was sent. Salesforce is said to trim text, and a line break fails
    # a whole job.
    is_plain = ~contains(ids, CONTROL) & (ids != "#N/A")
    return is_plain & (ids.str.strip(BLANKS) == ids)


def _is_no_bytes_literal(ids: pd.Series) -> pd.Series:
    # The warehouse reads an id of bytes as X'…', so that it never equals a text id.
    return ~matches(ids, "X'(?:[0-9A-F]{2})*'")


def _violations(persons: pd.DataFrame, checks: Mapping[str, list[FieldCheck]]) -> pd.DataFrame:
    """Return every violation: row (number in `persons`), rule_name, column; sorted by row.

    Masks find the rows and checks first, and pandera reports on these alone. For one good person
    pandera takes ten milliseconds to report nothing: a fifth of what an immediate sync may take.
    """
    frame = persons.reindex(columns=list(checks))
    # Rows without an id share the id "": they break person_id_missing, not person_id_repeated.
    frame["row_count"] = persons["row_count"].where(persons["person_id"] != "", 1)
    _require_types(frame)
    is_suspect = np.zeros(len(frame), dtype=bool)
    broken: dict[str, list[FieldCheck]] = {}
    for column, of_column in checks.items():
        for check in of_column:
            is_broken = check.violations(frame[column]).to_numpy(bool)
            if is_broken.any():
                is_suspect |= is_broken
                broken.setdefault(column, []).append(check)
    rows = np.flatnonzero(is_suspect)
    return _pandera_report(frame[[*broken]].take(rows).reset_index(drop=True), rows, broken)


def _require_types(frame: pd.DataFrame) -> None:
    types = {str(column): "str" for column in frame} | {"row_count": "int64"}
    wrong = [column for column, wanted in types.items() if frame[column].dtype != wanted]
    if wrong:
        raise FrameMalformedError(
            f"These persons columns are of the wrong type: {', '.join(wrong)}."
        )


def _pandera_report(
    suspects: pd.DataFrame, rows: np.ndarray, checks: Mapping[str, list[FieldCheck]]
) -> pd.DataFrame:
    import pandera.pandas as pandera

    cases = pd.DataFrame({"index": np.array([], dtype="int64"), "check": "", "column": ""})
    if len(suspects):
        try:
            _schema(checks).validate(suspects, lazy=True)
        except pandera.errors.SchemaErrors as error:
            cases = error.failure_cases
    return _as_violations(cases.assign(index=rows[cases["index"].to_numpy("int64")]))


def _schema(checks: Mapping[str, list[FieldCheck]]) -> pandera.DataFrameSchema:
    import pandera.pandas as pandera

    return pandera.DataFrameSchema(
        {
            name: pandera.Column(
                checks=[check.as_check() for check in of_column], nullable=True, required=True
            )
            for name, of_column in checks.items()
        }
    )


def _as_violations(cases: pd.DataFrame) -> pd.DataFrame:
    violations = pd.DataFrame(
        {
            "row": cases["index"].to_numpy("int64"),
            "rule_name": cases["check"].to_numpy(dtype=object),
            "column": cases["column"].replace("row_count", "person_id").to_numpy(dtype=object),
        }
    )
    # Two Lead fields that one column feeds may report the same violation.
    return violations.drop_duplicates().sort_values(["row", "rule_name"], kind="stable")


def _messages(checks: Mapping[str, Iterable[FieldCheck]]) -> dict[str, str]:
    """Return each rule's message; where several lengths apply, the shortest one is named."""
    messages: dict[str, str] = {}
    limits: dict[str, int] = {}
    for check in (check for of_column in checks.values() for check in of_column):
        name, limit = check.rule.rule_name, check.max_length
        if limit is None:
            messages[name] = check.rule.description
        else:
            limits[name] = min(limit, limits.get(name, limit))
            messages[name] = too_long_message(check.rule, limits[name])
    return messages


def _rejected(
    persons: pd.DataFrame, violations: pd.DataFrame, messages: Mapping[str, str]
) -> pd.DataFrame:
    rows, rules = violations["row"].to_numpy(), violations["rule_name"].to_numpy(dtype=object)
    columns = violations["column"].to_numpy(dtype=object)
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]) | (rules[1:] != rules[:-1])
    rule_name = as_text(rules[first])
    return rejections(
        persons["person_id"].take(rows[first]).reset_index(drop=True),
        stage="validation",
        rule_name=rule_name,
        field_name=as_text(_joined(columns, first)),
        observed=_observed(persons, rows[first], columns[first]),
        message=rule_name.map(messages).astype("str"),
    )


def _joined(columns: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the columns of each group, comma-separated. A group begins where `first` is true."""
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
