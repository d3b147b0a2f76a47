"""`make bench`: compare the floor, the naive script and ours.

Run all sizes, smallest first. Then measure the extras: one person with `now`, a run without new
persons, and Prefect's share. Then repeat all sizes, as often as --repeat says and --minutes allow.
Cases without time for a run are listed. Larger sizes are an option:

    make bench BENCH="--persons 1000000,5000000 --against sink --repeat 1 --minutes 120"

Persons are created once and kept in the cache folder (4 GB for five million in both engines).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.benchmarks import baseline, chart, extras, goals, report
from tests.benchmarks.comparison import Comparison, Plan
from tests.benchmarks.processes import ProcessFailed
from tests.benchmarks.samples import CANDIDATES
from tests.benchmarks.stores import STORES

CACHE = Path(".bench")
ORGS = ("sink", "emulator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the report, write the files asked for. Return 1 when a run failed."""
    options = _parser().parse_args(arguments)
    # At SIGTERM stop what was started: the orgs, the runs and the database server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.cache.mkdir(parents=True, exist_ok=True)
    comparison = Comparison(_plan(options))
    try:
        comparison.run_rounds(1)
        more = None if options.without_extras else _extras(comparison, options.prefect_persons)
        comparison.run_rounds(options.repeat - 1)
    finally:
        comparison.close()
    figures = goals.figures(comparison.samples, more)
    machine = _machine()
    _print(report.lines(comparison, figures, machine))
    if options.compare:
        old = json.loads(options.compare.read_text())
        _print(baseline.compare_with_baseline(old, comparison.samples, more))
    if options.json:
        document = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "samples": comparison.samples.as_json(),
            "extras": more.as_json() if more else None,
            "figures": [one.as_json() for one in figures],
            "not_measured": {str(case): why for case, why in comparison.skipped.items()},
            "failed": {str(case): why for case, why in comparison.failed.items()},
            "profiles": {str(case): found for case, found in comparison.profiles.items()},
        }
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    if options.chart:
        chart.draw(comparison.samples, options.chart)
    return 1 if comparison.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    sizes = [10_000, 100_000, 1_000_000]
    add("--persons", type=_numbers, default=sizes, help="default 10000,100000,1000000")
    add("--against", type=_some_of(ORGS), default=ORGS, help="default sink,emulator")
    databases = tuple(STORES)
    add("--databases", type=_some_of(databases), default=databases, help="sqlite,postgresql")
    add("--only", type=_some_of(CANDIDATES), default=CANDIDATES, help="floor,naive,ours")
    add("--repeat", type=int, default=3, help="runs of each, time permitting (3)")
    add("--minutes", type=float, default=15.0, help="start no run that would end later (15)")
    add("--failed-share", type=float, default=0.0, help="of the rows the sink rejects (0)")
    add("--cache", type=Path, default=CACHE, help="where persons are kept (.bench)")
    add("--json", type=Path, help="write all measurements to this file, for --compare")
    add("--compare", type=Path, help="the --json file of an earlier benchmark")
    add("--chart", type=Path, help="write a PNG to this file (needs matplotlib)")
    add("--profile", action="store_true", help="list our slowest functions, by stage")
    add("--without-extras", action="store_true", help="no now, idle run, Prefect, known leads")
    add("--prefect-persons", type=int, default=100_000, help="of the run with Prefect (100000)")
    return parser


def _extras(comparison: Comparison, prefect_persons: int) -> extras.Extras | None:
    try:
        return extras.measure(comparison, prefect_persons)
    except ProcessFailed as failure:
        comparison.failed["now, idle run, Prefect"] = str(failure)
        return None


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        person_counts=sorted(options.persons),
        orgs=options.against,
        databases=options.databases,
        candidates=options.only,
        repeat=options.repeat,
        minutes=options.minutes,
        cache=options.cache.resolve(),
        failed_share=options.failed_share,
        is_profiling=options.profile,
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
    """Return what the figures depend on. With a high load, trust the CPU seconds only."""
    return {
        "processors": os.cpu_count(),
        "load": " ".join(f"{one:.1f}" for one in os.getloadavg()),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: version(name) for name in ("pandas", "pyarrow", "sqlalchemy", "psycopg")},
    }


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
