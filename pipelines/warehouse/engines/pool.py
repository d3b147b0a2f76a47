"""Keep closed SQLAlchemy engines for the next opening of the same warehouse.

Connections are closed; the engine keeps its compiled statements. A run compiles some eighty
statements, which takes 60 ms of the 250 ms that one person takes in a warm process.
"""

from __future__ import annotations

import os
from threading import Lock

from sqlalchemy import URL, Engine

MOST_KEPT = 4

EngineKey = tuple[URL, str, str]

_lock = Lock()
_kept: dict[EngineKey, Engine] = {}


def engine_key(address: URL, results_schema: str) -> EngineKey:
    """Return what two openings must have in common to use one engine.

    The absolute path is part of it. A SQLite file may be named relative to the working directory,
    and an engine belongs to one file.
    """
    return address, results_schema, os.path.abspath(address.database or "")


def take(key: EngineKey) -> Engine | None:
    """Return a closed engine for that key and give it away; None when there is none.

    Two open warehouses never share an engine: its pool has room for one run.
    """
    with _lock:
        return _kept.pop(key, None)


def close(key: EngineKey, engine: Engine) -> None:
    """Close the connections and keep the engine; beyond MOST_KEPT drop the one closed first."""
    engine.dispose()
    with _lock:
        _kept.pop(key, None)
        _kept[key] = engine
        if len(_kept) > MOST_KEPT:
            del _kept[next(iter(_kept))]
