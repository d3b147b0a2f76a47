"""Persons and records drawn as small tables: a test shows what it is about and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from pipelines.rules.lead_fields import LeadField
from pipelines.rules.validation import ValidationResult, validate
from tests.tables import drawn as table

COLUMNS = {
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
    "Description": "description",
    "Interests__c": "interests",
    "Rating__c": "rating",
    "NumberOfEmployees": "employee_count",
    "AnnualRevenue": "annual_revenue",
    "Latitude": "latitude",
    "Share__c": "share",
    "HasOptedOutOfEmail": "opted_out",
    "Birthday__c": "birthday",
    "SignedUp__c": "signed_up",
}


def field(name: str, type_: str, **facts: object) -> LeadField:
    empty = dict.fromkeys(("length", "digits", "precision", "scale", "restricted_values"))
    return LeadField(name=name, label=name, type=type_, **{**empty, **facts})


LEAD_FIELDS: Mapping[str, LeadField] = {
    lead_field.name: lead_field
    for lead_field in (
        field("FirstName", "string", length=40),
        field("LastName", "string", length=80),
        field("Company", "string", length=255),
        field("Email", "email", length=80),
        field("Phone", "phone", length=40),
        field("MobilePhone", "phone", length=40),
        field("Title", "string", length=128),
        field("Website", "url", length=255),
        field("Street", "textarea", length=255),
        field("City", "string", length=40),
        field("State", "string", length=80),
        field("PostalCode", "string", length=20),
        field("Country", "string", length=80),
        field("LeadSource", "picklist", length=255),
        field("Industry", "picklist", length=255),
        field("Description", "textarea", length=32_000),
        field("Status", "picklist", length=255),
        field("Interests__c", "multipicklist", restricted_values=frozenset({"A", "B.1", "C d"})),
        field("Rating__c", "picklist", length=255, restricted_values=frozenset({"Hot", "Cold"})),
        field("NumberOfEmployees", "int", digits=8),
        field("AnnualRevenue", "currency", precision=18, scale=0),
        field("Latitude", "double", precision=18, scale=15),
        field("Share__c", "percent", precision=2, scale=2),
        field("HasOptedOutOfEmail", "boolean"),
        field("Birthday__c", "date"),
        field("SignedUp__c", "datetime"),
    )
}


def text(*cells: str | None) -> pd.Series:
    return pd.Series(list(cells), dtype="str")


def frame(**columns: list[str | None]) -> pd.DataFrame:
    """A frame of text, column by column, for cells that cannot be drawn."""
    return pd.DataFrame({name: text(*cells) for name, cells in columns.items()})


def as_persons(drawn: str | pd.DataFrame) -> pd.DataFrame:
    """Persons with what the reader always brings; a last name and a company where none is drawn."""
    persons = table(drawn) if isinstance(drawn, str) else drawn.copy()
    numbers = text(*[str(n) for n in range(1, len(persons) + 1)])
    always = {"person_id": numbers, "last_name": "Byron", "company": "Acme"}
    always |= {"owner_strategy": None, "created_at": "2026-01-01 00:00:00", "source_version": "1"}
    for name, value in always.items():
        if name not in persons:
            persons[name] = pd.Series(value, index=persons.index, dtype="str")
    row_count = persons.get("row_count", pd.Series("1", index=persons.index))
    changed = pd.Series(pd.NaT, index=persons.index).astype("datetime64[us]")
    return persons.assign(
        row_count=row_count.astype("int64"), attempt_count=1, source_changed_at=changed
    )


def mapped(persons: pd.DataFrame) -> dict[str, str]:
    return {lead: column for lead, column in COLUMNS.items() if column in persons}


def validated(drawn: str | pd.DataFrame, person_id_length: int | None = 64) -> ValidationResult:
    persons = as_persons(drawn)
    return validate(persons, mapped(persons), LEAD_FIELDS, person_id_length)


def rules_broken(drawn: str | pd.DataFrame) -> list[str | None]:
    """Of each person the rules broken, comma-separated; null for an accepted one."""
    persons = as_persons(drawn)
    rejected = validated(drawn).rejected
    by_person = rejected.groupby("person_id")["rule_name"].agg(", ".join)
    return [by_person.get(person_id) for person_id in persons["person_id"]]


def drawn_rules_hold(drawn: str) -> bool:
    """Whether each person drawn breaks just the rules in the column `rule broken`."""
    expected = [None if pd.isna(cell) else cell for cell in table(drawn)["rule broken"]]
    persons = table(drawn).drop(columns="rule broken")
    unknown = sorted({*persons} - {*COLUMNS.values(), "person_id", "row_count"})
    assert not unknown, f"no Lead field takes {unknown}: add them to COLUMNS and LEAD_FIELDS"
    assert rules_broken(persons) == expected
    return True


def same(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    pd.testing.assert_frame_equal(left, right, check_dtype=False)
    return True
