"""The demo: a whole sync on one machine, with everything left there to look at.

Starts the org emulator as a process of its own, fills a SQLite warehouse from `data/`, and runs the
real steps: in this process, or by the worker of a Prefect server of the demo's own
(`demo_prefect`). The emulator goes on afterwards, so that the commands it prints can be tried, and
stops by itself when nobody asks it anything for half an hour.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import requests
import sqlalchemy

from pipelines import flows
from pipelines.demo.flow_run import HOME, FlowRun, PrefectServer
from pipelines.errors import ConfigurationError, OrgUnavailableError, PermanentError, TransientError
from pipelines.run.connections import log_in_to, open_store
from pipelines.run.summaries import Summary, as_lines, summarise
from pipelines.salesforce.lead_owners import count_leads_by_owner
from pipelines.settings import FILE_NAME, Settings, load_settings
from pipelines.steps.context import new_run_request

log = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[1]
# A wheel carries it inside the package; in the project it stands beside.
DATA = next(f / "data" for f in (_PACKAGE, _PACKAGE.parent) if (f / "data").is_dir())
DATABASES = ("warehouse.db", "org.db")
OTHERS = (FILE_NAME, "emulator.log", "emulator.json")
IDLE_SECONDS = 1800
START_SECONDS = 30

CONFIG = """\
# Written by `person-sync demo`. Relative paths are relative to this file.
[warehouse]
url = "sqlite:///warehouse.db"

[salesforce]
login = "client_credentials"
domain = "acme.my"
consumer_key = "demo-key"
consumer_secret = "demo-secret"          # the emulator's; a real one belongs in the environment
emulator_url = "{url}"

[run]
poll_seconds = 0.1                       # the emulator is quicker than an org
allowed_reject_share = 0.25              # a fifth of the sample is rejected on purpose

{owners}"""


@contextmanager
def playing(
    folder: Path, person_count: int | None, server: PrefectServer | None = None
) -> Iterator[Summary]:
    """Run the demo and hold it until the caller has printed what happened.

    Whatever ends it before that, ends the org emulator too.
    """
    try:
        yield play(folder, person_count, server)
    except BaseException:  # Ctrl-C too: nobody was told of the emulator yet
        stop_emulator(folder, waits=False)
        raise


def play(folder: Path, person_count: int | None, server: PrefectServer | None = None) -> Summary:
    """Make everything, run the flow once, and return its summary.

    Starts clean: an emulator of an earlier demo is stopped and the demo's own files are made again;
    other files in the folder are left alone.
    """
    clean_start(folder)
    persons = _read_persons(DATA / "persons.csv")
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
    """Return what the warehouse tells of a flow run; of a run that never began, nothing."""
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(folder / "warehouse.db")) as db,
    ):
        asked = "select run_id from sync_runs where flow_run_id = ?"
        for (run_id,) in db.execute(asked, (flow_run_id,)):
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

    The environment is left out: it may name the real warehouse or org of whoever tries the demo.
    """
    return load_settings(folder / FILE_NAME, {})


def _read_persons(path: Path) -> pd.DataFrame:
    # Text as text: "None", "NA" and "007" are names and numbers of persons, not of pandas.
    return pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""], na_filter=True)


def fill_warehouse(path: Path, persons: pd.DataFrame) -> None:
    """Make the persons table of the contract's default columns and put the persons in."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    texts = {name: sqlalchemy.Text() for name in persons.columns}
    with engine.begin() as connection:
        persons.to_sql("persons", connection, index=False, dtype=texts, chunksize=10_000)
    engine.dispose()


def invent_persons(sample: pd.DataFrame, count: int) -> Iterator[dict[str, str | None]]:
    """So many persons mixed from the sample's names: 3 in 100 invalid, 4 in 100 twice."""
    dice = random.Random(1)  # noqa: S311 - a demo, not a secret; the same persons every time
    pools = {name: list(sample[name].dropna()) for name in ("first_name", "last_name", "company")}
    places = list(sample[["city", "country"]].dropna().itertuples(index=False))
    for number in range(1, count + 1):
        person: dict[str, str | None] = {name: dice.choice(pool) for name, pool in pools.items()}
        person["city"], person["country"] = dice.choice(places)
        again = number > 1 and dice.random() < 0.04
        person["email"] = f"person{number - 1 if again else number}@invented.example"
        if dice.random() < 0.03:
            person[dice.choice(("company", "last_name"))] = None
        person["company"] = person["company"] and person["company"][:200]
        person["last_name"] = person["last_name"] and person["last_name"][:60]
        yield {
            "person_id": f"N{number:07d}",
            **person,
            "created_at": "2026-11-20 08:00:00",
            "updated_at": "2026-11-20 08:00:00",
        }


