"""Take steps of a real batch one by one, and disturb them."""

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

# The rule blocks Bob by name and phone, which our own lookup does not ask for.
DUPLICATE_RULE = """
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
# A second upload is accepted and spoils the job, as is reported of real orgs.
BEHAVIOUR = '\n[behaviour]\nsecond_put = "close"\n'
RULE = """
[[assignment_rule]]
name = "Batch{}"
active = false
[[assignment_rule.entry]]
when = {{}}
assign_to = "queue:Inbound"
"""
CONTACT = '\n[[contact]]\nLastName = "Known"\nEmail = "{}@persons.example"\n'
LEAD = '\n[[lead]]\nLastName = "Old"\nCompany = "Old"\nEmail = "{}@persons.example"\n'


class Rig:
    """One real batch of a scenario, and its run."""

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

    def step(self, disturbances: str = "-") -> tuple[str, ...]:
        """Take one step, perhaps disturbed: `lost@2` at its third event. Return what was observed.

        After an error read the batch again, as `advance_batches` does.
        """
        start = (self.batch.load_api, self.batch.batch_state)
        with self.disturbing(disturbances) as recorder:
            result = self._advance()
        return (*start, *recorder.events, f"⇒ {result}")

    @contextmanager
    def disturbing(self, disturbances: str) -> Iterator[Recorder]:
        """Record the events of the block, and disturb them."""
        recorder = Recorder(self.warehouse, self.relay, self.batch)
        for one in disturbances.split(",") if disturbances != "-" else ():
            what, _, index = one.partition("@")
            recorder.plan[int(index)] = what
        with recorder.recording():
            yield recorder

    def _advance(self) -> str:
        try:
            after = load.advance(self.run, self.batch)
        except SyncError as error:
            self._read_batch()
            return type(error).__name__
        result = "busy" if after == self.batch else after.batch_state
        self.batch = after
        return result

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse of the run."""
        return self.run.warehouse

    def forget_payload(self) -> None:
        """Forget the payload, as if the run had taken the batch over."""
        self.run.in_flight.payloads.pop(self.batch.batch_id, None)

    def change(self) -> None:
        """Change the source rows of all persons after the claim."""
        for person in self.persons:
            self._change(person)
        self.forget_payload()

    def change_one(self) -> None:
        """Change the source row of the last person after the claim."""
        self._change(self.persons[-1])
        self.forget_payload()

    def _change(self, person: str) -> None:
        self.scenario.run(f"update persons set title = 'Dr' where person_id = '{person}'")

    def make_leads(self) -> None:
        """Create leads with the persons' ids, as a late chunk does."""
        for person in self.persons:
            lead = {"LastName": "Late", "Company": "Late", "Person_Id__c": person}
            self.run.org.post_json("sobjects/Lead", lead)

    def _read_batch(self) -> None:
        batch = ledger.read_batch(self.warehouse, self.batch.batch_id)
        assert batch is not None
        self.batch = batch

    def wait(self) -> None:
        """Wait until the job has ended, is gone, or is open."""
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
def open_rig(scenario: Scenario, relay: Relay, persons: str, **options: Any) -> Iterator[Rig]:
    """Run a scenario up to partition, with these persons in one batch."""
    with open_rigs(scenario, relay, [persons], **options) as (rig,):
        yield rig


@contextmanager
def open_rigs(
    scenario: Scenario,
    relay: Relay,
    groups: list[str],
    *,
    mode: str = "live",
    org: str = "",
    **options: Any,
) -> Iterator[list[Rig]]:
    """Run a scenario up to partition, with each group of persons in a batch of its own.

    The groups differ in their assignment rules. The org's duplicate rule blocks Bob.
    """
    has_field = options.pop("has_field", True)
    rules = "".join(RULE.format(number) for number in range(len(groups)))
    duplicate_rule = DUPLICATE_RULE if "Bob" in " ".join(groups) else ""
    scenario.set_org(rules + duplicate_rule + BEHAVIOUR + org, person_id_field=has_field)
    scenario.put_frame(make_persons(groups, options.pop("strategy", "rule:Batch{}")))
    relay.upstream = scenario.emulator.url
    settings = settings_of(scenario, relay, has_field, **options)
    with lifecycle.open_run(settings, new_run_request(mode)) as run:
        extract.find_new_persons(run)
        for part in run.slices:
            rows = extract.extract_slice(run, part)
            matched = transform.match_slice(run, transform.validate_slice(run, rows))
            partition.partition_slice(run, matched)
        rigs = [_rig(scenario, relay, run, batch) for batch in run.in_flight.batches]
        yield sorted(rigs, key=lambda rig: group_of(rig.persons[0]))


def _rig(scenario: Scenario, relay: Relay, run: RunContext, batch: ledger.Batch) -> Rig:
    claims = ledger.batch_claims(run.warehouse, batch.batch_id)
    return Rig(scenario, relay, run, batch, list(claims["person_id"]))


def group_of(person: str) -> int:
    """Return the number of a person's group."""
    return int(person[3:])


def settings_of(scenario: Scenario, relay: Relay, has_field: bool, **groups: Any) -> Settings:
    """Return the settings of a run that reaches the org through the relay."""
    field = "Person_Id__c" if has_field else ""
    return scenario.settings(
        salesforce={"emulator_url": relay.url, "person_id_field": field}, **groups
    )


def make_persons(groups: list[str], strategy: str) -> pd.DataFrame:
    """Return the persons of all groups, numbered by group; Bob has no e-mail."""
    named = [(name, number) for number, group in enumerate(groups) for name in group.split()]
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
    """Copy a migrated ledger, and return the address of the copy."""
    file = folder / f"{number}.db"
    file.write_bytes(migrated.read_bytes())
    return f"sqlite:///{file}"
