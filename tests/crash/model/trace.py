"""Print a schedule: who did what, in one column per actor, from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 44


def draw(trace: Sequence[str]) -> str:
    """Return the trace in columns: one for each run, and one for the org."""
    actors = list(dict.fromkeys(actor for actor in map(_actor, trace) if actor is not None))
    lines = ["".join(actor.ljust(WIDTH) for actor in actors).rstrip()]
    for line in trace:
        actor = _actor(line)
        if actor is None:
            lines.append(f"— {line} —")
            continue
        text = line.removeprefix(actor).lstrip(": ")
        lines.append(" " * WIDTH * actors.index(actor) + text)
    return "\n".join(lines)


def _actor(line: str) -> str | None:
    first = line.split()[0].removesuffix(":")
    return first if first in ("A", "B", "C", "S", "R1", "R2", "org") else None
