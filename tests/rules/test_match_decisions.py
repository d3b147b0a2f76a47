"""The decision table of `match_decisions`, cell by cell."""

from __future__ import annotations

import itertools
import random

import pandas as pd
import pytest

from pipelines.rules.deduplication import DUPLICATE_COLUMNS
from pipelines.rules.match_decisions import MatchDecisions, MatchingOptions, decide_actions
from tests.rules.tables import as_persons, table

HEADER = """
    record_id | sobject | state     | became | created_at | owner_id | match_key | match_value
"""
LEAD = "00Q1 | Lead | | | 2026-01-02T00:00:00Z | 005Z | email | ada@x.example"
YOUNGER_LEAD = "00Q2 | Lead | | | 2026-01-03T00:00:00Z | 005Z | email | ada@x.example"
CONTACT = "0031 | Contact | | | 2026-01-05T00:00:00Z | 005Z | email | ada@x.example"
OLDER_CONTACT = "0032 | Contact | | | 2026-01-04T00:00:00Z | 005Z | email | ada@x.example"
HER_CONTACT = "0031 | Contact | | | 2026-01-05T00:00:00Z | 005A | email | ada@x.example"
CONVERTED = "00Q3 | Lead | converted | 0031 | 2026-01-01T00:00:00Z | 005Z | email | ada@x.example"
LOST = "00Q4 | Lead | converted | | 2026-01-01T00:00:00Z | 005Z | email | ada@x.example"
DELETED = "00Q5 | Lead | deleted | | 2026-01-01T00:00:00Z | 005Z | email | ada@x.example"
DELETED_CONTACT = "0031 | Contact | deleted | | 2026-01-01T00:00:00Z | 005Z | email | ada@x.example"

OWNERS = {"rules": None, "user": "005A", "queue": "00GQ"}
EVERY_KIND = pytest.mark.parametrize("kind", list(OWNERS))
UPDATE = MatchingOptions(existing_lead="update", existing_contact="update")
REPORT = MatchingOptions(contact_with_queue="report", deleted="report")


def known(*records: str) -> pd.DataFrame:
    drawn = table("\n".join([HEADER.strip(), *records]))
    return drawn.rename(columns={"became": "converted_contact_id"}).assign(
        is_converted=drawn["state"] == "converted", is_deleted=drawn["state"] == "deleted"
    )


def ada(kind: str) -> pd.DataFrame:
    persons = as_persons("person_id | email\n7 | ADA@x.example")
    owned = {"owner_type": None if kind == "rules" else kind, "owner_id": OWNERS[kind]}
    return persons.assign(
        **{name: pd.Series([value], dtype="str") for name, value in owned.items()}
    )


def decision_of(decided: MatchDecisions) -> tuple[object, ...]:
    """action, lead_id, contact_id, reason_code of the one person."""
    row = decided.persons.loc[0, ["action", "lead_id", "contact_id", "reason_code"]]
    return tuple(None if pd.isna(value) else value for value in row)


def rows(decided: MatchDecisions) -> list[list[object]]:
    columns = ["matched_in", "matched_id", "matched_count", "is_ambiguous", "action_taken"]
    return decided.duplicates[columns].values.tolist()


# --- nothing


@EVERY_KIND
@pytest.mark.parametrize("options", [UPDATE, REPORT])
def test_an_unknown_person_is_created(kind, options):
    decided = decide_actions(ada(kind), known(), options)
    assert decision_of(decided) == ("create", None, None, None)
    assert (len(decided.duplicates), tuple(decided.duplicates.columns)) == (0, DUPLICATE_COLUMNS)


def test_an_empty_frame_of_known_records_needs_no_types():
    columns = [*known().columns.drop("state")]
    assert (
        decision_of(decide_actions(ada("rules"), pd.DataFrame(columns=columns), UPDATE))[0]
        == "create"
    )


def test_a_person_without_email_and_unknown_by_id_is_created():
    persons = ada("rules").assign(email=pd.Series([None], dtype="str"))
    assert decision_of(decide_actions(persons, known(LEAD), UPDATE))[0] == "create"


# --- an open lead


@EVERY_KIND
def test_an_open_lead_is_reported_and_left_alone(kind):
    decided = decide_actions(ada(kind), known(LEAD), REPORT)
    assert decision_of(decided) == ("duplicate", "00Q1", None, "LEAD_EXISTS")
    assert rows(decided) == [["lead", "00Q1", 1, False, "reported"]]


