"""Split the persons of one slice into partitions: those who may be sent in one batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

Operation = Literal["insert", "update"]
SObject = Literal["Lead", "Contact"]
LoadApi = Literal["bulk", "collections"]

OWNER_GIVEN = "owner_given"


@dataclass(frozen=True, eq=False)
class Partition:
    """Persons who may be sent in one batch; `persons` is their index in the frame."""

    operation: Operation
    sobject: SObject
    load_api: LoadApi
    assignment_rule_id: str | None
    allow_duplicates: bool
    owner_strategy: str
    persons: pd.Index


# action → operation, sobject, load_api, allow_duplicates. Bulk API 2.0 has no allowSave header. A
# duplicate rule would reject there the duplicate lead that is created on purpose.
LOAD_METHODS: Mapping[str, tuple[Operation, SObject, LoadApi, bool]] = {
    "create": ("insert", "Lead", "bulk", False),
    "create_duplicate_lead": ("insert", "Lead", "collections", True),
    "update_contact": ("update", "Contact", "bulk", False),
    "update_lead": ("update", "Lead", "bulk", False),
}


def partition(decided: pd.DataFrame) -> list[Partition]:
    """Split the persons to be sent into partitions.

    Expects the persons of `decide_actions`. Duplicates are in no partition, every other person is
    in exactly one. Inserts and updates never share one, nor do two assignment rules. All persons
    with a given owner may share one: it is named by their strategy if they have one, else
    `owner_given`. Persons keep their order. The partitions and their order do not depend on it.
    """
    sent = decided[decided["action"] != "duplicate"]
    family = sent["owner_strategy"].mask(sent["owner_id"].notna(), OWNER_GIVEN)
    # Assignment rules run on updates too and would give old leads a new owner: no update has one.
    rule = sent["assignment_rule_id"].where(sent["action"] == "create")
    keys = [sent["action"], family.rename("family"), rule.fillna("").rename("rule")]
    groups = sent.groupby(keys, sort=True)["owner_strategy"]
    return [_partition(key, strategies) for key, strategies in groups]


def _partition(key: Any, strategies: pd.Series) -> Partition:
    action, family, rule = key
    labels = strategies.unique()
    label = labels[0] if len(labels) == 1 else family
    operation, sobject, load_api, allow_duplicates = LOAD_METHODS[action]
    return Partition(
        *(operation, sobject, load_api, rule or None, allow_duplicates, label, strategies.index)
    )
