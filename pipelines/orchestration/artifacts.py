"""What a run shows on its page in Prefect: a summary in Markdown, and a chart.

Counts, names of owners and rules, and ids of runs; never a person's data.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from pipelines.run.summaries import OUTCOMES, Summary, balance, tables, unread_sentence

# Readable on white and on black, and different for people who see no red or green.
_COLOURS: Final = {
    "created": "#0072b2",
    "updated": "#56b4e9",
    "duplicate": "#e69f00",
    "rejected": "#d55e00",
    "held": "#cc79a7",
    "open": "#999999",
}
_WIDTH, _ROW, _LEFT, _RIGHT = 640, 30, 96, 96
_REASONS: Final = "rejected, per rule"


def as_markdown(summary: Summary, failure: str | None = None) -> str:
    """Return the page of a run: the equation, then a table per owner and per reason with remedy.

    `failure` is why the run failed: the message of its state.
    """
    run = summary["run"]
    lines = [f"## {run['run_mode']} run {run['run_state']}", "", f"**{balance(run)}**", ""]
    if failure:
        lines += [escaped(failure), ""]
    if run.get("unread_count"):
        lines += [f"{unread_sentence(run['unread_count'])}.", ""]
    lines.append(f"{run['api_call_count']:,} API calls. Run id `{run['run_id']}`.")
    for title, rows in tables(summary):
        if rows and title != _REASONS:
            lines += ["", f"### {title}", "", "| | persons | |", "|---|--:|---|"]
            lines += [
                f"| {escaped(name)} | {count:,} | {escaped(text)} |" for name, count, text in rows
            ]
    lines += _reasons(summary)
    return "\n".join(lines)


def failed_before_start(failure: str) -> str:
    """Return the page of a run that failed before its row could be read."""
    return f"## run failed\n\n{escaped(failure)}"


def chart(summary: Summary) -> str | None:
    """Return a bar for each outcome as the URL of an SVG image; None for a run without persons.

    The image has its own background, so it looks the same on a light and on a dark page.
    """
    run = summary["run"]
    counts = {name: run[f"{name}_count"] for name in OUTCOMES}
    if run["run_mode"] == "plan":
        counts = _planned(summary)
    if not any(counts.values()):
        return None
    encoded = base64.b64encode(_svg(counts).encode()).decode()
    return f"data:image/svg+xml;base64,{encoded}"


def escaped(text: str) -> str:
    """Return the text as Markdown that shows it: names of the org must not break the page."""
    for mark, safe in (
        ("\\", "\\\\"),
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "\\|"),
        ("`", "\\`"),
    ):
        text = text.replace(mark, safe)
    return " ".join(text.replace("[", "\\[").replace("]", "\\]").split())


def _reasons(summary: Summary) -> Iterator[str]:
    if not summary["reasons"]:
        return
    yield from ("", f"### {_REASONS}", "", "| | persons | why | remedy |", "|---|--:|---|---|")
    for one in summary["reasons"]:
        texts = (escaped(one[name] or "") for name in ("description", "remedy"))
        yield f"| {escaped(one['rule_name'])} | {one['person_count']:,} | {' | '.join(texts)} |"


def _planned(summary: Summary) -> dict[str, int]:
    outcomes = {"create": "created", "update": "updated", "reject": "rejected"}
    counts = dict.fromkeys(OUTCOMES, 0)
    for one in summary["planned"]:
        counts[outcomes.get(one["decision"], one["decision"])] += one["person_count"]
    return counts


def _svg(counts: Mapping[str, int]) -> str:
    shown = {name: count for name, count in counts.items() if count}
    most, height = max(shown.values()), _ROW * len(shown) + 24
    bars = "".join(
        _bar(name, count, count / most, 12 + _ROW * row)
        for row, (name, count) in enumerate(shown.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="14" role="img">'
        f"<title>{escape(', '.join(f'{count:,} {name}' for name, count in shown.items()))}</title>"
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#f6f7f9"/>{bars}</svg>'
    )


def _bar(name: str, count: int, share: float, top: int) -> str:
    length = max(2.0, share * (_WIDTH - _LEFT - _RIGHT))
    texts: dict[str, Any] = {"y": top + 19, "fill": "#1c2430"}
    marks = " ".join(f'{key}="{value}"' for key, value in texts.items())
    return (
        f'<text x="{_LEFT - 8}" text-anchor="end" {marks}>{escape(name)}</text>'
        f'<rect x="{_LEFT}" y="{top + 4}" width="{length:.0f}" height="{_ROW - 10}" rx="3" '
        f'fill="{_COLOURS[name]}"/>'
        f'<text x="{_LEFT + length + 8:.0f}" {marks}>{count:,}</text>'
    )