@EVERY_KIND
def test_an_open_lead_is_updated_where_that_is_wanted(kind):
    decided = decide_actions(ada(kind), known(LEAD), UPDATE)
    assert decision_of(decided) == ("update_lead", "00Q1", None, "LEAD_EXISTS")
    assert rows(decided) == [["lead", "00Q1", 1, False, "updated"]]


# --- a contact


@pytest.mark.parametrize("kind", ["rules", "user"])
def test_a_contact_is_reported(kind):
    decided = decide_actions(ada(kind), known(CONTACT), MatchingOptions())
    assert decision_of(decided) == ("duplicate", None, "0031", "CONTACT_EXISTS")
    assert rows(decided) == [["contact", "0031", 1, False, "reported"]]


@pytest.mark.parametrize(
    ("kind", "record", "reason"),
    [
        ("rules", CONTACT, "CONTACT_EXISTS"),
        ("user", CONTACT, "CONTACT_OWNER_KEPT"),
        ("user", HER_CONTACT, "CONTACT_EXISTS"),
    ],
)
def test_a_contact_is_updated_and_keeps_its_owner(kind, record, reason):
    decided = decide_actions(ada(kind), known(record), UPDATE)
    assert decision_of(decided) == ("update_contact", None, "0031", reason)
    assert rows(decided) == [["contact", "0031", 1, False, "updated"]]


@pytest.mark.parametrize("options", [UPDATE, MatchingOptions()])
@pytest.mark.parametrize("record", [CONTACT, CONVERTED])
def test_a_queue_gets_a_duplicate_lead_of_a_contact_on_purpose(record, options):
    decided = decide_actions(ada("queue"), known(record), options)
    assert decision_of(decided) == (
        "create_duplicate_lead",
        None,
        "0031",
        "DUPLICATE_LEAD_ON_PURPOSE",
    )
    assert [row[-1] for row in rows(decided)] == ["duplicate_lead_created"]


def test_a_queues_contact_is_reported_where_that_is_wanted_even_if_contacts_are_updated():
    options = MatchingOptions(existing_contact="update", contact_with_queue="report")
    decided = decide_actions(ada("queue"), known(CONTACT), options)
    assert decision_of(decided) == ("duplicate", None, "0031", "CONTACT_EXISTS")
    assert rows(decided) == [["contact", "0031", 1, False, "reported"]]


# --- a converted lead


@pytest.mark.parametrize("kind", ["rules", "user"])
def test_a_converted_lead_is_reported_as_its_contact(kind):
    decided = decide_actions(ada(kind), known(CONVERTED), MatchingOptions())
    assert decision_of(decided) == ("duplicate", None, "0031", "CONVERTED_LEAD_EXISTS")
    assert rows(decided) == [["converted_lead", "00Q3", 1, False, "reported"]]


@pytest.mark.parametrize(
    ("kind", "reason"), [("rules", "CONVERTED_LEAD_EXISTS"), ("user", "CONTACT_OWNER_KEPT")]
)
def test_of_a_converted_lead_the_contact_is_updated(kind, reason):
    decided = decide_actions(ada(kind), known(CONVERTED), UPDATE)
    assert decision_of(decided) == ("update_contact", None, "0031", reason)
    assert rows(decided) == [["converted_lead", "00Q3", 1, False, "updated"]]


def test_a_converted_lead_and_its_own_contact_are_one():
    decided = decide_actions(ada("rules"), known(CONVERTED, CONTACT), UPDATE)
    assert decision_of(decided) == ("update_contact", None, "0031", "CONTACT_EXISTS")
    assert rows(decided) == [
        ["converted_lead", "00Q3", 2, False, "updated"],
        ["contact", "0031", 2, False, "updated"],
    ]


@pytest.mark.parametrize("records", [[LOST], [CONVERTED, DELETED_CONTACT]])
def test_a_converted_lead_whose_contact_is_unknown_cannot_be_updated(records):
    decided = decide_actions(ada("rules"), known(*records), UPDATE)
    assert decision_of(decided) == ("duplicate", None, None, "CONVERTED_LEAD_EXISTS")
    assert [row[0] for row in rows(decided)] == ["converted_lead"]


def test_a_queue_gets_a_duplicate_lead_of_a_converted_lead_without_contact():
    decided = decide_actions(ada("queue"), known(LOST), MatchingOptions())
    assert decision_of(decided)[0] == "create_duplicate_lead"


# --- lead and contact


