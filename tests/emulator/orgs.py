"""Orgs to be emulated, and what tests ask of any org."""

from __future__ import annotations

from typing import Any

import requests

from tests.emulator.plain_http import Client

OWNERS = """
[[user]]
username = "ada@test.example"
name = "Ada Byron"
[[user]]
username = "gone@test.example"
name = "Gone Away"
is_active = false
[[user]]
username = "free@test.example"
name = "Free Rider"
user_type = "CsnOnly"
[[queue]]
developer_name = "DACH_Inbound"
name = "DACH Inbound"
objects = ["Lead"]
[[queue]]
developer_name = "Cases"
objects = ["Case"]
"""
RULES = (
    OWNERS
    + """
[[assignment_rule]]
name = "Standard routing"
active = true
[[assignment_rule.entry]]
when = { Country = ["DE", "AT", "CH"] }
assign_to = "queue:DACH_Inbound"
[[assignment_rule]]
name = "Sleeping"
[[assignment_rule.entry]]
assign_to = "user:ada@test.example"
"""
)
ALLOW = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
ASK = {"Sforce-Duplicate-Rule-Header": "allowSave=false"}
DUPLICATE = {
    "LastName": "Lovelace",
    "FirstName": "Ada",
    "Company": "E",
    "Email": "ADA@engines.example",
}


def duplicate_rule(action: str) -> str:
    """Return an org file with a rule against duplicates, and the lead that they duplicate."""
    return f"""
[[duplicate_rule]]
name = "Leads with duplicate leads"
object = "Lead"
matches = "Lead"
action = "{action}"
[[lead]]
LastName = "Lovelace"
FirstName = "Ada"
Company = "Engines"
Email = "ada@engines.example"
"""


def error_of(response: requests.Response, status: int = 400) -> Any:
    """Return the first error of a response with this status."""
    assert response.status_code == status, response.text
    return response.json()[0]


def id_of(org: Client, name: str, value: str, kind: str = "Group") -> str:
    """The id of the record whose field `name` has this value."""
    return str(org.rows(f"SELECT Id FROM {kind} WHERE {name} = '{value}'")[0]["Id"])


def queue(org: Client, name: str = "DACH_Inbound") -> str:
    """The id of an emulated org's queue."""
    return id_of(org, "DeveloperName", name)


def user(org: Client, name: str = "ada@test.example") -> str:
    """The id of an emulated org's user."""
    return id_of(org, "Username", name, "User")


def owner_name(org: Client, lead: str) -> str:
    """Who owns a lead, by name."""
    return str(org.rows(f"SELECT Owner.Name FROM Lead WHERE Id = '{lead}'")[0]["Owner"]["Name"])


def any_id(org: Client, soql: str, reason: str) -> str:
    """The id of any record that a query finds in whatever org this is."""
    found = org.rows(f"{soql} LIMIT 1")
    org.needs(found, reason)
    return str(next(iter(found[0].values())))


def lead_queue(org: Client) -> str:
    """A queue that may own leads; not one that mails its members, who may be real people."""
    serves = "SELECT QueueId FROM QueueSobject WHERE SobjectType = 'Lead'"
    quiet = f"{serves} AND Queue.DoesSendEmailToMembers = false"
    return any_id(org, quiet, "the org has no silent queue for leads")


def other_queue(org: Client) -> str:
    """A queue that may not own leads."""
    serving = {
        row["QueueId"]
        for row in org.rows("SELECT QueueId FROM QueueSobject WHERE SobjectType = 'Lead'")
    }
    known = [row["Id"] for row in org.rows("SELECT Id FROM Group WHERE Type = 'Queue'")]
    others = [id_ for id_ in known if id_ not in serving]
    org.needs(others, "every queue of the org serves leads")
    return str(others[0])


def inactive_user(org: Client) -> str:
    """Return the id of an inactive user."""
    soql = "SELECT Id FROM User WHERE IsActive = false AND UserType = 'Standard'"
    return any_id(org, soql, "the org has no inactive user")


def chatter_user(org: Client) -> str:
    """Chatter Free, as every org ships one."""
    soql = "SELECT Id FROM User WHERE IsActive = true AND UserType = 'CsnOnly'"
    return any_id(org, soql, "the org has no active Chatter Free user")


def person_key(org: Client) -> str:
    """A unique key of this test's own, where the org has the field for it."""
    fields = org.call("GET", "/sobjects/Lead/describe").json()["fields"]
    keys = {f["name"] for f in fields if f["unique"] and f["externalId"] and f["createable"]}
    org.needs("Person_Id__c" in keys, "Lead has no Person_Id__c, unique and external id")
    return f"{org.mark}/1"
