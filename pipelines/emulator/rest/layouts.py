"""Page layouts: one for each object, with every field in a section of one column."""

from __future__ import annotations

from typing import Any

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org import ids
from pipelines.emulator.org.describe import MASTER_RECORD_TYPE
from pipelines.emulator.org.schema import Field, SObject
from pipelines.emulator.rest.records_api import NOT_FOUND, RecordsApi


class Layouts:
    """The layout resources of one org."""

    def __init__(self, records_api: RecordsApi) -> None:
        self._records_api = records_api

    def all(self, _request: ApiRequest, object_name: str) -> ApiResponse:
        """Handle `GET /sobjects/X/describe/layouts`."""
        sobject = self._records_api.sobject(object_name)
        mapping = {
            "active": True,
            "available": True,
            "defaultRecordTypeMapping": True,
            "developerName": "Master",
            "layoutId": None,
            "master": True,
            "name": "Master",
            "recordTypeId": MASTER_RECORD_TYPE,
        }
        value = {
            "layouts": [_layout(sobject)],
            "recordTypeMappings": [mapping],
            "recordTypeSelectorRequired": [False],
        }
        return ApiResponse(200, value)

    def of_record_type(
        self, _request: ApiRequest, object_name: str, record_type: str
    ) -> ApiResponse:
        """Handle `GET /sobjects/X/describe/layouts/ID`; only the master record type exists."""
        sobject = self._records_api.sobject(object_name)
        if ids.normalised(record_type) != MASTER_RECORD_TYPE:
            raise ApiError(404, "NOT_FOUND", NOT_FOUND)
        return ApiResponse(200, _layout(sobject))


def _layout(sobject: SObject) -> dict[str, Any]:
    return {
        "id": None,
        "detailLayoutSections": [_section(sobject, list(sobject.fields))],
        "editLayoutSections": [_section(sobject, [f for f in sobject.fields if f.createable])],
        "relatedLists": [],
        "buttonLayoutSection": None,
    }


def _section(sobject: SObject, fields: list[Field]) -> dict[str, Any]:
    return {
        "columns": 1,
        "heading": f"{sobject.label} Information",
        "layoutRows": [{"layoutItems": [_item(field)], "numItems": 1} for field in fields],
        "rows": len(fields),
        "useCollapsibleSection": False,
        "useHeading": True,
    }


def _item(field: Field) -> dict[str, Any]:
    component = {"displayLines": 1, "tabOrder": 1, "type": "Field", "value": field.name}
    return {
        "editableForNew": field.createable,
        "editableForUpdate": field.updateable,
        "label": field.label,
        "layoutComponents": [component],
        "placeholder": False,
        "required": field.createable and not field.nillable and not field.defaulted,
    }
