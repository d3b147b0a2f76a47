"""An unknown engine gets plain SQL: tested on PostgreSQL without its own dialect."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import column, create_engine, make_url

from pipelines.warehouse.database import Warehouse
from pipelines.warehouse.engines.base import Dialect
from pipelines.warehouse.migrations import migrate, pending
from tests.tables import cell_texts
from tests.warehouse_rows import fill


@pytest.fixture
def plain(postgres_url: str) -> Iterator[Warehouse]:
    url = make_url(postgres_url).set(drivername="postgresql+psycopg")
    dialect = Dialect()
    dialect.require_database(url, create=False)
    engine = create_engine(url, connect_args=dialect.connect_arguments())
    dialect.prepare_engine(engine, "ignored")
    with Warehouse(engine, dialect, "persons", "ignored") as warehouse:
        migrate(warehouse)
        yield warehouse


def test_it_is_migrated_once(plain: Warehouse) -> None:
    assert pending(plain) == []


def test_frames_go_in_and_out(plain: Warehouse) -> None:
    fill(
        plain,
        "person_outcomes",
        """
        person_id | outcome | lead_id | decided_at
        P1        | held    |         | 2026-01-31 12:00:00.5
        P2        | created | ""      | 2026-01-31
        """,
    )
    with plain.reading() as connection:
        found = plain.read_frame(connection, "report_person_outcomes", person_ids=["P1", "P2"])
        none = plain.read_frame(connection, "report_person_outcomes", person_ids=[])
    found = found.sort_values("person_id")[["person_id", "lead_id", "decided_at"]]
    assert cell_texts(found) == [
        ["P1", None, "2026-01-31 12:00:00.500"],
        ["P2", "", "2026-01-31 00:00:00.000"],
    ]
    assert none.empty


def test_its_clock_is_reported_in_utc(plain: Warehouse) -> None:
    with plain.reading() as connection:
        told_time = plain.now(connection)
    assert told_time.tzinfo is None
    assert abs(datetime.now(UTC).replace(tzinfo=None) - told_time) < timedelta(seconds=5)


def test_text_is_compared_as_the_engine_does() -> None:
    assert str(Dialect().collate_binary(column("person_id"))) == "person_id"
