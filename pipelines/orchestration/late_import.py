"""Import Prefect only where a command needs it: importing it takes a second."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Final

import click

from pipelines.orchestration.server_address import may_name_a_server

# Set before Prefect is imported: `person-sync` shows no banner and sends no telemetry.
_QUIET: Final = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    # A server that went away during a run: retry for 30 s, not for 200.
    "PREFECT_CLIENT_MAX_RETRIES": "2",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # No command starts a server of its own: it took 8 CPU seconds, died with Ctrl-C, and outlived
    # a killed command.
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_CLI_COLORS": "false",
    "DO_NOT_TRACK": "1",
    "DASK_LOGGING__DISTRIBUTED": "error",
}


def reachable_prefect(config: Path | None) -> Any:
    """Return the module `prefect_flows` if a Prefect server is named and responds, else None.

    For None, a line on stderr says why. The flow reads the settings again, from the file that
    PERSON_SYNC_CONFIG names: flow parameters are stored in plain text, so settings are none.
    """
    if not may_name_a_server(os.environ, Path.cwd()):
        click.echo("without Prefect: no server is named (PREFECT_API_URL or a profile)", err=True)
        return None
    prefect_flows = import_prefect_flows()
    reason = prefect_flows.why_without_server()
    if reason is not None:
        click.echo(f"without Prefect: {reason}", err=True)
        return None
    if config is not None:
        os.environ["PERSON_SYNC_CONFIG"] = str(config.resolve())
    return prefect_flows


def read_block(name: str) -> str:
    """Return the text of a Prefect Secret block."""
    return str(import_prefect_flows().read_block(name))


def import_prefect_flows() -> Any:
    """Return the module `prefect_flows`, with Prefect's own messages switched off."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # These are no children of Prefect's loggers: on a busy machine they logged, after the last line
    # of ours, how many of their items were left.
    for worker in ("EventsWorker", "APILogWorker"):
        logging.getLogger(worker).setLevel(logging.ERROR)
    from pipelines.orchestration import prefect_flows

    return prefect_flows
