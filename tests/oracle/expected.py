"""The reference: compute what becomes of each person, slowly and obviously, one after the other.

It is written from the documented rules, and shares nothing with the code that it checks. It gets
the persons, the org and the settings. It returns outcome, reason, owner, every rule broken and
every record matched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.oracle import org as orgs
from tests.oracle.org import Org, Row

# What is ignored at the ends of a cell: white space, no-break and zero-width spaces, marks.
BLANKS = "".join(map(chr, (*range(9, 14), 28, 29, 30, 31, 32, 133, 160, 5760))) + (
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    "\u200b\u200c\u200d\u2060\ufeff"
)
LINE_BREAK = re.compile(r"\r\n|\r|\n")
EMAIL = re.compile(
    r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~][A-Za-z0-9.!#$%&'*+\-/=?^_`{|}~]*"
    r"@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"
)
NUMBER = re.compile(r"[+-]?(\d+)(\.\d*)?|[+-]?\.\d+")
TRUE_OR_FALSE = ("true", "false", "1", "0")


@dataclass(frozen=True)
class Settings:
    """The settings of a run. `fields`: Lead field → persons column. `choices`: when, strategy."""

    fields: Mapping[str, str]
    default: str = "rules"
    choices: tuple[tuple[Mapping[str, Any], str], ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    existing_lead: str = "report"
    existing_contact: str = "report"
    contact_with_queue: str = "duplicate_lead"
    deleted: str = "recreate"


@dataclass(frozen=True)
class Match:
    """A record or person that a person matches."""

    matched_in: str
    matched_id: str
    is_ambiguous: bool
    action: str


@dataclass
class Expectation:
    """What becomes of a person. `owner`: (name, user or queue) of the lead created or updated."""

    outcome: str
    reason: str | None = None
    strategy: str | None = None
    owner: tuple[str, str] | None = None
    lead_id: str | None = None  # of a record that existed before
    contact_id: str | None = None
    broken: set[tuple[str, str]] = field(default_factory=set)  # rule and stage
    perhaps_broken: set[tuple[str, str]] = field(default_factory=set)
    matches: set[Match] = field(default_factory=set)


@dataclass(frozen=True)
class Ownership:
    """What a strategy means: an owner, an assignment rule, or a rule of ours that it breaks."""

    text: str = ""
    owner: tuple[str, str] | None = None
    rule: Row | None = None
    broken_rule: str = ""

    @property
    def is_queue(self) -> bool:
        """Whether the owner is a queue, which cannot own a contact."""
        return self.owner is not None and self.owner[1] == "queue"


def expectations(
    persons: Iterable[Row], repeated: set[str], org: Org, settings: Settings
) -> Iterator[tuple[str, Expectation]]:
    """Yield each person id with its expectation. The persons must come earliest first.

    `repeated`: ids of more than one row. All rows of such an id are one rejected person. So are all
    rows without an id, under the id "". Other rules that these rows break may be reported or not.
    """
    reference = Reference(org, settings)
    unclear: dict[str, Expectation] = {}
    for row in persons:
        person_id = "" if is_blank(row["person_id"]) else row["person_id"]
        if person_id and person_id not in repeated:
            yield person_id, reference.expect(row)
            continue
        rule = "person_id_repeated" if person_id else "person_id_missing"
        expected = unclear.setdefault(
            person_id, Expectation("rejected", broken={(rule, "validation")})
        )
        rules = reference.broken_rules(reference.prepared(row))
        expected.perhaps_broken.update((one, "validation") for one in rules)
    yield from unclear.items()


def repeated_ids(persons: Iterable[Row]) -> set[str]:
    """Return the ids of more than one row."""
    seen: set[str] = set()
    repeated: set[str] = set()
    for row in persons:
        person_id = row["person_id"]
        if not is_blank(person_id):
            (repeated if person_id in seen else seen).add(person_id)
    return repeated


def is_blank(text: str | None) -> bool:
    """Whether the text is missing or has no visible character."""
    return text is None or not text.strip(BLANKS)


class Reference:
    """The rules, and the e-mails of the persons so far."""

    def __init__(self, org: Org, settings: Settings) -> None:
        self.settings = settings
        self.first_by_email: dict[str, str] = {}
        self.by_email: dict[str, list[Row]] = {}
        self.by_person: dict[str, list[Row]] = {}
        self.contacts = {one["Id"]: one for one in org.contacts}
        for sobject, rows in (("Lead", org.leads), ("Contact", org.contacts)):
            for row in rows:
                record = {**row, "sobject": sobject}
                self.by_email.setdefault(row["Email"].lower(), []).append(record)
                if org.has_field and sobject == "Lead" and row.get(orgs.PERSON_ID_FIELD):
                    self.by_person.setdefault(row[orgs.PERSON_ID_FIELD], []).append(record)
        self.has_field = org.has_field

    def expect(self, row: Row) -> Expectation:
        """Return what the first rule that holds makes of the person, in the order of the steps."""
        person = self.prepared(row)
        broken = {(rule, "validation") for rule in self.broken_rules(person)}
        if broken:
            return Expectation("rejected", broken=broken)
        ownership = resolve(self.strategy_of(person))
        if ownership.broken_rule:
            return Expectation("rejected", broken={(ownership.broken_rule, "owner")})
        email = person["email"] and person["email"].lower()
        if email is not None and email in self.first_by_email:
            match = Match("persons", self.first_by_email[email], False, "reported")
            return Expectation("duplicate", "SAME_EMAIL", ownership.text, matches={match})
        if email is not None:
            self.first_by_email[email] = person["person_id"]
        return self.match_salesforce(person, email, ownership)

    def prepared(self, row: Row) -> Row:
        """Return the row with clean cells, and with the defaults in place of blanks."""
        person = {name: clean(value) for name, value in row.items()}
        person["person_id"] = row["person_id"]
        for lead_field, text in self.settings.defaults.items():
            column = self.settings.fields[lead_field]
            person[column] = person[column] if person[column] is not None else text
        return person

    def strategy_of(self, person: Row) -> str:
        """Return the person's own strategy, else the first choice that holds, else the default."""
        if person["owner_strategy"] is not None:
            return str(person["owner_strategy"])
        for when, strategy in self.settings.choices:
            if all(holds(condition, person[column]) for column, condition in when.items()):
                return strategy
        return self.settings.default

    def broken_rules(self, person: Row) -> Iterator[str]:
        """Yield every rule of ours that the person breaks."""
        person_id = person["person_id"] or ""
        if not is_sendable(person_id) or (person_id.strip(BLANKS) not in ("", person_id)):
            yield "text_not_encodable"
        if self.has_field and len(person_id) > orgs.PERSON_ID_LENGTH:
            yield "person_id_too_long"
        for lead_field, column in self.settings.fields.items():
            text = person[column]
            if text is None:
                if lead_field in ("Company", "LastName"):
                    yield {"Company": "company_missing", "LastName": "last_name_missing"}[
                        lead_field
                    ]
                continue
            if not is_sendable(text):
                yield "text_not_encodable"
            yield from self.broken_by(lead_field, column, text)

    def broken_by(self, lead_field: str, column: str, text: str) -> Iterator[str]:
        """Yield the rules that a value breaks."""
        if lead_field in orgs.LENGTHS and len(text) > orgs.LENGTHS[lead_field]:
            yield f"{column}_too_long"
        if lead_field == "Email" and not EMAIL.fullmatch(text):
            yield "email_malformed"
        if lead_field in orgs.RESTRICTED and text not in orgs.RESTRICTED[lead_field]:
            yield "picklist_value_unknown"
        if lead_field in orgs.CHECKBOXES and text.lower() not in TRUE_OR_FALSE:
            yield "picklist_value_unknown"
        if lead_field in orgs.WHOLE_DIGITS and not fits(text, orgs.WHOLE_DIGITS[lead_field]):
            yield "number_malformed"
        if lead_field in orgs.DATES and not is_date(text):
            yield "date_malformed"

    def match_salesforce(self, person: Row, email: str | None, ownership: Ownership) -> Expectation:
        """Apply the decision table for persons whom Salesforce knows, row by row."""
        found = {one["Id"]: one for one in self.by_email.get(email or "", [])}
        found |= {one["Id"]: one for one in self.by_person.get(person["person_id"], [])}
        records = sorted(found.values(), key=lambda one: (one["CreatedDate"], one["Id"]))
        live = [one for one in records if not one.get("IsDeleted")]
        if not records:
            return self.created(person, ownership, None)
        if not live:
            return self.only_deleted(person, ownership, records)
        leads = [r for r in live if r["sobject"] == "Lead" and not r.get("IsConverted")]
        converted = [r for r in live if r["sobject"] == "Lead" and r.get("IsConverted")]
        contacts = [r for r in live if r["sobject"] == "Contact"]
        known = [one["Id"] for one in contacts]
        known += [r["ConvertedContactId"] for r in converted if r.get("ConvertedContactId")]
        known = list(dict.fromkeys(known))
        is_ambiguous = len(leads) > 1 or len(known) > 1 or (not known and len(converted) > 1)
        lead_id = leads[0]["Id"] if leads else None
        contact_id = self.oldest_contact(live)
        if is_ambiguous:
            contact_id = None if leads else contact_id  # only one match is recorded
            expected = Expectation("duplicate", "SEVERAL_MATCHES")
            actions = ("reported", "reported")
        elif leads:
            is_updated = self.settings.existing_lead == "update"
            expected = Expectation("updated" if is_updated else "duplicate", "LEAD_EXISTS")
            actions = ("updated" if is_updated else "reported", "reported")
            if is_updated:
                expected.owner = ownership.owner or owner_of(leads[0]["owner"])
        else:
            expected, action = self.known_as_contact(person, ownership, contact_id, bool(contacts))
            actions = ("reported", action)
        expected.strategy = ownership.text
        expected.lead_id, expected.contact_id = lead_id, contact_id
        expected.matches = {
            Match(kind_of(one), one["Id"], is_ambiguous, self.action_on(one, actions))
            for one in live
        }
        return expected

    def oldest_contact(self, live: list[Row]) -> str | None:
        """Return the oldest contact; a converted lead counts as its contact."""
        for one in live:
            if one["sobject"] == "Contact":
                return str(one["Id"])
            if one.get("ConvertedContactId"):
                return str(one["ConvertedContactId"])
        return None

    def action_on(self, record: Row, actions: tuple[str, str]) -> str:
        """Return the action on a record; `actions` are that on a lead and that on a contact."""
        is_lead = record["sobject"] == "Lead" and not record.get("IsConverted")
        return actions[0] if is_lead else actions[1]

    def known_as_contact(
        self, person: Row, ownership: Ownership, contact_id: str | None, is_contact_itself: bool
    ) -> tuple[Expectation, str]:
        """Return expectation and action for a contact, or for a converted lead."""
        code = "CONTACT_EXISTS" if is_contact_itself else "CONVERTED_LEAD_EXISTS"
        if ownership.is_queue and self.settings.contact_with_queue == "duplicate_lead":
            expected = self.created(person, ownership, "DUPLICATE_LEAD_ON_PURPOSE")
            return expected, "duplicate_lead_created"
        if self.settings.existing_contact == "update" and not ownership.is_queue and contact_id:
            reason = "CONTACT_OWNER_KEPT" if ownership.owner else code
            return Expectation("updated", reason), "updated"
        return Expectation("duplicate", code), "reported"

    def only_deleted(self, person: Row, ownership: Ownership, records: list[Row]) -> Expectation:
        """Return the expectation for deleted records only: created again, or reported."""
        if self.settings.deleted == "recreate":
            expected, action = self.created(person, ownership, "RECREATED"), "recreated"
        else:
            expected = Expectation("duplicate", "DELETED_RECORD_EXISTS", ownership.text)
            action = "reported"
        is_ambiguous = False
        expected.matches = {Match("deleted", one["Id"], is_ambiguous, action) for one in records}
        return expected

    def created(self, person: Row, ownership: Ownership, reason: str | None) -> Expectation:
        """Return the expectation for a new lead with its owner."""
        owner = ownership.owner or self.assigned_owner(person, ownership.rule)
        return Expectation("created", reason, ownership.text, owner)

    def assigned_owner(self, person: Row, rule: Row | None) -> tuple[str, str]:
        """Return the owner that the assignment rule gives the lead."""
        assert rule is not None
        for when, owner in rule["entries"]:
            values = {name: person[self.settings.fields[name]] for name in when}
            if all(values[name] in allowed for name, allowed in when.items()):
                return owner_of(owner)
        return owner_of(orgs.DEFAULT_LEAD_OWNER)


