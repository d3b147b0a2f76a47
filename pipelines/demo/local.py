"""The demo: a whole sync on one machine, with everything left there to look at.

It starts the org emulator as a process of its own and fills a SQLite warehouse from `data/`. Then
it runs the real steps: in this process, or by the worker of its own Prefect server
(`prefect_server`). The emulator continues afterwards, so that the commands that the demo prints can
be tried. It stops by itself after half an hour without a request.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import RenderableType

from pipelines import flows
from pipelines.demo import closing as closing_words
from pipelines.demo.flow_run import FlowRun, PrefectServer
from pipelines.demo.org_emulator import start_emulator, stop_emulator
from pipelines.demo.sample_data import (
    DATA,
    fill_warehouse,
    invent_persons,
    read_persons,
    write_config,
)
from pipelines.errors import PermanentError, TransientError
from pipelines.run.connections import open_store
from pipelines.run.summaries import Summary, summarise
from pipelines.settings import FILE_NAME, Settings, load_settings
from pipelines.steps.context import new_run_request

log = logging.getLogger(__name__)

DATABASES = ("warehouse.db", "org.db")
OTHERS = (FILE_NAME, "emulator.log", "emulator.json")


@contextmanager
def finished_demo(
    folder: Path, person_count: int | None, server: PrefectServer | None = None
) -> Iterator[Summary]:
    """Run the demo; the block prints its summary.

    If anything ends the demo before the block is done, the org emulator is stopped too.
    """
    try:
        yield run_demo(folder, person_count, server)
    except BaseException:  # Ctrl-C too: the user does not know of the emulator yet
        stop_emulator(folder, waits=False)
        raise


def run_demo(
    folder: Path, person_count: int | None, server: PrefectServer | None = None
) -> Summary:
    """Make everything, run the flow once, and return its summary.

    An emulator of an earlier demo is stopped, and the demo's own files are made again. Other files
    in the folder stay as they are.
    """
    clean_start(folder)
    persons = read_persons(DATA / "persons.csv")
    if person_count is not None:
        invented = pd.DataFrame(invent_persons(persons, person_count), dtype="str")
        persons = invented.reindex(columns=persons.columns)
    fill_warehouse(folder / "warehouse.db", persons)
    log.info("warehouse: %s rows in %s", f"{len(persons):,}", folder / "warehouse.db")
    url = start_emulator(folder)
    write_config(folder, url)
    log.info("org emulator: %s", url)
    if server is not None:
        server.await_ready()
        flow_run = server.run_nightly()
        return {**summary_of(folder, flow_run.id), "prefect": _as_document(server, flow_run)}
    read_settings = partial(settings_of, folder)
    return flows.sync_without_prefect(read_settings(), new_run_request("live"), read_settings)


def summary_of(folder: Path, flow_run_id: str) -> Summary:
    """Return the summary of a flow run; `{"run": None}` if it never began."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(folder / "warehouse.db")) as db,
    ):
        select = "select run_id from sync_runs where flow_run_id = ?"
        for (run_id,) in db.execute(select, (flow_run_id,)):
            with open_store(settings_of(folder)) as warehouse:
                return summarise(warehouse, run_id)
    return {"run": None}


def _as_document(server: PrefectServer, flow_run: FlowRun) -> dict[str, Any]:
    return {
        "url": server.state.url,
        "flow_run_id": flow_run.id,
        "flow_run_url": flow_run.url,
        "flow_run_state": flow_run.state,
        "flow_run_message": flow_run.message,
        "logs": str(server.home),
    }


def clean_start(folder: Path) -> None:
    """Make the folder as if the demo had never run in it."""
    folder.mkdir(parents=True, exist_ok=True)
    stop_emulator(folder)
    for name in DATABASES:
        for suffix in ("", "-wal", "-shm"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    for name in OTHERS:
        (folder / name).unlink(missing_ok=True)


def settings_of(folder: Path) -> Settings:
    """Return the settings that the demo wrote.

    The environment is not read: it may name the user's real warehouse or org.
    """
    return load_settings(folder / FILE_NAME, {})


def closing_parts(folder: Path, summary: Summary) -> Iterator[RenderableType]:
    """Yield what the demo prints at its end."""
    return closing_words.closing_parts(folder, settings_of(folder), summary)


def failure_of(summary: Summary) -> tuple[str, int] | None:
    """Return the sentence and the exit code of a demo whose flow run did not complete."""
    if "prefect" not in summary or summary["prefect"]["flow_run_state"] == "COMPLETED":
        return None
    run = summary["prefect"]
    sentence = f"the run in Prefect has {run['flow_run_state'].lower()}: see {run['flow_run_url']}"
    is_lost = run["flow_run_state"] in ("CRASHED", "CANCELLED")
    return sentence, TransientError.exit_code if is_lost else PermanentError.exit_code
