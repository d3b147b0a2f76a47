"""SQLAlchemy engines: a closed one is kept a while for whoever opens the same warehouse next.

Not its connections, which are given back: what it has learnt. A run compiles some eighty statements
and each engine compiles them anew, 60 ms of the 250 that one person takes in a process that lives.
"""

from __future__ import annotations

import os
from threading import Lock

from sqlalchemy import URL, Engine

MOST_KEPT = 4

Place = tuple[URL, str, str]

_lock = Lock()
_kept: dict[Place, Engine] = {}


def place_of(address: URL, results_schema: str) -> Place:
    """What two engines must have in common to be one. A SQLite file may be named from the working
    directory, and an engine stays with the one it was made in."""
    return address, results_schema, os.path.abspath(address.database or "")


def kept(place: Place) -> Engine | None:
    """A closed engine of that place, now the caller's alone; None when there is none.

    An engine is never two warehouses' at once: its pool has room for one run, not for many.
    """
    with _lock:
        return _kept.pop(place, None)


def close(place: Place, engine: Engine) -> None:
    """Give its connections back and keep it; of more than MOST_KEPT the one closed first goes."""
    engine.dispose()
    with _lock:
        _kept.pop(place, None)
        _kept[place] = engine
        if len(_kept) > MOST_KEPT:
            del _kept[next(iter(_kept))]
