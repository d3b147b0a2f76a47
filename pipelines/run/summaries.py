"""What a run has to tell: one document for machines, and the same in lines and in Markdown."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
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
    """The run, its tables, and what became of `person_ids`; the last run where none is named.

    JSON types only. Raises ConfigurationError for a run that is not there.
    """
    run_id = run_id or reports.last_run_id(warehouse)
    if run_id is None:
        return {"run": None}
    told = reports.run_summary(warehouse, run_id)
    summary: Summary = {"run": _plain([told.run])[0]}
    for name in TABLES:
        summary[name] = _plain(getattr(told, name))
    summary["carried_batches"] = _plain(reports.taken_over_batches(warehouse, run_id))
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
    """Return what a finished run asks a person to look at, the graver of the two; None for nothing.

    Held: somebody is held. Rejected: more was rejected than `run.allowed_reject_share`.
    """
    run, asked = summary["run"], _asked(summary)
    held_count = run["held_count"] + sum(one["held_count"] for one in summary["carried_batches"])
    if held_count or "held" in asked:
        return "Held"
    too_many = run["rejected_count"] > allowed_reject_share * run["read_count"]
    # Whoever asks for persons by name wants to know of them, whenever that was decided.
    too_many |= asked.count("rejected") > allowed_reject_share * len(asked)
    return "Rejected" if too_many else None


def exit_code(summary: Summary, allowed_reject_share: float) -> int:
    """0 done; 1 done, but too many rejected or somebody held; 2 a person nobody knows; 3 open."""
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
    """The outcomes of the persons asked for by id; a plan decides nothing, so there are none."""
    if summary["run"]["run_mode"] == "plan":
        return []
    return [person["outcome"] for person in summary.get("persons", ())]


def as_lines(summary: Summary) -> list[str]:
    """The summary as a person at a terminal reads it."""
    return list(_lines(summary))


def _lines(summary: Summary) -> Iterator[str]:
    run = summary["run"]
    if run is None:
        yield "no run yet: person-sync run makes one"
        return
    yield f"run {run['run_id']} ({run['run_mode']}) {run['run_state']}, {_instant(run)}"
    if run["error_message"]:
        yield f"  {run['error_message']}"
    yield f"{balance(run)}; {run['api_call_count']} API calls"
    if run.get("unread_count"):
        yield unread_sentence(run["unread_count"])
    yield from _matching(run)
    for title, cells in tables(summary):
        if cells:
            yield ""
            yield title
            yield from _columns(cells)


def _matching(run: Mapping[str, Any]) -> Iterator[str]:
    if not run.get("lookup_call_count"):
        return
    yield (
        f"known records looked up by {run['lookup_method']}: {run['lookup_record_count']} read in "
        f"{run['lookup_call_count']} of these calls, {run['lookup_seconds']} s"
    )


def balance(run: Mapping[str, Any]) -> str:
    """The conservation law with its numbers."""
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
    """Return why a run failed, whether that passes, who stays open, and what carries them on.

    `summary` is the failed run's, None where the warehouse is away. `resumes_at` is when the next
    `resume` is scheduled, naive UTC.
    """
    kind = "transient" if error.is_transient else "permanent"
    parts = [f"{kind}: {error}"]
    run = summary["run"] if summary else None
    if run is not None:
        parts.append(balance(run))
        parts.append(_carried_on(run["open_count"], error, resumes_at))
    return "; ".join(parts)


def _carried_on(open_count: int, error: SyncError, resumes_at: datetime | None) -> str:
    if not open_count:
        return "nobody stays open; the next run reads who is still new"
    who = f"{open_count:,} {'person stays' if open_count == 1 else 'persons stay'} open"
    when = f" at {resumes_at:%H:%M} UTC" if resumes_at else ""
    which = "resume" if resumes_at else "person-sync resume, or the next run,"
    first = "" if error.is_transient else "once this is mended, "
    return f"{who}; {first}{which} takes them on{when}"


def unread_sentence(count: int) -> str:
    """The sentence about persons that a run listed and did not read."""
    listed = "1 listed person was" if count == 1 else f"{count} listed persons were"
    return (
        f"{listed} not read: their rows changed or vanished; whoever is still there stays new, and "
        "the next run finds them"
    )


def _instant(run: Mapping[str, Any]) -> str:
    return f"{str(run['finished_at'] or run['started_at'])[:19].replace('T', ' ')} UTC"


def tables(summary: Summary) -> Iterator[tuple[str, list[Row]]]:
    """Yield the tables of a summary: a title, and rows of name, count and words."""
    for title, rows in _detailed_tables(summary):
        counts: dict[tuple[str, str], int] = {}
        for name, count, words in rows:
            counts[name, words] = counts.get((name, words), 0) + count
        merged = [(name, count, words) for (name, words), count in counts.items()]
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
                "found by the person-id field" if one["is_automatic"] else "a human's word",
            )
            for one in summary["resolutions"]
        ],
    )
    yield (
        "carried on for earlier runs",
        [
            (f"{name} of batch {one['batch_id']}", one[f"{name}_count"], f"run {one['run_id']}")
            for one in summary["carried_batches"]
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


def held_lines(summary: Summary, config: Path | None = None) -> Iterator[str]:
    """Who waits for a human's word, longest first, with the commands that say it."""
    held = summary.get("held_persons")
    if not held:
        return
    yield ""
    yield f"{summary['held_person_count']} held, each waiting for a human's word"
    for one in held:
        job = f", job {one['salesforce_job_id']}" if one["salesforce_job_id"] else ""
        since = str(one["decided_at"])[:16].replace("T", " ")
        yield f"  {one['person_id']}: {one['reason_code']}{job}, since {since} UTC"
        for word in ("created:LEAD_ID", "resend", "rejected"):
            yield f"    {_resolve_command(one['person_id'], word, config)}"
    if summary["held_person_count"] > len(held):
        yield f"  ... and {summary['held_person_count'] - len(held)} more"


