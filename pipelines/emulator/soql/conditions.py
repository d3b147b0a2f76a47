"""Translate WHERE and HAVING to SQL.

As in SOQL, every condition is true or false. Null never gives a third result, so `!=` and NOT IN
find nulls too. A null checkbox counts as unchecked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from pipelines.emulator.org import ids
from pipelines.emulator.org.schema import TEXT_TYPES, Field
from pipelines.emulator.org.store import Parameter
from pipelines.emulator.org.values import Value, moment_text, parsed_moment
from pipelines.emulator.soql.dates import DateLiteralError, named_days
from pipelines.emulator.soql.names import Found, Names
from pipelines.emulator.soql.syntax import Combined, Comparison, Condition, Literal, Operand, Path

Sql = tuple[str, list[Parameter]]
Lookup = Callable[[Operand], Found]
MAX_DEPTH = 100
DAYS = "days"
KINDS = {
    "datetime": "dateTime",
    "currency": "double",
    "percent": "double",
    "id": "ID",
    "reference": "ID",
    **dict.fromkeys(TEXT_TYPES, "string"),
}


class Conditions:
    """Translates the conditions of one query to SQL; `lookup` resolves an operand."""

    def __init__(
        self, names: Names, lookup: Lookup, semi_join: Callable[[Comparison], Sql]
    ) -> None:
        self._names = names
        self._lookup = lookup
        self._semi_join = semi_join

    def sql(self, condition: Condition, depth: int = 0) -> Sql:
        """Return the condition as SQL with its parameters."""
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        if depth > MAX_DEPTH:
            raise self._names.error("MALFORMED_QUERY", _first_path(condition), "nested too deeply")
        parts = [self.sql(part, depth + 1) for part in condition.parts]
        if condition.operator == "not":
            return f"not ({parts[0][0]})", parts[0][1]
        parameters = [p for _, found in parts for p in found]
        return _balanced([sql for sql, _ in parts], condition.operator), parameters

    def _comparison(self, comparison: Comparison) -> Sql:
        found = self._lookup(comparison.left)
        if not found.field.filterable:
            what = f"field '{comparison.left}' can not be filtered in a query call"
            raise self._names.error("INVALID_FIELD", comparison.left.path, what)
        if comparison.inner is not None:
            return self._semi_join(comparison)
        if found.field.type == "boolean":
            found = Found(found.keys, found.field, f"coalesce({found.sql}, 0)")
        if comparison.operator == "like":
            return self._like(comparison, found)
        if comparison.operator in {"=", "in"}:
            return self._among(comparison, found)
        if comparison.operator in {"!=", "not in"}:
            sql, parameters = self._among(comparison, found)
            return f"not ({sql})", parameters
        return self._ordered(comparison, found)

    def _ordered(self, comparison: Comparison, found: Found) -> Sql:
        """Translate `<`, `<=`, `>` and `>=`; a range of days is compared by its start or its
        end.
        """
        operator, field = comparison.operator, found.field
        if field.type == "boolean":
            raise self._wrong_operator(comparison, field)
        literal = comparison.literals[0]
        if literal.kind == DAYS:
            start, end = self._days(comparison.left.path, field, literal)
            value: Value = start if operator in {"<", ">="} else end
            operator = {"<=": "<", ">": ">="}.get(operator, operator)
        else:
            value = self._value(comparison.left.path, field, literal)
        if value is None:
            what = f"{operator} cannot be used with null"
            raise self._names.error("MALFORMED_QUERY", comparison.left.path, what)
        known = f"{found.sql} is not null"
        return f"{known} and {collated(field, found.sql)} {operator} ?", [value]

    def _like(self, comparison: Comparison, found: Found) -> Sql:
        literal = comparison.literals[0]
        if found.field.type not in TEXT_TYPES or literal.kind != "string":
            raise self._wrong_operator(comparison, found.field)
        return f"sf_like({found.sql}, ?)", [literal.pattern]

    def _wrong_operator(self, comparison: Comparison, field: Field) -> Exception:
        what = f"invalid operator on {KINDS.get(field.type, field.type)} field"
        path = comparison.left.path
        return self._names.error("INVALID_QUERY_FILTER_OPERATOR", path, what)

    def _among(self, comparison: Comparison, found: Found) -> Sql:
        """Translate equality with one of the literals."""
        path, field = comparison.left.path, found.field
        tests: list[str] = []
        parameters: list[Parameter] = []
        days = [literal for literal in comparison.literals if literal.kind == DAYS]
        for literal in days:
            tests.append(f"({found.sql} >= ? and {found.sql} < ?)")
            parameters += self._days(path, field, literal)
        values = [self._value(path, field, x) for x in comparison.literals if x.kind != DAYS]
        present = list(dict.fromkeys(v for v in values if v is not None))
        plain = [v for v in present if not _needs_folding(field, v)]
        folded = [str(v).casefold() for v in present if _needs_folding(field, v)]
        if plain:
            tests.append(f"{collated(field, found.sql)} in ({_marks(plain)})")
        if folded:
            tests.append(f"fold({found.sql}) in ({_marks(folded)})")
        if tests:
            tests = [f"({found.sql} is not null and ({' or '.join(tests)}))"]
        if None in values:
            tests.append(f"{found.sql} is null")
        return " or ".join(tests), [*parameters, *plain, *folded]

    def _value(self, path: Path, field: Field, literal: Literal) -> Value:
        if literal.kind == "null" or (literal.kind == "string" and literal.value == ""):
            return 0 if field.type == "boolean" else None
        if literal.only_like:
            what = "a backslash before _ or % is only known to LIKE"
            raise self._names.error("MALFORMED_QUERY", path, what)
        if field.type in TEXT_TYPES and literal.kind == "string":
            return str(literal.value)
        if field.type in {"id", "reference"} and literal.kind == "string":
            return self._id(path, literal)
        convert = _CONVERSIONS.get((field.type, literal.kind))
        if convert is None:
            raise self._wrong_kind(path, field)
        try:
            return convert(literal.value)
        except (ValueError, OverflowError) as error:
            what = f"{literal.value} is not a valid {field.type}"
            raise self._names.error("MALFORMED_QUERY", path, what) from error

    def _id(self, path: Path, literal: Literal) -> Value:
        found = ids.normalised(literal.value)
        if found is None:
            what = f"invalid ID field: {literal.value}"
            raise self._names.error("INVALID_QUERY_FILTER_OPERATOR", path, what)
        return found

    def _days(self, path: Path, field: Field, literal: Literal) -> tuple[str, str]:
        try:
            start, end = named_days(literal.value, datetime.now(UTC).date())
        except DateLiteralError as error:
            place = Path((), literal.value.start_pos)
            raise self._names.error("MALFORMED_QUERY", place, str(error)) from error
        if field.type not in {"date", "datetime"}:
            raise self._wrong_kind(path, field)
        return _day_text(field, start), _day_text(field, end)

    def _wrong_kind(self, path: Path, field: Field) -> Exception:
        kind = KINDS.get(field.type, field.type)
        enclosed = "should be" if kind in {"string", "ID"} else "should not be"
        what = (
            f"value of filter criterion for field '{field.name}' must be of type {kind} and "
            f"{enclosed} enclosed in quotes"
        )
        return self._names.error("INVALID_FIELD", path, what)


def _first_path(condition: Condition) -> Path:
    while isinstance(condition, Combined):
        condition = condition.parts[0]
    return condition.left.path


def _balanced(parts: Sequence[str], operator: str) -> str:
    # SQLite allows an expression depth of 1,000, and a flat chain is as deep as it is long.
    if len(parts) == 1:
        return f"({parts[0]})"
    half = len(parts) // 2
    left, right = _balanced(parts[:half], operator), _balanced(parts[half:], operator)
    return f"({left} {operator} {right})"


def collated(field: Field, sql: str) -> str:
    """Return the SQL of a text that compares without case, unless its field is case-sensitive."""
    return f"{sql} collate nocase" if field.type in TEXT_TYPES and not field.case_sensitive else sql


def _needs_folding(field: Field, value: Value) -> bool:
    # SQLite folds ASCII only, but É and é are equal in the org.
    return isinstance(value, str) and not value.isascii() and not field.case_sensitive


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _day_text(field: Field, day: date) -> str:
    return day.isoformat() if field.type == "date" else f"{day.isoformat()}T00:00:00.000+0000"


def _moment(text: str) -> Value:
    return moment_text(parsed_moment(text))


def _day(text: str) -> Value:
    return date.fromisoformat(text).isoformat()


def _same(value: float) -> Value:
    return value


_CONVERSIONS: dict[tuple[str, str], Callable[..., Value]] = {
    ("boolean", "boolean"): _same,
    ("int", "number"): _same,
    ("double", "number"): _same,
    ("currency", "number"): _same,
    ("percent", "number"): _same,
    ("datetime", "datetime"): _moment,
    ("date", "date"): _day,
}
