"""The scenario of a test: a warehouse with persons, an org, and the settings that join them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy

from pipelines import flows
from pipelines.settings import DEFAULT_FIELDS, Settings
from pipelines.steps.context import new_run_request
from tests.org import ORG, PERSON_ID_FIELD
from tests.salesforce.servers import Emulator

COLUMNS = ["person_id", *DEFAULT_FIELDS.values(), "owner_strategy", "created_at", "updated_at"]

WORDS = "select person_id from person_outcomes union all select person_id from person_claims"
# Whom nobody can account for, after whatever happened: empty, or something is lost or doubled.
RESULT_MISSING = f"""
with

words as ({WORDS}),

created as (select person_id, lead_id from person_outcomes where outcome = 'created')

select 'person without exactly one outcome or claim' as trouble, persons.person_id as whose
from persons left join words on persons.person_id = words.person_id
group by persons.person_id having count(words.person_id) <> 1
union all
select 'lead in the org without exactly one person' as trouble, org_leads.lead_id as whose
from org_leads left join created on org_leads.lead_id = created.lead_id
group by org_leads.lead_id having count(created.person_id) <> 1
union all
select 'created, and the org has no such lead' as trouble, created.person_id as whose
from created left join org_leads on created.lead_id = org_leads.lead_id
where org_leads.lead_id is null
order by 1, 2
"""
MISCOUNTED = """
select * from sync_runs where read_count <> created_count + updated_count + duplicate_count
    + rejected_count + held_count + open_count
