"""What becomes of each person, told slowly and obviously: one after the other, by plain rules.

Written from the design ("Owners and matching") and the contract's rule names; it shares nothing
with the code that it is held against, and it asks nobody: it is given the persons, the org and the
settings, and says outcome, reason, owner, every rule broken and every record matched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tests.oracle import org as orgs
from tests.oracle.org import Org, Row

# What counts as nothing at the ends of a cell: white space, no-break and zero-width spaces, marks.
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
    """What the marketer chose. `fields`: Lead field → persons column. `choices`: when, strategy."""

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
    """A record or person that somebody was found to be."""

    matched_in: str
    matched_id: str
    is_ambiguous: bool
    action: str


@dataclass
class Expectation:
    """What becomes of a person. `owner`: (name, user or queue) of the lead made or changed."""

    outcome: str
    reason: str | None = None
    strategy: str | None = None
    owner: tuple[str, str] | None = None
    lead_id: str | None = None  # of a record that was there before
    contact_id: str | None = None
    broken: set[tuple[str, str]] = field(default_factory=set)  # rule and stage
    perhaps_broken: set[tuple[str, str]] = field(default_factory=set)
    matches: set[Match] = field(default_factory=set)


@dataclass(frozen=True)
class Ownership:
    """Where a strategy leads: to an owner, or to an assignment rule, or nowhere (`wrong`)."""

    text: str = ""
    owner: tuple[str, str] | None = None
    rule: Row | None = None
    wrong: str = ""

    @property
    def is_queue(self) -> bool:
        """Whether a contact could not be owned so."""
        return self.owner is not None and self.owner[1] == "queue"


def judge(
    persons: Iterable[Row], repeated: set[str], org: Org, settings: Settings
) -> Iterator[tuple[str, Expectation]]:
    """Everybody's verdict, by person id. They come earliest first; those without an id are "".

    `repeated`: ids that several rows bear; nobody can tell which is meant, so that all of them are
    one rejected person. So are all those without an id. What else is wrong with a row of theirs may
    be told or not.
    """
    reference = Reference(org, settings)
    unclear: dict[str, Expectation] = {}
    for row in persons:
        person_id = "" if is_blank(row["person_id"]) else row["person_id"]
        if person_id and person_id not in repeated:
            yield person_id, reference.verdict(row)
            continue
        rule = "person_id_repeated" if person_id else "person_id_missing"
        verdict = unclear.setdefault(
            person_id, Expectation("rejected", broken={(rule, "validation")})
        )
        rules = reference.broken_rules(reference.prepared(row))
        verdict.perhaps_broken.update((one, "validation") for one in rules)
    yield from unclear.items()


def repeated_ids(persons: Iterable[Row]) -> set[str]:
    """The ids that more than one row bears."""
    seen: set[str] = set()
    repeated: set[str] = set()
    for row in persons:
        person_id = row["person_id"]
        if not is_blank(person_id):
            (repeated if person_id in seen else seen).add(person_id)
    return repeated


def is_blank(text: str | None) -> bool:
    """Whether there is nothing in it that anybody could see."""
    return text is None or not text.strip(BLANKS)


class Reference:
    """The rules, with what they have to remember: who has come with which address."""

    def __init__(self, org: Org, settings: Settings) -> None:
        self.settings = settings
        self.kept: dict[str, str] = {}
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

    def verdict(self, row: Row) -> Expectation:
        """Invalid, then twice among the persons, then known to Salesforce, then new."""
        person = self.prepared(row)
        broken = {(rule, "validation") for rule in self.broken_rules(person)}
        if broken:
            return Expectation("rejected", broken=broken)
        ownership = follow(self.strategy_of(person))
        if ownership.wrong:
            return Expectation("rejected", broken={(ownership.wrong, "owner")})
        email = person["email"] and person["email"].lower()
        if email is not None and email in self.kept:
            match = Match("persons", self.kept[email], False, "reported")
            return Expectation("duplicate", "SAME_EMAIL", ownership.text, matches={match})
        if email is not None:
            self.kept[email] = person["person_id"]
        return self.against_salesforce(person, email, ownership)

    def prepared(self, row: Row) -> Row:
        """The cells without what is never meant, and blanks filled with what was agreed."""
        person = {name: clean(value) for name, value in row.items()}
        person["person_id"] = row["person_id"]
        for lead_field, text in self.settings.defaults.items():
            column = self.settings.fields[lead_field]
            person[column] = person[column] if person[column] is not None else text
        return person

    def strategy_of(self, person: Row) -> str:
        """The person's own, else the first choice that holds, else the default."""
        if person["owner_strategy"] is not None:
            return str(person["owner_strategy"])
        for when, strategy in self.settings.choices:
            if all(holds(condition, person[column]) for column, condition in when.items()):
                return strategy
        return self.settings.default

    def broken_rules(self, person: Row) -> Iterator[str]:
        """Every rule of ours that the person breaks."""
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
        """Rules that a value breaks which there is."""
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

    def against_salesforce(
        self, person: Row, email: str | None, ownership: Ownership
    ) -> Expectation:
        """The table of the design, line by line."""
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
            contact_id = None if leads else contact_id  # the kept match is one
            verdict = Expectation("duplicate", "SEVERAL_MATCHES")
            actions = ("reported", "reported")
        elif leads:
            is_updated = self.settings.existing_lead == "update"
            verdict = Expectation("updated" if is_updated else "duplicate", "LEAD_EXISTS")
            actions = ("updated" if is_updated else "reported", "reported")
            if is_updated:
                verdict.owner = ownership.owner or owner_of(leads[0]["owner"])
        else:
            verdict, action = self.known_as_contact(person, ownership, contact_id, bool(contacts))
            actions = ("reported", action)
        verdict.strategy, verdict.lead_id, verdict.contact_id = ownership.text, lead_id, contact_id
        verdict.matches = {
            Match(kind_of(one), one["Id"], is_ambiguous, self.action_on(one, actions))
            for one in live
        }
        return verdict

    def oldest_contact(self, live: list[Row]) -> str | None:
        """Of the contacts there are, a converted lead's among them, the oldest."""
        for one in live:
            if one["sobject"] == "Contact":
                return str(one["Id"])
            if one.get("ConvertedContactId"):
                return str(one["ConvertedContactId"])
        return None

    def action_on(self, record: Row, actions: tuple[str, str]) -> str:
        """What was done about a record: the lead's word, or the contact's."""
        is_lead = record["sobject"] == "Lead" and not record.get("IsConverted")
        return actions[0] if is_lead else actions[1]

    def known_as_contact(
        self, person: Row, ownership: Ownership, contact_id: str | None, is_contact_itself: bool
    ) -> tuple[Expectation, str]:
        """A contact, or a converted lead, which is as its contact."""
        word = "CONTACT_EXISTS" if is_contact_itself else "CONVERTED_LEAD_EXISTS"
        if ownership.is_queue and self.settings.contact_with_queue == "duplicate_lead":
            verdict = self.created(person, ownership, "DUPLICATE_LEAD_ON_PURPOSE")
            return verdict, "duplicate_lead_created"
        if self.settings.existing_contact == "update" and not ownership.is_queue and contact_id:
            reason = "CONTACT_OWNER_KEPT" if ownership.owner else word
            return Expectation("updated", reason), "updated"
        return Expectation("duplicate", word), "reported"

    def only_deleted(self, person: Row, ownership: Ownership, records: list[Row]) -> Expectation:
        """Nobody is there any more: made again, or reported."""
        if self.settings.deleted == "recreate":
            verdict, action = self.created(person, ownership, "RECREATED"), "recreated"
        else:
            verdict, action = (
                Expectation("duplicate", "DELETED_RECORD_EXISTS", ownership.text),
                "reported",
            )
        is_ambiguous = False
        verdict.matches = {Match("deleted", one["Id"], is_ambiguous, action) for one in records}
        return verdict

    def created(self, person: Row, ownership: Ownership, reason: str | None) -> Expectation:
        """A lead of their own, owned by whom the strategy names."""
        owner = ownership.owner or self.routed(person, ownership.rule)
        return Expectation("created", reason, ownership.text, owner)

    def routed(self, person: Row, rule: Row | None) -> tuple[str, str]:
        """Whom the assignment rule gives the lead to."""
        assert rule is not None
        for when, owner in rule["entries"]:
            values = {name: person[self.settings.fields[name]] for name in when}
            if all(values[name] in allowed for name, allowed in when.items()):
                return owner_of(owner)
        return owner_of(orgs.DEFAULT_LEAD_OWNER)


