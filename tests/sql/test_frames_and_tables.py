"""The frames that functions pass to each other have the columns of the tables that they go into."""

from __future__ import annotations

import pandas as pd
import pandera.pandas
import pytest

from pipelines.rules import frames
from pipelines.rules.frames import columns_of, conform, empty, select
from pipelines.warehouse.catalog_comments import explained_tables
from pipelines.warehouse.statements import SQL_FOLDER, query_text

SCHEMA = [file.read_text() for file in sorted(SQL_FOLDER.glob("migrations/*.sql"))]
TABLES = explained_tables(SCHEMA)
MODELS = {
    frames.Outcomes: "person_outcomes",
    frames.BatchOutcomes: "person_outcomes",
    frames.FoundLeads: "person_outcomes",
    frames.Persons: "person_claims",
    frames.Claims: "person_claims",
    frames.BatchClaims: "person_claims",
    frames.PlannedPersons: "planned_persons",
    frames.Rejected: "rejected_persons",
    frames.Duplicates: "duplicate_persons",
    frames.OrgRecords: "org_records",
    frames.MatchedRecords: "org_records",
}
# Through which temporary table a frame goes.
TEMPORARY = {
    frames.BatchOutcomes: "released_claims",
    frames.FoundLeads: "found_leads",
    frames.Rejected: "found_rejections",
    frames.Duplicates: "found_duplicates",
    frames.Persons: "slice_persons",
    frames.Outcomes: "slice_persons",
    frames.Claims: "slice_persons",
}


def name_of(model: object) -> str | None:
    return getattr(model, "__name__", None)


@pytest.mark.parametrize(("model", "table"), MODELS.items(), ids=name_of)
def test_a_frame_has_columns_of_its_table(model: type, table: str) -> None:
    assert set(columns_of(model)) <= TABLES[table].columns.keys()


@pytest.mark.parametrize(("model", "table"), TEMPORARY.items(), ids=name_of)
def test_a_frame_fits_its_temporary_table(model: type, table: str) -> None:
    created = query_text(f"create_{table}").split("(", 1)[1]
    names = {line.split()[0] for line in created.splitlines() if line.startswith("    ")}
    assert set(columns_of(model)) <= names


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_a_frame_is_a_model_for_pandera(model: type) -> None:
    made = type(model.__name__, (pandera.pandas.DataFrameModel,), dict(vars(model)))
    assert list(made.to_schema().columns) == columns_of(model)


def test_columns_are_selected_in_order_and_missing_ones_are_an_error_or_null() -> None:
    names = columns_of(frames.Rejected)
    frame = pd.DataFrame({name: ["x"] for name in reversed(names)}).assign(other=1)
    assert list(select(frame, frames.Rejected).columns) == names
    assert list(conform(frame[["message"]], frames.Rejected).columns) == names
    assert list(empty(frames.Rejected).columns) == names
    with pytest.raises(KeyError):
        select(frame[["message"]], frames.Rejected)
