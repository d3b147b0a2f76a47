"""Return query results page by page. A cursor fixes its rows when it is opened."""

from __future__ import annotations

import random
from collections.abc import Iterator

from pipelines.emulator.org import ids
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.store import Parameters, Row
from pipelines.emulator.soql.query import Plan, Requester, plan_query
from pipelines.emulator.soql.syntax import SoqlError

MAX_PAGE, MIN_PAGE = 2_000, 200
CURSOR_PREFIX = "01g"


def first_page(
    org: Org, text: str, version: str, page_size: int, requester: Requester
) -> dict[str, object]:
    """Run a query and return the first page of its result."""
    plan = plan_query(org, text, requester)
    with org.store.transaction():
        if plan.query.count_all:
            found = org.store.row(*plan.select_count())
            return {"totalSize": found[0] if found else 0, "done": True, "records": []}
        if plan.is_aggregate:
            return _page_response(plan, _groups(org, plan), version, None)
        rows = org.store.rows(*plan.select_rows(page_size + 1))
        if len(rows) <= page_size:
            return _page_response(plan, rows, version, None)
        locator = open_cursor(org, plan, page_size, include_deleted=requester.include_deleted)
        return _page(org, plan, locator, 0, version)


def _groups(org: Org, plan: Plan) -> list[Row]:
    rows = org.store.rows(*plan.select_rows(MAX_PAGE + 1))
    if len(rows) > MAX_PAGE:
        message = (
            "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a "
            "single batch"
        )
        raise SoqlError("EXCEEDED_ID_LIMIT", message)
    return rows


def next_page(org: Org, reference: str, version: str) -> dict[str, object]:
    """Return a further page; `reference` is the last part of its `nextRecordsUrl`."""
    locator, _, offset = reference.rpartition("-")
    with org.store.transaction():
        found = org.store.row(
            "select query, include_deleted from emulator_cursors where locator = ?",
            (ids.normalised(locator) or "",),
        )
        if found is None or not offset.isdecimal() or len(offset) > 12:
            raise SoqlError("INVALID_QUERY_LOCATOR", "invalid query locator")
        plan = plan_query(org, str(found[0]), Requester(include_deleted=bool(found[1])))
        return _page(org, plan, locator, int(offset), version)


def open_cursor(org: Org, plan: Plan, page_size: int, *, include_deleted: bool) -> str:
    """Store which records a result has, so that later changes do not move its pages."""
    locator = org.store.take_id(CURSOR_PREFIX)
    select, parameters = plan.select_places()
    total = org.store.run(
        "insert into emulator_cursor_rows"  # noqa: S608 - SQL made from looked-up names
        f" select '{locator}', row_number() over () - 1, place from ({select})",
        parameters,
    )
    org.store.run(
        "insert into emulator_cursors values (?, ?, ?, ?, ?)",
        (locator, plan.query.text, int(include_deleted), total, page_size),
    )
    return locator


def cursor_rows(org: Org, plan: Plan, locator: str, start: int, count: int) -> list[Row]:
    """Return some rows of a stored result."""
    parameters_: Parameters = {"locator": locator, "start": start, "before": start + count}
    return org.store.rows(plan.select_page(), parameters_)


def forget_cursor(org: Org, locator: str) -> None:
    """Delete a stored result that has been read."""
    org.store.run("delete from emulator_cursor_rows where locator = ?", (locator,))
    org.store.run("delete from emulator_cursors where locator = ?", (locator,))


def cursor_total(org: Org, locator: str) -> int:
    """Return how many rows a stored result has."""
    found = org.store.row("select total from emulator_cursors where locator = ?", (locator,))
    return int(found[0] or 0) if found else 0


def _page(org: Org, plan: Plan, locator: str, start: int, version: str) -> dict[str, object]:
    found = org.store.row(
        "select total, page_size from emulator_cursors where locator = ?", (locator,)
    )
    total, size = (int(x or 0) for x in found) if found else (0, 0)
    if org.behaviour.short_pages:
        # A real org may always return fewer rows than asked for.
        size = random.Random(f"{org.behaviour.seed}{locator}{start}").randint(1, size)  # noqa: S311
    rows = cursor_rows(org, plan, locator, start, size)
    next_start = start + len(rows)
    next_url = f"/services/data/v{version}/query/{locator}-{next_start}"
    return _page_response(plan, rows, version, next_url if next_start < total else None, total)


def _page_response(
    plan: Plan, rows: list[Row], version: str, next_url: str | None, total: int | None = None
) -> dict[str, object]:
    size = len(rows) if total is None else total
    response: dict[str, object] = {"totalSize": size, "done": next_url is None}
    if next_url is not None:
        response["nextRecordsUrl"] = next_url
    response["records"] = [plan.record(row, version) for row in rows]
    return response


def column_metadata(plan: Plan) -> dict[str, object]:
    """Return the response to `columns=true`: the columns of a query, without its rows."""
    return {
        "columnMetadata": list(_column_descriptions(plan)),
        "entityName": plan.sobject.name,
        "groupBy": bool(plan.query.group),
        "idSelected": any(c.keys == ("Id",) for c in plan.columns),
        "keyPrefix": plan.sobject.prefix,
    }


def _column_descriptions(plan: Plan) -> Iterator[dict[str, object]]:
    apex = {"boolean": "Boolean", "int": "Integer", "id": "Id", "reference": "Id"}
    for column in plan.columns:
        field = column.field
        numeric = field.type in {"int", "double", "currency", "percent"}
        yield {
            "aggregate": column.aggregate,
            "apexType": apex.get(field.type, "Decimal" if numeric else "String"),
            "booleanType": field.type == "boolean",
            "columnName": ".".join(column.keys),
            "custom": field.custom,
            "displayName": ".".join(column.keys),
            "foreignKeyName": field.relationship,
            "insertable": field.createable,
            "joinColumns": [],
            "numberType": numeric,
            "textType": field.length > 0,
            "updatable": field.updateable,
        }
