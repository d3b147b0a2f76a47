"""A process that has imported everything and forks a child for each run: a run costs no start-up.

    python -P -m tests.crash.fork_server FOLDER

FOLDER is where `pipelines` must have come from: the project's, or a copy with a mutant. Each
line on stdin is a run to perform, as JSON; its pid is answered. The fork is safe because nothing
here keeps a connection or a thread of Python's: the first run, which only warms the caches (half
a second for every run after it), has closed what it opened, and Arrow makes its threads anew.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pipelines
from pipelines import flows
from pipelines.errors import SyncError
from pipelines.settings import Settings
from pipelines.steps.context import new_run_request
from tests.crash.observed import Line, observe_commits

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main(folder: str) -> None:
    """Fork for every line, until there are no more."""
    came_from = Path(pipelines.__file__).resolve().parent.parent
    if came_from != Path(folder).resolve():
        sys.exit(f"pipelines came from {came_from}, not from {folder}")
    # Children are reaped by the system at once: a dead one must not look alive to the next run.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _reply("ready")
    for line in sys.stdin:
        order = json.loads(line)
        _reply(str(_fork(order) if "line" in order else _warm_up(order)))


def _reply(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def _warm_up(settings: dict[str, Any]) -> int:
    flows.sync(Settings.model_validate(settings), new_run_request("live"), flows.call_step)
    gc.collect()
    gc.freeze()  # what stays in its pages need not be copied by every child
    return os.getpid()


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        _become_a_run(order["log"])
        code = _perform(Line(order["line"]), order)
    finally:
        os._exit(code)


def _become_a_run(log: str) -> None:
    os.setsid()
    # A child that stands frozen would outlive everybody.
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (target, 1), (target, 2)):
        os.dup2(old, new)


def _perform(line: Line, order: dict[str, Any]) -> int:
    observe_commits(line, order["most_pages"])
    if order["time_zone"]:
        os.environ["TZ"] = order["time_zone"]
        time.tzset()
    try:
        settings = Settings.model_validate(order["settings"])
        ids = order["person_ids"]
        request = new_run_request(
            order["mode"],
            person_ids=tuple(ids) if ids else None,
            accept_unknown_jobs=order["accept_unknown_jobs"],
        )
        tell = flows.complete_open_batches if order["mode"] == "resume" else flows.sync
        summary = tell(settings, request, flows.call_step)
    except SyncError as error:
        traceback.print_exception(error.__context__ or error)
        line.say(code=error.exit_code, words=f"{type(error).__name__}: {error}")
        return error.exit_code
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a finding
        traceback.print_exc()
        line.say(code=70, words=f"crashed: {type(error).__name__}")
        return 70
    line.say(code=0, words="", created=summary["run"]["created_count"])
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
