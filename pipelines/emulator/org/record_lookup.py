"""Find records by id or key, and compare key values as the org compares them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipelines.emulator.org import ids
from pipelines.emulator.org.schema import TEXT_TYPES, Field, SObject
from pipelines.emulator.org.store import Store
from pipelines.emulator.org.values import ABSENT, Absent, Cell, Failure, Value, malformed_id


class RecordLookup:
    """Finds records of one store by id or by key field."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def state_of(self, sobject: SObject, record_id: str) -> str:
        """Return `active`, `deleted` or `unknown`."""
        found = self._store.row(
            f'select IsDeleted from "{sobject.name}" where Id = ?',  # noqa: S608
            (record_id,),
        )
        if found is None:
            return "unknown"
        return "deleted" if found[0] else "active"

    def find_by_key(self, sobject: SObject, key: Field, value: Value) -> list[str]:
        """Return the ids of the active records whose key has this value."""
        return self.find_ids_by_key(sobject, key, [value]).get(key_form(key, value), [])

    def find_ids_by_key(
        self, sobject: SObject, key: Field, values: Iterable[Cell]
    ) -> dict[Value, list[str]]:
        """Return the ids of active records by key value, in the form of `key_form`."""
        wanted = list({str(v) for v in values if v is not None and v is not ABSENT})
        found: dict[Value, list[str]] = defaultdict(list)
        for id_, value in self._store.rows(
            f'select Id, "{key.name}" from "{sobject.name}"'  # noqa: S608
            f' where IsDeleted = 0 and "{key.name}" in ({",".join("?" * len(wanted))})',
            wanted,
        ):
            found[key_form(key, without_absent(value))].append(str(id_))
        return found


def key_form(key: Field, value: Cell) -> Value:
    """Return a key value in comparable form: in lower case, unless the field is case-sensitive."""
    if isinstance(value, Absent) or value is None or value == "":
        return None
    if not isinstance(value, str):
        value = as_key_text(value)
    return value if key.case_sensitive or key.type in {"id", "reference"} else value.lower()


def key_forms(key: Field, values: Iterable[Cell]) -> Iterator[Value]:
    """Return a whole column of key values in comparable form."""
    if key.case_sensitive or key.type not in TEXT_TYPES:
        return (key_form(key, value) for value in values)
    return (v.lower() if isinstance(v, str) and v else key_form(key, v) for v in values)


def as_key_text(value: float) -> str:
    """Return a number as key text, without a needless fraction."""
    return str(int(value)) if float(value).is_integer() else str(value)


def key_failure(key: Field, value: Cell, repeats: int, known: Sequence[str]) -> Failure | None:
    """Return why a row's key value cannot be used; None where it can."""
    if key_form(key, value) is None:
        return Failure("MISSING_ARGUMENT", f"{key.name} not specified", (key.name,))
    if repeats > 1:
        # Of two rows with one key neither is saved: the org cannot tell which was meant.
        message = f"Duplicate external id specified: {value}"
        return Failure("DUPLICATE_VALUE", message, (key.name,))
    if len(known) > 1:
        message = (
            f"{key.name}: more than one record found for external id field: [{', '.join(known)}]"
        )
        return Failure("DUPLICATE_EXTERNAL_ID", message, (key.name,))
    return None


def target_id(field_: Field, text: str) -> str:
    """Return a record id from a request in 18 characters; raise Failure where it is malformed."""
    found = ids.normalised(text)
    if found is None:
        raise malformed_id(field_, text)
    return found


def missing_record_failure(state: str) -> Failure:
    """Return the failure for a record that was deleted, or never existed."""
    if state == "deleted":
        return Failure("ENTITY_IS_DELETED", "entity is deleted")
    return Failure("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")


def without_absent(cell: Any) -> Value:
    """Return a stored cell as a value; ABSENT becomes None."""
    return None if isinstance(cell, Absent) else cell
