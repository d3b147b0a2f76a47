"""What the demo and its Prefect server know of each other: files and locks in the demo's folder."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from sysconfig import get_path
from typing import IO

_PACKAGE = Path(__file__).parents[1]
CODE_HOME = _PACKAGE.parent  # the folder from which a flow's file is found by its deployment
# In a wheel it is inside the package; in the project it is in the folder above.
_PLACES = [place / "prefect.yaml" for place in (_PACKAGE / "deployments", _PACKAGE, CODE_HOME)]
PREFECT_FILE = next(filter(Path.is_file, _PLACES), _PLACES[-1])
IDLE_SECONDS = 1800.0
START_SECONDS = 120.0  # on a busy machine a first start has taken 40
POLL_SECONDS = 0.2

HOME = "prefect"  # in the demo's folder: Prefect's own files, the logs, and the files below
STATE_FILE = "demo-server.json"
LOCK_FILE = "demo-server.lock"
DEMO_LOCK_FILE = "demo.lock"  # in HOME's parent: a running demo holds it
UNFINISHED_FILE = "demo-unfinished"  # exists until a demo has printed the server's address
EMULATOR_FILE = "emulator.json"  # in HOME's parent: the org emulator's address


@dataclass(frozen=True)
class State:
    """What the server of a folder has written about itself."""

    pid: int
    signature: str
    url: str = ""
    step: str = "starting"
    is_ready: bool = False
    error: str = ""


def signature(home: Path, idle_seconds: float) -> str:
    """Return a hash of what a running server was started with; another hash, another server."""
    # With the versions of all packages: a running server keeps what it has imported.
    installed = sorted(Path(get_path("purelib")).glob("*.dist-info"))
    parts = [sys.executable, str(CODE_HOME), str(home), str(idle_seconds), *map(str, installed)]
    ours = sorted(Path(__file__).parent.glob("*.py"))
    files = (PREFECT_FILE, _PACKAGE / "orchestration" / "prefect_flows.py", *ours)
    parts += [file.read_text(encoding="utf-8") if file.is_file() else "" for file in files]
    return sha256("\0".join(parts).encode()).hexdigest()


def read_state(home: Path) -> State | None:
    """Return the state that the last server of this folder wrote, also after its end."""
    try:
        return State(**json.loads((home / STATE_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def locked(file: Path) -> Iterator[IO[str]]:
    """Hold a file's lock; the system frees it when this process ends. Raise BlockingIOError."""
    with file.open("a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield held


def is_locked(file: Path) -> bool:
    """Return whether a living process holds the lock of a file."""
    try:
        with file.open(encoding="utf-8") as asked:
            fcntl.flock(asked, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
