"""`make test-model`: the long search of the real protocol, and the table of the planted bugs.

    python -m tests.crash.model.long_run [MOST_STATES]

Exits 1 when a schedule of the real protocol breaks a law, or a bug is not found.
"""

from __future__ import annotations

import gc
import sys
import time

from tests.crash.model.bugs import bugs
from tests.crash.model.search import Found, search
from tests.crash.model.settings import LONG, setting_of, words_of
from tests.crash.model.trace import draw

MOST_STATES = 4_000_000
HEAD = "runs | field | load_api | persons | faults | troubles | preemptions | else"
FIGURES = "states | steps | schedules | violating | complete | seconds"


def main(most_states: int = MOST_STATES) -> int:
    """Print both tables; answers the exit code."""
    say(f"{HEAD} | {FIGURES}")
    founds = [
        _search_one(has_field, place, most_states)
        for place in range(len(LONG))
        for has_field in (True, False)
    ]
    schedules = sum(found.summary.schedule_count for found in founds)
    states = sum(found.state_count for found in founds)
    say(f"in all: {states:,} states, {schedules:,} schedules")
    bad = [found for found in founds if found.summary.violating_count]
    for found in bad:
        say(f"\n{draw(found.story)}")
    return 1 if bad or not _tell_bugs_apart() else 0


def _search_one(has_field: bool, place: int, most_states: int) -> Found:
    drawn, began = LONG[place], time.process_time()
    found = search(setting_of(has_field, drawn), most_states)
    seconds = time.process_time() - began
    summary = found.summary
    cells = (
        *words_of(has_field, drawn),
        f"{found.state_count:,}",
        f"{found.step_count:,}",
        f"{summary.schedule_count:,}",
        f"{summary.violating_count:,}",
        "yes" if found.is_complete else "NO",
        f"{seconds:.0f}",
    )
    say(" | ".join(cells))
    gc.collect()
    return found


def _tell_bugs_apart() -> bool:
    say("\nplanted bug | schedules | violating | what")
    are_found = True
    for bug in bugs():
        summary = search(bug.setting).summary
        are_found &= bug.breaks in summary.broken
        counts = f"{summary.schedule_count:,} | {summary.violating_count:,}"
        say(f"{bug.name} | {counts} | {', '.join(sorted(summary.broken)) or 'NOT FOUND'}")
    return are_found


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
