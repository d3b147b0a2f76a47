"""What a run has done: one document of its counts and tables, its exit code, and its sentences.

`summary_lines` prints the document, `orchestration.artifacts` shows it in Prefect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pipelines.errors import SyncError
from pipelines.warehouse import reports
from pipelines.warehouse.database import Rows, Warehouse

OUTCOMES = ("created", "updated", "duplicate", "rejected", "held", "open")
TABLES = ("strategies", "planned", "reasons", "duplicates", "owners", "resolutions")
Summary = dict[str, Any]
Row = tuple[str, int, str]


def summarise(
    warehouse: Warehouse, run_id: str | None = None, person_ids: Sequence[str] | None = None
) -> Summary:
    """Return the summary of a run, by default the last one, and the outcomes of `person_ids`.

    It holds JSON types only; `{"run": None}` before the first run. Raise ConfigurationError for a
    run that does not exist.
    """
    run_id = run_id or reports.last_run_id(warehouse)
    if run_id is None:
        return {"run": None}
    report = reports.run_summary(warehouse, run_id)
    summary: Summary = {"run": _plain([report.run])[0]}
    for name in TABLES:
        summary[name] = _plain(getattr(report, name))
    summary["taken_over_batches"] = _plain(reports.taken_over_batches(warehouse, run_id))
    summary["open_batches"] = _plain(reports.open_batches(warehouse))
    summary["held_persons"] = _plain(reports.held_persons(warehouse))
    summary["held_person_count"] = reports.held_count(warehouse)
    if person_ids is not None:
        summary["persons"] = _plain(reports.person_outcome(warehouse, person_ids))
    return summary


def _plain(rows: Rows) -> list[dict[str, Any]]:
    """Return the rows as JSON knows them: instants as text in UTC, what is missing as null."""
    return [{name: _plain_value(value) for name, value in row.items()} for row in rows]


def _plain_value(value: Any) -> Any:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


Attention = Literal["Rejected", "Held"]


def attention(summary: Summary, allowed_reject_share: float) -> Attention | None:
    """Return why a finished run needs a look, the graver reason of the two; None if it needs none.

    Held: a person is held. Rejected: more was rejected than `run.allowed_reject_share`.
    """
    run, asked = summary["run"], _asked(summary)
    held_count = run["held_count"] + sum(one["held_count"] for one in summary["taken_over_batches"])
    if held_count or "held" in asked:
        return "Held"
    too_many = run["rejected_count"] > allowed_reject_share * run["read_count"]
    # Persons asked for by id count whenever they were rejected, in this run or in an earlier one.
    too_many |= asked.count("rejected") > allowed_reject_share * len(asked)
    return "Rejected" if too_many else None


def exit_code(summary: Summary, allowed_reject_share: float) -> int:
    """Return 0 done; 1 too many rejected or a person held; 2 an unknown person; 3 still open."""
    run, asked = summary["run"], _asked(summary)
    if "new" in asked:
        return 2
    if (
        run["open_count"]
        or "open" in asked
        or (run["run_mode"] == "resume" and summary["open_batches"])
    ):
        return 3
    return int(attention(summary, allowed_reject_share) is not None)


def _asked(summary: Summary) -> list[str]:
    """Return the outcomes of the persons asked for by id; none in a plan, which decides nothing."""
    if summary["run"]["run_mode"] == "plan":
        return []
    return [person["outcome"] for person in summary.get("persons", ())]


def balance(run: Mapping[str, Any]) -> str:
    """Return the conservation law with the numbers of a run: read = created + ... + open."""
    sums = " + ".join(f"{run[f'{name}_count']:,} {name}" for name in OUTCOMES)
    return f"{run['read_count']:,} read = {sums}"


def last_line(summary: Summary, seconds: float) -> str:
    """Return a run's last line in the log: the equation, the first three reasons, the duration."""
    reasons = [f"{one['rule_name']} {one['person_count']:,}" for one in summary["reasons"][:3]]
    most = f"; most rejected for {', '.join(reasons)}" if reasons else ""
    return f"done in {duration(seconds)}: {balance(summary['run'])}{most}"