def start_emulator(folder: Path) -> str:
    """Start the org emulator on a free port, going on after us; answers its address."""
    command = [sys.executable, "-m", "pipelines.emulator.server", "--port", "0"]
    command += ["--org", str(DATA / "org.toml"), "--store", str(folder / "org.db")]
    command += ["--idle-stop", str(IDLE_SECONDS)]
    log = folder / "emulator.log"
    with log.open("wb") as sink:
        # Its own session and no pipe of ours: a closed terminal does not take it along, and a
        # reader of our output does not wait for it.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, start_new_session=True
        )
    url = _await_address(process, log)
    (folder / "emulator.json").write_text(json.dumps({"pid": process.pid, "url": url}))
    return url


def _await_address(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up_at = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up_at:
        words = log.read_text(encoding="utf-8", errors="replace")
        for line in words.splitlines():
            if line.startswith("org emulator on "):
                return line.removeprefix("org emulator on ").strip()
        if process.poll() is not None:
            raise ConfigurationError(f"the org emulator did not start: {words.strip()[-500:]}")
        time.sleep(0.05)
    process.terminate()
    raise OrgUnavailableError(
        f"the org emulator did not start within {START_SECONDS} seconds: see {log}"
    )


def stop_emulator(folder: Path, *, waits: bool = True) -> None:
    """Stop the emulator a demo left in this folder, if it is still ours and running."""
    note = folder / "emulator.json"
    if not note.is_file():
        return
    known = json.loads(note.read_text())
    if not (_answers_as_emulator(known["url"]) and _is_emulator(known["pid"])):
        return  # it has stopped by itself, and its number may be another process's by now
    with suppress(ProcessLookupError):
        os.kill(known["pid"], signal.SIGTERM)
    give_up_at = time.monotonic() + START_SECONDS if waits else 0.0
    while _answers_as_emulator(known["url"]) and time.monotonic() < give_up_at:
        time.sleep(0.05)


def _answers_as_emulator(url: str) -> bool:
    try:
        answer = requests.get(f"{url}/emulator/requests", timeout=2)
    except requests.RequestException:
        return False
    return answer.ok


def _is_emulator(pid: int) -> bool:
    words = Path(f"/proc/{pid}/cmdline")
    # Without /proc the address that answers is all there is to go by.
    return not Path("/proc").is_dir() or (
        words.is_file() and b"pipelines.emulator.server" in words.read_bytes()
    )


def write_config(folder: Path, url: str) -> None:
    """Write the demo's settings file."""
    owners = (DATA / "owner-choices.toml").read_text(encoding="utf-8")
    (folder / FILE_NAME).write_text(CONFIG.format(url=url, owners=owners), encoding="utf-8")


def closing_words(folder: Path, told: Summary) -> list[str]:
    """What happened, what Salesforce holds now, and where to look further."""
    with log_in_to(settings_of(folder).salesforce) as org:
        held = count_leads_by_owner(org)
    config = f"--config {folder / FILE_NAME}"
    owners = [
        f"  {one.owner_name} ({one.owner_type}): {one.lead_count}" for one in held.itertuples()
    ]
    return [
        *as_lines(told),
        *_prefect_words(folder, told),
        "",
        "Salesforce now holds, by owner",
        *owners,
        "",
        "look further",
        f"  .venv/bin/person-sync status {config}",
        f"  .venv/bin/person-sync run {config}",
        f"  .venv/bin/person-sync now P0001 {config}",
        f"(the org emulator goes on at {settings_of(folder).salesforce.emulator_url}",
        f"and stops by itself after {IDLE_SECONDS // 60} idle minutes)",
    ]


def _prefect_words(folder: Path, told: Summary) -> list[str]:
    if "prefect" not in told:
        return []
    return [
        "",
        "this run in Prefect",
        f"  {told['prefect']['flow_run_url']}",
        "its schedules, and the runs to come",
        f"  {told['prefect']['url']}/v2/deployments",
        f"(server and worker log to {folder / HOME}/*.log and stop by themselves",
        f"after {IDLE_SECONDS // 60} minutes without use; a page left open is use)",
    ]


def failure_of(told: Summary) -> tuple[str, int] | None:
    """Return the sentence and the exit code of a demo whose flow run did not complete."""
    if "prefect" not in told or told["prefect"]["flow_run_state"] == "COMPLETED":
        return None
    run = told["prefect"]
    sentence = f"the run in Prefect has {run['flow_run_state'].lower()}: see {run['flow_run_url']}"
    is_lost = run["flow_run_state"] in ("CRASHED", "CANCELLED")
    return sentence, TransientError.exit_code if is_lost else PermanentError.exit_code
