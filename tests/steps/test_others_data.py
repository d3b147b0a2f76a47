"""Persons and leads that nobody here wrote: splink's thousand, and the leads of two Trailhead apps.

`fate_of_each` below is the judgement once more, as slow and plain as can be; the real run, on each
engine, is compared with it person by person.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.steps.scenario import COLUMNS, Scenario

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
LOCAL_MARKS = ".!#$%&'*+-/=?^_`{|}~"
IN_LONDON = {"owners": {"choice": [{"when": {"city": "London"}, "assign_to": "queue:Inbound"}]}}

Rows = list[dict[str, Any]]


def read_persons(shared_data: Path) -> Rows:
    """Splink's thousand, each with a company, and one more for every other Trailhead lead."""
    with (shared_data / "companies-sp500" / "constituents.csv").open(encoding="utf-8") as file:
        companies = [row["Security"] for row in csv.DictReader(file)]
    with (shared_data / "splink-fake1000" / "fake_1000.csv").open(encoding="utf-8") as file:
        persons = list(csv.DictReader(file))
    emails = sorted({lead["Email"] for lead in read_leads(shared_data)})[::2]
    known = [{"surname": "Known", "email": f" {one.upper()} ", "city": "Rome"} for one in emails]
    found = []
    for number, row in enumerate([*persons, *known]):
        person = {"person_id": row.get("unique_id") or f"T{number}"}
        person |= {"first_name": row.get("first_name"), "last_name": row["surname"]}
        person |= {"city": row["city"], "email": row["email"]}
        person["company"] = companies[number % len(companies)]
        found.append({name: cell or None for name, cell in person.items()})
    return found


def read_leads(shared_data: Path) -> Rows:
    """The leads of all three files; the easy-spaces ones stand in two."""
    leads: Rows = []
    for name in ("easy-spaces/Leads.json", "ecars/Leads.json"):
        text = (shared_data / "trailhead-leads" / name).read_text(encoding="utf-8")
        leads += json.loads(text)["records"]
    csv_file = shared_data / "trailhead-leads" / "easy-spaces" / "Lead_Data.csv"
    with csv_file.open(encoding="utf-8") as file:
        leads += list(csv.DictReader(file))
    return [{k: v for k, v in lead.items() if v and k != "attributes"} for lead in leads]


def as_org(leads: Rows) -> str:
    """These leads in an org file."""
    tables = ("\n".join(f"{k} = {json.dumps(v)}" for k, v in lead.items()) for lead in leads)
    return "".join(f"\n[[lead]]\n{table}\n" for table in tables)


def is_address(email: str) -> bool:
    """Salesforce's acceptance, letter by letter."""
    local, at, domain = email.partition("@")
    if not at or not local or local.startswith(".") or "@" in domain:
        return False
    if any(letter not in LETTERS + DIGITS + LOCAL_MARKS for letter in local):
        return False
    labels = domain.split(".")
    if len(labels) < 2 or any(label.strip("-") != label or not label for label in labels):
        return False
    return all(letter in LETTERS + DIGITS + "-" for label in labels for letter in label)


def is_refused_by_the_org(email: str) -> bool:
    """The org emulator wants two letters after the last dot; our rule leaves that to the org."""
    return len(email.rpartition(".")[2]) < 2


def broken_rules(person: dict[str, Any]) -> set[str]:
    """The rules that this person breaks."""
    broken = set()
    if not (person["last_name"] or "").strip():
        broken.add("last_name_missing")
    if person["email"] and not is_address(person["email"].strip()):
        broken.add("email_malformed")
    return broken


def fate_of_each(persons: Rows, leads: Rows) -> dict[str, tuple[str, ...]]:
    """What must become of everybody: outcome, why, and whose it is or what it is a duplicate of."""
    outcomes: dict[str, tuple[str, ...]] = {}
    kept: dict[str, str] = {}
    for person in sorted(persons, key=lambda one: one["person_id"]):
        person_id, email = person["person_id"], (person["email"] or "").strip().lower()
        matches = [lead for lead in leads if email and lead["Email"].lower() == email]
        if broken_rules(person):
            outcomes[person_id] = ("rejected", *sorted(broken_rules(person)))
        elif email in kept:
            outcomes[person_id] = ("duplicate", "SAME_EMAIL", kept[email])
        elif matches:
            why = "SEVERAL_MATCHES" if len(matches) > 1 else "LEAD_EXISTS"
            outcomes[person_id] = ("duplicate", why, *[email] * len(matches))
        elif email and is_refused_by_the_org(email):
            outcomes[person_id] = ("rejected", "INVALID_EMAIL_ADDRESS")
        else:
            owner = "Inbound" if person["city"] == "London" else "Unassigned"
            outcomes[person_id] = ("created", "", owner)
        if email and outcomes[person_id][0] != "rejected":
            kept.setdefault(email, person_id)
    return outcomes


