"""The decision table of owners-and-matching: what becomes of a person whom the org knows, or not.

One person, Ada Lovelace of the new Engines in Cologne, without a first name or a phone; what the
org holds of her beforehand is named by letters:

    L1 L2   open leads, L1 the older     C1 C2   contacts, C1 the older
    V1      a lead converted into C1     D1      a deleted lead
    V9      a lead converted into C9, who has moved to another e-mail since

All belong to Loader. The active rule sends a German lead to Bo, the rule Fair to Inbound. A line of
the table is a cell of the design's, a test, and reads: strategy | outcome and reason | what is
otherwise than before in the whole org, and whose it is | what the outcome names | the duplicate
report, `?` where it is ambiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.steps.scenario import Scenario

TABLE = """
nothing
rules | created                            | new of Bo      | new    |
rule  | created                            | new of Inbound | new    |
user  | created                            | new of Ada     | new    |
queue | created                            | new of Inbound | new    |

an open lead: L1, existing_lead=report
rules | duplicate LEAD_EXISTS              | nothing        | L1     | L1 reported
rule  | duplicate LEAD_EXISTS              | nothing        | L1     | L1 reported
user  | duplicate LEAD_EXISTS              | nothing        | L1     | L1 reported
queue | duplicate LEAD_EXISTS              | nothing        | L1     | L1 reported

an open lead: L1, existing_lead=update
rules | updated LEAD_EXISTS                | L1 of Loader   | L1     | L1 updated
rule  | updated LEAD_EXISTS                | L1 of Loader   | L1     | L1 updated
user  | updated LEAD_EXISTS                | L1 of Ada      | L1     | L1 updated
queue | updated LEAD_EXISTS                | L1 of Inbound  | L1     | L1 updated

a converted lead: V1 C1, existing_contact=report
rules | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 V1 reported
rule  | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 V1 reported
user  | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 V1 reported
queue | created DUPLICATE_LEAD_ON_PURPOSE  | new of Inbound | new C1 | C1 V1 duplicate_lead_created

a converted lead: V1 C1, existing_contact=update
rules | updated CONTACT_EXISTS             | C1 of Loader   | C1     | C1 V1 updated
rule  | updated CONTACT_EXISTS             | C1 of Loader   | C1     | C1 V1 updated
user  | updated CONTACT_OWNER_KEPT         | C1 of Loader   | C1     | C1 V1 updated
queue | created DUPLICATE_LEAD_ON_PURPOSE  | new of Inbound | new C1 | C1 V1 duplicate_lead_created

a converted lead whose contact moved: V9 C9, existing_contact=report
rules | duplicate CONVERTED_LEAD_EXISTS    | nothing        | C9     | V9 reported
rule  | duplicate CONVERTED_LEAD_EXISTS    | nothing        | C9     | V9 reported
user  | duplicate CONVERTED_LEAD_EXISTS    | nothing        | C9     | V9 reported
queue | created DUPLICATE_LEAD_ON_PURPOSE  | new of Inbound | new C9 | V9 duplicate_lead_created

a converted lead whose contact moved: V9 C9, existing_contact=update
rules | updated CONVERTED_LEAD_EXISTS      | C9 of Loader   | C9     | V9 updated
rule  | updated CONVERTED_LEAD_EXISTS      | C9 of Loader   | C9     | V9 updated
user  | updated CONTACT_OWNER_KEPT         | C9 of Loader   | C9     | V9 updated
queue | created DUPLICATE_LEAD_ON_PURPOSE  | new of Inbound | new C9 | V9 duplicate_lead_created

a contact: C1, existing_contact=report
rules | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported
rule  | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported
user  | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported
queue | created DUPLICATE_LEAD_ON_PURPOSE  | new of Inbound | new C1 | C1 duplicate_lead_created

a contact: C1, existing_contact=update
rules | updated CONTACT_EXISTS             | C1 of Loader   | C1     | C1 updated
rule  | updated CONTACT_EXISTS             | C1 of Loader   | C1     | C1 updated
user  | updated CONTACT_OWNER_KEPT         | C1 of Loader   | C1     | C1 updated
queue | created DUPLICATE_LEAD_ON_PURPOSE  | new of Inbound | new C1 | C1 duplicate_lead_created

