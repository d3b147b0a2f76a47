"""Ctrl-C and SIGTERM in every command and at every kind of moment, as a user meets them.

On a real terminal and without one, on both engines where the engine matters: within two seconds one
sentence and exit code 130 or 143, nothing left running, and the next run completes everything once.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests.cli.conftest import COMMAND, CommandLine
from tests.cli.terminals import MOST_SECONDS, Command, Ended, started
from tests.steps.scenario import Scenario, make_persons

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
WORDS = {INT: "interrupted", TERM: "terminated"}
REASONS = {INT: "interrupted by Ctrl-C", TERM: "terminated by SIGTERM"}
CONTINUES = ": nothing is lost; `person-sync run` or `person-sync resume` continues"
COUNT = 12
LOGIN = "POST /services/oauth2/token"


MakeCli = Callable[[Scenario], CommandLine]


@pytest.fixture
def busy(scenario: Scenario, make_cli: MakeCli) -> CommandLine:
    """The command on SQLite, with new persons in three slices."""
    return with_persons(make_cli(scenario))


@pytest.fixture
def any_busy(any_scenario: Scenario, make_cli: MakeCli) -> CommandLine:
    """The same on each engine in turn."""
    return with_persons(make_cli(any_scenario))


def with_persons(cli: CommandLine) -> CommandLine:
    cli.scenario.put_frame(make_persons(COUNT).assign(owner_strategy=None))
    cli.set(run={"slice_size": 4})
    return cli


def start(cli: CommandLine, *words: str, **options: Any) -> Any:
    return started([COMMAND, *words], cli.folder, cli.environment, **options)


def hang(cli: CommandLine, match: str) -> None:
    """The org does not answer these requests for a long time."""
    cli.scenario.emulator.go_wrong({"match": match, "fault": "slow:60", "count": 9})


def asks_again(cli: CommandLine, known: int) -> bool:
    """The org has one more login to answer than it had."""
    return len(cli.scenario.emulator.served("oauth2/token")) > known


def is_asked(cli: CommandLine, pattern: str) -> bool:
    """The org has such a request, and has not answered it."""
    return bool(cli.scenario.emulator.served(f"{pattern}\\S* 0$"))


def require_ended(ended: Ended, number: signal.Signals, remedy: str) -> None:
    """One sentence, the exit code of the signal, no traceback, in time."""
    assert "Traceback" not in ended.stdout + ended.stderr, ended
    assert ended.exit_code == 128 + number, ended
    assert ended.lines[-1] == f"{WORDS[number]}{remedy}", ended
    assert sum(line.startswith(WORDS[number]) for line in ended.lines) == 1, ended
    assert ended.seconds < MOST_SECONDS, ended


def require_complete(cli: CommandLine) -> None:
    """Assert that the next run makes every person a lead, once."""
    cli.scenario.emulator.go_wrong()
    again = cli("run")
    assert again.exit_code == 0, again.output
    assert cli.scenario.unaccounted() == []
    assert len(cli.scenario.leads()) == len(cli.scenario.rows("select person_id from persons"))
    assert cli.scenario.miscounted_runs() == []


def ends(cli: CommandLine) -> list[tuple[Any, ...]]:
    rows = cli.scenario.rows(
        "select run_state, error_code, error_message from sync_runs order by started_at"
    )
    return [tuple(row.values()) for row in rows]


# --- A run that waits for the org


def slow_queue(cli: CommandLine) -> None:
    cli.scenario.set_org("[behaviour]\nqueue_seconds = 6.0\n")


@dataclass(frozen=True)
class Moment:
    """A moment at which a run waits until it is ended, and how the test notices it."""

    prepare: Callable[[CommandLine], None]
    has_come: Callable[[CommandLine], object]


def hanging(match: str, pattern: str) -> Moment:
    return Moment(lambda cli: hang(cli, match), lambda cli: is_asked(cli, pattern))


MOMENTS = {
    "login": hanging(LOGIN, "oauth2/token"),
    "lookup": hanging("GET /queryAll", "queryAll"),
    "upload": hanging("PUT /jobs/ingest/*/batches", "batches"),
    "poll": Moment(slow_queue, lambda cli: cli.scenario.emulator.served("GET .*ingest/750")),
    "results": hanging("GET /jobs/ingest/*/successfulResults*", "successfulResults"),
}
CASES = [
    pytest.param(name, number, has_terminal, marks=[pytest.mark.slow] if is_long else [])
    for at, name in enumerate(MOMENTS)
    for number, has_terminal, is_long in [
        (INT, True, bool(at % 2)),
        (TERM, False, not at % 2),
        (INT, False, True),
        (TERM, True, True),
    ]
]


@pytest.mark.parametrize(("name", "number", "has_terminal"), CASES)
def test_a_run_that_waits_for_the_org_ends_and_the_next_one_continues(
    busy: CommandLine, name: str, number: signal.Signals, has_terminal: bool
) -> None:
    MOMENTS[name].prepare(busy)
    with start(busy, "run", has_terminal=has_terminal) as command:
        command.wait_for(lambda: MOMENTS[name].has_come(busy))
        ended = command.end_by(number)
        assert command.left_after() == {}
    require_ended(ended, number, CONTINUES)
    assert ends(busy) == [("failed", "Interrupted", REASONS[number])]
    require_complete(busy)


# --- A command that waits for the database


def endless_view(cli: CommandLine) -> None:
    """Persons whose reading takes an hour, inside one call of the database."""
    scenario = cli.scenario
    if scenario.engine.dialect.name == "sqlite":
        count = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from"
        scenario.run(f"create view endless as select * from persons where ({count} n) > 0")
    else:
        scenario.run(
            "create view public.endless as select * from public.persons "
            "where pg_sleep(3600) is not null"
        )


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_run_that_reads_a_large_table_ends_and_its_query_with_it(
    any_busy: CommandLine, number: signal.Signals
) -> None:
    endless_view(any_busy)
    any_busy.set(run={"slice_size": 4}, warehouse={"persons": "endless"})
    with start(any_busy, "run") as command:
        command.wait_for(lambda: "choices" in command.text)  # the last line before it reads
        time.sleep(0.3)
        ended = command.end_by(number)
        assert command.left_after() == {}
    require_ended(ended, number, CONTINUES)
    assert queries_left(any_busy) == []
    any_busy.set(run={"slice_size": 4})
    require_complete(any_busy)


def queries_left(cli: CommandLine) -> list[Any]:
    """What a PostgreSQL server still does for a command that has ended."""
    if cli.scenario.engine.dialect.name == "sqlite":
        return []
    activity = (
        "select query from pg_stat_activity where application_name = 'person-sync' "
        "and datname = current_database() and state = 'active'"
    )
    give_up_at = time.monotonic() + 5
    while (found := cli.scenario.rows(activity)) and time.monotonic() < give_up_at:
        time.sleep(0.1)
    return found


@contextmanager
def locked(scenario: Scenario) -> Iterator[None]:
    """Somebody holds the table of runs, or on SQLite the whole file."""
    if scenario.engine.dialect.name == "sqlite":
        engine = sqlalchemy.create_engine(scenario.warehouse_url)
        statement = "begin immediate"
    else:
        engine = scenario.engine
        statement = "lock table sync_runs, rejection_rules in access exclusive mode"
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        yield
    if engine is not scenario.engine:
        engine.dispose()


def waits_for_lock(cli: CommandLine, command: Command) -> bool:
    """The command has come as far as the lock. Its wait would end after 3 s, on SQLite after 10."""
    if cli.scenario.engine.dialect.name == "sqlite":
        is_there = f"{cli.folder}/warehouse.db" in opened_by(command)
        time.sleep(0.5 if is_there else 0)
        return is_there
    waiting = "select 1 from pg_stat_activity where datname = current_database()"
    return bool(cli.scenario.rows(f"{waiting} and wait_event_type = 'Lock'"))


def opened_by(command: Command) -> set[str]:
    files = set()
    for one in Path(f"/proc/{command.pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            files.add(os.readlink(one))
    return files


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_run_that_waits_for_a_lock_ends(any_busy: CommandLine, number: signal.Signals) -> None:
    with locked(any_busy.scenario), start(any_busy, "run") as command:
        command.wait_for(lambda: waits_for_lock(any_busy, command))
        ended = command.end_by(number)
        assert command.left_after() == {}
    require_ended(ended, number, CONTINUES)
    assert queries_left(any_busy) == []
    require_complete(any_busy)


# --- Every other command

RESOLVE = ("resolve", "P1", "--as", "resend", "--by", "ada")
AT_LOGIN = [
    (("check",), ""),
    (("now", "P0001"), CONTINUES),
    (("resume",), CONTINUES),
    (("run", "--plan"), CONTINUES),
    (RESOLVE, ": nothing is half done; give the same command again"),
]


@pytest.mark.parametrize(("words", "remedy"), AT_LOGIN, ids=[words[0] for words, _ in AT_LOGIN])
def test_every_command_ends_while_a_login_hangs(
    busy: CommandLine, words: tuple[str, ...], remedy: str
) -> None:
    for number in (INT, TERM):
        hang(busy, LOGIN)
        known = len(busy.scenario.emulator.served("oauth2/token"))
        with start(busy, *words) as command:
            command.wait_for(partial(asks_again, busy, known))
            ended = command.end_by(number)
            assert command.left_after() == {}
        require_ended(ended, number, remedy)
    require_complete(busy)


MIGRATES = ("migrate", ": nothing is half done; `person-sync migrate` continues")


@pytest.mark.parametrize(
    ("warehouse_url", "words", "remedy"),
    # Without status on SQLite: a reader waits for no writer there.
    [("postgres", "status", ""), ("postgres", *MIGRATES), ("sqlite", *MIGRATES)],
    indirect=["warehouse_url"],
)
def test_what_only_asks_the_warehouse_ends_while_that_is_locked(
    any_busy: CommandLine, words: str, remedy: str
) -> None:
    for number in (INT, TERM):
        with locked(any_busy.scenario), start(any_busy, words) as command:
            command.wait_for(partial(waits_for_lock, any_busy, command))
            ended = command.end_by(number)
        require_ended(ended, number, remedy)


def catches(command: Command, number: signal.Signals) -> bool:
    """The process has a handler for the signal."""
    status = Path(f"/proc/{command.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [INT, TERM])
def test_every_command_ends_while_it_is_still_importing(
    busy: CommandLine, number: signal.Signals
) -> None:
    hang(busy, LOGIN)
    commands = [("run",), ("now", "P0001"), ("resume",), ("check",), RESOLVE, ("migrate",)]
    for at, words in enumerate([*commands, ("status",), ("emulator", "--port", "0"), ("demo",)]):
        with start(busy, *words) as command:
            command.wait_for(lambda: catches(command, TERM))
            time.sleep(at * 0.02)
            ended = command.end_by(number)
            assert command.left_after(but="pipelines.emulator.server") == {}
        assert ended.exit_code == 128 + number, (words, ended)
        assert "Traceback" not in ended.stdout, (words, ended)
        assert ended.lines[-1].startswith(WORDS[number]), (words, ended)
        assert ended.seconds < MOST_SECONDS, (words, ended)
    require_complete(busy)


@pytest.mark.parametrize("number", [INT, TERM])
def test_the_emulator_prints_that_it_has_stopped(busy: CommandLine, number: signal.Signals) -> None:
    with start(busy, "emulator", "--port", "0") as command:
        command.wait_for(lambda: "org emulator on" in command.text)
        ended = command.end_by(number)
        assert command.left_after() == {}
    require_ended(ended, number, ": the org emulator has stopped")


@pytest.mark.parametrize("number", [INT, TERM])
def test_the_demo_ends_and_only_its_emulator_continues(
    busy: CommandLine, number: signal.Signals
) -> None:
    with start(busy, "demo", "--persons", "20000") as command:
        command.wait_for(lambda: "persons: 20,000 new" in command.text)
        ended = command.end_by(number)
        assert command.left_after(but="pipelines.emulator.server") == {}
    require_ended(ended, number, ": `person-sync demo` starts it from the beginning")


# --- Several workers


@pytest.mark.parametrize("number", [INT, TERM])
def test_workers_that_are_threads_end_with_their_run(
    any_busy: CommandLine, number: signal.Signals
) -> None:
    hang(any_busy, "PUT /jobs/ingest/*/batches")
    with start(any_busy, "run", "--workers", "3") as command:
        command.wait_for(lambda: is_asked(any_busy, "batches"))
        ended = command.end_by(number)
        assert command.left_after() == {}
    require_ended(ended, number, CONTINUES)
    require_complete(any_busy)
    # Its process was dead when the next run came, or it had the time to say so itself.
    assert ends(any_busy)[0][:2] in [("failed", "PROCESS_DIED"), ("failed", "Interrupted")]


@pytest.mark.slow
@pytest.mark.parametrize("number", [INT, TERM])
@pytest.mark.parametrize("seconds", [None, 1.0, 3.0])
def test_workers_of_a_dask_cluster_end_with_their_run(
    busy: CommandLine, number: signal.Signals, seconds: float | None
) -> None:
    """While they work, or (seconds) while the cluster starts."""
    busy.set(run={"slice_size": 4, "task_runner": "dask"})
    hang(busy, "PUT /jobs/ingest/*/batches")
    with start(busy, "run", "--workers", "2") as command:
        if seconds is None:
            command.wait_for(lambda: is_asked(busy, "batches"))
        else:
            command.wait_for(lambda: "persons: 12 new" in command.text)
            time.sleep(seconds)
        ended = command.end_by(number)
        assert command.left_after(10) == {}
    require_ended(ended, number, CONTINUES)
    busy.set(run={"slice_size": 4})
    require_complete(busy)


# --- How a signal may come


def test_a_second_ctrl_c_ends_it_together(busy: CommandLine) -> None:
    hang(busy, "PUT /jobs/ingest/*/batches")
    with start(busy, "run", "--workers", "3") as command:
        command.wait_for(lambda: is_asked(busy, "batches"))
        command.send(INT)
        time.sleep(0.3)
        ended = command.end_by(INT)
    require_ended(ended, INT, CONTINUES)
    require_complete(busy)


def test_the_same_signal_twice_in_a_moment_is_one(busy: CommandLine) -> None:
    # timeout(1) signals its child, and then the group that the child is in.
    hang(busy, LOGIN)
    with start(busy, "run", has_terminal=False) as command:
        command.wait_for(lambda: is_asked(busy, "oauth2/token"))
        command.send(TERM)
        ended = command.end_by(TERM)
    require_ended(ended, TERM, CONTINUES)
    assert ends(busy) == [("failed", "Interrupted", REASONS[TERM])]


def test_a_closed_terminal_ends_the_run(busy: CommandLine) -> None:
    hang(busy, LOGIN)
    with start(busy, "run") as command:
        command.wait_for(lambda: is_asked(busy, "oauth2/token"))
        began = time.monotonic()
        command.hang_up()
        ended = command.wait(began)
        assert command.left_after() == {}
    assert (ended.exit_code, ended.seconds < MOST_SECONDS) == (128 + HUP, True), ended
    assert ends(busy) == [("failed", "Interrupted", "the terminal was closed (SIGHUP)")]
    require_complete(busy)


@pytest.mark.parametrize("number", [INT, HUP])
def test_a_signal_that_is_ignored_stays_ignored(busy: CommandLine, number: signal.Signals) -> None:
    """As in the background of a script, and under nohup."""
    hang(busy, LOGIN)
    with start(busy, "run", has_terminal=False, ignores=number) as command:
        command.wait_for(lambda: is_asked(busy, "oauth2/token"))
        command.send(number)
        time.sleep(2.5)
        assert command.left()
        ended = command.end_by(TERM)
    require_ended(ended, TERM, CONTINUES)


@pytest.mark.parametrize(("number", "kind"), [(INT, "Interrupted"), (TERM, "Terminated")])
@pytest.mark.parametrize("words", [("run",), ("run", "--workers", "3"), ("check",)])
def test_in_json_the_end_is_one_document(
    busy: CommandLine, words: tuple[str, ...], number: signal.Signals, kind: str
) -> None:
    hang(busy, "PUT /jobs/ingest/*/batches" if "--workers" in words else LOGIN)
    pattern = "batches" if "--workers" in words else "oauth2/token"
    with start(busy, *words, "--json", has_terminal=False) as command:
        command.wait_for(lambda: is_asked(busy, pattern))
        ended = command.end_by(number)
    remedy = "" if words == ("check",) else CONTINUES
    require_ended(ended, number, remedy)
    assert ended.stdout.count("\n") == 1, ended
    message = f"{WORDS[number]}{remedy}"
    assert json.loads(ended.stdout) == {"error": kind, "message": message, "is_transient": True}


def test_a_reader_who_reads_nothing_keeps_nothing_from_ending(busy: CommandLine) -> None:
    """A pager that stands still: the pipe of stderr is full when the signal comes."""
    hang(busy, LOGIN)
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writable, b"." * 4096)
    os.set_blocking(writable, True)
    with start(busy, "run", stderr=writable, has_terminal=False) as command:
        command.wait_for(lambda: catches(command, TERM))
        time.sleep(1)
        ended = command.end_by(TERM)
    os.close(readable)
    os.close(writable)
    assert (ended.exit_code, ended.seconds < MOST_SECONDS) == (128 + TERM, True), ended
    require_complete(busy)
