"""The environments of the harness: a warehouse with persons, an org that knows some, settings.

Each case gets an environment of its own, copied within milliseconds. The warehouse is a SQLite file
in memory or a PostgreSQL database made from a template; the org is that of an emulator, reset.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import sqlalchemy
from sqlalchemy import Connection, Engine, NullPool

from tests.conftest import PostgresServer, _pgserver, _prepare
from tests.crash.directed import DirectedRun, Director, ForkServer, RunOrder, RunResult, go_on
from tests.crash.mutants import Change, copy_with
from tests.crash.small_disk import SmallDisk
from tests.crash.variants import KNOWN, PEOPLE, VARIANTS, Variant
from tests.emulator_process import running_emulator
from tests.org import ORG, PERSON_ID_FIELD
from tests.salesforce.servers import Emulator
from tests.steps.scenario import put_persons

# The library that brings PostgreSQL starts and stops one server at a time, or trips over itself.
STARTING = threading.Lock()
ANOTHER_ORG = "00D5e0000000002EAA"


@dataclass
class Environment:
    """One warehouse and one org, for one case."""

    variant: Variant
    url: str
    emulator: Emulator
    fork_server: ForkServer
    databases: Databases
    seeded: frozenset[str]
    most_seconds: float = 60
    settings: dict[str, Any] = field(default_factory=dict)
    runs: list[DirectedRun] = field(default_factory=list)
    # Techniques with a place of their own kind say themselves whether it was come to.
    is_reached: bool | None = None
    runs_accounted: int = 0

    def start(
        self,
        director: Director = go_on,
        mode: str = "live",
        *,
        person_ids: list[str] | None = None,
        most_pages: int = 0,
        time_zone: str = "",
        accept_unknown_jobs: bool = False,
        **run: Any,
    ) -> DirectedRun:
        """A run begins; `run` are settings of that group."""
        settings = self.values(**run)
        order = RunOrder(settings, mode, person_ids, most_pages, time_zone, accept_unknown_jobs)
        self.runs.append(DirectedRun(self.fork_server, order, director))
        return self.runs[-1]

    def run_to_end(self, director: Director = go_on, mode: str = "live", **more: Any) -> RunResult:
        """A run from its beginning to its end."""
        return self.start(director, mode, **more).wait(self.most_seconds)

    def values(self, **run: Any) -> dict[str, Any]:
        """The settings of a run, as a settings file would say them."""
        values: dict[str, Any] = {
            "warehouse": {"url": self.url},
            "salesforce": {
                "domain": "acme.my",
                "consumer_key": "test-key",
                "consumer_secret": "test-secret",
                "emulator_url": self.emulator.url,
                "person_id_field": "Person_Id__c" if self.variant.has_field else "",
            },
            "matching": {"existing_lead": "update"},
            "run": {
                "slice_size": 30 if self.variant.people == "mixed" else 10_000,
                "open_batches": 2,
                "poll_seconds": 0.02,
            },
        }
        for group, names in self.settings.items():
            values[group] = {**values.get(group, {}), **names}
        values["run"] |= run
        return values

    def wait_less_for_locks(self) -> None:
        """Half a second instead of ten where somebody stands frozen with the lock in the hand."""
        if self.variant.engine == "sqlite":
            self.settings["warehouse"] = {"url": f"{self.url}?timeout=0.5"}

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine of the test's own, that sees the result tables."""
        path = {"options": "-c search_path=person_sync,public -c timezone=UTC"}
        given = path if self.variant.engine == "postgres" else {"timeout": 30}
        given |= {"check_same_thread": False} if self.variant.engine == "sqlite" else {}
        engine = sqlalchemy.create_engine(_driver(self.url), connect_args=given, poolclass=NullPool)
        yield engine
        engine.dispose()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection of that engine, in a transaction."""
        with self.engine() as engine, engine.begin() as connection:
            yield connection

    def rows(self, select: str) -> list[dict[str, Any]]:
        """What a select finds in the warehouse."""
        with self.connect() as connection:
            found = connection.execute(sqlalchemy.text(select)).mappings()
            return [dict(row) for row in found]

    @contextmanager
    def of_yesterday(self) -> Iterator[None]:
        """The warehouse is as it was before any run; the org is not."""
        today = self.url
        with self.databases.fresh(self.variant.engine, self.variant.people) as self.url:
            yield
        self.url = today

    @contextmanager
    def on_a_small_disk(self) -> Iterator[SmallDisk]:
        """The warehouse is on a disk that can be full. PostgreSQL only."""
        roomy = self.url
        with self.databases.on_a_small_disk(self.variant.people) as (self.url, disk):
            yield disk
        self.url = roomy

    @contextmanager
    def in_another_org(self) -> Iterator[None]:
        """The settings lead to another org, an empty one. Its emulator is this case's own: one kept
        for the next such case stopped by itself, which may be half an hour away."""
        home = self.emulator, self.seeded
        field_text = PERSON_ID_FIELD if self.variant.has_field else ""
        with running_emulator() as other:
            self.emulator, self.seeded = other, frozenset()
            other.reset(ORG.replace("[org]", f'[org]\nid = "{ANOTHER_ORG}"') + field_text)
            yield
        self.emulator, self.seeded = home

    def restart_server(self) -> None:
        """Stop the database server at once, as when it is killed, and start it again."""
        self.databases.restart()

    def leads(self) -> list[dict[str, Any]]:
        """Every lead that the org holds, those it had from the start aside."""
        held = self.emulator.held("leads")
        return [one for one in held if one["Id"] not in self.seeded and not one["IsDeleted"]]


class Databases:
    """Fresh databases with the persons in them, of either engine."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
        where = memory if memory.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(prefix="reliability-", dir=where)
        self._data = tempfile.TemporaryDirectory(prefix="reliability-pg-", dir=where)
        self._templates: dict[str, str] = {}
        self._is_restarted = False
        self._small: SmallDisk | None = None
        self._server: PostgresServer | None = None
        self._postgres: Any = None

    @contextmanager
    def fresh(self, engine: str, people: str) -> Iterator[str]:
        """The address of a database that nobody has used, with these persons."""
        if engine == "sqlite":
            template = self._sqlite_template(people)
            file = shutil.copy(template, f"{self._folder.name}/{uuid.uuid4().hex}")
            yield f"sqlite:///{file}"
            for part in Path(self._folder.name).glob(f"{Path(file).name}*"):
                part.unlink()
        else:
            name = self.server().fresh(template=self._postgres_template(people))
            yield self.server().address(name)
            self.server().run("drop database {} with (force)", name)

    def server(self) -> PostgresServer:
        """The server of these databases, started with the first."""
        if self._server is None:
            folder = Path(self._data.name) / "data"
            with STARTING:
                self._postgres = _pgserver().get_server(folder, cleanup_mode="stop")
            self._connect()
        assert self._server is not None
        return self._server

    def _connect(self) -> None:
        self._server = _durable(self._postgres.get_uri())

    @contextmanager
    def on_a_small_disk(self, people: str) -> Iterator[tuple[str, SmallDisk]]:
        """The address of a database with these persons on a disk of its own, and that disk."""
        if self._small is None:
            self.server()  # whose programs and user it takes
            self._small = SmallDisk(self._postgres)
        server = _durable(self._small.address)
        name = server.fresh()
        _fill(server.address(name), people)
        for _ in range(2):  # the second lets go of the log that the first has made needless
            server.run("select pg_switch_wal()")
            server.run("checkpoint")
        server.close()
        yield server.address(name), self._small
        self._small.make_room()
        server = _durable(self._small.address)
        server.run("drop database {} with (force)", name)
        server.close()

    def restart(self) -> None:
        """Stop the server at once, and start it again."""
        self.server().close()
        self._control("-m", "immediate", "restart")
        self._is_restarted = True
        self._connect()

    def _control(self, *words: str) -> None:
        command = [str(self._postgres.bin_path / "pg_ctl"), "-w", "-D", f"{self._data.name}/data"]
        # It does not run as root, and its children would keep a pipe open.
        who = {"user": self._postgres.system_user, "stdout": subprocess.DEVNULL}
        subprocess.run([*command, *words], check=True, timeout=60, **who)

    def _sqlite_template(self, people: str) -> Path:
        file = Path(self._folder.name) / people
        if not file.exists():
            _fill(f"sqlite:///{file}", people)
        return file

    def _postgres_template(self, people: str) -> str:
        if people not in self._templates:
            self._templates[people] = self.server().fresh()
            _fill(self.server().address(self._templates[people]), people)
        return self._templates[people]

    def close(self) -> None:
        """Stop the servers, forget everything."""
        if self._small is not None:
            self._small.close()
        if self._server is not None:
            self._server.close()
            if self._is_restarted:  # the library knows only of the process that it has started
                self._control("-m", "fast", "stop")
            with STARTING:
                self._postgres.cleanup()
        self._folder.cleanup()
        self._data.cleanup()


