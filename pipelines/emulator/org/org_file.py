"""Read an org file (TOML); every error message names the place of the mistake."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipelines.emulator.org.behaviour import read_behaviour
from pipelines.emulator.org.org_config import (
    App,
    AssignmentRule,
    Country,
    CustomField,
    DuplicateRule,
    OrgFile,
    Queue,
    Record,
    User,
    ValidationRule,
)
from pipelines.emulator.org.org_sections import OrgFileError, Section

FIELD_TYPES = [
    "string",
    "textarea",
    "email",
    "phone",
    "url",
    "picklist",
    "boolean",
    "int",
    "double",
    "currency",
    "percent",
    "date",
    "datetime",
    "reference",
]
OBJECTS = ("Lead", "Contact", "Account")

DEFAULT_ORG = """
[org]
name = "Demo Org"
is_sandbox = true
running_user = "integration@demo.example"

[[app]]
consumer_key = "demo-key"
consumer_secret = "demo-secret"

[[field]]
object = "Lead"
name = "Person_Id__c"
type = "string"
length = 64
external_id = true
unique = true
"""


def read_org_file(path: Path) -> tuple[str, OrgFile]:
    """Return the text of an org file and its content; raise OrgFileError naming the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OrgFileError(f"{path}: cannot be read ({error}); name an org file") from error
    try:
        return text, parse_org(text, path.parent)
    except OrgFileError as error:
        raise OrgFileError(f"{path}: {error}") from error


