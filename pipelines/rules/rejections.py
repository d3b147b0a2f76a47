"""The rows of rejected_persons that our own rules write, all in one shape."""

from __future__ import annotations

import pandas as pd

from pipelines.rules.frames import Rejected, columns_of
from pipelines.rules.text import as_text, to_observed_values

REJECTED_COLUMNS = tuple(columns_of(Rejected))


def rejections(
    person_id: pd.Series,
    *,
    stage: str,
    rule_name: pd.Series,
    field_name: pd.Series,
    observed: pd.Series,
    message: pd.Series,
) -> pd.DataFrame:
    """Return rows for rejected_persons (REJECTED_COLUMNS), one a person and rule, order kept.

    All series have the same index. `observed` is shortened and escaped here. Our own rejections are
    never retryable: the person or the org has to change first.
    """
    frame = pd.DataFrame(
        {
            "person_id": person_id,
            "rule_name": rule_name,
            "stage": as_text(stage, person_id.index),
            "field_name": field_name,
            "observed_value": to_observed_values(observed),
            "message": message,
            "is_retryable": False,
        }
    )
    # Rows without an id all have the id "", and the table's key takes each rule once a person.
    frame = frame.drop_duplicates(["person_id", "rule_name"]).reset_index(drop=True)
    return frame.astype({"is_retryable": bool})
