"""What the checks before a run have found, and the complete RunContext built from it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pipelines.progress import Progress
from pipelines.rules import owner_choices, owner_strategies
from pipelines.rules.lead_fields import LeadField
from pipelines.salesforce.lookups import DescribedField
from pipelines.salesforce.session import Org
from pipelines.settings import Settings
from pipelines.steps.context import RunContext, RunRequest, new_batches_in_flight
from pipelines.steps.match import Matcher
from pipelines.steps.owners import OwnerLookup
from pipelines.steps.snapshot import SnapshotOptions
from pipelines.steps.unknown_jobs import UnknownJobs
from pipelines.warehouse.database import Warehouse

T = TypeVar("T")


@dataclass(eq=False)
class Preflight:
    """What is known so far; the checks of `run.checks` fill it from top to bottom.

    `owner`: the default owner strategy of this run alone. `columns`: Lead field → column of the
    persons table. `described`: the Lead fields that this login sees. Reading what no check has
    found yet is an error of ours: RuntimeError.
    """

    settings: Settings
    opened_warehouse: Warehouse | None
    owner: str | None = None
    accept_unknown_jobs: bool = False
    session: Org | None = None
    columns: dict[str, str] = field(default_factory=dict)
    described: Mapping[str, DescribedField] = field(default_factory=dict)
    lead_fields: dict[str, LeadField] = field(default_factory=dict)
    person_id_field: str = ""
    person_id_length: int | None = None
    unknown_jobs: UnknownJobs = field(default_factory=UnknownJobs)
    choices: tuple[owner_choices.Choice, ...] = ()
    default_lead_owner_id: str | None = None
    found_owner_lookup: OwnerLookup | None = None
    found_default_strategy: owner_strategies.Strategy | None = None

    @property
    def warehouse(self) -> Warehouse:
        """The open warehouse."""
        return _require(self.opened_warehouse, "the warehouse")

    @property
    def org(self) -> Org:
        """The session with the org."""
        return _require(self.session, "a session with the org")

    @property
    def owner_lookup(self) -> OwnerLookup:
        """The owners of the org."""
        return _require(self.found_owner_lookup, "the owners")

    @property
    def default_strategy(self) -> owner_strategies.Strategy:
        """The owner strategy of a person whom neither the row nor a choice gives one."""
        return _require(self.found_default_strategy, "the default owner strategy")

    @property
    def api_call_count(self) -> int:
        """API calls so far."""
        return self.session.api_call_count if self.session else 0

    def close(self) -> None:
        """Close the session with the org, if there is one. May be repeated."""
        if self.session is not None:
            self.session.close()

    def context(
        self,
        request: RunRequest,
        progress: Progress,
        *,
        seconds_left: float | None,
    ) -> RunContext:
        """Return the complete context of a run. Expects that all its checks have passed.

        `seconds_left`: until the run's deadline; None for no deadline.
        """
        return RunContext(
            settings=self.settings,
            request=request,
            warehouse=self.warehouse,
            org=self.org,
            columns=self.columns,
            lead_fields=self.lead_fields,
            person_id_field=self.person_id_field,
            person_id_length=self.person_id_length,
            owner_lookup=self.owner_lookup,
            default_strategy=self.default_strategy,
            choices=self.choices,
            default_lead_owner_id=self.default_lead_owner_id,
            unknown_jobs=self.unknown_jobs,
            matcher=self._matcher(request.run_id),
            progress=progress,
            in_flight=new_batches_in_flight(self.settings),
            give_up_at=None if seconds_left is None else time.monotonic() + seconds_left,
            slice_size=self.settings.run.slice_size,
        )

    def _matcher(self, run_id: str) -> Matcher:
        matching = self.settings.matching
        return Matcher(
            self.warehouse,
            self.org,
            run_id,
            person_id_field=self.person_id_field,
            lookup=matching.lookup,
            refresh_minutes=matching.refresh_minutes,
            options=SnapshotOptions(poll_seconds=self.settings.run.poll_seconds),
        )


def _require(value: T | None, what: str) -> T:
    if value is None:
        raise RuntimeError(f"{what} is asked for before the check that finds it")
    return value