def parse_org(text: str, directory: Path) -> OrgFile:
    """Return the content of an org file; key files are relative to `directory`."""
    try:
        root = Section("", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise OrgFileError(f"is not TOML: {error}") from error
    org = root.section("org")
    limits = root.section("limits")
    parsed = OrgFile(
        name=org.text("name", "Demo Org"),
        id=org.text("id", ""),
        is_sandbox=org.flag("is_sandbox", True),
        running_user=org.text("running_user", "integration@demo.example").lower(),
        default_lead_owner=org.text("default_lead_owner", ""),
        apps=tuple(_app(section, directory) for section in root.sections("app")),
        users=tuple(map(_user, root.sections("user"))),
        queues=tuple(map(_queue, root.sections("queue"))),
        assignment_rules=tuple(map(_assignment_rule, root.sections("assignment_rule"))),
        duplicate_rules=tuple(map(_duplicate_rule, root.sections("duplicate_rule"))),
        validation_rules=tuple(map(_validation_rule, root.sections("validation_rule"))),
        fields=tuple(map(_custom_field, root.sections("field"))),
        hidden_fields=tuple(map(_hidden_field, root.sections("hidden_field"))),
        countries=tuple(map(_country, root.sections("country"))),
        records=tuple(
            _record(section, name) for name in OBJECTS for section in root.sections(name.lower())
        ),
        daily_api_requests=limits.whole("daily_api_requests", 100_000),
        # This limit is reported by users but documented nowhere; assuming it is the harder reading.
        daily_ingest_jobs=limits.whole("daily_ingest_jobs", 100_000),
        behaviour=read_behaviour(root.section("behaviour")),
    )
    for section in (org, limits, root):
        section.reject_unknown_keys()
    return parsed


def _app(section: Section, directory: Path) -> App:
    key_file = section.text("public_key_file", "")
    inline = section.text("public_key", "")
    app = App(
        consumer_key=section.text("consumer_key"),
        consumer_secret=section.text("consumer_secret", ""),
        username=section.text("username", "").lower(),
        public_key=inline or _key_text(section, directory / key_file if key_file else None),
    )
    section.reject_unknown_keys()
    return app


def _key_text(section: Section, path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise OrgFileError(f"{section.place}.public_key_file cannot be read: {error}") from error


def _user(section: Section) -> User:
    username = section.text("username").lower()
    user = User(
        username=username,
        name=section.text("name", username),
        email=section.text("email", username).lower(),
        is_active=section.flag("is_active", True),
        user_type=section.text("user_type", "Standard"),
        api_enabled=section.flag("api_enabled", True),
        password=section.text("password", ""),
        security_token=section.text("security_token", ""),
        id=section.text("id", ""),
    )
    section.reject_unknown_keys()
    return user


def _queue(section: Section) -> Queue:
    developer_name = section.text("developer_name")
    queue = Queue(
        developer_name=developer_name,
        name=section.text("name", developer_name.replace("_", " ")),
        objects=section.texts("objects"),
        members=section.texts("members"),
        id=section.text("id", ""),
    )
    section.reject_unknown_keys()
    return queue


def _assignment_rule(section: Section) -> AssignmentRule:
    entries = []
    for entry in section.sections("entry"):
        entries.append((entry.when(), entry.text("assign_to")))
        entry.reject_unknown_keys()
    rule = AssignmentRule(
        section.text("name"), section.flag("active", False), tuple(entries), section.text("id", "")
    )
    section.reject_unknown_keys()
    return rule


def _duplicate_rule(section: Section) -> DuplicateRule:
    rule = DuplicateRule(
        name=section.text("name"),
        object=section.one_of("object", OBJECTS[:2], "Lead"),
        matches=section.one_of("matches", OBJECTS[:2], "Lead"),
        action=section.one_of("action", ("block", "alert", "allow"), "alert"),
        # The standard rules alert on create and only report on edit.
        operations=section.some_of("operations", ("insert", "update"), ("insert",)),
    )
    section.reject_unknown_keys()
    return rule


def _validation_rule(section: Section) -> ValidationRule:
    rule = ValidationRule(
        object=section.one_of("object", OBJECTS, "Lead"),
        when=section.when(),
        message=section.text("message"),
        field=section.text("field", ""),
    )
    section.reject_unknown_keys()
    return rule


def _custom_field(section: Section) -> CustomField:
    name = section.text("name")
    kind = section.one_of("type", FIELD_TYPES, "string")
    field = CustomField(
        object=section.one_of("object", OBJECTS, None),
        name=name,
        label=section.text("label", name.removesuffix("__c").replace("_", " ")),
        type=kind,
        length=section.whole("length", _default_length(kind)),
        precision=section.whole("precision", 18),
        scale=section.whole("scale", 0),
        external_id=section.flag("external_id", False),
        unique=section.flag("unique", False),
        case_sensitive=section.flag("case_sensitive", False),
        required=section.flag("required", False),
        read_only=section.flag("read_only", False),
        restricted=section.flag("restricted", False),
        picklist=section.texts("picklist"),
        reference_to=section.texts("reference_to"),
    )
    section.reject_unknown_keys()
    # An admin may restrict a standard picklist to other values; any other new field is custom.
    if not name.endswith("__c") and not (field.restricted and field.picklist):
        raise OrgFileError(
            f"{section.place}.name must end in __c, as custom fields do, or restrict a standard "
            f"picklist (restricted = true, picklist = [...]): {name!r}"
        )
    return field


def _default_length(kind: str) -> int:
    lengths = {
        "string": 255,
        "textarea": 255,
        "picklist": 255,
        "url": 255,
        "email": 80,
        "phone": 40,
    }
    return lengths.get(kind, 18 if kind == "reference" else 0)


def _hidden_field(section: Section) -> tuple[str, str]:
    hidden = (section.one_of("object", OBJECTS, "Lead"), section.text("name"))
    section.reject_unknown_keys()
    return hidden


def _country(section: Section) -> Country:
    country = Country(section.text("code"), section.text("label"), section.texts("states"))
    section.reject_unknown_keys()
    return country


def _record(section: Section, name: str) -> Record:
    owner = section.text("owner", "")
    values = {key: _plain(value) for key, value in section.values.items() if key != "owner"}
    return Record(name, section.place, owner, values)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value
