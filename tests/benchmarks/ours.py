"""Run Person Sync in this process, and measure its steps from outside.

Modes: `plain` is a run without Prefect. `flow` is Prefect's flow, by the server in PREFECT_API_URL.
`now` syncs a few persons, one after the other; the first one is a warm-up.
"""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from pipelines import flows
from pipelines.orchestration import prefect_flows
from pipelines.settings import Settings
from pipelines.steps.context import new_run_request
from tests.benchmarks.stopwatch import Stopwatch
from tests.benchmarks.task import Task, task_of_this_process

NOW_COUNT = 21

CONFIG = """
[warehouse]
url = {warehouse_url}
[salesforce]
domain = "acme.my"
consumer_key = "bench-key"
consumer_secret = "bench-secret"
emulator_url = {org_url}
[owners]
default = "rules"
[[owners.choice]]
when = {{ country = ["DE", "AT", "CH"] }}
assign_to = "queue:Inbound"
[run]
poll_seconds = 0.05
"""


def config_of(task: Task) -> str:
    """Return the settings file of a task: two owner strategies, quick polls, and the defaults."""
    quoted = {name: json.dumps(getattr(task, name)) for name in ("warehouse_url", "org_url")}
    return CONFIG.format(**quoted)


def main() -> None:
    """Run the mode of the task once, and print what it cost."""
    task = task_of_this_process()
    watch = Stopwatch(task.is_profiling)
    settings = Settings.model_validate(tomllib.loads(config_of(task)))
    MODES[task.mode](task, settings, watch)


def _plain(_task: Task, settings: Settings, watch: Stopwatch) -> None:
    def run_step(step: Callable[..., Any], *arguments: Any) -> Any:
        with watch.measure(step.__name__):
            return step(*arguments)

    wall, cpu = time.perf_counter(), time.process_time()
    summary = flows.sync(settings, new_run_request("live"), run_step)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    run = summary["run"]
    counts = {name: run[name] for name in run if name.endswith("_count")}
    watch.print_report(run_wall_seconds=wall, run_cpu_seconds=cpu, **counts)


def _flow(task: Task, _settings: Settings, watch: Stopwatch) -> None:
    Path(task.config).write_text(config_of(task), encoding="utf-8")
    os.environ["PERSON_SYNC_CONFIG"] = task.config
    with watch.measure("flow"):
        summary = prefect_flows.run_by_server()
    watch.print_report(api_call_count=summary["run"]["api_call_count"])


def _now(task: Task, settings: Settings, watch: Stopwatch) -> None:
    """Measure a run per person, and the org's part of it, from request read to response sent."""
    runs = []
    for number in range(NOW_COUNT):
        busy, wall, cpu = _busy_seconds(task), time.perf_counter(), time.process_time()
        flows.sync_now(settings, [f"P{number:09}"])
        used = {
            "wall_seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
        }
        runs.append(used | {"org_seconds": _busy_seconds(task) - busy})
    watch.print_report(runs=runs)


def _busy_seconds(task: Task) -> float:
    statistics = requests.get(f"{task.org_url}/sink/statistics", timeout=30).json()
    return float(statistics["busy_seconds"])


MODES = {"plain": _plain, "flow": _flow, "now": _now}

if __name__ == "__main__":
    main()
