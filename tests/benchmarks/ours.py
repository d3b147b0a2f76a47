"""Person Sync itself, as a process of its own: the real story, its steps timed from outside.

Modes: `plain` without Prefect, `flow` as Prefect's flow by the server that PREFECT_API_URL names,
`now` a few persons one after the other, the first to warm up, `idle` once more with nobody new.
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
    """The settings file of a task: two strategies, all else as it comes, but for the polling."""
    quoted = {name: json.dumps(getattr(task, name)) for name in ("warehouse_url", "org_url")}
    return CONFIG.format(**quoted)


def main() -> None:
    """Tell the story once and say what it cost."""
    task = task_of_this_process()
    watch = Stopwatch(task.is_profiling)
    settings = Settings.model_validate(tomllib.loads(config_of(task)))
    MODES[task.mode](task, settings, watch)


def _tell_plainly(_task: Task, settings: Settings, watch: Stopwatch) -> None:
    def perform(step: Callable[..., Any], *arguments: Any) -> Any:
        with watch.measure(step.__name__):
            return step(*arguments)

    wall, cpu = time.perf_counter(), time.process_time()
    summary = flows.sync(settings, new_run_request("live"), perform)
    whole = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    run = summary["run"]
    watch.tell(
        **{f"story_{name}": seconds for name, seconds in whole.items()},
        **{name: run[name] for name in run if name.endswith("_count")},
    )


def _flow(task: Task, _settings: Settings, watch: Stopwatch) -> None:
    Path(task.config).write_text(config_of(task), encoding="utf-8")
    os.environ["PERSON_SYNC_CONFIG"] = task.config
    with watch.measure("flow"):
        summary = prefect_flows.run_by_server()
    watch.tell(api_call_count=summary["run"]["api_call_count"])


def _now(task: Task, settings: Settings, watch: Stopwatch) -> None:
    """Each person by itself: wall, and what of it the org took from request read to answer sent."""
    turns = []
    for number in range(NOW_COUNT):
        busy, wall, cpu = _busy_seconds(task), time.perf_counter(), time.process_time()
        flows.sync_now(settings, [f"P{number:09}"])
        used = {
            "wall_seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
        }
        turns.append(used | {"org_seconds": _busy_seconds(task) - busy})
    watch.tell(turns=turns)


def _busy_seconds(task: Task) -> float:
    told = requests.get(f"{task.org_url}/sink/told", timeout=30).json()
    return float(told["busy_seconds"])


MODES = {"plain": _tell_plainly, "idle": _tell_plainly, "flow": _flow, "now": _now}

if __name__ == "__main__":
    main()
