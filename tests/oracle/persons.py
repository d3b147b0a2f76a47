"""Persons drawn by a seed: most are ordinary, the others are edge cases of the rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.oracle.org import LENGTHS, QUEUES, RULES, USERS, Row

# Lead field → persons column.
FIELDS = {
    "FirstName": "first_name",
    "LastName": "last_name",
    "Company": "company",
    "Email": "email",
    "Phone": "phone",
    "MobilePhone": "mobile_phone",
    "Title": "title",
    "Website": "website",
    "Street": "street",
    "City": "city",
    "State": "state",
    "PostalCode": "postal_code",
    "Country": "country",
    "LeadSource": "lead_source",
    "Industry": "industry",
    "NumberOfEmployees": "employee_count",
    "AnnualRevenue": "annual_revenue",
    "Description": "description",
    "Nickname__c": "nickname",
    "Score__c": "score",
    "Born__c": "born",
    "Vip__c": "vip",
}
TEXTS = ["person_id", *FIELDS.values(), "owner_strategy"]
COLUMNS = [*TEXTS, "created_at", "updated_at"]

BLANK = [None, "", "   ", "\u00a0", "\u200b\ufeff", " \t ", "\u2003"]
BAD_EMAILS = [
    *("nobody", "a@b", "@example.org", ".a@example.org", "a b@example.org", "a@@example.org"),
    *("a@exa mple.org", "a@example..org", "a@.example.org", "a@example.org.", "ä@example.org"),
    *("a@exämple.org", "a,b@example.org", "a@b@example.org", "a@example_x.org", "<a@example.org>"),
]
UNUSUAL_EMAILS = [
    *("a..b{}@example.org", "a.{}@example.org", "o'neill+{}@example.org", "x{}@a-b.example.org"),
    *("!#$%&'*+-/=?^_`|~{}@example.org", "{}@example.co.uk", "UPPER{}@EXAMPLE.ORG"),
]
NUMBERS = ["0", "7", "007", "+12", "99999999", "42.0", " 8 "]
BAD_NUMBERS = ["1,000", "1e5", "12 people", "0x10", "123456789", "--5", "1.2.3", "twelve"]
BAD_DATES = ["2026-02-30", "31.01.2026", "2026-13-01", "yesterday", "2026-1-5"]
UNUSUAL_TEXTS = [
    *(
        'The "Loom"',
        "Mill, Sons & Co",
        "Łukasz",
        "first\nsecond",
        "cr\r\nlf",
        "=1+1",
        "None",
        "null",
    ),
    *("emoji \U0001f600", "tab\there", "a;b|c", "\\N", "NaN", "  outer  ", "\ufeffmark"),
]
UNSENDABLE = ["bell\x07", "escape\x1b[0m", "#N/A", "\x01"]

GOOD_STRATEGIES = [
    *("rules", " RULES ", "rule:Fair", "rule:Standard routing", "user:ada@acme.example"),
    *("User: ADA@acme.example", "queue:Inbound", "queue:big_deals", " queue : Inbound "),
    *(f"user:{USERS[2]['id']}", f"queue:{QUEUES[1]['id'][:15]}", f"rule:{RULES[1]['id']}"),
]
BAD_STRATEGIES = [
    *("user:nobody@acme.example", "user:gone@acme.example", "user:chat@acme.example"),
    *("queue:Cases", "queue:Nowhere", "rule:Nothing", "boss", "user:", "queue", "rules:x", ":"),
]

EdgeCase = Callable[[Row, int, random.Random], None]
FIRST_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 - as a warehouse has it


@dataclass(frozen=True)
class Persons:
    """How many persons, and the shares of unusual ones. The org knows every `known_every`th one."""

    seed: int
    count: int
    edge_case_share: float
    repeated_email_share: float
    known_every: int

    def known(self) -> Iterator[tuple[str, str]]:
        """Yield the person ids and e-mails that the org knows."""
        for number in range(0, self.count, self.known_every):
            yield id_of(number), email_of(number)

    def rows(self) -> Iterator[Row]:
        """Yield all persons, in no particular order."""
        chance = random.Random(self.seed)  # noqa: S311 - a seed, not a secret
        for number in range(self.count):
            row = valid_person(number, chance)
            if chance.random() < self.repeated_email_share:
                row["email"] = _written_differently(email_of(chance.randrange(self.count)), chance)
            if chance.random() < self.edge_case_share:
                for change in chance.sample(EDGE_CASES, chance.choice([1, 1, 1, 2])):
                    change(row, number, chance)
            yield row


def id_of(number: int) -> str:
    """Return the id of a person."""
    return f"P{number:07}"


def email_of(number: int) -> str:
    """Return the e-mail of a person."""
    return f"p{number}@persons.example"


def valid_person(number: int, chance: random.Random) -> Row:
    """Return a person who breaks no rule."""
    row: Row = dict.fromkeys(COLUMNS)
    created_at = FIRST_DAY + timedelta(seconds=chance.randrange(10_000_000))
    return row | {
        "person_id": id_of(number),
        "last_name": f"Name {number}",
        "company": f"Engines {number % 97}",
        "email": email_of(number),
        "city": chance.choice(["Berlin", "Paris", "Turin", None]),
        "country": chance.choice(["DE", "AT", "FR", "IT", "GB", None]),
        "industry": chance.choice(["Energy", "Media", None]),
        "employee_count": chance.choice(["5", "1500", "20000", None]),
        "created_at": created_at,
        "updated_at": created_at,
    }


def _written_differently(email: str, chance: random.Random) -> str:
    """Return the same e-mail, perhaps with other case or blanks."""
    return chance.choice([email, email.upper(), f"  {email}", email.title(), f"{email}\u00a0"])


def _blank(column: str) -> EdgeCase:
    def make(row: Row, _number: int, chance: random.Random) -> None:
        row[column] = chance.choice(BLANK)

    return make


def _one_of(column: str, values: list[str]) -> EdgeCase:
    def make(row: Row, number: int, chance: random.Random) -> None:
        row[column] = chance.choice(values).replace("{}", str(number))

    return make


def _too_long(row: Row, number: int, chance: random.Random) -> None:
    lead_field = chance.choice([one for one in LENGTHS if one not in ("Email", "Industry")])
    length = LENGTHS[lead_field] + chance.choice([0, 1, 30])
    row[FIELDS[lead_field]] = chance.choice(["x", "ü", "x "]) * (length // 2) + "y" * length
    row[FIELDS[lead_field]] = row[FIELDS[lead_field]][:length]


def _long_email(row: Row, number: int, chance: random.Random) -> None:
    row["email"] = f"{number}@{'x' * chance.choice([61, 75, 100])}.example.org"


def _unusual_text(row: Row, _number: int, chance: random.Random) -> None:
    row[chance.choice(["first_name", "last_name", "company", "title", "description"])] = (
        chance.choice(UNUSUAL_TEXTS)
    )


def _unsendable(row: Row, _number: int, chance: random.Random) -> None:
    row[chance.choice(["first_name", "company", "street", "phone"])] = chance.choice(UNSENDABLE)


def _unusual_id(row: Row, number: int, chance: random.Random) -> None:
    """Make the id blank, padded, longer than the org's field, or that of another person."""
    person_id = row["person_id"]
    another = id_of(chance.randrange(number + 1))
    row["person_id"] = chance.choice(
        [None, "", "  ", f" {person_id}", f"{person_id}\u00a0", person_id + "x" * 60, another]
    )


def _no_instant(row: Row, _number: int, _chance: random.Random) -> None:
    row["created_at"] = None


EDGE_CASES: list[EdgeCase] = [
    _blank("company"),
    _blank("last_name"),
    _blank("email"),
    _too_long,
    _long_email,
    _one_of("email", BAD_EMAILS),
    _one_of("email", UNUSUAL_EMAILS),
    _one_of("employee_count", NUMBERS),
    _one_of("employee_count", BAD_NUMBERS),
    _one_of("annual_revenue", BAD_NUMBERS),
    _one_of("score", ["1234", "999", "12.345", "-7"]),
    _one_of("born", [*BAD_DATES, "2026-01-31", "1999-12-31"]),
    _one_of("vip", ["true", "False", "yes", "1", "perhaps"]),
    _one_of("industry", ["Astrology", "Energy", "Shipping"]),
    _unusual_text,
    _unsendable,
    _unusual_id,
    _no_instant,
    _one_of("owner_strategy", GOOD_STRATEGIES),
    _one_of("owner_strategy", GOOD_STRATEGIES),
    _one_of("owner_strategy", BAD_STRATEGIES),
    _blank("owner_strategy"),
]