a contact: C1, contact_with_queue=report
rules | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported
rule  | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported
user  | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported
queue | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported

a contact: C1, existing_contact=update contact_with_queue=report
queue | duplicate CONTACT_EXISTS           | nothing        | C1     | C1 reported

lead and contact: L1 C1, existing_lead=report existing_contact=update
rules | duplicate LEAD_EXISTS              | nothing        | L1 C1  | C1 L1 reported
rule  | duplicate LEAD_EXISTS              | nothing        | L1 C1  | C1 L1 reported
user  | duplicate LEAD_EXISTS              | nothing        | L1 C1  | C1 L1 reported
queue | duplicate LEAD_EXISTS              | nothing        | L1 C1  | C1 L1 reported

lead and contact: L1 C1, existing_lead=update
rules | updated LEAD_EXISTS                | L1 of Loader   | L1 C1  | C1 reported, L1 updated
rule  | updated LEAD_EXISTS                | L1 of Loader   | L1 C1  | C1 reported, L1 updated
user  | updated LEAD_EXISTS                | L1 of Ada      | L1 C1  | C1 reported, L1 updated
queue | updated LEAD_EXISTS                | L1 of Inbound  | L1 C1  | C1 reported, L1 updated

only deleted ones: D1, deleted=recreate
rules | created RECREATED                  | new of Bo      | new    | D1 recreated
rule  | created RECREATED                  | new of Inbound | new    | D1 recreated
user  | created RECREATED                  | new of Ada     | new    | D1 recreated
queue | created RECREATED                  | new of Inbound | new    | D1 recreated

only deleted ones: D1, deleted=report
rules | duplicate DELETED_RECORD_EXISTS           | nothing        |        | D1 reported
rule  | duplicate DELETED_RECORD_EXISTS           | nothing        |        | D1 reported
user  | duplicate DELETED_RECORD_EXISTS           | nothing        |        | D1 reported
queue | duplicate DELETED_RECORD_EXISTS           | nothing        |        | D1 reported

several leads: L1 L2, existing_lead=update
rules | duplicate SEVERAL_MATCHES                | nothing        | L1     | L1 L2 reported?
rule  | duplicate SEVERAL_MATCHES                | nothing        | L1     | L1 L2 reported?
user  | duplicate SEVERAL_MATCHES                | nothing        | L1     | L1 L2 reported?
queue | duplicate SEVERAL_MATCHES                | nothing        | L1     | L1 L2 reported?

several contacts: C1 C2, existing_contact=update
rules | duplicate SEVERAL_MATCHES                | nothing        | C1     | C1 C2 reported?
rule  | duplicate SEVERAL_MATCHES                | nothing        | C1     | C1 C2 reported?
user  | duplicate SEVERAL_MATCHES                | nothing        | C1     | C1 C2 reported?
queue | duplicate SEVERAL_MATCHES                | nothing        | C1     | C1 C2 reported?
"""

STRATEGIES = {
    "rules": "rules",
    "rule": "rule:Fair",
    "user": "user:ada@acme.example",
    "queue": "queue:Inbound",
}
PERSON = """
    person_id | last_name | company     | email                 | city    | country
    P1        | Lovelace  | New Engines | Ada@Engines.example   | Cologne | DE
