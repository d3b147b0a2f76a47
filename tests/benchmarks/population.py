"""Synthetic persons for the benchmarks: any number of them, and the same ones every time.

Of a hundred persons three break a rule: no company, no last name, a malformed e-mail. Four have the
e-mail of an earlier person. Some names and streets hold what a CSV has to quote. All columns of the
contract but `owner_strategy` are filled. A million persons are some 290 MB as the CSV sent.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROWS_AT_ONCE = 100_000

# In the order of the table.
COLUMNS = {
    "person_id": "text not null primary key",
    "first_name": "text",
    "last_name": "text",
    "company": "text",
    "email": "text",
    "phone": "text",
    "mobile_phone": "text",
    "title": "text",
    "website": "text",
    "street": "text",
    "city": "text",
    "state": "text",
    "postal_code": "text",
    "country": "text",
    "lead_source": "text",
    "industry": "text",
    "employee_count": "integer",
    "annual_revenue": "numeric(18, 2)",
    "description": "text",
    "owner_strategy": "text",
    "created_at": "timestamp",
    "updated_at": "timestamp",
}
CREATE = "create table persons ({})".format(
    ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
)
# By the last two digits of a person's number: who breaks which rule, who repeats an e-mail.
_NO_COMPANY, _NO_EMAIL, _NO_NAME = 33, 66, 99
_REPEATS = [12, 37, 62, 87]
_REPEATED_BEFORE = 5
MALFORMED_EMAIL = "not an e-mail"

_VALUES = {
    "first_name": ["Ada", "Bo", "Chiara", "Dörte", "Émile", "Fatima", "Gu", "Håkon", "Ines", "Lê"],
    "last_name": ["Byron", "O'Neill", "Ångström", "Łukasz", "Müller", "Nguyễn", "Ferreira", "Šuk"],
    "company": ["Engines", "Mill, Sons & Co", 'The "Loom"', "Überwerk", "Harbour Lights Trading"],
    "title": ["Head of Operations", "Buyer", "Marketing Manager EMEA", "CTO"],
    "city": ["Berlin", "Wien", "Zürich", "London", "Paris", "Toulouse", "Oslo", "Torino"],
    "state": ["Bavaria", "Tyrol", "Bern", "Kent", "Occitanie", "Piemonte", "Viken"],
    "country": ["DE", "AT", "CH", "GB", "FR", "US", "NO", "IT", "ES", "PL"],
    "lead_source": ["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"],
    "industry": ["Manufacturing", "Shipping", "Energy", "Education", "Retail", "Media"],
    "description": [
        "Came by the spring campaign, asked for a call back",
        "Downloaded the paper on looms",
        'Said: "send me the price list"\nand a sample',
        "Met at the fair in hall 7, wants an offer for 40 seats",
    ],
}


def slices(count: int) -> Iterator[pa.Table]:
    """Yield the first `count` persons, in tables of at most 100,000."""
    for first in range(0, count, ROWS_AT_ONCE):
        yield persons(first, min(ROWS_AT_ONCE, count - first))


def persons(first: int, count: int) -> pa.Table:
    """Return `count` persons from number `first` on, with the columns of the persons table."""
    numbers = np.arange(first, first + count, dtype=np.int64)
    last_digits = numbers % 100
    email_numbers = np.where(np.isin(last_digits, _REPEATS), numbers - _REPEATED_BEFORE, numbers)
    texts = _texts(numbers)
    made = {
        "person_id": _join("P", _padded(numbers)),
        "email": _replace(emails(email_numbers), last_digits == _NO_EMAIL, MALFORMED_EMAIL),
        "phone": _join("+49 30 ", _padded(numbers * 7 % 10**9)),
        "mobile_phone": _join("+49 151 ", _padded(numbers * 11 % 10**9)),
        "website": _join("https://www.company", _as_text(numbers % 9973), ".example"),
        "street": _join(
            _as_text(numbers % 311 + 1), " Long Street, Floor ", _as_text(numbers % 30)
        ),
        "postal_code": _as_text(numbers % 89_999 + 10_000),
        "employee_count": pa.array(numbers % 5000 + 1),
        "annual_revenue": pa.array((numbers % 100_000) * 1000.5),
        "owner_strategy": pa.nulls(count, pa.string()),
        "created_at": _instants(numbers),
        "updated_at": _instants(numbers + 86_400),
        **texts,
        "company": _replace(texts["company"], last_digits == _NO_COMPANY, None),
        "last_name": _replace(texts["last_name"], last_digits == _NO_NAME, None),
    }
    return pa.table({name: made[name] for name in COLUMNS})


def accepted(table: pa.Table) -> pa.Table:
    """Return the persons that a load has to send: valid, and with an e-mail of their own."""
    numbers = pc.utf8_slice_codeunits(table["person_id"], 1).cast(pa.int64()).to_numpy()
    not_sent = [_NO_COMPANY, _NO_EMAIL, _NO_NAME, *_REPEATS]
    return table.filter(pa.array(~np.isin(numbers % 100, not_sent)))


def lead_count(count: int) -> int:
    """Return how many of the first `count` persons a load has to send."""
    return sum(accepted(table).num_rows for table in slices(count))


def _texts(numbers: np.ndarray) -> dict[str, pa.Array]:
    """Return a value of each list for every person, with a different stride for each list."""
    return {
        name: pa.array(values).take(pa.array(numbers * (2 * index + 1) % len(values)))
        for index, (name, values) in enumerate(_VALUES.items())
    }


def emails(numbers: np.ndarray) -> pa.Array:
    """Return the e-mails of the persons with these numbers."""
    return _join("person.", _as_text(numbers), "@company", _as_text(numbers % 9973), ".example")


def _replace(cells: pa.Array, where: np.ndarray, value: str | None) -> pa.Array:
    return pc.if_else(pa.array(where), pa.scalar(value, pa.string()), cells)


def _instants(numbers: np.ndarray) -> pa.Array:
    seconds = numbers + int(np.datetime64("2026-01-01T00:00:00", "s").astype(np.int64))
    return pa.array(seconds * 1_000_000, pa.timestamp("us"))


def _as_text(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _padded(numbers: np.ndarray) -> pa.Array:
    return pc.utf8_lpad(_as_text(numbers), 9, "0")


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
