"""Which owner strategy applies to a person."""

from __future__ import annotations

import pytest

from pipelines.rules.owner_choices import (
    ChoiceMalformedError,
    choose_strategies,
    parse_choices,
)
from pipelines.rules.owner_strategies import parse_strategy
from tests.rules.tables import as_persons, frame, table, text

DEFAULT = parse_strategy("rules")
MATCHED = "queue:Matched"


def holds_for(persons, **when):
    """Return for each person whether the conditions hold."""
    choices = parse_choices([{"when": when, "assign_to": MATCHED}])
    chosen = choose_strategies(as_persons(persons), choices, DEFAULT, {*persons, *when})
    return (chosen == MATCHED).tolist()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"when": {}, "assign_to": "team:X"}, "2: assign_to is wrong. .*rule:NAME"),
        ({"when": {}, "assign_to": 7}, "2: assign_to must be an owner strategy"),
        ({"when": {}}, "2: assign_to must be"),
        ({"assign_to": "rules"}, "2: when must be a table"),
        ({"when": "all", "assign_to": "rules"}, "2: when must be a table"),
        ({"when": {}, "assign_to": "rules", "then": 1}, "2: then means nothing"),
        ({"when": {"city": {"near": 1}}, "assign_to": "rules"}, "2: when.city.near is unknown"),
        ({"when": {"city": {"ge": "9"}}, "assign_to": "rules"}, "2: when.city.ge must be a number"),
        ({"when": {"city": {"lt": True}}, "assign_to": "rules"}, "when.city.lt must be a number"),
        ({"when": {"city": {"contains": 9}}, "assign_to": "rules"}, "contains must be a text"),
        ({"when": {"city": {"is_blank": 1}}, "assign_to": "rules"}, "must be true or false"),
        ({"when": {"city": []}, "assign_to": "rules"}, "2: when.city must be a value"),
        ({"when": {"city": {}}, "assign_to": "rules"}, "2: when.city must be a value"),
        ({"when": {"city": [["x"]]}, "assign_to": "rules"}, "2: when.city must be a value"),
    ],
)
def test_a_wrong_choice_is_named_by_number_and_key(entry, message):
    with pytest.raises(ChoiceMalformedError, match=message):
        parse_choices([{"when": {}, "assign_to": "rules"}, entry])


def test_equal_text_holds_whatever_case_and_outer_blanks():
    assert holds_for(frame(country=["DE", " de\u00a0", "D", None]), country="De ") == [
        True,
        True,
        False,
        False,
    ]


def test_letters_with_an_unusual_lower_case_equal_themselves():
    assert holds_for(frame(city=["İzmir", "STRAẞE"]), city=["İZMIR", "straße"]) == [True, True]


def test_one_of_a_list_holds():
    assert holds_for(frame(country=["DE", "at", "FR"]), country=["DE", "AT"]) == [True, True, False]


def test_a_number_equals_a_number_however_it_is_written():
    assert holds_for(frame(size=["1000.0", "1e3", "x", None]), size=[1000]) == [
        True,
        True,
        False,
        False,
    ]


def test_true_equals_true_and_1():
    assert holds_for(frame(vip=["TRUE", "1", "0", None]), vip=True) == [True, True, False, False]
    assert holds_for(frame(vip=["false", "0", "1", None]), vip=False) == [True, True, False, False]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"ge": 1000}, [False, True, True]),
        ({"gt": 1000}, [False, False, True]),
        ({"le": 1000}, [True, True, False]),
        ({"lt": 1000.0}, [True, False, False]),
        ({"ge": 1000, "lt": 1001}, [False, True, False]),
    ],
)
def test_numbers_compare(condition, holds):
    assert holds_for(frame(size=["999.5", " 1000 ", "1001"]), size=condition) == holds


@pytest.mark.parametrize("cell", ["many", "1,000", "inf", "nan", None, ""])
@pytest.mark.parametrize("operator", ["ge", "gt", "le", "lt"])
def test_what_is_no_number_compares_with_none(cell, operator):
    assert holds_for(frame(size=[cell]), size={operator: 0}) == [False]


def test_contains_ignores_case_and_takes_dots_for_dots():
    persons = frame(note=["Our Partner Programme 2.0", "2x0", None])
    assert holds_for(persons, note={"contains": "PARTNER programme"}) == [True, False, False]
    assert holds_for(persons, note={"contains": "2.0"}) == [True, False, False]


def test_blank_is_null_or_white_space():
    persons = frame(email=[None, "\u200b", "a@b.de"])
    assert holds_for(persons, email={"is_blank": True}) == [True, True, False]
    assert holds_for(persons, email={"is_blank": False}) == [False, False, True]


def test_all_conditions_of_a_choice_must_hold():
    persons = frame(country=["AU", "AU", "DE"], source=["Web", "Fair", "Web"])
    assert holds_for(persons, country=["AU"], source="web") == [True, False, False]


def test_a_choice_without_conditions_always_holds():
    assert holds_for(frame(city=["x", None])) == [True, True]


def test_a_known_column_that_was_not_read_is_blank():
    assert holds_for(frame(city=["x"]), country={"is_blank": True}) == [True]
    assert holds_for(frame(city=["x"]), country="DE") == [False]


def test_a_choice_about_an_unknown_column_is_malformed():
    choices = parse_choices([{"when": {"cuntry": "DE"}, "assign_to": "rules"}])
    with pytest.raises(
        ChoiceMalformedError, match=r"choice 1: when\.cuntry: the persons have no such"
    ):
        choose_strategies(as_persons(frame(city=["x"])), choices, DEFAULT, {"city"})


def test_a_persons_own_strategy_comes_before_the_first_choice_that_holds_before_the_default():
    persons = as_persons("""
        country | owner_strategy
        DE      | nonsense
        DE      |
        AT      |
        FR      |
    """)
    choices = parse_choices(
        [
            {"when": {"country": "DE"}, "assign_to": "QUEUE:DE"},
            {"when": {"country": ["AT", "DE"]}, "assign_to": "queue:DACH"},
        ]
    )
    chosen = choose_strategies(persons, choices, DEFAULT, {"country"})
    assert chosen.tolist() == ["nonsense", "queue:DE", "queue:DACH", "rules"]


def test_a_persons_own_strategy_is_returned_as_written_without_outer_blanks():
    persons = as_persons(frame(owner_strategy=[" User:Ada ", "\u00a0"])).set_axis([5, 6])
    chosen = choose_strategies(persons, (), DEFAULT, ())
    assert chosen.to_dict() == {5: "User:Ada", 6: "rules"}
    assert chosen.dtype == "str"


def test_without_persons_there_are_no_strategies():
    no_persons = as_persons(table("country\nDE")).iloc[:0]
    assert choose_strategies(no_persons, (), DEFAULT, ()).tolist() == text().tolist()
