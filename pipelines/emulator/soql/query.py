"""Plan a query: look up its names, translate its clauses to SQL, convert its rows to JSON or
CSV.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.emulator.org.formatting import to_csv, to_json
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.schema import SObject
from pipelines.emulator.org.store import Parameter, Row
from pipelines.emulator.org.values import Value
from pipelines.emulator.soql import syntax
from pipelines.emulator.soql.conditions import Conditions, Sql, collated
from pipelines.emulator.soql.grammar import AGGREGATES, DATE_FUNCTIONS
from pipelines.emulator.soql.joins import SCOPES, SemiJoins
from pipelines.emulator.soql.names import Found, Names
from pipelines.emulator.soql.parser import parse
from pipelines.emulator.soql.query_columns import Selection
from pipelines.emulator.soql.syntax import Operand, Query, SoqlError

MAX_OFFSET = 2_000


@dataclass(frozen=True)
class Requester:
    """Who runs the query, and whether deleted records are included."""

    user_id: str = ""
    include_deleted: bool = False


class Plan:
    """A query with resolved names: ready to run, to read in pages, or to write as CSV."""

    def __init__(self, org: Org, query: Query, requester: Requester) -> None:
        self.query = query
        self.sobject = _object(org, query)
        self._names = Names(org.schema, query.text, self.sobject, query.alias)
        self.is_aggregate = bool(query.group) or any(
            item.operand.function in AGGREGATES for item in query.selected
        )
        self._grouped = {self._group_key(operand) for operand in query.group}
        selection = Selection(query, self._names, self._grouped, self.is_aggregate)
        self.columns = tuple(selection.columns())
        self._check_clauses()
        self._conditions, self._parameters = self._where(org, requester)
        self._order = ", ".join(self._ordering(o) for o in query.order)
        self._grouping = self._group_by()

    def select_places(self) -> Sql:
        """Return SQL for the rowids of the result's records, in order."""
        return f"select t.rowid as place {self._tail()}", self._parameters

    def select_rows(self, limit: int | None = None) -> Sql:
        """Return SQL for the rows of the result, at most `limit` of them."""
        return f"select {self._selected()} {self._tail(limit)}", self._parameters

    def select_page(self) -> str:
        """Return SQL for rows of a stored result, with the parameters of `page_tail`."""
        return f"select {self._selected()} {self.page_tail()}"

    def page_tail(self) -> str:
        """Return the FROM clause for a stored result; parameters `:locator`, `:start`,
        `:before`.
        """
        return (
            f'from emulator_cursor_rows c join "{self.sobject.name}" t on t.rowid = c.record_row'
            f" {self._joined()} where c.locator = :locator and c.position >= :start"
            " and c.position < :before order by c.position"
        )

    def select_count(self) -> Sql:
        """Return SQL for the number of rows of the result."""
        related, parameters = self.select_places()
        return f"select count(*) from ({related})", parameters  # noqa: S608

    def _selected(self) -> str:
        if self.is_aggregate:
            return ", ".join(column.sql for column in self.columns)
        ids_ = [f"{join.alias}.Id" for join in self._names.joins.values()]
        return ", ".join(["t.Id", *ids_, *(column.sql for column in self.columns)])

    def _joined(self) -> str:
        return " ".join(join.sql for join in self._names.joins.values())

    def _tail(self, limit: int | None = None) -> str:
        query = self.query
        limits = [n for n in (limit, query.limit) if n is not None]
        where = f" where {' and '.join(self._conditions)}" if self._conditions else ""
        order = f" order by {self._order}" if self._order else ""
        # SQLite accepts OFFSET only after LIMIT; -1 means no limit.
        cut = f" limit {min(limits)}" if limits else " limit -1" if query.offset else ""
        offset = f" offset {query.offset}" if query.offset else ""
        tail = f"{where}{self._grouping}{order}{cut}{offset}"
        return f'from "{self.sobject.name}" t {self._joined()}{tail}'

    def record(self, row: Row, version: str) -> dict[str, object]:
        """Return one row as REST writes it, with related records inside."""
        if self.is_aggregate:
            written = {
                c.keys[0]: to_json(c.field, _value(v))
                for c, v in zip(self.columns, row, strict=True)
            }
            return {"attributes": {"type": "AggregateResult"}} | written
        built = _attributes(self.sobject.name, str(row[0]), version)
        related = self._related_records(row, built, version)
        values = row[1 + len(self._names.joins) :]
        for column, value in zip(self.columns, values, strict=True):
            holder = related[column.keys[:-1]]
            if holder is not None:
                holder[column.keys[-1]] = to_json(column.field, _value(value))
        return built

    def csv_cells(self, row: Row) -> list[str]:
        """Return one row as the cells of a CSV file."""
        values = row[1 + len(self._names.joins) :]
        return [to_csv(c.field, _value(v)) for c, v in zip(self.columns, values, strict=True)]

    def _related_records(
        self, row: Row, built: dict[str, object], version: str
    ) -> dict[tuple[str, ...], dict[str, object] | None]:
        holders: dict[tuple[str, ...], dict[str, object] | None] = {(): built}
        for (keys, join), record_id in zip(self._names.joins.items(), row[1:], strict=False):
            outer = holders[keys[:-1]]
            related = None
            if record_id is not None:
                related = _attributes(join.target.name, str(record_id), version)
            holders[keys] = related
            if outer is not None and any(c.keys[: len(keys)] == keys for c in self.columns):
                outer[keys[-1]] = related
        return holders

    def _check_clauses(self) -> None:
        query = self.query
        if query.offset > MAX_OFFSET:
            message = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", message)
        if query.count_all and (query.group or query.order):
            raise syntax.malformed(
                query.text, 0, "COUNT() cannot be used with GROUP BY or ORDER BY; use COUNT(Id)"
            )
        if self.is_aggregate and not query.group and query.limit is not None:
            what = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
            raise self._malformed(query.selected[0].operand, what)

    def _where(self, org: Org, requester: Requester) -> tuple[list[str], list[Parameter]]:
        conditions: list[str] = []
        parameters: list[Parameter] = []
        if self.query.where is not None:
            joins = SemiJoins(org.schema, self._names, self.query.where)
            compiler = Conditions(self._names, self._find_in_row, joins.sql)
            sql, parameters = compiler.sql(self.query.where)
            conditions.append(f"({sql})")
        if not (requester.include_deleted or self.query.all_rows):
            conditions.append("t.IsDeleted = 0")
        if self.query.scope:
            conditions.append(self._scope())
            parameters = [*parameters, *[requester.user_id] * conditions[-1].count("?")]
        return conditions, parameters

    def _scope(self) -> str:
        found = SCOPES.get(self.query.scope.lower())
        if found is None or (found and self.sobject.find("OwnerId") is None):
            path = self.query.object
            what = f"invalid scope '{self.query.scope}' for {self.sobject.name}"
            raise self._names.error("INVALID_QUERY_SCOPE", path, what)
        return found or "1"

    def _find_in_row(self, operand: Operand) -> Found:
        """Resolve an operand of WHERE, where aggregates are not allowed."""
        if operand.function in AGGREGATES:
            what = f"aggregate functions are for HAVING, not for WHERE: {operand}"
            raise self._malformed(operand, what)
        return self._names.find(operand)

    def _find_in_group(self, operand: Operand) -> Found:
        """Resolve an operand of HAVING, or of ORDER BY in a grouped query."""
        found = self._names.find(operand)
        if operand.function not in AGGREGATES and found.sql not in self._grouped:
            raise self._malformed(operand, f"Field must be grouped or aggregated: {operand}")
        return found

    def _ordering(self, ordering: syntax.Ordering) -> str:
        lookup = self._find_in_group if self.is_aggregate else self._find_in_row
        found = lookup(ordering.operand)
        if not found.field.sortable:
            what = f"field '{ordering.operand}' can not be sorted in a query call"
            raise self._names.error("INVALID_FIELD", ordering.operand.path, what)
        direction = "desc" if ordering.descending else "asc"
        nulls = "last" if ordering.nulls_last else "first"
        return f"{collated(found.field, found.sql)} {direction} nulls {nulls}"

    def _group_key(self, operand: Operand) -> str:
        found = self._names.find(operand)
        of_date = operand.function in DATE_FUNCTIONS
        if operand.function in AGGREGATES or not (of_date or found.field.groupable):
            what = f"field '{operand}' can not be grouped in a query call"
            raise self._malformed(operand, what)
        return found.sql

    def _group_by(self) -> str:
        query = self.query
        grouping = ", ".join(self._names.find(operand).sql for operand in query.group)
        if query.having is None:
            return f" group by {grouping}" if grouping else ""
        sql, parameters = Conditions(self._names, self._find_in_group, _no_semi_join).sql(
            query.having
        )
        self._parameters = [*self._parameters, *parameters]
        return f" group by {grouping} having {sql}"

    def _malformed(self, operand: Operand, what: str) -> SoqlError:
        return syntax.malformed(self.query.text, operand.path.position, what)


