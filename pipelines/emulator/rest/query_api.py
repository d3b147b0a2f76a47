"""Run SOQL queries, page by page, and count records."""

from __future__ import annotations

from pipelines.emulator.messages import ApiError, ApiRequest, ApiResponse
from pipelines.emulator.org.org import Org
from pipelines.emulator.soql import cursors
from pipelines.emulator.soql.query import Requester, plan_query


class QueryApi:
    """The query resources of one org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._store = org.store

    def query(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /query?q=…`."""
        return self._query(request, Requester(request.user_id))

    def query_all(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /queryAll?q=…`, which includes deleted records."""
        return self._query(request, Requester(request.user_id, include_deleted=True))

    def _query(self, request: ApiRequest, requester: Requester) -> ApiResponse:
        text = request.query.get("q")
        if text is None:
            raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
        if request.query.get("columns", "").lower() == "true":
            return ApiResponse(200, cursors.column_metadata(plan_query(self._org, text, requester)))
        page = cursors.first_page(self._org, text, request.version, _page_size(request), requester)
        return ApiResponse(200, page)

    def query_more(self, request: ApiRequest, reference: str) -> ApiResponse:
        """Handle `GET /query/01g…-2000`: a further page."""
        return ApiResponse(200, cursors.next_page(self._org, reference, request.version))

    def record_count(self, request: ApiRequest) -> ApiResponse:
        """Handle `GET /limits/recordCount?sObjects=…`; unknown objects are left out."""
        header_value = request.query.get("sObjects", "")
        names = [n for n in header_value.split(",") if n] or [
            o.name for o in self._org.schema.objects
        ]
        counts = []
        for sobject in filter(None, map(self._org.schema.find, names)):
            sql = f'select count(*) from "{sobject.name}" where IsDeleted = 0'  # noqa: S608
            found = self._store.row(sql)
            counts.append({"count": found[0] if found else 0, "name": sobject.name})
        return ApiResponse(200, {"sObjects": counts})


def _page_size(request: ApiRequest) -> int:
    header = request.headers.get("sforce-query-options", "").lower().replace(" ", "")
    _, found, number = header.partition("batchsize=")
    wanted = int(number) if found and number.isdecimal() and len(number) < 10 else cursors.MAX_PAGE
    return max(cursors.MIN_PAGE, min(cursors.MAX_PAGE, wanted))