"""
# What the org makes of it: of a new lead, and of a known record that is updated. A first name and a
# phone that she has not given stay what they are.
SENT = {"LastName": "Lovelace", "Company": "New Engines", "Email": "ada@engines.example"}
SENT |= {"City": "Cologne", "Country": "DE", "Person_Id__c": "P1", "Name": "Lovelace"}
UPDATED_LEAD = {"LastName": "Lovelace", "Name": "Augusta Lovelace", "Company": "New Engines"}
UPDATED_LEAD |= {"City": "Cologne", "Country": "DE"}
UPDATED_CONTACT = {"LastName": "Lovelace", "Name": "Augusta Lovelace"}
UPDATED_CONTACT |= {"MailingCity": "Cologne", "MailingCountry": "DE"}
UPDATED = {"L": UPDATED_LEAD, "C": UPDATED_CONTACT}
MOVED = "ada@home.example"
BOOKKEEPING = {"LastModifiedDate", "LastModifiedById", "SystemModstamp"}

OLD_LEAD = """
[[lead]]
FirstName = "Augusta"
LastName = "King"
Company = "Old Engines"
Phone = "+44 20 1"
City = "London"
"""
OLD_CONTACT = """
[[contact]]
FirstName = "Augusta"
LastName = "King"
Phone = "+44 20 1"
MailingCity = "London"
"""
# The older one has the greater id, so that nobody takes the smallest for the oldest.
IDS = {"L1": "00Q000000000009EAA", "L2": "00Q000000000001EAA", "D1": "00Q000000000005EAA"}
IDS |= {"V1": "00Q000000000006EAA", "V9": "00Q000000000007EAA", "C9": "003000000000004AAA"}
IDS |= {"C1": "003000000000003AAA", "C2": "003000000000002AAA"}
MORE = {
    "V1": f'IsConverted = true\nConvertedContactId = "{IDS["C1"]}"\n',
    "V9": f'IsConverted = true\nConvertedContactId = "{IDS["C9"]}"\n',
    "D1": "IsDeleted = true\n",
}
BYSTANDERS = '[[lead]]\nLastName = "X"\nCompany = "X"\n[[contact]]\nLastName = "Y"\n'
KINDS = {"L": "lead", "V": "converted_lead", "C": "contact", "D": "deleted"}


@dataclass(frozen=True)
class Cell:
    """One line of the table."""

    heading: str
    records: tuple[str, ...]
    matching: dict[str, str]
    strategy: str
    told: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.heading}; {self.strategy}"


def cells() -> list[Cell]:
    """The table, a cell a line."""
    read: list[Cell] = []
    heading, records, matching = "", (), {}
    for line in TABLE.strip().splitlines():
        strategy, *told = (part.strip() for part in line.split("|"))
        if told:
            read.append(Cell(heading, records, matching, strategy, tuple(told)))
        elif line:
            heading, _, known = line.partition(": ")
            letters, _, options = known.partition(", ")
            records, matching = tuple(letters.split()), dict(o.split("=") for o in options.split())
            heading = f"{heading}, {options}".removesuffix(", ")
    return read


def record(name: str, more: str = "") -> str:
    """One record of Ada's, as the org file has it."""
    old = OLD_CONTACT if name[0] == "C" else OLD_LEAD
    email = MOVED if name == "C9" else SENT["Email"]
    year = 2025 if name[1] == "2" else 2024
    created = f'CreatedDate = "{year}-02-01T00:00:00.000+0000"'
    known = f'Id = "{IDS[name]}"\nEmail = "{email}"\n{created}\n'
    return old + known + MORE.get(name, "") + more


def held(scenario: Scenario) -> dict[str, dict[str, Any]]:
    """Every lead and contact of the org by id, deleted ones too."""
    found = [*scenario.emulator.held("leads"), *scenario.emulator.held("contacts")]
    return {one["Id"]: one for one in found}


def otherwise(before: dict[str, Any], after: dict[str, Any]) -> str:
    """What is otherwise in the org: records by letter, with their owner when all is as it should
    be, else with every field that is not."""
    names = {id_: name for name, id_ in IDS.items()}
    changed = [id_ for id_ in before | after if before.get(id_) != after.get(id_)]
    return ", ".join(_otherwise(names.get(i), before.get(i), after.get(i)) for i in changed) or (
        "nothing"
    )


