"""`make reliability`: performs the whole programme and prints the table.

    python -m tests.crash [--workers N] [--sample N] [--seed N] [--only WORD] [--json FILE]
                                [--every-pair] [--journal FILE]

In an order of chance, so that whoever breaks it off has seen something of everything; with a
journal the same command carries on. Exits with 1 when a promise was broken or a planted bug went
by.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import psycopg
import requests
from sqlalchemy.exc import SQLAlchemyError

from tests.crash import small_disk
from tests.crash.environments import Workshop
from tests.crash.journal import Journal
from tests.crash.mutants import PLANTS, Plant
from tests.crash.programme import programme, sample
from tests.crash.suite import Case, Expectation, caught_by, judge
from tests.crash.table import HEAD, as_text, rows_of, write_json
from tests.crash.techniques import Clean, discover
from tests.crash.variants import KINDS, Kind

BROKEN = (
    *(AssertionError, OSError, RuntimeError, subprocess.SubprocessError),
    *(requests.RequestException, SQLAlchemyError, psycopg.Error),
)
NO_SMALL_DISK = (
    "not performed here: disk full on PostgreSQL, which takes root or user namespaces (unshare)"
)
PLANT_HEAD = ("planted bug", "caught by", "as")


class Staff:
    """Workers, each with a workshop of its own; what is discovered is shared."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._own = threading.local()
        self._lock = threading.Lock()
        self._opened: list[Workshop] = []
        self.find = cache(self._find)

    @property
    def shop(self) -> Workshop:
        """The workshop of this worker."""
        if not hasattr(self._own, "shop"):
            self._own.shop = Workshop()
            self._opened.append(self._own.shop)
        shop: Workshop = self._own.shop
        return shop

    def _find(self, kind: Kind) -> Clean:
        return discover(self.shop, kind)

    def discovered(self, kind: Kind) -> Clean:
        """A kind of world undisturbed, found by whichever worker comes first."""
        with self._lock:
            return self.find(kind)

    def perform(self, case: Case) -> Expectation:
        """Judge a case, unless it was judged before, and say at once what is wrong."""
        known = self._journal.verdict(case)
        if known is not None:
            return known
        try:
            verdict = judge(self.shop, self.discovered(case.kind), case)
            self._journal.write(verdict)  # a harness that broke has judged nothing
        except BROKEN as error:  # an hour's work must not be lost with one case
            verdict = Expectation(case, violations=[f"the harness broke: {error!r:.200}"])
        for violation in verdict.violations[:3]:
            _tell(f"{case}: {violation}")
        return verdict

    def catch(self, plant: Plant) -> tuple[str, str, str]:
        """Try the plant's trials until one catches it."""
        verdict = caught_by(self.shop, self.discovered, plant)
        if verdict is None:
            return plant.name, "NOT CAUGHT", ""
        return plant.name, str(verdict.case), verdict.violations[0][:80]

    def close(self) -> None:
        """Close every workshop."""
        for shop in self._opened:
            shop.close()


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Perform, print, and answer the exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    # Ended from outside, it ends what it started: emulators, runs and database servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        journal = Journal(asked.journal)
    except ValueError as wrong:
        parser.error(str(wrong))
    staff = Staff(journal)
    try:
        cases = list(programme(staff.find, every_pair=asked.every_pair))
        found = {kind: len(staff.find(kind).boundaries) for kind in KINDS}
        cases = [case for case in cases if asked.only in case.technique]
        if asked.sample:
            cases = sample(cases, asked.seed, asked.sample)
        random.Random(asked.seed).shuffle(cases)  # noqa: S311 - a seed, not a secret
        _tell(f"{len(cases)} cases, seed {asked.seed}, {journal.left(cases)} to perform")
        with ThreadPoolExecutor(asked.workers) as pool:
            try:
                verdicts = list(pool.map(staff.perform, cases))
                caught = list(pool.map(staff.catch, [] if asked.only else PLANTS))
            except BaseException:
                pool.shutdown(cancel_futures=True)  # broken off: what is under way is ended
                raise
    finally:
        staff.close()
    return _report(asked.json, verdicts, caught, found, time.monotonic() - began)


def _report(
    file: Path | None,
    verdicts: list[Expectation],
    caught: list[tuple[str, str, str]],
    found: dict[Kind, int],
    seconds: float,
) -> int:
    rows = rows_of(verdicts)
    broken = sum(row[4] for row in rows)
    missed = sum(by == "NOT CAUGHT" for _, by, _ in caught)
    if not small_disk.is_possible():
        sys.stdout.write(f"{NO_SMALL_DISK}\n\n")
    boundaries = ", ".join(f"{count} ({kind})" for kind, count in found.items())
    sys.stdout.write(f"{as_text(HEAD, rows)}\n\n")
    if caught:
        sys.stdout.write(f"{as_text(PLANT_HEAD, caught)}\n\n")
    sys.stdout.write(
        f"boundaries found: {boundaries}\n{len(verdicts)} cases, {broken} with violations, "
        f"{missed} of {len(caught)} planted bugs not caught, {seconds:.0f} s\n"
    )
    if file is not None:
        violations = {str(one.case): one.violations for one in verdicts if one.violations}
        counts = {str(kind): count for kind, count in found.items()}
        write_json(
            file,
            boundaries=counts,
            table=[dict(zip(HEAD, row, strict=True)) for row in rows],
            plants=[dict(zip(PLANT_HEAD, row, strict=True)) for row in caught],
            violations=violations,
            seconds=round(seconds, 1),
        )
    return 1 if broken or missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=0, help="so many cases of each technique")
    parser.add_argument("--seed", type=int, default=20260731)
    parser.add_argument("--only", default="", help="techniques whose name has this word")
    parser.add_argument("--every-pair", action="store_true", help="of kills, one by one: hours")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--journal", type=Path, help="carry on with what was performed before")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