def clean(value: Any) -> Any:
    """A cell without outer blanks; what is blank is nothing; a line break is a space."""
    if not isinstance(value, str):
        return value
    return LINE_BREAK.sub(" ", value.strip(BLANKS)) or None


def is_sendable(text: str) -> bool:
    """Whether it reaches Salesforce as it is: no control characters, and not the word for null."""
    return text != "#N/A" and not any(ord(one) < 32 and one not in "\t\r\n" for one in text)


def fits(text: str, digits: int) -> bool:
    """A plain number with so many digits before the point at the most."""
    found = NUMBER.fullmatch(text)
    return found is not None and len((found[1] or "").lstrip("0")) <= digits


def is_date(text: str) -> bool:
    """A day of the calendar, spelt 2026-01-31."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def holds(condition: Any, value: Any) -> bool:
    """A condition of a choice: a value, one of a list, or operators."""
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
    """As which kind of record it is told."""
    if record["sobject"] == "Contact":
        return "contact"
    return "converted_lead" if record.get("IsConverted") else "lead"


def owner_of(strategy: str) -> tuple[str, str]:
    """Name and kind of the owner whom a `user:` or a `queue:` names."""
    ownership = follow(strategy)
    assert ownership.owner is not None
    return ownership.owner


def follow(strategy: str) -> Ownership:
    """Where a strategy leads, or the rule of ours that it breaks."""
    kind, colon, name = (part.strip(BLANKS) for part in strategy.partition(":"))
    kind = kind.lower()
    if (kind, colon) == ("rules", ""):
        return Ownership("rules", rule=next(one for one in orgs.RULES if one["active"]))
    if kind not in ("rule", "user", "queue") or not name:
        return Ownership(wrong="owner_strategy_malformed")
    text = f"{kind}:{name}"
    if kind == "rule":
        rule = _one(orgs.RULES, "name", name, is_exact=True)
        return Ownership(text, rule=rule) if rule else Ownership(wrong="owner_unknown")
    if kind == "user":
        user = _one(orgs.USERS, "username", name)
        if user is None:
            return Ownership(wrong="owner_unknown")
        may_own = user.get("is_active", True) and user.get("user_type", "Standard") == "Standard"
        return (
            Ownership(text, (user["name"], "user"))
            if may_own
            else Ownership(wrong="owner_inactive")
        )
    queue = _one(orgs.QUEUES, "developer_name", name)
    if queue is None:
        return Ownership(wrong="owner_unknown")
    serves = "Lead" in queue["objects"]
    return (
        Ownership(text, (queue["name"], "queue"))
        if serves
        else Ownership(wrong="queue_not_for_leads")
    )


def _one(rows: list[Row], key: str, name: str, *, is_exact: bool = False) -> Row | None:
    """By its id, of 15 characters or 18, or by its name, in any case where two cannot differ so."""
    for row in rows:
        if name in (row["id"], row["id"][:15]):
            return row
    for row in rows:
        if row[key] == name or (not is_exact and row[key].lower() == name.lower()):
            return row
    return None
