"""Both lookup methods give the same result for each person: here the snapshot."""

from __future__ import annotations

import pytest

from tests.steps.scenario import Scenario
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
def test_the_decision_table_holds_with_a_snapshot(scenario: Scenario, cell: Cell) -> None:
    scenario.set_org(BYSTANDERS + "".join(map(record, cell.records)))
    before = held(scenario)
    scenario.put(PERSON)
    matching = {**cell.matching, "lookup": "snapshot"}
    summary = scenario.sync(owners={"default": STRATEGIES[cell.strategy]}, matching=matching)
    assert summary["run"]["lookup_method"] == "snapshot"
    assert told_of(scenario, before) == cell.told
