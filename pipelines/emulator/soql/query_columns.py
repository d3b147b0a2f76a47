"""The SELECT list of a query as the columns of its result: fields, functions, groups, FIELDS()."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pipelines.emulator.org.schema import Field
from pipelines.emulator.soql.grammar import AGGREGATES
from pipelines.emulator.soql.names import Names
from pipelines.emulator.soql.syntax import Operand, Query, Selected, SoqlError, malformed

MAX_FIELDS_LIMIT = 200


@dataclass(frozen=True)
class Column:
    """One column of the result: its keys in a record, its field, and its SQL."""

    keys: tuple[str, ...]
    field: Field
    sql: str
    aggregate: bool = False


class Selection:
    """The SELECT list of one query; `grouped` is the SQL of its GROUP BY terms."""

    def __init__(
        self, query: Query, names: Names, grouped: Collection[str], is_aggregate: bool
    ) -> None:
        self._query = query
        self._names = names
        self._grouped = grouped
        self._is_aggregate = is_aggregate

    def columns(self) -> Iterator[Column]:
        """Yield the columns in order; raise SoqlError for one that occurs twice."""
        seen: set[tuple[str, ...]] = set()
        unnamed = 0
        for item in self._query.selected:
            for column in self._of(item, unnamed):
                if column.keys in seen:
                    raise self._repeated(item, column)
                seen.add(column.keys)
                yield column
            unnamed += bool(item.operand.function and not item.alias)

    def _of(self, item: Selected, unnamed: int) -> list[Column]:
        if item.fields:
            return self._all_columns(item)
        return [self._aggregated(item, unnamed) if self._is_aggregate else self._plain(item)]

    def _repeated(self, item: Selected, column: Column) -> SoqlError:
        if self._is_aggregate:
            return self._malformed(item.operand, f"duplicate alias: {column.keys[0]}")
        return self._malformed(item.operand, f"duplicate field selected: {item.operand}")

    def _plain(self, item: Selected) -> Column:
        if item.alias and not item.operand.function:
            raise self._malformed(item.operand, "only aggregate expressions use field aliasing")
        found = self._names.find(item.operand)
        if item.operand.function not in {"", "tolabel"}:
            raise self._malformed(item.operand, f"Field must be grouped: {item.operand}")
        # The label of a picklist value is the value itself: this org has no translations.
        keys = (item.alias,) if item.alias else found.keys
        return Column(keys, found.field, _read_sql(found.field, found.sql))

    def _aggregated(self, item: Selected, unnamed: int) -> Column:
        found = self._names.find(item.operand)
        aggregate = item.operand.function in AGGREGATES
        if not aggregate and found.sql not in self._grouped:
            what = f"Field must be grouped or aggregated: {item.operand}"
            raise self._malformed(item.operand, what)
        name = f"expr{unnamed}" if item.operand.function else found.keys[-1]
        return Column((item.alias or name,), found.field, found.sql, aggregate)

    def _all_columns(self, item: Selected) -> list[Column]:
        limit = self._query.limit
        # Only the standard fields are known to be few.
        if item.fields != "standard" and (limit is None or limit > MAX_FIELDS_LIMIT):
            what = f"The SOQL FIELDS function must have a LIMIT of at most {MAX_FIELDS_LIMIT}"
            raise self._malformed(item.operand, what)
        if self._is_aggregate:
            raise self._malformed(item.operand, "FIELDS cannot be grouped")
        return [
            Column((field.name,), field, _read_sql(field, f't."{field.name}"'))
            for field in self._names.sobject.fields
            if item.fields == "all" or (item.fields == "custom") == field.custom
        ]

    def _malformed(self, operand: Operand, what: str) -> SoqlError:
        return malformed(self._query.text, operand.path.position, what)


def _read_sql(field: Field, sql: str) -> str:
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
