"""The table at the end: cases, violations and seconds of each technique in each variant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.crash.suite import CaseResult

HEAD = ("technique", "environment", "cases", "not reached", "violations", "seconds")


def rows_of(results: Sequence[CaseResult]) -> list[tuple[str, str, int, int, int, float]]:
    """A row for each technique in each variant, in the order performed."""
    groups: dict[tuple[str, str], list[CaseResult]] = {}
    for result in results:
        groups.setdefault((result.case.technique, str(result.case.variant)), []).append(result)
    return [
        (
            technique,
            environment,
            len(mine),
            sum(not one.is_reached for one in mine),
            sum(bool(one.violations) for one in mine),
            round(sum(one.seconds for one in mine), 1),
        )
        for (technique, environment), mine in sorted(groups.items())
    ]


def as_text(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they must be."""
    cells = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def write_json(file: Path, **parts: object) -> None:
    """The same for machines."""
    file.write_text(json.dumps(parts, indent=1, default=str) + "\n", encoding="utf-8")
