"""Semi-joins and scopes: limit a query by other records, or by the user who asks."""

from __future__ import annotations

from pipelines.emulator.org.schema import Field, Schema, SObject
from pipelines.emulator.soql.conditions import Conditions, Sql
from pipelines.emulator.soql.grammar import AGGREGATES
from pipelines.emulator.soql.names import Found, Names
from pipelines.emulator.soql.syntax import (
    Combined,
    Comparison,
    Condition,
    Operand,
    Query,
    SoqlError,
)

MAX_SEMI_JOINS = 2
# `team` is the user's own and subordinates' records; no user here has subordinates.
SCOPES = {
    "everything": "",
    "mine": "t.OwnerId = ?",
    "team": "t.OwnerId = ?",
    "user_owned": "t.OwnerId like '005%'",
    "queue_owned": "t.OwnerId like '00G%'",
    "scopingrule": "",
}


class SemiJoins:
    """The sub-selects under IN of one query, with the org's rules about where they may stand."""

    def __init__(self, schema: Schema, names: Names, where: Condition) -> None:
        self._schema = schema
        self._names = names
        self._allowed = set(map(id, _joined_by_and(where)))
        self._count = 0

    def sql(self, comparison: Comparison) -> Sql:
        """Return one sub-select with its comparison as SQL; raise SoqlError where it is not
        allowed.
        """
        inner = comparison.inner
        outer = self._names.find(comparison.left)
        self._count += 1
        if inner is None or self._count > MAX_SEMI_JOINS:
            raise self._refused(comparison, f"at most {MAX_SEMI_JOINS} semi joins are allowed")
        if id(comparison) not in self._allowed:
            what = "Semi join sub-selects are not allowed with the 'OR' and 'NOT' operators"
            raise self._refused(comparison, what)
        sobject, field, names = self._inner(comparison, inner)
        if not _targets(self._names.sobject, outer.field) & _targets(sobject, field):
            what = (
                f"The selected field '{field.name}' in the subquery and the left operand field in "
                f"the where expression in the outer query '{outer.field.name}' should point to the "
                "same object type"
            )
            raise self._refused(comparison, what)
        found = names.find(inner.selected[0].operand)
        where, parameters = self._where(inner, names)
        joined = " ".join(join.sql for join in names.joins.values())
        select = (
            f'select {found.sql} from "{sobject.name}" t {joined}'  # noqa: S608 - looked-up names
            f" where {where} and {found.sql} is not null"
        )
        if comparison.operator == "in":
            return f"{outer.sql} in ({select})", parameters
        return f"({outer.sql} is null or {outer.sql} not in ({select}))", parameters

    def _inner(self, comparison: Comparison, inner: Query) -> tuple[SObject, Field, Names]:
        sobject = self._schema.find(inner.object.parts[0])
        if sobject is None:
            what = f"sObject type '{inner.object}' is not supported."
            raise self._names.error("INVALID_TYPE", inner.object, what)
        if sobject is self._names.sobject:
            what = "The inner and outer selects should not be on the same object type"
            raise self._refused(comparison, what)
        clauses = (inner.group, inner.order, inner.scope, inner.all_rows, inner.offset)
        if any(clauses) or inner.limit is not None or len(inner.selected) != 1:
            what = "a semi join sub-select has one field and no clause but WHERE"
            raise self._refused(comparison, what)
        item = inner.selected[0]
        names = Names(self._schema, self._names.text, sobject, inner.alias)
        field = None
        if not (item.operand.function or item.fields or item.alias):
            field = names.find(item.operand).field
        if field is None or field.type not in {"id", "reference"}:
            what = f"semi join sub-selects can only query id fields, cannot use: '{item.operand}'"
            raise self._refused(comparison, what)
        return sobject, field, names

    def _where(self, inner: Query, names: Names) -> Sql:
        if inner.where is None:
            return "t.IsDeleted = 0", []

        def of_row(operand: Operand) -> Found:
            if operand.function in AGGREGATES:
                what = f"aggregate functions are for HAVING, not for WHERE: {operand}"
                raise names.error("MALFORMED_QUERY", operand.path, what)
            return names.find(operand)

        sql, parameters = Conditions(names, of_row, self._nested).sql(inner.where)
        return f"({sql}) and t.IsDeleted = 0", parameters

    def _nested(self, comparison: Comparison) -> Sql:
        raise self._refused(comparison, "Nesting of semi join sub-selects is not supported")

    def _refused(self, comparison: Comparison, what: str) -> SoqlError:
        return self._names.error("MALFORMED_QUERY", comparison.left.path, what)


def _joined_by_and(condition: Condition) -> list[Condition]:
    if isinstance(condition, Combined) and condition.operator == "and":
        return [part for inner in condition.parts for part in _joined_by_and(inner)]
    return [condition]


def _targets(sobject: SObject, field: Field) -> set[str]:
    """Return the objects whose ids the field holds."""
    if field.type == "id":
        return {sobject.name}
    return set(field.reference_to)
