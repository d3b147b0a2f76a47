"""Who may travel together: the persons of one slice, parted into what becomes batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

Operation = Literal["insert", "update"]
SObject = Literal["Lead", "Contact"]
Carrier = Literal["bulk", "collections"]

OWNER_GIVEN = "owner_given"


@dataclass(frozen=True, eq=False)
class Partition:
    """Persons who may travel in one batch; `persons` is their part of the frame's index."""

    operation: Operation
    sobject: SObject
    load_api: Carrier
    assignment_rule_id: str | None
    allow_duplicates: bool
    owner_strategy: str
    persons: pd.Index


# action → operation, sobject, load_api, allow_duplicates. Bulk API 2.0 has no allowSave header,
# so a duplicate rule would refuse there the lead that is made beside a contact on purpose.
_ROADS: Mapping[str, tuple[Operation, SObject, Carrier, bool]] = {
    "create": ("insert", "Lead", "bulk", False),
    "create_duplicate_lead": ("insert", "Lead", "collections", True),
    "update_contact": ("update", "Contact", "bulk", False),
    "update_lead": ("update", "Lead", "bulk", False),
}


def partition(decided: pd.DataFrame) -> list[Partition]:
    """Part the persons to be sent by what may travel together.

    Expects the persons of duplicates.decide (action beside the owner columns); those who are
    duplicates travel nowhere and are in no part, every other is in exactly one. Inserts and updates
    never share a part, nor do two assignment rules; all persons whose owner is given may, and the
    part is called by their strategy if they have but one, else `owner_given`. Persons keep their
    order, and the parts are the same, in the same order, whatever that is.
    """
    sent = decided[decided["action"] != "duplicate"]
    family = sent["owner_strategy"].mask(sent["owner_id"].notna(), OWNER_GIVEN)
    # Rules run on update too and would re-route old leads: no update carries one.
    rule = sent["assignment_rule_id"].where(sent["action"] == "create")
    keys = [sent["action"], family.rename("family"), rule.fillna("").rename("rule")]
    groups = sent.groupby(keys, sort=True)["owner_strategy"]
    return [_part(key, strategies) for key, strategies in groups]


def _part(key: Any, strategies: pd.Series) -> Partition:
    action, family, rule = key
    labels = strategies.unique()
    label = labels[0] if len(labels) == 1 else family
    operation, sobject, load_api, wanted = _ROADS[action]
    return Partition(operation, sobject, load_api, rule or None, wanted, label, strategies.index)
