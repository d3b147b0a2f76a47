"""A PostgreSQL server whose tables and whose log each lie on a disk of their own that can be full.

    unshare --mount python -m tests.crash.small_disk FOLDER BINARIES USER

The disks are file systems in memory that only the server and its keeper see (a mount namespace), so
that they go with them, whatever happens. The keeper does what it is told, a line a command:
`tables N` or `log N`, so many kilobytes are left there and no more; `room` again. It takes root, or
a system that gives everybody user namespaces.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

SIZES = {"tables": "160m", "log": "64m"}
# A run writes some hundred kilobytes of log: with segments of sixteen megabytes, or with old ones
# used again, it would never ask for another.
_SEGMENT = 1 << 20
_PAGE = 4096
_HEADERS = 8192  # of a segment's pages
_SMALL_LOG = ("-c", "min_wal_size=2MB", "-c", "max_wal_size=40MB", "-c", "wal_recycle=off")
_BEGUN = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
_LOG_BALLAST = "select pg_logical_emit_message(false, 'ballast', repeat('-', %s))"
_QUIET = ("-c", "autovacuum=off", "-c", "listen_addresses=")


def _namespace() -> list[str]:
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", "--mount", *root]


@cache
def is_possible() -> bool:
    """Whether a disk can be mounted here that nobody else sees."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = [*_namespace(), "mount", "-t", "tmpfs", "-o", "size=64k", "disk", folder]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class SmallDisk:
    """The keeper of the server, seen from outside. `postgres` is the library's own server, whose
    programs and whose user it takes."""

    def __init__(self, postgres: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="small-disk-")
        # The server's user must reach its socket in here.
        Path(self._folder.name).chmod(0o777)
        words = [self._folder.name, str(postgres.bin_path), postgres.system_user or ""]
        self._keeper = subprocess.Popen(
            [*_namespace(), sys.executable, "-m", "tests.crash.small_disk", *words],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._handle()

    @property
    def address(self) -> str:
        """How the server is reached."""
        return f"host={self._folder.name} user=postgres dbname=postgres"

    def leave(self, disk: str, kilobytes: int) -> None:
        """Fill the disk of the `tables`, or that of the `log` and the segment begun there, until so
        much is free."""
        if disk == "log":
            with psycopg.connect(self.address, autocommit=True) as connection:
                (begun,) = connection.execute(_BEGUN).fetchone() or (0,)
                ballast = max(_SEGMENT - begun % _SEGMENT - kilobytes * 1024 - _HEADERS, 0)
                connection.execute(_LOG_BALLAST, [ballast])
        self._reply(f"{disk} {0 if disk == 'log' else kilobytes}")

    def make_room(self) -> None:
        """What filled the disk is gone, and the server is there, started anew if it gave up."""
        self._reply("room")

    def close(self) -> None:
        """Stop the server; the disk goes with its keeper."""
        self._keeper.communicate()
        self._folder.cleanup()

    def _reply(self, words: str) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(words + "\n")
        self._keeper.stdin.flush()
        self._handle()

    def _handle(self) -> None:
        assert self._keeper.stdout is not None
        message = self._keeper.stdout.readline().strip()
        if message != "done":
            raise RuntimeError(f"the keeper of the small disk is gone: {message}")


class Keeper:
    """Inside the namespace: the disk, and the server on it."""

    def __init__(self, folder: Path, binaries: Path, user: str) -> None:
        self._folder, self._binaries, self._user = folder, binaries, user
        self._disks = {name: folder / name for name in SIZES}
        self._written = (folder / "server.log").open("ab")
        for name, disk in self._disks.items():
            disk.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZES[name]}", "disk", str(disk)]
            subprocess.run(mount, check=True)
            if user:
                shutil.chown(disk, user)
        self._data = str(self._disks["tables"] / "data")
        log = ("-X", str(self._disks["log"] / "wal"), "--wal-segsize=1")
        names = ("-D", self._data, "-U", "postgres", "-A", "trust", "-E", "utf8", "--no-sync")
        self._as_somebody("initdb", *names, *log).wait()
        self._server = self._start()
        self._glutton: Glutton | None = None

    def obey(self) -> None:
        """Do what is told, until nobody tells anything."""
        _answer()
        for line in sys.stdin:
            word, _, number = line.strip().partition(" ")
            if word == "room":
                self._make_room()
            else:
                self._glutton = Glutton(self._disks[word], int(number) * 1024)
                if word == "log":  # of the tables some is left, and not for it
                    self._glutton.start()
            _answer()
        self._server.terminate()
        self._server.wait(60)

    def _start(self) -> subprocess.Popen[bytes]:
        names = ("-D", self._data, "-k", str(self._folder), *_SMALL_LOG, *_QUIET)
        server = self._as_somebody("postgres", *names)
        while not self._is_ready():
            if server.poll() is not None:
                raise RuntimeError(f"the server did not start: {server.returncode}")
            time.sleep(0.02)
        return server

    def _is_ready(self) -> bool:
        ready = [self._binaries / "pg_isready", "-q", "-h", self._folder]
        return subprocess.run(ready, check=False).returncode == 0

    def _make_room(self) -> None:
        if self._glutton is not None:
            self._glutton.stop()
            self._glutton = None
        began = time.monotonic()
        while not self._is_ready():
            if time.monotonic() > began + 60:
                raise RuntimeError("the server does not come back")
            if time.monotonic() > began + 10:
                # It ran out of disk while it recovered, and may stand there for ever, refusing
                # everybody: PostgreSQL 18 was seen to. An administrator would do the same.
                self._server.send_signal(signal.SIGQUIT)
                self._server.wait(30)
            if self._server.poll() is not None:
                self._server = self._start()
            time.sleep(0.02)

    def _as_somebody(self, program: str, *names: str) -> subprocess.Popen[bytes]:
        """PostgreSQL does not run as root."""
        nobody = [] if self._user else ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
        command = [*nobody, self._binaries / program, *names]
        more: dict[str, Any] = {"user": self._user} if self._user else {}
        more |= {"stdin": subprocess.DEVNULL, "stdout": self._written, "stderr": self._written}
        return subprocess.Popen(command, cwd="/", **more)


class Glutton(threading.Thread):
    """Takes all of a disk but so much, and whatever is let go of there later: the server keeps old
    files open, and they leave their room only when it closes them."""

    def __init__(self, disk: Path, most: int) -> None:
        super().__init__(daemon=True)
        self._file = disk / "ballast"
        self._ballast = self._file.open("wb")
        self._size = 0
        self._is_over = threading.Event()
        with (disk / "kept").open("wb") as kept:
            if most:
                os.posix_fallocate(kept.fileno(), 0, most)
            self._eat()
        (disk / "kept").unlink()

    def run(self) -> None:
        """Until it is over."""
        while not self._is_over.wait(0.01):
            self._eat()

    def stop(self) -> None:
        """Give it all back."""
        self._is_over.set()
        if self.is_alive():
            self.join()
        self._ballast.close()
        self._file.unlink()

    def _eat(self) -> None:
        step = _SEGMENT
        while step >= _PAGE:
            try:
                os.posix_fallocate(self._ballast.fileno(), self._size, step)
                self._size += step
            except OSError:
                step //= 2


def _answer() -> None:
    sys.stdout.write("done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Keeper(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]).obey()