def _otherwise(
    name: str | None, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> str:
    if after is None or (before and name is None):
        return f"{name or before} gone or touched"
    if before is None:
        wrong = {k: after[k] for k in (*SENT, "FirstName", "Phone") if after[k] != SENT.get(k)}
        return f"new of {after['Owner']['Name']}{wrong or ''}"
    found = {k: v for k, v in after.items() if before[k] != v and k not in BOOKKEEPING}
    owner = {"OwnerId", "Owner"} & found.keys()
    wanted = UPDATED[name[0]] | ({"Email": SENT["Email"]} if name == "C9" else {})
    wrong = {k: v for k, v in found.items() if k not in owner and wanted.get(k) != v}
    missing = sorted(wanted.keys() - found.keys())
    return f"{name} of {after['Owner']['Name']}{wrong or ''}{missing or ''}"


def told_of(scenario: Scenario, before: dict[str, Any]) -> tuple[str, ...]:
    """What the results and the org say of Ada, in the words of the table."""
    outcome = scenario.outcomes_by_id()["P1"]
    names = {None: None} | {id_: name for name, id_ in IDS.items()}
    named = [names.get(outcome[column], "new") for column in ("lead_id", "contact_id")]
    return (
        f"{outcome['outcome']} {outcome['reason_code'] or ''}".strip(),
        otherwise(before, held(scenario)),
        " ".join(filter(None, named)),
        duplicate_report(scenario),
    )


def duplicate_report(scenario: Scenario) -> str:
    """The rows of duplicate_persons in the words of the table."""
    names = {id_: name for name, id_ in IDS.items()}
    rows = scenario.duplicates("P1")
    for row in rows:
        kind = KINDS[names[row["matched_id"]][0]]
        assert (row["matched_in"], row["match_key"]) == (kind, "email"), row
        assert row["matched_count"] == len(rows), row
    done: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: names[row["matched_id"]]):
        mark = "?" if row["is_ambiguous"] else ""
        done.setdefault(row["action_taken"] + mark, []).append(names[row["matched_id"]])
    return ", ".join(f"{' '.join(found)} {action}" for action, found in done.items())


def owner_told(scenario: Scenario) -> tuple[str | None, ...]:
    """Who owns the lead that was made or updated, by the outcome."""
    outcome = scenario.outcomes_by_id()["P1"]
    return outcome["owner_id"], outcome["owner_name"], outcome["owner_type"]


def owner_held(scenario: Scenario) -> tuple[str | None, ...]:
    """Who owns it in the org; nobody where no lead was touched."""
    outcome = scenario.outcomes_by_id()["P1"]
    lead = held(scenario).get(outcome["lead_id"])
    if lead is None or outcome["outcome"] == "duplicate":
        return None, None, None
    return lead["OwnerId"], lead["Owner"]["Name"], lead["Owner"]["Type"].lower()


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_what_becomes_of_a_person(scenario: Scenario, cell: Cell) -> None:
    scenario.set_org(BYSTANDERS + "".join(map(record, cell.records)))
    before = held(scenario)
    scenario.put(PERSON)
    scenario.sync(owners={"default": STRATEGIES[cell.strategy]}, matching=cell.matching)
    assert told_of(scenario, before) == cell.told
    assert owner_told(scenario) == owner_held(scenario)


# --- The org's own duplicate rules. They find namesakes with her phone, whatever their e-mail.

CALLING = """
    person_id | first_name | last_name | company | email          | phone    | country
    P1        | Augusta    | King      | Engines | other@home.test | +44 20 1 | DE
"""
KNOWN = """
    person_id | first_name | last_name | company | email               | phone    | country
    P1        | Augusta    | King      | Engines | ada@engines.example | +44 20 1 | DE
"""


def rule(action: str, matches: str) -> str:
    """A duplicate rule for new leads."""
    name = f"{action} {matches}"
    return f"""
[[duplicate_rule]]
name = "{name}"
object = "Lead"
matches = "{matches}"
action = "{action}"
"""


@pytest.mark.parametrize("known", ["L1", "C1"])
@pytest.mark.parametrize("action", ["alert", "block"])
def test_whom_a_duplicate_rule_refuses_is_a_duplicate(
    scenario: Scenario, action: str, known: str
) -> None:
    scenario.set_org(record(known) + rule(action, {"L": "Lead", "C": "Contact"}[known[0]]))
    before = held(scenario)
    scenario.put(CALLING)
    told = scenario.sync()
    assert scenario.outcome_counts("reason_code") == {"DUPLICATES_DETECTED": 1}
    assert (told["run"]["duplicate_count"], scenario.rejections()) == (1, set())
    (row,) = scenario.duplicates("P1")
    words = ("matched_in", "matched_count", "is_ambiguous", "action_taken")
    assert [row[word] for word in words] == ["salesforce_rule", 1, False, "reported"]
    assert otherwise(before, held(scenario)) == "nothing"


