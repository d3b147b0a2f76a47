"""Of the pairs of kills: which there are, and that one of each stretch stands for all."""

from __future__ import annotations

from tests.crash.directed import Boundary
from tests.crash.pairs import Pair, is_change, pairs, stretches

RUN = [
    Boundary(name, nth, side)
    for name, nth in [
        ("COMMIT insert sync_runs", 1),
        ("POST /services/oauth2/token", 1),
        ("GET /query Group", 1),
        ("POST /jobs/ingest", 1),
        ("PUT /jobs/ingest/*/batches", 1),
        ("GET /jobs/ingest/*", 1),
        ("POST /composite/sobjects/Lead", 1),
        ("POST /composite/sobjects", 1),
    ]
    for side in ("before", "after")
]


def test_reads_and_logins_change_nothing() -> None:
    changes = [one.name for one in RUN if one.side == "before" and is_change(one)]
    assert changes == [
        "COMMIT insert sync_runs",
        "POST /jobs/ingest",
        "PUT /jobs/ingest/*/batches",
        "POST /composite/sobjects",
    ]


def test_one_boundary_stands_for_each_stretch_between_two_changes() -> None:
    found = stretches(RUN)
    assert [one.name for one in found][:4] == [one.name for one in RUN if is_change(one)][::2]
    assert found[-1] == RUN[-1]


def test_every_pair_is_every_pair() -> None:
    found = list(pairs(RUN, every=True))
    assert {one.first for one in found} == set(RUN)
    assert {(one.first, one.turn) for one in found} >= {
        (first, turn) for first in RUN for turn in range(1, len(RUN) + 1)
    }
    assert len(found) == len(set(found))


def test_a_pair_says_where_it_is() -> None:
    pair = Pair("POST /jobs/ingest", 1, "after", 3)
    assert str(pair) == "after POST /jobs/ingest #1, then at change 3"