def duration(seconds: float) -> str:
    """Return a duration as people read it: `12.3 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def failure(
    error: SyncError, summary: Summary | None, *, resumes_at: datetime | None = None
) -> str:
    """Return why a run failed, how many persons stay open, and which command continues with them.

    `summary` is the failed run's, None where the warehouse is away. `resumes_at` is when the next
    `resume` is scheduled, naive UTC.
    """
    kind = "transient" if error.is_transient else "permanent"
    parts = [f"{kind}: {error}"]
    run = summary["run"] if summary else None
    if run is not None:
        parts.append(balance(run))
        parts.append(_continuation(run["open_count"], error, resumes_at))
    return "; ".join(parts)


def _continuation(open_count: int, error: SyncError, resumes_at: datetime | None) -> str:
    if not open_count:
        return "no person stays open; the next run reads those who are still new"
    stay = f"{open_count:,} {'person stays' if open_count == 1 else 'persons stay'} open"
    when = f" at {resumes_at:%H:%M} UTC" if resumes_at else ""
    which = "resume" if resumes_at else "person-sync resume, or the next run,"
    first = "" if error.is_transient else "once this is corrected, "
    return f"{stay}; {first}{which} continues with them{when}"


def unread_sentence(count: int) -> str:
    """Return the sentence about persons that a run listed and did not read."""
    listed = "1 listed person was" if count == 1 else f"{count} listed persons were"
    return (
        f"{listed} not read: their rows changed or vanished; those still there stay new, and the "
        "next run finds them"
    )


def tables(summary: Summary) -> Iterator[tuple[str, list[Row]]]:
    """Yield the tables of a summary: a title, and rows of name, count and text."""
    for title, rows in _detailed_tables(summary):
        counts: dict[tuple[str, str], int] = {}
        for name, count, text in rows:
            counts[name, text] = counts.get((name, text), 0) + count
        merged = [(name, count, text) for (name, text), count in counts.items()]
        yield title, sorted(merged, key=lambda row: -row[1])


def _detailed_tables(summary: Summary) -> Iterator[tuple[str, list[Row]]]:
    yield "per owner strategy", _per_strategy(summary["strategies"])
    yield (
        "would be",
        [
            (one["decision"], one["person_count"], one["owner_name"] or one["owner_strategy"] or "")
            for one in summary["planned"]
        ],
    )
    yield (
        "rejected, per rule",
        [
            (one["rule_name"], one["person_count"], one["description"] or "")
            for one in summary["reasons"]
        ],
    )
    yield (
        "already known",
        [
            (f"in {one['matched_in']}", one["person_count"], one["action_taken"])
            for one in summary["duplicates"]
        ],
    )
    yield (
        "leads made, per owner",
        [
            (one["owner_name"] or "?", one["created_count"], one["owner_type"] or "")
            for one in summary["owners"]
            if one["created_count"]
        ],
    )
    yield (
        "held before, now resolved",
        [
            (
                one["resolved_as"],
                one["person_count"],
                "found by the person-id field" if one["is_automatic"] else "decided by a user",
            )
            for one in summary["resolutions"]
        ],
    )
    yield (
        "completed for earlier runs",
        [
            (f"{name} of batch {one['batch_id']}", one[f"{name}_count"], f"run {one['run_id']}")
            for one in summary["taken_over_batches"]
            for name in OUTCOMES
            if one[f"{name}_count"]
        ],
    )
    yield (
        "open batches",
        [
            (
                one["batch_id"],
                one["person_count"],
                f"{one['batch_state']}, held until {str(one['lease_until'])[:19]} UTC at most",
            )
            for one in summary["open_batches"]
        ],
    )


def _per_strategy(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    strategies: dict[str, list[str]] = {}
    totals: dict[str, int] = {}
    for row in rows:
        name = "(undecided)" if row["owner_strategy"] == "NONE" else row["owner_strategy"]
        strategies.setdefault(name, []).append(f"{row['person_count']} {row['outcome']}")
        totals[name] = totals.get(name, 0) + row["person_count"]
    return [(name, totals[name], ", ".join(texts)) for name, texts in strategies.items()]
