"""Look up the names of a query: fields, relationships, and functions of fields."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.emulator.org.schema import FRACTION_TYPES, NUMBER_TYPES, Field, Schema, SObject
from pipelines.emulator.soql.grammar import AGGREGATES, DATE_FUNCTIONS
from pipelines.emulator.soql.syntax import Operand, Path, SoqlError, at

MAX_LEVELS = 5

# The fields of a polymorphic owner, whether user or queue.
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
        Field(
            "ProfileId",
            "Profile ID",
            "reference",
            18,
            reference_to=("Profile",),
            relationship="Profile",
        ),
        Field("UserRoleId", "Role ID", "reference", 18, reference_to=("UserRole",)),
    ),
)


@dataclass(frozen=True)
class Join:
    """A relationship that the query follows."""

    alias: str
    target: SObject
    sql: str


@dataclass(frozen=True)
class Found:
    """A resolved operand: the keys of its value in a record, its field, and its SQL."""

    keys: tuple[str, ...]
    field: Field
    sql: str


class Names:
    """The fields of one query; every relationship that is followed becomes a join."""

    def __init__(self, schema: Schema, text: str, sobject: SObject, alias: str) -> None:
        self._schema = schema
        self.text = text
        self.sobject = sobject
        self._own = {sobject.name.lower(), alias.lower()}
        self.joins: dict[tuple[str, ...], Join] = {}

    def find(self, operand: Operand) -> Found:
        """Resolve a field or a function of one; raise SoqlError where there is none of that
        name.
        """
        found = self._field(operand.path)
        if operand.function in AGGREGATES:
            return self._aggregate(operand, found)
        if operand.function in DATE_FUNCTIONS:
            return self._date_part(operand, found)
        return found

    def error(self, code: str, path: Path, what: str) -> SoqlError:
        """Return an error that shows the position of the path."""
        return SoqlError(code, at(self.text, path.position, what))

    def _field(self, path: Path) -> Found:
        parts = path.parts
        if len(parts) > 1 and parts[0].lower() in self._own:
            parts = parts[1:]
        if len(parts) > MAX_LEVELS + 1:
            what = f"a relationship path cannot have more than {MAX_LEVELS} levels: {path}"
            raise self.error("INVALID_FIELD", path, what)
        keys: tuple[str, ...] = ()
        current, alias = self.sobject, "t"
        for part in parts[:-1]:
            relation = current.relationships.get(part.lower())
            if relation is None:
                raise self._no_relationship(part, path)
            keys = (*keys, str(relation.relationship))
            current, alias = self._join(path, keys, relation, alias)
        field = current.find(parts[-1])
        if field is None:
            raise self.error("INVALID_FIELD", path, no_such_column(parts[-1], current.name))
        return Found((*keys, field.name), field, f'{alias}."{field.name}"')

    def _no_relationship(self, name: str, path: Path) -> SoqlError:
        what = (
            f"Didn't understand relationship '{name}' in field path. If you are attempting to use "
            "a custom relationship, be sure to append the '__r' after the custom relationship name."
            " Please reference your WSDL or the describe call for the appropriate names."
        )
        return self.error("INVALID_FIELD", path, what)

    def _join(
        self, path: Path, keys: tuple[str, ...], relation: Field, alias: str
    ) -> tuple[SObject, str]:
        if keys not in self.joins:
            target: SObject | None = NAME_OBJECT
            if len(relation.reference_to) == 1:
                target = self._schema.find(relation.reference_to[0])
            if target is None:
                raise self._no_relationship(keys[-1], path)
            new = f"j{len(self.joins)}"
            on = f'{new}.Id = {alias}."{relation.name}"'
            self.joins[keys] = Join(new, target, f'left join "{target.name}" {new} on {on}')
        join = self.joins[keys]
        return join.target, join.alias

    def _aggregate(self, operand: Operand, found: Found) -> Found:
        function, field = operand.function, found.field
        if not _aggregates(function, field):
            what = f"field {operand.path} does not support aggregate operator {function.upper()}"
            raise self.error("INVALID_FIELD", operand.path, what)
        sql = f"{function}({found.sql})"
        if function == "count_distinct":
            sql = f"count(distinct {found.sql})"
        if function in {"count", "count_distinct"}:
            field = replace(field, type="int")
        elif function == "avg":
            field = replace(field, type="double")
        return Found(found.keys, field, sql)

    def _date_part(self, operand: Operand, found: Found) -> Found:
        only_moments = operand.function in {"day_only", "hour_in_day"}
        kinds = {"datetime"} if only_moments else {"date", "datetime"}
        if found.field.type not in kinds:
            what = f"{operand.function.upper()} cannot be applied to field {operand.path}"
            raise self.error("INVALID_FIELD", operand.path, what)
        kind = "date" if operand.function == "day_only" else "int"
        sql = date_sql(operand.function, found.sql)
        return Found(found.keys, replace(found.field, type=kind), sql)


def date_sql(function: str, sql: str) -> str:
    """Return the SQL for a part of a date or an instant that is stored as ISO text."""
    day = f"substr({sql}, 1, 10)"
    month = f"cast(substr({sql}, 6, 2) as integer)"
    day_in_month = f"cast(substr({sql}, 9, 2) as integer)"
    day_in_year = f"cast(strftime('%j', {day}) as integer)"
    return {
        "day_only": day,
        "calendar_year": f"cast(substr({sql}, 1, 4) as integer)",
        "calendar_quarter": f"({month} + 2) / 3",
        "calendar_month": month,
        "day_in_month": day_in_month,
        "day_in_week": f"cast(strftime('%w', {day}) as integer) + 1",
        "day_in_year": day_in_year,
        "hour_in_day": f"cast(substr({sql}, 12, 2) as integer)",
        "week_in_month": f"({day_in_month} + 6) / 7",
        "week_in_year": f"({day_in_year} + 6) / 7",
    }[function]


def no_such_column(name: str, object_name: str) -> str:
    """Return the org's message for a field that does not exist or is hidden."""
    return (
        f"No such column '{name}' on entity '{object_name}'. If you are attempting to use a custom "
        "field, be sure to append the '__c' after the custom field name. Please reference your "
        "WSDL or the describe call for the appropriate names."
    )


def _aggregates(function: str, field: Field) -> bool:
    if function in {"sum", "avg"}:
        return field.type in NUMBER_TYPES
    if function in {"min", "max"}:
        return field.aggregatable and field.type not in {"id", "reference"}
    return field.aggregatable


def is_number(field: Field) -> bool:
    """Return whether the field's values are numbers."""
    return field.type == "int" or field.type in FRACTION_TYPES