def told_of_each(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """What the result tables say, in the same words: a lead is called by its e-mail."""
    emails = {lead["Id"]: lead["Email"] for lead in scenario.leads()}
    why: dict[str, list[str]] = {}
    for person_id, rule_name in sorted(scenario.rejections()):
        why.setdefault(person_id, []).append(rule_name)
    for row in scenario.rows("select * from duplicate_persons order by matched_id"):
        matched = emails.get(row["matched_id"], row["matched_id"])
        why.setdefault(row["person_id"], []).append(matched)
    told = {}
    for person_id, row in scenario.outcomes_by_id().items():
        words = {"rejected": (), "duplicate": (row["reason_code"],)}
        made = ("", row["owner_name"])
        found = words.get(row["outcome"], made)
        told[person_id] = (row["outcome"], *found, *why.get(person_id, []))
    return told


def play(scenario: Scenario, shared_data: Path) -> dict[str, Any]:
    """One run over all of it."""
    scenario.set_org(as_org(read_leads(shared_data)))
    scenario.put_frame(pd.DataFrame(read_persons(shared_data)).reindex(columns=COLUMNS))
    return scenario.sync(**IN_LONDON)["run"]


def test_everybody_ends_as_a_slow_and_plain_judgement_says(
    scenario: Scenario, shared_data: Path
) -> None:
    play(scenario, shared_data)
    expected = fate_of_each(read_persons(shared_data), read_leads(shared_data))
    told = told_of_each(scenario)
    wrong = {p: (fate, told.get(p)) for p, fate in expected.items() if told.get(p) != fate}
    assert wrong == {}
    assert told.keys() == expected.keys()


def test_the_data_has_all_that_it_is_here_for(shared_data: Path) -> None:
    outcomes = fate_of_each(read_persons(shared_data), read_leads(shared_data)).values()
    counts = {
        words: sum(fate[:2] == words for fate in outcomes) for words in {f[:2] for f in outcomes}
    }
    assert min(counts.values()) >= 1
    assert len(outcomes) == 1006
    assert counts.keys() == {
        ("created", ""),
        ("duplicate", "SAME_EMAIL"),
        ("duplicate", "LEAD_EXISTS"),
        ("duplicate", "SEVERAL_MATCHES"),
        ("rejected", "INVALID_EMAIL_ADDRESS"),
        ("rejected", "email_malformed"),
        ("rejected", "last_name_missing"),
    }


def test_nobody_is_lost_and_each_created_person_has_one_lead(
    scenario: Scenario, shared_data: Path
) -> None:
    run = play(scenario, shared_data)
    parts = ("created", "updated", "duplicate", "rejected", "held", "open")
    assert run["read_count"] == sum(run[f"{part}_count"] for part in parts) == 1006
    assert (run["updated_count"], run["held_count"], run["open_count"]) == (0, 0, 0)
    assert scenario.unaccounted() == []
    made = [lead for lead in scenario.leads() if lead["Id"] not in scenario.seeded]
    created = {p: row["lead_id"] for p, row in scenario.outcomes_by_id().items() if row["lead_id"]}
    assert {lead["Person_Id__c"]: lead["Id"] for lead in made}.items() <= created.items()
    assert len(made) == run["created_count"]


@pytest.fixture
def scenarios(
    sqlite_warehouse_url: str, postgres_warehouse_url: str, scenario: Scenario
) -> list[Scenario]:
    """The same scenario on both engines, to be played one after the other."""
    other = Scenario(postgres_warehouse_url, scenario.emulator)
    return [scenario, other]


def test_both_engines_say_the_same_of_everybody(
    scenarios: list[Scenario], shared_data: Path
) -> None:
    words = (
        "person_id, outcome, reason_code, owner_strategy, owner_id, owner_name, defaulted_fields"
    )
    found = (
        "person_id, matched_in, matched_id, match_key, matched_count, is_ambiguous, action_taken"
    )
    told = []
    for scenario in scenarios:
        play(scenario, shared_data)
        outcomes = scenario.rows(f"select {words} from person_outcomes")
        duplicates = scenario.rows(f"select {found} from duplicate_persons")
        told.append([sorted(map(str, outcomes)), sorted(map(_as_text, duplicates))])
        scenario.engine.dispose()
    assert told[0] == told[1]


def _as_text(row: dict[str, Any]) -> str:
    return str(row | {"is_ambiguous": bool(row["is_ambiguous"])})
