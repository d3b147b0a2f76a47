"""The stage of a test: a warehouse with persons, an org, and the settings that join them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import sqlalchemy

from pipelines import flows, runs
from pipelines.settings import DEFAULT_FIELDS, Settings
from tests.salesforce.servers import Emulator

COLUMNS = ["person_id", *DEFAULT_FIELDS.values(), "owner_strategy", "created_at", "updated_at"]

ORG = """
[org]
name = "Acme"
is_sandbox = true
running_user = "loader@acme.example"
default_lead_owner = "queue:Unassigned"
[[app]]
consumer_key = "test-key"
consumer_secret = "test-secret"
[[user]]
username = "loader@acme.example"
name = "Loader"
email = "loader@acme.example"
is_active = true
user_type = "Standard"
[[user]]
username = "ada@acme.example"
name = "Ada"
email = "ada@acme.example"
is_active = true
user_type = "Standard"
[[user]]
username = "bo@acme.example"
name = "Bo"
email = "bo@acme.example"
is_active = true
user_type = "Standard"
[[user]]
username = "gone@acme.example"
name = "Gone"
email = "gone@acme.example"
is_active = false
user_type = "Standard"
[[queue]]
developer_name = "Unassigned"
name = "Unassigned"
objects = ["Lead"]
[[queue]]
developer_name = "Inbound"
name = "Inbound"
objects = ["Lead"]
[[queue]]
developer_name = "Cases"
name = "Cases"
objects = ["Case"]
[[assignment_rule]]
name = "Standard routing"
active = true
[[assignment_rule.entry]]
when = { Country = ["DE"] }
assign_to = "user:bo@acme.example"
[[assignment_rule]]
name = "Fair"
active = false
[[assignment_rule.entry]]
when = {}
assign_to = "queue:Inbound"
"""
PERSON_ID_FIELD = """
[[field]]
object = "Lead"
name = "Person_Id__c"
type = "string"
length = 64
external_id = true
unique = true
case_sensitive = true
"""


@dataclass
class Stage:
    """One warehouse and one org. `choices` are settings that every run of the test shares."""

    warehouse_url: str
    emulator: Emulator
    choices: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        driver = self.warehouse_url.replace("postgresql://", "postgresql+psycopg://")
        self.engine = sqlalchemy.create_engine(driver)
        self.set_org()

    def set_org(self, extra: str = "", *, person_id_field: bool = True) -> None:
        """The org of the test: ORG and what is added to it."""
        self.emulator.reset(ORG + (PERSON_ID_FIELD if person_id_field else "") + extra)
        self.emulator.go_wrong()

    def put(self, drawn: str) -> None:
        """Put the persons of a small table into the warehouse; what is not drawn is filled in."""
        header, *lines = [line for line in drawn.strip().splitlines() if line.strip()]
        names = [cell.strip() for cell in header.split("|")]
        rows = [
            dict(zip(names, (cell.strip() or None for cell in line.split("|")), strict=True))
            for line in lines
        ]
        self.put_frame(pd.DataFrame(rows).reindex(columns=COLUMNS).astype("str"))

    def put_frame(self, persons: pd.DataFrame) -> None:
        """Put these persons into the warehouse's persons table."""
        typed = persons.assign(
            employee_count=pd.to_numeric(persons["employee_count"]).astype("Int64"),
            annual_revenue=pd.to_numeric(persons["annual_revenue"]),
            created_at=pd.to_datetime(persons["created_at"], format="ISO8601"),
            updated_at=pd.to_datetime(persons["updated_at"], format="ISO8601"),
        )
        typed.to_sql("persons", self.engine, index=False, if_exists="append", chunksize=5000)

    def settings(self, **groups: dict[str, Any]) -> Settings:
        """The settings of a run: those of the test, changed by what is given here."""
        values: dict[str, dict[str, Any]] = {
            "warehouse": {"url": self.warehouse_url},
            "salesforce": {
                "domain": "acme.my",
                "consumer_key": "test-key",
                "consumer_secret": "test-secret",
                "emulator_url": self.emulator.url,
            },
            "run": {"poll_seconds": 0.05},
        }
        for given in (self.choices, groups):
            for group, names in given.items():
                values[group] = {**values.get(group, {}), **names}
        return Settings.model_validate(values)

    def sync(
        self,
        mode: str = "live",
        *,
        person_ids: tuple[str, ...] | None = None,
        limit: int | None = None,
        **groups: dict[str, Any],
    ) -> dict[str, Any]:
        """One run of the real story, without Prefect; answers its summary."""
        request = runs.new_request(mode, person_ids=person_ids, limit=limit)
        tell = flows.carry_on if mode == "resume" else flows.sync
        return tell(self.settings(**groups), request, flows.plainly)

    def rows(self, select: str) -> list[dict[str, Any]]:
        """What a select finds in the warehouse."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sqlalchemy.text(select)).mappings()]

    def run(self, statement: str) -> None:
        """Change something in the warehouse."""
        with self.engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))

    def outcomes(self) -> dict[str, dict[str, Any]]:
        """The outcome row of each person."""
        found = self.rows("select * from person_outcomes")
        return {row["person_id"]: row for row in found}

    def duplicates(self, person_id: str) -> list[dict[str, Any]]:
        """The duplicate report of one person."""
        found = self.rows("select * from duplicate_persons order by matched_in, matched_id")
        return [row for row in found if row["person_id"] == person_id]

    def rejections(self) -> set[tuple[str, str]]:
        """(person, rule) of every rejection."""
        return {
            (row["person_id"], row["rule_name"])
            for row in self.rows("select person_id, rule_name from rejected_persons")
        }

    def leads(self) -> list[dict[str, Any]]:
        """Every lead the org holds that is not deleted."""
        return [lead for lead in self.emulator.held("leads") if not lead["IsDeleted"]]
