"""Trouble with the warehouse: a connection lost at COMMIT, a lock held by somebody else, a server
that is restarted, a disk that is full, a ledger from yesterday, the ledger of another org.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from .accounts import troubles
from .directed import Boundary, Told
from .techniques import Clean, judged, spoil_at
from .worlds import World

FULL_PAGES = range(0, 60, 3)
_LOCKS = {"sqlite": "begin immediate", "postgres": "lock table person_claims in exclusive mode"}
# Longer than the half second that a SQLite world is told to wait, and than PostgreSQL's three.
_HELD_SECONDS = {"sqlite": 0.8, "postgres": 3.5}


def connection_lost(world: World, clean: Clean, place: Boundary) -> list[str]:
    """The connection breaks at that side of the COMMIT: before it, all is undone; after it, all is
    done, and the run does not know."""
    told = world.tell(spoil_at(place, place.side, "lose"))
    return _healed(world, clean, told)


def locked(world: World, clean: Clean, place: Boundary) -> list[str]:
    """From that exchange on somebody else holds the lock, for longer than a run waits for it."""
    world.wait_less_for_locks()
    with _held(world) as hold:

        def lock(_run: object, boundary: Boundary) -> str:
            if boundary == place:
                hold()
            return "go"

        told = world.tell(lock)
    return _healed(world, clean, told)


@contextmanager
def _held(world: World) -> Iterator[object]:
    with world.engine() as engine:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        timers: list[Timer] = []

        def hold() -> None:
            if world.kind.engine == "postgres":
                connection.exec_driver_sql("begin")
            connection.exec_driver_sql(_LOCKS[world.kind.engine])
            release = Timer(
                _HELD_SECONDS[world.kind.engine], connection.exec_driver_sql, ["rollback"]
            )
            timers.append(release)
            release.start()

        yield hold
        for timer in timers:
            timer.join()
        connection.close()


def restarted(world: World, clean: Clean, place: Boundary) -> list[str]:
    """The database server is stopped at once at the boundary, and starts again."""

    def restart(_run: object, boundary: Boundary) -> str:
        if boundary == place:
            world.restart_server()
        return "go"

    return _healed(world, clean, world.tell(restart))


def disk_full(world: World, clean: Clean, place: Boundary) -> list[str]:
    """The disk has so many pages left and no more; then somebody makes room."""
    (has,) = world.rows("select page_count as pages from pragma_page_count()")
    told = world.tell(most_pages=has["pages"] + place.nth)
    if told.code not in (0, 2, 3):
        return [f"the run ended with {told.code}: {told.words}"]
    return judged(world, clean, told if told.is_done else world.tell(), may_hold=_may_hold(world))


def ledger_of_yesterday(world: World, clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, and the warehouse comes back as it was before the run. With the field
    nobody is made twice; without it the run stops for a human, or finds them all."""
    world.tell(lambda run, boundary: run.kill() if boundary == place else "go")
    with world.of_yesterday():
        told = world.tell()
        if told.code == 4 and not world.kind.has_field:
            return []
        if not told.is_done:
            return [f"the next run ended with {told.code}: {told.words}"]
        twice = [line for line in troubles(world) if "more than one lead" in line]
        missing = set(clean.fates) - {
            row["person_id"] for row in world.rows("select person_id from person_outcomes")
        }
        return twice + [f"no word about {person_id}" for person_id in sorted(missing)]


def ledger_off(world: World, _clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, the ledger emptied, nobody looked up by any run: nothing but the
    unique field keeps the org from a second lead, and its refusals tell who is there."""
    world.tell(lambda run, boundary: run.kill() if boundary == place else "go")
    with world.of_yesterday():
        told = world.tell()
        if not told.is_done:
            return [f"the next run ended with {told.code}: {told.words}"]
        return troubles(world)


def another_org(world: World, _clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, and the next run finds itself in an org that is not the ledger's."""
    killed = world.start(lambda run, boundary: run.kill() if boundary == place else "go")
    killed.wait(world.most_seconds)
    is_bound = bool(world.rows("select org_id from sync_orgs"))
    world.move_to_another_org()
    told = world.tell()
    if not is_bound:
        return [] if told.is_done else [f"the first run ended with {told.code}: {told.words}"]
    if (told.code, world.leads()) != (4, []):
        return [f"in the wrong org: ended with {told.code}, {len(world.leads())} leads there"]
    return []


def _healed(world: World, clean: Clean, told: Told) -> list[str]:
    if told.code not in (0, 3):
        return [f"the run ended with {told.code}: {told.words}"]
    last = told if told.is_done else world.tell()
    return judged(world, clean, last, may_hold=_may_hold(world))


def _may_hold(world: World) -> bool:
    return not world.kind.has_field
