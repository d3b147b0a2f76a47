"""What the outside may choose: the groups of settings, validated and frozen.

Each group is a table of the settings file. `loading` reads them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

DEFAULT_FIELDS = {
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
}


class Group(BaseModel):
    """One table of the file. An unknown name in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WarehouseSettings(Group):
    """Where the persons are and where the results go."""

    url: SecretStr = Field(description="any SQLAlchemy URL")
    persons: str = "persons"
    results_schema: str = "person_sync"


class SalesforceSettings(Group):
    """Which org, and how to log in to it."""

    login: Literal["client_credentials", "jwt", "password", "access_token"] = "client_credentials"
    domain: str = "login"
    consumer_key: str = ""
    consumer_secret: SecretStr = SecretStr("")
    username: str = ""
    password: SecretStr = SecretStr("")
    security_token: SecretStr = SecretStr("")
    private_key_file: str = ""
    access_token: SecretStr = SecretStr("")
    instance_url: str = ""
    api_version: str = Field(default="67.0", pattern=r"^\d{2,3}\.0$")
    emulator_url: str = ""
    person_id_field: str = Field(default="Person_Id__c", pattern=r"^([A-Za-z][A-Za-z0-9_]*)?$")
    # true: no other tool uses this login, so a job left open is ours to abort. false: other tools
    # load leads by it, so jobs that the ledger does not know mean nothing. Not set: such a job
    # stops a run without the person-id field, and none is ever aborted.
    dedicated_user: bool | None = None


class OwnerSettings(Group):
    """Who owns the leads."""

    default: str = "rules"
    choice: tuple[dict[str, Any], ...] = ()
    without_active_rule: Literal["stop", "running_user"] = "stop"
    # Salesforce's API does not return the default lead owner (Lead Settings are metadata only).
    # Where it is named here, leads that it owns are flagged DEFAULT_LEAD_OWNER.
    default_lead_owner: str = ""


class MatchingSettings(Group):
    """How persons are found in Salesforce, and what is done about those found."""

    existing_lead: Literal["report", "update"] = "report"
    existing_contact: Literal["report", "update"] = "report"
    contact_with_queue: Literal["duplicate_lead", "report"] = "duplicate_lead"
    deleted: Literal["recreate", "report"] = "recreate"
    # How they are looked up: by SOQL queries for e-mails and ids, or in a snapshot of all leads and
    # contacts in the warehouse, read by bulk queries. auto takes what costs fewer calls and less
    # time.
    lookup: Literal["auto", "soql", "snapshot"] = "auto"
    # A run refreshes the snapshot when it begins, and again when it is older than this.
    refresh_minutes: float = Field(default=10, gt=0)


class RunSettings(Group):
    """Sizes, waiting times and workers of a run."""

    allowed_reject_share: float = Field(default=0.2, ge=0, le=1)
    # A slice is in memory whole, some 4 kB a person; a smaller one costs more calls a person.
    slice_size: int = Field(default=100_000, ge=1, le=100_000)
    # Every job costs some eight calls, whatever its size, and Salesforce itself cuts it into
    # batches of 10,000 rows. Without the person-id field all persons of a lost job end as held,
    # so jobs are small there.
    batch_size: int = Field(default=100_000, ge=1, le=100_000)
    batch_size_without_field: int = Field(default=2_000, ge=1, le=10_000)
    open_batches: int = Field(default=8, ge=1, le=50)
    lease_seconds: float = Field(default=900, gt=0)
    poll_seconds: float = Field(default=5, gt=0)
    start_timeout_seconds: float = Field(default=0, ge=0)
    retry_timeout_seconds: float = Field(default=120, ge=0)
    # Below a day, so that the next nightly run does not wait for a job that never ends. 0 = none.
    deadline_minutes: float = Field(default=1200, ge=0)
    # While a run waits, it logs a line at least so often.
    progress_seconds: float = Field(default=30, gt=0)
    # The state of a Prefect run with more rejected than allowed, or with a held person.
    on_many_rejected: Literal["fail", "warn"] = "fail"
    # Several workers share the slices of a run: threads of its process, or processes of a Dask
    # cluster. Without an address the run starts a cluster of its own on this machine.
    workers: int = Field(default=1, ge=1, le=64)
    task_runner: Literal["threads", "dask"] = "threads"
    dask_address: str = Field(default="", pattern=r"^([a-z]+://\S+)?$")

    @field_validator("task_runner")
    @classmethod
    def _is_installed(cls, value: str) -> str:
        if value == "dask" and importlib.util.find_spec("prefect_dask") is None:
            raise ValueError("dask needs the extra: pip install 'person-sync[dask]'")
        return value


class Settings(Group):
    """Everything the outside may choose."""

    warehouse: WarehouseSettings
    salesforce: SalesforceSettings = SalesforceSettings()
    fields: dict[str, str] = Field(default_factory=dict)
    defaults: dict[str, str] = Field(default_factory=dict)
    owners: OwnerSettings = OwnerSettings()
    matching: MatchingSettings = MatchingSettings()
    run: RunSettings = RunSettings()

    @field_validator("fields", "defaults")
    @classmethod
    def _restore_capital_letters(cls, value: dict[str, str]) -> dict[str, str]:
        # Names of variables are often in capitals. Salesforce ignores case in names of fields.
        known = {name.lower(): name for name in DEFAULT_FIELDS}
        return {known.get(name.lower(), name): column for name, column in value.items()}

    @property
    def columns(self) -> dict[str, str]:
        """Lead field → persons column: the defaults and the settings'; "" leaves a field out."""
        merged = {**DEFAULT_FIELDS, **self.fields}
        return {name: column for name, column in merged.items() if column}

    @property
    def explicit_fields(self) -> frozenset[str]:
        """The Lead fields that the settings map: their columns must exist."""
        return frozenset(name for name, column in self.fields.items() if column)

    def fingerprint(self) -> str:
        """Return the sha256 of every setting that is no secret, to compare the settings of runs."""
        return _hash(self.model_dump(mode="json"))  # SecretStr dumps as asterisks

    def decisions(self) -> str:
        """Return the sha256 of the settings that decide about a person, without secrets.

        All workers of a run must have the same one, wherever they run.
        """
        decides = {"fields", "defaults", "owners", "matching"}
        plain = self.model_dump(mode="json", include=decides)
        names = {"persons": self.warehouse.persons, "key": self.salesforce.person_id_field}
        return _hash(plain | names)


def _hash(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
