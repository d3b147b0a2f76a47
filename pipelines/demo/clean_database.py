"""An empty Prefect database for each demo: making one takes longer than starting the server."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path


def take_clean_database(home: Path) -> bool:
    """Delete the runs of an earlier demo. Return whether an empty database was there to copy.

    It was made by the same version of Prefect.
    """
    for name in ("prefect.db", "prefect.db-wal", "prefect.db-shm", "memo_store.toml"):
        (home / name).unlink(missing_ok=True)
    kept = _clean_database(home)
    if kept.is_file():
        shutil.copyfile(kept, home / "prefect.db")
        return True
    return False


def keep_clean_database(home: Path) -> None:
    """Copy the database before anything is deployed: runs of old schedules would start late."""
    kept = _clean_database(home)
    made = kept.with_suffix(".new")
    made.unlink(missing_ok=True)
    with suppress(sqlite3.Error), closing(sqlite3.connect(home / "prefect.db")) as connection:
        connection.execute("vacuum into ?", (str(made),))
        made.replace(kept)


def _clean_database(home: Path) -> Path:
    return home / f"clean-{version('prefect')}.db"
