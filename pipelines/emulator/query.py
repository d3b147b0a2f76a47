"""Answering SOQL: names are looked up, conditions become SQL, rows become JSON or CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from pipelines.emulator import ids, soql
from pipelines.emulator.org import Org
from pipelines.emulator.schema import TEXT_TYPES, Field, Schema, SObject
from pipelines.emulator.soql import Combined, Comparison, Condition, Literal, Path, Query, SoqlError
from pipelines.emulator.store import Parameter, Row
from pipelines.emulator.values import Value, moment_text, parsed_moment, to_csv, to_json

MAX_OFFSET = 2_000
Sql = tuple[str, list[Parameter]]

# What can be asked of a polymorphic owner, user or queue alike.
NAME_OBJECT = SObject(
    "Name",
    "Name",
    "Names",
    "",
    (
        Field("Id", "Name ID", "id", 18),
        *(
            Field(name, name, "string", 255)
            for name in [
                "Name",
                "Type",
                "Username",
                "Email",
                "Alias",
                "FirstName",
                "LastName",
                "Title",
                "Phone",
                "DeveloperName",
            ]
        ),
        Field("IsActive", "Active", "boolean"),
        Field("ProfileId", "Profile ID", "reference", 18, reference_to=("Profile",)),
        Field("UserRoleId", "Role ID", "reference", 18, reference_to=("UserRole",)),
    ),
)


@dataclass(frozen=True)
class Column:
    """One column of the answer: where it goes in the record, and how its value is written."""

    keys: tuple[str, ...]
    field: Field
    sql: str
    aggregate: bool = False


@dataclass(frozen=True)
class Join:
    """A relationship the query goes through."""

    alias: str
    target: SObject
    sql: str


class Plan:
    """A query whose names are found: ready to run, to page, or to be written as CSV."""

    def __init__(self, schema: Schema, query: Query, *, include_deleted: bool) -> None:
        self._schema = schema
        self.query = query
        found = schema.find(query.object.parts[0])
        if found is None:
            raise _unknown_object(query)
        self.sobject = found
        self.joins: dict[tuple[str, ...], Join] = {}
        self.columns = tuple(self._columns())
        self.is_aggregate = any(column.aggregate for column in self.columns)
        where, self._parameters = self._where(query.where)
        self._conditions = [f"({where})"] if where else []
        if not (include_deleted or query.all_rows):
            self._conditions.append("t.IsDeleted = 0")
        self._order = ", ".join(self._ordering(o) for o in query.order)
        if query.offset > MAX_OFFSET:
            message = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", message)

    def select_ids(self) -> Sql:
        """SQL for the ids of the answer, in its order."""
        return f"select t.Id as id {self._tail()}", self._parameters

    def select_rows(self, limit: int | None = None) -> Sql:
        """SQL for the rows of the answer, at most `limit` of them."""
        return f"select {self._selected()} {self._tail(limit)}", self._parameters

    def select_page(self) -> str:
        """SQL for rows of a remembered answer; its parameters are locator, from, and how many."""
        return (
            f"select {self._selected()} from emulator_cursor_rows c"  # noqa: S608 - looked-up names
            f' join "{self.sobject.name}" t on t.Id = c.record_id {self._joined()}'
            " where c.locator = ? and c.position >= ? order by c.position limit ?"
        )

    def select_count(self) -> Sql:
        """SQL for the number of rows of the answer."""
        inner, parameters = self.select_ids()
        return f"select count(*) from ({inner})", parameters  # noqa: S608

    def record(self, row: Row, version: str) -> dict[str, object]:
        """One row as query answers write it, relationships as records inside."""
        if self.is_aggregate:
            made: dict[str, object] = {"attributes": {"type": "AggregateResult"}}
            made |= {
                c.keys[0]: to_json(c.field, _value(v))
                for c, v in zip(self.columns, row, strict=True)
            }
            return made
        made = _attributes(self.sobject.name, str(row[0]), version)
        inner = self._inner_records(row, made, version)
        values = row[1 + len(self.joins) :]
        for column, value in zip(self.columns, values, strict=True):
            holder = inner[column.keys[:-1]]
            if holder is not None:
                holder[column.keys[-1]] = to_json(column.field, _value(value))
        return made

    def csv_cells(self, row: Row) -> list[str]:
        """One row as a bulk query writes it."""
        values = row[1 + len(self.joins) :]
        return [to_csv(c.field, _value(v)) for c, v in zip(self.columns, values, strict=True)]

    def _inner_records(
        self, row: Row, made: dict[str, object], version: str
    ) -> dict[tuple[str, ...], dict[str, object] | None]:
        holders: dict[tuple[str, ...], dict[str, object] | None] = {(): made}
        for (keys, join), record_id in zip(self.joins.items(), row[1:], strict=False):
            outer = holders[keys[:-1]]
            inner = None
            if record_id is not None:
                inner = _attributes(join.target.name, str(record_id), version)
            holders[keys] = inner
            if outer is not None and any(c.keys[: len(keys)] == keys for c in self.columns):
                outer[keys[-1]] = inner
        return holders

    def _selected(self) -> str:
        if self.is_aggregate:
            return ", ".join(column.sql for column in self.columns)
        ids_ = [f"{join.alias}.Id" for join in self.joins.values()]
        return ", ".join(["t.Id", *ids_, *(column.sql for column in self.columns)])

    def _joined(self) -> str:
        return " ".join(join.sql for join in self.joins.values())

    def _tail(self, limit: int | None = None) -> str:
        query = self.query
        wanted = [n for n in (limit, query.limit) if n is not None]
        where = f" where {' and '.join(self._conditions)}" if self._conditions else ""
        order = f" order by {self._order}" if self._order else ""
        # The offset makes a page of what is left after it, so it goes with any limit.
        cut = f" limit {min(wanted)}" if wanted else " limit -1" if query.offset else ""
        offset = f" offset {query.offset}" if query.offset else ""
        return f'from "{self.sobject.name}" t {self._joined()}{where}{order}{cut}{offset}'

    def _columns(self) -> Iterator[Column]:
        query, seen = self.query, set()
        if query.fields_of:
            yield from self._all_columns()
            return
        unnamed = 0
        for item in query.items:
            keys, field, sql = self._find(item.path)
            if item.function:
                alias = item.alias or f"expr{unnamed}"
                unnamed += not item.alias
                yield _aggregate(item.function, alias, field, sql)
                continue
            if any(i.function for i in query.items):
                what = f"Field must be grouped or aggregated: {item.path}"
                raise self._error("MALFORMED_QUERY", item.path, what)
            if keys in seen:
                what = f"duplicate field selected: {item.path}"
                raise self._error("MALFORMED_QUERY", item.path, what)
            seen.add(keys)
            yield Column(keys, field, self._read_sql(field, sql))

    def _all_columns(self) -> Iterator[Column]:
        if self.query.limit is None or self.query.limit > 200:
            message = "The SOQL FIELDS function must have a LIMIT of at most 200"
            raise SoqlError("MALFORMED_QUERY", message)
        for field in self.sobject.fields:
            if self.query.fields_of == "all" or (self.query.fields_of == "custom") == field.custom:
                yield Column((field.name,), field, self._read_sql(field, f't."{field.name}"'))

    def _read_sql(self, field: Field, sql: str) -> str:
        if field.type != "address":
            return sql
        alias, _, name = sql.partition(".")
        prefix = name.strip('"').removesuffix("Address")
        parts = [
            "Street",
            "City",
            "State",
            "PostalCode",
            "Country",
            "Latitude",
            "Longitude",
            "GeocodeAccuracy",
        ]
        pairs = ", ".join(f"'{p[0].lower()}{p[1:]}', {alias}.\"{prefix}{p}\"" for p in parts)
        return f"json_object({pairs})"

    def _find(self, path: Path) -> tuple[tuple[str, ...], Field, str]:
        parts = path.parts
        if len(parts) > 1 and parts[0].lower() in {
            self.sobject.name.lower(),
            self.query.alias.lower(),
        }:
            parts = parts[1:]
        keys: tuple[str, ...] = ()
        current, alias = self.sobject, "t"
        for part in parts[:-1]:
            relation = current.relationships.get(part.lower())
            if relation is None:
                raise self._error(
                    "INVALID_FIELD",
                    path,
                    f"Didn't understand relationship '{part}' in field path. If you are attempting "
                    "to use a custom relationship, be sure to append the '__r' after the custom "
                    "relationship name.",
                )
            keys = (*keys, str(relation.relationship))
            current, alias = self._join(path, keys, relation, alias)
        field = current.find(parts[-1])
        if field is None:
            raise self._error("INVALID_FIELD", path, no_such_column(parts[-1], current.name))
        return (*keys, field.name), field, f'{alias}."{field.name}"'

    def _join(
        self, path: Path, keys: tuple[str, ...], relation: Field, alias: str
    ) -> tuple[SObject, str]:
        if keys not in self.joins:
            target: SObject | None = NAME_OBJECT
            if len(relation.reference_to) == 1:
                target = self._schema.find(relation.reference_to[0])
            if target is None:
                what = f"Didn't understand relationship '{keys[-1]}' in field path."
                raise self._error("INVALID_FIELD", path, what)
            new = f"j{len(self.joins)}"
            on = f'{new}.Id = {alias}."{relation.name}"'
            self.joins[keys] = Join(new, target, f'left join "{target.name}" {new} on {on}')
        join = self.joins[keys]
        return join.target, join.alias

    def _ordering(self, ordering: soql.Ordering) -> str:
        _, field, sql = self._find(ordering.path)
        if not field.filterable:
            what = f"field '{ordering.path}' can not be sorted in a query call"
            raise self._error("INVALID_FIELD", ordering.path, what)
        direction = "desc" if ordering.descending else "asc"
        nulls = "last" if ordering.nulls_last else "first"
        return f"{_collated(field, sql)} {direction} nulls {nulls}"

    def _where(self, condition: Condition | None) -> Sql:
        if condition is None:
            return "", []
        if isinstance(condition, Combined):
            parts = [self._where(part) for part in condition.parts]
            parameters = [p for _, found in parts for p in found]
            if condition.operator == "not":
                return f"not ({parts[0][0]})", parameters
            return f" {condition.operator} ".join(f"({sql})" for sql, _ in parts), parameters
        return self._comparison(condition)

    def _comparison(self, comparison: Comparison) -> Sql:
        _, field, sql = self._find(comparison.path)
        if not field.filterable:
            what = f"field '{comparison.path}' can not be filtered in a query call"
            raise self._error("INVALID_FIELD", comparison.path, what)
        operator = comparison.operator
        if operator == "like":
            return self._like(comparison, field, sql)
        if operator in {"in", "not in"}:
            found = self._within(comparison, field, sql)
            return found if operator == "in" else (f"not ({found[0]})", found[1])
        literal = comparison.literals[0]
        if literal.kind == "days":
            return self._named_days(comparison, field, sql, literal)
        value = self._literal(comparison.path, field, literal)
        if operator in {"=", "!="}:
            found = self._within(comparison, field, sql)
            return found if operator == "=" else (f"not ({found[0]})", found[1])
        if value is None:
            what = f"{operator} cannot be used with null"
            raise self._error("MALFORMED_QUERY", comparison.path, what)
        # Every condition is plainly true or false, as in SOQL: null never makes a third answer.
        return f"{sql} is not null and {_collated(field, sql)} {operator} ?", [value]

    def _like(self, comparison: Comparison, field: Field, sql: str) -> Sql:
        literal = comparison.literals[0]
        if field.type not in TEXT_TYPES or literal.kind != "string":
            what = f"invalid operator on {field.type} field"
            raise self._error("INVALID_QUERY_FILTER_OPERATOR", comparison.path, what)
        return f"sf_like({sql}, ?)", [soql.like_pattern(literal.value)]

    def _within(self, comparison: Comparison, field: Field, sql: str) -> Sql:
        values = [self._literal(comparison.path, field, x) for x in comparison.literals]
        present = list(dict.fromkeys(v for v in values if v is not None))
        plain = [v for v in present if not _needs_folding(field, v)]
        folded = [v for v in present if _needs_folding(field, v)]
        tests = []
        if plain:
            tests.append(f"{_collated(field, sql)} in ({_marks(plain)})")
        if folded:
            tests.append(f"fold({sql}) in ({_marks(folded)})")
        if present:
            tests = [f"{sql} is not null and ({' or '.join(tests)})"]
        if None in values:
            tests.append(f"{sql} is null")
        return " or ".join(f"({t})" for t in tests), [*plain, *(str(v).casefold() for v in folded)]

    def _literal(self, path: Path, field: Field, literal: Literal) -> Value:
        if literal.kind == "null" or (literal.kind == "string" and literal.value == ""):
            return None
        if field.type in TEXT_TYPES and literal.kind == "string":
            return str(literal.value).replace("\\_", "_").replace("\\%", "%")
        if field.type in {"id", "reference"} and literal.kind == "string":
            found = ids.normalised(literal.value)
            if found is None:
                what = f"invalid ID field: {literal.value}"
                raise self._error("INVALID_QUERY_FILTER_OPERATOR", path, what)
            return found
        convert = _CONVERSIONS.get((field.type, literal.kind))
        try:
            if convert is not None:
                return convert(literal.value)
        except (ValueError, OverflowError) as error:
            what = f"{literal.value} is not a valid {field.type}"
            raise self._error("MALFORMED_QUERY", path, what) from error
        wanted = "string" if field.type in TEXT_TYPES or field.type == "id" else field.type
        enclosed = "should be" if wanted == "string" else "should not be"
        raise self._error(
            "INVALID_FIELD",
            path,
            f"value of filter criterion for field '{field.name}' must be of type {wanted} and "
            f"{enclosed} enclosed in quotes",
        )

    def _named_days(self, comparison: Comparison, field: Field, sql: str, literal: Literal) -> Sql:
        if field.type not in {"date", "datetime"}:
            what = (
                f"value of filter criterion for field '{field.name}' must be of type {field.type}"
            )
            raise self._error("INVALID_FIELD", comparison.path, what)
        start, end = (
            _day_text(field, d) for d in named_days(literal.value, datetime.now(UTC).date())
        )
        known = f"{sql} is not null and "
        inside = f"{sql} >= ? and {sql} < ?"
        tests: dict[str, Sql] = {
            "=": (known + inside, [start, end]),
            "!=": (f"not ({known}{inside})", [start, end]),
            "<": (f"{known}{sql} < ?", [start]),
            "<=": (f"{known}{sql} < ?", [end]),
            ">": (f"{known}{sql} >= ?", [end]),
            ">=": (f"{known}{sql} >= ?", [start]),
        }
        return tests[comparison.operator]

    def _error(self, code: str, path: Path, what: str) -> SoqlError:
        return SoqlError(code, soql.at(self.query.text, path.position, what))


def no_such_column(name: str, object_name: str) -> str:
    """The org's words for a field it does not have, or does not show."""
    return (
        f"No such column '{name}' on entity '{object_name}'. If you are attempting to use a custom "
        "field, be sure to append the '__c' after the custom field name. Please reference your "
        "WSDL or the describe call for the appropriate names."
    )