def _resolve_command(person_id: str, word: str, config: Path | None) -> str:
    # An id may look like an option, and then everything else has to stand before it.
    words = ["person-sync", "resolve", *(["--config", str(config)] if config else [])]
    if person_id.startswith("-"):
        return shlex.join([*words, "--as", word, "--", person_id])
    return shlex.join([*words, person_id, "--as", word])


def _per_strategy(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    strategies: dict[str, list[str]] = {}
    totals: dict[str, int] = {}
    for row in rows:
        name = "(undecided)" if row["owner_strategy"] == "NONE" else row["owner_strategy"]
        strategies.setdefault(name, []).append(f"{row['person_count']} {row['outcome']}")
        totals[name] = totals.get(name, 0) + row["person_count"]
    return [(name, totals[name], ", ".join(words)) for name, words in strategies.items()]


def _columns(cells: Sequence[Row]) -> Iterator[str]:
    widest = max(_width(name) for name, _, _ in cells)
    longest = max(len(str(count)) for _, count, _ in cells)
    for name, count, words in cells:
        yield f"  {name}{' ' * (widest - _width(name))}  {count:>{longest}}  {words}".rstrip()


def _width(text: str) -> int:
    """Columns on a terminal: a name in Chinese characters takes two each."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def person_lines(summary: Summary) -> list[str]:
    """A line for each person that was asked for by id."""
    return [_person_line(person) for person in summary["persons"]]


def _person_line(person: Mapping[str, Any]) -> str:
    words = {
        "created": f"created lead {person['lead_id']}, owned by {person['owner_name']}",
        "updated": f"updated {person['lead_id'] or person['contact_id']}",
        "duplicate": f"duplicate: already known in {person['matched']}",
        "rejected": f"rejected: {person['rules']}",
        "held": f"held: {person['reason_code']}; a human must look: person-sync resolve",
        "open": f"under way in batch {person['batch_id']}, {person['batch_state']}",
        "new": "not decided: no such person in the persons table",
    }
    return f"{person['person_id']}: {words[person['outcome']]}"
