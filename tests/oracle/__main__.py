"""`make test-oracle`: sync a million persons, and compare each result with the reference.

    python -m tests.oracle [--persons N] [--engine E] [--setup NAME] [--seed N]
                           [--edge-case-share S]

Of a hundred persons three are invalid and four are known: two to the persons, two to the org. The
emulator is the org and runs its assignment rules. Exit with 1 if a result differs from the
reference. Print the first twenty differences, with person ids only.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
import sqlalchemy

from pipelines import flows
from pipelines.settings import Settings
from pipelines.steps.context import new_run_request
from tests.conftest import _prepare
from tests.crash.environments import Databases
from tests.emulator_process import running_emulator
from tests.oracle.compare import create_engine, differences, fill
from tests.oracle.org import Org, draw_org
from tests.oracle.persons import Persons
from tests.oracle.setups import SETUPS, Setup

SHOWN = 20
COUNTS = "select outcome, count(*) as persons from person_outcomes group by outcome order by 1"


def main(arguments: Sequence[str]) -> int:
    """Fill the warehouse, run, compare, and print how long each took."""
    logging.disable(logging.WARNING)
    options = _parser().parse_args(arguments)
    (setup,) = (one for one in SETUPS if one.name == options.setup)
    persons = Persons(
        options.seed,
        options.persons,
        options.edge_case_share,
        repeated_email_share=0.025,
        known_every=40,
    )
    org = draw_org(random.Random(options.seed), persons.known(), has_field=setup.has_field)  # noqa: S311
    with _scenario(options.engine, org) as (warehouse_url, org_url):
        engine = create_engine(warehouse_url)
        with _timed("filling the warehouse"):
            fill(engine, persons.rows())
        with _timed("the run"):
            _sync(warehouse_url, org_url, setup)
        with engine.connect() as connection:
            for outcome, count in connection.execute(sqlalchemy.text(COUNTS)):
                _print(f"  {outcome}: {count:,} ({count / options.persons:.1%})")
        with _timed("the reference"), engine.connect() as connection:
            count = 0
            for count, line in enumerate(differences(connection, org, setup.reference), start=1):
                if count <= SHOWN:
                    _print(line)
        engine.dispose()
    _print(f"{options.persons:,} persons on {options.engine}, {setup.name}: {count} differences")
    return 1 if count else 0


@contextmanager
def _scenario(engine: str, org: Org) -> Iterator[tuple[str, str]]:
    """Yield the addresses of a migrated warehouse without persons, and of the org."""
    with running_emulator() as emulator, tempfile.TemporaryDirectory() as folder:
        with _timed("filling the org"):
            data = org.as_file().encode()
            response = requests.post(f"{emulator.url}/emulator/reset", data=data, timeout=900)
            response.raise_for_status()
        databases = Databases()
        try:
            url = f"sqlite:///{Path(folder) / 'warehouse.db'}"
            if engine == "postgres":
                url = databases.server().address(databases.server().fresh())
            _prepare(url)
            yield url, emulator.url
        finally:
            databases.close()


def _sync(warehouse_url: str, org_url: str, setup: Setup) -> None:
    org = {"domain": "acme.my", "consumer_key": "test-key", "consumer_secret": "test-secret"}
    values = {**setup.settings, "warehouse": {"url": warehouse_url}, "run": {"poll_seconds": 0.2}}
    values["matching"] = setup.matching  # and the default lookup: the cheapest for this many
    values["salesforce"] = {**setup.settings["salesforce"], **org, "emulator_url": org_url}
    flows.sync(Settings.model_validate(values), new_run_request("live"), flows.call_step)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    wall, cpu = time.monotonic(), time.process_time()
    yield
    cpu_seconds = time.process_time() - cpu
    _print(f"{what}: {time.monotonic() - wall:.1f} s (CPU of this process {cpu_seconds:.1f} s)")


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle")
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    names = [one.name for one in SETUPS if one.workers == 1]
    parser.add_argument("--setup", choices=names, default=names[0])
    parser.add_argument("--seed", type=int, default=20260731)
    help_text = "persons with unusual values; three in five of them are invalid"
    parser.add_argument("--edge-case-share", type=float, default=0.05, help=help_text)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