def plan(org: Org, text: str, *, include_deleted: bool = False) -> Plan:
    """The plan of a query, or SoqlError."""
    try:
        return Plan(org.schema, soql.parse(text), include_deleted=include_deleted)
    except RecursionError as error:
        raise SoqlError("MALFORMED_QUERY", "the query is nested too deeply") from error


def named_days(name: str, today: date) -> tuple[date, date]:
    """First day and the day after the last of a named range; weeks start on Sunday."""
    name, _, count = name.partition(":")
    sunday = today - timedelta(days=(today.weekday() + 1) % 7)
    month = today.replace(day=1)
    year = today.replace(month=1, day=1)
    one, week, days = timedelta(days=1), timedelta(days=7), timedelta(days=int(count or 90))
    ranges = {
        "today": (today, today + one),
        "yesterday": (today - one, today),
        "tomorrow": (today + one, today + 2 * one),
        "this_week": (sunday, sunday + week),
        "last_week": (sunday - week, sunday),
        "this_month": (month, (month + timedelta(days=32)).replace(day=1)),
        "last_month": ((month - one).replace(day=1), month),
        "this_year": (year, year.replace(year=year.year + 1)),
        "last_year": (year.replace(year=year.year - 1), year),
        "next": (today + one, today + one + days),
        "last": (today - days, today + one),
    }
    return ranges[name] if name in ranges else ranges[name.partition("_")[0]]


