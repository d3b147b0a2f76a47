"""Which users and queues may own a record, and which owner the Lead assignment rules give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

from pipelines.emulator.org import ids
from pipelines.emulator.org.org_sections import When
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.org.values import Cell, Failure, malformed_id

# Chatter Free, portal and guest licences cannot own leads; every org has such a user.
OWNING_USER_TYPES = frozenset({"Standard"})


@dataclass(frozen=True)
class ResolvedRule:
    """A Lead assignment rule whose entries name owners by id."""

    id: str
    name: str
    active: bool
    entries: tuple[tuple[When, str], ...]
    otherwise: str
    keeps_owner: bool = False

    def owner_for(self, record: Mapping[str, Cell]) -> str:
        """Return the owner of the first entry that matches, else the default lead owner.

        With `keeps_owner`, an owner that the record names stays where no entry matches.
        """
        for when, owner in self.entries:
            if holds(when, record):
                return owner
        named = record.get("OwnerId") if self.keeps_owner else None
        return named if isinstance(named, str) else self.otherwise

    def owners_for(
        self, columns: Mapping[str, Sequence[Cell]], same: Mapping[str, Cell], count: int
    ) -> list[str]:
        """Return the owners of `count` records given by column; `same` holds values equal in
        all.
        """
        tested = sorted({"OwnerId", *(name for when, _ in self.entries for name in when)})
        seen = [columns.get(name) or repeat(same.get(name), count) for name in tested]
        known: dict[tuple[Cell, ...], str] = {}
        owners = []
        for values in zip(*seen, strict=True):
            if values not in known:
                known[values] = self.owner_for(dict(zip(tested, values, strict=True)))
            owners.append(known[values])
        return owners


def holds(when: When, record: Mapping[str, Cell]) -> bool:
    """Return whether every condition is true; an empty `when` always is."""
    return all(
        as_text(record.get(name)).casefold() in {v.casefold() for v in allowed}
        for name, allowed in when.items()
    )


def as_text(value: object) -> str:
    """Return a value as an admin writes it in a condition."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else ""


@dataclass
class Owners:
    """Users, queues and rules, kept in memory because no request changes them."""

    user_types: dict[str, str] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    queue_objects: dict[str, set[str]] = field(default_factory=dict)
    rules: dict[str, ResolvedRule] = field(default_factory=dict)
    # How a real org rejects a queue in a field for users only is unknown.
    queue_for_users_only: str = "MALFORMED_ID"

    @property
    def active_rule(self) -> ResolvedRule | None:
        """Return the Lead rule that runs where a request names none."""
        return next((rule for rule in self.rules.values() if rule.active), None)

    def ownership_failure(
        self, sobject: SObject, owner_field: Field, owner_id: str
    ) -> Failure | None:
        """Return why this user or queue cannot own such a record; None where it can."""
        kind = {"005": "User", "00G": "Group"}.get(owner_id[:3])
        if kind not in owner_field.reference_to:
            failure = malformed_id(owner_field, owner_id)
            return failure if kind is None else replace(failure, code=self.queue_for_users_only)
        if kind == "Group":
            return self._queue_failure(sobject, owner_field, owner_id)
        return self._user_failure(sobject, owner_field, owner_id)

    def _queue_failure(self, sobject: SObject, owner_field: Field, queue: str) -> Failure | None:
        served = self.queue_objects.get(queue)
        if served is None:
            return unknown_reference(owner_field)
        if sobject.name not in served:
            return Failure("INVALID_OPERATION", "Queue not associated with this SObject type")
        return None

    def _user_failure(self, sobject: SObject, owner_field: Field, user: str) -> Failure | None:
        user_type = self.user_types.get(user)
        if user_type is None:
            return unknown_reference(owner_field)
        if user in self.inactive:
            reason = f"operation performed with inactive user [{user}]"
            message = f"{reason} as owner of {sobject.label.lower()}"
            return Failure("INACTIVE_OWNER_OR_USER", message)
        if user_type not in OWNING_USER_TYPES:
            message = "Operation not valid for this user type"
            return Failure("OP_WITH_INVALID_USER_TYPE_EXCEPTION", message)
        return None

    def rule_named(self, rule_id: str) -> ResolvedRule:
        """Return the rule that a header or a job names by id, active or not; raise Failure
        otherwise.
        """
        found = ids.normalised(rule_id)
        if found is None:
            raise Failure("MALFORMED_ID", f"malformed id {rule_id}")
        if found not in self.rules:
            message = f"invalid assignment rule id: {rule_id}"
            raise Failure("INVALID_ASSIGNMENT_RULE", message)
        return self.rules[found]


def unknown_reference(field_: Field) -> Failure:
    """Return the failure for a well-formed id that names no record."""
    return Failure("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", (field_.name,))
