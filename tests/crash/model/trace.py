"""A schedule drawn: who did what, one column each, from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 44


def draw(story: Sequence[str]) -> str:
    """The story in columns: each run its own, the org and everything else at the right."""
    actors = list(dict.fromkeys(actor for actor in map(_actor, story) if actor is not None))
    lines = ["".join(actor.ljust(WIDTH) for actor in actors).rstrip()]
    for line in story:
        actor = _actor(line)
        if actor is None:
            lines.append(f"— {line} —")
            continue
        words = line.removeprefix(actor).lstrip(": ")
        lines.append(" " * WIDTH * actors.index(actor) + words)
    return "\n".join(lines)


def _actor(line: str) -> str | None:
    first = line.split()[0].removesuffix(":")
    return first if first in ("A", "B", "C", "S", "R1", "R2", "org") else None
