"""Short ways to define the fields of a standard object."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipelines.emulator.org.schema import Field


def text(name: str, label: str, length: int, type_: str = "string", **more: Any) -> Field:
    """Return a text field of any type."""
    return replace(Field(name, label, type_, length), **more)


def picklist(name: str, label: str, values: tuple[str, ...], **more: Any) -> Field:
    """Return a picklist, by default unrestricted, so that unknown values are accepted."""
    return replace(Field(name, label, "picklist", 255, picklist=values), **more)


def flag(name: str, label: str, **more: Any) -> Field:
    """Return a checkbox: never null, false by default."""
    made = Field(name, label, "boolean", nillable=False, defaulted=True, default=0)
    return replace(made, **more)


def reference(name: str, label: str, *to: str, relationship: str | None, **more: Any) -> Field:
    """Return a lookup to one or several objects."""
    made = Field(name, label, "reference", 18, reference_to=to, relationship=relationship)
    return replace(made, **more)


def read_only(made: Field) -> Field:
    """Return the same field, but not writable by any request."""
    return replace(made, createable=False, updateable=False)


def system_fields() -> list[Field]:
    """Return the Id, deletion and audit fields, which every record has and no request may write."""
    moment = Field("", "", "datetime", nillable=False, defaulted=True)
    fields = [
        text("Id", "Record ID", 18, "id", nillable=False, defaulted=True, id_lookup=True),
        flag("IsDeleted", "Deleted"),
        replace(moment, name="CreatedDate", label="Created Date"),
        reference("CreatedById", "Created By ID", "User", relationship="CreatedBy", nillable=False),
        replace(moment, name="LastModifiedDate", label="Last Modified Date"),
        reference(
            "LastModifiedById",
            "Last Modified By ID",
            "User",
            relationship="LastModifiedBy",
            nillable=False,
        ),
        replace(moment, name="SystemModstamp", label="System Modstamp"),
    ]
    return [replace(read_only(f), defaulted=True) for f in fields]


def owner(*to: str) -> Field:
    """Return OwnerId. Only objects that list Group can be owned by a queue."""
    return reference(
        "OwnerId", "Owner ID", *to, relationship="Owner", nillable=False, defaulted=True
    )
