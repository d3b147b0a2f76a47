"""How a process of the command ends: always with a true exit code, never with a traceback.

The command itself returns its exit code. Signals, streams that cannot be written, and unexpected
errors are handled here.
"""

from __future__ import annotations

import copy
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from pipelines.process import error_details, interruption, standard_streams

PACKAGE: Final = str(Path(__file__).parents[1])


def end_process(command: Callable[[], int]) -> NoReturn:
    """Run the command and end the process with the exit code that it returns."""
    interruption.install(sys.argv[1:])
    try:
        standard_streams.install()
        error_details.keep_quiet_elsewhere(command_name())
        _keep_tracebacks_out_of_logs()
        exit_code, sentence = standard_streams.closing_exit_code(_run(command))
        if sentence is not None:
            print_problem(sentence)
        interruption.leave_with(exit_code)
    except BaseException:
        # Only a signal comes here: `_run` turns every other exception into an exit code.
        if not interruption.is_noticed():
            raise
        interruption.end()
    sys.exit(exit_code)


def print_problem(sentence: str) -> None:
    """Write a sentence about what went wrong to stderr."""
    if sys.stderr is not None:
        sys.stderr.write(f"person-sync: {sentence}\n")
        sys.stderr.flush()


def print_json_error(kind: str, message: str, *, is_transient: bool) -> None:
    """Write the one JSON document of a command that failed, if JSON was asked for."""
    # Read from the arguments themselves: wrong options are among the errors.
    if is_given("--json") and sys.stdout is not None:
        document = {"error": kind, "message": message, "is_transient": is_transient}
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


def print_debug(error: BaseException) -> None:
    """Write the details of an error to stderr, if they were asked for."""
    if is_given("--debug") and sys.stderr is not None:
        sys.stderr.write("\n".join(error_details.describe(error, command_name())) + "\n")


def command_name() -> str:
    """Return the name of the command, "" if there is none. It is the first argument."""
    return next((one for one in sys.argv[1:] if not one.startswith("-")), "")


def is_given(option: str) -> bool:
    """Return whether this option was given to the command."""
    return option in sys.argv[1:]


def _run(command: Callable[[], int]) -> int:
    try:
        return command()
    except SystemExit as ended:
        if _is_of_ours(ended.__traceback__) and isinstance(ended.code, int | None):
            return ended.code or 0
        return _fail(ended)
    except BaseException as error:  # noqa: BLE001 - each ends as an exit code
        # Whatever an interrupted library makes of it: it was the signal.
        if interruption.is_noticed():
            logging.shutdown()
            interruption.end()
        return _fail(error)


def _fail(error: BaseException) -> int:
    sentence = error_details.keep(error, command_name())
    print_json_error("UnexpectedError", sentence, is_transient=False)
    print_problem(sentence)
    print_debug(error)
    return error_details.EXIT_CODE


def _is_of_ours(trace: TracebackType | None) -> bool:
    """Return whether our code raised it: the exit code of a library is not the command's."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # click exits by itself after it has printed a shell's completions.
    ours = (PACKAGE, str(Path(getattr(sys.modules.get("click"), "__file__", PACKAGE)).parent))
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(ours)


class OneLineFormatter(logging.Formatter):
    """A log line without the traceback of its exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a copy: other handlers may print the exception."""
        record = copy.copy(record)
        record.exc_info = record.exc_text = record.stack_info = None
        return super().format(record)


def _keep_tracebacks_out_of_logs() -> None:
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(OneLineFormatter())
