"""What the demo prints at its end: the run, what Salesforce holds, and which commands to try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType

from pipelines.demo.org_emulator import IDLE_SECONDS
from pipelines.demo.server_state import HOME
from pipelines.process.terminal import unbroken
from pipelines.run.connections import log_in_to
from pipelines.run.summaries import Summary
from pipelines.run.summary_lines import summary_parts, titled
from pipelines.salesforce.lead_owners import count_leads_by_owner
from pipelines.settings import FILE_NAME, Settings


def closing_parts(folder: Path, settings: Settings, summary: Summary) -> Iterator[RenderableType]:
    """Yield the summary, how many leads each owner has, and the commands to try next.

    `settings` are the demo's: the org emulator must still run.
    """
    with log_in_to(settings.salesforce) as org:
        held = count_leads_by_owner(org)
    config = f"--config {folder / FILE_NAME}"
    yield from summary_parts(summary)
    yield from _prefect_parts(folder, summary)
    yield from titled("Salesforce now holds, by owner")
    for one in held.itertuples():
        yield f"  {one.owner_name} ({one.owner_type}): {one.lead_count}"
    yield from titled("look further")
    for command in ("status", "run", "now P0001"):
        yield unbroken(f"  .venv/bin/person-sync {command} {config}")
    yield f"(the org emulator still runs at {settings.salesforce.emulator_url}"
    yield f"and stops by itself after {IDLE_SECONDS // 60} idle minutes)"


def _prefect_parts(folder: Path, summary: Summary) -> Iterator[RenderableType]:
    if "prefect" not in summary:
        return
    yield from titled("this run in Prefect")
    yield unbroken(f"  {summary['prefect']['flow_run_url']}")
    yield "its schedules, and the runs to come"
    yield unbroken(f"  {summary['prefect']['url']}/v2/deployments")
    yield f"(server and worker log to {folder / HOME}/*.log and stop by themselves"
    yield f"after {IDLE_SECONDS // 60} minutes without use; a page left open is use)"
