"""Trouble with the warehouse: a connection lost at COMMIT, a lock held by somebody else, a server
that is restarted, a disk that is full, a ledger from yesterday, the ledger of another org.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from tests.crash.accounts import troubles
from tests.crash.directed import Boundary, RunResult
from tests.crash.environments import Environment
from tests.crash.techniques import Clean, kill_at, may_hold, spoil_at, violations

FULL_PAGES = range(0, 60, 3)
FULL_KILOBYTES = {"tables": range(0, 800, 40), "log": range(0, 600, 100)}
FULL_WORDS = ("the warehouse's disk is full", "the warehouse is away")
_LOCKS = {"sqlite": "begin immediate", "postgres": "lock table person_claims in exclusive mode"}
# Longer than a SQLite environment waits (half a second), and than PostgreSQL's three seconds.
_HELD_SECONDS = {"sqlite": 0.8, "postgres": 3.5}


def connection_lost(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """The connection breaks at that side of the COMMIT: before it, all is undone; after it, all is
    done, and the run does not know."""
    result = environment.run_to_end(spoil_at(place, place.side, "lose"))
    return _healed(environment, clean, result)


def locked(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """From that exchange on somebody else holds the lock, for longer than a run waits for it."""
    environment.wait_less_for_locks()
    with _held(environment) as hold:

        def lock(_run: object, boundary: Boundary) -> str:
            if boundary == place:
                hold()
            return "go"

        result = environment.run_to_end(lock)
    return _healed(environment, clean, result)


@contextmanager
def _held(environment: Environment) -> Iterator[object]:
    with environment.engine() as engine:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        timers: list[Timer] = []

        def hold() -> None:
            if environment.variant.engine == "postgres":
                connection.exec_driver_sql("begin")
            connection.exec_driver_sql(_LOCKS[environment.variant.engine])
            release = Timer(
                _HELD_SECONDS[environment.variant.engine], connection.exec_driver_sql, ["rollback"]
            )
            timers.append(release)
            release.start()

        yield hold
        for timer in timers:
            timer.join()
        connection.close()


def restarted(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """The database server is stopped at once at the boundary, and starts again."""

    def restart(_run: object, boundary: Boundary) -> str:
        if boundary == place:
            environment.restart_server()
        return "go"

    return _healed(environment, clean, environment.run_to_end(restart))


def disk_full(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """The disk has so many pages (PostgreSQL's: kilobytes) left and no more; then somebody makes
    room. Where it is the server's own log that finds none, the server gives up until there is."""
    if environment.variant.engine == "sqlite":
        (has,) = environment.rows("select page_count as pages from pragma_page_count()")
        result = environment.run_to_end(
            most_pages=has["pages"] + place.nth, retry_timeout_seconds=0
        )
        return _roomy(environment, clean, result)
    with environment.on_a_small_disk() as disk:
        disk.leave(place.name, place.nth)
        result = environment.run_to_end(retry_timeout_seconds=0)
        disk.make_room()
        return _roomy(environment, clean, result)


def _roomy(environment: Environment, clean: Clean, result: RunResult) -> list[str]:
    if result.code == 3 and not any(words in result.words for words in FULL_WORDS):
        return [f"nobody can tell from this what is wrong: {result.words}"]
    return _healed(environment, clean, result)


def ledger_of_yesterday(environment: Environment, _clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, and the warehouse comes back as it was before the run. With the field
    nobody is made twice; without it the run stops for a human, or finds them all."""
    environment.run_to_end(kill_at(place))
    with environment.of_yesterday():
        result = environment.run_to_end()
        if result.code == 4 and not environment.variant.has_field:
            environment.run_to_end(mode="resume", accept_unknown_jobs=True)
            result = environment.run_to_end()
        if not result.is_done:
            return [f"the next run ended with {result.code}: {result.words}"]
        return troubles(environment, may_find=True)


def ledger_off(environment: Environment, _clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, the ledger emptied, nobody looked up by any run: nothing but the
    unique field keeps the org from a second lead, and its refusals tell who is there."""
    environment.run_to_end(kill_at(place))
    with environment.of_yesterday():
        result = environment.run_to_end()
        return violations_alone(environment, result)


def another_org(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """Killed at the boundary, and the next run finds itself in an org that is not the ledger's: it
    stops, and the one after it, at home again, goes on as if nothing had been."""
    killed = environment.start(kill_at(place))
    killed.wait(environment.most_seconds)
    is_bound = bool(environment.rows("select org_id from sync_orgs"))
    with environment.in_another_org():
        result = environment.run_to_end()
        if not is_bound:  # the ledger is that org's from now on
            return violations_alone(environment, result)
        if (result.code, environment.leads()) != (4, []):
            return [
                f"in the wrong org: ended with {result.code}, "
                f"{len(environment.leads())} leads there"
            ]
    return _healed(environment, clean, environment.run_to_end())


def violations_alone(environment: Environment, result: RunResult) -> list[str]:
    """The violations of a run in an org where there is nothing to compare it with."""
    return (
        troubles(environment)
        if result.is_done
        else [f"it ended with {result.code}: {result.words}"]
    )


def _healed(environment: Environment, clean: Clean, result: RunResult) -> list[str]:
    if result.code not in (0, 3):
        return [f"the run ended with {result.code}: {result.words}"]
    last = result if result.is_done else environment.run_to_end()
    return violations(environment, clean, last, may_hold=may_hold(environment))
