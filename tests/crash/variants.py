"""The variants there are: which engine, which org, which persons."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tests.steps.scenario import make_persons

COUNT = 60
SAME_EMAIL = {"P0020": "P0007", "P0050": "P0008"}  # who has the e-mail of an elder one
KNOWN = """
[[lead]]
LastName = "Known"
Company = "Old"
Email = "p1@persons.example"
[[contact]]
LastName = "Known"
Email = "p2@persons.example"
[[contact]]
LastName = "Known"
Email = "p6@persons.example"
"""


@dataclass(frozen=True)
class Variant:
    """Which environment: engine, whether the org has the person-id field, persons, and what else
    the org holds."""

    engine: str
    has_field: bool
    people: str = "mixed"
    org: str = ""

    def __str__(self) -> str:
        return f"{self.engine}, field {'on' if self.has_field else 'off'}"


VARIANTS = [
    Variant(engine, has_field) for engine in ("sqlite", "postgres") for has_field in (True, False)
]


def mixed() -> pd.DataFrame:
    """Sixty of four strategies: one to update, two contacts for a queue, two rejected, and two who
    are somebody else, one of them judged in another slice than that one.

    Three strategies in the first slice and one in the second: five batches, of every kind there is.
    """
    made = make_persons(COUNT).set_index("person_id")
    made["owner_strategy"] = made["owner_strategy"].replace("rule:Fair", None)
    made.loc["P0031":, "owner_strategy"] = "rule:Fair"
    made.loc["P0010", "company"] = None
    made.loc["P0044", "owner_strategy"] = "user:nobody@acme.example"
    for person_id, elder in SAME_EMAIL.items():
        made.loc[person_id, "email"] = made.loc[elder, "email"].title()
    return made.reset_index()


def many() -> pd.DataFrame:
    """So many that they are three of Salesforce's chunks in one job."""
    return make_persons(450).assign(owner_strategy=None)


def few() -> pd.DataFrame:
    """Three in one batch, one of them rejected."""
    made = make_persons(4).assign(owner_strategy=None)
    made.loc[1, "company"] = None
    return made


PEOPLE = {"mixed": mixed, "many": many, "few": few}
