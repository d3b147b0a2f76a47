"""A real batch brought to any point of its way, and one real step taken from there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.errors import SyncError
from pipelines.run import lifecycle
from pipelines.salesforce import ingest_jobs
from pipelines.settings import Settings
from pipelines.steps import extract, load, partition, transform
from pipelines.steps.context import RunContext, new_run_request
from pipelines.warehouse import ledger
from pipelines.warehouse.database import Warehouse
from tests.crash.model.recorder import Recorder
from tests.crash.model.relay import Relay
from tests.steps.scenario import COLUMNS, Scenario

# Whom the org's duplicate rule knows by name and phone, which our own look-up does not ask for.
STRANGER = """
[[duplicate_rule]]
name = "Leads with duplicate leads"
object = "Lead"
matches = "Lead"
action = "block"
[[lead]]
FirstName = "Bob"
LastName = "Known"
Company = "Old"
Phone = "555 123"
"""
# A second upload is taken and spoils the job, as others report of real orgs (B1 of the design).
BEHAVIOUR = '\n[behaviour]\nsecond_put = "close"\n'
RULE = """
[[assignment_rule]]
name = "Fleet{}"
active = false
[[assignment_rule.entry]]
when = {{}}
assign_to = "queue:Inbound"
"""
CONTACT = '\n[[contact]]\nLastName = "Known"\nEmail = "{}@persons.example"\n'
LEAD = '\n[[lead]]\nLastName = "Old"\nCompany = "Old"\nEmail = "{}@persons.example"\n'


class Rig:
    """One batch on the real scenario."""

    def __init__(
        self,
        scenario: Scenario,
        relay: Relay,
        run: RunContext,
        batch: ledger.Batch,
        persons: list[str],
    ) -> None:
        self.scenario, self.relay, self.run = scenario, relay, run
        self.batch, self.persons = batch, persons

    def step(self, disturbed: str = "-") -> tuple[str, ...]:
        """Take one step, perhaps disturbed: `lost@2` at its third event. Answers what could be
        observed; after trouble the batch is read again, as the loader does."""
        start = (self.batch.load_api, self.batch.batch_state)
        with self.disturbing(disturbed) as recorder:
            word = self._advance()
        return (*start, *recorder.events, f"⇒ {word}")

    @contextmanager
    def disturbing(self, disturbed: str) -> Iterator[Recorder]:
        """Listen, and disturb as told."""
        recorder = Recorder(self.warehouse, self.relay, self.batch)
        for one in disturbed.split(",") if disturbed != "-" else ():
            what, _, place = one.partition("@")
            recorder.plan[int(place)] = what
        with recorder.listening():
            yield recorder

    def _advance(self) -> str:
        try:
            after = load.advance(self.run, self.batch)
        except SyncError as trouble:
            self.look()
            return type(trouble).__name__
        word = "busy" if after == self.batch else after.batch_state
        self.batch = after
        return word

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse of the run."""
        return self.run.warehouse

    def abort(self) -> None:
        """An admin aborts the job."""
        ingest_jobs.abort_job(self.run.org, str(self.batch.salesforce_job_id))

    def forget(self) -> None:
        """The payload, as by a run that has taken the batch over."""
        self.run.in_flight.payloads.pop(self.batch.batch_id, None)

    def change(self) -> None:
        """The source rows have changed since the claim."""
        for person in self.persons:
            self._change(person)
        self.forget()

    def change_one(self) -> None:
        """The last of them has."""
        self._change(self.persons[-1])
        self.forget()

    def _change(self, person: str) -> None:
        self.scenario.run(f"update persons set title = 'Dr' where person_id = '{person}'")

    def make_leads(self) -> None:
        """Leads with the persons' ids are there, as by a chunk that comes late."""
        for person in self.persons:
            lead = {"LastName": "Late", "Company": "Late", "Person_Id__c": person}
            self.run.org.post_json("sobjects/Lead", lead)

    def look(self) -> None:
        """Read the batch as it stands."""
        found = ledger.read_batch(self.warehouse, self.batch.batch_id)
        assert found is not None
        self.batch = found

    def wait(self) -> None:
        """Until the job has ended, is gone, or waits for its close."""
        if self.batch.salesforce_job_id is None:
            return
        until = time.monotonic() + 20
        while time.monotonic() < until:
            job = ingest_jobs.job_status(self.run.org, str(self.batch.salesforce_job_id))
            if job is None or job.has_ended or job.state == "Open":
                return
            time.sleep(0.005)
        raise AssertionError("the job did not end")


