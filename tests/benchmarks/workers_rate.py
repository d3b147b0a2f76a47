"""What several workers do for one run: 1, 2 and 4 threads and 2 processes of a Dask cluster.

    python -m tests.benchmarks.workers_rate [--persons N] [--databases sqlite postgres]

Each is the real flow beside a Prefect server, against the sink; wall and CPU are those of the whole
process and its children, start included, so read differences and not sums.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import children, crowds
from tests.benchmarks.children import Finished
from tests.benchmarks.ours import config_of
from tests.benchmarks.stores import STORES, Store
from tests.benchmarks.task import Task
from tests.prefect_server import Server, running_server

CREWS = [("threads", 1), ("threads", 2), ("threads", 4), ("dask", 2)]
RUN = (
    "from pipelines.orchestration import prefect_flows; import json; "
    "print(json.dumps(prefect_flows.run_by_server()['run']))"
)
LONGEST_SECONDS = 1800


def main() -> None:
    """Measure each crew once on each database, and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--persons", type=int, default=100_000)
    asked.add_argument("--databases", nargs="*", default=list(STORES), choices=list(STORES))
    choices = asked.parse_args()
    sys.stdout.write("database | workers | wall s | CPU s, ours | CPU s, database | API calls\n")
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        for name in choices.databases:
            store = STORES[name](Path(folder))
            store.prepare(choices.persons)
            for crew in CREWS:
                _measure(store, server, crew, choices.persons)
            store.close()


def _measure(store: Store, server: Server, crew: tuple[str, int], count: int) -> None:
    kind, many = crew
    before = store.server_cpu_seconds()
    with store.copy(count) as url, children.org("sink") as org, _config(url, org, count) as config:
        done = children.run(
            ["-c", RUN],
            limit_seconds=LONGEST_SECONDS,
            environment={
                **server.own,
                "PREFECT_LOGGING_LEVEL": "CRITICAL",
                "PERSON_SYNC_CONFIG": config.name,
                "PERSON_SYNC_RUN__WORKERS": str(many),
                "PERSON_SYNC_RUN__TASK_RUNNER": kind,
            },
        )
    _tell(store, f"{many} {kind}", done, store.server_cpu_seconds() - before, count)


def _config(url: str, org: str, count: int) -> tempfile._TemporaryFileWrapper[str]:
    file = tempfile.NamedTemporaryFile("w", suffix=".toml")  # noqa: SIM115 - its user closes it
    file.write(config_of(Task(url, org, count)))
    file.flush()
    os.fsync(file.fileno())
    return file


def _tell(store: Store, crew: str, done: Finished, server_cpu: float, count: int) -> None:
    run = done.document
    assert run["created_count"] == crowds.lead_count(count), run
    cells = [
        *(store.name, crew, f"{done.process_seconds:.1f}", f"{done.cpu_seconds:.1f}"),
        *(f"{server_cpu:.1f}", str(run["api_call_count"])),
    ]
    sys.stdout.write(" | ".join(cells) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