def plan_query(org: Org, text: str, requester: Requester) -> Plan:
    """Return the plan of a query; raise SoqlError where it is wrong."""
    try:
        return Plan(org, parse(text), requester)
    except RecursionError as error:
        raise SoqlError("MALFORMED_QUERY", "the query is nested too deeply") from error


def _object(org: Org, query: Query) -> SObject:
    name = query.object.parts[0]
    found = org.schema.find(name)
    if found is not None:
        return found
    what = (
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be "
        "sure to append the '__c' after the entity name. Please reference your WSDL or the "
        "describe call for the appropriate names."
    )
    raise SoqlError("INVALID_TYPE", syntax.at(query.text, query.object.position, what))


def _no_semi_join(comparison: syntax.Comparison) -> Sql:
    raise SoqlError(
        "MALFORMED_QUERY", f"semi join sub-selects are not for HAVING: {comparison.left}"
    )


def _attributes(object_name: str, record_id: str, version: str) -> dict[str, object]:
    kind = {"005": "User", "00G": "Group"}.get(record_id[:3], object_name)
    url = f"/services/data/v{version}/sobjects/{kind}/{record_id}"
    return {"attributes": {"type": object_name, "url": url}}


def _value(value: str | int | float | bytes | None) -> Value:
    return value.decode() if isinstance(value, bytes) else value
