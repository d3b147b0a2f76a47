"""`make test-crash`: performs the whole programme and prints the table.

    python -m tests.crash [--workers N] [--sample N] [--seed N] [--only WORD] [--json FILE]
                                [--every-pair] [--journal FILE]

In an order of chance, so that whoever breaks it off has seen something of everything; with a
journal the same command carries on. Exits with 1 when a promise was broken or a mutant went
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
from tests.crash.environments import EnvironmentFactory
from tests.crash.journal import Journal
from tests.crash.mutants import MUTANTS, Mutant
from tests.crash.programme import programme, sample
from tests.crash.suite import Case, CaseResult, first_result_that_catches, run_case
from tests.crash.table import HEAD, as_text, rows_of, write_json
from tests.crash.techniques import Clean, discover
from tests.crash.variants import VARIANTS, Variant

BROKEN = (
    *(AssertionError, OSError, RuntimeError, subprocess.SubprocessError),
    *(requests.RequestException, SQLAlchemyError, psycopg.Error),
)
NO_SMALL_DISK = (
    "not performed here: disk full on PostgreSQL, which takes root or user namespaces (unshare)"
)
MUTANT_HEAD = ("mutant", "caught by", "as")


class WorkerPool:
    """Workers, each with an environment factory of its own; what is discovered is shared."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._own = threading.local()
        self._lock = threading.Lock()
        self._opened: list[EnvironmentFactory] = []
        self.find = cache(self._find)

    @property
    def factory(self) -> EnvironmentFactory:
        """The environment factory of this worker."""
        if not hasattr(self._own, "factory"):
            self._own.factory = EnvironmentFactory()
            self._opened.append(self._own.factory)
        factory: EnvironmentFactory = self._own.factory
        return factory

    def _find(self, variant: Variant) -> Clean:
        return discover(self.factory, variant)

    def discovered(self, variant: Variant) -> Clean:
        """A variant undisturbed, found by whichever worker comes first."""
        with self._lock:
            return self.find(variant)

    def perform(self, case: Case) -> CaseResult:
        """Judge a case, unless it was judged before, and say at once what is wrong."""
        known = self._journal.result(case)
        if known is not None:
            return known
        try:
            result = run_case(self.factory, self.discovered(case.variant), case)
            self._journal.write(result)  # a harness that broke has judged nothing
        except BROKEN as error:  # an hour's work must not be lost with one case
            result = CaseResult(case, violations=[f"the harness broke: {error!r:.200}"])
        for violation in result.violations[:3]:
            _print(f"{case}: {violation}")
        return result

    def catch(self, mutant: Mutant) -> tuple[str, str, str]:
        """Try the plant's trials until one catches it."""
        result = first_result_that_catches(self.factory, self.discovered, mutant)
        if result is None:
            return mutant.name, "NOT CAUGHT", ""
        return mutant.name, str(result.case), result.violations[0][:80]

    def close(self) -> None:
        """Close every environment factory."""
        for factory in self._opened:
            factory.close()


def _print(line: str) -> None:
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
    pool_of_workers = WorkerPool(journal)
    try:
        cases = list(programme(pool_of_workers.find, every_pair=asked.every_pair))
        found = {variant: len(pool_of_workers.find(variant).boundaries) for variant in VARIANTS}
        cases = [case for case in cases if asked.only in case.technique]
        if asked.sample:
            cases = sample(cases, asked.seed, asked.sample)
        random.Random(asked.seed).shuffle(cases)  # noqa: S311 - a seed, not a secret
        _print(f"{len(cases)} cases, seed {asked.seed}, {journal.left(cases)} to perform")
        with ThreadPoolExecutor(asked.workers) as pool:
            try:
                results = list(pool.map(pool_of_workers.perform, cases))
                caught = list(pool.map(pool_of_workers.catch, [] if asked.only else MUTANTS))
            except BaseException:
                pool.shutdown(cancel_futures=True)  # broken off: what is under way is ended
                raise
    finally:
        pool_of_workers.close()
    return _report(asked.json, results, caught, found, time.monotonic() - began)


def _report(
    file: Path | None,
    results: list[CaseResult],
    caught: list[tuple[str, str, str]],
    found: dict[Variant, int],
    seconds: float,
) -> int:
    rows = rows_of(results)
    broken = sum(row[4] for row in rows)
    missed = sum(by == "NOT CAUGHT" for _, by, _ in caught)
    if not small_disk.is_possible():
        sys.stdout.write(f"{NO_SMALL_DISK}\n\n")
    boundaries = ", ".join(f"{count} ({variant})" for variant, count in found.items())
    sys.stdout.write(f"{as_text(HEAD, rows)}\n\n")
    if caught:
        sys.stdout.write(f"{as_text(MUTANT_HEAD, caught)}\n\n")
    sys.stdout.write(
        f"boundaries found: {boundaries}\n{len(results)} cases, {broken} with violations, "
        f"{missed} of {len(caught)} mutants not caught, {seconds:.0f} s\n"
    )
    if file is not None:
        violations = {str(one.case): one.violations for one in results if one.violations}
        counts = {str(variant): count for variant, count in found.items()}
        write_json(
            file,
            boundaries=counts,
            table=[dict(zip(HEAD, row, strict=True)) for row in rows],
            mutants=[dict(zip(MUTANT_HEAD, row, strict=True)) for row in caught],
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
