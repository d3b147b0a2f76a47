"""`make bench`: the floor, the naive script and ours, side by side in one run.

Each size is run smallest first, then what a contest of loads does not show (one person now, a run
with nobody new, Prefect's share), then all sizes again, as often as --repeat says and --minutes
allow; what there was no time for is named. Five million persons and the like are for the asking:

    make bench BENCH="--persons 1000000,5000000 --against sink --repeat 1 --minutes 120"

Persons are made once and kept in the cache folder (4 GB for five million in both engines).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import chart, comparing, extras, goals, words
from tests.benchmarks.children import RunFailed
from tests.benchmarks.contest import Choices, Contest
from tests.benchmarks.samples import CONTESTANTS
from tests.benchmarks.stores import STORES

CACHE = Path(".bench")
ORGS = ("sink", "emulator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write what is asked for. 1 when a run failed."""
    asked = _parser().parse_args(arguments)
    # Ended from outside, it ends what it started: the orgs, the runs and the database server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked.cache.mkdir(parents=True, exist_ok=True)
    contest = Contest(_choices(asked))
    try:
        contest.hold(1)
        more = None if asked.without_extras else _extras(contest, asked.prefect_persons)
        contest.hold(asked.repeat - 1)
    finally:
        contest.close()
    figures = goals.figures(contest.samples, more)
    machine = _machine()
    _say(words.lines(contest, figures, machine))
    if asked.compare:
        _say(comparing.compared(json.loads(asked.compare.read_text()), contest.samples, more))
    if asked.json:
        document = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "samples": contest.samples.as_json(),
            "extras": more.as_json() if more else None,
            "figures": [one.as_json() for one in figures],
            "not_measured": {str(case): why for case, why in contest.skipped.items()},
            "failed": {str(case): why for case, why in contest.failed.items()},
            "profiles": {str(case): found for case, found in contest.profiles.items()},
        }
        asked.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    if asked.chart:
        chart.draw(contest.samples, asked.chart)
    return 1 if contest.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    sizes = [10_000, 100_000, 1_000_000]
    add("--persons", type=_numbers, default=sizes, help="10000,100000,1000000 unless said")
    add("--against", type=_some_of(ORGS), default=ORGS, help="sink,emulator unless said")
    add(
        "--databases", type=_some_of(tuple(STORES)), default=tuple(STORES), help="sqlite,postgresql"
    )
    add("--only", type=_some_of(CONTESTANTS), default=CONTESTANTS, help="floor,naive,ours")
    add("--repeat", type=int, default=3, help="runs of each, time permitting (3)")
    add("--minutes", type=float, default=15.0, help="for the contest; a run begun is ended (15)")
    add("--failed-share", type=float, default=0.0, help="of the rows the sink refuses (0)")
    add("--cache", type=Path, default=CACHE, help="where persons are kept (.bench)")
    add("--json", type=Path, help="write everything measured there, for --compare")
    add("--compare", type=Path, help="a JSON of an earlier bench")
    add("--chart", type=Path, help="write a PNG there (needs matplotlib)")
    add("--profile", action="store_true", help="tell the dearest functions of ours, by stage")
    add(
        "--without-extras", action="store_true", help="no now, idle run, Prefect, memory at 200,000"
    )
    add("--prefect-persons", type=int, default=100_000, help="of the run with Prefect (100000)")
    return parser


def _extras(contest: Contest, prefect_persons: int) -> extras.Extras | None:
    try:
        return extras.measure(contest, prefect_persons)
    except RunFailed as failure:
        contest.failed["now, idle run, Prefect"] = str(failure)
        return None


def _choices(asked: argparse.Namespace) -> Choices:
    return Choices(
        person_counts=sorted(asked.persons),
        orgs=asked.against,
        databases=asked.databases,
        contestants=asked.only,
        repeat=asked.repeat,
        minutes=asked.minutes,
        cache=asked.cache.resolve(),
        failed_share=asked.failed_share,
        is_profiling=asked.profile,
    )


def _numbers(text: str) -> list[int]:
    return [int(one.replace("_", "")) for one in text.split(",")]


def _some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if not set(found) <= set(known):
            raise argparse.ArgumentTypeError(f"some of {','.join(known)}, not {text}")
        return found

    return read


def _machine() -> dict[str, Any]:
    """What the figures depend on. The load says how far wall seconds are to be trusted."""
    return {
        "processors": os.cpu_count(),
        "load": " ".join(f"{one:.1f}" for one in os.getloadavg()),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: version(name) for name in ("pandas", "pyarrow", "sqlalchemy", "psycopg")},
    }


def _say(lines: Any) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
