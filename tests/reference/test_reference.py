"""What the product says of every person, held against a slow and obvious reference."""

from __future__ import annotations

import os
import random

import pytest

from tests.flows.stage import Stage

from .held_against import differences, fill
from .org import draw_org
from .people import Crowd
from .ways import WAYS, Way

SEED = int(os.environ.get("PERSON_SYNC_TEST_SEED", "20260731"))
COUNT = 1500


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_everybody_becomes_what_the_reference_says(any_stage: Stage, way: Way) -> None:
    seed = SEED + WAYS.index(way)
    crowd = Crowd(seed, COUNT, odd_share=0.5, twin_share=0.15, known_every=5)
    org = draw_org(random.Random(seed), crowd.known(), has_field=way.has_field)  # noqa: S311
    any_stage.emulator.reset(org.as_file())
    fill(any_stage.engine, crowd.rows())
    any_stage.sync(run={"poll_seconds": 0.05, "slice_size": 400}, **way.settings)
    with any_stage.engine.connect() as connection:
        found = list(differences(connection, org, way.reference))
    assert not found, "\n".join([f"seed {seed}: {len(found)} differences", *found[:20]])


WRONG = [
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


def test_every_wrong_word_is_noticed(stage: Stage) -> None:
    way, crowd = WAYS[0], Crowd(SEED, 600, odd_share=0.5, twin_share=0.15, known_every=3)
    org = draw_org(random.Random(SEED), crowd.known(), has_field=True)  # noqa: S311 - a seed
    stage.emulator.reset(org.as_file())
    fill(stage.engine, crowd.rows())
    stage.sync(run={"poll_seconds": 0.05}, **way.settings)
    for statement in WRONG:
        with stage.engine.connect() as connection:
            changed = connection.exec_driver_sql(statement)
            assert changed.rowcount > 0, statement
            assert list(differences(connection, org, way.reference)), statement
            connection.rollback()
            assert list(differences(connection, org, way.reference)) == []