def test_a_rule_that_only_allows_lets_the_lead_in(scenario: Scenario) -> None:
    scenario.set_org(record("L1") + rule("allow", "Lead"))
    scenario.put(CALLING)
    scenario.sync()
    assert scenario.outcome_counts() == {"created": 1}
    assert scenario.duplicates("P1") == []


@pytest.mark.parametrize("matches", ["Lead", "Contact"])
def test_the_deliberate_duplicate_passes_a_rule_that_alerts(
    scenario: Scenario, matches: str
) -> None:
    scenario.set_org(record("C1") + rule("alert", matches))
    scenario.put(KNOWN)
    scenario.sync(owners={"default": "queue:Inbound"})
    assert scenario.outcome_counts("reason_code") == {"DUPLICATE_LEAD_ON_PURPOSE": 1}
    assert [lead["Owner"]["Name"] for lead in scenario.leads()] == ["Inbound"]
    assert duplicate_report(scenario) == "C1 duplicate_lead_created"


def test_the_deliberate_duplicate_is_rejected_by_a_rule_that_blocks(any_scenario: Scenario) -> None:
    any_scenario.set_org(record("C1") + rule("block", "Contact"))
    before = held(any_scenario)
    any_scenario.put(KNOWN)
    any_scenario.sync(owners={"default": "queue:Inbound"})
    (why,) = any_scenario.rows("select person_id, rule_name, stage, message from rejected_persons")
    assert tuple(why.values()) == (
        *("P1", "DUPLICATES_DETECTED", "salesforce"),
        "Use one of these records?",
    )
    assert any_scenario.outcome_counts() == {"rejected": 1}
    assert any_scenario.duplicates("P1") == []
    assert otherwise(before, held(any_scenario)) == "nothing"


def test_a_rule_that_blocks_one_deliberate_duplicate_lets_her_neighbours_in(
    scenario: Scenario,
) -> None:
    other = record("C2").replace("King", "Byron").replace("engines.example", "other.example")
    scenario.set_org(record("C1") + other + rule("block", "Contact"))
    scenario.put(
        KNOWN + "P2 | Ada | Lovelace | Engines | ada@other.example | +1 | DE\n"
        "P3 | Ada | Lovelace | Engines | nobody@other.example | +2 | DE"
    )
    scenario.sync(owners={"default": "queue:Inbound"})
    told = {person: row["outcome"] for person, row in scenario.outcomes_by_id().items()}
    assert told == {"P1": "rejected", "P2": "created", "P3": "created"}


# --- Known by person id, and persons with a strategy of their own


def test_a_lead_of_her_person_id_is_hers_whatever_its_email(scenario: Scenario) -> None:
    elsewhere = record("L1", 'Person_Id__c = "P1"\n').replace(SENT["Email"], MOVED)
    scenario.set_org(elsewhere)
    scenario.put(PERSON)
    scenario.sync(matching={"existing_lead": "update"})
    assert scenario.outcome_counts("reason_code") == {"LEAD_EXISTS": 1}
    assert [lead["Email"] for lead in scenario.leads()] == [SENT["Email"]]
    (row,) = scenario.duplicates("P1")
    assert (row["match_key"], row["action_taken"]) == ("person_id", "updated")


def test_each_persons_own_strategy_decides_for_her_alone(scenario: Scenario) -> None:
    scenario.set_org(record("L1"))
    scenario.put("""
        person_id | last_name | company | email               | country | owner_strategy
        P1        | Lovelace  | Engines | ada@engines.example | DE      | user:ada@acme.example
        P2        | Menabrea  | Engines | two@x.example       | DE      | queue:Inbound
        P3        | Babbage   | Engines | three@x.example     | DE      |
        P4        | Somerville | Engines | four@x.example     |         |
        P5        | Byron     | Engines | five@x.example      |         | user:gone@acme.example
    """)
    scenario.sync(matching={"existing_lead": "update"})
    owners = {lead["LastName"]: lead["Owner"]["Name"] for lead in scenario.leads()}
    expected = {"Lovelace": "Ada", "Menabrea": "Inbound"}
    assert owners == expected | {"Babbage": "Bo", "Somerville": "Unassigned"}
    assert scenario.rejections() == {("P5", "owner_inactive")}