@contextmanager
def rigged(scenario: Scenario, relay: Relay, crew: str, **how: Any) -> Iterator[Rig]:
    """A scenario on which these persons are judged and planned as one batch."""
    with fleet(scenario, relay, [crew], **how) as (rig,):
        yield rig


@contextmanager
def fleet(
    scenario: Scenario,
    relay: Relay,
    crews: list[str],
    *,
    mode: str = "live",
    org: str = "",
    **how: Any,
) -> Iterator[list[Rig]]:
    """A scenario on which these crews are judged together, each planned as a batch of its own: they
    differ in their assignment rules. Of a crew's persons Bob is the one whom the org refuses."""
    has_field = how.pop("has_field", True)
    names = " ".join(crews)
    rules = "".join(RULE.format(number) for number in range(len(crews)))
    stranger = STRANGER if "Bob" in names else ""
    scenario.set_org(rules + stranger + BEHAVIOUR + org, person_id_field=has_field)
    scenario.put_frame(make_persons(crews, how.pop("strategy", "rule:Fleet{}")))
    relay.upstream = scenario.emulator.url
    settings = settings_of(scenario, relay, has_field, **how)
    with lifecycle.open_run(settings, new_run_request(mode)) as run:
        extract.find_new_persons(run)
        for part in run.slices:
            rows = extract.extract_slice(run, part)
            matched = transform.match_slice(run, transform.validate_slice(run, rows))
            partition.partition_slice(run, matched)
        rigs = [_rig(scenario, relay, run, batch) for batch in run.in_flight.batches]
        yield sorted(rigs, key=lambda rig: number_of(rig.persons[0]))


def _rig(scenario: Scenario, relay: Relay, run: RunContext, batch: ledger.Batch) -> Rig:
    claims = ledger.batch_claims(run.warehouse, batch.batch_id)
    return Rig(scenario, relay, run, batch, list(claims["person_id"]))


def number_of(person: str) -> int:
    """Of which crew a person is."""
    return int(person[3:])


def settings_of(scenario: Scenario, relay: Relay, has_field: bool, **groups: Any) -> Settings:
    """The settings of a run that speaks through the relay."""
    field = "Person_Id__c" if has_field else ""
    return scenario.settings(
        salesforce={"emulator_url": relay.url, "person_id_field": field}, **groups
    )


def make_persons(crews: list[str], strategy: str) -> pd.DataFrame:
    """The persons of all crews, numbered by crew; Bob without an e-mail."""
    named = [(name, number) for number, crew in enumerate(crews) for name in crew.split()]
    first = pd.Series([name for name, _ in named])
    ids = pd.Series([f"{name}{number}" for name, number in named])
    frame = pd.DataFrame({"person_id": ids}).reindex(columns=COLUMNS)
    is_bob = first == "Bob"
    return frame.assign(
        first_name=first,
        last_name="Known",
        company="Engines",
        email=(ids + "@persons.example").where(~is_bob),
        phone=pd.Series("555 123", index=frame.index).where(is_bob),
        owner_strategy=[strategy.format(number) for _, number in named],
    )


def copy_of(migrated: Path, folder: Path, number: int) -> str:
    """The address of a fresh ledger."""
    file = folder / f"{number}.db"
    file.write_bytes(migrated.read_bytes())
    return f"sqlite:///{file}"
