"""What an org holds at the start, from one TOML file; every mistake is named with its place."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pipelines.emulator.org.org_sections import OrgFileError, Section, When
from pipelines.emulator.org.schema import DEFAULT_VALUE_RULES, ValueRules

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
CONTACT_QUEUE_OWNER = ("MALFORMED_ID", "INVALID_CROSS_REFERENCE_KEY", "INVALID_OPERATION")
ROW_ERRORS = ("joined", "first", "semicolons")
RESULT_DIALECTS = ("delimiter", "job", "plain")
EARLY_RESULTS = ("refused", "partial")
RULE_WITHOUT_MATCH = ("default_owner", "keep_owner")
TEXT_LENGTHS = ("utf16", "characters", "bytes")

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


@dataclass(frozen=True)
class App:
    """A client that may log in."""

    consumer_key: str
    consumer_secret: str
    username: str
    public_key: str


@dataclass(frozen=True)
class User:
    """Somebody of the org."""

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
    """A queue, the objects it serves and who is in it."""

    developer_name: str
    name: str
    objects: tuple[str, ...]
    members: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class AssignmentRule:
    """A Lead assignment rule: the first entry whose `when` holds names the owner."""

    name: str
    active: bool
    entries: tuple[tuple[When, str], ...]
    id: str = ""


@dataclass(frozen=True)
class DuplicateRule:
    """What happens when a new record looks like one already there."""

    name: str
    object: str
    matches: str
    action: str
    operations: tuple[str, ...] = ("insert",)


@dataclass(frozen=True)
class ValidationRule:
    """A rule of the admin's: where `when` holds, the record is refused with this message."""

    object: str
    when: When
    message: str
    field: str


@dataclass(frozen=True)
class CustomField:
    """A field beyond the standard ones."""

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
    """One entry of the State and Country picklists; any such entry switches them on."""

    code: str
    label: str
    states: tuple[str, ...]


@dataclass(frozen=True)
class Behaviour:
    """How the org processes, and how it answers where nobody knows what a real one does.

    Where two readings are possible the default is the one that is harder on a client (§12):

    `newline_in_cell`, `second_put`, `second_put_status`, `second_put_code`: what an upload may
    hold, and how a second one is refused. `contact_queue_owner`: the code a Contact answers to a
    queue. `row_errors`: `joined`, `semicolons` or `first` of several in one result cell.
    `result_dialect`: whether results take the job's `delimiter`, the `job`'s line ending too, or
    are `plain`. `early_results`: `refused` or `partial` before a job has ended.
    `rule_without_match`: the `default_owner` or `keep_owner`. `api_disabled_status`: 401 or 403 for
    a user with `api_enabled = false`. `misspelt_duplicate_result_until`: the last version that
    says `duplicateResut`. `value_rules`: what a value is read as.
    """

    queue_seconds: float = 0.0
    rows_per_second: float = 0.0
    bulk_default_assignment: bool = False
    seed: int = 1
    newline_in_cell: bool = False
    second_put: str = "put"
    late_chunk_after_abort: bool = False
    echo_saved_values: bool = True
    short_pages: bool = False
    soap_login: bool = True
    password_grant: bool = True
    misspelt_duplicate_result_until: float = 59.0
    session_minutes: float = 120.0
    second_put_status: int = 400
    second_put_code: str = "INVALIDJOB"
    contact_queue_owner: str = "MALFORMED_ID"
    row_errors: str = "joined"
    result_dialect: str = "delimiter"
    early_results: str = "refused"
    rule_without_match: str = "default_owner"
    api_disabled_status: int = 401
    value_rules: ValueRules = DEFAULT_VALUE_RULES


@dataclass(frozen=True)
class Record:
    """A record there from the start; `place` names it in messages."""

    object: str
    place: str
    owner: str
    values: dict[str, Any]


@dataclass(frozen=True)
class OrgFile:
    """All that one org file says."""

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


def read_org_file(path: Path) -> tuple[str, OrgFile]:
    """The text of an org file and what it says; errors name the file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OrgFileError(f"{path}: cannot be read ({error}); name an org file") from error
    try:
        return text, parse_org(text, path.parent)
    except OrgFileError as error:
        raise OrgFileError(f"{path}: {error}") from error


def parse_org(text: str, directory: Path) -> OrgFile:
    """What an org file says; `directory` is where relative key files lie."""
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
        # Told everywhere and found in no document (§12): the harsher reading is that it holds.
        daily_ingest_jobs=limits.whole("daily_ingest_jobs", 100_000),
        behaviour=_behaviour(root.section("behaviour")),
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
        # The standard rules alert on create and only report on edit (help, standard rules).
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
    # An admin may restrict a standard picklist to his own values; every other new field is custom.
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


def _behaviour(section: Section) -> Behaviour:
    default = Behaviour()
    behaviour = Behaviour(
        queue_seconds=section.number("queue_seconds", default.queue_seconds),
        rows_per_second=section.number("rows_per_second", default.rows_per_second),
        bulk_default_assignment=section.flag(
            "bulk_default_assignment", default.bulk_default_assignment
        ),
        seed=section.whole("seed", default.seed),
        newline_in_cell=section.flag("newline_in_cell", default.newline_in_cell),
        second_put=section.one_of("second_put", ("put", "close"), default.second_put),
        late_chunk_after_abort=section.flag(
            "late_chunk_after_abort", default.late_chunk_after_abort
        ),
        echo_saved_values=section.flag("echo_saved_values", default.echo_saved_values),
        short_pages=section.flag("short_pages", default.short_pages),
        soap_login=section.flag("soap_login", default.soap_login),
        password_grant=section.flag("password_grant", default.password_grant),
        misspelt_duplicate_result_until=section.number(
            "misspelt_duplicate_result_until", default.misspelt_duplicate_result_until
        ),
        session_minutes=section.number("session_minutes", default.session_minutes),
        second_put_status=section.status("second_put_status", default.second_put_status),
        second_put_code=section.text("second_put_code", default.second_put_code),
        contact_queue_owner=section.one_of(
            "contact_queue_owner", CONTACT_QUEUE_OWNER, default.contact_queue_owner
        ),
        row_errors=section.one_of("row_errors", ROW_ERRORS, default.row_errors),
        result_dialect=section.one_of("result_dialect", RESULT_DIALECTS, default.result_dialect),
        early_results=section.one_of("early_results", EARLY_RESULTS, default.early_results),
        rule_without_match=section.one_of(
            "rule_without_match", RULE_WITHOUT_MATCH, default.rule_without_match
        ),
        api_disabled_status=section.status("api_disabled_status", default.api_disabled_status),
        value_rules=_value_rules(section),
    )
    section.reject_unknown_keys()
    return behaviour


def _value_rules(section: Section) -> ValueRules:
    default = DEFAULT_VALUE_RULES
    return ValueRules(
        lenient_email_domains=section.flag("lenient_email_domains", default.lenient_email_domains),
        trims_text=section.flag("trims_text", default.trims_text),
        numeric_booleans=section.flag("numeric_booleans", default.numeric_booleans),
        empty_json_is_null=section.flag("empty_json_is_null", default.empty_json_is_null),
        text_length=section.one_of("text_length", TEXT_LENGTHS, default.text_length),
    )


def _record(section: Section, name: str) -> Record:
    owner = section.text("owner", "")
    values = {key: _plain(value) for key, value in section.values.items() if key != "owner"}
    return Record(name, section.place, owner, values)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value
