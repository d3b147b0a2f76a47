"""The org of the reference: owners, rules, leads and contacts, as rows and as an org file."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
_CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def id_of(prefix: str, number: int) -> str:
    """Return an id of 18 characters: the last three say which of the others are capitals."""
    short = f"{prefix}{number:012d}"
    parts = (short[start : start + 5] for start in (0, 5, 10))
    capitals = (
        sum(1 << index for index, one in enumerate(part) if one.isupper()) for part in parts
    )
    return short + "".join(_CHECKS[one] for one in capitals)


USERS: list[Row] = [
    {"username": "loader@acme.example", "name": "Loader", "id": id_of("005", 1)},
    {"username": "ada@acme.example", "name": "Ada", "id": id_of("005", 2)},
    {"username": "bo@acme.example", "name": "Bo", "id": id_of("005", 3)},
    {
        "username": "gone@acme.example",
        "name": "Gone",
        "id": id_of("005", 4),
        "is_active": False,
    },
    {
        "username": "chat@acme.example",
        "name": "Chat",
        "id": id_of("005", 5),
        "user_type": "CsnOnly",
    },
]
QUEUES: list[Row] = [
    {
        "developer_name": "Unassigned",
        "name": "Unassigned",
        "objects": ["Lead"],
        "id": id_of("00G", 1),
    },
    {
        "developer_name": "Inbound",
        "name": "Inbound",
        "objects": ["Lead"],
        "id": id_of("00G", 2),
    },
    {
        "developer_name": "Big_Deals",
        "name": "Big Deals",
        "objects": ["Lead", "Case"],
        "id": id_of("00G", 3),
    },
    {"developer_name": "Cases", "name": "Cases", "objects": ["Case"], "id": id_of("00G", 4)},
]
# An entry is (Lead field → allowed values, owner); the first entry that holds decides.
RULES: list[Row] = [
    {
        "name": "Standard routing",
        "active": True,
        "id": id_of("01Q", 1),
        "entries": [
            ({"Country": ["DE", "AT", "CH"]}, "user:bo@acme.example"),
            ({"Country": ["FR"], "Industry": ["Energy"]}, "queue:Big_Deals"),
        ],
    },
    {
        "name": "Fair",
        "active": False,
        "id": id_of("01Q", 2),
        "entries": [({}, "queue:Inbound")],
    },
]
DEFAULT_LEAD_OWNER = "queue:Unassigned"

# The limits of Lead fields: characters, digits before the point, allowed values.
LENGTHS = {
    "FirstName": 40,
    "LastName": 80,
    "Company": 255,
    "Email": 80,
    "Phone": 40,
    "MobilePhone": 40,
    "Title": 128,
    "Website": 255,
    "Street": 255,
    "City": 40,
    "State": 80,
    "PostalCode": 20,
    "Country": 80,
    "LeadSource": 255,
    "Industry": 255,
    "Description": 32_000,
    "Nickname__c": 10,
}
WHOLE_DIGITS = {"NumberOfEmployees": 8, "AnnualRevenue": 18, "Score__c": 3}
RESTRICTED = {"Industry": ["Energy", "Media", "Shipping"]}
DATES = ["Born__c"]
CHECKBOXES = ["Vip__c"]
PERSON_ID_FIELD, PERSON_ID_LENGTH = "Person_Id__c", 64

HEAD = """
[org]
name = "Acme"
is_sandbox = true
running_user = "loader@acme.example"
default_lead_owner = "queue:Unassigned"
[[app]]
consumer_key = "test-key"
consumer_secret = "test-secret"
"""
FIELDS: list[Row] = [
    {"name": "Nickname__c", "type": "string", "length": 10},
    {"name": "Score__c", "type": "double", "precision": 5, "scale": 2},
    {"name": "Born__c", "type": "date"},
    {"name": "Vip__c", "type": "boolean"},
    {
        "name": "Industry",
        "type": "picklist",
        "restricted": True,
        "picklist": RESTRICTED["Industry"],
    },
]
ID_FIELD: Row = {
    "name": PERSON_ID_FIELD,
    "type": "string",
    "length": PERSON_ID_LENGTH,
    "external_id": True,
    "unique": True,
    "case_sensitive": True,
}

# How the org knows a person.
KINDS = (
    *("lead", "lead and contact", "contact", "converted", "deleted", "leads", "contacts", "many"),
    *("by id", "by id and lead", "by id and contact", "by id, deleted"),
)
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Org:
    """The org's leads and contacts: rows with Id, Email and other fields."""

    has_field: bool
    leads: list[Row] = field(default_factory=list)
    contacts: list[Row] = field(default_factory=list)

    def as_file(self) -> str:
        """Return the org as an org file of the emulator."""
        fields = [*FIELDS, *([ID_FIELD] if self.has_field else [])]
        parts = [HEAD]
        parts += [_table("user", {"email": one["username"], **one}) for one in USERS]
        parts += [_table("queue", one) for one in QUEUES]
        parts += [_rule(one) for one in RULES]
        parts += [_table("field", {"object": "Lead", **one}) for one in fields]
        parts += [_table("lead", one) for one in self.leads]
        parts += [_table("contact", one) for one in self.contacts]
        return "".join(parts)


