"""Create and upgrade the tables and views of ours, and write their comments to the catalogue.

Each `sql/migrations/NNN_what.sql` is applied once, in the order of the numbers. An engine that
needs another script has its own, `NNN_what.sqlite.sql`. `sql/views` are created again whenever a
view or a comment has changed. All of it is one transaction.
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
from pipelines.warehouse.statements import SQL_FOLDER, statements_in, without_comments

Rule = Mapping[str, str | None]


def migrate(
    warehouse: Warehouse, rules: Iterable[Rule] = (), *, sql_folder: Path = SQL_FOLDER
) -> list[str]:
    """Bring tables, views and rejection rules up to date; return what was done, in order.

    With nothing to do it takes milliseconds and no lock. May be repeated, also by two processes at
    the same time. Raises WarehousePermissionError if a migration that was applied has changed, or
    if the warehouse is newer than this code.
    """
    wanted = _Wanted(sql_folder, warehouse.engine.dialect.name, list(rules))
    with warehouse.reading() as connection:
        if not wanted.missing(_applied(warehouse, connection)):
            return []
    with warehouse.transaction() as connection:
        warehouse.dialect.lock_for_migration(connection)
        warehouse.dialect.make_schema(connection, warehouse.results_schema)
        todo = wanted.missing(_applied(warehouse, connection))
        for version in todo:
            _apply(warehouse, connection, wanted, version)
    return [wanted.file_names[version] for version in todo]


def pending(warehouse: Warehouse, *, sql_folder: Path = SQL_FOLDER) -> list[str]:
    """Return what `migrate` would do, rules aside. Raises what it would raise; writes nothing."""
    wanted = _Wanted(sql_folder, warehouse.engine.dialect.name, [])
    with warehouse.reading() as connection:
        missing = wanted.missing(_applied(warehouse, connection))
    return [wanted.file_names[version] for version in missing]


def has_ledger(warehouse: Warehouse) -> bool:
    """Return whether the ledger's tables exist, up to date or not."""
    with warehouse.reading() as connection:
        return "001" in _applied(warehouse, connection)


class _Wanted:
    """What should be applied: migrations by number, then the views, then the rules."""

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
        self.checksums = {
            version: _checksum_of_statements(script) for version, script in self.scripts.items()
        }
        # With comments: they are written to the catalogue.
        self.checksums["views"] = _checksum([*self.scripts.values(), *self.views.items()])
        if rules:
            self.checksums["rules"] = _checksum([dict(rule) for rule in rules])

    def missing(self, applied: Mapping[str, str]) -> list[str]:
        """Return the versions that are not applied, in order."""
        for version in applied.keys() - {"views", "rules"}:
            self._require_same(version, applied[version])
        return [v for v, checksum in self.checksums.items() if applied.get(v) != checksum]

    def _require_same(self, version: str, checksum: str) -> None:
        if version not in self.checksums:
            raise WarehousePermissionError(
                f"the warehouse has migration {version}, which is unknown to this version of "
                "Person Sync; upgrade Person Sync"
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
            found[name[:3]] = (
                file  # an engine's own file sorts after the common one and replaces it
            )
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
    # By schema: `public` may contain another program's schema_versions.
    schema = warehouse.results_schema if warehouse.dialect.has_schemas else None
    if not inspect(connection).has_table("schema_versions", schema=schema):
        return {}
    return {row.version: row.checksum for row in warehouse.run(connection, "applied_versions")}


def _checksum_of_statements(script: str) -> str:
    # Comments and white space of an applied file may be improved; its statements may not change.
    return _checksum(without_comments(script).split())


def _checksum(content: object) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def try_writing(warehouse: Warehouse) -> None:
    """Raise WarehousePermissionError where a run could not write its results. Changes nothing."""
    is_migrated = not pending(warehouse)
    with warehouse.reading() as connection:
        if is_migrated:
            warehouse.run(connection, "check_write_access")
        else:
            warehouse.dialect.make_schema(connection, warehouse.results_schema)
            run_script(connection, "create table person_sync_probe (one integer)")
        _require_temporary_tables(warehouse, connection)


def _require_temporary_tables(warehouse: Warehouse, connection: Connection) -> None:
    # Every slice needs one, and PostgreSQL has a separate right for it.
    try:
        warehouse.run(connection, "create_requested_persons")
    except WarehousePermissionError:
        raise WarehousePermissionError(
            "this login may not make temporary tables, which every run needs: grant it TEMPORARY "
            "on the database"
        ) from None
