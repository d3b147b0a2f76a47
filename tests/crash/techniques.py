"""The ways to disturb a run: each leaves the environment to be judged by `accounts`.

Every technique takes an environment and a place, performs a disturbed run, then as many runs as the
promise allows, and answers the violations found. An empty list is a promise kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from threading import Event

from pipelines.steps.job_results import MAX_ATTEMPTS
from tests.crash.accounts import PersonOutcome, differences, outcomes, troubles
from tests.crash.directed import Boundary, DirectedRun, Director, RunResult
from tests.crash.environments import Environment, EnvironmentFactory
from tests.crash.variants import Variant

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
    """A variant undisturbed: its boundaries, and what becomes of everybody."""

    boundaries: list[Boundary]
    outcomes: Mapping[str, PersonOutcome]

    @property
    def exchanges(self) -> list[Boundary]:
        """Every HTTP exchange, once."""
        return [one for one in self.boundaries if not one.is_commit and one.side == "before"]


def discover(factory: EnvironmentFactory, variant: Variant) -> Clean:
    """Find the boundaries by running. How often a job is polled is a matter of speed, so only what
    two runs have in common counts."""
    passed: list[list[Boundary]] = []
    found: dict[str, PersonOutcome] = {}
    # Jobs have their troubles wherever the run stands: there no boundary is asked for.
    for _ in range(1 if variant.people == "many" else 2):
        with factory.environment(variant) as environment:
            run = environment.start()
            result = run.wait()
            assert result.is_done, result
            assert troubles(environment) == []
            passed.append(run.passed)
            found = outcomes(environment)
    return Clean([one for one in passed[0] if one in set(passed[-1])], found)


def violations(
    environment: Environment, clean: Clean, last: RunResult, *, may_hold: Collection[str] = ()
) -> list[str]:
    """The violations, if the run that should have put everything right has done so."""
    if not last.is_done:
        return [f"the recovery ended with {last.code}: {last.words}"]
    return troubles(environment) + differences(environment, clean.outcomes, may_hold)


def kill_at(place: Boundary) -> Director:
    """Kill the run there, as a power cut would."""
    return lambda run, boundary: run.kill() if boundary == place else "go"


def killed(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """kill -9 at the boundary; one more run puts everything right."""
    environment.run_to_end(kill_at(place))
    return violations(environment, clean, environment.run_to_end(), may_hold=may_hold(environment))


def killed_twice(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """kill -9 at the boundary, and again at a random one of the run that carries on."""
    environment.run_to_end(kill_at(place))
    turn = random.Random(str(place)).randint(1, len(clean.boundaries))  # noqa: S311 - a seed
    last = environment.run_to_end(kill_at_turn(turn))
    if not last.is_done:
        last = environment.run_to_end()
    return violations(environment, clean, last, may_hold=may_hold(environment))


def killed_every_time(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """kill -9 at the boundary in run after run, more often than a batch has attempts: a job that
    was thrown away with nothing made uses none up."""
    for _ in range(MAX_ATTEMPTS + 1):
        environment.run_to_end(kill_at(place))
    return violations(environment, clean, environment.run_to_end(), may_hold=may_hold(environment))


def kill_at_turn(turn: int) -> Director:
    """Kill the run at its so-manieth boundary."""
    return lambda run, _boundary: run.kill() if len(run.passed) == turn else "go"


def frozen(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """SIGSTOP at the boundary, another run takes over and comes to its end, SIGCONT."""
    environment.wait_less_for_locks()
    others: list[RunResult] = []

    def meanwhile(run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            run.freeze()
            others.append(environment.run_to_end(**HURRIED))
            run.wake()
        return "go"

    return woken(environment, clean, environment.run_to_end(meanwhile, **NO_LEASE), others)


def overlapped(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """SIGSTOP at the boundary, SIGCONT while the run that takes over is at work."""
    environment.wait_less_for_locks()
    others: list[DirectedRun] = []
    turn = random.Random(str(place)).randint(1, len(clean.boundaries))  # noqa: S311 - a seed

    def meanwhile(run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            run.freeze()

            def wake(other: DirectedRun, _boundary: Boundary) -> str:
                if len(other.passed) == turn:
                    run.wake()
                return "go"

            others.append(environment.start(wake, **NO_LEASE, retry_timeout_seconds=5))
            others[0].wait_for(lambda: len(others[0].passed) >= turn)
            run.wake()
        return "go"

    result = environment.run_to_end(meanwhile, **NO_LEASE)
    return woken(environment, clean, result, [other.wait() for other in others])


def woken(
    environment: Environment, clean: Clean, result: RunResult, others: list[RunResult]
) -> list[str]:
    strange = [one for one in (result, *others) if one.code not in (0, 3)]
    if strange:
        return [f"a run ended with {one.code}: {one.words}" for one in strange]
    # Mostly the two have put everything right between them.
    if result.is_done and not violations(
        environment, clean, result, may_hold=may_hold(environment)
    ):
        return []
    return violations(environment, clean, environment.run_to_end(), may_hold=may_hold(environment))


def spoil_at(place: Boundary, side: str, word: str) -> Director:
    """Spoil that exchange, and no other."""
    there = Boundary(place.name, place.nth, side)
    return lambda _run, boundary: word if boundary == there else "go"


def spoiled(fault: str) -> Callable[[Environment, Clean, Boundary], list[str]]:
    """One fault on the wire; the run heals itself, or stops and the next one puts it right."""

    def disturb(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
        result = environment.run_to_end(spoil_at(place, *FAULTS[fault]))
        # A login that is answered as if the secret were wrong is for a human to look at.
        allowed = (0, 2, 3) if "oauth2" in place.name else (0, 3)
        if result.code not in allowed:
            return [f"the run ended with {result.code}: {result.words}"]
        last = result if result.is_done else environment.run_to_end()
        return violations(environment, clean, last, may_hold=may_hold(environment))

    return disturb


def may_hold(environment: Environment) -> Collection[str]:
    """Why somebody may be held: without the field nobody can know what a collections call did whose
    answer is lost. What a job did can always be asked."""
    return () if environment.variant.has_field else ("RESPONSE_LOST",)


def undisturbed(environment: Environment, clean: Clean, _place: Boundary) -> list[str]:
    """Nothing happens at all."""
    return violations(environment, clean, environment.run_to_end())


def raced(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """SIGSTOP at the boundary; when the run that takes over is about to do the same thing, the
    first one wakes and runs to its end, and only then the second goes on."""
    environment.wait_less_for_locks()
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
            others.append(environment.start(hold, **NO_LEASE))
            others[0].wait_for(has_come.is_set)
            run.wake()
        return "go"

    result = environment.run_to_end(meanwhile, **NO_LEASE)
    return woken(environment, clean, result, [other.wait() for other in others])


def another_meanwhile(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """Another run comes and goes while this one, alive and slow, stands at the boundary: with its
    lease still good it keeps its batches, whatever time it is on its own clock."""
    environment.wait_less_for_locks()
    others: list[RunResult] = []

    def meanwhile(_run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            others.append(environment.run_to_end(retry_timeout_seconds=0))
        return "go"

    result = environment.run_to_end(meanwhile, time_zone="West+12")
    robbed = environment.rows("select batch_id from lead_batches where fencing_token > 1")
    if robbed and result.is_done:
        return [f"{len(robbed)} batches were taken from a run that was alive"]
    return woken(environment, clean, result, others)


def now_meanwhile(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """Somebody asks for persons at once while the nightly run stands at the boundary."""
    environment.wait_less_for_locks()
    others: list[RunResult] = []

    def meanwhile(_run: DirectedRun, boundary: Boundary) -> str:
        if boundary == place:
            ids = ["P0005", "P0007", "P0035"]
            others.append(
                environment.run_to_end(mode="now", person_ids=ids, retry_timeout_seconds=0)
            )
        return "go"

    result = environment.run_to_end(meanwhile)
    return woken(environment, clean, result, others)


def a_row_missing_once(environment: Environment, clean: Clean, place: Boundary) -> list[str]:
    """A result file comes short by a row, once: read again it is whole, and nobody is held."""
    return violations(environment, clean, environment.run_to_end(spoil_at(place, "after", "short")))


Technique = Callable[[Environment, Clean, Boundary], list[str]]

AT_BOUNDARIES: dict[str, Technique] = {
    "killed": killed,
    "frozen": frozen,
    "killed twice": killed_twice,
    "killed every time": killed_every_time,
    "overlapped": overlapped,
    "raced": raced,
    "another run meanwhile": another_meanwhile,
    "now meanwhile": now_meanwhile,
}
AT_EXCHANGES: dict[str, Technique] = {fault: spoiled(fault) for fault in FAULTS}
