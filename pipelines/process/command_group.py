"""What all commands share: errors become a sentence and an exit code, and the common options."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Final

import click

from pipelines.errors import SyncError
from pipelines.process import ending

WRONG_ARGUMENTS: Final = 2


class ErrorReportingGroup(click.Group):
    """Commands whose errors are reported in one sentence and by an exit code.

    Unexpected errors, signals and the streams are left to `ending`.
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
        """Run the command. Raise UsageError in a folder that was deleted: it has no path."""
        try:
            Path.cwd()
        except OSError:
            raise click.UsageError("the current folder is gone: change into another one") from None
        return super().invoke(context)


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --config, --json and --debug to a command, and check that its arguments are UTF-8."""

    @wraps(command)
    def checked(**given: Any) -> Any:
        return command(**{name: _as_text(name, value) for name, value in given.items()})

    config = click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The settings file. Default: PERSON_SYNC_CONFIG, else person-sync.toml here.",
    )
    as_json = click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document to stdout."
    )
    debug = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,  # `ending` looks at the arguments: they may not even be readable
        help="Print where an error came from to stderr: files and lines, no data.",
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
        raise click.UsageError(f"{name.rstrip('s')}: {value!a} is not UTF-8 text") from None