@EVERY_KIND
def test_lead_and_contact_count_as_the_lead_with_both_in_the_report(kind):
    decided = decide_actions(ada(kind), known(LEAD, CONTACT), MatchingOptions())
    assert decision_of(decided) == ("duplicate", "00Q1", "0031", "LEAD_EXISTS")
    assert rows(decided) == [
        ["lead", "00Q1", 2, False, "reported"],
        ["contact", "0031", 2, False, "reported"],
    ]


@EVERY_KIND
def test_of_lead_and_contact_only_the_lead_is_updated(kind):
    decided = decide_actions(ada(kind), known(LEAD, CONTACT), UPDATE)
    assert decision_of(decided) == ("update_lead", "00Q1", "0031", "LEAD_EXISTS")
    assert [row[-1] for row in rows(decided)] == ["updated", "reported"]


# --- only deleted ones


@EVERY_KIND
@pytest.mark.parametrize("records", [[DELETED], [DELETED_CONTACT], [DELETED, DELETED_CONTACT]])
def test_a_person_of_whom_only_deleted_records_are_known_is_created_again(kind, records):
    decided = decide_actions(ada(kind), known(*records), MatchingOptions())
    assert decision_of(decided) == ("create", None, None, "RECREATED")
    assert {(row[0], row[3], row[4]) for row in rows(decided)} == {("deleted", False, "recreated")}
    assert len(rows(decided)) == len(records)


@EVERY_KIND
def test_deleted_records_are_reported_where_that_is_wanted(kind):
    decided = decide_actions(ada(kind), known(DELETED), REPORT)
    assert decision_of(decided) == ("duplicate", None, None, "DELETED_RECORD_EXISTS")
    assert rows(decided) == [["deleted", "00Q5", 1, False, "reported"]]


@pytest.mark.parametrize("options", [MatchingOptions(), REPORT])
def test_deleted_records_do_not_matter_if_there_is_an_active_one(options):
    decided = decide_actions(ada("rules"), known(DELETED, LEAD), options)
    assert decision_of(decided) == ("duplicate", "00Q1", None, "LEAD_EXISTS")
    assert [row[1:3] for row in rows(decided)] == [["00Q1", 1]]


def test_a_converted_lead_of_a_hidden_contact_is_taken_for_the_contact_that_is_there():
    decided = decide_actions(ada("rules"), known(LOST, CONTACT), REPORT)
    assert decision_of(decided) == ("duplicate", None, "0031", "CONTACT_EXISTS")
    assert [row[3] for row in rows(decided)] == [False, False]


# --- several


@EVERY_KIND
@pytest.mark.parametrize("options", [UPDATE, MatchingOptions()])
@pytest.mark.parametrize(
    ("records", "matched"),
    [
        ([YOUNGER_LEAD, LEAD], ("00Q1", None)),
        ([YOUNGER_LEAD, LEAD, CONTACT], ("00Q1", None)),
        ([CONTACT, OLDER_CONTACT], (None, "0032")),
        ([LEAD, CONTACT, OLDER_CONTACT], ("00Q1", None)),
        ([CONVERTED, OLDER_CONTACT], (None, "0031")),
        ([LOST, LOST.replace("00Q4", "00Q6")], (None, None)),
    ],
)
def test_several_of_a_kind_are_ambiguous_and_never_touched(kind, options, records, matched):
    decided = decide_actions(ada(kind), known(*records), options)
    assert decision_of(decided) == ("duplicate", *matched, "SEVERAL_MATCHES")
    assert sorted(row[1] for row in rows(decided)) == sorted(r.split(" ")[0] for r in records)
    assert {tuple(row[2:]) for row in rows(decided)} == {(len(records), True, "reported")}


def test_of_two_leads_of_the_same_instant_the_smaller_id_is_matched():
    same_age = LEAD.replace("00Q1", "00Q0")
    assert decision_of(decide_actions(ada("rules"), known(LEAD, same_age), UPDATE))[1] == "00Q0"


# --- keys


def test_a_record_is_found_by_person_id_without_an_email():
    by_id = LEAD.replace("email | ada@x.example", "person_id | 7")
    persons = ada("rules").assign(email=pd.Series([None], dtype="str"))
    decided = decide_actions(persons, known(by_id), UPDATE)
    assert decision_of(decided)[:2] == ("update_lead", "00Q1")
    assert decided.duplicates["match_key"].tolist() == ["person_id"]


def test_a_record_found_by_both_keys_counts_once_by_the_surer_one():
    by_id = LEAD.replace("email | ada@x.example", "person_id | 7")
    decided = decide_actions(ada("rules"), known(LEAD, by_id), MatchingOptions())
    assert decision_of(decided) == ("duplicate", "00Q1", None, "LEAD_EXISTS")
    assert decided.duplicates["match_key"].tolist() == ["person_id"]


