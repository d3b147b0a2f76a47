"""The worlds of the harness: a warehouse with persons, an org that knows some of them, settings.

Every case gets a world of its own, copied in some tens of milliseconds: a SQLite file in memory or
a PostgreSQL database made from a template, and an org of an emulator that is reset.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd
import sqlalchemy
from sqlalchemy import Connection, NullPool

from tests.conftest import PostgresServer, _pgserver, _prepare
from tests.flows.stage import ORG, PERSON_ID_FIELD, Stage, crowd
from tests.salesforce.servers import Emulator

from .directed import ROOT, DirectedRun, Director, Told, Wanted, Zygote, go_on

COUNT = 60
KNOWN = """
[[lead]]
LastName = "Known"
Company = "Old"
Email = "p1@crowd.example"
[[lead]]
LastName = "Known"
Company = "Old"
Email = "p33@crowd.example"
[[contact]]
LastName = "Known"
Email = "p2@crowd.example"
[[contact]]
LastName = "Known"
Email = "p6@crowd.example"
"""


@dataclass(frozen=True)
class Kind:
    """Which world: the engine, whether the org has the person-id field."""

    engine: str
    has_field: bool

    def __str__(self) -> str:
        return f"{self.engine}, field {'on' if self.has_field else 'off'}"


KINDS = [
    Kind(engine, has_field) for engine in ("sqlite", "postgres") for has_field in (True, False)
]


def persons() -> pd.DataFrame:
    """Sixty of four strategies: two to update, two contacts for a queue, two rejected, and two who
    are somebody else, one of them judged in another slice than that one.

    Three strategies in the first slice and two in the second: seven batches of every kind there is.
    """
    made = crowd(COUNT).set_index("person_id")
    made["owner_strategy"] = made["owner_strategy"].replace("rule:Fair", None)
    made.loc["P0031":, "owner_strategy"] = [None, "rule:Fair"] * 15
    made.loc["P0010", "company"] = None
    made.loc["P0044", "owner_strategy"] = "user:nobody@acme.example"
    made.loc["P0020", "email"] = "P7@crowd.example"
    made.loc["P0050", "email"] = "p8@Crowd.example"
    return made.reset_index()


@dataclass
class World:
    """One warehouse and one org, for one case."""

    kind: Kind
    url: str
    emulator: Emulator
    zygote: Zygote
    seeded: frozenset[str]
    settings: dict[str, Any] = field(default_factory=dict)

    def start(
        self,
        director: Director = go_on,
        mode: str = "live",
        *,
        person_ids: list[str] | None = None,
        zygote: Zygote | None = None,
        most_pages: int = 0,
        **run: Any,
    ) -> DirectedRun:
        """A run begins; `run` are settings of that group."""
        settings = self.values(**run)
        wanted = Wanted(settings, mode, person_ids, most_pages)
        return DirectedRun(zygote or self.zygote, wanted, director)

    def tell(self, director: Director = go_on, mode: str = "live", **more: Any) -> Told:
        """A run from its beginning to its end."""
        return self.start(director, mode, **more).wait()

    def values(self, **run: Any) -> dict[str, Any]:
        """The settings of a run, as a settings file would say them."""
        values: dict[str, Any] = {
            "warehouse": {"url": self.url},
            "salesforce": {
                "domain": "acme.my",
                "consumer_key": "test-key",
                "consumer_secret": "test-secret",
                "emulator_url": self.emulator.url,
                "person_id_field": "Person_Id__c" if self.kind.has_field else "",
            },
            "matching": {"existing_lead": "update"},
            "run": {"slice_size": 30, "open_batches": 2, "poll_seconds": 0.02},
        }
        for group, names in self.settings.items():
            values[group] = {**values.get(group, {}), **names}
        values["run"] |= run
        return values

    def wait_less_for_locks(self) -> None:
        """Half a second instead of ten where somebody stands frozen with the lock in the hand."""
        if self.kind.engine == "sqlite":
            self.settings["warehouse"] = {"url": f"{self.url}?timeout=0.5"}

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection of the test's own, that sees the result tables."""
        is_postgres = self.kind.engine == "postgres"
        driver = self.url.replace("postgresql://", "postgresql+psycopg://")
        path = {"options": "-c search_path=person_sync,public -c timezone=UTC"}
        given = path if is_postgres else {"timeout": 30}
        engine = sqlalchemy.create_engine(driver, connect_args=given, poolclass=NullPool)
        with engine.begin() as connection:
            yield connection

    def rows(self, select: str) -> list[dict[str, Any]]:
        """What a select finds in the warehouse."""
        with self.connect() as connection:
            found = connection.execute(sqlalchemy.text(select)).mappings()
            return [dict(row) for row in found]

    def leads(self) -> list[dict[str, Any]]:
        """Every lead that the org holds, those it had from the start aside."""
        held = self.emulator.held("leads")
        return [one for one in held if one["Id"] not in self.seeded and not one["IsDeleted"]]


