"""Which persons may be sent in one batch."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rules.partitions import partition
from tests.rules.tables import table, text

DRAWN = """
    action                | owner_strategy | owner_id | assignment_rule_id
    create                | rules          |          | 01Q1
    create                | user:A         | 005A     |
    create                | queue:Q        | 00GQ     |
    create                | rules          |          | 01Q1
    create                | rule:Fair      |          | 01Q2
    duplicate             | rules          |          | 01Q1
    create_duplicate_lead | queue:Q        | 00GQ     |
    update_lead           | rules          |          | 01Q1
    update_lead           | user:A         | 005A     |
    update_contact        | rule:Fair      |          | 01Q2
"""


def partitions_of(decided):
    return [
        (
            *(p.operation, p.sobject, p.load_api, p.assignment_rule_id, p.allow_duplicates),
            *(p.owner_strategy, list(p.persons)),
        )
        for p in partition(decided)
    ]


def test_persons_are_partitioned_by_what_may_be_sent_together():
    assert partitions_of(table(DRAWN)) == [
        ("insert", "Lead", "bulk", None, False, "owner_given", [1, 2]),
        ("insert", "Lead", "bulk", "01Q2", False, "rule:Fair", [4]),
        ("insert", "Lead", "bulk", "01Q1", False, "rules", [0, 3]),
        ("insert", "Lead", "collections", None, True, "queue:Q", [6]),
        ("update", "Contact", "bulk", None, False, "rule:Fair", [9]),
        ("update", "Lead", "bulk", None, False, "user:A", [8]),
        ("update", "Lead", "bulk", None, False, "rules", [7]),
    ]


def test_a_part_of_one_strategy_is_called_by_it():
    assert [p.owner_strategy for p in partition(table(DRAWN).iloc[[1]])] == ["user:A"]


def test_leads_left_to_the_running_user_do_not_travel_with_given_owners():
    decided = table(DRAWN).iloc[:2].assign(assignment_rule_id=text(None, None))
    assert [p[5:] for p in partitions_of(decided)] == [("user:A", [1]), ("rules", [0])]


def test_without_persons_to_send_there_is_no_partition():
    assert partition(table(DRAWN).iloc[[5]]) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from(range(10)), max_size=30), st.randoms())
def test_each_person_to_send_is_in_exactly_one_partition_in_any_order(rows, random):
    decided = table(DRAWN).iloc[rows].reset_index(drop=True)
    order = random.sample(range(len(rows)), len(rows))
    parts, shuffled = partitions_of(decided), partitions_of(decided.iloc[order])
    sent = decided.index[decided["action"] != "duplicate"]
    assert sorted(row for part in parts for row in part[-1]) == list(sent)
    assert [(*p[:-1], sorted(p[-1])) for p in shuffled] == parts
    assert all(p[-1] == [row for row in order if row in p[-1]] for p in shuffled)
