"""Both ways of looking up what Salesforce knows come to the same, person by person."""

from __future__ import annotations

import pytest

from tests.steps.scenario import Stage
from tests.steps.test_decision_table import (
    BYSTANDERS,
    PERSON,
    STRATEGIES,
    Cell,
    cells,
    held,
    record,
    told_of,
)


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_the_decision_table_holds_against_the_mirror(stage: Stage, cell: Cell) -> None:
    stage.set_org(BYSTANDERS + "".join(map(record, cell.records)))
    before = held(stage)
    stage.put(PERSON)
    matching = {**cell.matching, "lookup": "snapshot"}
    told = stage.sync(owners={"default": STRATEGIES[cell.strategy]}, matching=matching)
    assert told["run"]["lookup_method"] == "snapshot"
    assert told_of(stage, before) == cell.told
