"""Measure a run with several workers: 1, 2 and 4 threads and 2 processes of a Dask cluster.

    python -m tests.benchmarks.workers_rate [--persons N] [--databases sqlite postgresql]

Each is the real flow with a Prefect server and the sink. Wall and CPU seconds are of the whole
process and its children, start included. So compare the rows with each other.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import population, processes
from tests.benchmarks.ours import config_of
from tests.benchmarks.processes import ProcessResult
from tests.benchmarks.stores import STORES, Store
from tests.benchmarks.task import Task
from tests.prefect_server import Server, running_server

WORKERS = [("threads", 1), ("threads", 2), ("threads", 4), ("dask", 2)]
RUN = (
    "from pipelines.orchestration import prefect_flows; import json; "
    "print(json.dumps(prefect_flows.run_by_server()['run']))"
)
LONGEST_SECONDS = 1800


def main() -> None:
    """Measure each number of workers once on each database, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--databases", nargs="*", default=list(STORES), choices=list(STORES))
    options = parser.parse_args()
    sys.stdout.write("database | workers | wall s | CPU s, ours | CPU s, database | API calls\n")
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        for name in options.databases:
            store = STORES[name](Path(folder))
            store.prepare(options.persons)
            for task_runner, worker_count in WORKERS:
                _measure(store, server, task_runner, worker_count, options.persons)
            store.close()


def _measure(
    store: Store, server: Server, task_runner: str, worker_count: int, person_count: int
) -> None:
    before = store.server_cpu_seconds()
    with (
        store.copy(person_count) as url,
        processes.org("sink") as org,
        _config(url, org, person_count) as config,
    ):
        result = processes.run(
            ["-c", RUN],
            limit_seconds=LONGEST_SECONDS,
            environment={
                **server.own,
                "PREFECT_LOGGING_LEVEL": "CRITICAL",
                "PERSON_SYNC_CONFIG": config.name,
                "PERSON_SYNC_RUN__WORKERS": str(worker_count),
                "PERSON_SYNC_RUN__TASK_RUNNER": task_runner,
            },
        )
    assert result.document["created_count"] == population.lead_count(person_count), result.output
    workers = f"{worker_count} {task_runner}"
    _print_row(store, workers, result, store.server_cpu_seconds() - before)


def _config(url: str, org: str, count: int) -> tempfile._TemporaryFileWrapper[str]:
    file = tempfile.NamedTemporaryFile("w", suffix=".toml")  # noqa: SIM115 - its user closes it
    file.write(config_of(Task(url, org, count)))
    file.flush()
    os.fsync(file.fileno())
    return file


def _print_row(store: Store, workers: str, result: ProcessResult, server_cpu: float) -> None:
    cells = [
        *(store.name, workers, f"{result.process_seconds:.1f}", f"{result.cpu_seconds:.1f}"),
        *(f"{server_cpu:.1f}", str(result.document["api_call_count"])),
    ]
    sys.stdout.write(" | ".join(cells) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