class Databases:
    """Fresh databases with the persons in them, of either engine."""

    def __init__(self, emulator: Emulator, people: pd.DataFrame) -> None:
        memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
        where = memory if memory.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(prefix="reliability-", dir=where)
        self._data = tempfile.TemporaryDirectory(prefix="reliability-pg-", dir=where)
        self._emulator = emulator
        self._people = people
        self._template = ""
        self._server: PostgresServer | None = None
        self._postgres: Any = None

    @contextmanager
    def fresh(self, engine: str) -> Iterator[str]:
        """The address of a database that nobody has used."""
        if engine == "sqlite":
            file = shutil.copy(self._sqlite_template(), f"{self._folder.name}/{uuid.uuid4().hex}")
            yield f"sqlite:///{file}"
            for part in Path(self._folder.name).glob(f"{Path(file).name}*"):
                part.unlink()
        else:
            server = self.server()
            name = server.fresh(template=self._template)
            yield server.address(name)
            server.run("drop database {} with (force)", name)

    def _sqlite_template(self) -> Path:
        file = Path(self._folder.name) / "template.db"
        if not file.exists():
            self._fill(f"sqlite:///{file}")
        return file

    def server(self) -> PostgresServer:
        """The server of these databases, started with the first."""
        if self._server is None:
            self._postgres = _pgserver().get_server(
                Path(self._data.name) / "data", cleanup_mode="stop"
            )
            self._server = PostgresServer(self._postgres.get_uri())
            self._template = self._server.fresh()
            self._fill(self._server.address(self._template))
        return self._server

    def _fill(self, url: str) -> None:
        _prepare(url)
        stage = Stage(url, self._emulator)
        stage.put_frame(self._people)
        stage.run("analyze")
        stage.engine.dispose()

    def close(self) -> None:
        """Stop the server, forget everything."""
        if self._server is not None:
            self._server.close()
            self._postgres.cleanup()
        self._folder.cleanup()
        self._data.cleanup()


class Workshop:
    """What one worker has for all of its cases: an emulator, a zygote, databases."""

    def __init__(self, people: pd.DataFrame | None = None) -> None:
        command = [sys.executable, "-m", "pipelines.emulator.server", "--port", "0"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.emulator = Emulator(self._process.stdout.readline().rpartition(" ")[2].strip())
        self.zygote = Zygote()
        self.databases = Databases(self.emulator, persons() if people is None else people)
        with self.world(KINDS[0]) as world:
            self.zygote.warm_up(world.values())

    @contextmanager
    def world(
        self, kind: Kind, *, org: str = KNOWN, zygote: Zygote | None = None
    ) -> Iterator[World]:
        """A world for one case. `org` is what the org has beside the usual."""
        with self.databases.fresh(kind.engine) as url:
            self.emulator.reset(ORG + (PERSON_ID_FIELD if kind.has_field else "") + org)
            self.emulator.go_wrong()
            seeded = frozenset(lead["Id"] for lead in self.emulator.held("leads"))
            yield World(kind, url, self.emulator, zygote or self.zygote, seeded)

    def close(self) -> None:
        """Stop all of it."""
        self.databases.close()
        self.zygote.close()
        self._process.terminate()
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
