"""`/search` and `/parameterizedSearch`: find records by the words in their fields."""

from __future__ import annotations

import re

from pipelines.emulator.messages import ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.schema import SObject
from pipelines.emulator.rest.records_api import RecordsApi
from pipelines.emulator.rest.sosl import (
    SCOPES,
    Returned,
    Search,
    malformed,
    parameterized,
    read_search,
)
from pipelines.emulator.soql.query import Requester, plan_query
from pipelines.emulator.soql.syntax import SoqlError

DEFAULT_OBJECTS = ("Lead", "Contact", "Account")
NAMES = frozenset({"Name", "FirstName", "LastName", "Company"})


class SearchApi:
    """The search resources of one org."""

    def __init__(self, org: Org, clauses: RecordsApi) -> None:
        self._org = org
        self._records_api = clauses

    def search(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /search?q=FIND …`."""
        return self._search_response(request, read_search(request.query.get("q", "")))

    def parameterized(self, request: ApiRequest) -> ApiResponse:
        """Handle `/parameterizedSearch`, with the parameters in the URL or in a JSON object."""
        requested = request.json_object() if request.method == "POST" else dict(request.query)
        return self._search_response(request, parameterized(requested))

    def _search_response(self, request: ApiRequest, search: Search) -> ApiResponse:
        wanted = search.returned or tuple(Returned(name, "Id", "") for name in DEFAULT_OBJECTS)
        found: list[dict[str, object]] = []
        for returned in wanted:
            found += self._of_object(request, search, returned)
        return ApiResponse(200, {"searchRecords": found[: search.limit]})

    def _of_object(
        self, request: ApiRequest, search: Search, returned: Returned
    ) -> list[dict[str, object]]:
        sobject = self._org.schema.find(returned.object)
        if sobject is None:
            raise SoqlError("INVALID_TYPE", f"sObject type '{returned.object}' is not supported.")
        matching = self._matching(sobject, search)
        requested = {name.strip().lower() for name in returned.fields.split(",")}
        fields = returned.fields if "id" in requested else f"Id, {returned.fields}"
        # The limit counts records that match the words, and the query does not know the words.
        clauses, limit = _without_limit(returned.clauses)
        text = f"SELECT {fields} FROM {sobject.name} {clauses}"  # noqa: S608 - SOQL, parsed
        plan = plan_query(self._org, text, Requester(request.user_id))
        if plan.is_aggregate or plan.query.count_all:
            raise malformed("a search returns records, not sums of them")
        rows = self._org.store.rows(*plan.select_rows())
        records = [plan.record(row, request.version) for row in rows if str(row[0]) in matching]
        if "id" not in requested:
            records = [{k: v for k, v in record.items() if k != "Id"} for record in records]
        return records[:limit]

    def _matching(self, sobject: SObject, search: Search) -> set[str]:
        kinds = SCOPES[search.scope]
        names = [
            f.name
            for f in sobject.stored_fields
            if f.type in kinds or ("name" in kinds and f.name in NAMES)
        ]
        columns = ", ".join(["Id", *(f'"{name}"' for name in names)])
        rows = self._org.store.rows(
            f'select {columns} from "{sobject.name}" where IsDeleted = 0'  # noqa: S608 - known names
        )
        return {
            str(id_)
            for id_, *texts in rows
            if search.match([text for text in texts if isinstance(text, str)])
        }


def _without_limit(clauses: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.*?)\bLIMIT\s+(\d{1,6})\s*", clauses, re.IGNORECASE | re.DOTALL)
    return (clauses, None) if found is None else (found[1], int(found[2]))
