"""The command `person-sync`: results on stdout, progress on stderr, and exit codes that are true.

    0     done
    1     done, but more than the allowed share was rejected, or a person is held
    2     the settings or arguments are wrong
    3     transient trouble: run again
    4     a human must look
    70    an unexpected error, ours
    130   interrupted by Ctrl-C
    143   terminated

Each command imports only what it needs: `status` takes half a second, without pandas and Prefect.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.process import ending, interruption
from pipelines.process.command_group import ErrorReportingGroup, common_options
from pipelines.rules.owner_strategies import FORMS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipelines.run.summaries import Summary
    from pipelines.settings import Settings


@click.group(cls=ErrorReportingGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="person-sync")
def main() -> None:
    """Turn new persons of a SQL warehouse into Salesforce Leads, each exactly once."""
    from pipelines.process import logs

    progress = logs.set_levels()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ending.OneLineFormatter())
    progress.addHandler(handler)
    progress.propagate = False


@main.command()
@common_options
def migrate(config: Path | None, as_json: bool) -> None:
    """Create or upgrade the result tables and views."""
    from pipelines.run import connections, lifecycle

    settings = _settings(config)
    with connections.open_store(settings, create=True) as warehouse:
        applied = lifecycle.migrate(settings, warehouse)
    lines = [f"applied {name}" for name in applied] or ["already up to date"]
    _print(as_json, {"applied": applied}, lines)


@main.command()
@common_options
def check(config: Path | None, as_json: bool) -> None:
    """Check whether a run could start. Nothing is written.

    Each check prints one line. The exit code is that of the gravest mistake, 0 if there is none.
    """
    from pipelines.run import checks, summary_lines

    results = checks.check(_settings(config))
    lines = summary_lines.check_parts((one.is_ok, one.subject, one.message) for one in results)
    _print(as_json, {"checks": [vars(one) for one in results]}, lines)
    sys.exit(max((one.exit_code for one in results), default=0))


@main.command()
@click.option(
    "--owner", metavar="STRATEGY", help=f"The default owner strategy of this run: {FORMS}."
)
@click.option(
    "--person-id",
    "person_ids",
    multiple=True,
    metavar="ID",
    help="Sync only this person. May be given several times.",
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Sync at most this many persons."
)
@click.option("--plan", is_flag=True, help="Decide about every person, and send nothing.")
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, 64),
    help="Share the run among this many workers. Default: the setting run.workers.",
)
@common_options
def run(
    owner: str | None,
    person_ids: tuple[str, ...],
    limit: int | None,
    plan: bool,
    workers: int | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Sync new persons.

    If a Prefect server is named and responds, the run is a flow run there.
    """
    from pipelines.orchestration.late_import import reachable_prefect

    settings = _settings(config)
    prefect_flows = reachable_prefect(config)
    if prefect_flows is not None:
        summary = prefect_flows.run_by_server(
            owner=owner,
            person_ids=list(person_ids) or None,
            limit=limit,
            plan=plan,
            workers=workers,
        )
    else:
        from pipelines import flows
        from pipelines.steps.context import new_run_request

        request = new_run_request(
            "plan" if plan else "live",
            owner=owner,
            person_ids=person_ids or None,
            limit=limit,
            workers=workers,
        )
        summary = flows.sync_without_prefect(settings, request, partial(_settings, config))
    _print_summary(summary, settings, as_json)