def test_one_found_by_both_keys_leaves_the_records_of_the_others_what_they_are():
    bo = ada("user").assign(person_id="8", email="bo@x.example")
    persons = pd.concat([ada("user"), bo], ignore_index=True)
    hers = [LEAD, LEAD.replace("email", "person_id").replace("ada@x.example", "7")]
    his = CONTACT.replace("ada@", "bo@")
    decided = decide_actions(persons, known(*hers, his), REPORT)
    assert list(decided.persons["reason_code"]) == ["LEAD_EXISTS", "CONTACT_EXISTS"]
    assert [row[:2] for row in rows(decided)] == [["lead", "00Q1"], ["contact", "0031"]]


def test_two_leads_found_by_different_keys_are_ambiguous():
    by_id = YOUNGER_LEAD.replace("email | ada@x.example", "person_id | 7")
    assert (
        decision_of(decide_actions(ada("rules"), known(LEAD, by_id), UPDATE))[3]
        == "SEVERAL_MATCHES"
    )


def test_another_email_column_and_instants_as_datetimes_do_as_well():
    records = known(YOUNGER_LEAD, LEAD)
    records["created_at"] = pd.to_datetime(records["created_at"]).dt.tz_localize(None)
    persons = ada("rules").rename(columns={"email": "mail"})
    assert decision_of(decide_actions(persons, records, UPDATE, email_column="mail"))[1] == "00Q1"


def test_the_order_of_persons_is_kept():
    persons = as_persons("email\nb@x.example\nada@x.example\nc@x.example").assign(
        owner_type=pd.Series([None] * 3, dtype="str"), owner_id=pd.Series([None] * 3, dtype="str")
    )
    decided = decide_actions(persons.set_axis([4, 5, 6]), known(LEAD), MatchingOptions())
    assert decided.persons["action"].tolist() == ["create", "duplicate", "create"]
    assert decided.persons["person_id"].tolist() == ["1", "2", "3"]
    assert decided.duplicates["person_id"].tolist() == ["2"]


def test_without_persons_nothing_is_decided():
    decided = decide_actions(ada("rules").iloc[:0], known(LEAD), MatchingOptions())
    assert (len(decided.persons), len(decided.duplicates)) == (0, 0)


# --- laws: over every set of these records, every kind of owner and every set of options

RECORDS = [LEAD, YOUNGER_LEAD, CONTACT, OLDER_CONTACT, CONVERTED, LOST, DELETED]
SETS = [chosen for size in range(8) for chosen in itertools.combinations(RECORDS, size)]


def every_case() -> tuple[pd.DataFrame, list[str]]:
    """Return one person for each set of records and kind of owner, and the records of all."""
    persons, records = [], []
    for number, (chosen, kind) in enumerate(itertools.product(SETS, OWNERS)):
        owned = {"owner_type": None if kind == "rules" else kind, "owner_id": OWNERS[kind]}
        persons.append({"person_id": f"P{number}", "email": f"p{number}@x.example", **owned})
        records += [record.replace("ada@", f"p{number}@") for record in chosen]
    return as_persons(pd.DataFrame(persons, dtype="str")), records


@pytest.mark.parametrize("options", [UPDATE, REPORT, MatchingOptions()])
@pytest.mark.parametrize("seed", range(3))
def test_the_decision_does_not_depend_on_the_order_of_known_records(options, seed):
    persons, records = every_case()
    in_order = decide_actions(persons, known(*records), options)
    shuffled = random.Random(seed).sample(records, len(records))  # noqa: S311 - a seed
    in_any_order = decide_actions(persons, known(*shuffled), options)
    pd.testing.assert_frame_equal(in_order.persons, in_any_order.persons)
    pd.testing.assert_frame_equal(in_order.duplicates, in_any_order.duplicates)


def test_an_update_always_has_its_record_and_a_plain_create_has_none():
    persons, records = every_case()
    decided = decide_actions(persons, known(*records), UPDATE).persons
    action, has_lead, has_contact = (
        decided["action"],
        decided["lead_id"].notna(),
        decided["contact_id"].notna(),
    )
    assert len(decided) == 2**7 * 3
    assert has_lead[action == "update_lead"].all()
    assert has_contact[action == "update_contact"].all()
    assert not (has_lead | has_contact)[action == "create"].any()
    assert {"update_lead", "update_contact", "create"} <= set(action)
