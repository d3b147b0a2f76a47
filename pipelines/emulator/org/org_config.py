"""What an org file says, as frozen values: apps, users, rules, fields, records and switches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.emulator.org.behaviour import Behaviour
from pipelines.emulator.org.org_sections import When


@dataclass(frozen=True)
class App:
    """A client application that may log in."""

    consumer_key: str
    consumer_secret: str
    username: str
    public_key: str


@dataclass(frozen=True)
class User:
    """A user of the org."""

    username: str
    name: str
    email: str
    is_active: bool = True
    user_type: str = "Standard"
    api_enabled: bool = True
    password: str = ""
    security_token: str = ""
    id: str = ""


@dataclass(frozen=True)
class Queue:
    """A queue, the objects it serves, and its members."""

    developer_name: str
    name: str
    objects: tuple[str, ...]
    members: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class AssignmentRule:
    """A Lead assignment rule: the first entry whose `when` is true names the owner."""

    name: str
    active: bool
    entries: tuple[tuple[When, str], ...]
    id: str = ""


@dataclass(frozen=True)
class DuplicateRule:
    """What happens when a new record matches an existing one."""

    name: str
    object: str
    matches: str
    action: str
    operations: tuple[str, ...] = ("insert",)


@dataclass(frozen=True)
class ValidationRule:
    """An admin's rule: where `when` is true, the record is rejected with this message."""

    object: str
    when: When
    message: str
    field: str


@dataclass(frozen=True)
class CustomField:
    """A field in addition to the standard ones."""

    object: str
    name: str
    label: str
    type: str
    length: int
    precision: int
    scale: int
    external_id: bool
    unique: bool
    case_sensitive: bool
    required: bool
    read_only: bool
    restricted: bool
    picklist: tuple[str, ...]
    reference_to: tuple[str, ...]


@dataclass(frozen=True)
class Country:
    """One entry of the State and Country picklists; one entry is enough to enable them."""

    code: str
    label: str
    states: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """A record that exists from the start; `place` names it in error messages."""

    object: str
    place: str
    owner: str
    values: dict[str, Any]


@dataclass(frozen=True)
class OrgFile:
    """The whole content of an org file."""

    name: str
    id: str
    is_sandbox: bool
    running_user: str
    default_lead_owner: str
    apps: tuple[App, ...]
    users: tuple[User, ...]
    queues: tuple[Queue, ...]
    assignment_rules: tuple[AssignmentRule, ...]
    duplicate_rules: tuple[DuplicateRule, ...]
    validation_rules: tuple[ValidationRule, ...]
    fields: tuple[CustomField, ...]
    hidden_fields: tuple[tuple[str, str], ...]
    countries: tuple[Country, ...]
    records: tuple[Record, ...]
    daily_api_requests: int
    daily_ingest_jobs: int
    behaviour: Behaviour