"""


def make_persons(count: int) -> pd.DataFrame:
    """So many good persons, each with an e-mail, by turns of four owner strategies."""
    strategies = [None, "user:ada@acme.example", "queue:Inbound", "rule:Fair"]
    return pd.DataFrame(
        {
            "person_id": [f"P{number:04}" for number in range(1, count + 1)],
            "last_name": [f"Name {number}" for number in range(1, count + 1)],
            "company": "Engines",
            "email": [f"p{number}@persons.example" for number in range(1, count + 1)],
            "owner_strategy": [strategies[number % 4] for number in range(1, count + 1)],
        }
    ).reindex(columns=COLUMNS)


def make_persons_of_one_strategy(count: int) -> pd.DataFrame:
    """Return so many good persons that go in one batch, where the batch size allows."""
    return make_persons(count).assign(owner_strategy=None)


def put_persons(engine: sqlalchemy.Engine, persons: pd.DataFrame) -> None:
    """Put these persons into the persons table of a warehouse."""
    typed = persons.assign(
        employee_count=pd.to_numeric(persons["employee_count"]).astype("Int64"),
        annual_revenue=pd.to_numeric(persons["annual_revenue"]),
        created_at=pd.to_datetime(persons["created_at"], format="ISO8601"),
        updated_at=pd.to_datetime(persons["updated_at"], format="ISO8601"),
    )
    schema = "public" if engine.dialect.name == "postgresql" else None
    options: dict[str, Any] = {"index": False, "if_exists": "append", "chunksize": 1000}
    typed.to_sql("persons", engine, schema=schema, **options)


@dataclass
class PlainRun:
    """A run in a process of its own: `tests/steps/plain_run.py`."""

    process: subprocess.Popen[str]

    def wait_until_ready(self) -> None:
        """Until everything is imported and the run begins."""
        assert self.process.stderr is not None
        assert self.process.stderr.readline() == "ready\n", self.process.communicate()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.communicate()

    def answer(self) -> tuple[int, dict[str, Any]]:
        """Its exit code and its summary, when it has ended."""
        said, complained = self.process.communicate(timeout=120)
        assert said, f"the run said nothing: {complained}"
        return self.process.returncode, json.loads(said)


@dataclass
class Scenario:
    """One warehouse and one org. `choices` are settings that every run of the test shares."""

    warehouse_url: str
    emulator: Emulator
    choices: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        driver = self.warehouse_url.replace("postgresql://", "postgresql+psycopg://")
        # As every session of ours on PostgreSQL: the results first, then the persons' own schema.
        path = {"options": "-c search_path=person_sync,public -c timezone=UTC"}
        given = path if driver != self.warehouse_url else {}
        self.engine = sqlalchemy.create_engine(driver, connect_args=given)
        self.set_org()

    def set_org(self, extra: str = "", *, person_id_field: bool = True) -> None:
        """The org of the test: ORG and what is added to it."""
        self.emulator.reset(ORG + (PERSON_ID_FIELD if person_id_field else "") + extra)
        self.emulator.go_wrong()
        self.seeded = {lead["Id"] for lead in self.emulator.held("leads")}

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
        put_persons(self.engine, persons)

    def settings(self, **groups: dict[str, Any]) -> Settings:
        """The settings of a run: those of the test, changed by what is given here."""
        return Settings.model_validate(self._values(**groups))

    def write_settings(self, file: Path, **groups: dict[str, Any]) -> Path:
        """The same as a settings file."""
        lines = []
        for group, names in self._values(**groups).items():
            lines += [f"[{group}]", *(f"{name} = {json.dumps(v)}" for name, v in names.items())]
        file.write_text("\n".join(lines), encoding="utf-8")
        return file

    def _values(self, **groups: dict[str, Any]) -> dict[str, dict[str, Any]]:
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
        return values

    @contextmanager
    def start(self, config: Path, mode: str, *ids: str) -> Iterator[PlainRun]:
        """A run as a process of its own; it is gone when the test is over."""
        command = [sys.executable, "-m", "tests.steps.plain_run", str(config), mode, *ids]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes) as process:
            try:
                yield PlainRun(process)
            finally:
                process.kill()

    def sync(
        self,
        mode: str = "live",
        *,
        person_ids: tuple[str, ...] | None = None,
        limit: int | None = None,
        **groups: dict[str, Any],
    ) -> dict[str, Any]:
        """One run of the real story, without Prefect; answers its summary."""
        request = new_run_request(mode, person_ids=person_ids, limit=limit)
        tell = flows.complete_open_batches if mode == "resume" else flows.sync
        return tell(self.settings(**groups), request, flows.call_step)

    def rows(self, select: str) -> list[dict[str, Any]]:
        """What a select finds in the warehouse."""
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sqlalchemy.text(select)).mappings()]

    def run(self, statement: str) -> None:
        """Change something in the warehouse."""
        with self.engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement))

    def outcomes_by_id(self) -> dict[str, dict[str, Any]]:
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

    def unaccounted(self) -> list[tuple[str, str]]:
        """Persons without exactly one word, and leads in the org without exactly one person."""
        made = [lead["Id"] for lead in self.leads() if lead["Id"] not in self.seeded]
        frame = pd.DataFrame({"lead_id": pd.Series(made, dtype="str")})
        frame.to_sql("org_leads", self.engine, index=False, if_exists="replace")
        return [(row["trouble"], row["whose"]) for row in self.rows(RESULT_MISSING)]

    def unaccounted_but_new(self) -> list[tuple[str, str]]:
        """Persons with more than one word. Right after a kill many have none, and leads are in the
        org that nobody has heard of yet."""
        twice = f"select person_id from ({WORDS}) as words group by person_id having count(*) > 1"
        return [(row["person_id"], "more than one word") for row in self.rows(twice)]

    def outcome_counts(self, column: str = "outcome") -> dict[str, int]:
        """How many persons have each outcome, or each value of another column."""
        values = [row[column] for row in self.outcomes_by_id().values()]
        return {value: values.count(value) for value in dict.fromkeys(values)}

    def under_way(self) -> list[dict[str, Any]]:
        """Who is still claimed by a batch."""
        return self.rows("select person_id, batch_id from person_claims order by person_id")

    def miscounted_runs(self) -> list[dict[str, Any]]:
        """Runs that break the conservation law."""
        return self.rows(MISCOUNTED)