def _durable(address: str) -> PostgresServer:
    server = PostgresServer(address)
    # Without, a server that is killed forgets what it has said was committed.
    server.run("alter system set synchronous_commit = on")
    server.run("select pg_reload_conf()")
    return server


def _fill(url: str, people: str) -> None:
    _prepare(url)
    engine = sqlalchemy.create_engine(_driver(url), poolclass=NullPool)
    put_persons(engine, PEOPLE[people]())
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("analyze"))
    engine.dispose()


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


class EnvironmentFactory:
    """What one worker has for all of its cases: an emulator, a fork server, databases."""

    def __init__(self) -> None:
        self._more = ExitStack()
        self.emulator = self._more.enter_context(running_emulator())
        self.databases = Databases()
        self.fork_server = self._warm(ForkServer())
        self._fork_servers: dict[tuple[Change, ...], ForkServer] = {(): self.fork_server}

    def _warm(self, fork_server: ForkServer) -> ForkServer:
        with self._environment(VARIANTS[0], fork_server) as environment:
            fork_server.warm_up(environment.values())
        return fork_server

    @contextmanager
    def fork_server_of_changes(self, changes: tuple[Change, ...]) -> Iterator[ForkServer]:
        """A fork server of a copy of the code with these changes."""
        with (
            tempfile.TemporaryDirectory(prefix="planted-") as folder,
            ForkServer(copy_with(changes, Path(folder))) as fork_server,
        ):
            yield self._warm(fork_server)

    @contextmanager
    def environment(
        self, variant: Variant, fork_server: ForkServer | None = None
    ) -> Iterator[Environment]:
        """An environment for one case, empty of results."""
        with self._environment(variant, fork_server or self.fork_server) as environment:
            if fork_server not in (
                None,
                *self._fork_servers.values(),
            ):  # many a mutant never comes to an end
                environment.most_seconds = 30
            yield environment

    @contextmanager
    def _environment(self, variant: Variant, fork_server: ForkServer) -> Iterator[Environment]:
        known = KNOWN if variant.people == "mixed" else ""
        with self.databases.fresh(variant.engine, variant.people) as url:
            self.emulator.reset(
                ORG + (PERSON_ID_FIELD if variant.has_field else "") + variant.org + known
            )
            self.emulator.go_wrong()
            seeded = frozenset(lead["Id"] for lead in self.emulator.held("leads"))
            yield Environment(variant, url, self.emulator, fork_server, self.databases, seeded)

    def fork_server_for(self, changes: tuple[Change, ...]) -> ForkServer:
        """Return the fork server of a changed copy, kept for further cases. No changes: our own."""
        if changes not in self._fork_servers:
            self._fork_servers[changes] = self._more.enter_context(
                self.fork_server_of_changes(changes)
            )
        return self._fork_servers[changes]

    def close(self) -> None:
        """Stop all of it."""
        self.databases.close()
        self.fork_server.close()
        self._more.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
