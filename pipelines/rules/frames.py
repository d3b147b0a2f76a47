"""The frames that functions pass to each other, each with its columns, said once.

Each class is a pandera model for type checkers and tests: a signature says `DataFrame[Claims]`. At
runtime only the names of the columns are needed, and pandera takes a second to import, so the
classes are plain ones then. Text is `str`, with null where a column may be missing a value.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameModel
    from pandera.typing import DataFrame
else:
    DataFrameModel = object

_Model = TypeVar("_Model", bound=DataFrameModel)


def columns_of(model: type[DataFrameModel]) -> list[str]:
    """Return the names of the columns, in order; those of a base class first."""
    return [
        name for base in reversed(model.__mro__) for name in vars(base).get("__annotations__", ())
    ]


def select(frame: pd.DataFrame, model: type[_Model]) -> DataFrame[_Model]:
    """Return the columns of the model, in order. Raises KeyError where one is missing."""
    return cast("DataFrame[_Model]", frame[columns_of(model)])


def conform(frame: pd.DataFrame, model: type[_Model]) -> DataFrame[_Model]:
    """Return the columns of the model, in order; a missing one is null."""
    return cast("DataFrame[_Model]", frame.reindex(columns=columns_of(model)))


def empty(model: type[_Model]) -> DataFrame[_Model]:
    """Return a frame without rows, its columns text."""
    # Imported here: commands that read only a few rows need no frames.
    import pandas as pd

    return cast("DataFrame[_Model]", pd.DataFrame(columns=columns_of(model), dtype="str"))


# --- What becomes of the persons of a slice


class Persons(DataFrameModel):
    """The persons of a slice as read, one row each."""

    person_id: str
    attempt_count: int  # decisions on the person so far
    source_changed_at: datetime  # updated_at as an instant; may be null
    source_version: str  # updated_at as the database formats it; may be null
    email_hash: str  # null without e-mail


class Outcomes(DataFrameModel):
    """Persons decided without a request to write, one row each."""

    person_id: str
    outcome: str  # rejected or duplicate
    lead_id: str  # the lead already there; may be null
    contact_id: str  # the contact already there; may be null
    owner_strategy: str  # null for rejected persons
    reason_code: str  # may be null
    defaulted_fields: str  # Lead fields filled from defaults, comma-separated; may be null


class Claims(DataFrameModel):
    """Persons to be sent, one row each."""

    person_id: str
    batch_id: str
    owner_strategy: str
    owner_id: str  # null when an assignment rule decides
    lead_id: str  # the lead to update; null for an insert
    contact_id: str  # the contact to update, or for which a lead is created on purpose
    row_hash: str  # of the row to be sent
    defaulted_fields: str
    reason_code: str


class PlannedPersons(DataFrameModel):
    """What a plan run would do, one row a person."""

    person_id: str
    decision: str  # create, update, duplicate or reject
    owner_strategy: str
    owner_name: str
    matched_id: str
    reason_code: str


class Rejected(DataFrameModel):
    """Rules broken, one row a person and rule: rejected_persons without run and time."""

    person_id: str
    rule_name: str
    stage: str  # validation, owner or salesforce
    field_name: str  # null when the rule is about no single field
    observed_value: str  # may be null
    message: str
    is_retryable: bool


class Duplicates(DataFrameModel):
    """Records matched, one row a person and record: duplicate_persons without run and time."""

    person_id: str
    matched_in: str  # persons, ledger, lead, converted_lead, contact, deleted or salesforce_rule
    matched_id: str  # empty when Salesforce does not return it
    match_key: str
    matched_count: int
    is_ambiguous: bool
    action_taken: str  # reported, updated, duplicate_lead_created or recreated


# --- What the ledger knows


class EmailClaims(DataFrameModel):
    """E-mails that persons in the ledger have claimed, one row each."""

    email_hash: str
    person_id: str
    lead_id: str  # of the outcome, else of the claim; may be null
    contact_id: str  # likewise
    is_this_run: bool  # whether this run recorded the claim


class BatchClaims(DataFrameModel):
    """The persons of a batch, with what is needed to match their results."""

    person_id: str
    lead_id: str
    contact_id: str
    row_hash: str
    reason_code: str


class BatchOutcomes(DataFrameModel):
    """What became of persons of a batch, one row each."""

    person_id: str
    outcome: str  # created, updated, duplicate, rejected or held
    lead_id: str  # null: that of the claim
    contact_id: str  # null: that of the claim
    owner_id: str
    owner_name: str
    owner_type: str  # user or queue
    reason_code: str  # null: that of the claim


class FoundLeads(DataFrameModel):
    """Leads that a run found for held persons, one row each."""

    person_id: str
    lead_id: str
    owner_id: str
    owner_name: str
    owner_type: str
    reason_code: str


# --- What Salesforce has


class OrgRecords(DataFrameModel):
    """Leads and contacts as a snapshot stores them."""

    record_id: str
    sobject: str  # Lead or Contact
    email_hash: str  # null without e-mail
    person_id: str  # the lead's value of the person-id field; may be null
    is_converted: bool
    is_deleted: bool
    converted_contact_id: str  # null unless converted
    created_at: datetime
    owner_id: str


class MatchedRecords(DataFrameModel):
    """Records found in a snapshot, one row a record and key; the other key is null."""

    email_hash: str
    person_id: str
    record_id: str
    sobject: str
    is_converted: bool
    is_deleted: bool
    converted_contact_id: str
    created_at: datetime
    owner_id: str
