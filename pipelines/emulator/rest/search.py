"""`/search` and `/parameterizedSearch`: records by the words in them."""

from __future__ import annotations

import re

from pipelines.emulator.messages import Answer, Call
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.schema import SObject
from pipelines.emulator.rest.records_api import Rest
from pipelines.emulator.rest.sosl import (
    SCOPES,
    Returned,
    Search,
    malformed,
    parameterized,
    read_search,
)
from pipelines.emulator.soql.query import Asker, plan
from pipelines.emulator.soql.syntax import SoqlError

DEFAULT_OBJECTS = ("Lead", "Contact", "Account")
NAMES = frozenset({"Name", "FirstName", "LastName", "Company"})


class Searching:
    """Searches one org."""

    def __init__(self, org: Org, rest: Rest) -> None:
        self._org = org
        self._rest = rest

    def search(self, call: Call) -> Answer:
        """`GET /search?q=FIND …`."""
        return self._answer(call, read_search(call.query.get("q", "")))

    def parameterized(self, call: Call) -> Answer:
        """`/parameterizedSearch`, asked by its URL or by a JSON object."""
        asked = call.json_object() if call.method == "POST" else dict(call.query)
        return self._answer(call, parameterized(asked))

    def _answer(self, call: Call, search: Search) -> Answer:
        wanted = search.returned or tuple(Returned(name, "Id", "") for name in DEFAULT_OBJECTS)
        found: list[dict[str, object]] = []
        for returned in wanted:
            found += self._of_object(call, search, returned)
        return Answer(200, {"searchRecords": found[: search.limit]})

    def _of_object(self, call: Call, search: Search, returned: Returned) -> list[dict[str, object]]:
        sobject = self._org.schema.find(returned.object)
        if sobject is None:
            raise SoqlError("INVALID_TYPE", f"sObject type '{returned.object}' is not supported.")
        matching = self._matching(sobject, search)
        asked = {name.strip().lower() for name in returned.fields.split(",")}
        fields = returned.fields if "id" in asked else f"Id, {returned.fields}"
        # The limit is one of records found: it is kept from the query, which knows no words.
        rest, limit = _without_limit(returned.rest)
        text = f"SELECT {fields} FROM {sobject.name} {rest}"  # noqa: S608 - SOQL, parsed
        made = plan(self._org, text, Asker(call.user_id))
        if made.is_aggregate or made.query.count_all:
            raise malformed("a search returns records, not sums of them")
        rows = self._org.store.rows(*made.select_rows())
        records = [made.record(row, call.version) for row in rows if str(row[0]) in matching]
        if "id" not in asked:
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
            if search.found([text for text in texts if isinstance(text, str)])
        }


def _without_limit(rest: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(.*?)\bLIMIT\s+(\d{1,6})\s*", rest, re.IGNORECASE | re.DOTALL)
    return (rest, None) if found is None else (found[1], int(found[2]))
