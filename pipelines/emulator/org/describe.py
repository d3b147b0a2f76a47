"""Describes in the shape of a recorded Lead describe, with the same keys for every field."""

from __future__ import annotations

from pipelines.emulator.org.schema import FRACTION_TYPES, TEXT_TYPES, Child, Field, Schema, SObject

MASTER_RECORD_TYPE = "012000000000000AAA"
SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}
SCOPES = {
    "everything": "All {}",
    "mine": "My {}",
    "queue_owned": "Queue Owned {}",
    "scopingRule": "Filter by scope",
    "team": "My team's {}",
    "user_owned": "User owned {}",
}


# Further URLs of an object in the recorded describe, and their paths.
OTHER_URLS = {
    "approvalLayouts": "describe/approvalLayouts",
    "compactLayouts": "describe/compactLayouts",
    "layouts": "describe/layouts",
    "listviews": "listviews",
    "quickActions": "quickActions",
}


def describe_global(schema: Schema, data: str) -> dict[str, object]:
    """Return every object of the org, briefly."""
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [brief(sobject, data) for sobject in schema.objects],
    }


def brief(sobject: SObject, data: str) -> dict[str, object]:
    """Return the part of an object's describe that both describes contain."""
    resource = f"{data}/sobjects/{sobject.name}"
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": sobject.writable,
        "custom": False,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": sobject.writable,
        "deprecatedAndHidden": False,
        "feedEnabled": sobject.writable,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": sobject.prefix,
        "label": sobject.label,
        "labelPlural": sobject.plural,
        "layoutable": sobject.writable,
        "mergeable": sobject.writable,
        "mruEnabled": sobject.writable,
        "name": sobject.name,
        "queryable": True,
        "replicateable": True,
        "retrieveable": True,
        "searchable": sobject.writable,
        "triggerable": sobject.writable,
        "undeletable": sobject.writable,
        "updateable": sobject.writable,
        "urls": {
            "sobject": resource,
            "describe": f"{resource}/describe",
            "rowTemplate": f"{resource}/{{ID}}",
        },
    }


def describe(schema: Schema, sobject: SObject, data: str, base: str) -> dict[str, object]:
    """Return an object's whole describe; `base` is the address of its web pages."""
    resource = f"{data}/sobjects/{sobject.name}"
    more: dict[str, object] = {
        "actionOverrides": [],
        "childRelationships": [_child(child) for child in schema.children(sobject)],
        "compactLayoutable": sobject.writable,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [describe_field(field) for field in sobject.fields],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [_master_record_type(resource)],
        "searchLayoutable": sobject.writable,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [
            {"label": label.format(sobject.plural), "name": name}
            for name, label in SCOPES.items()
            if name == "everything" or sobject.find("OwnerId")
        ],
        "urls": _urls(sobject, resource, base),
    }
    return dict(sorted((brief(sobject, data) | more).items()))


def _child(child: Child) -> dict[str, object]:
    return {
        "cascadeDelete": False,
        "childSObject": child.sobject.name,
        "deprecatedAndHidden": False,
        "field": child.field.name,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": child.name,
        "restrictedDelete": False,
    }


def _urls(sobject: SObject, resource: str, base: str) -> dict[str, str]:
    urls = {
        "sobject": resource,
        "describe": f"{resource}/describe",
        "rowTemplate": f"{resource}/{{ID}}",
    }
    if sobject.writable:
        urls |= {name: f"{resource}/{path}" for name, path in OTHER_URLS.items()}
        urls |= {
            "uiDetailTemplate": f"{base}/{{ID}}",
            "uiEditTemplate": f"{base}/{{ID}}/e",
            "uiNewRecord": f"{base}/{sobject.prefix}/e",
        }
    return dict(sorted(urls.items()))


def _master_record_type(resource: str) -> dict[str, object]:
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": MASTER_RECORD_TYPE,
        "urls": {"layout": f"{resource}/describe/layouts/{MASTER_RECORD_TYPE}"},
    }


def describe_field(field: Field) -> dict[str, object]:
    """Return one field, with all the keys of a recorded describe."""
    is_text = field.type in TEXT_TYPES
    return {
        "aggregatable": field.aggregatable,
        "aiPredictionField": False,
        "autoNumber": False,
        # Three bytes for each character, as UTF-8 may need.
        "byteLength": field.length * 3 if is_text else field.length,
        "calculated": False,
        "calculatedFormula": None,
        "cascadeDelete": False,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": field.compound,
        "controllerName": None,
        "createable": field.createable,
        "custom": field.custom,
        "defaultValue": _default(field),
        "defaultValueFormula": None,
        "defaultedOnCreate": field.defaulted,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": field.precision if field.type == "int" else 0,
        "displayLocationInDecimal": field.name.endswith(("Latitude", "Longitude")),
        "encrypted": False,
        "externalId": field.external_id,
        "extraTypeInfo": _extra_type(field),
        "filterable": field.filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": field.groupable,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.id_lookup,
        "inlineHelpText": None,
        "label": field.label,
        "length": field.length,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": len(field.reference_to) > 1,
        "nillable": field.nillable,
        "permissionable": not field.required and field.createable,
        "picklistValues": [_picklist_value(field, value) for value in field.picklist],
        "polymorphicForeignKey": len(field.reference_to) > 1,
        "precision": field.precision if field.type in FRACTION_TYPES else 0,
        "queryByDistance": field.type == "address",
        "referenceTargetField": None,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": False,
        "soapType": SOAP_TYPES.get(field.type, "xsd:string"),
        "sortable": field.sortable,
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable,
        "writeRequiresMasterRead": False,
    }


def _default(field: Field) -> object:
    return bool(field.default) if field.type == "boolean" else None


def _extra_type(field: Field) -> str | None:
    if field.name == "Name" and field.name_field:
        return "personname"
    return "plaintextarea" if field.type == "textarea" else None


def _picklist_value(field: Field, value: str) -> dict[str, object]:
    return {
        "active": True,
        "defaultValue": value == field.default,
        "label": value,
        "validFor": None,
        "value": value,
    }
