"""The sink's org: its fields, owners and limits.

Of SOQL it understands only the object, the fields, the texts of the condition, and an earliest
instant. There are no contacts. The leads it has from the start are those of `sink_known`.
"""

from __future__ import annotations

import re
from typing import Any

ORG_ID = "00D5e000000sinkEAA"
USER_ID = "0055e00000sink1AAA"
QUEUE_ID = "00G5e00000sink1AAA"
RULE_ID = "01Q5e00000sink1AAA"
DEFAULT_OWNER = USER_ID

Record = dict[str, Any]

RECORDS: dict[str, list[Record]] = {
    "organization": [{"Id": ORG_ID, "Name": "Sink", "IsSandbox": True}],
    "user": [
        {
            "Id": USER_ID,
            "Username": "loader@bench.example",
            "Name": "Loader",
            "IsActive": True,
            "UserType": "Standard",
        }
    ],
    "group": [{"Id": QUEUE_ID, "DeveloperName": "Inbound", "Name": "Inbound", "Type": "Queue"}],
    "queuesobject": [{"QueueId": QUEUE_ID, "SobjectType": "Lead"}],
    "assignmentrule": [
        {"Id": RULE_ID, "Name": "Standard routing", "Active": True, "SobjectType": "Lead"}
    ],
}

_FROM = re.compile(r"\bFROM\s+(\w+)", re.IGNORECASE)
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*)'")
_SINCE = re.compile(r"\b(?:CreatedDate|SystemModstamp)\s*>=\s*([0-9T:.+\-Z]+)", re.IGNORECASE)
_CONDITION = re.compile(r"\bWHERE\b", re.IGNORECASE)
_FIELDS = re.compile(r"\s*SELECT\s+(.*?)\s+FROM\b", re.IGNORECASE | re.DOTALL)

# The fields of Lead: name, type, length; 0 where a type has no length.
_LEAD_FIELDS: tuple[tuple[str, str, int], ...] = (
    ("FirstName", "string", 40),
    ("LastName", "string", 80),
    ("Company", "string", 255),
    ("Email", "email", 80),
    ("Phone", "phone", 40),
    ("MobilePhone", "phone", 40),
    ("Title", "string", 128),
    ("Website", "url", 255),
    ("Street", "textarea", 255),
    ("City", "string", 40),
    ("State", "string", 80),
    ("PostalCode", "string", 20),
    ("Country", "string", 80),
    ("LeadSource", "picklist", 255),
    ("Industry", "picklist", 255),
    ("NumberOfEmployees", "int", 0),
    ("AnnualRevenue", "currency", 0),
    ("Description", "textarea", 32_000),
    ("OwnerId", "reference", 18),
    ("Person_Id__c", "string", 64),
)
_REQUIRED = ("LastName", "Company")


def find(soql: str) -> list[Record]:
    """Return the records of an object; if the condition has texts, only those with one of them."""
    sobject = _FROM.search(soql)
    records = RECORDS.get(sobject[1].lower(), []) if sobject else []
    wanted = set(_TEXT.findall(soql)) if records else set()
    return [one for one in records if not wanted or wanted & {str(cell) for cell in one.values()}]


def selected(soql: str) -> list[str]:
    """Return the fields that a query selects."""
    found = _FIELDS.match(soql)
    return [name.strip() for name in found[1].split(",")] if found else ["Id"]


def is_of_leads(soql: str) -> bool:
    """Whether a query is for leads."""
    sobject = _FROM.search(soql)
    return sobject is not None and sobject[1].lower() == "lead"


def created_since(soql: str) -> str | None:
    """Return the earliest creation or change that a query asks for; None if it names none."""
    since = _SINCE.search(soql)
    return since[1] if since else None


def is_for_all(soql: str) -> bool:
    """Whether a query has no condition."""
    return _CONDITION.search(soql) is None


def describe(sobject: str) -> Record:
    """Return the description of an object. Contact has only an e-mail."""
    fields = _LEAD_FIELDS if sobject.lower() == "lead" else (("Email", "email", 80),)
    return {
        "name": sobject,
        "createable": True,
        "queryable": True,
        "fields": [_described("Id", "id", 18), *(_described(*field) for field in fields)],
    }


def _described(name: str, kind: str, length: int) -> Record:
    is_id, is_key = name == "Id", name == "Person_Id__c"
    return {
        "name": name,
        "label": name,
        "type": kind,
        "length": length,
        "digits": 8 if kind == "int" else 0,
        "precision": 18 if kind == "currency" else 0,
        "scale": 0,
        "createable": not is_id,
        "updateable": not is_id,
        "nillable": name not in _REQUIRED and not is_id,
        "defaultedOnCreate": is_id or name == "OwnerId",
        "unique": is_key,
        "externalId": is_key,
        "caseSensitive": is_key,
        "restrictedPicklist": False,
        "picklistValues": [],
    }


def limits() -> Record:
    """Return limits above what any benchmark needs."""
    plenty = {"Max": 10_000_000, "Remaining": 9_999_999}
    return {"DailyApiRequests": plenty, "DailyBulkV2QueryJobs": plenty}