def draw_org(chance: random.Random, persons: Iterable[tuple[str, str]], *, has_field: bool) -> Org:
    """Return an org that knows these persons (person id, e-mail), each in one of the KINDS."""
    org = Org(has_field)
    numbers = itertools.count(1)
    for person_id, email in persons:
        for sobject, row in _records(chance.choice(KINDS), person_id, email, chance):
            number = next(numbers)
            created_at = FIRST_DAY + timedelta(minutes=chance.randrange(1_000_000))
            row |= {
                "Id": id_of("00Q" if sobject == "lead" else "003", number),
                "CreatedDate": created_at.isoformat(timespec="seconds"),
            }
            if not has_field:
                row.pop(PERSON_ID_FIELD, None)
            (org.leads if sobject == "lead" else org.contacts).append(row)
    _convert(org)
    return org


def _records(
    kind: str, person_id: str, email: str, chance: random.Random
) -> Iterator[tuple[str, Row]]:
    # An org stores e-mails in lower case.
    person = {"LastName": "Known", "Email": email.lower()}
    owner = chance.choice(["user:ada@acme.example", "queue:Inbound"])
    lead = {**person, "Company": "Old", "owner": owner}
    if kind.startswith("by id"):
        other = {"Email": f"other.{email}", PERSON_ID_FIELD: person_id}
        yield "lead", lead | other | ({"IsDeleted": True} if kind.endswith("deleted") else {})
    if kind in ("lead", "lead and contact", "leads", "many", "by id and lead"):
        yield "lead", dict(lead)
    if kind in ("leads", "many"):
        yield "lead", {**lead, "owner": "user:bo@acme.example"}
    if kind in ("lead and contact", "contact", "contacts", "many", "by id and contact"):
        yield "contact", dict(person)
    if kind in ("contacts", "many"):
        yield "contact", dict(person)
    if kind == "converted":
        yield "lead", {**lead, "IsConverted": True, "becomes": chance.choice(["a contact", ""])}
    if kind == "deleted" or chance.random() < 0.1:
        yield "lead", {**lead, "IsDeleted": True}
    if kind == "deleted" and chance.random() < 0.5:
        yield "contact", {**person, "IsDeleted": True}


def _convert(org: Org) -> None:
    """Add the contact of each converted lead, with the same e-mail or another one."""
    for number, lead in enumerate(org.leads):
        if lead.pop("becomes", ""):
            email = lead["Email"] if number % 2 else f"moved.{lead['Email']}"
            contact_id = id_of("003", 900_000_000_000 - number)
            lead["ConvertedContactId"] = contact_id
            contact = {
                "LastName": "Known",
                "Email": email,
                "Id": contact_id,
                "CreatedDate": lead["CreatedDate"],
            }
            org.contacts.append(contact)


def _table(name: str, values: Row) -> str:
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join([f"[[{name}]]", *lines, ""])


def _rule(rule: Row) -> str:
    text = _table("assignment_rule", {k: v for k, v in rule.items() if k != "entries"})
    for when, owner in rule["entries"]:
        fields = ", ".join(f"{key} = {json.dumps(values)}" for key, values in when.items())
        text += f"[[assignment_rule.entry]]\nwhen = {{ {fields} }}\n"
        text += f"assign_to = {json.dumps(owner)}\n"
    return text