def _day_text(field: Field, day: date) -> str:
    return day.isoformat() if field.type == "date" else f"{day.isoformat()}T00:00:00.000+0000"


def _moment(text: str) -> Value:
    return moment_text(parsed_moment(text))


def _day(text: str) -> Value:
    return date.fromisoformat(text).isoformat()


def _number(value: float) -> Value:
    return value


def _flag(value: int) -> Value:
    return value


_CONVERSIONS: dict[tuple[str, str], Callable[..., Value]] = {
    ("boolean", "boolean"): _flag,
    ("int", "number"): _number,
    ("double", "number"): _number,
    ("currency", "number"): _number,
    ("percent", "number"): _number,
    ("datetime", "datetime"): _moment,
    ("date", "date"): _day,
}


def _unknown_object(query: Query) -> SoqlError:
    name = query.object.parts[0]
    what = (
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be "
        "sure to append the '__c' after the entity name. Please reference your WSDL or the "
        "describe call for the appropriate names."
    )
    return SoqlError("INVALID_TYPE", soql.at(query.text, query.object.position, what))


def _aggregate(function: str, alias: str, field: Field, sql: str) -> Column:
    written = f"count(distinct {sql})" if function == "count_distinct" else f"{function}({sql})"
    counted = function in {"count", "count_distinct"}
    numbered = replace(field, type="int") if counted else field
    return Column((alias,), numbered, written, aggregate=True)


def _attributes(object_name: str, record_id: str, version: str) -> dict[str, object]:
    kind = {"005": "User", "00G": "Group"}.get(record_id[:3], object_name)
    url = f"/services/data/v{version}/sobjects/{kind}/{record_id}"
    return {"attributes": {"type": object_name, "url": url}}


def _collated(field: Field, sql: str) -> str:
    return f"{sql} collate nocase" if field.type in TEXT_TYPES and not field.case_sensitive else sql


def _needs_folding(field: Field, value: Value) -> bool:
    # SQLite folds ASCII only; É and é are one letter to the org all the same.
    return isinstance(value, str) and not value.isascii() and not field.case_sensitive


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _value(value: str | int | float | bytes | None) -> Value:
    return value.decode() if isinstance(value, bytes) else value
