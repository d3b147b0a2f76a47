"""The decision table of owners and matching as a drawing, and what a run makes of it.

One person, Ada Lovelace of the new Engines in Cologne, without a first name or a phone. She is
there once for each owner strategy, with an e-mail of her own. Letters name what the org holds:

    L1 L2   open leads, L1 the older     C1 C2   contacts, C1 the older
    V1      a lead converted into C1     D1      a deleted lead
    V9      a lead converted into C9, who has moved to another e-mail since

All belong to Loader. The active rule sends a German lead to Bo, the rule Fair to Inbound. A line is
a cell of the decision table: strategy | outcome and reason | what has changed in the whole org,
and whose it is | what the outcome names | the duplicate report, `?` where it is ambiguous.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
NOBODY = "nobody"
# What the org makes of her: of a new lead, and of a known record that is updated. A first name and
# a phone that she has not given stay what they are.
SENT = {"LastName": "Lovelace", "Name": "Lovelace", "Company": "New Engines"}
SENT |= {"City": "Cologne", "Country": "DE"}
UPDATED_LEAD = {"LastName": "Lovelace", "Name": "Augusta Lovelace", "Company": "New Engines"}
UPDATED_LEAD |= {"City": "Cologne", "Country": "DE"}
UPDATED_CONTACT = {"LastName": "Lovelace", "Name": "Augusta Lovelace"}
UPDATED_CONTACT |= {"MailingCity": "Cologne", "MailingCountry": "DE"}
UPDATED = {"L": UPDATED_LEAD, "C": UPDATED_CONTACT}
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
NUMBERS = {"L1": 9, "L2": 1, "D1": 5, "V1": 6, "V9": 7, "C9": 4, "C1": 3, "C2": 2}
CONVERTED = {"V1": "C1", "V9": "C9"}
BYSTANDERS = '[[lead]]\nLastName = "X"\nCompany = "X"\n[[contact]]\nLastName = "Y"\n'
KINDS = {"L": "lead", "V": "converted_lead", "C": "contact", "D": "deleted"}


@dataclass(frozen=True)
class Section:
    """Some lines of the table: what the org holds of her, the settings, and her cells."""

    heading: str
    records: tuple[str, ...]
    matching: dict[str, str]
    cells: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.heading


def sections() -> list[Section]:
    """Return the table, with the cells of each section by owner strategy."""
    read: list[Section] = []
    for line in TABLE.strip().splitlines():
        strategy, *cell = (part.strip() for part in line.split("|"))
        if cell:
            read[-1].cells[strategy] = tuple(cell)
        elif line:
            heading, _, known = line.partition(": ")
            letters, _, options = known.partition(", ")
            matching = dict(option.split("=") for option in options.split())
            named = f"{heading}, {options}".removesuffix(", ")
            read.append(Section(named, tuple(letters.split()), matching))
    return read


def email_of(whose: str) -> str:
    """Return her e-mail, as Salesforce keeps it."""
    return f"ada@{whose}.example"


def id_of(name: str, whose: str) -> str:
    """Return the id of one of her records."""
    place = [*STRATEGIES].index(whose) if whose in STRATEGIES else 9
    prefix, check = ("003", "AAA") if name[0] == "C" else ("00Q", "EAA")
    return f"{prefix}{place:04}{NUMBERS[name]:08}{check}"


def record(name: str, whose: str, more: str = "") -> str:
    """Return one of her records, as the org file has it."""
    old = OLD_CONTACT if name[0] == "C" else OLD_LEAD
    email = email_of(f"{whose}-home" if name == "C9" else whose)
    year = 2025 if name[1] == "2" else 2024
    lines = [f'Id = "{id_of(name, whose)}"', f'Email = "{email}"']
    lines.append(f'CreatedDate = "{year}-02-01T00:00:00.000+0000"')
    if name in CONVERTED:
        contact = id_of(CONVERTED[name], whose)
        lines += ["IsConverted = true", f'ConvertedContactId = "{contact}"']
    if name[0] == "D":
        lines.append("IsDeleted = true")
    return old + "\n".join([*lines, more, ""])


def held(scenario: Scenario) -> dict[str, dict[str, Any]]:
    """Return every lead and contact of the org by id, deleted ones too."""
    found = [*scenario.emulator.held("leads"), *scenario.emulator.held("contacts")]
    return {one["Id"]: one for one in found}


def perform(scenario: Scenario, section: Section, **matching: str) -> dict[str, tuple[str, ...]]:
    """Sync her once for each strategy of the section. Return the cells that come of it."""
    known = [record(name, whose) for whose in section.cells for name in section.records]
    scenario.set_org(BYSTANDERS + "".join(known))
    before = held(scenario)
    scenario.put(
        "person_id | last_name | company | email | city | country | owner_strategy\n"
        + "\n".join(
            f"{whose} | Lovelace | New Engines | {email_of(whose).title()} | Cologne | DE | {owner}"
            for whose, owner in STRATEGIES.items()
            if whose in section.cells
        )
    )
    scenario.sync(matching={**section.matching, **matching})
    changed = changes(before, held(scenario))
    cells = {whose: _cell(scenario, whose, changed) for whose in section.cells}
    return cells | ({NOBODY: (changed[NOBODY],)} if NOBODY in changed else {})


def _cell(scenario: Scenario, whose: str, changed: dict[str, str]) -> tuple[str, ...]:
    outcome = scenario.outcomes_by_id()[whose]
    names = {None: None} | {id_of(name, whose): name for name in NUMBERS}
    named = [names.get(outcome[column], "new") for column in ("lead_id", "contact_id")]
    return (
        f"{outcome['outcome']} {outcome['reason_code'] or ''}".strip(),
        changed.get(whose, "nothing"),
        " ".join(filter(None, named)),
        duplicate_report(scenario, whose),
    )


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """Return what has changed in the org, by whose it is.

    Records are named by letter, with their owner when all is as it should be, else with every field
    that is not. What cannot be hers is `nobody`'s.
    """
    letters = {id_of(n, whose): (n, whose) for n in NUMBERS for whose in (*STRATEGIES, "engines")}
    mails = {email_of(whose): whose for whose in (*STRATEGIES, "engines")}
    found: dict[str, list[str]] = {}
    for id_ in before | after:
        old, new = before.get(id_), after.get(id_)
        if old != new:
            name, whose = letters.get(id_, (None, mails.get((new or {}).get("Email"), NOBODY)))
            found.setdefault(whose, []).append(_change(name, whose, old, new))
    return {whose: ", ".join(texts) for whose, texts in found.items()}


def _change(
    name: str | None, whose: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> str:
    if after is None or (before and name is None):
        return f"{name or before} gone or touched"
    sent = SENT | {"Email": email_of(whose), "Person_Id__c": whose}
    if before is None or name is None:
        wrong = {k: after[k] for k in (*sent, "FirstName", "Phone") if after[k] != sent.get(k)}
        return f"new of {after['Owner']['Name']}{wrong or ''}"
    found = {k: v for k, v in after.items() if before[k] != v and k not in BOOKKEEPING}
    owner = {"OwnerId", "Owner"} & found.keys()
    wanted = UPDATED[name[0]] | ({"Email": sent["Email"]} if name == "C9" else {})
    wrong = {k: v for k, v in found.items() if k not in owner and wanted.get(k) != v}
    missing = sorted(wanted.keys() - found.keys())
    return f"{name} of {after['Owner']['Name']}{wrong or ''}{missing or ''}"


def duplicate_report(scenario: Scenario, whose: str, person_id: str = "") -> str:
    """Return her rows of duplicate_persons in the words of the table."""
    names = {id_of(name, whose): name for name in NUMBERS}
    rows = scenario.duplicates(person_id or whose)
    for row in rows:
        kind = KINDS[names[row["matched_id"]][0]]
        assert (row["matched_in"], row["match_key"]) == (kind, "email"), row
        assert row["matched_count"] == len(rows), row
    done: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: names[row["matched_id"]]):
        mark = "?" if row["is_ambiguous"] else ""
        done.setdefault(row["action_taken"] + mark, []).append(names[row["matched_id"]])
    return ", ".join(f"{' '.join(found)} {action}" for action, found in done.items())


def owners_reported(scenario: Scenario) -> dict[str, tuple[str | None, ...]]:
    """Return by person who owns the lead that was made or updated, as the outcome says."""
    return {
        person: (outcome["owner_id"], outcome["owner_name"], outcome["owner_type"])
        for person, outcome in scenario.outcomes_by_id().items()
    }


def owners_held(scenario: Scenario) -> dict[str, tuple[str | None, ...]]:
    """Return by person who owns it in the org; nobody where no lead was touched."""
    leads = held(scenario)
    owners: dict[str, tuple[str | None, ...]] = {}
    for person, outcome in scenario.outcomes_by_id().items():
        lead = None if outcome["outcome"] == "duplicate" else leads.get(outcome["lead_id"])
        owner = lead["Owner"] if lead else None
        owners[person] = (
            (lead["OwnerId"], owner["Name"], owner["Type"].lower())
            if lead and owner
            else (None, None, None)
        )
    return owners
