"""Run a command that ends when its starter ends, however that one ends.

Usage: `python -m pipelines.demo.tied_process COMMAND...`, with a pipe as standard input. It ends
with the process that holds its other end, even after kill -9; then the command and all it has
started are stopped. Needs nothing of one system only, and no import but Python's own.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# Prefect's worker waits for its run at SIGTERM, and once did not end at all.
GRACE_SECONDS = 3.0
POLL_SECONDS = 0.2


def main(command: Sequence[str]) -> int:
    """Run the command to its end, or to the end of standard input. Return its exit code."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our starter's own
    is_terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: is_terminated.set())
    while process.poll() is None and not is_terminated.is_set() and _starter_lives():
        pass
    stop_tree(process)
    return process.wait()


def _starter_lives() -> bool:
    """Watch standard input for a moment."""
    readable, _, _ = select.select([0], [], [], POLL_SECONDS)
    return not readable or bool(os.read(0, 4096))


def stop_tree(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and everything that descends from it, by force after the grace period."""
    below = descendants(process.pid)
    _signal(process, below, signal.SIGTERM)
    give_up_at = time.monotonic() + GRACE_SECONDS
    while process.poll() is None or any(map(_exists, below)):
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.05)
    # Looked up again: what was being started while the first signal went out.
    _signal(process, [*below, *descendants(process.pid)], signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], below: Sequence[int], number: signal.Signals) -> None:
    process.send_signal(number)  # nothing where it has ended
    for one in below:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(one, number)


def descendants(root: int) -> list[int]:
    """Return the processes below `root`, nearest first.

    A process group is not enough: Prefect's worker gives each flow run a session of its own.
    """
    children: dict[int, list[int]] = {}
    for process, parent in _parents():
        children.setdefault(parent, []).append(process)
    found = list(children.get(root, ()))
    for process in found:  # grows while it is read
        found += children.get(process, ())
    return found


def _parents() -> list[tuple[int, int]]:
    """Return each process of this machine with its parent."""
    if Path("/proc/self/stat").is_file():  # Linux, where a small image may lack `ps`
        return [pair for name in os.listdir("/proc") if name.isdigit() for pair in _parent_of(name)]
    listed = subprocess.run(
        ["ps", "-axo", "pid=,ppid="],  # noqa: S607 - wherever this system has it
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [(int(process), int(parent)) for process, parent in pairs]


def _parent_of(process: str) -> list[tuple[int, int]]:
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended meanwhile
        return []
    # The name in brackets may hold anything, brackets included.
    return [(int(process), int(text.rpartition(")")[2].split()[1]))]


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
