"""Objects and their fields, as describe, SOQL, REST and Bulk use them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

TEXT_TYPES = frozenset({"string", "textarea", "phone", "url", "email", "picklist", "combobox"})
NUMBER_TYPES = frozenset({"int", "double", "currency", "percent"})
FRACTION_TYPES = frozenset({"double", "currency", "percent"})


@dataclass(frozen=True, slots=True)
class ValueRules:
    """How values are read where a real org's way is unknown; the org file decides."""

    lenient_email_domains: bool = False
    trims_text: bool = True
    numeric_booleans: bool = True
    empty_json_is_null: bool = True
    text_length: str = "utf16"


DEFAULT_VALUE_RULES = ValueRules()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object, as the running user sees it."""

    name: str
    label: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    defaulted: bool = False
    default: str | int | float | None = None
    picklist: tuple[str, ...] = ()
    restricted: bool = False
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    id_lookup: bool = False
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    name_field: bool = False
    filterable: bool = True
    custom: bool = False
    compound: str | None = None
    value_rules: ValueRules = DEFAULT_VALUE_RULES

    @property
    def stored(self) -> bool:
        """Return False for a compound field, which only combines other fields."""
        return self.type != "address"

    @property
    def sortable(self) -> bool:
        """Return whether ORDER BY accepts the field."""
        return self.filterable and self.stored

    @property
    def aggregatable(self) -> bool:
        """Return whether COUNT and the other aggregates accept the field."""
        return self.sortable and self.type != "boolean"

    @property
    def groupable(self) -> bool:
        """Return whether GROUP BY accepts the field."""
        return self.sortable and self.type not in {"datetime", *FRACTION_TYPES}

    @property
    def required(self) -> bool:
        """Return whether a record cannot be created without the field."""
        return self.createable and not self.nillable and not self.defaulted

    @property
    def is_key(self) -> bool:
        """Return whether upsert may match on the field, so that it needs an index."""
        return self.external_id or self.unique or self.id_lookup


@dataclass(frozen=True)
class SObject:
    """One object: its key prefix, whether it is writable, and its fields in order."""

    name: str
    label: str
    plural: str
    prefix: str
    fields: tuple[Field, ...]
    writable: bool = False
    _lower: dict[str, Field] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._lower.update((f.name.lower(), f) for f in self.fields)

    def find(self, name: str) -> Field | None:
        """Return the field of this name in any case, or None."""
        return self._lower.get(name.lower())

    def __getitem__(self, name: str) -> Field:
        return self._lower[name.lower()]

    @cached_property
    def relationships(self) -> dict[str, Field]:
        """Return the reference field of each relationship name, in lower case."""
        return {f.relationship.lower(): f for f in self.fields if f.relationship}

    @cached_property
    def stored_fields(self) -> tuple[Field, ...]:
        """Return the fields that have a column of their own."""
        return tuple(f for f in self.fields if f.stored)

    @cached_property
    def unique_fields(self) -> tuple[Field, ...]:
        """Return the fields of which no two active records may share a value."""
        return tuple(f for f in self.fields if f.unique and f.type != "id")

    @cached_property
    def required_fields(self) -> tuple[Field, ...]:
        """Return the fields that a new record must have."""
        return tuple(f for f in self.fields if f.required)

    def key_field(self, name: str) -> Field | None:
        """Return the field if upsert may match on it: Id, external id, unique or idLookup."""
        found = self.find(name)
        return found if found is not None and (found.is_key or found.type == "id") else None


@dataclass(frozen=True)
class Child:
    """A reference seen from the object it points to; most have no name."""

    sobject: SObject
    field: Field
    name: str | None


# The child relationships that requests and clients use.
CHILD_NAMES = {
    ("Contact", "AccountId"): "Contacts",
    ("QueueSobject", "QueueId"): "QueueSobjects",
    ("GroupMember", "GroupId"): "GroupMembers",
}


class Schema:
    """The objects of an org, found by name in any case or by key prefix."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self.objects = tuple(objects)
        self._by_name = {o.name.lower(): o for o in self.objects}
        self._by_prefix = {o.prefix: o for o in self.objects}

    def find(self, name: str) -> SObject | None:
        """Return the object of this name in any case, or None."""
        return self._by_name.get(name.lower())

    def __getitem__(self, name: str) -> SObject:
        return self._by_name[name.lower()]

    def of_id(self, record_id: str) -> SObject | None:
        """Return the object that an id belongs to, by its key prefix, or None."""
        return self._by_prefix.get(record_id[:3])

    def children(self, sobject: SObject) -> list[Child]:
        """Return every reference to an object, from any object."""
        return [
            Child(other, reference, CHILD_NAMES.get((other.name, reference.name)))
            for other in self.objects
            for reference in other.fields
            if sobject.name in reference.reference_to
        ]

    def child(self, sobject: SObject, name: str) -> Child | None:
        """Return the child relationship of this name in any case, or None."""
        named = (child for child in self.children(sobject) if child.name)
        return next((c for c in named if str(c.name).lower() == name.lower()), None)
