"""The results of a run are compared, person by person, with a slow and obvious reference."""

from __future__ import annotations

import os
import random

import pytest

from tests.conftest import ENGINES
from tests.oracle.compare import differences, fill
from tests.oracle.org import Org, draw_org
from tests.oracle.persons import Persons
from tests.oracle.setups import SETUPS, Setup
from tests.steps.scenario import Scenario
from tests.steps.worker_runs import sync_together

SEED = int(os.environ.get("PERSON_SYNC_TEST_SEED", "20260731"))
COUNT = 1200


# The rules do not depend on the engine; lookups do. The slices of workers do too: that is seen on
# both in tests/steps/test_workers.py.
ON_BOTH = ("default settings", "by a snapshot, without the field")
CASES = [
    pytest.param(
        engine,
        setup,
        id=f"{engine}-{setup.name}",
        marks=[] if engine == "sqlite" or setup.name in ON_BOTH else pytest.mark.slow,
    )
    for engine in ENGINES
    for setup in SETUPS
]


@pytest.mark.parametrize(("warehouse_url", "setup"), CASES, indirect=["warehouse_url"])
def test_every_person_becomes_what_the_reference_says(any_scenario: Scenario, setup: Setup) -> None:
    seed = SEED + SETUPS.index(setup)
    org = set_up(any_scenario, setup, seed)
    if setup.workers == 1:
        any_scenario.sync(**setup.settings)
    else:
        sync_together(any_scenario, setup.workers, **setup.settings)
    with any_scenario.engine.connect() as connection:
        found = list(differences(connection, org, setup.reference))
    assert not found, "\n".join([f"seed {seed}: {len(found)} differences", *found[:20]])


def set_up(scenario: Scenario, setup: Setup, seed: int, count: int = COUNT) -> Org:
    """Fill warehouse and org: half of the persons are edge cases, the org knows every fifth."""
    persons = Persons(seed, count, edge_case_share=0.5, repeated_email_share=0.15, known_every=5)
    org = draw_org(random.Random(seed), persons.known(), has_field=setup.has_field)  # noqa: S311
    scenario.emulator.reset(org.as_file())
    fill(scenario.engine, persons.rows())
    return org


WRONG_RESULTS = [
    "update person_outcomes set outcome = 'updated' where outcome = 'created'",
    "update person_outcomes set reason_code = null where reason_code = 'LEAD_EXISTS'",
    "update person_outcomes set owner_name = 'Bo' where owner_name = 'Inbound'",
    "update person_outcomes set owner_type = 'user' where owner_type = 'queue'",
    "update person_outcomes set owner_strategy = 'rules' where owner_strategy = 'rule:Fair'",
    "update person_outcomes set lead_id = contact_id where outcome = 'duplicate'",
    "update person_outcomes set contact_id = null where reason_code = 'CONTACT_EXISTS'",
    "delete from person_outcomes where outcome = 'created' and reason_code is null",
    "delete from rejected_persons where rule_name = 'number_malformed'",
    "update rejected_persons set stage = 'owner' where rule_name = 'company_missing'",
    "delete from duplicate_persons where matched_in = 'persons'",
    "update duplicate_persons set matched_id = matched_id || 'x' where matched_in = 'contact'",
    "update duplicate_persons set is_ambiguous = false where is_ambiguous",
    "update duplicate_persons set action_taken = 'updated' where action_taken = 'recreated'",
]


def test_every_wrong_result_is_found(scenario: Scenario) -> None:
    setup = SETUPS[0]
    org = set_up(scenario, setup, SEED, 800)
    scenario.sync(**setup.settings)
    with scenario.engine.connect() as connection:
        for statement in WRONG_RESULTS:
            changed = connection.exec_driver_sql(statement)
            assert changed.rowcount > 0, statement
            assert list(differences(connection, org, setup.reference)), statement
            connection.rollback()
        # Each change was rolled back, so each was found alone.
        assert list(differences(connection, org, setup.reference)) == []
