"""What the outside may choose: one TOML file and the environment, read once and frozen.

The environment (`PERSON_SYNC_<GROUP>__<NAME>`) beats the file, the file beats the defaults. The
file is `--config`, else `PERSON_SYNC_CONFIG`, else `person-sync.toml` in the current folder.
Relative paths in the file are relative to the file. Below `load_settings` nothing reads the
environment.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails

from pipelines.errors import ConfigurationError

PREFIX = "PERSON_SYNC_"
FILE_NAME = "person-sync.toml"

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
    """One table of the file; an unknown name in it is an error, not a silent nothing."""

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
    # true: nobody else uses this login, so a job left open is ours to abort. false: other tools
    # load leads by it, so jobs the ledger does not know mean nothing. Unsaid, the safe side of
    # both: such a job stops a run that stands on the ledger alone, and none is ever aborted.
    dedicated_user: bool | None = None


class OwnerSettings(Group):
    """Who owns the leads."""

    default: str = "rules"
    choice: tuple[dict[str, Any], ...] = ()
    without_active_rule: Literal["stop", "running_user"] = "stop"
    # Salesforce does not tell by its API who the default lead owner is (Lead Settings are metadata
    # only): named here, leads that fell to it are flagged DEFAULT_LEAD_OWNER.
    default_lead_owner: str = ""


class MatchingSettings(Group):
    """What to do about persons the org already knows."""

    existing_lead: Literal["report", "update"] = "report"
    existing_contact: Literal["report", "update"] = "report"
    contact_with_queue: Literal["duplicate_lead", "report"] = "duplicate_lead"
    deleted: Literal["recreate", "report"] = "recreate"
    # How they are looked up: by lists of e-mails and ids, or against a mirror of all leads and
    # contacts in the warehouse, read by bulk queries. auto takes what costs less calls and time.
    lookup: Literal["auto", "soql", "snapshot"] = "auto"
    # A run looks what has changed when it begins, and again when its mirror is older than this.
    refresh_minutes: float = Field(default=10, gt=0)


class RunSettings(Group):
    """How a run goes about it."""

    allowed_reject_share: float = Field(default=0.2, ge=0, le=1)
    # A slice is in memory whole, some 4 kB a person; a smaller one costs more calls a person.
    slice_size: int = Field(default=100_000, ge=1, le=100_000)
    # Every job costs some eight calls, whatever its size, and Salesforce cuts it into batches of
    # 10,000 rows by itself. Without the person-id field a lost job holds all of its persons, so
    # there jobs are kept small.
    batch_size: int = Field(default=100_000, ge=1, le=100_000)
    batch_size_without_field: int = Field(default=2_000, ge=1, le=10_000)
    open_batches: int = Field(default=8, ge=1, le=50)
    lease_seconds: float = Field(default=900, gt=0)
    poll_seconds: float = Field(default=5, gt=0)
    start_timeout_seconds: float = Field(default=0, ge=0)
    retry_timeout_seconds: float = Field(default=120, ge=0)
    # Below a day: the next night must not wait behind one job that never ends. 0 = no deadline.
    deadline_minutes: float = Field(default=1200, ge=0)
    # While a run waits, a line in its log at least so often.
    progress_seconds: float = Field(default=30, gt=0)
    # The state of a Prefect run in which more was rejected than allowed, or somebody is held.
    on_many_rejected: Literal["fail", "warn"] = "fail"
    # Several workers share the slices of a nightly run between them: threads of its process, or
    # processes of a Dask cluster, with no address one of this machine for the run alone.
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
    def _field_names_as_the_contract_spells_them(cls, value: dict[str, str]) -> dict[str, str]:
        # Environment variables shout; Salesforce's own names are matched case-insensitively anyway.
        known = {name.lower(): name for name in DEFAULT_FIELDS}
        return {known.get(name.lower(), name): column for name, column in value.items()}

    @property
    def columns(self) -> dict[str, str]:
        """Lead field → persons column: the defaults, completed by the file; "" leaves one out."""
        merged = {**DEFAULT_FIELDS, **self.fields}
        return {name: column for name, column in merged.items() if column}

    @property
    def explicit_fields(self) -> frozenset[str]:
        """The Lead fields that were mapped by hand: their columns must exist."""
        return frozenset(name for name, column in self.fields.items() if column)

    def fingerprint(self) -> str:
        """sha256 of every setting without a secret: tells whether two runs were asked the same."""
        return _hash(self.model_dump(mode="json"))  # SecretStr dumps as asterisks

    def decisions(self) -> str:
        """sha256 of what decides about a person, and of no secret: all workers of a run must agree
        on it, wherever they are."""
        decides = {"fields", "defaults", "owners", "matching"}
        plain = self.model_dump(mode="json", include=decides)
        names = {"persons": self.warehouse.persons, "key": self.salesforce.person_id_field}
        return _hash(plain | names)


def _hash(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def load_settings(
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
    read_block: Callable[[str], str] | None = None,
) -> Settings:
    """Read the settings. Raises ConfigurationError naming each wrong one by its path, and the remedy.

    A text `block:NAME` is replaced by what `read_block` answers for NAME (a Prefect Secret block).
    """
    environment = os.environ if environment is None else environment
    path = _find_file(config, environment)
    values = _read_file(path) if path else {}
    _overlay(values, environment)
    folder = path.parent if path else Path.cwd()
    _resolve(values, folder, read_block)
    warehouse = values.get("warehouse", {})
    if isinstance(warehouse, dict) and "url" not in warehouse:
        raise ConfigurationError(
            f"warehouse.url is not set: name a settings file with --config or {PREFIX}CONFIG, "
            f"write {FILE_NAME} here, or set {PREFIX}WAREHOUSE__URL"
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        where = str(path) if path else "the environment"
        problems = "\n".join(f"  {_explain(detail)}" for detail in error.errors())
        raise ConfigurationError(f"settings in {where} are wrong:\n{problems}") from None


def _find_file(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    named = config or (
        Path(environment[f"{PREFIX}CONFIG"]) if environment.get(f"{PREFIX}CONFIG") else None
    )
    if named is None:
        # Path.is_file raises in a folder that this user may not look into.
        return Path(FILE_NAME).resolve() if os.path.isfile(FILE_NAME) else None
    if not os.path.isfile(named):
        raise ConfigurationError(
            f"settings file {named} is not there: check --config or {PREFIX}CONFIG"
        )
    return named.resolve()


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"settings file {path} is not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigurationError(f"settings file {path} cannot be read: {error.strerror}") from None


def _overlay(values: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, text in environment.items():
        group, separator, key = name.removeprefix(PREFIX).partition("__")
        if not name.startswith(PREFIX) or not separator:
            continue
        table = values.setdefault(group.lower(), {})
        if not isinstance(table, dict):
            continue  # the model says what is wrong with it
        same = next((known for known in table if known.lower() == key.lower()), None)
        if (group, key) == ("OWNERS", "CHOICE"):
            text = _read_json(name, text)
        spelled = key if group.lower() in ("fields", "defaults") else key.lower()
        table[same or spelled] = text


def _read_json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise ConfigurationError(
            f'{name} must be JSON, such as [{{"when": {{}}, "assign_to": "rules"}}]'
        ) from None


def _resolve(values: dict[str, Any], folder: Path, read_block: Callable[[str], str] | None) -> None:
    for name, group in values.items():
        if not isinstance(group, dict):
            continue
        for key, text in group.items():
            if isinstance(text, str) and text.startswith("block:"):
                block = text.removeprefix("block:")
                group[key] = _from_block(f"{name}.{key}", block, read_block)
    _relative_to(folder, values.get("warehouse"), "url", r"sqlite(?:\+\w+)?:///")
    _relative_to(folder, values.get("salesforce"), "private_key_file", "")


def _from_block(key: str, name: str, read_block: Callable[[str], str] | None) -> str:
    if read_block is None:
        raise ConfigurationError(
            f"{key} = block:{name} needs Prefect: set it in the environment instead"
        )
    return read_block(name)


def _relative_to(folder: Path, group: object, key: str, scheme: str) -> None:
    if not isinstance(group, dict) or not isinstance(group.get(key), str):
        return
    found = re.match(scheme, group[key])
    path = group[key][found.end() :] if found else ""
    # ":memory:" and "file:..." are SQLite's own words, not paths.
    if found and path and not path.startswith((":", "/", "file:")):
        group[key] = f"{found.group()}{folder / path}"


def _explain(detail: ErrorDetails) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    variable = PREFIX + "__".join(str(part).upper() for part in detail["loc"][:2])
    if detail["type"] == "extra_forbidden":
        return f"{path} is no setting{_perhaps(detail['loc'])}: remove it"
    return f"{path}: {detail['msg']} (mend it there, or set {variable})"


def _perhaps(location: tuple[int | str, ...]) -> str:
    groups = {name: field.annotation for name, field in Settings.model_fields.items()}
    names: list[str] = list(groups)
    if len(location) == 2:
        group = groups.get(str(location[0]))
        names = (
            list(group.model_fields)
            if isinstance(group, type) and issubclass(group, BaseModel)
            else []
        )
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f", perhaps {close[0]} is meant" if close else ""
