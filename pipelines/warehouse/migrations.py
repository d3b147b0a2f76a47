"""The tables and views of ours: made, upgraded, and explained to the catalogue.

`sql/migrations/NNN_what.sql` run once each, in the order of their numbers; where an engine needs
other words, `NNN_what.sqlite.sql` stands beside and runs instead. `sql/views` are made anew
whenever a word of them or of the tables has changed. All of it in one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, inspect

from pipelines.errors import WarehousePermissionError
from pipelines.warehouse.catalog_comments import explained_tables, explained_view
from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.engines.base import run_script
from pipelines.warehouse.errors import translated
from pipelines.warehouse.statements import SQL_FOLDER, statements_in, without_comments

Rule = Mapping[str, str | None]


def migrate(
    warehouse: Warehouse, rules: Iterable[Rule] = (), *, sql_folder: Path = SQL_FOLDER
) -> list[str]:
    """Brings tables, views and rejection rules up to date, and answers what it did, in order.

    Nothing to do is answered within milliseconds and takes no lock. Safe to repeat, and safe for
    two processes at once. Raises WarehousePermissionError if a migration that was applied reads differently
    today, or if the warehouse is newer than this code.
    """
    wanted = _Wanted(sql_folder, warehouse.engine.dialect.name, list(rules))
    with warehouse.reading() as connection:
        if not wanted.missing(_applied(warehouse, connection)):
            return []
    with warehouse.transaction() as connection, translated():
        warehouse.dialect.lock_for_migration(connection)
        warehouse.dialect.make_schema(connection, warehouse.results_schema)
        todo = wanted.missing(_applied(warehouse, connection))
        for version in todo:
            _apply(warehouse, connection, wanted, version)
    return [wanted.file_names[version] for version in todo]


def pending(warehouse: Warehouse, *, sql_folder: Path = SQL_FOLDER) -> list[str]:
    """What `migrate` would do, rules aside. Raises what it would raise; writes nothing."""
    wanted = _Wanted(sql_folder, warehouse.engine.dialect.name, [])
    with warehouse.reading() as connection:
        missing = wanted.missing(_applied(warehouse, connection))
    return [wanted.file_names[version] for version in missing]


def has_ledger(warehouse: Warehouse) -> bool:
    """Whether the ledger's tables have been made here, up to date or not."""
    with warehouse.reading() as connection:
        return "001" in _applied(warehouse, connection)


class _Wanted:
    """What should be there: migrations by number, then the views, then the rules."""

    def __init__(self, folder: Path, engine: str, rules: list[Rule]) -> None:
        self.migrations = _migrations(folder, engine)
        self.views = {
            file.stem: file.read_text("utf-8") for file in sorted(folder.glob("views/*.sql"))
        }
        self.rules = rules
        self.scripts = {
            version: file.read_text("utf-8") for version, file in self.migrations.items()
        }
        self.file_names = {version: file.name for version, file in self.migrations.items()}
        self.file_names |= {"views": "views", "rules": "rejection_rules"}
        self.checksums = {version: _meaning(script) for version, script in self.scripts.items()}
        # The comments too: they end up in the catalogue.
        self.checksums["views"] = _checksum([*self.scripts.values(), *self.views.items()])
        if rules:
            self.checksums["rules"] = _checksum([dict(rule) for rule in rules])

    def missing(self, applied: Mapping[str, str]) -> list[str]:
        """The versions to apply, in order, beside those applied."""
        for version in applied.keys() - {"views", "rules"}:
            self._require_same(version, applied[version])
        return [v for v, checksum in self.checksums.items() if applied.get(v) != checksum]

    def _require_same(self, version: str, checksum: str) -> None:
        if version not in self.checksums:
            raise WarehousePermissionError(
                f"the warehouse knows migration {version}, and this version of Person Sync does "
                "not; upgrade Person Sync"
            )
        if self.checksums[version] != checksum:
            raise WarehousePermissionError(
                f"{self.file_names[version]} is not what was applied to this warehouse; put the "
                "old file back and write the change as a new migration"
            )


def _migrations(folder: Path, engine: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(folder.glob("migrations/*.sql")):
        name, _, of_engine = file.stem.partition(".")
        if of_engine in ("", engine):
            found[name[:3]] = file  # an engine's own file sorts behind the one for all, and wins
    return found


def _apply(warehouse: Warehouse, connection: Connection, wanted: _Wanted, version: str) -> None:
    if version == "views":
        _make_views(warehouse, connection, wanted)
    elif version == "rules":
        for rule in wanted.rules:
            warehouse.run(connection, "record_rejection_rule", **rule)
    else:
        for statement in statements_in(wanted.scripts[version]):
            run_script(connection, statement)
    warehouse.run(
        connection,
        "record_schema_version",
        version=version,
        file_name=wanted.file_names[version],
        checksum=wanted.checksums[version],
        now=warehouse.now(connection),
    )


def _make_views(warehouse: Warehouse, connection: Connection, wanted: _Wanted) -> None:
    dialect = warehouse.dialect
    explanations = explained_tables(wanted.scripts.values())
    for name, query in wanted.views.items():
        dialect.make_view(connection, name, query)
        columns = [column["name"] for column in inspect(connection).get_columns(name)]
        explanations[name] = explained_view(query, columns, explanations)
    for name, explanation in explanations.items():
        dialect.explain(connection, name, explanation)


def _applied(warehouse: Warehouse, connection: Connection) -> dict[str, str]:
    # By schema: `public` may hold a schema_versions of somebody else's.
    schema = warehouse.results_schema if warehouse.dialect.has_schemas else None
    if not inspect(connection).has_table("schema_versions", schema=schema):
        return {}
    return {row.version: row.checksum for row in warehouse.run(connection, "list_schema_versions")}


def _meaning(script: str) -> str:
    # Comments and white space may be bettered in an old file; what it does may not.
    return _checksum(without_comments(script).split())


def _checksum(content: object) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def try_writing(warehouse: Warehouse) -> None:
    """Raise WarehousePermissionError where a run could not write its results. Leaves nothing behind."""
    is_made = not pending(warehouse)
    with warehouse.reading() as connection, translated():
        if is_made:
            warehouse.run(connection, "try_writing")
        else:
            warehouse.dialect.make_schema(connection, warehouse.results_schema)
            run_script(connection, "create table person_sync_probe (one integer)")
        _try_temporary(warehouse, connection)


def _try_temporary(warehouse: Warehouse, connection: Connection) -> None:
    # Every judgement needs one, and PostgreSQL has a right of its own for it.
    try:
        warehouse.run(connection, "make_asked_persons")
    except WarehousePermissionError:
        raise WarehousePermissionError(
            "this login may not make temporary tables, which every run needs: grant it TEMPORARY "
            "on the database"
        ) from None