def clean(value: Any) -> Any:
    """Return a cell without outer blanks, with spaces for line breaks; None for a blank one."""
    if not isinstance(value, str):
        return value
    return LINE_BREAK.sub(" ", value.strip(BLANKS)) or None


def is_sendable(text: str) -> bool:
    """Whether Salesforce gets the text unchanged: no control characters, and not #N/A."""
    return text != "#N/A" and not any(ord(one) < 32 and one not in "\t\r\n" for one in text)


def fits(text: str, digits: int) -> bool:
    """Whether the text is a plain number with at most `digits` digits before the point."""
    found = NUMBER.fullmatch(text)
    return found is not None and len((found[1] or "").lstrip("0")) <= digits


def is_date(text: str) -> bool:
    """Whether the text is a date in the form 2026-01-31."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def holds(condition: Any, value: Any) -> bool:
    """Whether a condition of a choice holds: a value, one of a list, or operators."""
    if isinstance(condition, list):
        return value in condition
    if not isinstance(condition, dict):
        return bool(value == condition)
    if condition.get("is_blank") is not None and (value is None) is not condition["is_blank"]:
        return False
    if "ge" in condition:
        return value is not None and NUMBER.fullmatch(value) and float(value) >= condition["ge"]
    if "contains" in condition:
        return value is not None and condition["contains"] in value
    return True


def kind_of(record: Row) -> str:
    """Return the kind under which a record is reported."""
    if record["sobject"] == "Contact":
        return "contact"
    return "converted_lead" if record.get("IsConverted") else "lead"


def owner_of(strategy: str) -> tuple[str, str]:
    """Return name and kind of the owner that a `user:` or `queue:` strategy names."""
    ownership = resolve(strategy)
    assert ownership.owner is not None
    return ownership.owner


def resolve(strategy: str) -> Ownership:
    """Return what a strategy means, or the rule of ours that it breaks."""
    kind, colon, name = (part.strip(BLANKS) for part in strategy.partition(":"))
    kind = kind.lower()
    if (kind, colon) == ("rules", ""):
        return Ownership("rules", rule=next(one for one in orgs.RULES if one["active"]))
    if kind not in ("rule", "user", "queue") or not name:
        return Ownership(broken_rule="owner_strategy_malformed")
    text = f"{kind}:{name}"
    if kind == "rule":
        rule = _find(orgs.RULES, "name", name, is_exact=True)
        return Ownership(text, rule=rule) if rule else Ownership(broken_rule="owner_unknown")
    if kind == "user":
        user = _find(orgs.USERS, "username", name)
        if user is None:
            return Ownership(broken_rule="owner_unknown")
        may_own = user.get("is_active", True) and user.get("user_type", "Standard") == "Standard"
        return (
            Ownership(text, (user["name"], "user"))
            if may_own
            else Ownership(broken_rule="owner_inactive")
        )
    queue = _find(orgs.QUEUES, "developer_name", name)
    if queue is None:
        return Ownership(broken_rule="owner_unknown")
    may_own_leads = "Lead" in queue["objects"]
    return (
        Ownership(text, (queue["name"], "queue"))
        if may_own_leads
        else Ownership(broken_rule="queue_not_for_leads")
    )


def _find(rows: list[Row], key: str, name: str, *, is_exact: bool = False) -> Row | None:
    """Return the row with this id, of 15 or 18 characters, or else with this name."""
    for row in rows:
        if name in (row["id"], row["id"][:15]):
            return row
    for row in rows:
        if row[key] == name or (not is_exact and row[key].lower() == name.lower()):
            return row
    return None
