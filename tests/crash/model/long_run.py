"""`make test-model`: search the real protocol with larger budgets, and find the planted bugs.

    python -m tests.crash.model.long_run [MAX_STATES]

Exit with 1 if a schedule of the real protocol breaks an invariant, or a planted bug is not found.
"""

from __future__ import annotations

import gc
import sys
import time

from tests.crash.model.bugs import bugs
from tests.crash.model.search import SearchResult, search
from tests.crash.model.settings import LONG, SettingRow, cells_of, setting_of
from tests.crash.model.trace import draw

MAX_STATES = 4_000_000
HEAD = "runs | field | load_api | persons | faults | troubles | preemptions | other"
FIGURES = "states | steps | schedules | violating | complete | seconds"


def main(max_states: int = MAX_STATES) -> int:
    """Print both tables. Return the exit code."""
    print_line(f"{HEAD} | {FIGURES}")
    results = [
        _search_row(has_field, row, max_states) for row in LONG for has_field in (True, False)
    ]
    schedules = sum(result.summary.schedule_count for result in results)
    states = sum(result.state_count for result in results)
    print_line(f"total: {states:,} states, {schedules:,} schedules")
    violating = [result for result in results if result.summary.violating_count]
    for result in violating:
        print_line(f"\n{draw(result.trace)}")
    return 1 if violating or not _find_bugs() else 0


def _search_row(has_field: bool, row: SettingRow, max_states: int) -> SearchResult:
    started = time.process_time()
    result = search(setting_of(has_field, row), max_states)
    seconds = time.process_time() - started
    summary = result.summary
    cells = (
        *cells_of(has_field, row),
        f"{result.state_count:,}",
        f"{result.step_count:,}",
        f"{summary.schedule_count:,}",
        f"{summary.violating_count:,}",
        "yes" if result.is_complete else "NO",
        f"{seconds:.0f}",
    )
    print_line(" | ".join(cells))
    gc.collect()
    return result


def _find_bugs() -> bool:
    print_line("\nplanted bug | schedules | violating | invariants broken")
    are_found = True
    for bug in bugs():
        summary = search(bug.setting).summary
        are_found &= bug.breaks in summary.broken
        counts = f"{summary.schedule_count:,} | {summary.violating_count:,}"
        broken = ", ".join(sorted(summary.broken)) or "NOT FOUND"
        print_line(f"{bug.name} | {counts} | {broken}")
    return are_found


def print_line(line: str) -> None:
    """Print a line without a buffer."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
