"""The ways to disturb a run: each leaves the world to be judged by `accounts`.

Every technique takes a world and a place, performs a disturbed run, then as many runs as the
promise allows, and answers the violations found. An empty list is a promise kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from threading import Event

from pipelines.steps.reconcile import MAX_ATTEMPTS
from tests.crash.accounts import Fate, differences, outcomes, troubles
from tests.crash.directed import Boundary, DirectedRun, Director, Told
from tests.crash.environments import Workshop, World
from tests.crash.variants import Kind

# The lease is over at once: what stands frozen may be taken over without waiting for it.
NO_LEASE = {"lease_seconds": 0.001}
HURRIED = {"retry_timeout_seconds": 0, **NO_LEASE}
FAULTS: Mapping[str, tuple[str, str]] = {
    "dropped before": ("before", "drop"),
    "dropped after": ("after", "drop"),
    "500 before": ("before", "500"),
    "500 after": ("after", "500"),
    "503": ("before", "503"),
    "401": ("before", "401"),
    "truncated": ("after", "truncate"),
    "too slow": ("after", "slow"),
    "effect after the time-out": ("before", "slow"),
}
SLOW_FAULTS = ("too slow", "effect after the time-out")


@dataclass(frozen=True)
class Clean:
    """A kind of world undisturbed: its boundaries, and what becomes of everybody."""

    boundaries: list[Boundary]
    outcomes: Mapping[str, Fate]

    @property
    def exchanges(self) -> list[Boundary]:
        """Every HTTP exchange, once."""
        return [one for one in self.boundaries if not one.is_commit and one.side == "before"]


def discover(shop: Workshop, kind: Kind) -> Clean:
    """Find the boundaries by running. How often a job is polled is a matter of speed, so only what
    two runs have in common counts."""
    passed: list[list[Boundary]] = []
    found: dict[str, Fate] = {}
    # Jobs have their troubles wherever the run stands: there no boundary is asked for.
    for _ in range(1 if kind.people == "many" else 2):
        with shop.world(kind) as world:
            run = world.start()
            told = run.wait()
            assert told.is_done, told
            assert troubles(world) == []
            passed.append(run.passed)
            found = outcomes(world)
    return Clean([one for one in passed[0] if one in set(passed[-1])], found)


def judged(world: World, clean: Clean, last: Told, *, may_hold: Collection[str] = ()) -> list[str]:
    """The violations, if the run that should have put everything right has done so."""
    if not last.is_done:
        return [f"the recovery ended with {last.code}: {last.words}"]
    return troubles(world) + differences(world, clean.outcomes, may_hold)


def kill_at(place: Boundary) -> Director:
    """Kill the run there, as a power cut would."""
    return lambda run, boundary: run.kill() if boundary == place else "go"


def killed(world: World, clean: Clean, place: Boundary) -> list[str]:
    """kill -9 at the boundary; one more run puts everything right."""
    world.tell(kill_at(place))
    return judged(world, clean, world.tell(), may_hold=may_hold(world))


def killed_twice(world: World, clean: Clean, place: Boundary) -> list[str]:
    """kill -9 at the boundary, and again at a random one of the run that carries on."""
    world.tell(kill_at(place))
    turn = random.Random(str(place)).randint(1, len(clean.boundaries))  # noqa: S311 - a seed
    last = world.tell(kill_at_turn(turn))
    if not last.is_done:
        last = world.tell()
    return judged(world, clean, last, may_hold=may_hold(world))


def killed_every_time(world: World, clean: Clean, place: Boundary) -> list[str]:
    """kill -9 at the boundary in run after run, more often than a batch has attempts: a job that
    was thrown away with nothing made uses none up."""
    for _ in range(MAX_ATTEMPTS + 1):
        world.tell(kill_at(place))
    return judged(world, clean, world.tell(), may_hold=may_hold(world))


def kill_at_turn(turn: int) -> Director:
    """Kill the run at its so-manieth boundary."""
    return lambda run, _boundary: run.kill() if len(run.passed) == turn else "go"


def frozen(world: World, clean: Clean, place: Boundary) -> list[str]:
    """SIGSTOP at the boundary, another run takes over and comes to its end, SIGCONT."""
    world.wait_less_for_locks()
    others: list[Told] = []

    def meanwhile(run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            run.freeze()
            others.append(world.tell(**HURRIED))
            run.wake()
        return "go"

    return woken(world, clean, world.tell(meanwhile, **NO_LEASE), others)


def overlapped(world: World, clean: Clean, place: Boundary) -> list[str]:
    """SIGSTOP at the boundary, SIGCONT while the run that takes over is at work."""
    world.wait_less_for_locks()
    others: list[DirectedRun] = []
    turn = random.Random(str(place)).randint(1, len(clean.boundaries))  # noqa: S311 - a seed

    def meanwhile(run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            run.freeze()

            def wake(other: DirectedRun, _boundary: Boundary) -> str:
                if len(other.passed) == turn:
                    run.wake()
                return "go"

            others.append(world.start(wake, **NO_LEASE, retry_timeout_seconds=5))
            others[0].wait_for(lambda: len(others[0].passed) >= turn)
            run.wake()
        return "go"

    told = world.tell(meanwhile, **NO_LEASE)
    return woken(world, clean, told, [other.wait() for other in others])


def woken(world: World, clean: Clean, told: Told, others: list[Told]) -> list[str]:
    strange = [one for one in (told, *others) if one.code not in (0, 3)]
    if strange:
        return [f"a run ended with {one.code}: {one.words}" for one in strange]
    # Mostly the two have put everything right between them.
    if told.is_done and not judged(world, clean, told, may_hold=may_hold(world)):
        return []
    return judged(world, clean, world.tell(), may_hold=may_hold(world))


def spoil_at(place: Boundary, side: str, word: str) -> Director:
    """Spoil that exchange, and no other."""
    there = Boundary(place.name, place.nth, side)
    return lambda _run, boundary: word if boundary == there else "go"


def spoiled(fault: str) -> Callable[[World, Clean, Boundary], list[str]]:
    """One fault on the wire; the run heals itself, or stops and the next one puts it right."""

    def disturb(world: World, clean: Clean, place: Boundary) -> list[str]:
        told = world.tell(spoil_at(place, *FAULTS[fault]))
        # A login that is answered as if the secret were wrong is for a human to look at.
        allowed = (0, 2, 3) if "oauth2" in place.name else (0, 3)
        if told.code not in allowed:
            return [f"the run ended with {told.code}: {told.words}"]
        last = told if told.is_done else world.tell()
        return judged(world, clean, last, may_hold=may_hold(world))

    return disturb


def may_hold(world: World) -> Collection[str]:
    """Why somebody may be held: without the field nobody can know what a collections call did whose
    answer is lost. What a job did can always be asked."""
    return () if world.kind.has_field else ("RESPONSE_LOST",)


def undisturbed(world: World, clean: Clean, _place: Boundary) -> list[str]:
    """Nothing happens at all."""
    return judged(world, clean, world.tell())


def raced(world: World, clean: Clean, place: Boundary) -> list[str]:
    """SIGSTOP at the boundary; when the run that takes over is about to do the same thing, the
    first one wakes and runs to its end, and only then the second goes on."""
    world.wait_less_for_locks()
    others: list[DirectedRun] = []
    has_come = Event()

    def meanwhile(run: DirectedRun, boundary: Boundary) -> str:
        def hold(_other: DirectedRun, its: Boundary) -> str:
            if its.name == place.name and not has_come.is_set():
                has_come.set()
                run.wait_until_over(10)
            return "go"

        if boundary == place:
            run.freeze()
            others.append(world.start(hold, **NO_LEASE))
            others[0].wait_for(has_come.is_set)
            run.wake()
        return "go"

    told = world.tell(meanwhile, **NO_LEASE)
    return woken(world, clean, told, [other.wait() for other in others])


def beside(world: World, clean: Clean, place: Boundary) -> list[str]:
    """Another run comes and goes while this one, alive and slow, stands at the boundary: with its
    lease still good it keeps its batches, whatever time it is on its own clock."""
    world.wait_less_for_locks()
    others: list[Told] = []

    def meanwhile(_run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            others.append(world.tell(retry_timeout_seconds=0))
        return "go"

    told = world.tell(meanwhile, time_zone="West+12")
    robbed = world.rows("select batch_id from lead_batches where fencing_token > 1")
    if robbed and told.is_done:
        return [f"{len(robbed)} batches were taken from a run that was alive"]
    return woken(world, clean, told, others)


def now_meanwhile(world: World, clean: Clean, place: Boundary) -> list[str]:
    """Somebody asks for persons at once while the nightly run stands at the boundary."""
    world.wait_less_for_locks()
    others: list[Told] = []

    def meanwhile(_run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            ids = ["P0005", "P0007", "P0035"]
            others.append(world.tell(mode="now", person_ids=ids, retry_timeout_seconds=0))
        return "go"

    told = world.tell(meanwhile)
    return woken(world, clean, told, others)


def a_row_missing_once(world: World, clean: Clean, place: Boundary) -> list[str]:
    """A result file comes short by a row, once: read again it is whole, and nobody is held."""
    return judged(world, clean, world.tell(spoil_at(place, "after", "short")))


Technique = Callable[[World, Clean, Boundary], list[str]]

AT_BOUNDARIES: dict[str, Technique] = {
    "killed": killed,
    "frozen": frozen,
    "killed twice": killed_twice,
    "killed every time": killed_every_time,
    "overlapped": overlapped,
    "raced": raced,
    "beside another": beside,
    "now meanwhile": now_meanwhile,
}
AT_EXCHANGES: dict[str, Technique] = {fault: spoiled(fault) for fault in FAULTS}
