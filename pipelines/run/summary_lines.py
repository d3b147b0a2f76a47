"""A run's summary for a reader at a terminal or of a file: texts and tables."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from pipelines.process import terminal
from pipelines.run.summaries import Summary, balance, tables, unread_sentence

_STYLES: Final = {
    "created": "green",
    "updated": "green",
    "duplicate": "cyan",
    "rejected": "yellow",
    "held": "bold red",
    "new": "bold red",
}
_MARKS: Final = {True: Text("ok   ", "green"), False: Text("WRONG", "bold red")}
_DECISIONS: Final = ("created:LEAD_ID", "resend", "rejected")


def as_lines(summary: Summary) -> list[str]:
    """Return the summary as plain lines, as a pipe gets it."""
    return terminal.as_lines(summary_parts(summary))


def summary_parts(summary: Summary) -> Iterator[RenderableType]:
    """Yield what `status` and a run print: the state, the balance, and a table per question."""
    run = summary["run"]
    if run is None:
        yield "no run yet: person-sync run makes one"
        return
    yield f"run {run['run_id']} ({run['run_mode']}) {run['run_state']}, {_instant(run)}"
    if run["error_message"]:
        yield Text(f"  {run['error_message']}", "red")
    yield f"{balance(run)}; {run['api_call_count']} API calls"
    if run.get("unread_count"):
        yield unread_sentence(run["unread_count"])
    if run.get("lookup_call_count"):
        yield _matching(run)
    for title, rows in tables(summary):
        if rows:
            yield from titled(title)
            yield terminal.table(
                ((name, str(count), text) for name, count, text in rows), numbers=[1]
            )


def status_parts(summary: Summary, config: Path | None) -> Iterator[RenderableType]:
    """Yield a run's summary and the held persons; `config` is the file for their commands."""
    yield from summary_parts(summary)
    yield from held_parts(summary, config)


def check_parts(results: Iterable[tuple[bool, str, str]]) -> Iterator[RenderableType]:
    """Yield a row for each check: whether it passed, its subject, its message."""
    yield terminal.table(
        ((_MARKS[is_ok], f"{subject}: {message}") for is_ok, subject, message in results),
        indent=0,
        gap=1,
    )


def titled(title: str) -> Iterator[RenderableType]:
    """Yield a blank line and the title of what follows."""
    yield ""
    yield Text(title, "bold")


def _matching(run: Mapping[str, Any]) -> str:
    return (
        f"known records looked up by {run['lookup_method']}: {run['lookup_record_count']} read "
        f"in {run['lookup_call_count']} of these calls, {run['lookup_seconds']} s"
    )


def _instant(run: Mapping[str, Any]) -> str:
    return f"{str(run['finished_at'] or run['started_at'])[:19].replace('T', ' ')} UTC"


def held_parts(summary: Summary, config: Path | None = None) -> Iterator[RenderableType]:
    """Yield the held persons, the longest held first, each with the commands that decide on it."""
    held = summary.get("held_persons")
    if not held:
        return
    yield from titled(f"{summary['held_person_count']} held, each waiting for a decision")
    for one in held:
        job = f", job {one['salesforce_job_id']}" if one["salesforce_job_id"] else ""
        since = str(one["decided_at"])[:16].replace("T", " ")
        yield f"  {one['person_id']}: {one['reason_code']}{job}, since {since} UTC"
        for decision in _DECISIONS:
            command = _resolve_command(one["person_id"], decision, config)
            yield terminal.unbroken(f"    {command}")
    if summary["held_person_count"] > len(held):
        yield f"  ... and {summary['held_person_count'] - len(held)} more"


def _resolve_command(person_id: str, decision: str, config: Path | None) -> str:
    command = ["person-sync", "resolve", *(["--config", str(config)] if config else [])]
    if person_id.startswith("-"):
        # An id that looks like an option has to follow `--`, and all options precede that.
        return shlex.join([*command, "--as", decision, "--", person_id])
    return shlex.join([*command, person_id, "--as", decision])


def person_parts(summary: Summary) -> Iterator[Text]:
    """Yield a line for each person that was asked for by id, with its outcome."""
    for person in summary["persons"]:
        yield Text.assemble(
            f"{person['person_id']}: ", (_outcome(person), _STYLES.get(person["outcome"], ""))
        )


def _outcome(person: Mapping[str, Any]) -> str:
    sentences = {
        "created": f"created lead {person['lead_id']}, owned by {person['owner_name']}",
        "updated": f"updated {person['lead_id'] or person['contact_id']}",
        "duplicate": f"duplicate: already known in {person['matched']}",
        "rejected": f"rejected: {person['rules']}",
        "held": f"held: {person['reason_code']}; decide on it by person-sync resolve",
        "open": f"under way in batch {person['batch_id']}, {person['batch_state']}",
        "new": "not decided: no such person in the persons table",
    }
    return sentences[person["outcome"]]
