"""`person-sync migrate`: result tables and views are created or upgraded."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import (
    CommandLine,
)


def test_migrate_shows_what_it_applied_and_then_that_nothing_is_to_do(
    cli: CommandLine, tmp_path: Path
) -> None:
    cli.set(warehouse={"url": f"sqlite:///{tmp_path}/new.db"})
    first, second = cli("migrate"), cli("migrate")
    assert "applied 001_schema.sql" in first.stdout
    assert second.stdout == "already up to date\n"
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_migrate_prints_json(cli: CommandLine) -> None:
    answer = cli("migrate", "--json")
    assert answer.document == {"applied": []} or "rejection_rules" in answer.document["applied"]
    assert answer.exit_code == 0
