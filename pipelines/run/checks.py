"""The checks before a run, one line each: warehouse, login, fields, owners, limits.

Everything that can be found wrong before a person is read is found here. `person-sync check` shows
every line; a run stops at the first that fails. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipelines.errors import ConfigurationError, OrgRejectedError, SyncError
from pipelines.rules import owner_choices, owner_strategies
from pipelines.rules.lead_fields import LeadField
from pipelines.rules.owner_strategies import RejectedStrategy, ResolvedStrategy
from pipelines.run.connections import log_in_to, open_store
from pipelines.run.preflight import Preflight
from pipelines.salesforce import lookups
from pipelines.settings import Settings
from pipelines.steps import unknown_jobs
from pipelines.steps.owners import OwnerLookup
from pipelines.warehouse import ledger, migrations
from pipelines.warehouse.new_persons import binary_id_type, persons_columns

REQUIRED_FIELDS = ("LastName", "Company")
MIN_API_CALLS = 500


def check_columns(preflight: Preflight) -> str:
    """Find the columns that the fields ask for; return how many fields have one."""
    there = persons_columns(preflight.warehouse)
    settings, table = preflight.settings, preflight.settings.warehouse.persons
    wanted = {"person_id": "person_id"}
    for field, column in settings.columns.items():
        if field in REQUIRED_FIELDS or field in settings.explicit_fields:
            wanted[f"fields.{field}"] = column
    wrong = [
        f"{table} has no column {column}, which {path} needs"
        for path, column in wanted.items()
        if column not in there
    ]
    if wrong:
        names = ", ".join(sorted(there))
        raise ConfigurationError(
            f"{'; '.join(wrong)}: correct [fields] or the table, which has {names}"
        )
    if binary := binary_id_type(preflight.warehouse):
        raise ConfigurationError(
            f"person_id of {table} holds bytes ({binary}), and an id must be text or a number: "
            "name a view that casts it in warehouse.persons"
        )
    for field in REQUIRED_FIELDS:
        if field not in settings.columns:
            raise ConfigurationError(f"fields.{field} is switched off, but Salesforce requires it")
    preflight.columns = {
        field: column for field, column in settings.columns.items() if column in there
    }
    return f"{table} has columns for {len(preflight.columns)} fields"


def check_write_access(preflight: Preflight) -> str:
    """Write to the result tables and undo it."""
    migrations.try_writing(preflight.warehouse)
    return f"may be written ({len(migrations.pending(preflight.warehouse))} migrations to come)"


def check_login(preflight: Preflight) -> str:
    """Log in to the org."""
    preflight.session = log_in_to(preflight.settings.salesforce)
    kind = "sandbox" if preflight.org.is_sandbox else "production"
    return f"{preflight.org.org_name} ({kind}, {preflight.org.org_id})"


def check_lead_fields(preflight: Preflight) -> str:
    """Describe Lead; every mapped field must be there and writable."""
    preflight.described = described = lookups.describe(preflight.org, "Lead")
    by_lower = {name.lower(): field for name, field in described.items()}
    columns: dict[str, str] = {}
    for name, column in preflight.columns.items():
        field = by_lower.get(name.lower())
        if field is None or not field.createable:
            raise ConfigurationError(
                f"Lead field {name} cannot be written by this login: grant it in its permission "
                f'set, or leave the field out with fields.{name} = ""'
            )
        columns[field.name] = column
    preflight.columns = columns
    preflight.lead_fields = {field.name: _as_lead_field(field) for field in described.values()}
    _require_no_other_field(described, columns)
    return f"{len(columns)} can be written"


def _as_lead_field(field: lookups.DescribedField) -> LeadField:
    return LeadField(
        name=field.name,
        label=field.label,
        type=field.type,
        length=field.length or None,
        digits=field.digits or None,
        precision=field.precision or None,
        scale=field.scale,
        restricted_values=field.picklist_values if field.restricted_picklist else None,
    )


def _require_no_other_field(
    described: Mapping[str, lookups.DescribedField], columns: Mapping[str, str]
) -> None:
    for field in described.values():
        must = field.createable and not field.nillable and not field.defaulted_on_create
        if must and field.type != "boolean" and field.name not in columns:
            raise ConfigurationError(
                f"the org requires Lead field {field.name}: map a column to it in [fields]"
            )


def check_person_id_field(preflight: Preflight) -> str:
    """Require a unique external id, unless the settings do without."""
    name = preflight.settings.salesforce.person_id_field
    preflight.person_id_field, preflight.person_id_length = "", None
    if not name:
        return "none: only the ledger knows (loading is slower, and persons may be held)"
    fields = preflight.described.values()
    field = next((one for one in fields if one.name.lower() == name.lower()), None)
    remedy = (
        "create it as Text(64), External ID, Unique, case sensitive and let this login edit it, "
        'or set salesforce.person_id_field = "" to run without'
    )
    if field is None or not field.createable:
        raise ConfigurationError(f"Lead field {name} is not there for this login: {remedy}")
    if not (field.unique and field.external_id):
        raise ConfigurationError(f"Lead field {name} is not a unique external id: {remedy}")
    preflight.person_id_field, preflight.person_id_length = field.name, field.length
    return f"{field.name} is a unique external id"


def check_ledger_org(preflight: Preflight) -> str:
    """Require that the ledger belongs to this org, or to none yet."""
    if not migrations.has_ledger(preflight.warehouse):
        return "not made yet: the first run binds it to this org"
    ledger.require_own_org(preflight.warehouse, preflight.org.org_id, preflight.org.org_name)
    return "belongs to this org or to none yet"


def check_unknown_jobs(preflight: Preflight) -> str:
    """Find jobs that have created leads and that the ledger does not know."""
    is_shared = preflight.settings.salesforce.dedicated_user is False
    if is_shared:
        return "not checked: other tools use this login"
    preflight.unknown_jobs = found = unknown_jobs.find(preflight.org, preflight.warehouse)
    # With the field Salesforce itself rejects a second lead of a person, and the run then finds
    # the first: jobs that the ledger does not know can do no harm.
    if not preflight.person_id_field and not preflight.accept_unknown_jobs:
        unknown_jobs.require_none(found)
    return f"{len(found.effective)} that the ledger does not know, {len(found.open)} left open"


def check_owners(preflight: Preflight) -> str:
    """Resolve every owner strategy of the settings."""
    settings = preflight.settings.owners
    place = "--owner" if preflight.owner else "owners.default"
    preflight.found_default_strategy = _parse_strategy(place, preflight.owner or settings.default)
    try:
        preflight.choices = owner_choices.parse_choices(list(settings.choice))
    except (owner_choices.ChoiceMalformedError, owner_strategies.StrategyMalformedError) as error:
        raise ConfigurationError(f"owners.choice: {error}") from None
    preflight.found_owner_lookup = OwnerLookup(preflight.org, settings.without_active_rule)
    named = {place: str(preflight.default_strategy)}
    for number, choice in enumerate(preflight.choices, start=1):
        named[f"owners.choice {number}"] = str(choice.assign_to)
    if settings.default_lead_owner:
        place = "owners.default_lead_owner"
        named[place] = str(_parse_strategy(place, settings.default_lead_owner))
    found = preflight.owner_lookup.resolve(named.values())
    wrong = [
        f"{place} = {text}: {answer.message}"
        for place, text in named.items()
        if isinstance(answer := found[text], RejectedStrategy)
    ]
    if wrong:
        raise ConfigurationError("; ".join(wrong))
    preflight.default_lead_owner_id = _default_lead_owner_id(
        found.get(named.get("owners.default_lead_owner", ""))
    )
    return f"{len(set(named.values()))} strategies lead to an owner"


def _default_lead_owner_id(
    answer: ResolvedStrategy | RejectedStrategy | None,
) -> str | None:
    if answer is None:
        return None
    if isinstance(answer, RejectedStrategy) or answer.owner is None:
        raise ConfigurationError("owners.default_lead_owner must be a user: or a queue:")
    return answer.owner.owner_id


def check_choice_columns(preflight: Preflight) -> str:
    """Require the columns that the choices ask for."""
    there = persons_columns(preflight.warehouse)
    for number, choice in enumerate(preflight.choices, start=1):
        for column in choice.when:
            if column not in there:
                raise ConfigurationError(
                    f"owners.choice {number} asks for column {column}, which "
                    f"{preflight.settings.warehouse.persons} does not have: correct its `when`"
                )
    return f"{len(preflight.choices)}, all their columns are there"


def _parse_strategy(place: str, text: str) -> owner_strategies.Strategy:
    try:
        return owner_strategies.parse_strategy(text)
    except owner_strategies.StrategyMalformedError as error:
        raise ConfigurationError(f"{place}: {error}") from None


def check_matching(preflight: Preflight) -> str:
    """Look an e-mail up among leads and contacts."""
    lookups.find_known(
        preflight.org, emails=["nobody@example.invalid"], person_ids=[], person_id_field=""
    )
    return "Lead and Contact can be searched"


def check_limits(preflight: Preflight) -> str:
    """Read how many API calls are left today."""
    try:
        limits = lookups.limits(preflight.org)
    except OrgRejectedError:
        # GET /limits needs View Setup and Configuration, which a loading login need not have.
        return "not shown to this login"
    most, left = limits["DailyApiRequests"]
    if left < MIN_API_CALLS:
        raise ConfigurationError(f"only {left} of {most} API calls are left today: run tomorrow")
    return f"{left} of {most} API calls left today"


@dataclass(frozen=True)
class PreflightCheck:
    """A check, the subject of its line, and the subjects of the checks that it needs."""

    subject: str
    run: Callable[[Preflight], str]
    needs: tuple[str, ...] = ()


# In this order. The first group is what a run needs; `check` looks at the second one too.
RUN_CHECKS = (
    PreflightCheck("persons table", check_columns, ("warehouse",)),
    PreflightCheck("login", check_login),
    PreflightCheck("ledger", check_ledger_org, ("warehouse", "login")),
    PreflightCheck("Lead fields", check_lead_fields, ("persons table", "login")),
    PreflightCheck("person-id field", check_person_id_field, ("Lead fields",)),
    PreflightCheck("jobs", check_unknown_jobs, ("ledger", "person-id field")),
    PreflightCheck("owners", check_owners, ("login",)),
    PreflightCheck("choices", check_choice_columns, ("persons table", "owners")),
)
ALL_CHECKS = (
    *RUN_CHECKS,
    PreflightCheck("results", check_write_access, ("warehouse",)),
    PreflightCheck("matching", check_matching, ("login",)),
    PreflightCheck("limits", check_limits, ("login",)),
)
# What one more worker of a run needs. Unknown jobs are checked once per run, by the run itself.
WORKER_CHECKS = tuple(one for one in RUN_CHECKS if one.subject != "jobs")
# What resolving a held person needs: everything up to the person-id field.
RESOLVE_CHECKS = RUN_CHECKS[:5]


@dataclass(frozen=True)
class CheckResult:
    """One line of `check`: what was checked, what was found, and whether a run could start."""

    subject: str
    is_ok: bool
    message: str
    exit_code: int


def check(settings: Settings) -> list[CheckResult]:
    """Run every check, write nothing, and return all results at once."""
    try:
        with open_store(settings) as warehouse:
            opened = CheckResult("warehouse", is_ok=True, message="answers", exit_code=0)
            return [opened, *_check_all(Preflight(settings, warehouse), set())]
    except SyncError as error:
        return [_failure("warehouse", error), *_check_all(Preflight(settings, None), {"warehouse"})]


def _check_all(preflight: Preflight, failed: set[str]) -> list[CheckResult]:
    """Run every check except those that need one that has failed. `failed`: subjects."""
    results: list[CheckResult] = []
    for one in ALL_CHECKS:
        if failed & set(one.needs):
            failed.add(one.subject)
            continue
        result = _check_one(one, preflight)
        results.append(result)
        if not result.is_ok:
            failed.add(one.subject)
    return results


def _check_one(one: PreflightCheck, preflight: Preflight) -> CheckResult:
    try:
        return CheckResult(one.subject, is_ok=True, message=one.run(preflight), exit_code=0)
    except SyncError as error:
        return _failure(one.subject, error)


def _failure(subject: str, error: SyncError) -> CheckResult:
    return CheckResult(subject, is_ok=False, message=str(error), exit_code=error.exit_code)
