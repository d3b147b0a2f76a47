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
    org = draw_org(random.Random(seed), crowd.known_emails(), has_field=way.has_field)  # noqa: S311
    any_stage.emulator.reset(org.as_file())
    fill(any_stage.engine, crowd.rows())
    any_stage.sync(run={"poll_seconds": 0.05, "slice_size": 400}, **way.settings)
    found = list(differences(any_stage.engine, org, way.reference))
    assert not found, "\n".join([f"seed {seed}: {len(found)} differences", *found[:20]])
