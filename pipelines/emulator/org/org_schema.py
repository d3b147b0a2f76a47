"""The objects and fields of one org: the standard ones, plus what its file adds, hides or
limits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from pipelines.emulator.org import setup_objects, standard_objects
from pipelines.emulator.org.org_config import CustomField, OrgFile
from pipelines.emulator.org.org_sections import OrgFileError
from pipelines.emulator.org.schema import DEFAULT_VALUE_RULES, Field, Schema, SObject, ValueRules


def schema_of(file: OrgFile) -> Schema:
    """Return the schema that an org file describes; raise OrgFileError where it is wrong."""
    custom: dict[str, list[Field]] = defaultdict(list)
    for declared in file.fields:
        if declared.name.endswith("__c"):
            custom[declared.object].append(_custom(declared))
    objects = [
        *standard_objects.business_objects(custom),
        *setup_objects.setup_objects(),
        *setup_objects.policy_objects(),
    ]
    return Schema(
        _with_value_rules(
            _without_hidden(_restrict_picklists(sobject, file), file), file.behaviour.value_rules
        )
        for sobject in objects
    )


def _with_value_rules(sobject: SObject, value_rules: ValueRules) -> SObject:
    if value_rules == DEFAULT_VALUE_RULES:
        return sobject
    return replace(
        sobject, fields=tuple(replace(field_, value_rules=value_rules) for field_ in sobject.fields)
    )


def _restrict_picklists(sobject: SObject, file: OrgFile) -> SObject:
    """Restrict standard picklists, which accept any value by default, to the admin's values."""
    declared = [field_ for field_ in file.fields if field_.object == sobject.name]
    own = {field_.name: field_.picklist for field_ in declared if not field_.name.endswith("__c")}
    unknown = own.keys() - {field_.name for field_ in sobject.fields if field_.type == "picklist"}
    if unknown:
        raise OrgFileError(f"field names {unknown.pop()!r}, no standard picklist of {sobject.name}")
    return replace(
        sobject,
        fields=tuple(
            replace(field_, picklist=own[field_.name], restricted=True)
            if field_.name in own
            else field_
            for field_ in sobject.fields
        ),
    )


def _custom(declared: CustomField) -> Field:
    return Field(
        name=declared.name,
        label=declared.label,
        type=declared.type,
        length=declared.length,
        precision=declared.precision,
        scale=declared.scale,
        nillable=not declared.required and declared.type != "boolean",
        defaulted=declared.type == "boolean",
        default=0 if declared.type == "boolean" else None,
        createable=not declared.read_only,
        updateable=not declared.read_only,
        picklist=declared.picklist,
        restricted=declared.restricted,
        reference_to=declared.reference_to,
        relationship=declared.name.replace("__c", "__r") if declared.reference_to else None,
        external_id=declared.external_id,
        id_lookup=declared.external_id,
        unique=declared.unique,
        case_sensitive=declared.case_sensitive,
        custom=True,
    )


def _without_hidden(sobject: SObject, file: OrgFile) -> SObject:
    """Remove hidden fields: field-level security leaves no trace of them."""
    hidden = {name.lower() for owner, name in file.hidden_fields if owner == sobject.name}
    unknown = hidden - {f.name.lower() for f in sobject.fields}
    if unknown:
        raise OrgFileError(
            f"hidden_field names {unknown.pop()!r}, which {sobject.name} does not have"
        )
    return replace(sobject, fields=tuple(f for f in sobject.fields if f.name.lower() not in hidden))
