"""Trouble with the warehouse: a connection lost at COMMIT, a lock held by somebody else, a server
that is restarted, a disk that is full, a ledger from yesterday, the ledger of another org.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from tests.crash.accounts import troubles
from tests.crash.directed import Boundary, Told
from tests.crash.environments import World
from tests.crash.techniques import Clean, judged, kill_at, may_hold, spoil_at

FULL_PAGES = range(0, 60, 3)
FULL_KILOBYTES = {"tables": range(0, 800, 40), "log": range(0, 600, 100)}
FULL_WORDS = ("the warehouse's disk is full", "the warehouse is away")
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
    """The disk has so many pages (PostgreSQL's: kilobytes) left and no more; then somebody makes
    room. Where it is the server's own log that finds none, the server gives up until there is."""
    if world.kind.engine == "sqlite":
        (has,) = world.rows("select page_count as pages from pragma_page_count()")
        told = world.tell(most_pages=has["pages"] + place.nth, retry_timeout_seconds=0)
        return _roomy(world, clean, told)
    with world.on_a_small_disk() as disk:
        disk.leave(place.name, place.nth)
        told = world.tell(retry_timeout_seconds=0)
        disk.make_room()
        return _roomy(world, clean, told)


def _roomy(world: World, clean: Clean, told: Told) -> list[str]:
    if told.code == 3 and not any(words in told.words for words in FULL_WORDS):
        return [f"nobody can tell from this what is wrong: {told.words}"]
    return _healed(world, clean, told)


def ledger_of_yesterday(world: World, _clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, and the warehouse comes back as it was before the run. With the field
    nobody is made twice; without it the run stops for a human, or finds them all."""
    world.tell(kill_at(place))
    with world.of_yesterday():
        told = world.tell()
        if told.code == 4 and not world.kind.has_field:
            world.tell(mode="resume", accept_unknown_jobs=True)
            told = world.tell()
        if not told.is_done:
            return [f"the next run ended with {told.code}: {told.words}"]
        return troubles(world, may_find=True)


def ledger_off(world: World, _clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, the ledger emptied, nobody looked up by any run: nothing but the
    unique field keeps the org from a second lead, and its refusals tell who is there."""
    world.tell(kill_at(place))
    with world.of_yesterday():
        told = world.tell()
        return judged_alone(world, told)


def another_org(world: World, clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, and the next run finds itself in an org that is not the ledger's: it
    stops, and the one after it, at home again, goes on as if nothing had been."""
    killed = world.start(kill_at(place))
    killed.wait(world.most_seconds)
    is_bound = bool(world.rows("select org_id from sync_orgs"))
    with world.in_another_org():
        told = world.tell()
        if not is_bound:  # the ledger is that org's from now on
            return judged_alone(world, told)
        if (told.code, world.leads()) != (4, []):
            return [f"in the wrong org: ended with {told.code}, {len(world.leads())} leads there"]
    return _healed(world, clean, world.tell())


def judged_alone(world: World, told: Told) -> list[str]:
    """The violations of a run in an org where there is nothing to compare it with."""
    return troubles(world) if told.is_done else [f"it ended with {told.code}: {told.words}"]


def _healed(world: World, clean: Clean, told: Told) -> list[str]:
    if told.code not in (0, 3):
        return [f"the run ended with {told.code}: {told.words}"]
    last = told if told.is_done else world.tell()
    return judged(world, clean, last, may_hold=may_hold(world))