@main.command()
@click.argument("person_ids", nargs=-1, required=True, metavar="ID...")
@common_options
def now(person_ids: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Sync these persons immediately, and print the outcome of each."""
    from pipelines import flows
    from pipelines.run import summaries, summary_lines

    settings = _settings(config)
    summary = flows.sync_now(settings, person_ids)
    _print(as_json, summary, summary_lines.person_parts(summary))
    sys.exit(summaries.exit_code(summary, settings.run.allowed_reject_share))


@main.command()
@click.option(
    "--accept-unknown-jobs",
    is_flag=True,
    help="Record the org's jobs that the ledger does not know. They no longer stop a run.",
)
@common_options
def resume(accept_unknown_jobs: bool, config: Path | None, as_json: bool) -> None:
    """Complete open batches, without reading new persons."""
    from pipelines import flows

    settings = _settings(config)
    summary = flows.resume(settings, accept_unknown_jobs=accept_unknown_jobs)
    _print_summary(summary, settings, as_json)


@main.command()
@click.argument("person_id", metavar="PERSON_ID")
@click.option(
    "--as",
    "decision",
    required=True,
    metavar="created:LEAD_ID|resend|rejected",
    help="The lead exists, the next run sends the person again, or there is to be no lead.",
)
@click.option("--note", metavar="TEXT", help="Why. The note is recorded with the decision.")
@click.option("--by", metavar="NAME", help="Who decides. Default: the user of this machine.")
@common_options
def resolve(
    person_id: str,
    decision: str,
    note: str | None,
    by: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Record a decision on a held person."""
    from pipelines.run.resolve import as_line, parse_resolution, resolve_person

    request = parse_resolution(person_id, decision, by=by, note=note)
    recorded = resolve_person(_settings(config), request)
    _print(as_json, recorded, [as_line(recorded)])


@main.command()
@click.argument("run_id", required=False)
@common_options
def status(run_id: str | None, config: Path | None, as_json: bool) -> None:
    """Show the last run, or RUN_ID, and what is still open.

    Held persons are listed with the commands that decide on them.
    """
    from pipelines.run import connections, summaries, summary_lines

    with connections.open_store(_settings(config)) as warehouse:
        summary = summaries.summarise(warehouse, run_id)
    _print(as_json, summary, summary_lines.status_parts(summary, config))


@main.command()
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(0, 65535),
    default=8642,
    show_default=True,
    help="Listen on this port of loopback. 0 takes a free one.",
)
@click.option(
    "--org",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Start with what this TOML file describes: users, queues, rules, leads.",
)
@click.option(
    "--store",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Keep the state in this SQLite file. Default: in memory.",
)
@click.option(
    "--idle-stop", type=float, metavar="SECONDS", help="Stop after this time without a request."
)
@click.option("--tls", is_flag=True, help="Serve https with a self-signed certificate.")
@click.option(
    "--tls-certificate",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the certificate's PEM here, for clients to trust. Implies --tls.",
)
@common_options
def emulator(
    port: int,
    org: Path | None,
    store: Path | None,
    idle_stop: float | None,
    tls: bool,
    tls_certificate: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Serve the org emulator on loopback."""
    del config, as_json  # every command takes them; the emulator has no settings of ours
    command = [sys.executable, "-m", "pipelines.emulator", "--port", str(port)]
    command += ["--tls"] if tls else []
    given = {
        "--org": org,
        "--store": store,
        "--idle-stop": idle_stop,
        "--tls-certificate": tls_certificate,
    }
    for option, value in given.items():
        if value is not None:
            command += [option, str(value)]
    # It replaces this process: the emulator imports nothing of ours, and we nothing of it.
    interruption.hold_for_next_program()
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell


@main.command()
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="Put everything in this folder.",
)
@click.option(
    "--persons",
    metavar="N",
    type=click.IntRange(min=1),
    help="Make this many persons, in place of the sample.",
)
@click.option(
    "--prefect", is_flag=True, help="Run it by a Prefect server and worker of the demo's own."
)
@common_options
def demo(
    folder: Path, persons: int | None, prefect: bool, config: Path | None, as_json: bool
) -> None:
    """Try a whole sync on this machine.

    It starts the org emulator, fills a SQLite warehouse, and syncs its persons.
    """
    del config  # the demo writes its own
    takes = " (the first time Prefect takes half a minute)" if prefect else ""
    click.echo(f"Person Sync demo in {folder}/{takes}", err=True)
    from pipelines.demo.folder import exclusive_demo

    with exclusive_demo(folder, with_server=prefect) as server:
        # Imported late: pandas takes a second, in which the server starts.
        from pipelines.demo import local

        with local.finished_demo(folder, persons, server) as summary:
            _print(as_json, summary, local.closing_parts(folder, summary))
    failure = local.failure_of(summary)
    if failure is not None:
        click.echo(f"person-sync: {failure[0]}", err=True)
        sys.exit(failure[1])


def _settings(config: Path | None) -> Settings:
    """Return the settings; a `block:` in them is read from Prefect."""
    from pipelines.orchestration.late_import import read_block
    from pipelines.settings import load_settings

    return load_settings(config, read_block=read_block)


def _print_summary(summary: Summary, settings: Settings, as_json: bool) -> None:
    from pipelines.run import summaries, summary_lines

    _print(as_json, summary, summary_lines.summary_parts(summary))
    sys.exit(summaries.exit_code(summary, settings.run.allowed_reject_share))


def _print(as_json: bool, document: dict[str, Any], parts: Iterable[RenderableType]) -> None:
    """Print the document as JSON, or the parts: texts and tables."""
    if as_json:
        click.echo(json.dumps(document, default=str, ensure_ascii=False))
        return
    from pipelines.process import terminal

    terminal.print_parts(parts)
