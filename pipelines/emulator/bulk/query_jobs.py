"""Bulk query jobs: what they may ask for, and their results, written once and read in pages.

When a job starts, the ids of its rows are fixed. Its lines are then written part by part, so a page
that is read twice is the same page, even if records change.
"""

from __future__ import annotations

import base64
import random
from array import array
from collections.abc import Iterator

from pipelines.emulator.bulk.job_info import Job
from pipelines.emulator.bulk.uploads import DELIMITERS
from pipelines.emulator.messages import ApiError
from pipelines.emulator.org.org import Org
from pipelines.emulator.org.schema import FRACTION_TYPES
from pipelines.emulator.soql.cursors import MAX_PAGE, cursor_total, forget_cursor, open_cursor
from pipelines.emulator.soql.query import Plan, Requester, plan_query
from pipelines.emulator.soql.query_columns import Column
from pipelines.emulator.soql.syntax import SoqlError

PART_ROWS = 5_000
PAGE = 100_000
PARALLEL_PAGES = 5
ENDS = {"LF": "\n", "CRLF": "\r\n"}


def bulk_plan(org: Org, text: str, include_deleted: bool, user_id: str = "") -> Plan:
    """Return the plan of a bulk query; raise SoqlError for what only REST supports."""
    plan = plan_query(org, text, Requester(user_id, include_deleted))
    query = plan.query
    compound = any(column.field.type == "address" for column in plan.columns)
    if plan.is_aggregate or query.count_all or query.offset or compound:
        message = (
            "Bulk API Query doesn't support COUNT, aggregates, GROUP BY, OFFSET or compound fields"
        )
        raise SoqlError("FUNCTIONALITY_NOT_ENABLED", message)
    return plan


def open_job_cursor(org: Org, job: Job) -> str:
    """Fix which records the result has, and return the locator of that list."""
    plan = _plan_of(org, job)
    return open_cursor(org, plan, MAX_PAGE, include_deleted=job.operation == "queryAll")


def write_part(org: Org, job: Job) -> tuple[int, bool]:
    """Write the next lines; return how many are written in total, and whether all are."""
    total = cursor_total(org, str(job.locator))
    start = job.rows_done
    lines = _lines(org, job, start, min(start + PART_ROWS, total))
    lengths = array("I", map(len, lines))
    org.store.run_many(
        "insert or replace into emulator_job_results values (?, ?, ?, ?)",
        [
            (job.id, "lines", start // PART_ROWS, b"".join(lines)),
            (job.id, "lengths", start // PART_ROWS, lengths.tobytes()),
        ],
    )
    done = start + len(lines) >= total
    if done:
        forget_cursor(org, str(job.locator))
    return start + len(lines), done


def _lines(org: Org, job: Job, start: int, end: int) -> list[bytes]:
    plan = _plan_of(org, job)
    delimiter = DELIMITERS[job.column_delimiter]
    cells = f""" || '"{delimiter}"' || """.join(_cell(column) for column in plan.columns)
    line = f"""'"' || {cells} || '"' || :end"""
    found = org.store.rows(
        f"select cast({line} as blob) {plan.page_tail()}",
        {"locator": job.locator, "start": start, "before": end, "end": ENDS[job.line_ending]},
    )
    return [bytes(line) for (line,) in found]  # type: ignore[arg-type]  # a blob column


def _cell(column: Column) -> str:
    """Return the SQL of one cell with quotes doubled: SQLite does this faster than Python."""
    sql, kind = column.sql, column.field.type
    if kind == "boolean":
        return f"case when {sql} then 'true' else 'false' end"
    if kind in FRACTION_TYPES:
        return f"coalesce(java_double({sql}), '')"
    if kind == "datetime":
        return f"coalesce(replace({sql}, '+0000', 'Z'), '')"
    return f"""coalesce(replace({sql}, '"', '""'), '')"""


def _plan_of(org: Org, job: Job) -> Plan:
    return bulk_plan(org, str(job.query), job.operation == "queryAll", job.created_by_id)


def page(
    org: Org, job: Job, locator: str, max_records: int | None
) -> tuple[Iterator[bytes], int, str]:
    """Return one page of lines, its row count, and the next locator or the text `null`."""
    start, end = _positions(locator, job.rows_done)
    size = PAGE if max_records is None else max_records
    if org.behaviour.short_pages:
        # A real org may always return fewer rows than asked for.
        size = random.Random(f"{org.behaviour.seed}{job.id}{start}").randint(1, size)  # noqa: S311
    next_start = min(start + size, end)
    next_locator = _locator(next_start, end) if next_start < end else "null"
    return _page_lines(org, job, start, next_start), next_start - start, next_locator


def _page_lines(org: Org, job: Job, start: int, end: int) -> Iterator[bytes]:
    delimiter = DELIMITERS[job.column_delimiter]
    names = f'"{delimiter}"'.join(".".join(column.keys) for column in _plan_of(org, job).columns)
    yield f'"{names}"{ENDS[job.line_ending]}'.encode()
    for number in range(start // PART_ROWS, -(-end // PART_ROWS)):
        first = number * PART_ROWS
        yield _read_part(org, job, number, max(0, start - first), end - first)


def _read_part(org: Org, job: Job, number: int, start: int, end: int) -> bytes:
    """Return some lines of one stored part."""
    found = org.store.rows(
        "select kind, body from emulator_job_results where job_id = ? and chunk = ?",
        (job.id, number),
    )
    bodies = {str(kind): bytes(body) for kind, body in found}  # type: ignore[arg-type]  # blobs
    lengths = array("I", bodies.get("lengths", b""))
    before = sum(lengths[:start])
    return bodies.get("lines", b"")[before : before + sum(lengths[start:end])]


def parallel_pages(job: Job, locator: str, data: str) -> dict[str, object]:
    """Return up to five pages that can be read in parallel, each with a fixed end."""
    resource = f"{data}/jobs/query/{job.id}"
    start, total = _positions(locator, job.rows_done)
    starts = range(start, max(total, 1), PAGE)
    pages = [
        {"resultUrl": f"{resource}/results?locator={_locator(first, min(first + PAGE, total))}"}
        for first in starts[:PARALLEL_PAGES]
    ]
    rest = starts[PARALLEL_PAGES:]
    next_locator = f"{resource}/resultPages?locator={_locator(rest[0], total)}" if rest else None
    return {"resultPages": pages, "nextRecordsUrl": next_locator, "done": next_locator is None}


def _locator(start: int, end: int) -> str:
    return base64.urlsafe_b64encode(f"{start}-{end}".encode()).decode().rstrip("=")


def _positions(locator: str, total: int) -> tuple[int, int]:
    if not locator or locator == "null":
        return 0, total
    try:
        padded = locator + "=" * (-len(locator) % 4)
        start, _, end = (
            base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii").partition("-")
        )
    except ValueError:
        start = end = ""
    if not (_is_position(start, total) and _is_position(end, total)) or int(start) > int(end):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(start), int(end)


def _is_position(text: str, total: int) -> bool:
    return text.isdecimal() and text.isascii() and len(text) < 12 and int(text) <= total
