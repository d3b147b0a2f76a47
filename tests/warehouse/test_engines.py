"""A closed engine serves the next opening of the same warehouse, and no other."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines.warehouse.database import open_warehouse
from pipelines.warehouse.engines import pool


def test_a_closed_engine_serves_the_next_opening(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url) as first:
        pass
    with open_warehouse(warehouse_url) as second, second.reading() as connection:
        assert second.engine is first.engine
        assert connection.execute(text("select 1")).scalar() == 1


def test_two_open_at_once_share_nothing(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url):
        pass
    with open_warehouse(warehouse_url) as one, open_warehouse(warehouse_url) as other:
        assert one.engine is not other.engine


def test_closed_twice_it_is_not_taken_from_whoever_has_it_now(warehouse_url: str) -> None:
    first = open_warehouse(warehouse_url)
    first.close()
    with open_warehouse(warehouse_url) as second:
        first.close()
        with open_warehouse(warehouse_url) as third:
            assert third.engine is not second.engine


def test_another_results_schema_is_another_engine(warehouse_url: str) -> None:
    with open_warehouse(warehouse_url) as first:
        pass
    with open_warehouse(warehouse_url, results_schema="elsewhere") as second:
        assert second.engine is not first.engine


def test_a_file_named_from_the_folder_is_the_one_of_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    for folder in ("ours", "theirs", "ours"):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        if not Path("warehouse.db").exists():
            with sqlite3.connect("warehouse.db") as made:
                made.execute(f"create table of_{folder} (x)")
            made.close()
        with open_warehouse("sqlite:///warehouse.db") as store, store.reading() as connection:
            seen += connection.execute(text("select name from sqlite_master")).scalars()
    assert seen == ["of_ours", "of_theirs", "of_ours"]


def test_no_more_are_kept_than_a_process_needs(tmp_path: Path) -> None:
    closed = []
    for number in range(pool.MOST_KEPT + 1):
        with open_warehouse(f"sqlite:///{tmp_path}/{number}.db", create=True) as store:
            closed.append(store.engine)
    first, last = (f"sqlite:///{tmp_path}/{number}.db" for number in (0, pool.MOST_KEPT))
    with open_warehouse(last) as again:
        assert again.engine is closed[-1]
    with open_warehouse(first) as again:
        assert again.engine not in closed
