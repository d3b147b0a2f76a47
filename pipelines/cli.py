"""The command `person-sync`: answers on stdout, progress on stderr, and exit codes that are true.

0 done · 1 done, but more than the allowed share was rejected or somebody is held · 2 the settings
or arguments are wrong · 3 transient trouble: run again · 4 a human must look · 70 an unexpected
error, ours · 130 interrupted by Ctrl-C · 143 terminated.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from pipelines.errors import SyncError
from pipelines.process import ending, interruption

WRONG_ARGUMENTS = 2

# Said before Prefect is imported: its banner and its telemetry are nobody's business here.
PREFECT_QUIET = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    # A server that went away in the middle of a run: 30 s of trying to tell it, not 200.
    "PREFECT_CLIENT_MAX_RETRIES": "2",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # No command starts a server of its own: it took 8 CPU seconds, died with Ctrl-C, and outlived
    # a killed command.
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    "PREFECT_CLI_COLORS": "false",
    "DO_NOT_TRACK": "1",
    "DASK_LOGGING__DISTRIBUTED": "error",
}


class Front(click.Group):
    """Turns what can go wrong into one sentence and an exit code.

    Errors that nobody expected, signals and the streams are `ending`'s.
    """

    def main(self, *arguments: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command. Return its exit code, or end the process with it (standalone)."""
        if standalone_mode:
            ending.end_process(partial(self.main, *arguments, standalone_mode=False, **extra))
        run: Callable[..., Any] = super().main
        try:
            returned = run(*arguments, standalone_mode=False, **extra)
        except SyncError as error:
            ending.print_json_error(
                type(error).__name__, str(error), is_transient=error.is_transient
            )
            ending.print_problem(str(error))
            ending.print_debug(error)
            return error.exit_code
        except click.ClickException as error:
            ending.print_json_error("UsageError", error.format_message(), is_transient=False)
            error.show()
            return WRONG_ARGUMENTS
        return returned if isinstance(returned, int) else 0

    def invoke(self, context: click.Context) -> Any:
        """Refuse to start in a folder that was deleted: no path could be told from there."""
        try:
            Path.cwd()
        except OSError:
            raise click.UsageError("the current folder is gone: change into another one") from None
        return super().invoke(context)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command takes, and refuse texts that are none."""

    @wraps(command)
    def checked(**given: Any) -> Any:
        return command(**{name: _as_text(name, value) for name, value in given.items()})

    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="The settings file (else PERSON_SYNC_CONFIG, else ./person-sync.toml).",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,  # `ending` looks at the arguments: they may not even be readable
        help="Where an error came from, on stderr: files and lines, no data.",
    )
    return config(as_json(debug(checked)))


def _as_text(name: str, value: Any) -> Any:
    """Return the value with its texts read as UTF-8. Raise UsageError where they are not.

    Python keeps a byte that the locale does not know as a lone surrogate, which no database takes.
    """
    if isinstance(value, tuple):
        return tuple(_as_text(name, one) for one in value)
    if not isinstance(value, str) or not any("\ud800" <= sign <= "\udfff" for sign in value):
        return value
    try:
        return os.fsencode(value).decode("utf-8")
    except UnicodeError:
        raise click.UsageError(f"{name.rstrip('s')}: {value!a} is no text in UTF-8") from None


@click.group(cls=Front, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="person-sync")
def main() -> None:
    """New persons in a SQL warehouse become Salesforce Leads, each accounted for exactly once."""
    from pipelines.process import logs

    progress = logs.set_levels()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ending.OneLineFormatter())
    progress.addHandler(handler)
    progress.propagate = False


@main.command()
@settings_options
def migrate(config: Path | None, as_json: bool) -> None:
    """Create or upgrade the result tables and views."""
    from pipelines.run import connections, lifecycle

    settings = _settings(config)
    with connections.open_store(settings, create=True) as warehouse:
        applied = lifecycle.migrate(settings, warehouse)
    words = [f"applied {name}" for name in applied] or ["already up to date"]
    _answer(as_json, {"applied": applied}, words)


@main.command()
@settings_options
def check(config: Path | None, as_json: bool) -> None:
    """Look whether a run could start; write nothing."""
    from pipelines.run import checks

    results = checks.check(_settings(config))
    lines = [f"{'ok  ' if one.is_ok else 'WRONG'} {one.subject}: {one.message}" for one in results]
    _answer(as_json, {"checks": [vars(one) for one in results]}, lines)
    sys.exit(max((one.exit_code for one in results), default=0))


@main.command()
@click.option("--owner", metavar="S", help="The default owner strategy of this run.")
@click.option("--person-id", "person_ids", multiple=True, metavar="ID", help="Only this person.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many persons.")
@click.option("--plan", is_flag=True, help="Decide everything, row by row, and send nothing.")
@click.option(
    "--workers", type=click.IntRange(1, 64), help="So many share the run (else run.workers)."
)
@settings_options
def run(
    owner: str | None,
    person_ids: tuple[str, ...],
    limit: int | None,
    plan: bool,
    workers: int | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Sync new persons."""
    settings = _settings(config)
    prefect_flows = _reachable_prefect(config)
    if prefect_flows is not None:
        told = prefect_flows.run_by_server(
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
        told = flows.sync_without_prefect(settings, request, partial(_settings, config))
    _tell(told, settings, as_json)


@main.command()
@click.argument("person_ids", nargs=-1, required=True, metavar="ID...")
@settings_options
def now(person_ids: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Sync these persons at once; answer with each one's outcome."""
    from pipelines import flows
    from pipelines.run import summaries

    settings = _settings(config)
    told = flows.sync_now(settings, person_ids)
    _answer(as_json, told, summaries.person_lines(told))
    sys.exit(summaries.exit_code(told, settings.run.allowed_reject_share))


@main.command()
@click.option(
    "--accept-unknown-jobs",
    is_flag=True,
    help="Take the jobs that the ledger does not know as known: they stop no run any more.",
)
@settings_options
def resume(accept_unknown_jobs: bool, config: Path | None, as_json: bool) -> None:
    """Carry open batches to their end; claim no new person."""
    from pipelines import flows

    settings = _settings(config)
    _tell(flows.resume(settings, accept_unknown_jobs=accept_unknown_jobs), settings, as_json)


@main.command()
@click.argument("person_id", metavar="PERSON_ID")
@click.option("--as", "word", required=True, metavar="created:LEAD_ID|resend|rejected")
@click.option("--note", metavar="TEXT", help="Why, in your own words.")
@click.option("--by", metavar="NAME", help="Who says so (else the user of this machine).")
@settings_options
def resolve(
    person_id: str,
    word: str,
    note: str | None,
    by: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Say what became of a held person: the lead is there, send again, or no lead at all."""
    from pipelines.run.resolve import as_line, parse_resolution, resolve_person

    request = parse_resolution(person_id, word, by=by, note=note)
    recorded = resolve_person(_settings(config), request)
    _answer(as_json, recorded, [as_line(recorded)])


@main.command()
@click.argument("run_id", required=False)
@settings_options
def status(run_id: str | None, config: Path | None, as_json: bool) -> None:
    """Tell what happened: the last run, or the one named, and what is still open."""
    from pipelines.run import connections, summaries

    with connections.open_store(_settings(config)) as warehouse:
        told = summaries.summarise(warehouse, run_id)
    lines = [*summaries.as_lines(told), *summaries.held_lines(told, config)]
    _answer(as_json, told, lines)


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True)
@click.option("--org", type=click.Path(path_type=Path), help="What the org holds: a TOML file.")
@click.option("--store", type=click.Path(path_type=Path), help="Keep the state in this file.")
@click.option("--idle-stop", type=float, metavar="SECONDS", help="Stop after so long unasked.")
@click.option("--tls", is_flag=True, help="Serve https with a self-signed certificate.")
@click.option(
    "--tls-certificate",
    type=click.Path(path_type=Path),
    help="Write the certificate's PEM here, for clients to trust (implies --tls).",
)
@settings_options
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
    del config, as_json  # taken for the sake of uniformity: the emulator has no settings of ours
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
    # It replaces this process: nothing of ours is imported by the emulator, nor it by us.
    interruption.hold_for_next_program()
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell


@main.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
)
@click.option("--persons", type=click.IntRange(min=1), help="Make so many persons instead.")
@click.option(
    "--prefect", is_flag=True, help="Run it by a Prefect server and worker of the demo's own."
)
@settings_options
def demo(
    folder: Path, persons: int | None, prefect: bool, config: Path | None, as_json: bool
) -> None:
    """Run a whole sync on this machine: the org emulator, a SQLite warehouse, one run."""
    del config  # the demo writes its own
    takes = " (the first time Prefect takes half a minute)" if prefect else ""
    click.echo(f"Person Sync demo in {folder}/{takes}", err=True)
    from pipelines.demo import flow_run

    with flow_run.demo_at_work(folder, with_server=prefect) as server:
        # Imported late: pandas takes a second, in which the server starts.
        from pipelines.demo import local as stage

        with stage.playing(folder, persons, server) as told:
            _answer(as_json, told, stage.closing_words(folder, told))
    failure = stage.failure_of(told)
    if failure is not None:
        click.echo(f"person-sync: {failure[0]}", err=True)
        sys.exit(failure[1])


def _tell(told: dict[str, Any], settings: Any, as_json: bool) -> None:
    from pipelines.run import summaries

    _answer(as_json, told, summaries.as_lines(told))
    sys.exit(summaries.exit_code(told, settings.run.allowed_reject_share))


def _reachable_prefect(config: Path | None) -> Any:
    """Return `prefect_flows` where a Prefect server is named and answers, else None.

    The flow reads the settings again by PERSON_SYNC_CONFIG: they are never flow parameters, which
    Prefect stores in plain text.
    """
    from pipelines.orchestration.server_address import may_name_a_server

    if not may_name_a_server(os.environ, Path.cwd()):
        click.echo("without Prefect: no server is named (PREFECT_API_URL or a profile)", err=True)
        return None
    prefect_flows = _import_prefect_flows()
    reason = prefect_flows.why_without_server()
    if reason is not None:
        click.echo(f"without Prefect: {reason}", err=True)
        return None
    if config is not None:
        os.environ["PERSON_SYNC_CONFIG"] = str(config.resolve())
    return prefect_flows


def _answer(as_json: bool, document: dict[str, Any], lines: Sequence[str]) -> None:
    if as_json:
        click.echo(json.dumps(document, default=str, ensure_ascii=False))
    else:
        for line in lines:
            click.echo(line)


def _settings(config: Path | None) -> Any:
    """The settings; a `block:` in them is read from Prefect."""
    from pipelines.settings import load_settings

    return load_settings(config, read_block=_read_block)


def _read_block(name: str) -> str:
    return str(_import_prefect_flows().read_block(name))


def _be_quiet_about_prefect() -> None:
    for name, value in PREFECT_QUIET.items():
        os.environ.setdefault(name, value)
    # These stand outside Prefect's own loggers: after our last word, on a busy machine, they said
    # how many of their items were left.
    for worker in ("EventsWorker", "APILogWorker"):
        logging.getLogger(worker).setLevel(logging.ERROR)


def _import_prefect_flows() -> Any:
    # Imported late: Prefect takes a second, and most commands work without it.
    _be_quiet_about_prefect()
    from pipelines.orchestration import prefect_flows

    return prefect_flows
