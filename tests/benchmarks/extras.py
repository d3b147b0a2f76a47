"""What a contest of loads does not show: memory between the sizes, a load into an org that has a
million leads already, Prefect's share, one person now, and a run that finds nobody new. All on
SQLite against the sink."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import children, crowds
from tests.benchmarks.children import RunFailed
from tests.benchmarks.contest import Contest
from tests.benchmarks.ours import config_of
from tests.benchmarks.samples import Case
from tests.prefect_server import Server, running_server

MEMORY_PERSONS = 200_000
FEW_PERSONS = 200
KNOWN_LEADS, KNOWN_SHARE = 1_000_000, 0.01
_COMMAND = "from pipelines.cli import main; main()"


@dataclass(frozen=True)
class Extras:
    """Seconds, each the median of some runs; None for what was not measured."""

    now_seconds: float | None = None
    now_cpu_seconds: float | None = None
    idle_command_seconds: float | None = None
    idle_story_seconds: float | None = None
    prefect_person_count: int = 0
    prefect_flow_seconds: float | None = None
    prefect_plain_seconds: float | None = None
    known_person_count: int = 0
    known_api_call_count: float | None = None
    known_seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Every figure by its name."""
        return dict(vars(self))


def measure(contest: Contest, prefect_person_count: int) -> Extras:
    """Measure all of it, each as often as the contest repeats; loads, while there is time."""
    repeat = contest.choices.repeat
    contest.run(_case(MEMORY_PERSONS))
    known = _among_known(contest)
    now = _one_now(contest)
    with tempfile.TemporaryDirectory() as home, running_server(Path(home)) as server:
        command, story = _idle(contest, server, repeat)
        flow, plain = _with_and_without(contest, server, prefect_person_count, repeat)
    return Extras(*now, command, story, prefect_person_count, flow, plain, *known)


def _case(count: int) -> Case:
    return Case(count, "sink", "sqlite", "ours")


def _among_known(contest: Contest) -> tuple[int, float | None, float | None]:
    """The largest load there is time for, into an org of a million leads: how many persons, API
    calls, and seconds of the story."""
    for count in sorted(contest.choices.person_counts, reverse=True):
        if contest.has_time_for(_case(count)):
            known = {"known_leads": KNOWN_LEADS, "known_share": KNOWN_SHARE}
            done, _ = contest.perform(_case(count), "tests.benchmarks.ours", **known)
            told = done.document
            _require_known(count, told)
            return count, told["api_call_count"], told["story_wall_seconds"]
    return 0, None, None


def _require_known(count: int, told: dict[str, Any]) -> None:
    """Whom the org has is found there and not made again: else it was no load among known leads."""
    with_leads = crowds.persons(0, min(count, int(KNOWN_LEADS * KNOWN_SHARE)))
    expected = crowds.lead_count(count) - crowds.accepted(with_leads).num_rows
    if told["created_count"] != expected:
        raise RunFailed(f"made {told['created_count']} leads where {expected} are right")


def _one_now(contest: Contest) -> tuple[float, float]:
    """Wall without the org's time, and processor; the first turn only warms up."""
    done, _ = contest.perform(_case(FEW_PERSONS), "tests.benchmarks.ours", mode="now")
    turns = done.document["turns"]
    _, *warm = [(turn["wall_seconds"] - turn["org_seconds"], turn["cpu_seconds"]) for turn in turns]
    walls, cpus = zip(*warm, strict=True)
    return median(walls), median(cpus)


def _idle(contest: Contest, server: Server, repeat: int) -> tuple[float, float]:
    """The command with nobody new, from start to exit; and of such a run what is the story."""
    case = _case(FEW_PERSONS)
    with contest.warehouse(case) as url, children.org("sink") as org, _config() as config:
        task = contest.task(case, url, org, config=str(config))
        config.write_text(config_of(task), encoding="utf-8")
        command = ["-c", _COMMAND, "run", "--config", str(config)]
        story = ["-m", "tests.benchmarks.ours", task.as_argument()]
        _run(story)
        commands = [_run(command, server.own).process_seconds for _ in range(repeat)]
        stories = [_run(story).document["story_wall_seconds"] for _ in range(repeat)]
    return median(commands), median(stories)


def _with_and_without(
    contest: Contest, server: Server, count: int, repeat: int
) -> tuple[float, float]:
    """A load as Prefect's flow and without Prefect, from start to exit, by turns."""

    def seconds(mode: str) -> float:
        with _config() as config:
            done, _ = contest.perform(
                _case(count),
                "tests.benchmarks.ours",
                mode=mode,
                config=str(config),
                environment=server.own,
            )
        return done.process_seconds

    pairs = [(seconds("flow"), seconds("plain"))]
    while len(pairs) < repeat and contest.seconds_left() > sum(pairs[-1]):
        pairs.append((seconds("flow"), seconds("plain")))
    flows, plains = zip(*pairs, strict=True)
    return median(flows), median(plains)


def _run(command: list[str], environment: dict[str, str] | None = None) -> children.Finished:
    return children.run(command, limit_seconds=600, environment=environment)


@contextmanager
def _config() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "person-sync.toml"
